"""Making this node's announcement: a transaction that spends a coin of the stake address.

Answers for: what is built can count, since the stake holds enough before and after; every fact
about the chain comes from our own node. The stake's key stays in its wallet: its owner signs
there, or names a key file where the stake is not worth a wallet (a test network). What an announcement
is, is `protocol.tracking.announcement`'s business. Spec: `spec/announcement.md`.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from protocol.chain.address import AddressKind, decode_address, encode_address
from protocol.chain.encoding import display_hash, parse_display_hash
from protocol.chain.multisig import sign_p2pkh_input
from protocol.chain.script import ScriptKind, match_template, script_address
from protocol.chain.transaction import OutPoint, Transaction, decode_transaction, with_script_sig
from protocol.errors import RequestError
from protocol.genesis import Genesis
from protocol.tracking.announced import is_usable
from protocol.tracking.announcement import (
    CHANGE_MIN,
    FEE_RATE_DEFAULT,
    Announcement,
    Ties,
    announcement_ties,
    announcing_fee,
    build_announcing,
    recognise_announcement,
)
from protocol.units import OperatorKey, format_amount
from zenp2p.api.errors import NotFound
from zenp2p.treasury_reader import PAGE, Client, TreasuryReader

PAGES_MAX = 20
"""Of the stake address's coins that are looked through for one to spend."""
INPUTS_MAX = 50
"""Of a transaction that is handed in; nobody needs as many to announce."""
TRANSACTION_TEXT_MAX = 400_000
"""Characters of a transaction in hex, or of what a wallet answers with it."""
PROGRAMS = {"bitcoind": "bitcoin-cli", "litecoind": "litecoin-cli", "zend": "zen-cli"}
"""The command line of each kind of node, by the beginning of its dialect's name."""


@dataclass(frozen=True, slots=True)
class Draft:
    """An unsigned announcing transaction, and the script of the coin that it spends."""

    announcement: Announcement
    transaction: Transaction
    spent_script: bytes
    fee: int


class Announcer:
    """Builds, signs and sends announcements on one network with one node. Amounts are zatoshi."""

    def __init__(self, genesis: Genesis, client: Client) -> None:
        self._genesis = genesis
        self._client = client

    def build(
        self, announcement: Announcement, stake_address: str, fee_rate: int = FEE_RATE_DEFAULT
    ) -> Draft:
        """Return the unsigned transaction; raises `RequestError` when it could not count."""
        stake = self._stake(stake_address)
        if not is_usable(announcement, self._genesis.parameters):
            raise RequestError(
                f"nobody on this network listens at {ip_address(announcement.ip)}: it is not routable"
            )
        reader = TreasuryReader(self._genesis, self._client)
        height = reader.tip_height()
        tail = reader.tail(height)
        fee = announcing_fee(announcement, stake, fee_rate, tail)
        self._check_stake(stake_address, fee)
        coin = self._choose_coin(stake_address, fee, height)
        outpoint = OutPoint(parse_display_hash(coin["txid"]), coin["index"])
        transaction = build_announcing(
            announcement, stake, outpoint, coin["amount"], fee_rate=fee_rate, tail=tail
        )
        return Draft(announcement, transaction, bytes.fromhex(coin["script"]), fee)

    def sign_lines(self, transaction: Transaction) -> list[str]:
        """Return the line that the stake's owner runs in the wallet, or both forms for an unknown kind."""
        from zenp2p.chain.rpc.dialect import DIALECTS  # its client is slow to import, and only this needs it

        raw = transaction.raw.hex()
        name = self._client.call("node.status").get("chain", {}).get("dialect", "")
        program = next((PROGRAMS[kind] for kind in PROGRAMS if name.startswith(kind)), "")
        methods = [dialect.wallet_sign_call(raw)[0] for dialect in DIALECTS if dialect.name == name]
        if program and methods:
            return [f"{program} {methods[0]} {raw}"]
        return [f"signrawtransactionwithwallet {raw}", f"signrawtransaction {raw}"]

    def send(self, text: str) -> dict[str, object]:
        """Check and relay a signed transaction, in hex or as a wallet's answer; return what became of it.

        Raises `RequestError` when it is not signed, announces nothing or speaks for no stake,
        a `ProtocolError` when it is no transaction, and what the node refuses it with.
        """
        transaction = decode_transaction(_raw(text), self._genesis.chain.family)
        announcement = recognise_announcement(transaction)
        if announcement is None:
            raise RequestError("this transaction announces nothing")
        if len(transaction.inputs) > INPUTS_MAX:
            raise RequestError(f"a transaction that announces has at most {INPUTS_MAX} inputs")
        if not all(item.script_sig for item in transaction.inputs):
            raise RequestError("this transaction is not signed yet: its owner signs it in a wallet first")
        ties = announcement_ties(transaction, [self._owner(item.previous) for item in transaction.inputs])
        if not ties.signed and not ties.paid:
            raise RequestError("this transaction speaks for no stake address: it spends and pays none")
        sent = self._client.call("chain.broadcast", {"transaction": transaction.raw.hex()})
        return {"txid": sent["txid"], "state": sent["state"], **self._describe(announcement, ties)}

    def _describe(self, announcement: Announcement, ties: Ties) -> dict[str, object]:
        prefixes = self._genesis.chain.prefixes
        return {
            "operator": announcement.operator_key.hex(),
            "endpoint": show_endpoint(announcement),
            "signed": [encode_address(address, prefixes) for address in ties.signed],
            "paid": [encode_address(address, prefixes) for address in ties.paid],
        }

    def _stake(self, text: str) -> bytes:
        address = decode_address(text, self._genesis.chain.prefixes)
        if address[0] != AddressKind.P2PKH:
            raise RequestError(f"{text} is no address on which a stake can lie: it cannot sign")
        return address

    def _check_stake(self, stake_address: str, fee: int) -> None:
        """Refuse what nobody would look at, and what would take the stake below what counts."""
        stake = self._genesis.parameters.stake
        balance: int = self._client.call("chain.address", {"address": stake_address})["balance"]
        if balance < stake + fee:
            raise RequestError(
                f"{stake_address} holds {format_amount(balance)}; after the fee of {format_amount(fee)} "
                f"less than the stake of {format_amount(stake)} would be left: pay it something first"
            )

    def _choose_coin(self, stake_address: str, fee: int, height: int) -> dict[str, Any]:
        """Return the smallest coin that pays the fee and leaves an output that is relayed.

        What block 0 of an embedded chain pays may be spent at once; of other chains it is nobody's.
        """
        maturity = self._genesis.chain.coinbase_maturity
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
            page: list[dict[str, Any]] = self._client.call("chain.unspent", asked)
            yield from page
            if len(page) < PAGE:
                return
            after = f"{page[-1]['txid']}:{page[-1]['index']}"

    def _owner(self, outpoint: OutPoint) -> bytes | None:
        """Return the address of an output that our node knows."""
        asked = {"txid": display_hash(outpoint.txid), "index": outpoint.index}
        try:
            return script_address(bytes.fromhex(self._client.call("chain.output", asked)["script"]))
        except NotFound:
            return None


def describe_place(operator_key: OperatorKey, port: int, ip: str, fqdn: str) -> Announcement:
    """Return the announcement of what was typed; raises `RequestError`."""
    try:
        return Announcement(operator_key, port, ip=ip_address(ip).packed if ip else b"", fqdn=fqdn)
    except ValueError as error:
        raise RequestError(f"this cannot be announced: {error}") from None


def sign_draft(draft: Draft, secret: bytes) -> Transaction:
    """Return the transaction signed with the stake's own key; raises `RequestError` for another key."""
    script_sig = sign_p2pkh_input(draft.transaction, 0, draft.spent_script, secret)
    return with_script_sig(draft.transaction, 0, script_sig)


def show_endpoint(announcement: Announcement) -> str:
    """Return host and port as people write them."""
    host = announcement.fqdn or str(ip_address(announcement.ip))
    return f"[{host}]:{announcement.port}" if ":" in host else f"{host}:{announcement.port}"


def _raw(text: str) -> bytes:
    """Return the bytes of a transaction in hex, or in the JSON with which a wallet answers."""
    text = text.strip()
    try:
        answer = json.loads(text) if text.startswith("{") else {"hex": text}
        return bytes.fromhex(answer["hex"])
    except (ValueError, KeyError, TypeError, RecursionError):
        raise RequestError("neither a transaction in hex nor a wallet's answer with one") from None
