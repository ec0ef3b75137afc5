"""The calls of zend that differ from its relatives', answered from blocks that a test hands in.

Checks of arguments, numbers and words of errors are those of zend 2.0 to 6.0. What is on
the chain is what the blocks say; nothing is validated but what `sendrawtransaction` is given.
"""

import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from protocol.chain.address import decode_address
from protocol.chain.block import Block, block_hash, block_work, encode_header, parse_block
from protocol.chain.encoding import display_hash, parse_display_hash
from protocol.chain.multisig import verify_inputs
from protocol.chain.rules import ChainRules
from protocol.chain.script import address_script, replay_tail, script_address
from protocol.chain.transaction import (
    OutPoint,
    Transaction,
    TxInput,
    TxOutput,
    decode_transaction,
    is_coinbase,
)
from protocol.errors import InvalidChainData, RequestError
from protocol.units import Hash32, parse_amount
from tests.support.zend_json import amount_json, block_json, script_json, transaction_json
from tests.support.zend_signing import ZendError, sign_raw_transaction

ADDRESS_METHODS = ("getaddressutxos", "getaddressbalance")


@dataclass
class ZendLedger:
    """What one node knows, and how it was built and started."""

    rules: ChainRules
    version: str
    agent: str
    chain: str
    address_index: bool
    txindex: bool
    transactions_stopped: bool = False
    """Whether the next block may hold nothing but a coinbase (from 6.0 on)."""
    pruned_below: int = 0
    active: list[Block] = field(default_factory=list)
    known: dict[bytes, tuple[int, Block]] = field(default_factory=dict)
    """Hash -> height and block, stale ones too."""
    waiting: dict[bytes, Transaction] = field(default_factory=dict)

    @property
    def major(self) -> int:
        """The first number of the version."""
        return int(self.version.partition(".")[0])

    def connect(self, raw: bytes) -> None:
        """Put a block on top."""
        block = parse_block(raw, self.rules)
        self.known[block_hash(block.header)] = (len(self.active), block)
        self.active.append(block)
        for tx in block.transactions:
            self.waiting.pop(tx.txid, None)

    def answer(self, method: str, params: Sequence[Any]) -> Any:
        """Return a result; raises `ZendError`."""
        calls: dict[str, Callable[..., Any]] = {
            name.removeprefix("rpc_"): getattr(self, name) for name in dir(self) if name.startswith("rpc_")
        }
        if method in ADDRESS_METHODS and self.major < 3 and self.agent != "zenai":
            calls.pop(method)
        if method == "getscinfo" and self.major < 3:
            calls.pop(method)
        if method not in calls:
            raise ZendError(-32601, "Method not found")
        try:
            bound = inspect.signature(calls[method]).bind(*params)
        except TypeError:
            raise ZendError(-1, f"{method} and its help, in many words") from None
        try:
            return calls[method](*bound.args)
        except RequestError as error:
            raise ZendError(-5, str(error)) from None

    # Information.

    def rpc_getinfo(self) -> Any:
        return {"version": self._number(), "blocks": len(self.active) - 1, "testnet": self.chain == "test"}

    def rpc_getnetworkinfo(self) -> Any:
        return {
            "version": self._number(),
            "subversion": f"/{self.agent}:{self.version}/",
            "protocolversion": 170_002,
            "connections": 0,
            "tls_cert_verified": True,
            "warnings": "",
        }

    def rpc_getblockchaininfo(self) -> Any:
        shown: dict[str, Any] = {
            "chain": self.chain,
            "blocks": len(self.active) - 1,
            "headers": len(self.active) - 1,
            "bestblockhash": self.rpc_getbestblockhash(),
            "pruned": self.pruned_below > 0,
            "commitments": 0,
            "valuePools": [{"id": "sprout", "monitored": True}],
            "softforks": [],
        }
        return shown | ({"pruneheight": self.pruned_below} if self.pruned_below else {})

    def rpc_getscinfo(self, _: str) -> Any:
        return {"totalItems": 0, "from": 0, "to": 0, "items": []}

    # Blocks and transactions.

    def rpc_getblockcount(self) -> Any:
        return len(self.active) - 1

    def rpc_getbestblockhash(self) -> Any:
        return display_hash(block_hash(self.active[-1].header))

    def rpc_getblockhash(self, height: Any) -> Any:
        if type(height) is not int:
            raise ZendError(-1, "JSON value is not an integer as expected")
        if not 0 <= height < len(self.active):
            raise ZendError(-8, "Block height out of range")
        return display_hash(block_hash(self.active[height].header))

    def rpc_getblock(self, name: Any, verbosity: Any = 1) -> Any:
        if not isinstance(name, str):
            raise ZendError(-1, "JSON value is not a string as expected")
        verbosity = self._verbosity(verbosity)
        if len(name) < 64:
            if not name.isdigit():
                raise ZendError(-8, "Invalid block height parameter")
            name = self.rpc_getblockhash(int(name))
        if (found := self.known.get(parse_display_hash(name))) is None:
            raise ZendError(-5, "Block not found")
        height, block = found
        if height < self.pruned_below:
            raise ZendError(-32603, "Block not available (pruned data)")
        if verbosity == 0:
            return block.raw.hex()
        is_active = height < len(self.active) and self.active[height] is block
        confirmations = len(self.active) - height if is_active else -1
        return block_json(block, height, confirmations, verbosity, self.rules)

    def rpc_getblockheader(self, name: Any, verbose: Any = True) -> Any:
        if (found := self.known.get(parse_display_hash(name))) is None:
            raise ZendError(-5, "Block not found")
        height, block = found
        if not verbose:
            return encode_header(block.header).hex()
        return {"hash": name, "height": height, "chainwork": f"{self._work(block):064x}"}

    def rpc_getrawtransaction(self, txid: str, verbose: Any = 0) -> Any:
        if type(verbose) is not int:
            raise ZendError(-1, "JSON value is not an integer as expected")
        wanted = parse_display_hash(txid)
        for height, block in [*enumerate(self.active), (None, None)]:
            entries = block.entries if block else self.waiting.values()
            tx = next((each for each in entries if each.txid == wanted), None)
            if tx is None or not (height is None or self.txindex or self._has_unspent(wanted)):
                continue
            if not verbose:
                return tx.raw.hex()
            shown = transaction_json(tx, self.rules) | {"hex": tx.raw.hex()}
            if block is not None and height is not None:
                where = display_hash(block_hash(block.header))
                shown |= {"blockhash": where, "height": height, "confirmations": len(self.active) - height}
            return shown
        raise ZendError(-5, "No information available about transaction")

    def rpc_gettxout(self, txid: str, index: int, with_waiting: bool = True, _: bool = False) -> Any:
        point = OutPoint(parse_display_hash(txid), index)
        found = self._unspent(with_waiting).get(point)
        if found is None:
            return None
        output, height, coinbase = found
        return {
            "bestblock": self.rpc_getbestblockhash(),
            "confirmations": 0 if height is None else len(self.active) - height,
            "value": amount_json(output.amount),
            "scriptPubKey": script_json(output.script, self.rules),
            "coinbase": coinbase,
        }

    # Addresses.

    def rpc_getaddressutxos(self, asked: Any, _: bool = False) -> Any:
        wanted = self._addresses(asked)
        utxos = [
            {
                "address": text,
                "txid": display_hash(point.txid),
                "outputIndex": point.index,
                "script": output.script.hex(),
                "satoshis": output.amount,
                "height": height,
                "backwardTransfer": False,
            }
            for point, (output, height, _) in self._unspent(False).items()
            if (text := wanted.get(script_address(output.script) or b"")) is not None
        ]
        if not (isinstance(asked, dict) and asked.get("chainInfo") is True):
            return utxos
        return {"utxos": utxos, "hash": self.rpc_getbestblockhash(), "height": len(self.active) - 1}

    def rpc_getaddressbalance(self, asked: Any, _: bool = False) -> Any:
        utxos = self.rpc_getaddressutxos(asked)
        received = sum(
            output.amount
            for block in self.active
            for tx in block.transactions
            for output in tx.outputs
            if script_address(output.script) in self._addresses(asked)
        )
        return {"balance": sum(each["satoshis"] for each in utxos), "received": received, "immature": 0}

    # Transactions of our own.

    def rpc_createrawtransaction(self, inputs: Any, outputs: Any) -> Any:
        if self.transactions_stopped:
            raise ZendError(-40, "This method is disabled due to transactions stopped hard fork.")
        for value, kind, name in ((inputs, list, "array"), (outputs, dict, "object")):
            if not isinstance(value, kind):
                raise ZendError(-3, f"Expected type {name}, got {type(value).__name__}")
        height = max(0, len(self.active) - 1 - self.rules.replay_tail_depth)
        tail = replay_tail(block_hash(self.active[height].header), height)
        spent = tuple(TxInput(OutPoint(parse_display_hash(each["txid"]), each["vout"])) for each in inputs)
        paid = tuple(
            TxOutput(parse_amount(str(amount)), address_script(self._address(text)) + tail)
            for text, amount in outputs.items()
        )
        return Transaction(1, spent, paid).raw.hex()

    def rpc_signrawtransaction(self, *params: Any) -> Any:
        def script_of(point: OutPoint) -> bytes | None:
            found = self._unspent(True).get(point)
            return found[0].script if found else None

        return sign_raw_transaction(params, self.rules, script_of)

    def rpc_sendrawtransaction(self, raw: str, allow_high_fees: Any = False) -> Any:
        if not isinstance(allow_high_fees, bool):
            raise ZendError(-3, f"Expected type bool, got {type(allow_high_fees).__name__}")
        try:
            tx = decode_transaction(bytes.fromhex(raw), self.rules.family)
        except (ValueError, InvalidChainData):
            raise ZendError(-22, "Transaction decode failed") from None
        if tx.txid not in self.waiting:
            self._accept(tx)
        return display_hash(tx.txid)

    def _accept(self, tx: Transaction) -> None:
        unspent = self._unspent(True)
        if any(point.txid == tx.txid for point in unspent):
            raise ZendError(-27, "transaction already in block chain")
        if self.transactions_stopped:
            raise ZendError(-26, "16: bad-tx-transactions-stopped")
        if any(item.previous not in unspent for item in tx.inputs):
            raise ZendError(-25, "Missing inputs")
        try:
            verify_inputs(tx, [unspent[item.previous][0].script for item in tx.inputs])
        except InvalidChainData:
            raise ZendError(-26, "16: mandatory-script-verify-flag-failed") from None
        self.waiting[tx.txid] = tx

    # What stands behind the answers.

    def _number(self) -> int:
        parts = [int(part) for part in self.version.split(".")]
        return sum(part * scale for part, scale in zip(parts, (1_000_000, 10_000, 100), strict=False)) + 50

    def _work(self, block: Block) -> int:
        """Return the work behind a block and all before it."""
        total = block_work(block.header.bits)
        while (found := self.known.get(Hash32(block.header.previous))) is not None:
            block = found[1]
            total += block_work(block.header.bits)
        return total

    def _verbosity(self, verbosity: Any) -> int:
        if self.major < 3 and not isinstance(verbosity, bool) and verbosity != 1:
            raise ZendError(-1, "JSON value is not a boolean as expected")
        if int(verbosity) not in (0, 1, 2):
            raise ZendError(-8, "Verbosity must be in range from 0 to 2")
        return int(verbosity)

    def _address(self, text: Any) -> bytes:
        try:
            return decode_address(text, self.rules.prefixes)
        except RequestError:
            raise ZendError(-5, f"Invalid Horizen address: {text}") from None

    def _addresses(self, asked: Any) -> dict[bytes, str]:
        """Return the addresses asked for; raises what an index that is off says in this version."""
        if not self.address_index and self.major >= 4:
            raise ZendError(-32603, "Address indexing not enabled")
        texts = asked["addresses"] if isinstance(asked, dict) else [asked]
        try:
            found = {decode_address(text, self.rules.prefixes): text for text in texts}
        except RequestError:
            raise ZendError(-5, "Invalid address") from None
        if not self.address_index:
            raise ZendError(-5, "No information available for address")
        return found

    def _unspent(self, with_waiting: bool) -> dict[OutPoint, tuple[TxOutput, int | None, bool]]:
        """Return what is unspent: output, height (None while it waits), whether a coinbase made it."""
        found: dict[OutPoint, tuple[TxOutput, int | None, bool]] = {}
        for height, tx in self._transactions(with_waiting):
            for item in tx.inputs:
                found.pop(item.previous, None)
            for index, output in enumerate(tx.outputs):
                found[OutPoint(tx.txid, index)] = (output, height, is_coinbase(tx))
        return found

    def _transactions(self, with_waiting: bool) -> Iterator[tuple[int | None, Transaction]]:
        for height, block in enumerate(self.active):
            yield from ((height, tx) for tx in block.entries)
        if with_waiting:
            yield from ((None, tx) for tx in self.waiting.values())

    def _has_unspent(self, txid: bytes) -> bool:
        return any(point.txid == txid for point in self._unspent(True))
