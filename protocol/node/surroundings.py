"""What the machines of moving see of all groups.

Answers for: the shape only; `groups` fulfils it. Spec: `spec/node.md`.
"""

from typing import Protocol

from protocol.group.data_chain import DataChain
from protocol.group.elsewhere import Elsewhere
from protocol.node.last_verdicts import LastVerdicts
from protocol.node.tickets import Tickets
from protocol.units import Hash32, OperatorKey


class Surroundings(Protocol):
    """All groups, as one node holds them now."""

    @property
    def tickets(self) -> Tickets:
        """Who is under way."""

    @property
    def last_verdicts(self) -> LastVerdicts:
        """The last verdicts on everybody."""

    @property
    def elsewhere(self) -> Elsewhere:
        """The blocks that may be named."""

    def own(self) -> DataChain | None:
        """Return the state of the group in which we are a member, or None."""

    def covering(self, name: bytes) -> DataChain:
        """Return the state of the live group to which a 32-byte name falls."""

    def live(self, prefix: str) -> DataChain:
        """Return the state of the live group with this prefix."""

    def that_left(self, operator_key: OperatorKey) -> DataChain | None:
        """Return the state of the live group that keeps the seat of a removed operator, or None."""

    def block_hash(self, prefix: str, height: int) -> Hash32 | None:
        """Return the hash of a data block that is held, or None."""
