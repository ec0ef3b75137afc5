"""A daemon's RPC methods over parts of one's own choice, called as a client of the daemon calls them."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import msgspec
import trio

from protocol.errors import ZenError
from protocol.genesis import Genesis
from zenp2p.api.chain_node_methods import ChainNodeMethods
from zenp2p.api.context import Context
from zenp2p.api.errors import rpc_error
from zenp2p.api.explorer_methods import ExplorerMethods
from zenp2p.api.methods import Methods
from zenp2p.api.payout_methods import PayoutMethods
from zenp2p.api.treasury_methods import TreasuryMethods
from zenp2p.chain.broadcast import Broadcast
from zenp2p.chain.index import ChainIndex
from zenp2p.chain.service import ChainCondition

BroadcastCall = Callable[[bytes], Awaitable[Broadcast]]


class MethodNode:
    """The methods that paymasters need, over one index: typed parameters in, JSON or the error out."""

    def __init__(self, genesis: Genesis, index: ChainIndex, broadcast: BroadcastCall) -> None:
        self.methods = Methods()
        service = SimpleNamespace(index=index, broadcast=broadcast, condition=self._condition)
        context: Any = SimpleNamespace(node=SimpleNamespace(genesis=genesis), chain=service)
        self.context: Context = context
        self.index = index
        for kind in (PayoutMethods, TreasuryMethods, ExplorerMethods, ChainNodeMethods):
            kind(self.context).register(self.methods)

    def _condition(self) -> ChainCondition:
        """The index is brought up to its chain before each question."""
        return ChainCondition("", "", "", "", "ok", "", self.index.tip()[0])

    def call(self, method: str, params: Mapping[str, Any] | Sequence[Any] | None = None) -> Any:
        """Return a method's result, or raise what a client of the daemon gets."""
        found = self.methods.get(method)
        assert found is not None, method
        typed = msgspec.convert(params or {}, found.params)
        try:
            result = trio.run(found.handler, typed)
        except ZenError as error:
            raise rpc_error(error) or error from None
        return msgspec.json.decode(msgspec.json.encode(result))
