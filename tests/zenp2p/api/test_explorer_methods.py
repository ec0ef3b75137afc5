"""What the explorer's methods answer, over the index of a small chain with payments."""

import pytest

from protocol.chain.address import encode_address
from protocol.chain.block import block_hash
from protocol.chain.encoding import display_hash
from protocol.chain.multisig import sign_p2pkh_input
from protocol.chain.rules import ChainFamily
from protocol.chain.script import address_script, push_data
from protocol.chain.transaction import Transaction, TxInput, TxOutput, decode_transaction, with_script_sig
from protocol.crypto import secp256k1_public_key
from protocol.units import COIN
from tests.support import embedded_chain as made
from tests.support.index_node import IndexNode
from tests.zenp2p.chain.test_index import busy_branch, indexed
from zenp2p.api import explorer_methods
from zenp2p.api.errors import InvalidParams, NotFound

BOB, CAROL = (encode_address(made.address_of(name), made.RULES.prefixes) for name in ("bob", "carol"))


def node_of(branch: made.Branch) -> IndexNode:
    return IndexNode(indexed(branch), made.RULES)


class TestUnspent:
    """`chain.unspent`."""

    def test_pages_join_to_the_whole(self) -> None:
        node = node_of(made.Branch(made.definition([(made.address_of("bob"), 1)] * 5)))
        whole = node.call("chain.unspent", {"address": BOB})
        assert len(whole) == 5 and len({coin["index"] for coin in whole}) == 5
        pages, after = [], ""
        for _ in range(4):
            page = node.call("chain.unspent", {"address": BOB, "after": after, "limit": 2})
            pages += page
            after = f"{page[-1]['txid']}:{page[-1]['index']}" if page else after
        assert pages == whole

    def test_the_script_is_the_outputs_own(self) -> None:
        """An output to a bare public key is its address's, and is spent by another script."""
        script = push_data(secp256k1_public_key(made.secret_of("bob"))) + b"\xac"
        branch = made.Branch(made.definition())
        coin, guard = made.allocation(branch.chain)
        tx = Transaction(1, (TxInput(coin),), (TxOutput(1_000 * 10**8, script),))
        tx = with_script_sig(tx, 0, sign_p2pkh_input(tx, 0, guard, made.secret_of("alice")))
        branch.grow(1, [tx])
        (found,) = node_of(branch).call("chain.unspent", {"address": BOB})
        assert found["script"] == script.hex() != address_script(made.address_of("bob")).hex()
        assert found["txid"] == display_hash(tx.txid) and found["height"] == 1

    @pytest.mark.parametrize(
        "after",
        [
            "x",
            "00:1",
            "00" * 32,
            "00" * 32 + ":-1",
            "00" * 32 + ":4294967296",
            "00" * 32 + ":" + "9" * 5_000,
            "00 " * 32 + ":1",
        ],
    )
    def test_a_cursor_that_is_none_is_refused(self, after: str) -> None:
        with pytest.raises(InvalidParams, match="after"):
            node_of(made.Branch(made.definition())).call("chain.unspent", {"address": BOB, "after": after})

    def test_outputs_of_one_transaction_are_read_from_it_at_once(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What costs a look into the transaction costs it once, else a page of 1,000 reads it 1,000 times."""
        script = push_data(secp256k1_public_key(made.secret_of("bob"))) + b"\xac"
        branch = made.Branch(made.definition())
        coin, guard = made.allocation(branch.chain)
        outputs = tuple(TxOutput((20 - index) * 10**8, script) for index in range(20))
        tx = Transaction(1, (TxInput(coin),), outputs)
        branch.grow(1, [with_script_sig(tx, 0, sign_p2pkh_input(tx, 0, guard, made.secret_of("alice")))])
        node, decoded = node_of(branch), 0

        def decode(raw: bytes, family: ChainFamily) -> Transaction:
            nonlocal decoded
            decoded += 1
            return decode_transaction(raw, family)

        monkeypatch.setattr(explorer_methods, "decode_transaction", decode)
        found = node.call("chain.unspent", {"address": BOB})
        assert [coin["script"] for coin in found] == [script.hex()] * 20 and decoded == 1

    @pytest.mark.parametrize("limit", [0, -1, 1_001])
    def test_a_page_has_limits(self, limit: int) -> None:
        with pytest.raises(InvalidParams, match="limit"):
            node_of(made.Branch(made.definition())).call("chain.unspent", {"address": BOB, "limit": limit})


def test_numbers_out_of_range_are_refused_and_not_a_bug() -> None:
    node = node_of(made.Branch(made.definition()))
    for index in (-1, 1 << 32):
        with pytest.raises(InvalidParams, match="index"):
            node.call("chain.output", {"txid": "00" * 32, "index": index})
    for height in (-1, 1 << 32):
        with pytest.raises(InvalidParams, match="height"):
            node.call("chain.block_hash", {"height": height})
    with pytest.raises(NotFound):
        node.call("chain.block_hash", {"height": 1})
    with pytest.raises(NotFound):
        node.call("chain.output", {"txid": "00" * 32, "index": 0})


def test_a_hash_is_64_digits_and_nothing_else() -> None:
    branch, _, _ = busy_branch()
    node = node_of(branch)
    (txid, *_) = node.call("chain.block", {"height": 1})["txids"]
    spaced = " ".join(txid[at : at + 2] for at in range(0, 64, 2))
    for text in (spaced, f" {txid}", txid[2:], "é" * 64, txid + "00"):
        with pytest.raises(InvalidParams, match="txid"):
            node.call("chain.transaction", {"txid": text})
    assert node.call("chain.transaction", {"txid": txid.upper()})["txid"] == txid
    assert node.call("chain.output", {"txid": txid.upper(), "index": 0})["txid"] == txid


class TestBlock:
    """`chain.block`."""

    def test_by_height_and_by_hash_it_is_the_same(self) -> None:
        branch, first, _ = busy_branch()
        node = node_of(branch)
        found = node.call("chain.block", {"height": 2})
        assert node.call("chain.block", {"hash": found["hash"]}) == found
        header = branch.blocks[2].header
        assert found == {
            "height": 2,
            "hash": display_hash(block_hash(header)),
            "confirmations": 4,
            "previous": display_hash(block_hash(branch.blocks[1].header)),
            "next": display_hash(block_hash(branch.blocks[3].header)),
            "version": header.version,
            "merkle_root": display_hash(header.merkle_root),
            "time": header.time,
            "bits": "207fffff",
            "nonce": str(header.nonce),
            "size": len(branch.blocks[2].raw),
            "transactions": 2,
            "first_ordinal": 2,
            "first": 0,
            "txids": [display_hash(tx.txid) for tx in branch.blocks[2].transactions],
        }
        assert found["txids"][1] == display_hash(first.txid)

    def test_the_ends_of_the_chain_have_one_neighbour(self) -> None:
        node = node_of(busy_branch()[0])
        assert node.call("chain.block", {"height": 0})["previous"] is None
        last = node.call("chain.block", {"height": 5})
        assert last["next"] is None and last["confirmations"] == 1

    def test_its_transactions_come_in_pages(self) -> None:
        branch, _, _ = busy_branch()
        node = node_of(branch)
        pages = [node.call("chain.block", {"height": 2, "first": at, "limit": 1})["txids"] for at in range(3)]
        assert [*pages[0], *pages[1]] == node.call("chain.block", {"height": 2})["txids"] and not pages[2]

    @pytest.mark.parametrize("params", [{}, {"height": 1, "hash": "00" * 32}, {"hash": "zz"}])
    def test_it_is_named_by_one_of_both(self, params: dict[str, object]) -> None:
        with pytest.raises(InvalidParams):
            node_of(busy_branch()[0]).call("chain.block", params)

    def test_a_block_that_is_gone_is_not_found(self) -> None:
        branch, _, _ = busy_branch()
        index = indexed(branch)
        gone = display_hash(index.disconnect().block_hash)
        for params in ({"hash": gone}, {"height": 5}):
            with pytest.raises(NotFound):
                IndexNode(index, made.RULES).call("chain.block", params)


class TestTransaction:
    """`chain.transaction`."""

    def test_where_it_stands(self) -> None:
        branch, first, _ = busy_branch()
        found = node_of(branch).call("chain.transaction", {"txid": display_hash(first.txid)})
        assert found == {
            "txid": display_hash(first.txid),
            "transaction": first.raw.hex(),
            "height": 2,
            "confirmations": 4,
            "block": display_hash(block_hash(branch.blocks[2].header)),
            "position": 1,
            "ordinal": 3,
        }

    def test_whose_coins_it_spends_and_who_spent_its_own(self) -> None:
        branch, first, second = busy_branch()
        found = node_of(branch).call("chain.transaction", {"txid": display_hash(first.txid), "decode": True})
        coin, _ = made.allocation(branch.chain)
        assert found["inputs"] == [
            {
                "txid": display_hash(coin.txid),
                "index": 0,
                "address": encode_address(made.address_of("alice"), made.RULES.prefixes),
                "amount": 1_000 * COIN,
                "script": first.inputs[0].script_sig.hex(),
                "sequence": 0xFFFF_FFFF,
            }
        ]
        assert found["outputs"][0] == {
            "index": 0,
            "amount": 300 * COIN,
            "address": BOB,
            "template": "pubkeyhash",
            "script": first.outputs[0].script.hex(),
            "spent_by": display_hash(second.txid),
            "spent_input": 0,
        }
        assert found["outputs"][1]["spent_by"] is None and found["outputs"][1]["spent_input"] is None
        assert (found["fee"], found["size"], found["version"], found["lock_time"]) == (
            0,
            len(first.raw),
            1,
            0,
        )

    def test_a_coinbase_spends_nothing(self) -> None:
        branch, _, _ = busy_branch()
        coinbase = branch.blocks[3].transactions[0]
        found = node_of(branch).call(
            "chain.transaction", {"txid": display_hash(coinbase.txid), "decode": True}
        )
        script = coinbase.inputs[0].script_sig.hex()
        assert found["inputs"] == [{"coinbase": script, "sequence": 0xFFFF_FFFF}] and found["fee"] is None

    def test_what_was_made_before_the_index_begins_is_not_made_up(self) -> None:
        branch, _, second = busy_branch()
        node = IndexNode(indexed(branch, first_height=3), made.RULES)
        found = node.call("chain.transaction", {"txid": display_hash(second.txid), "decode": True})
        assert found["inputs"][0]["amount"] is None and found["fee"] is None and found["position"] == 1


class TestAddress:
    """`chain.address` and `chain.history`."""

    def test_what_it_holds_now_and_held(self) -> None:
        node = node_of(busy_branch()[0])
        assert node.call("chain.address", {"address": BOB, "height": 3}) == {
            "address": BOB,
            "height": 5,
            "balance": 200 * COIN,
            "received": 500 * COIN,
            "spent": 300 * COIN,
            "unspent": 1,
            "changes": 2,
            "first_height": 2,
            "last_height": 4,
            "at": {"height": 3, "balance": 300 * COIN},
        }
        with pytest.raises(NotFound):
            node.call("chain.address", {"address": BOB, "height": 6})

    def test_an_address_that_the_chain_does_not_know_holds_nothing(self) -> None:
        nobody = encode_address(made.address_of("nobody"), made.RULES.prefixes)
        node = node_of(busy_branch()[0])
        found = node.call("chain.address", {"address": nobody})
        assert (found["balance"], found["changes"], found["first_height"]) == (0, 0, None)
        assert node.call("chain.history", {"address": nobody})["entries"] == []

    def test_history_in_both_directions(self) -> None:
        branch, first, second = busy_branch()
        node = node_of(branch)
        newest = node.call("chain.history", {"address": BOB})
        assert newest["changes"] == 2 and newest["entries"] == [
            {
                "number": 1,
                "height": 4,
                "txid": display_hash(second.txid),
                "amount": -100 * COIN,
                "balance": 200 * COIN,
            },
            {
                "number": 0,
                "height": 2,
                "txid": display_hash(first.txid),
                "amount": 300 * COIN,
                "balance": 300 * COIN,
            },
        ]
        pages = [
            node.call("chain.history", {"address": BOB, "before": at, "limit": 1})["entries"] for at in (9, 1)
        ]
        assert pages[0] + pages[1] == newest["entries"]
        assert node.call("chain.history", {"address": BOB, "before": 0})["entries"] == []
        oldest = [
            node.call("chain.history", {"address": BOB, "first": at, "limit": 1})["entries"]
            for at in range(3)
        ]
        assert oldest[0] + oldest[1] == newest["entries"][::-1] and oldest[2] == []
        with pytest.raises(InvalidParams, match="not both"):
            node.call("chain.history", {"address": BOB, "first": 0, "before": 1})
