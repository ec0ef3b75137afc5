"""The parts of transactions of Zcash and Zen that are carried, not read: how long they are.

Answers for: walking over joinsplits and over the shielded parts of Zcash's versions 3, 4
(ZIP 202, ZIP 243) and 5 (ZIP 225), so that what follows can be read. Nothing in them is
verified: they move no transparent coin. The id of a version 5 is `zcash_id`'s. Spec:
`spec/transaction.md`.
"""

from protocol.chain.encoding import Reader

JOINSPLIT_PHGR, JOINSPLIT_GROTH = 1_802, 1_698
"""Bytes of a joinsplit, by its kind of proof."""
OVERWINTER_EMPTY, SAPLING_EMPTY, BUNDLES_EMPTY = 4 + 1, 4 + 8 + 1 + 1 + 1, 4 + 4 + 1 + 1 + 1
"""Bytes of a trailer of version 3, 4 and 5 without shielded parts: heights, balances, counts of zero."""
SPEND, OUTPUT, ACTION = 96, 756, 820
"""Bytes of a version 5's Sapling spend, Sapling output and Orchard action, without proofs and signatures."""

_JOINSPLIT_KEY, _SIGNATURE = 32, 64
_SAPLING_SPEND, _SAPLING_OUTPUT = 384, 948
_HEIGHT, _BALANCE, _ANCHOR, _PROOF, _FLAGS = 4, 8, 32, 192, 1


def skip_joinsplits(reader: Reader, size: int) -> None:
    """Walk over a list of joinsplits of `size` bytes each; raises `InvalidChainData`."""
    if count := reader.count(size):
        reader.take(count * size + _JOINSPLIT_KEY + _SIGNATURE)


def skip_overwintered(reader: Reader, version: int) -> None:
    """Walk over what follows the lock time in versions 3 and 4; raises `InvalidChainData`."""
    reader.take(_HEIGHT)
    if version < 4:
        skip_joinsplits(reader, JOINSPLIT_PHGR)
        return
    reader.take(_BALANCE)
    spends = reader.count(_SAPLING_SPEND)
    reader.take(spends * _SAPLING_SPEND)
    outputs = reader.count(_SAPLING_OUTPUT)
    reader.take(outputs * _SAPLING_OUTPUT)
    skip_joinsplits(reader, JOINSPLIT_GROTH)
    if spends or outputs:
        reader.take(_SIGNATURE)


def skip_bundles(reader: Reader) -> None:
    """Walk over what follows the outputs in version 5; raises `InvalidChainData`."""
    spends = reader.count(SPEND)
    reader.take(spends * SPEND)
    outputs = reader.count(OUTPUT)
    reader.take(outputs * OUTPUT)
    if spends or outputs:
        reader.take(_BALANCE + (_ANCHOR if spends else 0))
        reader.take(spends * (_PROOF + _SIGNATURE) + outputs * _PROOF + _SIGNATURE)
    if actions := reader.count(ACTION):
        reader.take(actions * ACTION + _FLAGS + _BALANCE + _ANCHOR)
        reader.var_bytes()
        reader.take(actions * _SIGNATURE + _SIGNATURE)
