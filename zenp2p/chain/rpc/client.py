"""The way to an external node: JSON-RPC over HTTP, as zend, litecoind and bitcoind speak it.

Answers for: a question gets its own answer or one error of `errors`, within a bounded
time and number of bytes; reads are asked again after a short wait when the node was not
to be had, anything else is asked once; the cookie is read anew when it is refused, since
a node that restarts writes another. Secrets stay out of logs and errors. What the
methods are called and take is left to `dialect`. Spec: `spec/external_chain.md`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import trio

from protocol.errors import RequestError
from zenp2p.chain.rpc.answers import Call, encode_request, parse_answers
from zenp2p.chain.rpc.errors import (
    AnswerTooLarge,
    NodeBusy,
    NodeDenied,
    NodeRefusal,
    NodeUnreachable,
    NodeWarmingUp,
    printable,
)

TIMEOUT_SECONDS = 30.0
"""For one request, from connecting to the last byte of the answer."""
ANSWER_BYTES_MAX = 32 << 20
"""Bytes of one answer: three of the largest blocks (4 MB) in hexadecimal."""
BATCH_CALLS_MAX = 100
"""Calls in one request; longer batches are sent one after the other."""
CONNECTIONS_MAX = 4
"""Connections kept: a node of the family has four threads for us."""
IDLE_SECONDS = 15.0
"""After which an unused connection is closed; the nodes close theirs after 30."""
ATTEMPTS_MAX = 3
"""How often a read is asked."""
FIRST_WAIT_SECONDS = 0.1
"""Before the second attempt; doubled before each further one."""
COOKIE_BYTES_MAX = 1_000

READS = frozenset(
    "decoderawtransaction decodescript estimatefee estimatesmartfee getaddressbalance getaddresstxids "
    "getaddressutxos getbestblockhash getblock getblockchaininfo getblockcount getblockhash getblockheader "
    "getblocksubsidy getchaintips getindexinfo getinfo getmempoolentry getmempoolinfo getnetworkinfo "
    "getrawmempool getrawtransaction gettxout getzmqnotifications help testmempoolaccept validateaddress "
    "verifymessage".split()
)
"""Methods that change nothing and hold nothing up, so that they may be asked again."""

_AGAIN = (NodeUnreachable, NodeBusy, NodeWarmingUp)


@dataclass(frozen=True, slots=True)
class NodeSettings:
    """Where the node is and how it lets us in: by its cookie file, or by user and password."""

    host: str
    """A literal address or a name."""
    port: int
    cookie: Path | None = None
    user: str = ""
    password: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        """Raise `RequestError` for what cannot be asked anything."""
        if not self.host.isascii() or not all(letter.isalnum() or letter in ".:-_%" for letter in self.host):
            raise RequestError(f"not a host: {self.host!r}")
        if not 0 < self.port <= 0xFFFF:
            raise RequestError(f"not a port: {self.port}")
        if (self.cookie is None) == (not self.user):
            raise RequestError("a node wants either a cookie file or a user with a password")
        if ":" in self.user:
            raise RequestError("a user's name has no colon")
        try:
            empty = not httpx.URL(self.url).host
        except httpx.InvalidURL:
            empty = True
        if empty:
            raise RequestError(f"not a host: {self.host!r}")

    @property
    def url(self) -> str:
        """Where requests go."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}/"

    @property
    def place(self) -> str:
        """The node in a message for people."""
        return f"{self.host}:{self.port}"


class NodeClient:
    """Asks one node; any number of tasks may ask at once."""

    def __init__(self, settings: NodeSettings, *, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        """Prepare; nothing is connected before the first question."""
        self.settings = settings
        self._timeout_seconds = timeout_seconds
        self._auth: httpx.BasicAuth | None = None
        self._numbers = count(1)
        # Neither proxies nor passwords of the environment: the node is asked directly or not at all.
        self._http = httpx.AsyncClient(
            timeout=None,
            trust_env=False,
            headers={"content-type": "application/json", "accept-encoding": "identity"},
            limits=httpx.Limits(
                max_connections=CONNECTIONS_MAX,
                max_keepalive_connections=CONNECTIONS_MAX,
                keepalive_expiry=IDLE_SECONDS,
            ),
        )

    def __repr__(self) -> str:
        return f"NodeClient({self.settings.place})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close every connection."""
        await self._http.aclose()

    async def call(self, method: str, *params: Any, timeout_seconds: float | None = None) -> Any:
        """Return the result of one method, with every decimal as `Decimal`.

        Raises `NodeRefusal` for the node's own error, any other `NodeError` when there is no answer.
        """
        (answer,) = await self._ask([(method, params)], timeout_seconds, as_batch=False)
        if isinstance(answer, NodeRefusal):
            raise answer
        return answer

    async def batch(self, calls: Sequence[Call], *, timeout_seconds: float | None = None) -> list[Any]:
        """Return, in the order of the calls, each one's result or its `NodeRefusal` (not raised).

        One request for each `BATCH_CALLS_MAX` calls. Reads whose answer is too large together are asked
        in halves. Raises any other `NodeError`.
        """
        answers: list[Any] = []
        for start in range(0, len(calls), BATCH_CALLS_MAX):
            answers += await self._halved(calls[start : start + BATCH_CALLS_MAX], timeout_seconds)
        return answers

    async def _halved(self, calls: Sequence[Call], timeout_seconds: float | None) -> list[Any]:
        try:
            return await self._ask(calls, timeout_seconds, as_batch=True)
        except AnswerTooLarge:
            if len(calls) == 1 or not _are_reads(calls):
                raise
        middle = len(calls) // 2
        first = await self._halved(calls[:middle], timeout_seconds)
        return first + await self._halved(calls[middle:], timeout_seconds)

    async def _ask(
        self, calls: Sequence[Call], timeout_seconds: float | None, *, as_batch: bool
    ) -> list[Any]:
        """Send one request, again when it is a read and the node was not to be had."""
        timeout = self._timeout_seconds if timeout_seconds is None else timeout_seconds
        attempts = ATTEMPTS_MAX if _are_reads(calls) else 1
        until = trio.current_time() + timeout
        for attempt in range(attempts):
            try:
                return await self._once(calls, timeout, as_batch)
            except _AGAIN:
                wait = FIRST_WAIT_SECONDS * 2**attempt
                if attempt + 1 == attempts or trio.current_time() + wait >= until:
                    raise
            await trio.sleep(wait)
        raise AssertionError("the last attempt returns or raises")

    async def _once(self, calls: Sequence[Call], timeout: float, as_batch: bool) -> list[Any]:
        numbered = {next(self._numbers): call for call in calls}
        body = encode_request(numbered, as_batch=as_batch)
        status, data = await self._authorized(body, timeout)
        return parse_answers(status, data, list(numbered), as_batch=as_batch)

    async def _authorized(self, body: bytes, timeout: float) -> tuple[int, bytes]:
        """Post with the credentials at hand; once more with the cookie as it is now when they are refused."""
        known = self._auth
        status, data = await self._post(body, known or self._credentials(), timeout)
        if status == 401 and known is not None and self.settings.cookie is not None:
            status, data = await self._post(body, self._credentials(), timeout)
        if status in (401, 403):
            self._auth = None
            raise NodeDenied(
                f"the node at {self.settings.place} does not accept our {self._means} (HTTP {status})"
            )
        return status, data

    @property
    def _means(self) -> str:
        cookie = self.settings.cookie
        return f"cookie {cookie}" if cookie is not None else "user and password"

    def _credentials(self) -> httpx.BasicAuth:
        """Read what lets us in, and keep it for the next question."""
        cookie = self.settings.cookie
        user, password = self.settings.user, self.settings.password
        if cookie is not None:
            user, _, password = _read_cookie(cookie).partition(":")
        self._auth = httpx.BasicAuth(user, password)
        return self._auth

    async def _post(self, body: bytes, auth: httpx.BasicAuth, timeout: float) -> tuple[int, bytes]:
        """Return status and bytes of the answer to one request."""
        place = self.settings.place
        if self._http.is_closed:
            raise NodeUnreachable(f"the node at {place} is not asked any more: the daemon follows no chain")
        try:
            with trio.fail_after(timeout):
                async with self._http.stream("POST", self.settings.url, content=body, auth=auth) as response:
                    return response.status_code, await _read(response)
        except trio.TooSlowError:
            raise NodeUnreachable(f"the node at {place} does not answer within {timeout:g} seconds") from None
        except (httpx.HTTPError, OSError) as error:
            reason = printable(str(error)) or type(error).__name__
            raise NodeUnreachable(f"no node answers at {place} ({reason})") from None


def _are_reads(calls: Sequence[Call]) -> bool:
    return all(method in READS for method, _ in calls)


def _read_cookie(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(COOKIE_BYTES_MAX)
    except FileNotFoundError:
        raise NodeUnreachable(
            f"there is no cookie {path}: the node does not run, or keeps it elsewhere"
        ) from None
    except OSError as error:
        raise NodeDenied(f"the cookie {path} cannot be read: {error.strerror}") from None
    try:
        return data.decode("ascii").strip()
    except UnicodeDecodeError:
        raise NodeDenied(f"{path} is no cookie") from None


async def _read(response: httpx.Response) -> bytes:
    """Return the answer's bytes; raises `AnswerTooLarge` before more than the limit is kept."""
    data = bytearray()
    async for part in response.aiter_raw():
        data += part
        if len(data) > ANSWER_BYTES_MAX:
            raise AnswerTooLarge(f"the node's answer has more than {ANSWER_BYTES_MAX} bytes")
    return bytes(data)
