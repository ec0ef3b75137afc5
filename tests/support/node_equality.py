"""The explorer's answers beside a real node's own: every block, transaction, output and address of its chain.

Block 0 is left out where a node leaves it out: it answers nothing about its coinbase. Outputs that no
input could ever spend are outputs for the explorer, and for a node they are not there.
"""

from collections.abc import Sequence
from typing import Any

from protocol.chain.address import encode_address
from protocol.chain.rules import ChainRules
from protocol.chain.script import script_address
from tests.support.index_node import IndexNode
from zenp2p.chain.index import ANSWERS_MAX, ChainIndex
from zenp2p.chain.rpc.amounts import to_zatoshi
from zenp2p.devnet.litecoin_client import LitecoinClient

OP_RETURN = b"\x6a"


class NodeEquality:
    """Compares one index with one node."""

    def __init__(self, index: ChainIndex, rules: ChainRules, client: LitecoinClient) -> None:
        self._index = index
        self._rules = rules
        self._client = client
        self._ours = IndexNode(index, rules)
        self._theirs: dict[str, dict[str, Any]] = {}
        self.compared = {"blocks": 0, "transactions": 0, "outputs": 0, "addresses": 0}

    def check(self) -> None:
        """Assert that all answers are equal."""
        top = self._client.height()
        assert self._ours.call("chain.tip") == {"height": top, "hash": self._client.block_hash(top)}
        hashes = self._client.batch([("getblockhash", [height]) for height in range(top + 1)])
        blocks = self._client.batch([("getblock", [each, 1]) for each in hashes])
        txids = [txid for block in blocks[1:] for txid in block["tx"]]
        found = self._client.batch([("getrawtransaction", [txid, True]) for txid in txids])
        self._theirs = dict(zip(txids, found, strict=True))
        scripts: dict[bytes, None] = {}
        for block in blocks:
            self._check_block(block)
            for position, txid in enumerate(block["tx"] if block["height"] else ()):
                self._check_transaction(self._theirs[txid], block["height"], position, top)
                outputs = self._theirs[txid]["vout"]
                scripts |= {bytes.fromhex(out["scriptPubKey"]["hex"]): None for out in outputs}
        self._check_addresses([script for script in scripts if not script.startswith(OP_RETURN)])

    def _check_block(self, block: dict[str, Any]) -> None:
        ours = self._ours.call("chain.block", {"hash": block["hash"], "limit": ANSWERS_MAX})
        assert ours == self._ours.call("chain.block", {"height": block["height"], "limit": ANSWERS_MAX})
        assert {
            name: ours[name]
            for name in ("height", "hash", "confirmations", "version", "time", "bits", "size")
        } == {
            name: block[name]
            for name in ("height", "hash", "confirmations", "version", "time", "bits", "size")
        }
        assert (ours["previous"], ours["next"]) == (
            block.get("previousblockhash"),
            block.get("nextblockhash"),
        )
        assert (ours["merkle_root"], int(ours["nonce"])) == (block["merkleroot"], block["nonce"])
        assert (ours["transactions"], ours["txids"]) == (block["nTx"], block["tx"])
        self.compared["blocks"] += 1

    def _check_transaction(self, theirs: dict[str, Any], height: int, position: int, top: int) -> None:
        ours = self._ours.call("chain.transaction", {"txid": theirs["txid"], "decode": True})
        assert (ours["transaction"], ours["block"]) == (theirs["hex"], theirs["blockhash"])
        assert (ours["height"], ours["position"]) == (height, position)
        assert ours["confirmations"] == theirs["confirmations"] == top - height + 1
        assert (ours["version"], ours["lock_time"]) == (theirs["version"], theirs["locktime"])
        assert ours["size"] == theirs["size"]
        self._check_inputs(ours["inputs"], theirs["vin"])
        self._check_outputs(theirs["txid"], ours["outputs"], theirs["vout"])
        self.compared["transactions"] += 1

    def _check_inputs(self, ours: Sequence[dict[str, Any]], theirs: Sequence[dict[str, Any]]) -> None:
        assert [spent["sequence"] for spent in ours] == [spent["sequence"] for spent in theirs]
        if "coinbase" in theirs[0]:
            assert [spent["coinbase"] for spent in ours] == [spent["coinbase"] for spent in theirs]
            return
        places = [(spent["txid"], spent["index"]) for spent in ours]
        assert places == [(spent["txid"], spent["vout"]) for spent in theirs]
        assert [spent["script"] for spent in ours] == [spent["scriptSig"]["hex"] for spent in theirs]
        made = [self._theirs[txid]["vout"][index] for txid, index in places]
        assert [spent["amount"] for spent in ours] == [to_zatoshi(output["value"]) for output in made]
        assert [spent["address"] for spent in ours] == [
            self._address(output["scriptPubKey"]["hex"]) for output in made
        ]

    def _check_outputs(
        self, txid: str, ours: Sequence[dict[str, Any]], theirs: Sequence[dict[str, Any]]
    ) -> None:
        scripts = [output["scriptPubKey"]["hex"] for output in theirs]
        assert [output["script"] for output in ours] == scripts
        assert [output["amount"] for output in ours] == [to_zatoshi(output["value"]) for output in theirs]
        assert [output["address"] for output in ours] == [self._address(script) for script in scripts]
        unspent = self._client.batch([("gettxout", [txid, each, False]) for each in range(len(theirs))])
        for index, (output, coin) in enumerate(zip(ours, unspent, strict=True)):
            single = self._ours.call("chain.output", {"txid": txid, "index": index})
            assert (single["amount"], single["spent_by"]) == (output["amount"], output["spent_by"])
            if output["spent_by"] is not None:
                spent = self._theirs[output["spent_by"]]["vin"][output["spent_input"]]
                assert (spent["txid"], spent["vout"]) == (txid, index) and coin is None
            elif coin is None:
                assert bytes.fromhex(output["script"]).startswith(OP_RETURN)
            else:
                assert single["coinbase"] == coin["coinbase"]
                assert to_zatoshi(coin["value"]) == output["amount"]
        self.compared["outputs"] += len(ours)

    def _check_addresses(self, scripts: Sequence[bytes]) -> None:
        """One scan over every script that the chain ever saw, sorted by whose it is."""
        scan = self._client.call("scantxoutset", "start", [f"raw({script.hex()})" for script in scripts])
        held: dict[str, dict[tuple[str, int], tuple[int, int]]] = {
            address: {} for address in (self._address(script.hex()) for script in scripts) if address
        }
        for coin in scan["unspents"]:
            address = self._address(coin["scriptPubKey"])
            if address is not None:
                place = coin["txid"], coin["vout"]
                held[address][place] = to_zatoshi(coin["amount"]), coin["height"]
        for address, coins in held.items():
            account = self._ours.call("chain.address", {"address": address})
            balance = sum(amount for amount, _ in coins.values())
            assert (account["balance"], account["unspent"]) == (balance, len(coins))
            ours = self._all_unspent(address)
            places = {(coin["txid"], coin["index"]): (coin["amount"], coin["height"]) for coin in ours}
            assert places == coins and len(ours) == len(coins)
            self._check_history(address, account)
        self.compared["addresses"] += len(held)

    def _all_unspent(self, address: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        after = ""
        while True:
            page = self._ours.call("chain.unspent", {"address": address, "after": after, "limit": 7})
            if not page:
                return found
            found += page
            after = f"{page[-1]['txid']}:{page[-1]['index']}"

    def _check_history(self, address: str, account: dict[str, Any]) -> None:
        """The history's sums are the balances, now and at the height of each change."""
        history = self._ours.call("chain.history", {"address": address, "first": 0, "limit": ANSWERS_MAX})
        entries = history["entries"]
        assert len(entries) == account["changes"]
        assert sum(entry["amount"] for entry in entries) == account["balance"]
        heights = [entry["height"] for entry in entries]
        assert (heights[0], heights[-1]) == (account["first_height"], account["last_height"])
        last = {entry["height"]: entry["balance"] for entry in entries}
        for height, balance in last.items():
            found = self._ours.call("chain.address", {"address": address, "height": height})
            assert found["at"] == {"height": height, "balance": balance}

    def _address(self, script: str) -> str | None:
        """Whose a script is by our rules; where the node names one owner, it is the same one."""
        address = script_address(bytes.fromhex(script))
        return None if address is None else encode_address(address, self._rules.prefixes)
