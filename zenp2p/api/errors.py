"""The errors of JSON-RPC, as one table for the daemon and for its clients.

Answers for: a client can tell what to do from the number alone. The numbers from
-32700 to -32600 are the standard's, -32000 to -32099 are ours. A handler raises these
classes, a client gets the same ones back. Nothing heavy is imported here, so that a
command starts fast. Spec: `spec/rpc.md`.
"""

from typing import ClassVar

from protocol.errors import ZenError


class RpcError(ZenError):
    """An answer that is an error: a code for programs, one line for people."""

    code: ClassVar[int]


class ParseError(RpcError):
    """The body is no JSON."""

    code = -32700


class InvalidRequest(RpcError):
    """JSON, but no request, or a batch that is empty or too long."""

    code = -32600


class MethodNotFound(RpcError):
    """There is no method of that name."""

    code = -32601


class InvalidParams(RpcError):
    """Parameters are missing, unknown, or of the wrong type."""

    code = -32602


class InternalError(RpcError):
    """The daemon met a bug of ours; the traceback is in its log."""

    code = -32603


class Refused(RpcError):
    """Well said, but impossible here."""

    code = -32000


class NotFound(RpcError):
    """No such challenge, period, transaction or address here."""

    code = -32001


class NotReady(RpcError):
    """The node is starting, catching up or too busy: try again later."""

    code = -32002


class ReadOnly(RpcError):
    """The store takes no writes: the disk is nearly full, or failed."""

    code = -32003


class BadData(RpcError):
    """What was handed in breaks a rule of the protocol."""

    code = -32004


class Unavailable(RpcError):
    """A peer or the chain cannot be reached."""

    code = -32005


ERROR_BY_CODE: dict[int, type[RpcError]] = {
    kind.code: kind
    for kind in (
        ParseError,
        InvalidRequest,
        MethodNotFound,
        InvalidParams,
        InternalError,
        Refused,
        NotFound,
        NotReady,
        ReadOnly,
        BadData,
        Unavailable,
    )
}

ANSWER_BY_ERROR: dict[str, type[RpcError]] = {
    "protocol.errors.ProtocolError": BadData,
    "protocol.errors.RequestError": Refused,
    "zenp2p.chain.broadcast.BroadcastRefused": BadData,
    "zenp2p.chain.rpc.errors.NodeError": Unavailable,
    "zenp2p.chain.rpc.errors.NodeWarmingUp": NotReady,
    "zenp2p.chain.rpc.errors.NodeBusy": NotReady,
    "zenp2p.data_directory.MissingFile": NotFound,
    "zenp2p.ports.StoreError": ReadOnly,
    "zenp2p.ports.TransportError": Unavailable,
}
"""Qualified class name of another error that a handler may raise -> what the client gets."""


def rpc_error(error: ZenError) -> RpcError | None:
    """Return what the client gets for an error of ours, or None when it is a bug that it came this far."""
    if isinstance(error, RpcError):
        return error
    for kind in type(error).__mro__:
        answer = ANSWER_BY_ERROR.get(f"{kind.__module__}.{kind.__qualname__}")
        if answer is not None:
            return answer(str(error))
    return None
