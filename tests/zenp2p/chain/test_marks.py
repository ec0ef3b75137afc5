"""Marks in the chain's index: those of the active chain, by heights, with who signed them."""

from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.chain.block import block_hash
from protocol.chain.mark import LIFE_MAGIC, SUMMONS_MAGIC, Mark
from protocol.chain.view import ChainView
from tests.support import embedded_chain as made
from tests.support.announcing import purses
from zenp2p.chain.index import ChainIndex
from zenp2p.chain.mark_records import MARK_KEY
from zenp2p.store import MemoryStore

SUMMONS, LIFE = SUMMONS_MAGIC + bytes(74), LIFE_MAGIC + bytes(32)
BOB, CAROL = made.address_of("bob"), made.address_of("carol")


def indexed(branch: made.Branch, store: MemoryStore | None = None) -> ChainIndex:
    index = ChainIndex(store or MemoryStore(), made.RULES)
    for block in branch.blocks:
        index.connect(block_hash(block.header), block.raw)
    return index


def test_marks_are_found_by_heights() -> None:
    branch, owners = purses("bob", "carol")
    branch.grow(1, [owners["bob"].carry([SUMMONS], "carol"), owners["carol"].carry([LIFE])])
    branch.grow(2)
    branch.grow(1, [owners["bob"].carry([b"zp2p\x01"]), owners["bob"].carry([LIFE])])
    view: ChainView = indexed(branch)
    first, second, third = view.marks(0, 99)
    assert [(one.height, one.payload, one.signed) for one in (first, second, third)] == [
        (1, SUMMONS, (BOB,)),
        (1, LIFE, (CAROL,)),
        (4, LIFE, (BOB,)),
    ]
    assert [LIFE in view.transaction(one.ordinal) for one in (first, second, third)] == [False, True, True]
    assert view.marks(1, 1) == (first, second) and view.marks(2, 3) == () and view.marks(2, 4) == (third,)
    assert view.marks(5, 9) == () and view.marks(4, 3) == ()


def test_nothing_is_indexed_yet() -> None:
    assert ChainIndex(MemoryStore(), made.RULES).marks(0, 9) == ()


@settings(max_examples=30)
@given(st.lists(st.lists(st.booleans(), max_size=2), min_size=1, max_size=4), st.integers(1, 4))
def test_what_leaves_the_chain_leaves_no_mark(blocks: list[list[bool]], back: int) -> None:
    branch, owners = purses("bob", coins=12)
    told: list[list[Mark]] = []
    store = MemoryStore()
    index = ChainIndex(store, made.RULES)
    for block in branch.blocks:
        index.connect(block_hash(block.header), block.raw)
    for marks in blocks:
        branch.grow(1, [owners["bob"].carry([SUMMONS if one else LIFE]) for one in marks])
        index.connect(block_hash(branch.blocks[-1].header), branch.blocks[-1].raw)
        told.append(list(index.marks(0, 99)))
    for known in reversed([[], *told[:-1]][-back:]):
        index.disconnect()
        assert list(index.marks(0, 99)) == known
        assert len(list(store.iterate(MARK_KEY))) == len(known)
