"""What our seat means for its people: what happens to it next, and what needs them, one sentence each.

Answers for: the words, from what `seat_view` and the groups' states say. Spec: `spec/rpc.md`.
"""

from collections.abc import Iterator

from protocol.group.age import age_after_return, is_voting_age
from protocol.group.data_block import Move, Refusal
from protocol.group.entropy import entropy_height, is_fresh, is_name_open
from protocol.group.membership import Member
from protocol.group.relocation import is_large, is_returning, returning_until
from protocol.node.attendance import blocks_missed
from protocol.node.departures import Cause
from protocol.node.group_condition import Condition
from protocol.node.machine import Node
from protocol.node.mover import Seat
from protocol.parameters import Parameters
from protocol.tracking.verdict import Reason
from protocol.units import OperatorKey
from zenp2p.api.challenge_methods import REASONS
from zenp2p.api.group_methods import shown_events
from zenp2p.api.network_view import NetworkView
from zenp2p.api.seat_view import OwnSeat

REMOVED = {
    Cause.SILENT: " for silence",
    Cause.FORWARDING: " for blocks that it did not pass on",
    Cause.CHALLENGES: " for challenges failed in a row",
    Cause.DEREGISTERED: ", no registration being in force: register again",
    Cause.CONVICTED: " for two statements on one thing: see that its key is used by this node alone",
    Cause.SAME_IP: ", another member having its IP address: register another address",
}
REFUSED = {
    Refusal.SAME_IP: "a member there has our IP address; register another address",
    Refusal.AGE0_FULL: "another newcomer was first; it is tried again",
    Refusal.NOT_REGISTERED: "our registration was not in force there",
}
MISSING_AT_THE_DOOR = Refusal.SAME_IP, Refusal.NOT_REGISTERED
"""Refusals that time alone does not mend."""


def group_name(prefix: str) -> str:
    """Return what people call a group."""
    return f"group {prefix}" if prefix else "the whole network's group"


def _count(number: int, what: str) -> str:
    """Return how many of something there are."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


class SeatWords:
    """Sentences about our own seat."""

    def __init__(self, node: Node, view: NetworkView) -> None:
        self._node = node
        self._view = view

    @property
    def _me(self) -> OperatorKey:
        return self._node.operator_key

    @property
    def _parameters(self) -> Parameters:
        return self._node.genesis.parameters

    # What happens next.

    def doing(self, own: OwnSeat) -> str:
        """Return what happens to our seat next."""
        match own.here.seat:
            case Seat.MEMBER if own.member is not None:
                return self._staying(own, own.member)
            case Seat.UNDER_WAY:
                return self._travelling(own)
            case Seat.ENDED:
                return self._turned_back(own)
            case _:
                return self._asking(own)

    def _staying(self, own: OwnSeat, member: Member) -> str:
        state, stamp = own.state, own.state.stamp_height
        if is_returning(state, self._me, stamp):
            back = state.returning[self._me]
            age, until = age_after_return(back.age), returning_until(back, self._parameters)
            return f"hands blocks over, then goes on with age {age}; as a newcomer if not by stamp {until}"
        where = "moves" if is_large(state) else "ages where it is"
        move = self._view.next_move(state)
        if self._me in move.operators:
            one_of = "" if len(move.operators) == 1 else f", one of {len(move.operators)},"
            when = "the next verdicts" if move.seq is None else f"challenge {move.seq}"
            at = "" if move.entropy_height is None else f", by chain block {move.entropy_height}"
            return f"{where}{one_of} after {when}{at}"
        if not is_voting_age(member.age):
            return f"{where} after the next verdicts, and has a vote then"
        stay = shown_events(member.age)
        if stay is None:
            return "stays"
        left = max(0, stay - state.events.get(self._me, 0))
        seen = _count(left, "more counted change")
        return f"{where} after {seen} of the members" if left else f"{where} in its turn"

    def _travelling(self, own: OwnSeat) -> str:
        ticket, sender = own.here.ticket, self._view.proof()
        assert ticket is not None
        to, expires = group_name(own.here.prefix), self._view.expires(ticket)
        if self._node.chain.tip()[0] - self._parameters.burial > expires:
            return f"waits for {to} to end its ticket, which was good up to stamp {expires}"
        until = f"by stamp {expires}"
        if sender is None or sender.nonce is None:
            return f"on its way to {to} {until}: searches its join proof"
        if sender.waiting:
            lacking = _count(sender.waiting, "member")
            return f"on its way to {to} {until}: sends its join proof, {lacking} without it"
        return f"on its way to {to} {until}: every member has its join proof"

    def _turned_back(self, own: OwnSeat) -> str:
        ticket = own.here.ticket
        if ticket is None or ticket.why is Move.JOIN:
            return self._asking(own)
        return f"{group_name(ticket.source)}, from which it was sent, takes it back"

    def _asking(self, own: OwnSeat) -> str:
        if not self._view.joins():
            return "stays out of the groups, as it is configured (join_groups), and answers challenges"
        found = self._view.verdicts_on(self._me)
        to = group_name(own.here.prefix)
        if not found or found[-1].reason is not Reason.VALID:
            return f"asks {to} for a place after its next VALID verdict"
        seq = found[-1].seq
        stamp, at = self._node.chain.tip()[0] - self._parameters.burial, entropy_height(seq, self._parameters)
        is_open = own.here.seat is not Seat.LEFT or is_name_open(seq, stamp, self._parameters)
        if is_fresh(seq, stamp, self._parameters) and is_open:
            return f"asks {to} for a place"
        if stamp < at:
            return f"asks {to} for a place when chain block {at} is buried"
        return f"asks {to} for a place after its next VALID verdict: that in challenge {seq} is too old"

    # What needs somebody.

    def problems(self, own: OwnSeat) -> Iterator[str]:
        """Yield what somebody should look at, each with what to do."""
        match own.here.seat:
            case Seat.MEMBER:
                yield from self._of_member(own)
            case Seat.LEFT if self._view.joins():
                yield self._removed(own)
            case Seat.ENDED:
                yield from self._ended(own)
                yield from self._failed()
            case Seat.HOME:
                yield from self._without_place()
            case _:
                yield from self._failed()
        if own.member is not None or self._view.joins():
            yield from self._stopped(own)

    def _of_member(self, own: OwnSeat) -> Iterator[str]:
        if self._me in own.state.electorate:
            missed, most = self._view.unheard(), blocks_missed(self._parameters)
            if missed.blocks >= most:
                blocks, heights = _count(missed.blocks, "block"), _count(missed.heights, "chain block")
                after = f"after {self._parameters.silence} the others may remove us"
                yield f"our votes are missed: {blocks} without us in {heights}; {after}: see peers and clock"
        most = self._parameters.challenge_failures
        yield from self._failed(f", {most} cost the place in the group")

    def _failed(self, cost: str = "") -> Iterator[str]:
        failed = self._view.failures(self._me)
        if failed:
            (*_, last) = self._view.verdicts_on(self._me)
            row = f"{failed} in a row{cost}"
            yield f"failed challenge {last.seq} ({last.reason.name}; {row}): {REASONS[last.reason]}"

    def _removed(self, own: OwnSeat) -> str:
        left = own.state.left[self._me]
        cause = self._view.cause(self._me, left.stamp_height)
        why = REMOVED[cause] if cause else ""
        age = age_after_return(left.age)
        text = f"removed from {group_name(own.here.prefix)}{why}"
        found = self._view.verdicts_on(self._me)
        if found and found[-1].reason is Reason.VALID:
            return f"{text}; comes back with age {age}, half of what it had, when its last verdict is taken"
        return f"{text}; comes back with age {age}, half of what it had, after its next VALID verdict"

    def _ended(self, own: OwnSeat) -> Iterator[str]:
        reason = self._view.refusal(self._me)
        if reason is None:
            yield "our ticket expired: too few members got our join proof in time: look at the connections"
        elif reason in MISSING_AT_THE_DOOR:
            yield f"our ticket was refused: {REFUSED[reason]}"

    def _without_place(self) -> Iterator[str]:
        if not self._view.joins():
            yield from self._failed()
            return
        found = self._view.verdicts_on(self._me)
        last = found[-1] if found else None
        if last is not None and last.reason is not Reason.VALID:
            why = f"challenge {last.seq}: {REASONS[last.reason]}"
            asked = "a place is asked for after the next VALID one"
            yield f"not a member: last verdict {last.reason.name} ({why}); {asked}"

    def _stopped(self, own: OwnSeat) -> Iterator[str]:
        found = self._view.condition(own.state)
        if found.condition is not Condition.STOPPED:
            return
        seqs = [one.seq for one in found.owed]
        what = "it owes the link after its last change of members"
        if seqs:
            what = f"{_count(len(seqs), 'challenge')} ({seqs[0]} to {seqs[-1]}) without verdicts"
        name = group_name(own.here.prefix)
        yield (
            f"{name} has stopped: nothing for {found.quiet} chain blocks, and {what}; "
            "see `zenp2p group show` for who is missed"
        )
