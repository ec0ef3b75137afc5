"""Node machines of two groups that forward their blocks, and the messages with which they do."""

from collections.abc import Callable
from functools import cache
from typing import Any

from protocol.codec import Decoder, replace
from protocol.crypto import SIGNATURE_SIZE
from protocol.genesis import Genesis
from protocol.group.data_block import block_hash, decode_certified
from protocol.group.elsewhere import Standing
from protocol.group.resend import RESEND_SIZE_MAX, Resend, build_resend
from protocol.node.machine import Node
from protocol.node.messages import PLAIN, SIGNED, Forward
from protocol.parameters import MINIMAL
from protocol.units import Hash32, OperatorKey
from tests.support.moves_world import founding
from tests.support.node_cluster import Cluster
from tests.support.operators import Operator

PARAMETERS = replace(MINIMAL, challenge_failures=50, silence=1_000)
"""A block that was not forwarded counts for long, and who is down is not removed for that."""
CHALLENGES_MAX = 60
decode_forward: Decoder[Forward] = Decoder(Forward)
decode_resend: Decoder[Resend] = Decoder(Resend, RESEND_SIZE_MAX)


@cache
def founded() -> tuple[Genesis, tuple[Operator, ...]]:
    """Ten founders, whose names fall five and five: enough for a split at once."""
    return founding((5, 5), PARAMETERS, 4, ())


def forward_in(data: bytes) -> Forward | None:
    """The FORWARD in a message, if it is one."""
    return decode_forward(data[1:]) if data[0] == PLAIN and b"\xa7forward" in data[:12] else None


def resend_in(data: bytes) -> Resend | None:
    """The report in a message, if it is one."""
    is_one = data[0] == SIGNED and b"\xa6resend" in data[: SIGNATURE_SIZE + 12]
    return decode_resend(data[1 + SIGNATURE_SIZE :]) if is_one else None


class Network(Cluster):
    """The nodes of two groups."""

    def __init__(self) -> None:
        genesis, founders = founded()
        super().__init__(founders, genesis=genesis)
        self.founders = founders
        self.unheard: Callable[[Forward], bool] = lambda _forward: False
        """What never arrives anywhere."""
        self.forwards: dict[Hash32, list[OperatorKey]] = {}
        """By block: who told of it."""
        self.reports: list[Resend] = []
        self.drops = self._drop
        self.mine(3)
        assert [machine.state.prefix for machine in self.any.groups] == ["0", "1"]

    def _drop(self, _sender: OperatorKey, _to: OperatorKey, data: bytes) -> bool:
        said = resend_in(data)
        if said is not None and said not in self.reports:
            self.reports.append(said)
        forward = forward_in(data)
        if forward is None or self.unheard(forward):
            return forward is not None
        hashed = block_hash(decode_certified(forward.certified).block)
        told = self.forwards.setdefault(hashed, [])
        if forward.sender not in told:
            told.append(OperatorKey(forward.sender))
        return False

    @property
    def any(self) -> Node:
        """One of the nodes that are there: they agree on all blocks."""
        return next(self[one].node for one in self.founders if one.key not in self.cut)

    def of(self, prefix: str) -> list[Operator]:
        """The operators of one group."""
        members = self.any.groups[prefix].state.membership
        return [one for one in self.founders if one.key in members]

    def standing(self, hashed: Hash32) -> Standing:
        found = self.any.groups.archive.standing(hashed)
        assert found is not None
        return found

    def order(self, hashed: Hash32) -> tuple[OperatorKey, ...]:
        """In which order a block is its voters' to forward."""
        return self.standing(hashed).members.nearest_voters(hashed)

    def report(self, speaker: Operator, hashed: Hash32, **change: Any) -> tuple[Resend, bytes]:
        """What a voter of group 1 can say of a block of group 0, and its envelope."""
        said = Resend(
            network=self.any.network,
            prefix="0",
            height=self.standing(hashed).block.height,
            block_hash=hashed,
            member=self.order(hashed)[0],
            sender_prefix="1",
            sender=speaker.key,
            group_block=self.any.groups["1"].state.head,
        )
        said = replace(said, **change)
        return said, build_resend(speaker.signer, said)

    def run_until(self, is_done: Callable[[], bool]) -> None:
        """Let the chain grow, block by block, until something is so."""
        for _ in range(CHALLENGES_MAX * PARAMETERS.challenge_every):
            if is_done():
                return
            self.mine()
        raise AssertionError("it never came to that")

    def is_removed(self, one: Operator) -> bool:
        return all(not peer.node.groups.is_member(one.key) for peer in self.peers.values())
