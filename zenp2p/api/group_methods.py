"""RPC methods about groups: who is where, of what age, and who moves.

Answers for: what the certified blocks say, as this node holds them. Keys and names are hex, prefixes are
texts of bits. Spec: `spec/rpc.md`.
"""

from protocol.group.age import events_until_move, is_voting_age
from protocol.group.data_chain import DataChain
from protocol.group.membership import Member
from protocol.node.machine import Node
from protocol.node.tickets import Moved
from protocol.units import OperatorKey
from zenp2p.api.context import Context
from zenp2p.api.errors import NotFound
from zenp2p.api.methods import Methods, Params

MOVES_MAX = 1_024
"""Moves in one answer."""


class GroupParams(Params, frozen=True):
    """A group's prefix bits, or nothing for all groups; how many of the last moves to show."""

    prefix: str | None = None
    moves: int = 64


class GroupMethods:
    """The handlers, over one daemon's node."""

    def __init__(self, context: Context) -> None:
        self._node: Node = context.node

    def register(self, methods: Methods) -> None:
        """Add them to the register."""
        methods.add("group.show", GroupParams, self.show, "The groups, their members, and who moves.")

    async def show(self, params: GroupParams) -> object:
        """All live groups, or the one with a prefix; the last moves of the whole network, oldest first."""
        states = tuple(machine.state for machine in self._node.groups)
        if params.prefix is not None:
            states = tuple(state for state in states if state.prefix == params.prefix)
            if not states:
                raise NotFound(f"no live group has the prefix {params.prefix!r}")
        moves = self._node.groups.archive.tickets.moves()
        shown = moves[-min(max(params.moves, 0), MOVES_MAX) :] if params.moves > 0 else ()
        return {
            "groups": [describe_group(state) for state in states],
            "moves": [describe_move(moved) for moved in shown],
        }


def describe_group(state: DataChain) -> dict[str, object]:
    """Return a group as RPC shows it."""
    return {
        "prefix": state.prefix,
        "height": state.height,
        "head": state.head.hex(),
        "stamp_height": state.stamp_height,
        "link": state.link,
        "voters": len(state.electorate),
        "age_total": state.electorate.age_total,
        "members": [describe_member(state, member) for member in state.membership.members],
        "removed": sorted(key.hex() for key in state.left),
    }


def describe_member(state: DataChain, member: Member) -> dict[str, object]:
    """Return a member as RPC shows it; `events` of `events_until_move` counted churn events have passed."""
    key = OperatorKey(member.operator_key)
    returning = state.returning.get(key)
    return {
        "operator": key.hex(),
        "age": member.age,
        "voter": is_voting_age(member.age),
        "name": member.name.hex(),
        "joined": member.joined,
        "events": state.events.get(key, 0),
        "events_until_move": events_until_move(member.age),
        "returning_age": returning.age if returning else None,
    }


def describe_move(moved: Moved) -> dict[str, object]:
    """Return a move as RPC shows it; `to` is empty while it is under way."""
    return {
        "kind": moved.why.name.lower(),
        "operator": moved.operator_key.hex(),
        "from": moved.source,
        "to": moved.target,
        "age": moved.age,
        "outcome": moved.outcome.value,
    }
