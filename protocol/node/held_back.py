"""Certified blocks that our own chain contradicts, held back until it is known who is right.

Answers for: where the only fault of a certified block is its stamp, either we stand on another chain than
those who certified it, or all of us have left theirs. A later certified block tells the two apart, and so
does time as our chain counts it. Taking blocks is left to `group`.
Spec: `spec/data_chain.md`.
"""

from protocol.chain.view import ChainView
from protocol.errors import Stranded
from protocol.group.data_block import CertifiedBlock
from protocol.group.data_chain import NOWHERE, DataChain
from protocol.group.elsewhere import Elsewhere
from protocol.parameters import Parameters

HELD_MAX = 64
"""Certified blocks held back at one time; what follows is asked for again."""


def is_settled(height: int, chain: ChainView, parameters: Parameters) -> bool:
    """Whether our own chain has buried its block at `height`, and one more challenge's blocks on top.

    A node that was alone on a fork has heard the others' longer chain long before that.
    """
    return chain.tip()[0] >= height + parameters.burial + parameters.challenge_every


class HeldBack:
    """The blocks that are held back: the first is contradicted, the others follow it without a gap."""

    def __init__(self) -> None:
        self._blocks: list[CertifiedBlock] = []
        self._after: DataChain | None = None
        """What the data chain would be after them; None when the fault is more than a stamp."""

    def __len__(self) -> int:
        return len(self._blocks)

    @property
    def is_refuted(self) -> bool:
        """Whether one of them has a fault that no other chain mends: then nothing more is asked for."""
        return bool(self._blocks) and self._after is None

    def hold(self, certified: CertifiedBlock, after: DataChain | None) -> None:
        """Hold back the first one."""
        self._blocks, self._after = [certified], after

    def follow(self, certified: CertifiedBlock, chain: ChainView, elsewhere: Elsewhere = NOWHERE) -> bool:
        """Take note of the next certified block; return whether it shows that the quorum stands on our chain.

        Such a block is not held back. Raises as `DataChain.apply` does.
        """
        if self._after is None or len(self._blocks) >= HELD_MAX:
            return False
        try:
            self._after.apply(certified, chain, elsewhere)
        except Stranded:
            self._after = self._after.apply(certified, chain, elsewhere, on_its_word=True)
            self._blocks.append(certified)
            return False
        return True

    def refute(self) -> None:
        """Hear no more of what follows: something in it has a fault of its own."""
        self._after = None

    def release(self) -> list[CertifiedBlock]:
        """Hold nothing back any more; return what was, in order."""
        blocks, self._blocks, self._after = self._blocks, [], None
        return blocks
