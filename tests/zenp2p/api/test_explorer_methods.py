"""What the explorer's methods answer, over the index of a small chain with payments."""

import pytest

from protocol.chain.address import encode_address
from protocol.chain.encoding import display_hash
from protocol.chain.multisig import sign_p2pkh_input
from protocol.chain.script import address_script, push_data
from protocol.chain.transaction import Transaction, TxInput, TxOutput, with_script_sig
from protocol.crypto import secp256k1_public_key
from tests.support import embedded_chain as made
from tests.support.index_node import IndexNode
from tests.zenp2p.chain.test_index import indexed
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

    @pytest.mark.parametrize("after", ["x", "00:1", "00" * 32, "00" * 32 + ":-1", "00" * 32 + ":4294967296"])
    def test_a_cursor_that_is_none_is_refused(self, after: str) -> None:
        with pytest.raises(InvalidParams, match="after"):
            node_of(made.Branch(made.definition())).call("chain.unspent", {"address": BOB, "after": after})

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
