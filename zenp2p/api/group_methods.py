"""RPC methods about groups: how each stands, who is where, of what age, and who moves.

Answers for: what the certified blocks say, as this node holds them, and what is due by its own chain. Keys
and names are hex, prefixes are texts of bits. Spec: `spec/rpc.md`.
"""

from collections import Counter
from typing import Annotated

from msgspec import Meta

from protocol.group.age import events_until_move, is_voting_age
from protocol.group.data_chain import DataChain
from protocol.group.membership import Member
from protocol.group.name import PREFIX_BITS_MAX
from protocol.node.departures import Departed
from protocol.node.group_condition import GroupCondition, NextMove
from protocol.node.tickets import Moved, Ticket
from protocol.units import OperatorKey
from zenp2p.api.context import Context
from zenp2p.api.errors import NotFound
from zenp2p.api.methods import Methods, NoParams, Params
from zenp2p.api.network_view import NetworkView
from zenp2p.api.summons_view import SummonsView

MOVES_MAX = 1_024
"""Moves in one answer."""
EVENTS_MAX = (1 << 53) - 1
"""Beyond it a number is not one any more to everybody who reads JSON; nobody lives to see so many events."""
Prefix = Annotated[str, Meta(pattern="^[01]*$", max_length=PREFIX_BITS_MAX)]


class GroupParams(Params, frozen=True):
    """A group's prefix bits, or nothing for all groups; whether with members; how many of the last moves."""

    prefix: Prefix | None = None
    members: bool = True
    moves: Annotated[int, Meta(ge=0, le=MOVES_MAX)] = 64


class GroupMethods:
    """The handlers, over one daemon's node."""

    def __init__(self, context: Context) -> None:
        self._node = context.node
        self._view = NetworkView(context.node)
        self._summonses = SummonsView(context.node)

    def register(self, methods: Methods) -> None:
        """Add them to the register."""
        methods.add("group.show", GroupParams, self.show, "The groups, their members, and who moves.")
        methods.add("group.summonses", NoParams, self.summonses, "Groups that are summoned, and by whom.")

    async def show(self, params: GroupParams) -> object:
        """All live groups, or the one with a prefix; the last moves of the whole network, oldest first."""
        states = self._view.states()
        if params.prefix is not None:
            states = tuple(state for state in states if state.prefix == params.prefix)
            if not states:
                raise NotFound(f"no live group has the prefix {params.prefix!r}: see `zenp2p group show`")
        moves = self._view.moves()
        shown = moves[-params.moves :] if params.moves else ()
        gone = self._view.departures()[-params.moves :] if params.moves else ()
        return {
            "operator": self._node.operator_key.hex(),
            "height": self._node.chain.tip()[0],
            "groups": [self._describe(state, with_members=params.members) for state in states],
            "moves": [describe_move(moved) for moved in shown],
            "departures": [describe_departure(one) for one in gone],
        }

    async def summonses(self, params: NoParams) -> object:
        """The open summonses of all groups, and the mined ones that are not answered."""
        return {"summonses": self._summonses.opened(), "called": self._summonses.called()}

    def _describe(self, state: DataChain, *, with_members: bool) -> dict[str, object]:
        view = self._view
        condition, following = view.condition(state), view.next_move(state)
        shown = {
            **describe_group(state),
            **describe_condition(condition),
            "next_move": describe_next_move(following),
            "tickets": [describe_ticket(ticket, view.expires(ticket)) for ticket in view.tickets_to(state)],
        }
        if with_members:
            members = state.membership.members
            shown["members"] = [
                {
                    **describe_member(state, member),
                    "is_next": member.operator_key in following.operators,
                    "votes_missed": view.votes_missed(state, OperatorKey(member.operator_key)),
                }
                for member in members
            ]
        return shown


def describe_group(state: DataChain) -> dict[str, object]:
    """Return what a group's state says, without its members."""
    ages = Counter(member.age for member in state.membership.members)
    return {
        "prefix": state.prefix,
        "height": state.height,
        "head": state.head.hex(),
        "stamp_height": state.stamp_height,
        "link": state.link,
        "members_count": len(state.membership),
        "ages": {str(age): count for age, count in sorted(ages.items())},
        "voters": len(state.electorate),
        "age_total": state.electorate.age_total,
        "removed": sorted(key.hex() for key in state.left),
    }


def describe_condition(condition: GroupCondition) -> dict[str, object]:
    """Return how a group stands, and what it has still to certify."""
    return {
        "condition": condition.condition.value,
        "quiet": condition.quiet,
        "link_due": condition.link_due,
        "unjudged": [
            {"seq": one.seq, "parts": list(one.parts), "judged_at": one.judged_at} for one in condition.owed
        ],
    }


def describe_next_move(move: NextMove) -> dict[str, object]:
    """Return who moves next."""
    return {
        "seq": move.seq,
        "entropy_height": move.entropy_height,
        "operators": [key.hex() for key in move.operators],
    }


def describe_member(state: DataChain, member: Member) -> dict[str, object]:
    """Return a member as RPC shows it; it may move after `events_until_move` counted churn events."""
    key = OperatorKey(member.operator_key)
    returning = state.returning.get(key)
    return {
        "operator": key.hex(),
        "age": member.age,
        "voter": is_voting_age(member.age),
        "name": member.name.hex(),
        "joined": member.joined,
        "events": state.events.get(key, 0),
        "events_until_move": shown_events(member.age),
        "returning_age": returning.age if returning else None,
    }


def shown_events(age: int) -> int | None:
    """Return how many counted events a stay at this age lasts; None for more than can be shown."""
    events = events_until_move(age)
    return events if events <= EVENTS_MAX else None


def describe_ticket(ticket: Ticket, expires: int) -> dict[str, object]:
    """Return a seat under way; `expires` is the last stamp under which it can be taken in."""
    return {
        "operator": ticket.operator_key.hex(),
        "kind": ticket.why.name.lower(),
        "from": ticket.source,
        "age": ticket.age,
        "stamp_height": ticket.stamp_height,
        "expires": expires,
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


def describe_departure(departed: Departed) -> dict[str, object]:
    """Return who lost its place, where and why."""
    return {
        "operator": departed.operator_key.hex(),
        "from": departed.prefix,
        "stamp_height": departed.stamp_height,
        "cause": departed.cause.value,
    }
