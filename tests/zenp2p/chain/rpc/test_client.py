"""Every way in which asking a node can end: one result, or one error that says what to do.

The server here does on purpose what a real node does at the worst moment; what a real node
answers is in `test_client_litecoind`.
"""

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from protocol.errors import RequestError
from tests.support.scripted_server import Reply, ScriptedServer, serving
from zenp2p.chain.rpc import client as client_module
from zenp2p.chain.rpc.client import ATTEMPTS_MAX, BATCH_CALLS_MAX, NodeClient, NodeSettings
from zenp2p.chain.rpc.errors import (
    AnswerTooLarge,
    BadAnswer,
    NodeBusy,
    NodeDenied,
    NodeError,
    NodeRefusal,
    NodeUnreachable,
    NodeWarmingUp,
)

SECRET = "a-password-that-nobody-may-see"


class Script:
    """Answers from a list of replies, or by echoing; remembers what was asked."""

    def __init__(self) -> None:
        self.replies: list[Reply | Callable[[Any], Reply]] = []
        self.asked: list[Any] = []
        self.authorizations: list[str] = []

    def __call__(self, authorization: str, body: bytes) -> Reply:
        self.authorizations.append(authorization)
        request = json.loads(body)
        self.asked.append(request)
        reply = self.replies.pop(0) if self.replies else echo
        return reply if isinstance(reply, Reply) else reply(request)


def echo(request: Any) -> Reply:
    """Answer every call with its own parameters, a batch in reverse order."""
    if isinstance(request, list):
        return as_json([_echo_one(one) for one in reversed(request)])
    return as_json(_echo_one(request))


def _echo_one(request: Any) -> Any:
    return {"result": request["params"], "error": None, "id": request["id"]}


def as_json(document: Any, status: int = 200) -> Reply:
    return Reply(status, json.dumps(document).encode())


def refusal(code: int, message: str, status: int = 500) -> Callable[[Any], Reply]:
    """Answer with a node's error."""

    def refused(request: Any) -> Any:
        return {"result": None, "error": {"code": code, "message": message}, "id": request["id"]}

    def reply(request: Any) -> Reply:
        if isinstance(request, list):
            return as_json([refused(one) for one in request])
        return as_json(refused(request), status)

    return reply


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def server(script: Script) -> Iterator[ScriptedServer]:
    with serving(script) as server:
        yield server


@pytest.fixture
def settings(server: ScriptedServer) -> NodeSettings:
    return NodeSettings("127.0.0.1", server.port, user="someone", password=SECRET)


async def test_a_call_sends_its_parameters_and_gets_its_result(
    script: Script, settings: NodeSettings
) -> None:
    async with NodeClient(settings) as client:
        assert await client.call("getblock", "00ff", 0) == ["00ff", 0]
    assert script.asked[0]["method"] == "getblock"
    assert base64.b64decode(script.authorizations[0].removeprefix("Basic ")) == f"someone:{SECRET}".encode()


async def test_a_batch_keeps_the_order_of_the_calls_whatever_the_answers_order(
    script: Script, settings: NodeSettings
) -> None:
    calls = [("getblockhash", [height]) for height in range(2 * BATCH_CALLS_MAX + 1)]
    async with NodeClient(settings) as client:
        assert await client.batch(calls) == [[height] for height in range(len(calls))]
        assert await client.batch([]) == []
    assert [len(asked) for asked in script.asked] == [BATCH_CALLS_MAX, BATCH_CALLS_MAX, 1]


async def test_a_batch_holds_refusals_beside_results(script: Script, settings: NodeSettings) -> None:
    def mixed(request: Any) -> Reply:
        first, second = request
        error = {"code": -5, "message": "Block not found"}
        return as_json([_echo_one(first), {"result": None, "error": error, "id": second["id"]}])

    script.replies = [mixed]
    async with NodeClient(settings) as client:
        result, refused = await client.batch([("getblock", ["a"]), ("getblock", ["b"])])
    assert result == ["a"]
    assert isinstance(refused, NodeRefusal) and refused.code == -5 and refused.message == "Block not found"


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply(hang_up=True), NodeUnreachable),
        (Reply(503, b"<html>"), NodeBusy),
        (Reply(500, b"Work queue depth exceeded"), NodeBusy),
        (refusal(-28, "Loading block index..."), NodeWarmingUp),
    ],
)
async def test_reads_are_asked_again_and_nothing_else_is(
    script: Script, settings: NodeSettings, reply: Reply, kind: type[NodeError]
) -> None:
    async with NodeClient(settings) as client:
        script.replies = [reply] * (ATTEMPTS_MAX - 1)
        assert await client.call("getblockcount", 1) == [1]
        script.asked.clear()
        script.replies = [reply] * ATTEMPTS_MAX
        with pytest.raises(kind):
            await client.call("getblockcount")
        assert len(script.asked) == ATTEMPTS_MAX
        script.asked.clear()
        script.replies = [reply] * 2
        with pytest.raises(kind):
            await client.call("sendrawtransaction", "00")
        with pytest.raises(kind):
            await client.batch([("getblockcount", []), ("sendrawtransaction", ["00"])])
        assert len(script.asked) == 2


@pytest.mark.parametrize(
    "reply",
    [
        Reply(200, b""),
        Reply(200, b"<html>a router's page</html>"),
        Reply(404, b"not found"),
        Reply(200, b'{"result": 1'),
        Reply(200, b"[" * 100_000),
        Reply(200, b"1" * 5_000),
        as_json([]),
        as_json({"result": 1, "error": None}),
        as_json({"result": 1, "error": None, "id": 10**9}),
        as_json({"result": 1, "error": None, "id": "1"}),
        as_json({"error": {"message": "no code"}, "id": 1}),
        as_json("text"),
        Reply(200, b'{"result": NaN, "error": null, "id": 1}'),
    ],
)
async def test_what_is_no_answer_is_a_bad_answer_and_is_not_asked_for_again(
    script: Script, settings: NodeSettings, reply: Reply
) -> None:
    script.replies = [reply]
    async with NodeClient(settings) as client:
        with pytest.raises(BadAnswer):
            await client.call("getblockcount")
    assert len(script.asked) == 1


@pytest.mark.parametrize(
    "change", [lambda a: a[:-1], lambda a: a + a[:1], lambda a: [a[0], a[0]], lambda a: a[0]]
)
async def test_a_batch_with_missing_or_repeated_answers_is_a_bad_answer(
    script: Script, settings: NodeSettings, change: Callable[[list[Any]], Any]
) -> None:
    script.replies = [lambda request: as_json(change([_echo_one(one) for one in request]))]
    async with NodeClient(settings) as client:
        with pytest.raises(BadAnswer):
            await client.batch([("getblockhash", [1]), ("getblockhash", [2])])


async def test_one_error_for_a_whole_batch_is_raised(script: Script, settings: NodeSettings) -> None:
    script.replies = [
        as_json({"result": None, "error": {"code": -32700, "message": "Parse error"}, "id": None})
    ]
    async with NodeClient(settings) as client:
        with pytest.raises(NodeRefusal, match="Parse error"):
            await client.batch([("getblockhash", [1])])


async def test_an_answer_is_read_up_to_its_limit(
    script: Script, settings: NodeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "ANSWER_BYTES_MAX", 1_000)
    async with NodeClient(settings) as client:
        assert await client.call("getblock", "a" * 900) == ["a" * 900]
        with pytest.raises(AnswerTooLarge):
            await client.call("getblock", "a" * 1_000)


async def test_a_batch_whose_answer_is_too_large_is_asked_in_parts(
    script: Script, settings: NodeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "ANSWER_BYTES_MAX", 1_000)
    calls = [("getblock", [str(number) * 400]) for number in range(7)]
    async with NodeClient(settings) as client:
        assert await client.batch(calls) == [params for _, params in calls]
        with pytest.raises(AnswerTooLarge):
            await client.batch([("getblock", ["a" * 1_000]), ("getblock", [])])
        script.asked.clear()
        with pytest.raises(AnswerTooLarge):
            await client.batch([("sendrawtransaction", ["a" * 600])] * 2)
    assert len(script.asked) == 1


async def test_a_node_that_does_not_answer_in_time_is_unreachable(
    script: Script, settings: NodeSettings
) -> None:
    script.replies = [Reply(stall=True)]
    async with NodeClient(settings) as client:
        with pytest.raises(NodeUnreachable, match="within 0.2 seconds"):
            await client.call("getblockcount", timeout_seconds=0.2)


async def test_a_port_where_nobody_listens_is_unreachable(script: Script) -> None:
    with serving(script) as server:
        port = server.port
    async with NodeClient(NodeSettings("127.0.0.1", port, user="someone")) as client:
        with pytest.raises(NodeUnreachable, match=f"127.0.0.1:{port}"):
            await client.call("getblockcount")


async def test_no_proxy_of_the_environment_hears_our_password(
    script: Script, settings: NodeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = Script()
    with serving(proxy) as other:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{other.port}")
        monkeypatch.setenv("NO_PROXY", "")
        monkeypatch.setenv("no_proxy", "")
        async with NodeClient(settings) as client:
            assert await client.call("getblockcount", 1) == [1]
    assert proxy.asked == [] and len(script.asked) == 1


class Cookies(Script):
    """Lets in who has the cookie of now."""

    now = "__cookie__:0"

    def __call__(self, authorization: str, body: bytes) -> Reply:
        if base64.b64decode(authorization.removeprefix("Basic ")) != self.now.encode():
            self.asked.append("denied")
            return Reply(401)
        return super().__call__(authorization, body)


async def test_the_cookie_of_a_restarted_node_is_read_anew_once(tmp_path: Path) -> None:
    cookie, script = tmp_path / ".cookie", Cookies()
    with serving(script) as server:
        async with NodeClient(NodeSettings("127.0.0.1", server.port, cookie=cookie)) as client:
            with pytest.raises(NodeUnreachable, match="no cookie"):
                await client.call("getblockcount")
            for secret in ("__cookie__:1", "__cookie__:2\n"):
                cookie.write_text(secret)
                script.now = secret.strip()
                assert await client.call("sendrawtransaction", "00") == ["00"]
            script.now = "__cookie__:3"
            script.asked.clear()
            with pytest.raises(NodeDenied, match="does not accept our cookie"):
                await client.call("getblockcount")
            assert script.asked == ["denied", "denied"]
            cookie.write_text(script.now)
            script.asked.clear()
            assert await client.call("getblockcount") == []
            assert "denied" not in script.asked


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refused_password_is_denied_and_nowhere_to_be_seen(
    script: Script, settings: NodeSettings, status: int
) -> None:
    script.replies = [Reply(status)]
    async with NodeClient(settings) as client:
        with pytest.raises(NodeDenied) as denied:
            await client.call("getblockcount")
        seen = f"{settings!r} {client!r} {denied.value!r} {denied.value}"
    assert SECRET not in seen and "someone" in seen
    assert len(script.asked) == 1


async def test_a_nodes_words_cannot_drive_the_terminal(script: Script, settings: NodeSettings) -> None:
    script.replies = [refusal(-1, "\x1b[2Jgone\nforged line" + "!" * 1_000)]
    async with NodeClient(settings) as client:
        with pytest.raises(NodeRefusal) as refused:
            await client.call("getblockcount")
    assert str(refused.value).isprintable() and len(str(refused.value)) < 400


@pytest.mark.parametrize(
    ("host", "port", "means"),
    [
        ("", 1, {"user": "u"}),
        ("a b", 1, {"user": "u"}),
        ("u@h", 1, {"user": "u"}),
        ("h/p", 1, {"user": "u"}),
        (":", 1, {"user": "u"}),
        ("1.2.3.999", 1, {"user": "u"}),
        ("h", 0, {"user": "u"}),
        ("h", 65_536, {"user": "u"}),
        ("h", 1, {}),
        ("h", 1, {"user": "u", "cookie": Path("c")}),
        ("h", 1, {"user": "u:v"}),
    ],
)
def test_settings_that_make_no_sense_do_not_exist(host: str, port: int, means: dict[str, Any]) -> None:
    with pytest.raises(RequestError):
        NodeSettings(host, port, **means)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "node-1.example"])
def test_hosts_are_addresses_or_names(host: str) -> None:
    assert NodeSettings(host, 8_231, user="u").url.endswith(":8231/")
