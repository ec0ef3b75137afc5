"""Telling all groups of a block that ours has certified.

Answers for: the voter nearest to a block gossips it on the network's topic at once, the others in turn
while they have not heard it there. Who was heard telling of a block is noted by `watch`. Spec:
`spec/forwarding.md`, `spec/node.md`.
"""

from dataclasses import dataclass

from protocol.chain.view import ChainView
from protocol.codec import encode
from protocol.group.data_block import CertifiedBlock, block_hash, decode_block
from protocol.group.membership import Membership
from protocol.node.effects import Effect, Publish
from protocol.node.messages import Forward, pack_plain
from protocol.parameters import Parameters
from protocol.units import Hash32, OperatorKey

TURN_MILLISECONDS = 1_000
"""How long a voter waits, at least, for each of those who are nearer to the block."""
LATE_ROUNDS = 8
"""Rounds of consensus that a block may take, and still is one of now."""
LATE_HEIGHTS = 2
"""Blocks that the chain may have grown meanwhile at any rate."""
PENDING_MAX = 256
"""Blocks that wait for their forwarding; beyond it the oldest is left to the others."""
HEARD_MAX = 1_024
"""Blocks of which it is noted that all were told of them; the oldest is forgotten first."""


def turn_milliseconds(parameters: Parameters) -> int:
    """Return how long a block may take to reach everybody: the time between two voters' turns to tell."""
    return max(TURN_MILLISECONDS, parameters.round_milliseconds)


def is_of_now(stamp_height: int, tip: int, parameters: Parameters) -> bool:
    """Whether a block with this stamp was decided just now, as our chain stands."""
    rounds = LATE_ROUNDS * parameters.round_milliseconds // (parameters.block_seconds * 1_000)
    return tip <= stamp_height + parameters.burial + LATE_HEIGHTS + rounds


@dataclass(slots=True)
class _Pending:
    rank: int
    data: bytes
    due: int | None = None


class Forwarding:
    """What this node has still to tell the other groups."""

    def __init__(
        self, network: bytes, me: OperatorKey, topic: str, chain: ChainView, parameters: Parameters
    ) -> None:
        self._network = network
        self._me = me
        self._topic = topic
        self._chain = chain
        self._parameters = parameters
        self._pending: dict[Hash32, _Pending] = {}
        self._heard: dict[Hash32, None] = {}

    def decided(self, certified: CertifiedBlock, before: Membership, *, live: bool) -> None:
        """Note a block that our group has certified; `before` are the members who did.

        Of one that we saw being decided we tell in our turn. Who is nearest tells of it however it learnt of
        it: the others may have been faster.
        """
        hashed = block_hash(certified.block)
        order = before.nearest_voters(hashed)
        if self._me not in order:
            return
        rank = order.index(self._me)
        if rank and (not live or hashed in self._heard):
            return
        if not live and not self._is_of_now(certified):
            return
        self._pending[hashed] = _Pending(rank, encode(certified))
        while len(self._pending) > PENDING_MAX:
            del self._pending[next(iter(self._pending))]

    def _is_of_now(self, certified: CertifiedBlock) -> bool:
        stamp = decode_block(certified.block).stamp_height
        return is_of_now(stamp, self._chain.tip()[0], self._parameters)

    def heard(self, hashed: Hash32) -> None:
        """Note that somebody told everybody of a block: who is not the nearest need not do it any more."""
        self._heard[hashed] = None
        pending = self._pending.get(hashed)
        if pending is not None and pending.rank:
            del self._pending[hashed]
        while len(self._heard) > HEARD_MAX:
            del self._heard[next(iter(self._heard))]

    def due(self, now: int) -> list[Effect]:
        """Return what is ours to tell by now."""
        effects: list[Effect] = []
        for hashed, pending in list(self._pending.items()):
            if pending.due is None:
                pending.due = now + pending.rank * turn_milliseconds(self._parameters)
            if pending.due <= now:
                del self._pending[hashed]
                forward = Forward(network=self._network, sender=self._me, certified=pending.data)
                effects.append(Publish(self._topic, pack_plain(forward)))
        return effects
