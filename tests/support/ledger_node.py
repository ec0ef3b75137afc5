"""A node's RPC as a paymaster sees it, answered from a `TreasuryLedger`: same methods, same shapes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from protocol.chain.address import decode_address
from protocol.chain.encoding import display_hash, parse_display_hash
from protocol.chain.script import address_script
from protocol.chain.transaction import OutPoint, Transaction, decode_transaction
from protocol.crypto import sha256
from protocol.genesis import network_id
from protocol.payout.treasury import treasury_address
from tests.support.treasury_ledger import TreasuryLedger, block_of
from zenp2p.api.errors import BadData, MethodNotFound, NotFound


@dataclass
class LedgerNode:
    """Answers `chain.*` calls; what is broadcast waits in `pool` until `mine`."""

    ledger: TreasuryLedger
    pool: list[Transaction] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    deposits: list[dict[str, Any]] = field(default_factory=list)
    page: int = 1_000
    state: str = "ok"
    problem: str = ""
    lag: int = 0
    """Blocks that the index lacks of the node's."""

    def call(self, method: str, params: Mapping[str, Any] | Sequence[Any] | None = None) -> Any:
        self.asked.append(method)
        answer = getattr(self, method.replace(".", "_"), None)
        if answer is None:
            raise MethodNotFound(method)
        return answer(**(params if isinstance(params, Mapping) else {}))

    def mine(self) -> None:
        """Connect everything that was broadcast."""
        for transaction in self.pool:
            self.ledger.mine(transaction)
        self.pool.clear()

    def chain_state(self) -> object:
        """The hash stands for all that is mined, so that it changes with it."""
        mined = sha256(b"".join(self.ledger.mined) + block_of(self.ledger.tip_height))
        return {
            "kind": "external",
            "version": "1",
            "dialect": "ledger",
            "state": self.state,
            "problem": self.problem,
            "height": self.ledger.tip_height + self.lag,
            "index_height": self.ledger.tip_height,
            "index_hash": display_hash(mined),
        }

    def node_status(self) -> object:
        return {"network_id": network_id(self.ledger.genesis).hex()}

    def chain_tip(self) -> object:
        return {"height": self.ledger.tip_height, "hash": display_hash(block_of(self.ledger.tip_height))}

    def chain_block_hash(self, height: int) -> object:
        return {"height": height, "hash": display_hash(block_of(height))}

    def chain_output(self, txid: str, index: int) -> object:
        outpoint = OutPoint(parse_display_hash(txid), index)
        if outpoint not in self.ledger.outputs:
            raise NotFound(f"no mined output {txid}:{index}")
        output, height = self.ledger.outputs[outpoint]
        spender = self.ledger.spenders.get(outpoint)
        return {
            "txid": txid,
            "index": index,
            "amount": output.amount,
            "script": output.script.hex(),
            "height": height,
            "coinbase": False,
            "spent_by": display_hash(spender.txid) if spender else None,
        }

    def chain_unspent(self, address: str, after: str, limit: int) -> object:
        wanted = decode_address(address, self.ledger.genesis.chain.prefixes)
        assert wanted == treasury_address(self.ledger.genesis.treasury)
        txid, _, index = after.partition(":")
        cursor = (parse_display_hash(txid), int(index)) if after else (b"", -1)
        coins = sorted(self.ledger.unspent(), key=lambda coin: (coin.outpoint.txid, coin.outpoint.index))
        return [
            {
                "txid": display_hash(coin.outpoint.txid),
                "index": coin.outpoint.index,
                "amount": coin.amount,
                "script": address_script(wanted).hex(),
                "height": coin.height,
                "coinbase": False,
            }
            for coin in coins
            if (coin.outpoint.txid, coin.outpoint.index) > cursor
        ][: min(limit, self.page)]

    def chain_transaction(self, txid: str) -> object:
        found = self.ledger.mined.get(parse_display_hash(txid))
        if found is None:
            raise NotFound(f"transaction {txid} is not mined here")
        transaction, height = found
        depth = self.ledger.tip_height - height + 1
        return {"txid": txid, "transaction": transaction.raw.hex(), "height": height, "confirmations": depth}

    def chain_broadcast(self, transaction: str) -> object:
        tx = decode_transaction(bytes.fromhex(transaction), self.ledger.genesis.chain.family)
        if tx.txid in self.ledger.mined:
            return {"txid": display_hash(tx.txid), "state": "mined", "height": self.ledger.mined[tx.txid][1]}
        if tx in self.pool:
            return {"txid": display_hash(tx.txid), "state": "waiting"}
        spent = {item.previous for other in self.pool for item in other.inputs}
        if any(item.previous in spent for item in tx.inputs):
            raise BadData("spent by another transaction in the node's pool")
        self.pool.append(tx)
        return {"txid": display_hash(tx.txid), "state": "sent"}

    def treasury_deposits(self) -> object:
        return self.deposits
