"""Requests to a node as bytes, and what its answers' bytes say.

Answers for: the JSON-RPC 1.0 shape of the family in both directions, whichever way the
bytes travel (`client` for a daemon, `zenp2p.devnet.litecoin_client` for what blocks).
Spec: `spec/external_chain.md`.
"""

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, NoReturn

from zenp2p.chain.rpc.errors import (
    BadAnswer,
    NodeBusy,
    NodeCode,
    NodeError,
    NodeRefusal,
    NodeWarmingUp,
    printable,
)

Call = tuple[str, Sequence[Any]]
"""A method's name and its parameters."""


def encode_request(calls: Mapping[int, Call], *, as_batch: bool) -> bytes:
    """Return the body that asks the calls under their numbers; a single one unless `as_batch`."""
    requests = [
        {"jsonrpc": "1.0", "id": number, "method": method, "params": list(params)}
        for number, (method, params) in calls.items()
    ]
    return json.dumps(requests if as_batch else requests[0], allow_nan=False).encode()


def parse_answers(status: int, data: bytes, numbers: Sequence[int], *, as_batch: bool) -> list[Any]:
    """Return the result or the `NodeRefusal` of each number, in this order, from one HTTP answer.

    Decimals are `Decimal`. Raises `NodeBusy`, `NodeWarmingUp`, `BadAnswer`, and the `NodeRefusal` that
    stands for a whole batch. Statuses 401 and 403 are the caller's business.
    """
    document = _document(status, data)
    if isinstance(document, list) != as_batch:
        _raise_whole(document)
    return _answers(document if isinstance(document, list) else [document], numbers)


def _document(status: int, data: bytes) -> Any:
    """Return the JSON of an answer: errors come as JSON too, with status 404 or 500."""
    if status == 503:
        raise NodeBusy("the node has no time for us, or is about to stop (HTTP 503)")
    try:
        return json.loads(data, parse_float=Decimal, parse_constant=_no_number)
    except (ValueError, RecursionError):
        pass
    if status == 500:  # "Work queue depth exceeded", as bare text
        raise NodeBusy(f"the node has too much to do: {printable(data[:200].decode('ascii', 'replace'))}")
    raise BadAnswer(f"what answers is no node, or a broken one: no JSON (HTTP {status})")


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def _raise_whole(document: Any) -> NoReturn:
    """Raise the one error that stands for a whole batch."""
    error = document.get("error") if isinstance(document, dict) else None
    if error is None:
        raise BadAnswer("one question was answered with a list, or several with one answer")
    raise _error(error)


def _answers(items: Sequence[Any], numbers: Sequence[int]) -> list[Any]:
    """Return results and refusals in the order of `numbers`; every question has exactly one answer."""
    by_number: dict[Any, Any] = {}
    for item in items:
        if not isinstance(item, dict) or not isinstance(item.get("id"), int):
            raise BadAnswer("an answer has no number")
        by_number[item["id"]] = item
    if len(items) != len(numbers) or by_number.keys() != set(numbers):
        raise BadAnswer("the answers are not those to our questions")
    return [_outcome(by_number[number]) for number in numbers]


def _outcome(item: dict[str, Any]) -> Any:
    """Return the result of one answer, or its refusal; raises `NodeWarmingUp`, which no single call has."""
    if item.get("error") is None:
        if "result" not in item:
            raise BadAnswer("an answer has neither result nor error")
        return item["result"]
    error = _error(item["error"])
    if isinstance(error, NodeRefusal):
        return error
    raise error


def _error(error: Any) -> NodeError:
    """Return the error that the node names."""
    code = error.get("code") if isinstance(error, dict) else None
    if type(code) is not int:
        return BadAnswer("the node's error has no code")
    message = str(error.get("message", ""))
    if code == NodeCode.WARMING_UP:
        return NodeWarmingUp(printable(message))
    return NodeRefusal(code, message)
