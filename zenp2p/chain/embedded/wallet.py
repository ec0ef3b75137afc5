"""What the owner of a key on the embedded chain does with it.

Answers for: choosing coins, building and signing a P2PKH payment, and signing the
stake proof of a registration. A key is 32 bytes in memory, given by the caller; where
it is kept is the caller's business. What is unspent comes from the index, and handing
the payment to the network is left to `sync`. Spec: `spec/embedded_chain.md`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from protocol.chain.address import check_secret_key, pay_to_public_key_hash
from protocol.chain.multisig import sign_p2pkh_input
from protocol.chain.rules import ChainRules
from protocol.chain.script import address_script, null_data
from protocol.chain.signed_message import sign_message
from protocol.chain.transaction import Transaction, TxInput, TxOutput, with_script_sig
from protocol.crypto import secp256k1_public_key
from protocol.errors import RequestError
from protocol.units import Zatoshi, format_amount
from zenp2p.chain.index import Unspent

INPUTS_MAX = 600
"""Inputs of one payment: about 90 kB of the 100 kB that a transaction may have."""


@dataclass(frozen=True, slots=True)
class Payee:
    """Who gets what: a 21-byte address and zatoshi."""

    address: bytes
    amount: Zatoshi


class WalletKey:
    """One secret key, its P2PKH address, and what it can sign."""

    __slots__ = ("_secret", "address")

    def __init__(self, secret: bytes) -> None:
        """Take a 32-byte secret; raises `RequestError` when it is out of range."""
        check_secret_key(secret)
        self._secret = secret
        self.address = pay_to_public_key_hash(secp256k1_public_key(secret))

    def __repr__(self) -> str:
        return f"WalletKey({self.address.hex()})"

    def sign_message(self, text: str, magic: str) -> bytes:
        """Return the 65-byte "Signed Message" of a text, as a stake proof needs it."""
        return sign_message(text, self._secret, magic)

    def sign(self, tx: Transaction, spent_scripts: Sequence[bytes]) -> Transaction:
        """Return the transaction with every input signed; each must spend an output of this key."""
        for index, script in enumerate(spent_scripts):
            tx = with_script_sig(tx, index, sign_p2pkh_input(tx, index, script, self._secret))
        return tx

    def pay(
        self, coins: Sequence[Unspent], payees: Sequence[Payee], fee: int = 0, payload: bytes | None = None
    ) -> Transaction:
        """Return a signed payment from this key's coins; the rest comes back to its address.

        `payload` of at most 80 bytes goes into an OP_RETURN output. Raises `RequestError` when
        the coins do not suffice.
        """
        total = sum(payee.amount for payee in payees) + fee
        chosen = choose_coins(coins, total)
        rest = sum(coin.output.amount for coin in chosen) - total
        outputs = [TxOutput(payee.amount, address_script(payee.address)) for payee in payees]
        if payload is not None:
            outputs.append(TxOutput(0, null_data(payload)))
        if rest:
            outputs.append(TxOutput(rest, address_script(self.address)))
        tx = Transaction(1, tuple(TxInput(coin.outpoint) for coin in chosen), tuple(outputs))
        return self.sign(tx, [address_script(self.address)] * len(chosen))


def spendable(coins: Sequence[Unspent], next_height: int, rules: ChainRules) -> tuple[Unspent, ...]:
    """Return the coins that the block at `next_height` may spend: coinbases once they are mature."""
    return tuple(
        coin
        for coin in coins
        if not coin.output.coinbase
        or not coin.output.height
        or next_height - coin.output.height >= rules.coinbase_maturity
    )


def choose_coins(coins: Sequence[Unspent], total: int) -> list[Unspent]:
    """Return the largest coins, at least one, that make up `total` zatoshi; raises `RequestError`."""
    chosen: list[Unspent] = []
    held = 0
    for coin in sorted(
        coins, key=lambda coin: (-coin.output.amount, coin.outpoint.txid, coin.outpoint.index)
    ):
        if (chosen and held >= total) or len(chosen) == INPUTS_MAX:
            break
        chosen.append(coin)
        held += coin.output.amount
    if held < total or not chosen:
        wanted, there = format_amount(total), format_amount(held)
        raise RequestError(f"{wanted} to pay, and the coins that can be spent hold {there}")
    return chosen
