"""Members' moves at one node: its own seat, and as a voter the comings and goings of its group.

Answers for: the two machines see the same groups, and inputs reach whom they concern. Our own seat is
`mover`, whom our group takes in and lets go `admissions`. Spec: `spec/relocation.md`, `spec/node.md`.
"""

from collections.abc import Sequence

from protocol.chain.view import ChainView
from protocol.crypto import Signer
from protocol.genesis import Genesis
from protocol.group.data_block import DataBlock, Payload
from protocol.group.data_chain import DataChain
from protocol.group.elsewhere import Elsewhere
from protocol.group.join_request import JoinRequest
from protocol.group.vote import Statement
from protocol.node.admissions import Admissions
from protocol.node.effects import Effect, Incoming
from protocol.node.groups import Groups
from protocol.node.last_verdicts import LastVerdicts
from protocol.node.messages import ProofHeld, ProofPart
from protocol.node.mover import Mover
from protocol.node.tickets import Tickets
from protocol.units import Hash32, OperatorKey


class AroundGroups:
    """All groups as the machines of moving see them; fulfils `Surroundings`."""

    def __init__(self, groups: Groups, me: OperatorKey) -> None:
        self._groups = groups
        self._me = me

    @property
    def tickets(self) -> Tickets:
        """Who is under way."""
        return self._groups.archive.tickets

    @property
    def last_verdicts(self) -> LastVerdicts:
        """The last verdicts on everybody."""
        return self._groups.archive.last_verdicts

    @property
    def elsewhere(self) -> Elsewhere:
        """The blocks that may be named."""
        return self._groups.archive

    def own(self) -> DataChain | None:
        """Return the state of the group in which we are a member, or None."""
        state = self._groups.own.state
        return state if self._me in state.membership and not state.is_closed else None

    def covering(self, name: bytes) -> DataChain:
        """Return the state of the live group to which a 32-byte name falls."""
        return self._groups.covering(name).state

    def live(self, prefix: str) -> DataChain:
        """Return the state of the live group with this prefix."""
        return self._groups[prefix].state

    def that_left(self, operator_key: OperatorKey) -> DataChain | None:
        """Return the state of the live group that keeps the seat of a removed operator, or None."""
        return next((one.state for one in self._groups if operator_key in one.state.left), None)

    def block_hash(self, prefix: str, height: int) -> Hash32 | None:
        """Return the hash of a data block that is held, or None: what a chain begins with is no block."""
        archive = self._groups.archive
        return archive.block_hash(prefix, height) if archive.certified(prefix, height) is not None else None


class Seating:
    """Our own seat, and the seats of our group."""

    def __init__(
        self, genesis: Genesis, signer: Signer, chain: ChainView, groups: Groups, *, joins: bool = True
    ) -> None:
        """With `joins` false no place is ever asked for."""
        around = AroundGroups(groups, signer.operator_key)
        self._groups = groups
        self.mover = Mover(genesis, signer, chain, around, joins=joins)
        self.admissions = Admissions(genesis, signer.operator_key, chain, around)
        groups.affirmed_by.append(self._may_affirm)

    def _may_affirm(self, state: DataChain, block: DataBlock, payload: Payload) -> bool:
        return self.admissions.may_affirm(payload)

    def look(self) -> list[Effect]:
        """Blocks or chain went on."""
        return self.admissions.look()

    def tick(self, now: int) -> list[Effect]:
        """Let time pass."""
        return self.mover.tick(now) + self.admissions.tick(now)

    def mined(self, ticket: Hash32, nonce: int, now: int) -> list[Effect]:
        """Our join proof was found."""
        return self.mover.mined(ticket, nonce, now)

    def on_request(self, request: JoinRequest, envelope: bytes) -> None:
        """Take a request for a place; raises a `ProtocolError`."""
        self.admissions.on_request(request, envelope)
        self._groups.moved()

    def on_part(self, part: ProofPart, incoming: Incoming) -> list[Effect]:
        """Take a part of somebody's join proof; raises `InvalidProof`."""
        effects = self.admissions.on_part(incoming, part)
        if effects:
            self._groups.moved()
        return effects

    def on_held(self, word: ProofHeld, incoming: Incoming, now: int) -> list[Effect]:
        """Take a member's word on what it holds of our proof."""
        return [] if incoming.topic else self.mover.on_held(incoming.peer, word, now)

    def on_blocks(self, blocks: Sequence[bytes], incoming: Incoming) -> None:
        """Look at blocks that somebody sent: they may be what it has to hand over."""
        if not incoming.topic and self.admissions.hand_over.on_blocks(incoming.peer, tuple(blocks)):
            self._groups.moved()

    def on_vote(self, envelope: bytes, statement: Statement) -> None:
        """Note who votes in our group; raises `InvalidSignature`."""
        self.admissions.on_vote(statement, envelope)
