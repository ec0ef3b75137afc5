"""Saying something on the chain by a coin of a stake address: the transaction, its signature, its way.

Answers for: the stake holds enough before and after; every fact about the chain comes from our own node. The
stake's key stays in its wallet: its owner signs there, or names a key file where the stake is not worth a
wallet (a test network). What is said is `announcing`'s and `marking`'s business. Spec:
`spec/announcement.md`, `spec/absorb.md`.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from protocol.chain.address import AddressKind, decode_address
from protocol.chain.data_transaction import (
    CHANGE_MIN,
    FEE_RATE_DEFAULT,
    build_data_transaction,
    data_fee,
)
from protocol.chain.encoding import display_hash, parse_display_hash
from protocol.chain.multisig import sign_p2pkh_input
from protocol.chain.script import ScriptKind, match_template, script_address
from protocol.chain.transaction import OutPoint, Transaction, decode_transaction, with_script_sig
from protocol.errors import RequestError
from protocol.genesis import Genesis
from protocol.units import format_amount
from zenp2p.api.errors import NotFound
from zenp2p.treasury_reader import PAGE, Client, TreasuryReader

PAGES_MAX = 20
"""Of the stake address's coins that are looked through for one to spend."""
INPUTS_MAX = 50
"""Of a transaction that is handed in; nobody needs as many to say something."""
TRANSACTION_TEXT_MAX = 400_000
"""Characters of a transaction in hex, or of what a wallet answers with it."""
PROGRAMS = {"bitcoind": "bitcoin-cli", "litecoind": "litecoin-cli", "zend": "zen-cli"}
"""The command line of each kind of node, by the beginning of its dialect's name."""


@dataclass(frozen=True, slots=True)
class Draft:
    """An unsigned transaction, and the script of the coin that it spends."""

    transaction: Transaction
    spent_script: bytes
    fee: int


class StakeSpender:
    """Builds such transactions on one network with one node, and sends them. Amounts are zatoshi."""

    def __init__(self, genesis: Genesis, client: Client) -> None:
        self.genesis = genesis
        self.client = client

    def build(self, payload: bytes, stake_address: str, fee_rate: int = FEE_RATE_DEFAULT) -> Draft:
        """Return the unsigned transaction that carries a payload.

        Raises `RequestError` when it could not count.
        """
        stake = self._stake(stake_address)
        reader = TreasuryReader(self.genesis, self.client)
        height = reader.tip_height()
        tail = reader.tail(height)
        fee = data_fee(payload, stake, fee_rate, tail)
        self._check_stake(stake_address, fee)
        coin = self._choose_coin(stake_address, fee, height)
        outpoint = OutPoint(parse_display_hash(coin["txid"]), coin["index"])
        transaction = build_data_transaction(
            payload, stake, outpoint, coin["amount"], fee_rate=fee_rate, tail=tail
        )
        return Draft(transaction, bytes.fromhex(coin["script"]), fee)

    def sign_lines(self, transaction: Transaction) -> list[str]:
        """Return the line that the stake's owner runs in the wallet, or both forms for an unknown kind."""
        from zenp2p.chain.rpc.dialect import DIALECTS  # its client is slow to import, and only this needs it

        raw = transaction.raw.hex()
        name = self.client.call("node.status").get("chain", {}).get("dialect", "")
        program = next((PROGRAMS[kind] for kind in PROGRAMS if name.startswith(kind)), "")
        methods = [dialect.wallet_sign_call(raw)[0] for dialect in DIALECTS if dialect.name == name]
        if program and methods:
            return [f"{program} {methods[0]} {raw}"]
        return [f"signrawtransactionwithwallet {raw}", f"signrawtransaction {raw}"]

    def read(self, text: str) -> Transaction:
        """Return a transaction in hex, or in the JSON with which a wallet answers.

        Raises `RequestError` for text that is neither, another `ProtocolError` when it is no transaction.
        """
        return decode_transaction(_raw(text), self.genesis.chain.family)

    def check_signed(self, transaction: Transaction) -> None:
        """Raise `RequestError` for a transaction that is not signed, or spends more than anybody needs to."""
        if len(transaction.inputs) > INPUTS_MAX:
            raise RequestError(f"a transaction that says something has at most {INPUTS_MAX} inputs")
        if not all(item.script_sig for item in transaction.inputs):
            raise RequestError("this transaction is not signed yet: its owner signs it in a wallet first")

    def owners(self, transaction: Transaction) -> Sequence[bytes | None]:
        """Return the address of each output that a transaction spends, as far as our node knows it."""
        return [self._owner(item.previous) for item in transaction.inputs]

    def relay(self, transaction: Transaction) -> dict[str, Any]:
        """Hand a transaction to the chain; return its txid and state.

        Raises what our node refuses it with.
        """
        sent: dict[str, Any] = self.client.call("chain.broadcast", {"transaction": transaction.raw.hex()})
        return {"txid": sent["txid"], "state": sent["state"]}

    def _stake(self, text: str) -> bytes:
        address = decode_address(text, self.genesis.chain.prefixes)
        if address[0] != AddressKind.P2PKH:
            raise RequestError(f"{text} is no address on which a stake can lie: it cannot sign")
        return address

    def _check_stake(self, stake_address: str, fee: int) -> None:
        """Refuse what nobody would look at, and what would take the stake below what counts."""
        stake = self.genesis.parameters.stake
        balance: int = self.client.call("chain.address", {"address": stake_address})["balance"]
        if balance < stake + fee:
            raise RequestError(
                f"{stake_address} holds {format_amount(balance)}; after the fee of {format_amount(fee)} "
                f"less than the stake of {format_amount(stake)} would be left: pay it something first"
            )

    def _choose_coin(self, stake_address: str, fee: int, height: int) -> dict[str, Any]:
        """Return the smallest coin that pays the fee and leaves an output that is relayed.

        What block 0 of an embedded chain pays may be spent at once; of other chains it is nobody's.
        """
        maturity = self.genesis.chain.coinbase_maturity
        usable = [
            coin
            for coin in self._coins(stake_address)
            if coin["amount"] >= fee + CHANGE_MIN
            and (not coin["coinbase"] or not coin["height"] or height - coin["height"] >= maturity)
            and match_template(bytes.fromhex(coin["script"])).kind is ScriptKind.PUBLIC_KEY_HASH
        ]
        if not usable:
            least = format_amount(fee + CHANGE_MIN)
            raise RequestError(f"{stake_address} has no coin of at least {least} that can be spent now")
        return min(usable, key=lambda coin: (coin["amount"], coin["txid"], coin["index"]))

    def _coins(self, stake_address: str) -> Iterator[dict[str, Any]]:
        after = ""
        for _ in range(PAGES_MAX):
            asked = {"address": stake_address, "after": after, "limit": PAGE}
            page: list[dict[str, Any]] = self.client.call("chain.unspent", asked)
            yield from page
            if len(page) < PAGE:
                return
            after = f"{page[-1]['txid']}:{page[-1]['index']}"

    def _owner(self, outpoint: OutPoint) -> bytes | None:
        """Return the address of an output that our node knows."""
        asked = {"txid": display_hash(outpoint.txid), "index": outpoint.index}
        try:
            return script_address(bytes.fromhex(self.client.call("chain.output", asked)["script"]))
        except NotFound:
            return None


def sign_draft(draft: Draft, secret: bytes) -> Transaction:
    """Return the transaction signed with the stake's own key; raises `RequestError` for another key."""
    script_sig = sign_p2pkh_input(draft.transaction, 0, draft.spent_script, secret)
    return with_script_sig(draft.transaction, 0, script_sig)


def _raw(text: str) -> bytes:
    """Return the bytes of a transaction in hex, or in the JSON with which a wallet answers."""
    text = text.strip()
    try:
        answer = json.loads(text) if text.startswith("{") else {"hex": text}
        return bytes.fromhex(answer["hex"])
    except (ValueError, KeyError, TypeError, RecursionError):
        raise RequestError("neither a transaction in hex nor a wallet's answer with one") from None
