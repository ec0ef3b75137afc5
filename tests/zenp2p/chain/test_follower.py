"""The follower: from any chain to the events of the index, one block at a time."""

import pytest

from protocol.chain.transaction import OutPoint
from protocol.errors import InvalidChainData
from protocol.units import COIN, Hash32
from tests.support import embedded_chain as made
from zenp2p.chain.embedded.chain import EmbeddedChain
from zenp2p.chain.follower import Follower
from zenp2p.chain.index import ChainIndex
from zenp2p.chain.source import Connected, Disconnected
from zenp2p.ports import Store
from zenp2p.store import MemoryStore

ALL = 1_000


def followed(chain: EmbeddedChain, store: Store | None = None) -> tuple[Follower, ChainIndex]:
    """Return a follower of the chain and its index, by default in a new store."""
    index = ChainIndex(store or MemoryStore(), chain.definition.rules)
    return Follower(chain, index), index


def test_follows_blocks_one_by_one() -> None:
    """The first block comes first, then each in turn, and the index is where the chain is."""
    definition = made.definition()
    branch = made.Branch(definition)
    branch.grow(3)
    chain = made.opened(definition)
    made.feed(chain, branch.blocks)
    follower, index = followed(chain)
    events = list(follower.follow(ALL))
    assert [type(event) for event in events] == [Connected] * 4
    assert [event.number for event in events] == [0, 1, 2, 3]
    assert [event.height for event in events] == [0, 1, 2, 3]
    assert index.tip() == chain.tip()
    assert follower.advance() is None


def test_a_reorganisation_goes_back_to_the_fork_first() -> None:
    """Blocks leave in reverse order, the last one first, before the other branch comes."""
    definition = made.definition()
    branch = made.Branch(definition)
    branch.grow(4)
    other = branch.fork(2)
    other.grow(3, salt=1)
    chain = made.opened(definition)
    follower, index = followed(chain)
    made.feed(chain, branch.blocks)
    before = list(follower.follow(ALL))
    made.feed(chain, other.blocks)
    events = list(follower.follow(ALL))
    assert [type(event) for event in events] == [Disconnected] * 2 + [Connected] * 3
    assert [event.height for event in events] == [4, 3, 3, 4, 5]
    assert events[0].block_hash == before[4].block_hash
    assert index.events_from(0) == tuple(before + events)


def test_goes_on_where_it_stopped() -> None:
    """A follower over an index that was left in the middle continues with the next block."""
    definition = made.definition()
    branch = made.Branch(definition)
    branch.grow(5)
    chain = made.opened(definition)
    made.feed(chain, branch.blocks)
    store = MemoryStore()
    follower, _ = followed(chain, store)
    assert len(list(follower.follow(3))) == 3
    again, index = followed(chain, store)
    assert [event.height for event in again.follow(ALL)] == [3, 4, 5]
    assert index.tip() == chain.tip()


def test_a_source_that_changes_between_two_questions_is_asked_again() -> None:
    """A block is connected only where it stands on the head, whatever the source said a moment ago."""
    definition = made.definition()
    branch = made.Branch(definition)
    branch.grow(2)
    other = branch.fork(0)
    other.grow(3, salt=1)
    chain = made.opened(definition)
    made.feed(chain, branch.blocks)
    index = ChainIndex(MemoryStore(), definition.rules)
    source = Fickle(chain)
    follower = Follower(source, index)
    list(follower.follow(2))
    made.feed(chain, other.blocks)
    source.stale = 1  # it still names the old block at height 1, and already the new one at height 2
    assert follower.advance() is None
    source.stale = None
    assert [type(event) for event in follower.follow(ALL)] == [Disconnected] + [Connected] * 3


class Fickle:
    """A chain that answers one height as it was before."""

    def __init__(self, chain: EmbeddedChain) -> None:
        self._chain = chain
        self._before: dict[int, Hash32 | None] = {1: chain.block_hash(1)}
        self.stale: int | None = None
        self.first_height = chain.first_height
        self.tip = chain.tip
        self.parent = chain.parent
        self.block = chain.block

    def block_hash(self, height: int) -> Hash32 | None:
        """Return the hash at a height, perhaps an old one."""
        return self._before[height] if height == self.stale else self._chain.block_hash(height)


def test_stops_at_a_height() -> None:
    """With `until`, nothing above it is connected."""
    definition = made.definition()
    branch = made.Branch(definition)
    branch.grow(5)
    chain = made.opened(definition)
    made.feed(chain, branch.blocks)
    follower, index = followed(chain)
    list(follower.follow(ALL, until=2))
    assert index.tip()[0] == 2


def test_another_chain_is_noticed() -> None:
    """An index whose first block is not the source's is not taken apart."""
    one, other = made.definition(), made.definition([(made.address_of("bob"), COIN)])
    store = MemoryStore()
    list(followed(made.opened(one), store)[0].follow(ALL))
    with pytest.raises(InvalidChainData, match="first block"):
        followed(made.opened(other), store)[0].advance()


def test_payments_move_balances_and_come_back_in_a_reorganisation() -> None:
    """Balances at every height are those of the blocks up to it, on whichever branch."""
    definition = made.definition()
    alice, bob = made.address_of("alice"), made.address_of("bob")
    payment = made.pay("alice", [made.allocation(definition)], [(bob, 10 * COIN), (alice, 990 * COIN)])
    branch = made.Branch(definition)
    branch.grow(2)
    other = branch.fork(1)
    branch.grow(1, [payment])
    other.grow(3, salt=1)
    chain = made.opened(definition)
    follower, index = followed(chain)
    made.feed(chain, branch.blocks)
    list(follower.follow(ALL))
    assert [index.balance(bob, height) for height in range(4)] == [0, 0, 0, 10 * COIN]
    assert index.output(OutPoint(payment.txid, 0)) is not None
    made.feed(chain, other.blocks)
    list(follower.follow(ALL))
    assert [index.balance(bob, height) for height in range(5)] == [0] * 5
    assert [index.balance(alice, height) for height in range(5)] == [1_000 * COIN] * 5
    assert index.output(OutPoint(payment.txid, 0)) is None
    assert index.transaction_by_id(payment.txid) is None
