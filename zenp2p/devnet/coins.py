"""Coins on a real node's chain: mined to a key of ours, and paid out.

Answers for: a local network on an external chain having money to stake and to pay. The
node has no wallet; it is asked at each payment which coins the key holds, so nothing is
kept here that a reorganisation or a restart could make wrong. Amounts are zatoshi.
Spec: `spec/devnet.md`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from protocol.chain.address import encode_address
from protocol.chain.encoding import parse_display_hash
from protocol.chain.rules import ChainRules
from protocol.chain.script import address_script
from protocol.chain.transaction import OutPoint, Transaction, TxInput, TxOutput
from protocol.errors import RequestError
from protocol.units import Zatoshi, format_amount
from zenp2p.chain.embedded.wallet import INPUTS_MAX, WalletKey
from zenp2p.chain.rpc.amounts import to_zatoshi
from zenp2p.devnet.litecoin_client import LitecoinClient

FEE_PER_BYTE = 20
"""Zatoshi; a node on regtest relays from 1 on."""
INPUT_SIZE = 148
CHANGE_MIN = 100_000
"""Zatoshi below which the rest is left to the miner."""
LOOKED_AT = 50
"""Coins that are asked about in one request."""


@dataclass(frozen=True, slots=True)
class Coin:
    """An output that the key can spend now."""

    outpoint: OutPoint
    amount: Zatoshi


class Purse:
    """What one secret key owns on one node's chain."""

    def __init__(self, client: LitecoinClient, rules: ChainRules, secret: bytes) -> None:
        """Take a 32-byte secret; raises `RequestError` when it is out of range."""
        self._client = client
        self._rules = rules
        self.key = WalletKey(secret)
        self.address = encode_address(self.key.address, rules.prefixes)
        """The key's address as text."""

    def __repr__(self) -> str:
        return f"Purse({self.address})"

    def mine(self, blocks: int = 1) -> list[str]:
        """Mine blocks that pay to the key, and return their hashes as they are shown."""
        return self._client.mine(blocks, self.address)

    def fill(self, amount: int, blocks_max: int = 1_000) -> Zatoshi:
        """Mine until at least `amount` can be spent; returns how much can.

        Raises `RequestError` when so many blocks do not bring it: subsidies halve.
        """
        for _ in range(-(-blocks_max // self._rules.coinbase_maturity)):
            held = self.spendable()
            if held >= amount:
                return held
            self.mine(self._rules.coinbase_maturity)
        raise RequestError(f"{blocks_max} blocks do not bring {format_amount(amount)}")

    def spendable(self) -> Zatoshi:
        """Return what can be spent now, in confirmed coins that no waiting transaction spends."""
        return Zatoshi(sum(coin.amount for coin in self._coins(None)))

    def pay(self, outputs: Sequence[TxOutput]) -> str:
        """Pay the outputs from the key's coins, hand the payment to the node, return its id as it is shown.

        Raises `RequestError` when the coins do not suffice, `NodeRefusal` when the node refuses.
        """
        return self._client.send(self.build(outputs).raw)

    def build(self, outputs: Sequence[TxOutput]) -> Transaction:
        """Return a signed payment of the outputs; what is left comes back to the key."""
        total = sum(output.amount for output in outputs)
        own = address_script(self.key.address)
        base = len(Transaction(1, (), (*outputs, TxOutput(0, own))).raw)
        chosen = self._coins(total + base * FEE_PER_BYTE)
        fee = (base + len(chosen) * INPUT_SIZE) * FEE_PER_BYTE
        rest = sum(coin.amount for coin in chosen) - total - fee
        if rest < 0 or not chosen:
            wanted = format_amount(total + fee)
            raise RequestError(
                f"{wanted} to pay, and the purse can spend {format_amount(total + fee + rest)}"
            )
        change = (TxOutput(rest, own),) if rest >= CHANGE_MIN else ()
        tx = Transaction(1, tuple(TxInput(coin.outpoint) for coin in chosen), (*outputs, *change))
        return self.key.sign(tx, [own] * len(chosen))

    def _coins(self, wanted: int | None) -> list[Coin]:
        """Return coins, largest first, until they hold `wanted` and their own fees; all for None."""
        scan = self._client.call("scantxoutset", "start", [f"addr({self.address})"])
        found = sorted(
            scan["unspents"], key=lambda item: (-to_zatoshi(item["amount"]), item["txid"], item["vout"])
        )
        coins: list[Coin] = []
        for start in range(0, len(found), LOOKED_AT):
            for coin in self._free(found[start : start + LOOKED_AT]):
                if wanted is not None and (wanted <= 0 or len(coins) == INPUTS_MAX):
                    return coins
                coins.append(coin)
                wanted = None if wanted is None else wanted + INPUT_SIZE * FEE_PER_BYTE - coin.amount
        return coins

    def _free(self, found: Sequence[dict[str, Any]]) -> list[Coin]:
        """Return those that the next block may spend and that no waiting transaction spends."""
        outputs = self._client.batch([("gettxout", (item["txid"], item["vout"], True)) for item in found])
        return [
            Coin(OutPoint(parse_display_hash(item["txid"]), item["vout"]), to_zatoshi(output["value"]))
            for item, output in zip(found, outputs, strict=True)
            if output is not None and self._is_mature(output)
        ]

    def _is_mature(self, output: dict[str, Any]) -> bool:
        return not output["coinbase"] or output["confirmations"] >= self._rules.coinbase_maturity
