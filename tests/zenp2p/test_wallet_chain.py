"""A wallet beside a node: what of its lists is mined, and a chain that tells another history."""

import pytest

from protocol.chain.address import encode_address
from protocol.chain.encoding import display_hash
from protocol.errors import InvalidPayment, RequestError
from protocol.payout.light import VerifiedList, prove_address, verify_address
from tests.support.ledger_node import LedgerNode
from tests.support.paid_story import PaidStory
from tests.support.wallet_network import stake
from zenp2p.api.errors import NotFound, NotReady
from zenp2p.wallet_chain import ChainRecord, read_record


@pytest.fixture
def story() -> PaidStory:
    return PaidStory()


def record(story: PaidStory, until: int, node: LedgerNode | None = None) -> ChainRecord:
    lists = story.lists[:until]
    lines = lists[-1].lines
    asked = node or LedgerNode(story.ledger)
    return read_record(story.genesis, asked, [one.header for one in lists], lines, complete=True)


def test_a_list_that_is_not_paid_yet(story: PaidStory) -> None:
    found = record(story, 1)
    assert (found.height, found.chunks, found.mined) == (500, 2, ())
    assert found.payment_of(story.lists[0].lines[0]) is None


def test_what_is_mined_of_a_list(story: PaidStory) -> None:
    first = story.pay(story.chunks(0)[0])
    lines = story.lists[0].lines
    found = record(story, 1)
    (chunk,) = found.mined
    assert (chunk.number, chunk.txid, chunk.height, chunk.depth) == (0, display_hash(first.txid), 501, 1)
    assert found.payment_of(lines[997]) == chunk and found.payment_of(lines[998]) is None
    second = story.pay(story.chunks(0)[1])
    found = record(story, 1)
    assert [(one.number, one.depth) for one in found.mined] == [(0, 2), (1, 1)]
    paid = found.payment_of(lines[998])
    assert paid is not None and paid.txid == display_hash(second.txid)
    assert record(story, 3).chunks == 0 and record(story, 3).mined == ()


def test_one_address_is_enough(story: PaidStory) -> None:
    story.pay_all(0)
    whole: VerifiedList = story.lists[0]
    text = encode_address(stake(7), story.genesis.chain.prefixes)
    shown = verify_address(prove_address(whole, text), story.trusts[0])
    found = read_record(story.genesis, LedgerNode(story.ledger), [shown.header], shown.lines, complete=True)
    line = shown.line_of(text)
    assert line is not None and found.payment_of(line) is not None


def test_whether_the_list_rests_on_our_chain(story: PaidStory) -> None:
    """The ledger's blocks are none that a list of the story names."""
    assert record(story, 1).stranded is True

    class Agreeing(LedgerNode):
        def chain_block_hash(self, height: int) -> object:
            last = story.lists[0].header
            assert height == last.last_height
            return {"height": height, "hash": display_hash(last.last_hash)}

    assert record(story, 1, Agreeing(story.ledger)).stranded is False

    class Below(LedgerNode):
        def chain_block_hash(self, height: int) -> object:
            raise NotFound("no block")

    assert record(story, 1, Below(story.ledger)).stranded is None


def test_a_chain_that_has_paid_another_list(story: PaidStory) -> None:
    story.pay_all(0)
    story.pay(story.foreign_chunk())
    assert len(record(story, 1).mined) == 2
    with pytest.raises(InvalidPayment, match="where chunk 0 of list"):
        record(story, 2)


def test_a_node_of_another_network(story: PaidStory) -> None:
    class Foreign(LedgerNode):
        def node_status(self) -> object:
            return {"network_id": "00" * 32}

    with pytest.raises(RequestError, match="the running node is of network 0000000000000000"):
        record(story, 1, Foreign(story.ledger))


def test_a_chain_that_is_not_where_its_node_is(story: PaidStory) -> None:
    node = LedgerNode(story.ledger, state="confused", problem="what")
    with pytest.raises(NotReady, match="the chain is confused"):
        record(story, 1, node)
