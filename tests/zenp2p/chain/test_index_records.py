"""Records of the index come back as they were written, and their keys sort by number."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from protocol.chain.block import BlockHeader
from protocol.chain.rules import HeaderLayout
from protocol.chain.transaction import OutPoint
from protocol.units import Hash32, Height, Zatoshi
from zenp2p.chain import announcement_records as a
from zenp2p.chain import index_records as r
from zenp2p.chain.source import Connected, Disconnected

HASHES = st.binary(min_size=32, max_size=32).map(Hash32)
ADDRESSES = st.binary(min_size=20, max_size=20).flatmap(
    lambda digest: st.sampled_from((b"\x00", b"\x01")).map(lambda kind: kind + digest)
)
U32, U64 = st.integers(0, 2**32 - 1), st.integers(0, 2**63 - 1)
HEIGHTS, AMOUNTS = U32.map(Height), U64.map(Zatoshi)
SPENDERS = st.none() | st.builds(r.Spender, U64, U32)


@given(st.builds(r.Head, HEIGHTS, HASHES, U64, U64))
def test_head(head: r.Head) -> None:
    assert r.decode_head(r.encode_head(head)) == head


@given(HASHES, U64)
def test_block(block_hash: Hash32, transactions: int) -> None:
    assert r.decode_block_entry(r.encode_block_entry(block_hash, transactions)) == (block_hash, transactions)


@given(st.builds(r.Place, U64, HEIGHTS))
def test_place(place: r.Place) -> None:
    assert r.decode_place(r.encode_place(place)) == place


@given(
    st.builds(
        r.IndexedOutput, AMOUNTS, st.none() | ADDRESSES, HEIGHTS, st.booleans(), st.booleans(), SPENDERS
    )
)
def test_output(output: r.IndexedOutput) -> None:
    assert r.decode_output_entry(r.encode_output_entry(output)) == output


@given(HEIGHTS, st.sampled_from(HeaderLayout), st.integers(0, 2**32 - 1), HASHES)
def test_height_and_header(height: Height, layout: HeaderLayout, number: int, some: Hash32) -> None:
    """The solution is left out; everything else comes back."""
    assert r.decode_height(r.encode_height(height)) == height
    equihash = layout is HeaderLayout.EQUIHASH
    header = BlockHeader(
        layout=layout,
        version=4,
        previous=some,
        merkle_root=some,
        reserved=some if equihash else b"",
        time=number,
        bits=0x207F_FFFF,
        nonce=number,
        solution=b"s" * 36 if equihash else b"",
    )
    found = r.decode_header_entry(r.encode_header_entry(number, header), layout)
    assert found == (number, replace(header, solution=b""))


@given(
    st.builds(r.Account, U32, AMOUNTS, HEIGHTS, st.integers(0, 2**128 - 1).map(Zatoshi), U32),
    st.builds(r.Change, HEIGHTS, U64, AMOUNTS),
)
def test_account_and_change(account: r.Account, change: r.Change) -> None:
    assert r.decode_account(r.encode_account(account)) == account
    assert r.decode_change(r.encode_change(change)) == change


@given(U64, HEIGHTS, HASHES)
def test_event(number: int, height: Height, block_hash: Hash32) -> None:
    for kind in (Connected, Disconnected):
        event = kind(number, height, block_hash)
        assert r.decode_event(number, r.encode_event(event)) == event


@given(ADDRESSES, st.builds(OutPoint, HASHES, U32))
def test_unspent_key(address: bytes, outpoint: OutPoint) -> None:
    key = r.unspent_key(address, outpoint)
    assert key.startswith(r.UNSPENT_KEY + address) and r.read_unspent_key(key) == outpoint


@given(st.lists(U32, min_size=2, max_size=5), ADDRESSES)
def test_keys_sort_by_number(numbers: list[int], address: bytes) -> None:
    ordered = sorted(numbers)
    for key in (r.block_key, r.ordinal_key, r.event_key, lambda number: r.change_key(address, number)):
        assert sorted(key(number) for number in numbers) == [key(number) for number in ordered]


def test_every_table_has_a_letter_of_its_own() -> None:
    keys = [getattr(of, name) for of in (r, a) for name in dir(of) if name.endswith("_KEY")]
    assert len(keys) == 15 == len(set(keys)) and all(key[:1] == r.INDEX_PREFIX for key in keys)
