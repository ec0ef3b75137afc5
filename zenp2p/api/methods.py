"""The register of RPC methods: a name, typed parameters, a handler, one line of help.

Answers for: what can be called is what was registered here, each with parameters that
are checked before its handler runs. What a method does is left to whoever registers
it; `rpc.methods` and `node.version` come with the register. Spec: `spec/rpc.md`.
"""

import re
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from typing import Any, TypeVar

import msgspec

NAME = re.compile(r"[a-z]+(\.[a-z_]+)+")
METHODS_MAX = 200


class Params(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of every method's parameters: fields may be given by name, or by position in their order."""


class NoParams(Params, frozen=True):
    """A method without parameters."""


P = TypeVar("P", bound=Params)
Handler = Callable[[Any], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Method:
    """One registered method. The handler's result is anything that msgspec writes as JSON."""

    name: str
    params: type[Params]
    handler: Handler
    doc: str


class Methods:
    """All methods of one daemon."""

    def __init__(self) -> None:
        """Start with the two methods that need no node."""
        self._methods: dict[str, Method] = {}
        self.add("rpc.methods", NoParams, self._list, "All methods with their parameters (JSON Schema).")
        self.add("node.version", NoParams, _version, "The version of this program.")

    def add(self, name: str, params: type[P], handler: Callable[[P], Awaitable[object]], doc: str) -> None:
        """Register a method; a name that is taken or odd is our own bug (`ValueError`).

        A handler raises `zenp2p.api.errors.RpcError`, or any error of its table
        (`RequestError`, `ProtocolError` …); everything else is logged as a bug.
        """
        if not NAME.fullmatch(name) or name in self._methods or len(self._methods) >= METHODS_MAX:
            raise ValueError(f"method {name!r} cannot be registered")
        self._methods[name] = Method(name, params, handler, doc)

    def get(self, name: str) -> Method | None:
        """Return the method called `name`, or None."""
        return self._methods.get(name)

    def __iter__(self) -> Iterator[Method]:
        """Yield the methods by name."""
        return iter(sorted(self._methods.values(), key=lambda method: method.name))

    async def _list(self, params: NoParams) -> object:
        return [{"name": method.name, "doc": method.doc, "params": _schema(method.params)} for method in self]


def _schema(params: type[Params]) -> dict[str, Any]:
    """Return the JSON Schema of a method's parameters, without the wrapping of references."""
    schema = msgspec.json.schema(params)
    definitions = schema.pop("$defs", {})
    own: dict[str, Any] = definitions.pop(params.__name__)
    if definitions:
        own["$defs"] = definitions
    return own


async def _version(params: NoParams) -> object:
    return {"version": program_version()}


@cache
def program_version() -> str:
    """Return the installed version; a bare checkout has none."""
    try:
        return metadata.version("zenp2p")
    except metadata.PackageNotFoundError:
        return "0+checkout"
