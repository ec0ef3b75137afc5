"""What a node says that addresses hold, read from either way of asking it.

Answers for: one form of the answer, so that our own index can be held against the
node's. How it is asked is `dialect`'s. Spec: `spec/external_chain.md`.
"""

from typing import Any

from protocol.chain.encoding import parse_display_hash
from protocol.chain.transaction import OutPoint
from protocol.errors import RequestError
from protocol.units import Height, Zatoshi
from zenp2p.chain.rpc.amounts import to_zatoshi
from zenp2p.chain.rpc.dialect import AddressQuery
from zenp2p.chain.rpc.errors import BadAnswer
from zenp2p.chain.service import UnspentThere

INDEX_MAX = 0xFFFF_FFFF


def parse_unspent(query: AddressQuery, answer: Any) -> UnspentThere:
    """Return what the answer to `Dialect.address_call` says; raises `BadAnswer`."""
    try:
        if query is AddressQuery.SCAN:
            return _scanned(answer)
        return _indexed(answer)
    except (KeyError, TypeError, RequestError) as error:
        raise BadAnswer(f"not what addresses hold: {type(error).__name__}") from None


def parse_balance(query: AddressQuery, answer: Any) -> Zatoshi:
    """Return the sum in the answer to `Dialect.balance_call`; raises `BadAnswer`."""
    if query is AddressQuery.SCAN:
        return parse_unspent(query, answer).balance
    if not isinstance(answer, dict):
        raise BadAnswer("not what addresses hold")
    return Zatoshi(_natural(answer.get("balance")))


def _scanned(answer: Any) -> UnspentThere:
    if answer["success"] is not True:
        raise BadAnswer("the node's scan was broken off")
    unspent = [
        (_outpoint(item["txid"], item["vout"]), to_zatoshi(item["amount"]), Height(_natural(item["height"])))
        for item in answer["unspents"]
    ]
    return _answer(answer["height"], answer["bestblock"], unspent)


def _indexed(answer: Any) -> UnspentThere:
    unspent = [
        (
            _outpoint(item["txid"], item["outputIndex"]),
            Zatoshi(_natural(item["satoshis"])),
            Height(_natural(item["height"])),
        )
        for item in answer["utxos"]
    ]
    return _answer(answer["height"], answer["hash"], unspent)


def _answer(height: Any, shown_hash: Any, unspent: list[tuple[OutPoint, Zatoshi, Height]]) -> UnspentThere:
    ordered = sorted(unspent, key=lambda item: (item[0].txid, item[0].index))
    return UnspentThere(Height(_natural(height)), parse_display_hash(shown_hash), tuple(ordered))


def _outpoint(txid: Any, index: Any) -> OutPoint:
    if _natural(index) > INDEX_MAX:
        raise BadAnswer("an output's position that cannot be")
    return OutPoint(parse_display_hash(txid), index)


def _natural(number: Any) -> int:
    if type(number) is not int or number < 0:
        raise BadAnswer("not what addresses hold: a number is missing or negative")
    return number
