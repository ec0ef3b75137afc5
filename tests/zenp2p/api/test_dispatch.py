"""Every request one answer, every notification none, and nothing breaks the rest of a batch."""

import json
import logging
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import InvalidProof, RequestError, ZenError
from zenp2p.api import dispatch
from zenp2p.api.dispatch import BATCH_MAX, Dispatcher
from zenp2p.api.errors import ANSWER_BY_ERROR, ERROR_BY_CODE, NotFound, RpcError
from zenp2p.api.methods import Methods, NoParams, Params
from zenp2p.ports import TransportError
from zenp2p.store import StoreReadOnly


class Sum(Params, frozen=True):
    left: int
    right: int = 0


class Name(Params, frozen=True):
    name: str


RAISED: dict[str, Exception] = {
    "missing": NotFound("no challenge 7"),
    "refused": RequestError("impossible"),
    "broken": InvalidProof("leads nowhere"),
    "full": StoreReadOnly("0 MiB free"),
    "away": TransportError("peer is away"),
    "unknown": ZenError("which nobody expects here"),
    "bug": KeyError("secret detail"),
}


async def _sum(params: Sum) -> object:
    return {"sum": params.left + params.right}


async def _raise(params: Name) -> object:
    raise RAISED[params.name]


async def _odd(params: NoParams) -> object:
    return {1, object()}


async def _large(params: NoParams) -> object:
    return "x" * 1_000


@pytest.fixture
def dispatcher() -> Dispatcher:
    methods = Methods()
    methods.add("test.sum", Sum, _sum, "Adds.")
    methods.add("test.raise", Name, _raise, "Raises.")
    methods.add("test.odd", NoParams, _odd, "Returns what JSON cannot say.")
    methods.add("test.large", NoParams, _large, "Returns much.")
    return Dispatcher(methods)


async def _answer(dispatcher: Dispatcher, request: object) -> Any:
    body = request if isinstance(request, bytes) else json.dumps(request).encode()
    answer = await dispatcher.answer(body)
    return None if answer is None else json.loads(answer)


def _request(method: str = "test.sum", params: object = None, **more: object) -> dict[str, object]:
    request: dict[str, object] = {"jsonrpc": "2.0", "method": method, "id": 1} | more
    return request if params is None else request | {"params": params}


@pytest.mark.parametrize("params", [{"left": 1, "right": 2}, [1, 2], {"left": 3}, [3]])
async def test_parameters_by_name_and_by_position(dispatcher: Dispatcher, params: object) -> None:
    assert await _answer(dispatcher, _request(params=params)) == {
        "jsonrpc": "2.0",
        "id": 1,
        "result": {"sum": 3},
    }


@pytest.mark.parametrize("request_id", [0, -1, 2**63, 10**30, "", "name", None])
async def test_answer_names_its_request(dispatcher: Dispatcher, request_id: object) -> None:
    answer = await _answer(dispatcher, _request(params=[1], id=request_id))
    assert answer == {"jsonrpc": "2.0", "id": request_id, "result": {"sum": 1}}


async def test_null_result_is_still_a_result(dispatcher: Dispatcher) -> None:
    async def nothing(params: NoParams) -> object:
        return None

    methods = Methods()
    methods.add("test.nothing", NoParams, nothing, "Nothing.")
    assert (await _answer(Dispatcher(methods), _request("test.nothing")))["result"] is None


@pytest.mark.parametrize(
    ("body", "code", "said"),
    [
        (b"", -32700, "not JSON"),
        (b"{", -32700, "not JSON"),
        (b"[1, 2", -32700, "not JSON"),
        (b"\xff\xfe", -32700, "not JSON"),
        (b'{"jsonrpc":"2.0","id":"\xff","method":"test.sum"}', -32700, "not JSON"),
        (b'{"jsonrpc":"2.0","id":1,"method":"\xff"}', -32700, "not JSON"),
        (b"[" * 100_000, -32700, "not JSON"),
        (b'{"a":' * 100_000, -32600, "unknown field"),
        (b'{"jsonrpc":' * 100_000, -32600, "jsonrpc"),
        (b'{"params":' * 100_000, -32700, "not JSON"),
        (b"[]", -32600, "a batch of 0"),
        (b"1", -32600, "Expected `object`"),
        (b"{}", -32600, "jsonrpc"),
        ({"jsonrpc": "1.0", "method": "a.b", "id": 1}, -32600, "1.0"),
        ({"jsonrpc": "2.0", "id": 1}, -32600, "method"),
        ({"jsonrpc": "2.0", "method": 1, "id": 1}, -32600, "method"),
        ({"jsonrpc": "2.0", "method": "a.b", "id": 1.5}, -32600, "id"),
        ({"jsonrpc": "2.0", "method": "a.b", "id": [1]}, -32600, "id"),
        ({"jsonrpc": "2.0", "method": "a.b", "id": 1, "parms": {}}, -32600, "parms"),
    ],
)
async def test_what_is_no_request(dispatcher: Dispatcher, body: object, code: int, said: str) -> None:
    answer = await _answer(dispatcher, body)
    assert answer["error"]["code"] == code and said in answer["error"]["message"]
    assert answer["id"] is None and "result" not in answer


@pytest.mark.parametrize(
    ("request_", "code", "said"),
    [
        (_request("test.none"), -32601, "no method 'test.none'; rpc.methods lists them"),
        (_request("x" * 100), -32601, "no method"),
        (_request(), -32602, "test.sum: Object missing required field `left`"),
        (_request(params={"left": "1"}), -32602, "Expected `int`, got `str`"),
        (_request(params={"left": 1, "rihgt": 2}), -32602, "unknown field `rihgt`"),
        (_request(params=[1, 2, 3]), -32602, "3 parameters, it takes 2"),
        (_request(params="1"), -32602, "an object or an array"),
        (_request(params=1), -32602, "an object or an array"),
    ],
)
async def test_what_cannot_be_called(dispatcher: Dispatcher, request_: object, code: int, said: str) -> None:
    answer = await _answer(dispatcher, request_)
    assert answer["error"]["code"] == code and said in answer["error"]["message"] and answer["id"] == 1


@pytest.mark.parametrize(
    ("name", "code", "said"),
    [
        ("missing", -32001, "no challenge 7"),
        ("refused", -32000, "impossible"),
        ("broken", -32004, "leads nowhere"),
        ("full", -32003, "0 MiB free"),
        ("away", -32005, "peer is away"),
        ("unknown", -32603, "a bug of the daemon; its log has the traceback"),
        ("bug", -32603, "a bug of the daemon; its log has the traceback"),
    ],
)
async def test_errors_of_a_handler(
    dispatcher: Dispatcher, name: str, code: int, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        answer = await _answer(dispatcher, _request("test.raise", [name]))
    assert answer["error"] == {"code": code, "message": said}
    assert bool(caplog.records) is (code == -32603), "a bug is logged with its traceback, a refusal is not"
    assert all(record.exc_info for record in caplog.records)


async def test_result_that_json_cannot_say_is_a_bug_of_ours(dispatcher: Dispatcher) -> None:
    assert (await _answer(dispatcher, _request("test.odd")))["error"]["code"] == -32603


async def test_notifications_are_carried_out_and_not_answered(dispatcher: Dispatcher) -> None:
    called: list[int] = []

    async def note(params: Sum) -> object:
        called.append(params.left)
        return None

    methods = Methods()
    methods.add("test.note", Sum, note, "Notes.")
    notification = {"jsonrpc": "2.0", "method": "test.note", "params": [5]}
    assert await _answer(Dispatcher(methods), notification) is None
    assert await _answer(Dispatcher(methods), [notification, notification]) is None
    assert await _answer(Dispatcher(methods), notification | {"params": ["x"]}) is None
    assert called == [5, 5, 5]


async def test_batch_is_answered_in_order_whatever_is_wrong_in_it(dispatcher: Dispatcher) -> None:
    batch = [
        _request(params=[1], id="a"),
        {"jsonrpc": "2.0", "method": "test.sum", "params": [1]},
        1,
        _request("test.none", id="b"),
        _request("test.raise", ["bug"], id="c"),
        _request(params=[2], id="d"),
    ]
    answers = await _answer(dispatcher, batch)
    assert [answer["id"] for answer in answers] == ["a", None, "b", "c", "d"]
    codes = [answer.get("error", {}).get("code") for answer in answers]
    assert codes == [None, -32600, -32601, -32603, None]


async def test_parameters_that_are_no_text_are_no_bug(dispatcher: Dispatcher) -> None:
    for params in (b'{"left":"\xff"}', b'{"\xff":1}', b'["\xff"]', b'"\xff"'):
        body = b'{"jsonrpc":"2.0","id":7,"method":"test.sum","params":%s}' % params
        answer = await _answer(dispatcher, body)
        assert (answer["id"], answer["error"]["code"]) in ((7, -32602), (None, -32700))
        first, second = await _answer(
            dispatcher, b"[" + body + b"," + json.dumps(_request(params=[1])).encode() + b"]"
        )
        assert "error" in first and second["result"] == {"sum": 1}


async def test_others_get_their_turn_while_a_long_batch_is_answered(
    dispatcher: Dispatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatch, "TURN_SECONDS", 0)
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(count)
        await _answer(dispatcher, [_request(params=[1])] * BATCH_MAX)
        nursery.cancel_scope.cancel()
    assert turns >= BATCH_MAX // 2


async def test_a_long_batch_ends_when_it_is_cancelled(
    dispatcher: Dispatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatch, "TURN_SECONDS", 0)
    with trio.CancelScope() as scope:
        scope.cancel()
        await dispatcher.answer(json.dumps([_request(params=[1])] * BATCH_MAX).encode())
    assert scope.cancelled_caught


async def test_batch_limit(dispatcher: Dispatcher) -> None:
    allowed = await _answer(dispatcher, [_request(params=[number]) for number in range(BATCH_MAX)])
    assert [answer["result"]["sum"] for answer in allowed] == list(range(BATCH_MAX))
    refused = await _answer(dispatcher, [_request(params=[1])] * (BATCH_MAX + 1))
    assert refused["error"]["code"] == -32600 and "101" in refused["error"]["message"]


async def test_answers_that_grow_too_large_end_a_batch(
    dispatcher: Dispatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatch, "ANSWER_BYTES_MAX", 2_500)
    answers = await _answer(dispatcher, [_request("test.large")] * 5)
    assert ["result" in answer for answer in answers] == [True, True, True, False, False]
    assert answers[-1]["error"]["code"] == -32000


async def test_long_message_is_cut(dispatcher: Dispatcher) -> None:
    RAISED["long"] = RequestError("x" * 5_000)
    answer = await _answer(dispatcher, _request("test.raise", ["long"]))
    assert len(answer["error"]["message"]) == dispatch.MESSAGE_CHARACTERS_MAX


async def test_methods_are_listed_with_their_parameters(dispatcher: Dispatcher) -> None:
    listed = (await _answer(dispatcher, _request("rpc.methods")))["result"]
    assert [method["name"] for method in listed] == sorted(method["name"] for method in listed)
    by_name = {method["name"]: method for method in listed}
    assert {"rpc.methods", "node.version", "test.sum"} <= set(by_name)
    parameters = by_name["test.sum"]["params"]
    assert list(parameters["properties"]) == ["left", "right"] and parameters["required"] == ["left"]
    assert by_name["test.sum"]["doc"] == "Adds."


async def test_version_is_told(dispatcher: Dispatcher) -> None:
    assert (await _answer(dispatcher, _request("node.version")))["result"]["version"][0].isdigit()


def test_method_is_registered_once_and_under_a_plain_name() -> None:
    methods = Methods()
    for name in ("rpc.methods", "sum", "a.b c", "A.b", ""):
        with pytest.raises(ValueError, match="cannot be registered"):
            methods.add(name, Sum, _sum, "")


def test_codes_are_one_table() -> None:
    kinds = {kind for kind in RpcError.__subclasses__()}
    assert kinds == set(ERROR_BY_CODE.values()) and set(ANSWER_BY_ERROR.values()) <= kinds
    standard = {-32700, -32600, -32601, -32602, -32603}
    assert all(code in standard or -32099 <= code <= -32000 for code in ERROR_BY_CODE)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
almost_requests = st.fixed_dictionaries(
    {},
    optional={
        "jsonrpc": st.just("2.0") | json_values,
        "method": st.sampled_from(["test.sum", "rpc.methods", "test.raise"]) | json_values,
        "params": st.just([1]) | json_values,
        "id": st.integers() | st.text() | json_values,
        "other": json_values,
    },
)


@given(
    st.binary(max_size=200)
    | (json_values | almost_requests | st.lists(almost_requests)).map(
        lambda value: json.dumps(value).encode()
    )
)
async def test_any_bytes_get_an_answer_that_is_json_rpc(body: bytes) -> None:
    methods = Methods()
    methods.add("test.sum", Sum, _sum, "Adds.")
    answer = await _answer(Dispatcher(methods), body)
    for each in answer if isinstance(answer, list) else [answer] if answer else []:
        assert each["jsonrpc"] == "2.0" and "id" in each
        assert ("result" in each) != ("error" in each)
        if "error" in each:
            assert each["error"]["code"] in ERROR_BY_CODE
