"""Giving up what proves old blocks to others, on a node whose operator wants that.

Answers for: which blocks nobody needs whole any more; they are pruned a few at a time, oldest first, in the
order in which they were applied. What stays of a block is `stored_block`, how it is rewritten `archive`'s
business. Spec: `spec/node.md`.
"""

from protocol.node.effects import Announce, Compact, Effect
from protocol.node.groups import Groups
from protocol.node.hand_over import SPAN
from protocol.node.lister import Lister
from protocol.node.records import block_key
from protocol.payout.list_file import decode_list_file

LISTS_KEPT = 2
"""Pruned is what lies below the heads of so many certified lists, those of the last one included.
So who is not paid by a list can show for a period why, and who was away for one is helped by all."""
BLOCKS_KEPT = SPAN + 64
"""The last blocks of each chain stay whole: who comes back is asked for one of `SPAN` when it does."""

COMPACTED_BLOCKS = 1_024
"""After so many pruned blocks their space is given back: a store keeps what was overwritten otherwise."""


class Pruner:
    """Prunes one node's blocks."""

    def __init__(self, groups: Groups, lister: Lister) -> None:
        self._groups = groups
        self._archive = groups.archive
        self._lister = lister
        self._period = -1
        self._below = 0
        self._compacted = self._archive.pruned_below

    def tick(self) -> list[Effect]:
        """Prune some of the blocks that may be, if there are any; nothing while anything is contradicted.

        It comes first in a step: what is applied in the same one is not in the record yet.
        """
        if self._period != self._lister.period:
            self._period, self._below = self._lister.period, self._prunable_below()
        if self._archive.pruned_below >= self._below or self._is_contradicted():
            return []
        effects: list[Effect] = [*self._archive.prune(self._below)]
        now = self._archive.pruned_below
        if now >= min(self._below, self._compacted + COMPACTED_BLOCKS):
            effects.append(Compact(block_key(self._compacted), block_key(now - 1)))
            self._compacted = now
        if now >= self._below:
            effects.append(Announce("data_chain.pruned", {"blocks": self._archive.pruned}))
        return effects

    def _prunable_below(self) -> int:
        """Return below which number blocks may be pruned by the lists that are certified."""
        period = self._lister.period - LISTS_KEPT
        file = self._lister.file(period) if period >= 0 else None
        if file is None:
            return 0
        heads = decode_list_file(file).header.heads
        reach = dict(self._archive.reach(heads))
        for head in self._archive.heads():
            kept = max(0, head.height - BLOCKS_KEPT)
            spans = reach.get(head.prefix, ())
            reach[head.prefix] = [(above, min(until, kept)) for above, until in spans]
        return self._archive.prunable_below(reach)

    def _is_contradicted(self) -> bool:
        return self._lister.contradicted or any(machine.contradicted for machine in self._groups)
