"""JSON-RPC 2.0 without a transport: bytes in, bytes out.

Answers for: every request gets exactly one answer, in the order of the batch, and every
notification none; whatever is wrong with a request is said by its code; a bug in a
handler costs that request only. Bodies are decoded typed and lazily, so a large
one cannot grow in memory. Size and time limits of a whole request are left to
`zenp2p.api.server`. Spec: `spec/rpc.md`.
"""

import logging
from typing import Annotated, Literal

import msgspec
import trio
from msgspec import UNSET, Meta, Raw, UnsetType

from protocol.errors import ZenError
from zenp2p.api.errors import (
    InternalError,
    InvalidParams,
    InvalidRequest,
    MethodNotFound,
    ParseError,
    Refused,
    RpcError,
    rpc_error,
)
from zenp2p.api.methods import Method, Methods, Params

log = logging.getLogger(__name__)

BATCH_MAX = 100
TURN_SECONDS = 0.01
"""After so long the requests of a batch let everything else that the daemon does have its turn."""
ANSWER_BYTES_MAX = 64 << 20
"""Bytes of all answers of a batch together; beyond it the remaining requests are not carried out."""
MESSAGE_CHARACTERS_MAX = 500

Id = int | Annotated[str, Meta(max_length=256)] | None


class _Request(msgspec.Struct, forbid_unknown_fields=True):
    jsonrpc: Literal["2.0"]
    method: Annotated[str, Meta(max_length=128)]
    params: Raw = Raw(b"{}")
    id: Id | UnsetType = UNSET


class _Error(msgspec.Struct):
    code: int
    message: str


class _Answer(msgspec.Struct, omit_defaults=True):
    jsonrpc: str
    id: Id
    result: Raw | UnsetType = UNSET
    error: _Error | UnsetType = UNSET


_decode_request = msgspec.json.Decoder(_Request).decode
_decode_list = msgspec.json.Decoder(list[Raw]).decode
_encode = msgspec.json.Encoder().encode
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding raises for bytes that are no JSON, or other JSON than is asked for."""


class Dispatcher:
    """Answers bodies by calling the registered methods, one request at a time."""

    def __init__(self, methods: Methods) -> None:
        self._methods = methods

    async def answer(self, body: bytes) -> bytes | None:
        """Return the answer to a body, or None when it holds notifications only."""
        try:
            requests = _split(body)
        except RpcError as error:
            return _encode(_failed(None, error))
        if requests is None:
            return await self._answer_one(body)
        answers: list[bytes] = []
        size, turn = 0, trio.current_time()
        for request in requests:
            if trio.current_time() - turn >= TURN_SECONDS:
                await trio.lowlevel.checkpoint()
                turn = trio.current_time()
            answer = await self._answer_one(bytes(request), size)
            if answer is not None:
                answers.append(answer)
                size += len(answer)
        return b"[" + b",".join(answers) + b"]" if answers else None

    async def _answer_one(self, data: bytes, size_so_far: int = 0) -> bytes | None:
        request_id: Id | UnsetType = None
        try:
            request = _read_request(data)
            request_id = request.id
            if size_so_far > ANSWER_BYTES_MAX:
                raise Refused("the batch's answers grew too large; ask for less at once")
            result = await self._call(request)
            answer = _Answer("2.0", None if request_id is UNSET else request_id, result=result)
        except RpcError as error:
            answer = _failed(None if request_id is UNSET else request_id, error)
        return None if request_id is UNSET else _encode(answer)

    async def _call(self, request: _Request) -> Raw:
        """Return the encoded result; raises `RpcError` for everything that can go wrong."""
        method = self._methods.get(request.method)
        if method is None:
            raise MethodNotFound(f"no method {request.method!r:.80}; rpc.methods lists them")
        params = _read_params(method, request.params)
        try:
            return Raw(_encode(await method.handler(params)))
        except ZenError as error:
            known = rpc_error(error)
            if known is not None:
                raise known from None
            log.exception(
                "a method raised an error that it should have handled", extra={"method": method.name}
            )
        except Exception:  # the outermost edge of one request
            log.exception("a method failed", extra={"method": method.name})
        raise InternalError("a bug of the daemon; its log has the traceback")


def _split(body: bytes) -> list[Raw] | None:
    """Return the requests of a batch, or None when the body is a single one."""
    if not body.lstrip(b" \t\r\n").startswith(b"["):
        return None
    try:
        requests = _decode_list(body)
    except _UNREADABLE as error:
        raise ParseError(f"not JSON: {error}") from None
    if not 0 < len(requests) <= BATCH_MAX:
        raise InvalidRequest(f"a batch of {len(requests)} requests; 1 to {BATCH_MAX} are answered")
    return requests


def _read_request(data: bytes) -> _Request:
    try:
        return _decode_request(data)
    except msgspec.ValidationError as error:
        raise InvalidRequest(str(error)) from None
    except _UNREADABLE as error:
        raise ParseError(f"not JSON: {error}") from None


def _read_params(method: Method, data: Raw) -> Params:
    """Return the typed parameters, given by name or by position."""
    encoded = bytes(data)
    try:
        if encoded.startswith(b"["):
            encoded = _named(method, _decode_list(encoded))
        elif not encoded.startswith(b"{"):
            raise InvalidParams(f"{method.name}: parameters are an object or an array")
        return msgspec.json.decode(encoded, type=method.params)
    except _UNREADABLE as error:
        raise InvalidParams(f"{method.name}: {error}") from None


def _named(method: Method, values: list[Raw]) -> bytes:
    names = method.params.__struct_fields__
    if len(values) > len(names):
        raise InvalidParams(f"{method.name}: {len(values)} parameters, it takes {len(names)}")
    return _encode(dict(zip(names, values, strict=False)))


def _failed(request_id: Id, error: RpcError) -> _Answer:
    return _Answer("2.0", request_id, error=_Error(error.code, str(error)[:MESSAGE_CHARACTERS_MAX]))
