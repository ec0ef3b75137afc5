"""What the treasurer sees on a real node: balance, deposits, shortfall; an under-funded list waits whole."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from protocol.errors import InvalidPayment, RequestError
from protocol.payout.payment import CHANGE_MIN, ENTRIES_MAX, build_payment, split_chunks
from protocol.payout.payment_file import encode_payment_file, new_payment_file
from protocol.units import COIN
from tests.support.litecoind import LitecoinNode, address_of, key_of, litecoin_node
from tests.support.litecoind_treasury import LitecoindTreasury
from zenp2p.api.errors import BadData
from zenp2p.chain.rpc.errors import NodeRefusal
from zenp2p.treasury_status import DUST, ListStatus, TreasuryStatus, read_status

BURIED = 101
"""Blocks after which a coin is as old as a coinbase must be."""


@pytest.fixture(scope="module")
def node() -> Iterator[LitecoinNode]:
    with litecoin_node(extra=("acceptnonstdtxn=0",)) as node:
        yield node


def status_of(treasury: LitecoindTreasury) -> TreasuryStatus:
    return read_status(treasury.genesis, treasury.desk, treasury.verified)


def list_of(treasury: LitecoindTreasury) -> ListStatus:
    found = status_of(treasury).list
    assert found is not None
    return found


def test_the_balance_is_the_nodes_own_count(node: LitecoinNode) -> None:
    """Far more outputs than one answer holds, some not buried, before and after a reorganisation."""
    with closing(LitecoindTreasury(node, "balance", 60 * COIN)) as treasury:
        treasury.deposit(*range(6_000, 7_300))
        node.mine(BURIED)
        buried = status_of(treasury).balance
        treasury.deposit(7 * COIN)
        node.mine()
        young = status_of(treasury).balance
        assert (buried.outputs, buried.waiting) == (1_301, 0)
        assert (young.spendable, young.waiting) == (buried.spendable, 7 * COIN)
        assert young.spendable + young.waiting == treasury.held([treasury.address])[treasury.address]
        node.replace(1)
        assert status_of(treasury).balance == buried
        assert buried.spendable == treasury.held([treasury.address])[treasury.address]


def test_an_under_funded_list_waits_whole_until_a_deposit_is_buried(node: LitecoinNode) -> None:
    """The treasurer's way: the shortfall is read, paid in, recognised; when it is buried the list is paid."""
    with closing(LitecoindTreasury(node, "short", 40 * COIN, ENTRIES_MAX + 200)) as treasury:
        short = list_of(treasury).need.shortfall
        assert 0 < treasury.verified.header.paid_total - 40 * COIN < short
        chunk = split_chunks(treasury.verified)[0]
        assert chunk.total < 40 * COIN, "the first chunk alone could be paid"
        with pytest.raises(RequestError, match="short of .* waits whole"):
            treasury.paymaster().build(treasury.verified)

        (paid_in,) = treasury.deposit(short)
        assert status_of(treasury).deposits[0]["amount"] == 40 * COIN, "what waits is not counted"
        node.mine()
        seen = status_of(treasury)
        assert seen.list is not None and seen.deposits[0] == {
            "txid": paid_in.txid[::-1].hex(),
            "index": paid_in.index,
            "amount": short,
            "height": node.client.height(),
            "confirmations": 1,
            "buried": False,
            "spent_by": None,
        }
        assert (seen.list.payable, seen.list.covered_when_buried) == (False, True)
        with pytest.raises(RequestError, match="waits whole"):
            treasury.paymaster().build(treasury.verified)

        node.mine(BURIED - 1)
        assert list_of(treasury).payable and status_of(treasury).deposits[0]["buried"]
        for _ in range(2):
            treasury.send(treasury.signed())
            node.mine()
        treasury.check_paid()
        assert [chunk.state for chunk in list_of(treasury).chunks] == ["mined", "mined"]
        spender = list_of(treasury).chunks[0].txid
        assert status_of(treasury).deposits[0]["spent_by"] == spender


def test_nobody_signs_a_first_chunk_that_leaves_the_others_unpaid(node: LitecoinNode) -> None:
    """Built by a tool of another's own: valid for the chain, and each paymaster's own node tells."""
    with closing(LitecoindTreasury(node, "half", 40 * COIN, ENTRIES_MAX + 200)) as treasury:
        status = status_of(treasury)
        chunk = split_chunks(treasury.verified)[0]
        payment = build_payment(chunk, treasury.genesis, status.baton, (), tip_height=status.height)
        file = encode_payment_file(new_payment_file(payment, treasury.genesis))
        for number in (0, 1):
            with pytest.raises(InvalidPayment, match="would leave its list half paid: for the other 1"):
                treasury.paymaster(treasury.view()).sign(file, treasury.verified, treasury.secrets[number])


def test_a_list_that_was_taken_off_is_next_again(node: LitecoinNode) -> None:
    """A reorganisation takes both chunks off: what is next is payable, and the same files are sent again."""
    with closing(LitecoindTreasury(node, "taken back", 60 * COIN, ENTRIES_MAX + 200)) as treasury:
        files = []
        for _ in range(2):
            files.append(treasury.signed())
            treasury.send(files[-1])
            node.mine()
        node.replace(2)
        assert [chunk.state for chunk in list_of(treasury).chunks] == ["next", "waiting"]
        assert list_of(treasury).payable
        node.mine()
        assert [treasury.send(file).state for file in files] == ["mined", "mined"]
        treasury.check_paid()


def test_a_baton_of_the_exact_sum_pays_to_the_last_zatoshi(node: LitecoinNode) -> None:
    with closing(LitecoindTreasury(node, "rich", 60 * COIN)) as rich:
        need = list_of(rich).need
    with closing(LitecoindTreasury(node, "exact", need.total)) as treasury:
        assert list_of(treasury).need == need
        treasury.send(treasury.signed())
        node.mine()
        assert treasury.held([treasury.address]) == {treasury.address: CHANGE_MIN}
        treasury.check_paid()
    with closing(LitecoindTreasury(node, "one less", need.total - 1)) as poor:
        assert not list_of(poor).payable
        with pytest.raises(RequestError, match="waits whole"):
            poor.paymaster().build(poor.verified)


def test_entries_below_dust_are_not_relayed_and_can_be_mined(node: LitecoinNode) -> None:
    """The subsidy of the network's rules is so small here that an entry gets 4,200 zatoshi."""
    with closing(LitecoindTreasury(node, "dust", COIN, subsidy=20_000)) as treasury:
        assert {entry.amount for entry in treasury.verified.entries} == {4_200} and DUST > 4_200
        assert list_of(treasury).below_dust == 4
        file = treasury.signed()
        with pytest.raises(BadData, match="holds so little that the node does not relay it; .*: dust"):
            treasury.send(file)
        node.client.call("generateblock", address_of("a miner of our own"), [treasury.raw(file).hex()])
        assert treasury.send(file).state == "mined" and list_of(treasury).below_dust == 0
        treasury.check_paid()


def test_the_number_for_dust_is_the_nodes(node: LitecoinNode) -> None:
    """Entries of exactly that much are relayed, a zatoshi less is not."""
    with closing(LitecoindTreasury(node, "no dust", COIN, subsidy=26_000)) as treasury:
        assert {entry.amount for entry in treasury.verified.entries} == {DUST}
        assert treasury.send(treasury.signed()).state == "sent"
    with pytest.raises(NodeRefusal, match="dust"):
        node.fund(key_of("somebody").address, DUST - 1)
