"""The unspent outputs, as the embedded chain's rules see them.

Answers for: one record for each unspent output, changes that stay in memory until a
block is known to be good, and the undo record with which a block is taken back. A
block's changes and its undo record leave here as writes, for one atomic batch. Who may
spend a coin is left to `validation`, addresses and histories to `zenp2p.chain.index`.
Spec: `spec/embedded_chain.md`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from protocol.chain.encoding import Reader, var_bytes
from protocol.chain.transaction import OutPoint, Transaction, is_coinbase
from protocol.errors import InvalidChainData
from protocol.units import Height, Zatoshi

OUTPOINT_SIZE = 36


@dataclass(frozen=True, slots=True)
class Coin:
    """An unspent output: what it is worth, what guards it, and where it was made."""

    amount: Zatoshi
    script: bytes
    height: Height
    coinbase: bool


class CoinReader(Protocol):
    """Whatever knows the unspent outputs: the chain, or changes on top of it."""

    def coin(self, outpoint: OutPoint) -> Coin | None:
        """Return the coin, or None when it is spent or was never made."""


def outpoint_key(outpoint: OutPoint) -> bytes:
    """Return the 36 bytes under which an output is kept: id, then index in big-endian order."""
    return outpoint.txid + outpoint.index.to_bytes(4, "big")


def read_outpoint_key(key: bytes) -> OutPoint:
    """Return the outpoint of `outpoint_key`'s 36 bytes."""
    return OutPoint(key[:32], int.from_bytes(key[32:OUTPOINT_SIZE], "big"))


def encode_coin(coin: Coin) -> bytes:
    """Return amount (8), height (4), coinbase (1), script."""
    place = coin.height.to_bytes(4, "big") + bytes((coin.coinbase,))
    return coin.amount.to_bytes(8, "big") + place + coin.script


def decode_coin(data: bytes) -> Coin:
    """Return the coin that `encode_coin` wrote."""
    amount, height = int.from_bytes(data[:8], "big"), int.from_bytes(data[8:12], "big")
    return Coin(Zatoshi(amount), data[13:], Height(height), bool(data[12]))


def encode_undo(spent: Sequence[Coin]) -> bytes:
    """Return a block's undo record: the coins it spent, in the order of its inputs."""
    return b"".join(var_bytes(encode_coin(coin)) for coin in spent)


def decode_undo(data: bytes) -> tuple[Coin, ...]:
    """Return the coins that `encode_undo` wrote."""
    reader = Reader(data)
    coins = []
    while reader.position < len(data):
        coins.append(decode_coin(reader.var_bytes()))
    return tuple(coins)


class CoinChanges:
    """What a run of transactions does to the coins below, which stay untouched."""

    def __init__(self, below: CoinReader) -> None:
        self._below = below
        self._changed: dict[OutPoint, Coin | None] = {}

    def coin(self, outpoint: OutPoint) -> Coin | None:
        """Return the coin as these changes leave it."""
        if outpoint in self._changed:
            return self._changed[outpoint]
        return self._below.coin(outpoint)

    def require(self, outpoint: OutPoint) -> Coin:
        """Return the coin; raises `InvalidChainData` when there is none to spend."""
        coin = self.coin(outpoint)
        if coin is None:
            shown = f"{outpoint.txid[::-1].hex()}:{outpoint.index}"
            raise InvalidChainData(f"output {shown} is spent already or does not exist")
        return coin

    def apply(self, tx: Transaction, height: Height) -> list[Coin]:
        """Spend the inputs, make the outputs, return the spent coins in order of the inputs.

        Raises `InvalidChainData` when an input is missing or an output exists already:
        a transaction that was mined before must not hide the coins it made then.
        """
        coinbase = is_coinbase(tx)
        spent = [] if coinbase else [self._spend(item.previous) for item in tx.inputs]
        txid = tx.txid
        for index, output in enumerate(tx.outputs):
            outpoint = OutPoint(txid, index)
            if self.coin(outpoint) is not None:
                raise InvalidChainData(f"transaction {txid[::-1].hex()} was mined before and is unspent")
            self._changed[outpoint] = Coin(Zatoshi(output.amount), output.script, height, coinbase)
        return spent

    def _spend(self, outpoint: OutPoint) -> Coin:
        coin = self.require(outpoint)
        self._changed[outpoint] = None
        return coin

    def revert(self, transactions: Iterable[Transaction], spent: Sequence[Coin]) -> None:
        """Take a block back: its transactions in reverse order, and its undo record."""
        left = list(spent)
        for tx in transactions:
            txid = tx.txid
            for index in range(len(tx.outputs)):
                self._changed[OutPoint(txid, index)] = None
            if not is_coinbase(tx):
                for item in reversed(tx.inputs):
                    self._changed[item.previous] = left.pop()
        if left:
            raise AssertionError(f"undo record holds {len(left)} coins too many")

    @property
    def changed(self) -> Mapping[OutPoint, Coin | None]:
        """Each touched outpoint and what became of it; None is spent or unmade."""
        return self._changed
