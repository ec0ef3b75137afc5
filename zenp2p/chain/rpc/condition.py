"""How an external node is, in words: every state has one, and what to do about it.

Answers for: whatever happens between us and the node is one of a few states, which
`status` shows and the log says once. What leads to which is in the table here; acting
on it is left to `service`. Spec: `spec/external_chain.md`.
"""

from dataclasses import dataclass
from enum import StrEnum

from protocol.errors import InvalidChainData, ZenError
from zenp2p.chain.rpc.errors import (
    BadAnswer,
    ForeignNode,
    NodeBusy,
    NodeDenied,
    NodeUnreachable,
    NodeWarmingUp,
)
from zenp2p.chain.rpc.source import ForeignChain, PrunedNode


class NodeState(StrEnum):
    """How the node is."""

    CONNECTING = "connecting"
    OK = "ok"
    INDEXING = "indexing"
    SYNCING = "syncing"
    BEHIND = "behind"
    WARMING_UP = "warming-up"
    UNREACHABLE = "unreachable"
    BUSY = "busy"
    DENIED = "denied"
    FOREIGN = "foreign"
    PRUNED = "pruned"
    UNREADABLE = "unreadable"
    CONFUSED = "confused"


ADVICE = {
    NodeState.CONNECTING: "the chain node was not asked yet",
    NodeState.OK: "",
    NodeState.INDEXING: "we read its chain: nothing to do but wait",
    NodeState.SYNCING: "the chain node is syncing: nothing to do but wait",
    NodeState.BEHIND: "the chain node lacks blocks that we have from it: wait while it syncs, or look at it",
    NodeState.WARMING_UP: "the chain node is starting: wait",
    NodeState.UNREACHABLE: "the chain node does not answer: start it, or correct chain.node",
    NodeState.BUSY: "the chain node has too much to do: raise its rpcworkqueue and rpcthreads",
    NodeState.DENIED: "the chain node refuses us: correct chain.node_cookie, or user and password file",
    NodeState.FOREIGN: "the chain node is on another chain, nothing is taken from it: correct chain.node",
    NodeState.PRUNED: "the chain node threw away blocks that our index lacks: run one that keeps them",
    NodeState.UNREADABLE: "a block of the chain node cannot be read: this version does not know its rules",
    NodeState.CONFUSED: "the chain node answers what no node of the family answers: look at chain.node",
}
"""What each state means for the operator; empty where all is well."""

_STATES: tuple[tuple[type[ZenError], NodeState], ...] = (
    (NodeUnreachable, NodeState.UNREACHABLE),
    (NodeDenied, NodeState.DENIED),
    (NodeWarmingUp, NodeState.WARMING_UP),
    (NodeBusy, NodeState.BUSY),
    (ForeignChain, NodeState.FOREIGN),
    (PrunedNode, NodeState.PRUNED),
    (InvalidChainData, NodeState.UNREADABLE),
    (BadAnswer, NodeState.CONFUSED),
    (ForeignNode, NodeState.CONFUSED),
)


@dataclass(frozen=True, slots=True)
class NodeCondition:
    """A state, and what exactly happened."""

    state: NodeState
    detail: str = ""

    @property
    def problem(self) -> str:
        """One line for people; empty while all is well."""
        advice = ADVICE[self.state]
        return f"{advice} ({self.detail})" if advice and self.detail else advice


def condition_of(error: ZenError) -> NodeCondition:
    """Return the condition that an error means; one that is not in the table is the node's own refusal."""
    for kind, state in _STATES:
        if isinstance(error, kind):
            return NodeCondition(state, str(error))
    return NodeCondition(NodeState.CONFUSED, str(error))
