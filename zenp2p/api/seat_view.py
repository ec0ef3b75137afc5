"""Our own seat, as `node.status` shows it: where it is, how long it stays, what is missed of us.

Answers for: the figures; what they mean for people is `seat_words`. Where the seat is, and what is
done about it, is `protocol.node.mover`'s business; what others may hold against us follows from what we
said and from blocks. Spec: `spec/rpc.md`.
"""

from dataclasses import dataclass

from protocol.group.age import is_voting_age
from protocol.group.data_chain import DataChain
from protocol.group.membership import Member
from protocol.node.attendance import blocks_missed
from protocol.node.mover import Seat, Whereabouts
from protocol.units import OperatorKey
from zenp2p.api.context import Context
from zenp2p.api.group_methods import describe_ticket, shown_events
from zenp2p.api.network_view import NetworkView


@dataclass(frozen=True, slots=True)
class OwnSeat:
    """Where our seat is now."""

    here: Whereabouts
    state: DataChain
    """Of the group that holds it, or to which it is on its way."""
    member: Member | None
    """We, where we are a member."""


class SeatView:
    """What is said of our own seat."""

    def __init__(self, context: Context, view: NetworkView) -> None:
        self._context = context
        self._node = context.node
        self._view = view

    @property
    def _me(self) -> OperatorKey:
        return self._node.operator_key

    def now(self) -> OwnSeat:
        """Return where our seat is."""
        here = self._view.whereabouts()
        state = self._view.live(here.prefix)
        member = state.membership.get(self._me) if here.seat is Seat.MEMBER else None
        return OwnSeat(here, state, member)

    def describe(self, own: OwnSeat) -> dict[str, object]:
        """Return the seat as RPC shows it."""
        state, member = own.state, own.member
        returning = state.returning.get(self._me)
        return {
            "seat": own.here.seat.value,
            "group": own.here.prefix,
            "group_condition": self._view.condition(state).condition.value,
            "member": member is not None,
            "voter": member is not None and is_voting_age(member.age),
            "age": member.age if member else 0,
            **(self._stay(state, member) if member else {}),
            **(self._missed() if self._me in state.electorate else {}),
            "returning_age": returning.age if returning else None,
            "ticket": self._ticket(own.here),
            **self._verdicts(),
        }

    def _stay(self, state: DataChain, member: Member) -> dict[str, object]:
        """Return how long we have been in our group, and how long we stay."""
        return {
            "events": state.events.get(self._me, 0),
            "events_until_move": shown_events(member.age),
            "is_next": self._me in self._view.next_move(state).operators,
        }

    def _missed(self) -> dict[str, object]:
        """Return what the other voters may have missed of us since our last vote."""
        missed = self._view.unheard()
        return {
            "votes_missed": missed.blocks,
            "votes_missed_max": blocks_missed(self._node.genesis.parameters),
            "silent_heights": missed.heights,
            "silent_heights_max": self._node.genesis.parameters.silence,
        }

    def _ticket(self, here: Whereabouts) -> dict[str, object] | None:
        """Return the ticket with which we are under way, and how far its proof is."""
        if here.seat is not Seat.UNDER_WAY or here.ticket is None:
            return None
        shown = describe_ticket(here.ticket, self._view.expires(here.ticket))
        del shown["operator"]
        return {
            **shown,
            "to": here.prefix,
            **self._proof(),
        }

    def _proof(self) -> dict[str, object]:
        """Return how far our join proof is: found, and by how many members held to be without it."""
        sender = self._view.proof()
        return {
            "proof_found": sender is not None and sender.nonce is not None,
            "proof_trials": self._context.proof_trials(),
            "proof_lacking": sender.waiting if sender is not None else None,
        }

    def _verdicts(self) -> dict[str, object]:
        """Return the newest verdict on us, and how many challenges in a row we have failed."""
        recent = self._view.verdicts_on(self._me)
        last = recent[-1] if recent else None
        return {
            "last_verdict": {"seq": last.seq, "verdict": last.reason.name} if last else None,
            "failures": self._view.failures(self._me),
            "failures_max": self._node.genesis.parameters.challenge_failures,
        }
