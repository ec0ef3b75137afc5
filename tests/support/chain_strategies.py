"""Hypothesis strategies for chain data."""

from hypothesis import strategies as st

from protocol.chain.rules import ChainFamily
from protocol.chain.transaction import OutPoint, Transaction, TxInput, TxOutput

UINT32 = st.integers(0, 0xFFFF_FFFF)
HASHES = st.binary(min_size=32, max_size=32)
ADDRESSES = st.builds(
    lambda kind, digest: bytes([kind]) + digest, st.integers(0, 1), st.binary(min_size=20, max_size=20)
)
SECRETS = st.integers(1, 2**250).map(lambda number: number.to_bytes(32, "big"))
INPUTS = st.builds(TxInput, st.builds(OutPoint, HASHES, UINT32), st.binary(max_size=120), UINT32)
OUTPUTS = st.builds(TxOutput, st.integers(0, (1 << 63) - 1), st.binary(max_size=120))


@st.composite
def transactions(draw: st.DrawFn, family: ChainFamily = ChainFamily.BITCOIN) -> Transaction:
    """A transaction of the family, with joinsplits and shielded parts of random bytes where it has them."""
    version, group = draw(st.sampled_from(_VERSIONS[family]))
    inputs = tuple(draw(st.lists(INPUTS, min_size=1, max_size=5)))
    outputs = tuple(draw(st.lists(OUTPUTS, max_size=5)))
    trailer = draw(_trailers(family, version, group))
    witness = draw(witnesses(len(inputs))) if family is ChainFamily.BITCOIN else ()
    return Transaction(version, inputs, outputs, draw(UINT32), group, trailer, witness)


@st.composite
def witnesses(draw: st.DrawFn, inputs: int) -> tuple[tuple[bytes, ...], ...]:
    """None, or a stack for each input with at least one item."""
    stacks = st.lists(st.binary(max_size=80), max_size=3).map(tuple)
    drawn = tuple(draw(st.lists(stacks, min_size=inputs, max_size=inputs)))
    return drawn if any(drawn) and draw(st.booleans()) else ()


_VERSIONS: dict[ChainFamily, list[tuple[int, int | None]]] = {
    ChainFamily.BITCOIN: [(1, None), (2, None), (-1, None)],
    ChainFamily.ZCASH: [(1, None), (2, None), (3, 0x03C48270), (4, 0x892F2085)],
    ChainFamily.ZEN: [(1, None), (2, None), (-3, None)],
}


@st.composite
def _trailers(draw: st.DrawFn, family: ChainFamily, version: int, group: int | None) -> bytes:
    """What follows the lock time: lengths as the layouts have them, contents of one repeated byte."""
    if family is ChainFamily.BITCOIN or version == 1:
        return b""
    fill = bytes([draw(st.integers(0, 255))])
    joinsplits = draw(st.integers(0, 2))
    size = 1_698 if version in (-3, 4) else 1_802
    sprout = bytes([joinsplits]) + (fill * (joinsplits * size + 32 + 64) if joinsplits else b"")
    if group is None:
        return sprout
    if version == 3:
        return fill * 4 + sprout
    spends, outputs = draw(st.integers(0, 2)), draw(st.integers(0, 2))
    sapling = bytes([spends]) + fill * (spends * 384) + bytes([outputs]) + fill * (outputs * 948)
    return fill * 12 + sapling + sprout + (fill * 64 if spends + outputs else b"")
