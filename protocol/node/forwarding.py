"""Telling all groups of a block that ours has certified.

Answers for: one voter gossips a block on the network's topic at once, the next nearest in turn while they
have not heard it there; and it is noted who was heard telling of a block. What follows for a member that
does not do its duty is left to others. Spec: `spec/forwarding.md`, `spec/node.md`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from protocol.codec import encode
from protocol.group.data_block import CertifiedBlock, block_hash
from protocol.group.membership import Membership
from protocol.node.effects import Effect, Publish
from protocol.node.messages import Forward, pack_plain
from protocol.units import Hash32, OperatorKey

FORWARD_MILLISECONDS = 1_000
"""How long a voter waits for each of those who are nearer to the block."""
PENDING_MAX = 256
"""Blocks that wait for their forwarding; beyond it the oldest is left to the others."""
NOTED_MAX = 1_024
"""Blocks of which it is noted who told of them; the oldest is forgotten first."""
SENDERS_MAX = 8
"""Who told of one block, at most: the first ones."""


@dataclass(slots=True)
class _Pending:
    rank: int
    data: bytes
    due: int | None = None


class Forwarding:
    """What this node has still to tell the other groups."""

    def __init__(self, network: bytes, me: OperatorKey, topic: str) -> None:
        self._network = network
        self._me = me
        self._topic = topic
        self._pending: dict[Hash32, _Pending] = {}
        self._senders: dict[Hash32, dict[OperatorKey, int]] = {}

    def decided(self, certified: CertifiedBlock, before: Membership) -> None:
        """Note a block that our group has certified; `before` are the members who did."""
        hashed = block_hash(certified.block)
        order = before.nearest_voters(hashed)
        if self._me not in order or hashed in self._senders:
            return
        self._pending[hashed] = _Pending(order.index(self._me), encode(certified))
        while len(self._pending) > PENDING_MAX:
            del self._pending[next(iter(self._pending))]

    def heard(self, certified: CertifiedBlock, sender: OperatorKey, now: int) -> None:
        """Note that somebody told of a block, which was found to be one."""
        hashed = block_hash(certified.block)
        self._pending.pop(hashed, None)
        senders = self._senders.setdefault(hashed, {})
        if len(senders) < SENDERS_MAX:
            senders.setdefault(sender, now)
        while len(self._senders) > NOTED_MAX:
            del self._senders[next(iter(self._senders))]

    def senders(self, hashed: bytes) -> Mapping[OperatorKey, int]:
        """Return who was heard telling of a block, the first first, with the millisecond."""
        return self._senders.get(Hash32(hashed), {})

    def due(self, now: int) -> list[Effect]:
        """Return what is ours to tell by now."""
        if not self._pending:
            return []
        effects: list[Effect] = []
        for hashed, pending in list(self._pending.items()):
            if pending.due is None:
                pending.due = now + pending.rank * FORWARD_MILLISECONDS
            if pending.due <= now:
                del self._pending[hashed]
                forward = Forward(network=self._network, sender=self._me, certified=pending.data)
                effects.append(Publish(self._topic, pack_plain(forward)))
        return effects
