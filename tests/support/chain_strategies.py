"""Hypothesis strategies for chain data."""

from hypothesis import strategies as st

from protocol.chain.encoding import var_bytes
from protocol.chain.rules import ChainFamily
from protocol.chain.sidechain import UNRIPE
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
    if family is ChainFamily.ZEN and version == -5:
        return draw(certificates(inputs, outputs))
    trailer = draw(_trailers(family, version, group))
    witness = draw(witnesses(len(inputs))) if family is ChainFamily.BITCOIN else ()
    sidechain = draw(sidechain_parts()) if version == -4 else b""
    return Transaction(version, inputs, outputs, draw(UINT32), group, trailer, witness, sidechain)


BYTE_STRINGS = st.binary(max_size=40).map(var_bytes)


@st.composite
def sidechain_parts(draw: st.DrawFn) -> bytes:
    """Withdrawals, creations, forward transfers and requests, none to two of each."""
    kinds = (_withdrawals(), _creations(), st.just(bytes(92)), _requests())
    drawn = [draw(st.lists(kind, max_size=2)) for kind in kinds]
    return b"".join(bytes([len(items)]) + b"".join(items) for items in drawn)


@st.composite
def _withdrawals(draw: st.DrawFn) -> bytes:
    nullifier, *others = [draw(BYTE_STRINGS) for _ in range(5)]
    return bytes(40) + nullifier + bytes(20) + b"".join(others)


@st.composite
def _creations(draw: st.DrawFn) -> bytes:
    optional = st.one_of(st.just(b"\x00"), BYTE_STRINGS.map(b"\x01".__add__))
    strings = draw(BYTE_STRINGS) + draw(optional) + draw(BYTE_STRINGS) + draw(optional)
    vectors = draw(st.integers(0, 2))
    return bytes(44) + strings + draw(BYTE_STRINGS) + bytes([vectors]) + bytes(8 * vectors) + bytes(17)


@st.composite
def _requests(draw: st.DrawFn) -> bytes:
    return bytes(32) + draw(_lists_of_strings()) + bytes(28)


@st.composite
def _lists_of_strings(draw: st.DrawFn) -> bytes:
    strings = draw(st.lists(BYTE_STRINGS, max_size=3))
    return bytes([len(strings)]) + b"".join(strings)


@st.composite
def certificates(draw: st.DrawFn, inputs: tuple[TxInput, ...], outputs: tuple[TxOutput, ...]) -> Transaction:
    """A Zen certificate with these inputs and ordinary outputs, and some backward transfers."""
    head = draw(HASHES) + bytes(12) + draw(BYTE_STRINGS) + draw(BYTE_STRINGS)
    head += draw(_lists_of_strings()) + draw(_lists_of_strings()) + bytes(16)
    hashes = st.binary(min_size=20, max_size=20)
    backward = draw(
        st.lists(st.builds(TxOutput, st.integers(0, (1 << 63) - 1), hashes.map(UNRIPE.__add__)), max_size=3)
    )
    return Transaction(-5, inputs, (*outputs, *backward), sidechain=head, backward=len(backward))


@st.composite
def witnesses(draw: st.DrawFn, inputs: int) -> tuple[tuple[bytes, ...], ...]:
    """None, or a stack for each input with at least one item."""
    stacks = st.lists(st.binary(max_size=80), max_size=3).map(tuple)
    drawn = tuple(draw(st.lists(stacks, min_size=inputs, max_size=inputs)))
    return drawn if any(drawn) and draw(st.booleans()) else ()


_VERSIONS: dict[ChainFamily, list[tuple[int, int | None]]] = {
    ChainFamily.BITCOIN: [(1, None), (2, None), (-1, None)],
    ChainFamily.ZCASH: [(1, None), (2, None), (3, 0x03C48270), (4, 0x892F2085), (5, 0x26A7270A)],
    ChainFamily.ZEN: [(1, None), (2, None), (-3, None), (-4, None), (-5, None)],
}


@st.composite
def _trailers(draw: st.DrawFn, family: ChainFamily, version: int, group: int | None) -> bytes:
    """What follows the lock time: lengths as the layouts have them, contents of one repeated byte."""
    if family is ChainFamily.BITCOIN or version in (1, -4):
        return b""
    fill = bytes([draw(st.integers(0, 255))])
    if version == 5:
        return fill * 8 + draw(_bundles(fill))
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


@st.composite
def _bundles(draw: st.DrawFn, fill: bytes) -> bytes:
    """The shielded parts of Zcash's version 5."""
    spends, outputs, actions = (draw(st.integers(0, 2)) for _ in range(3))
    sapling = bytes([spends]) + fill * (96 * spends) + bytes([outputs]) + fill * (756 * outputs)
    if spends or outputs:
        sapling += fill * (8 + (32 if spends else 0) + 256 * spends + 192 * outputs + 64)
    orchard = bytes([actions]) + fill * (820 * actions)
    if actions:
        orchard += fill * 41 + draw(BYTE_STRINGS) + fill * (64 * actions + 64)
    return sapling + orchard
