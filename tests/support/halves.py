"""Six founders whose network splits into two groups of three at once: whole nodes, stepped by hand.

What RPC methods say of one of them is asked as a client of its daemon asks.
"""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import msgspec
import trio

from protocol.codec import replace
from protocol.errors import ZenError
from protocol.parameters import MINIMAL, Parameters
from tests.support.moves_world import founding
from tests.support.node_cluster import Cluster
from tests.support.operators import Operator
from zenp2p.api.challenge_methods import ChallengeMethods
from zenp2p.api.context import Context
from zenp2p.api.errors import rpc_error
from zenp2p.api.group_methods import GroupMethods
from zenp2p.api.methods import Methods
from zenp2p.api.node_methods import NodeMethods
from zenp2p.api.payout_methods import PayoutMethods
from zenp2p.chain.service import ChainCondition

PARAMETERS: Parameters = replace(MINIMAL, preset="halves", group_size=2)
"""Challenge 2 opens at 8, closes at 10, is judged at 11."""


class Halves(Cluster):
    """Groups 0 and 1, three founders each."""

    def __init__(self, parameters: Parameters = PARAMETERS) -> None:
        genesis, self.founders = founding((3, 3), parameters, 1, ())
        super().__init__(self.founders, genesis=genesis)

    def of(self, prefix: str) -> list[Operator]:
        """The members of a group, as the first founder that is not cut off holds it."""
        first = next(one for one in self.founders if one.key not in self.cut)
        state = self[first].node.groups[prefix].state
        return [one for one in self.founders if one.key in state.membership]

    def ask(self, one: Operator, method: str, params: Mapping[str, Any] | None = None) -> Any:
        """Return what a node's method answers, or raise what its client gets."""
        return call(node_methods(self[one].node), method, params)


def node_methods(node: Any, problems: tuple[str, ...] = ()) -> Methods:
    """Return the methods over a node machine that has one peer, and a chain that is well."""
    network: Any = SimpleNamespace(peers=lambda: ["one"])
    condition = ChainCondition("memory", "1", "", "", "ok", "", None)
    chain: Any = SimpleNamespace(condition=lambda: condition, index=None)
    context = Context(node, chain, network, submit=_refuse, problems=lambda: list(problems))
    methods = Methods()
    for kind in (NodeMethods, ChallengeMethods, GroupMethods, PayoutMethods):
        kind(context).register(methods)
    return methods


def call(methods: Methods, method: str, params: Mapping[str, Any] | None = None) -> Any:
    """Return a method's result as JSON has it, or raise what a client of the daemon gets."""
    found = methods.get(method)
    assert found is not None, method
    typed = msgspec.convert(params or {}, found.params)
    try:
        result = trio.run(found.handler, typed)
    except ZenError as error:
        raise rpc_error(error) or error from None
    return msgspec.json.decode(msgspec.json.encode(result))


async def _refuse(packed: bytes) -> None:
    raise AssertionError("nothing is handed in")
