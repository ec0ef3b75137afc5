"""The announcements of the active chain: as its blocks alone say, whatever the index went through."""

from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.chain.block import Block, block_hash
from protocol.chain.script import script_address
from protocol.chain.transaction import OutPoint
from protocol.codec import replace as replace_fields
from protocol.parameters import DEVNET
from protocol.tracking.announced import Claim, Sighting, claims_of, counting_claims
from protocol.tracking.announcement import (
    Ties,
    encode_announcement,
    recognise_announcement,
)
from protocol.units import Height
from tests.support import embedded_chain as made
from tests.support.announcing import Purse, announce, purses
from tests.support.chain_model import index_in
from tests.support.operators import operator
from zenp2p.chain.announcement_records import OPERATOR_KEY, SIGHTING_KEY, STAKE_KEY
from zenp2p.chain.announcements import LOOKED_AT_MAX
from zenp2p.chain.index import ChainIndex
from zenp2p.store import MemoryStore

BOB, CAROL, DAVE = (made.address_of(name) for name in ("bob", "carol", "dave"))
OWNERS = ("bob", "carol", "dave")


def indexed(blocks: Sequence[Block], store: MemoryStore | None = None) -> ChainIndex:
    index = ChainIndex(store or MemoryStore(), made.RULES)
    for block in blocks:
        index.connect(block_hash(block.header), block.raw)
    return index


def told(index: ChainIndex) -> list[tuple[int, int]]:
    """(height, port) of every announcement."""
    return [(one.height, one.announcement.port) for one in index.announcements.page()]


class TestLookups:
    """Pages, by stake, by operator, and what counts."""

    def test_a_signed_announcement_is_found_in_every_way(self) -> None:
        branch, owners = purses("bob")
        branch.grow(1)
        tx = owners["bob"].announce(announce(1), "carol")
        branch.grow(1, [tx])
        index = indexed(branch.blocks)
        (found,) = index.announcements.page()
        assert (found.announcement, found.height) == (announce(1), 2)
        assert index.transaction(found.ordinal) == tx.raw
        assert (found.ties.signed, found.ties.paid) == ((BOB,), (CAROL,))
        assert index.announcements.of_operator(operator(1).key) == (found,)
        assert index.announcements.of_operator(operator(2).key) == ()
        assert index.announcements.of_stake(BOB) == (Claim(BOB, True, found),)
        assert index.announcements.counting(CAROL, DEVNET) == Claim(CAROL, False, found)
        assert index.announcements.counting(DAVE, DEVNET) is None
        assert index.announcements.stakes() == tuple(sorted((BOB, CAROL)))

    def test_pages_go_on_where_the_last_one_ended(self) -> None:
        branch, owners = purses("bob")
        branch.grow(1, [owners["bob"].announce(announce(1, port=port)) for port in (1, 2, 3)])
        branch.grow(1, [owners["bob"].announce(announce(1, port=port)) for port in (4, 5)])
        index = indexed(branch.blocks)
        assert told(index) == [(1, 1), (1, 2), (1, 3), (2, 4), (2, 5)]
        first = index.announcements.page(0, 2)
        rest = index.announcements.page(first[-1].ordinal + 1)
        assert [one.announcement.port for one in (*first, *rest)] == [1, 2, 3, 4, 5]
        of = index.announcements.of_operator(operator(1).key, first[-1].ordinal + 1, 2)
        assert [one.announcement.port for one in of] == [3, 4]
        assert index.announcements.page(rest[-1].ordinal + 1) == ()

    def test_stakes_come_once_each_and_in_pages(self) -> None:
        branch, owners = purses(*OWNERS)
        branch.grow(1, [owners[name].announce(announce(1)) for name in OWNERS for _ in range(3)])
        index = indexed(branch.blocks)
        whole = index.announcements.stakes()
        assert whole == tuple(sorted((BOB, CAROL, DAVE)))
        assert index.announcements.stakes(whole[0], 1) == whole[1:2]
        assert index.announcements.stakes(whole[-1]) == ()

    def test_the_last_signed_one_counts_whatever_is_paid_later(self) -> None:
        branch, owners = purses("bob", "dave")
        branch.grow(
            1, [owners["bob"].announce(announce(1, port=1)), owners["bob"].announce(announce(1, port=2))]
        )
        branch.grow(1, [owners["dave"].announce(announce(2, port=3), "bob")])
        counting = indexed(branch.blocks).announcements.counting(BOB, DEVNET)
        assert counting is not None and counting.sighting.announcement.port == 2

    def test_unusable_ones_hide_nothing_until_there_are_many(self) -> None:
        public = replace_fields(DEVNET, loopback_allowed=False)
        branch, owners = purses("bob", "dave", coins=LOOKED_AT_MAX + 2)
        good = announce(1, ip=b"\x08\x08\x08\x08")
        branch.grow(1, [owners["dave"].announce(good, "bob"), owners["bob"].announce(good)])
        branch.grow(1, [owners["bob"].announce(announce(1)) for _ in range(LOOKED_AT_MAX - 1)])
        counting = indexed(branch.blocks).announcements.counting(BOB, public)
        assert counting is not None and counting.signed
        branch.grow(1, [owners["bob"].announce(announce(1))])
        counting = indexed(branch.blocks).announcements.counting(BOB, public)
        assert counting is not None and not counting.signed  # each kind has a budget of its own


class TestNothing:
    """What does nothing, and leaves no record."""

    def no_record(self, branch: made.Branch) -> None:
        store = MemoryStore()
        indexed(branch.blocks, store)
        for prefix in (SIGHTING_KEY, STAKE_KEY, OPERATOR_KEY):
            assert not list(store.iterate(prefix))

    def test_malformed_oversized_and_double_payloads(self) -> None:
        good = encode_announcement(announce(1))
        branch, owners = purses("bob")
        purse = owners["bob"]
        payloads = ([good[:-1]], [good + b"\x00"], [good[:39] + b"a" * 41], [good, good], [good, b"more"])
        branch.grow(1, [purse.carry(payload) for payload in payloads])
        self.no_record(branch)

    def test_what_is_tied_to_no_stake(self) -> None:
        """A treasury spends and is paid: no stake lies on a P2SH address."""
        branch = made.Branch(made.definition())
        branch.grow(1)
        self.no_record(branch)


Draw = tuple[str, int, int, list[str]]
"""Who signs, which operator is announced at which port, and who is paid."""
DRAWS = st.tuples(
    st.sampled_from(OWNERS),
    st.integers(1, 3),
    st.integers(1, 5),
    st.lists(st.sampled_from(OWNERS), max_size=2),
)
BLOCKS = st.lists(st.lists(DRAWS, max_size=3), max_size=3)


def grow(branch: made.Branch, owners: dict[str, Purse], draws: Sequence[Draw], salt: int) -> None:
    transactions = [
        owners[owner].announce(announce(number, port=port), *pays)
        for owner, number, port, pays in draws
        if owners[owner].coins
    ]
    branch.grow(1, transactions, salt=salt)


def replayed(branch: made.Branch) -> list[Sighting]:
    """Return every announcement, recomputed from the blocks without an index."""
    owner: dict[OutPoint, bytes | None] = {}
    found: list[Sighting] = []
    ordinal = 0
    for height, block in enumerate(branch.blocks):
        for tx in block.transactions:
            announcement = recognise_announcement(tx)
            if announcement is not None:
                signed = {address for item in tx.inputs if (address := owner[item.previous])}
                paid = {address for output in tx.outputs if (address := script_address(output.script))}
                ties = Ties(tuple(sorted(signed)), tuple(sorted(paid - signed)))
                found.append(Sighting(announcement, ordinal, Height(height), ties))
            for index, output in enumerate(tx.outputs):
                owner[OutPoint(tx.txid, index)] = script_address(output.script)
            ordinal += 1
    return found


@settings(max_examples=40, deadline=None)
@given(BLOCKS, BLOCKS, BLOCKS)
def test_a_stale_branch_leaves_no_trace(
    common: list[list[Draw]], stale: list[list[Draw]], active: list[list[Draw]]
) -> None:
    """The records after a reorganisation are those of a node that saw the active blocks alone."""
    branch, owners = purses(*OWNERS, coins=12)
    for draws in common:
        grow(branch, owners, draws, 0)
    fork = len(branch.blocks) - 1
    other = branch.fork(fork)
    coins = {name: list(purse.coins) for name, purse in owners.items()}
    for draws in stale:
        grow(branch, owners, draws, 1)
    for name, purse in owners.items():
        purse.coins = coins[name]  # on the other branch they are not spent yet
    for draws in active:
        grow(other, owners, draws, 2)
    store, fresh = MemoryStore(), MemoryStore()
    index = indexed(branch.blocks, store)
    for _ in range(len(branch.blocks) - 1 - fork):
        index.disconnect()
    for block in other.blocks[fork + 1 :]:
        index.connect(block_hash(block.header), block.raw)
    indexed(other.blocks, fresh)
    assert index_in(store) == index_in(fresh)
    check(index, other)


def check(index: ChainIndex, branch: made.Branch) -> None:
    """The index's lookups say what the rules say of all announcements at once."""
    sightings = replayed(branch)
    assert list(index.announcements.page()) == sightings
    counting = counting_claims(sightings, DEVNET)
    assert index.announcements.stakes() == tuple(counting)
    for stake, claim in counting.items():
        assert index.announcements.counting(stake, DEVNET) == claim
        every = [one for sighting in sightings for one in claims_of(sighting) if one.stake_address == stake]
        ranked = sorted(every, key=lambda one: one.rank, reverse=True)
        assert list(index.announcements.of_stake(stake)) == ranked
