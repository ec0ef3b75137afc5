"""An index of another format is not read: an older one is built anew, a newer one refused."""

import pytest

from protocol.chain.block import block_hash
from tests.support import embedded_chain as made
from tests.support.chain_model import check_index
from tests.support.faulty_store import every_fault
from tests.zenp2p.chain.embedded.test_service import genesis_file
from tests.zenp2p.chain.test_index import busy_branch, indexed
from zenp2p.chain import index_format
from zenp2p.chain.embedded.service import EmbeddedService
from zenp2p.chain.index import ChainIndex
from zenp2p.chain.index_records import FORMAT, FORMAT_KEY
from zenp2p.ports import Store, StoreError
from zenp2p.store import MemoryStore


def old_store(number: int | None) -> MemoryStore:
    """Return the store of an index, as if a program with that format had made it."""
    store = MemoryStore()
    indexed(busy_branch()[0], store)
    store.write([(FORMAT_KEY, None if number is None else number.to_bytes(4, "big"))], sync=False)
    return store


@pytest.mark.parametrize("number", [None, FORMAT - 1])
def test_an_older_one_is_removed_and_built_anew(number: int | None) -> None:
    store = old_store(number)
    store.write([(b"j", b"another's"), (b"h", b"another's")], sync=False)
    index = ChainIndex(store, made.RULES)
    assert index.head is None and dict(store.iterate(b"")) == {b"j": b"another's", b"h": b"another's"}
    branch, _, _ = busy_branch()
    for block in branch.blocks:
        index.connect(block_hash(block.header), block.raw)
    check_index(ChainIndex(store, made.RULES), branch.blocks)


def test_a_newer_one_is_refused() -> None:
    store = old_store(FORMAT + 1)
    with pytest.raises(StoreError, match=f"format {FORMAT + 1}, this program reads {FORMAT}"):
        ChainIndex(store, made.RULES)
    assert store.get(b"iH") is not None


def test_removing_may_be_cut_off_at_any_write(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left of an older index is never taken for an index."""
    monkeypatch.setattr(index_format, "REMOVED_AT_ONCE", 3)
    old = dict(old_store(None).iterate(b""))

    def scenario(store: Store) -> None:
        store.write(list(old.items()), sync=True)
        ChainIndex(store, made.RULES)

    cut = 0
    for at, fault, store in every_fault(scenario):
        survivor = store.survivor()
        index = ChainIndex(survivor, made.RULES)
        assert index.head is None and not dict(survivor.iterate(b"")), (at, fault)
        cut += 1
    assert cut > 10


def test_the_embedded_chain_catches_up_before_anybody_hears_of_it() -> None:
    """The node machine goes on where it was: for it the chain did not begin anew."""
    genesis, store = genesis_file(), MemoryStore()
    service = EmbeddedService(genesis, store)
    branch = made.Branch(service.definition)
    branch.grow(5)
    made.feed(service.chain, branch.blocks)
    index = EmbeddedService(genesis, store).index
    for block in branch.blocks[1:]:
        index.connect(block_hash(block.header), block.raw)
    store.write([(FORMAT_KEY, None)], sync=False)
    again = EmbeddedService(genesis, store)
    assert again.index.tip() == again.chain.tip() and again.index.tip()[0] == 5
    check_index(again.index, branch.blocks)
