"""The explorer's RPC methods over an index alone: typed parameters in, JSON out, as the daemon answers."""

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import msgspec

from protocol.chain.rules import ChainRules
from zenp2p.api.context import Context
from zenp2p.api.errors import InvalidParams
from zenp2p.api.explorer_methods import ExplorerMethods
from zenp2p.api.methods import Methods
from zenp2p.chain.index import ChainIndex


class IndexNode:
    """A node that has an index and nothing else."""

    def __init__(self, index: ChainIndex, rules: ChainRules) -> None:
        self.methods = Methods()
        node: Any = SimpleNamespace(genesis=SimpleNamespace(chain=rules))
        chain: Any = SimpleNamespace(index=index)
        nothing: Any = None
        self.context = Context(node, chain, nothing, nothing, nothing)
        ExplorerMethods(self.context).register(self.methods)

    def call(self, method: str, params: Mapping[str, Any] | Sequence[Any] | None = None) -> Any:
        """Return the result of one method, or raise the error that the daemon would answer."""
        found = self.methods.get(method)
        assert found is not None, method
        try:
            typed = msgspec.convert(params or {}, found.params)
        except msgspec.ValidationError as error:
            raise InvalidParams(str(error)) from None
        return msgspec.json.decode(msgspec.json.encode(_finish(found.handler(typed))))


def _finish(coroutine: Any) -> Any:
    """Return the result of a handler, which must not wait for anything: what it says is of one moment."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("the handler waits")
