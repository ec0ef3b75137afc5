"""What a member that came back hands over, as one voter asks for it.

Answers for: each voter asks for one block of the group's data chain, drawn so that nobody knows beforehand
which, and is satisfied when the one that came back sends it itself. What follows is the business of
`protocol.group.kinds.moves`. Spec: `spec/relocation.md` (seed 001, "Subsequently joining the network").
"""

from dataclasses import dataclass

from protocol.crypto import sha3_256
from protocol.errors import ProtocolError
from protocol.group.data_block import block_hash, decode_certified
from protocol.group.relocation import is_returning
from protocol.node.effects import Effect, Send
from protocol.node.messages import BlocksRequest, Want, pack_plain
from protocol.node.surroundings import Surroundings
from protocol.units import Hash32, OperatorKey

SPAN = 256
"""Blocks before the return among which one is drawn."""
ASKED_MILLISECONDS = 2_000
"""An operator that did not answer is asked again after this time, and then after twice as long each time."""
ASKED_SLOWEST_MILLISECONDS = 64_000
"""But not less often, as long as it is returning: it may have to catch up first, or have stopped again."""


@dataclass(slots=True)
class _Asked:
    """What one operator was asked for."""

    prefix: str
    height: int
    expected: Hash32
    at: int = 0
    pause: int = ASKED_MILLISECONDS
    is_satisfied: bool = False


class HandOver:
    """What this voter asks of those that came back."""

    def __init__(self, network: bytes, me: OperatorKey, around: Surroundings) -> None:
        self._network = network
        self._me = me
        self._around = around
        self._asked: dict[OperatorKey, _Asked] = {}

    def look(self) -> None:
        """Go on with the present state of our group."""
        state = self._around.own()
        returning: list[OperatorKey] = []
        if state is not None:
            returning = [key for key in state.returning if is_returning(state, key, state.stamp_height)]
        self._asked = {key: asked for key, asked in self._asked.items() if key in returning}
        for key in returning:
            if state is not None and key != self._me and key not in self._asked:
                self._begin(key, state.prefix, state.height)

    def _begin(self, key: OperatorKey, prefix: str, height: int) -> None:
        """Draw a block of the chain up to here; where the group is younger than that, one that it has."""
        draw = int.from_bytes(sha3_256(self._me, key, height.to_bytes(8, "big")), "big")
        for back in range(SPAN):
            at = height - (draw + back) % SPAN
            expected = self._around.block_hash(prefix, at) if at > 0 else None
            if expected is not None:
                self._asked[key] = _Asked(prefix, at, expected)
                return

    def tick(self, now: int) -> list[Effect]:
        """Ask those who have not answered."""
        effects: list[Effect] = []
        for key, asked in self._asked.items():
            if now >= asked.at and not asked.is_satisfied:
                asked.at, asked.pause = now + asked.pause, min(2 * asked.pause, ASKED_SLOWEST_MILLISECONDS)
                request = BlocksRequest(
                    network=self._network, wants=(Want(prefix=asked.prefix, first=asked.height),)
                )
                effects.append(Send(key, pack_plain(request)))
        return effects

    def on_blocks(self, peer: OperatorKey, blocks: tuple[bytes, ...]) -> bool:
        """Look at blocks that somebody sent itself; return whether they were asked for as a hand-over."""
        asked = self._asked.get(peer)
        if asked is None or asked.is_satisfied:
            return False
        try:
            asked.is_satisfied = block_hash(decode_certified(blocks[0]).block) == asked.expected
        except ProtocolError:
            return False
        return asked.is_satisfied

    def is_satisfied(self, key: OperatorKey) -> bool:
        """Whether an operator handed over what we asked it for."""
        asked = self._asked.get(key)
        return asked is not None and asked.is_satisfied
