"""What an operator is told of its seat, wherever that is: what happens next, and what needs it."""

import pytest

from protocol.group.age import events_until_move
from protocol.group.data_block import Removal
from protocol.group.entropy import entropy_height
from protocol.group.movemaker import build_return
from protocol.units import Hash32, OperatorKey
from tests.support.moves_world import JOINERS, PARAMETERS, Moves
from tests.support.operators import Operator
from tests.support.seats import Seats

SEQ = 1
FIRST = 2
"""The first challenge for which a joiner can be registered."""
JOINER = JOINERS[0]
BURIAL, SILENCE = PARAMETERS.burial, PARAMETERS.silence


class TestNeverAMember:
    """A seat at home."""

    def test_before_its_first_verdict_there_is_nothing_wrong(self) -> None:
        world = Moves()
        seats = Seats(world, JOINER)
        assert (seats.shown()["seat"], seats.shown()["member"], seats.problems()) == ("home", False, [])
        assert seats.doing() == f"asks group {world.home(JOINER)} for a place after its next VALID verdict"

    def test_a_verdict_that_is_not_valid_is_a_problem_with_what_to_do(self) -> None:
        world = Moves()
        world.enrol(JOINER)
        world.hold(FIRST, silent=[JOINER])
        seats = Seats(world, JOINER)
        (problem,) = seats.problems()
        assert problem.startswith(f"not a member: last verdict NO_RESPONSE (challenge {FIRST}: ")
        assert problem.endswith("a place is asked for after the next VALID one")
        assert (seats.shown()["failures"], seats.shown()["failures_max"]) == (1, 3)

    def test_who_stays_out_is_told_of_its_verdicts_alone(self) -> None:
        world = Moves()
        world.enrol(JOINER)
        assert (
            Seats(world, JOINER, joins=False)
            .doing()
            .startswith("stays out of the groups, as it is configured")
        )
        world.hold(FIRST, silent=[JOINER])
        (problem,) = Seats(world, JOINER, joins=False).problems()
        assert problem.startswith(f"failed challenge {FIRST} (NO_RESPONSE; 1 in a row): ")

    def test_after_a_valid_one_it_asks_as_long_as_that_is_fresh(self) -> None:
        world = Moves()
        world.enrol(JOINER)
        world.chain.mine_to(FIRST * PARAMETERS.challenge_every)
        for prefix in world.live():
            world.judge(prefix, FIRST)
        home, at = world.home(JOINER), entropy_height(FIRST, PARAMETERS)
        assert (
            Seats(world, JOINER).doing() == f"asks group {home} for a place when chain block {at} is buried"
        )
        world.bury_entropy(FIRST)
        assert Seats(world, JOINER).doing() == f"asks group {home} for a place"
        world.bury_entropy(FIRST + 2)
        seats = Seats(world, JOINER)
        assert seats.doing().endswith(f"after its next VALID verdict: that in challenge {FIRST} is too old")
        assert seats.problems() == []


def under_way(world: Moves) -> Hash32:
    world.enrol(JOINER)
    world.hold(FIRST)
    return world.join(JOINER, FIRST)


class TestUnderWay:
    """A ticket is out."""

    def test_it_says_where_to_until_when_and_how_far_the_proof_is(self) -> None:
        world = Moves()
        ticket = under_way(world)
        sent = world.standings[ticket].block
        to, until = world.fitting(world.moved(ticket).name), sent.stamp_height + PARAMETERS.relocation_pending
        seats = Seats(world, JOINER)
        assert (seats.shown()["seat"], seats.shown()["group"], seats.problems()) == ("under way", to, [])
        on_its_way = f"on its way to group {to} by stamp {until}: "
        assert seats.doing() == f"{on_its_way}searches its join proof"
        seats.mover.tick(0)
        assert seats.doing() == f"{on_its_way}searches its join proof"
        seats.mover.mined(ticket, world.nonce(ticket), 0)
        members = len(world.states[to].membership)
        assert seats.doing() == f"{on_its_way}sends its join proof, {members} members without it"
        shown = seats.shown()["ticket"]
        assert (shown["kind"], shown["from"], shown["to"]) == ("join", world.home(JOINER), to)
        assert (shown["proof_found"], shown["proof_lacking"], shown["proof_trials"]) == (True, members, 77)

    def test_a_ticket_that_nobody_ends_in_time_waits(self) -> None:
        world = Moves()
        ticket = under_way(world)
        to = world.fitting(world.moved(ticket).name)
        last = world.standings[ticket].block.stamp_height + PARAMETERS.relocation_pending
        world.bury(last)
        assert Seats(world, JOINER).doing().startswith("on its way to")
        world.bury(last + 1)
        waits = f"waits for group {to} to end its ticket, which was good up to stamp {last}"
        assert Seats(world, JOINER).doing() == waits

    def test_a_ticket_that_expired_is_a_problem_and_it_asks_anew(self) -> None:
        world = Moves()
        world.expire(under_way(world))
        seats = Seats(world, JOINER)
        (problem,) = seats.problems()
        assert problem.startswith("our ticket expired: ") and seats.shown()["seat"] == "ended"
        assert seats.doing().startswith(f"asks group {world.home(JOINER)} for a place")

    def test_a_refusal_that_time_does_not_mend_is_told_with_its_reason(self) -> None:
        for salt in range(9):
            world = Moves()
            world.chain.mine(salt=bytes([salt]))
            rival = world.voters("0")[0]
            world.enrol(JOINER, ip=rival.ip)
            world.hold(FIRST, silent=world.founders)
            ticket = world.join(JOINER, FIRST)
            if world.fitting(world.moved(ticket).name) == "0":
                break
        world.refuse(ticket)
        (problem,) = Seats(world, JOINER).problems()
        refused = "our ticket was refused: a member there has our IP address"
        assert problem == f"{refused}; register another address"

    def test_a_newcomer_that_has_to_wait_has_no_problem(self) -> None:
        world = Moves()
        for one in JOINERS:
            world.enrol(one)
        world.hold(FIRST)
        tickets = [(one, world.join(one, FIRST)) for one in JOINERS]
        fitting = [pair for pair in tickets if world.fitting(world.moved(pair[1]).name) == "0"]
        (first, admitted), (second, refused), *_ = fitting
        world.admit(admitted)
        world.refuse(refused)
        seats = Seats(world, second)
        assert (seats.shown()["seat"], seats.problems()) == ("ended", [])
        assert seats.doing().startswith(f"asks group {world.home(second)} for a place")
        newcomer = Seats(world, first)
        assert (newcomer.shown()["age"], newcomer.shown()["voter"]) == (0, False)
        assert "votes_missed" not in newcomer.shown()
        assert newcomer.doing().startswith("moves after ")


def removed(world: Moves, reason: Removal = Removal.SILENT) -> Operator:
    one = world.voters("0")[0]
    world.remove(one, reason)
    return one


class TestRemoved:
    """A group let it go and keeps its seat."""

    def test_it_is_told_why_and_how_it_comes_back(self) -> None:
        world = Moves(age=5)
        one = removed(world)
        seats = Seats(world, one)
        (problem,) = seats.problems()
        assert problem == (
            "removed from group 0 for silence; comes back with age 2, half of what it had, "
            "after its next VALID verdict"
        )
        assert (seats.shown()["seat"], seats.shown()["group"]) == ("left", "0")
        assert seats.doing() == "asks group 0 for a place after its next VALID verdict"

    def test_who_shares_an_address_is_told_so(self) -> None:
        world = Moves()
        one, other = world.voters("0")[:2]
        world.enrol(other, 2, ip=one.ip)
        world.hold(SEQ)
        world.hold(4)
        gone = next(each for each in (one, other) if each.key in world.states["0"].left)
        (problem,) = Seats(world, gone).problems()
        assert "another member having its IP address: register another address" in problem

    def test_who_comes_back_hands_blocks_over(self) -> None:
        world = Moves(age=5)
        one = removed(world)
        world.hold(SEQ)
        verdict = world.verdict_on(one, SEQ)
        world.settle(build_return(world.at("0"), world.chain, world, one.key, verdict))
        back = world.states["0"].returning[one.key]
        seats = Seats(world, one)
        assert (seats.shown()["seat"], seats.shown()["voter"], seats.shown()["returning_age"]) == (
            "member",
            False,
            5,
        )
        until = entropy_height(back.seq, PARAMETERS) + SILENCE
        assert (
            seats.doing()
            == f"hands blocks over, then goes on with age 2; as a newcomer if not by stamp {until}"
        )
        assert seats.problems() == []


class TestMember:
    """A seat in a group."""

    def test_it_moves_when_it_has_seen_enough_and_is_told_when_it_is_next(self) -> None:
        world = Moves(age=2)
        one, other = world.voters("0")[:2]
        world.give_events(one, 1)
        assert Seats(world, one).doing() == "moves after 3 more counted changes of the members"
        world.give_events(one, events_until_move(2))
        seats = Seats(world, one)
        assert (seats.doing(), seats.shown()["is_next"]) == ("moves after the next verdicts", True)
        world.give_events(other, events_until_move(2))
        assert Seats(world, one).doing() == "moves, one of 2, after the next verdicts"
        world.judge("0", SEQ)
        at = entropy_height(SEQ, PARAMETERS)
        assert Seats(world, one).doing() == f"moves, one of 2, after challenge {SEQ}, by chain block {at}"
        world.bury_entropy(SEQ)
        told = {each.key: Seats(world, each).doing() for each in (one, other)}
        assert sorted(told.values()) == [
            f"moves after challenge {SEQ}, by chain block {at}",
            "moves in its turn",
        ]
        ticket = world.relocate("0")
        assert told[OperatorKey(world.moved(ticket).operator_key)] != "moves in its turn"

    def test_in_a_small_group_it_ages_where_it_is(self) -> None:
        world = Moves()
        world.reduce("0", 3)
        one = world.voters("0")[0]
        assert Seats(world, one).doing() == "ages where it is after 2 more counted changes of the members"

    def test_failed_challenges_are_counted_and_told_with_what_they_cost(self) -> None:
        world = Moves()
        one = world.voters("0")[0]
        world.hold(1)
        assert Seats(world, one).problems() == []
        for seq, failed in ((2, 1), (3, 2)):
            world.hold(seq, silent=[one])
            (problem,) = Seats(world, one).problems()
            assert problem.startswith(
                f"failed challenge {seq} (NO_RESPONSE; {failed} in a row, 3 cost the place in the group): "
            )
            assert Seats(world, one).shown()["failures"] == failed
        world.hold(4)
        seats = Seats(world, one)
        assert (seats.problems(), seats.shown()["failures"]) == ([], 0)
        assert seats.shown()["last_verdict"] == {"seq": 4, "verdict": "VALID"}

    def test_votes_that_are_missed_are_a_problem_from_the_limit_on(self) -> None:
        world = Moves()
        one = world.voters("0")[0]
        assert Seats(world, one, unheard=(0, 0)).problems() == []
        seats = Seats(world, one, unheard=(1, 5))
        (problem,) = seats.problems()
        assert problem == (
            f"our votes are missed: 1 block without us in 5 chain blocks; after {SILENCE} the others may "
            "remove us: see peers and clock"
        )
        shown = seats.shown()
        assert (shown["votes_missed"], shown["votes_missed_max"]) == (1, 1)
        assert (shown["silent_heights"], shown["silent_heights_max"]) == (5, SILENCE)

    @pytest.mark.parametrize("age", [60, 255])
    def test_who_is_too_old_to_count_its_stay_just_stays(self, age: int) -> None:
        world = Moves(age=age)
        seats = Seats(world, world.voters("0")[0])
        assert (seats.doing(), seats.shown()["events_until_move"]) == ("stays", None)
