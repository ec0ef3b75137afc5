"""How a group stands, what it owes and who moves next, read from real data chains."""

from collections.abc import Callable, Iterable

from protocol.group.age import events_until_move
from protocol.group.blockmaker import build_evidence, build_link
from protocol.group.entropy import entropy_height
from protocol.node.group_condition import (
    OWED_MAX,
    Condition,
    GroupCondition,
    Owed,
    group_condition,
    judgeable_at,
    next_move,
)
from protocol.tracking.registration import registration_home
from tests.support.group_world import SEQ
from tests.support.groups_world import Groups
from tests.support.moves_world import JOINERS, PARAMETERS, Moves

BURIAL, SILENCE = PARAMETERS.burial, PARAMETERS.silence


def never(seq: int) -> bool:
    return False


def condition(
    world: Moves | Groups,
    prefix: str,
    seqs: Iterable[int] = range(SEQ, SEQ + 1),
    is_void: Callable[[int], bool] = never,
) -> GroupCondition:
    return group_condition(world.states[prefix], world.chain.tip()[0], seqs, is_void)


def test_a_challenge_is_owed_from_when_it_can_be_judged() -> None:
    world = Moves(tip=13)
    due = world.challenge(SEQ).judged_at
    assert judgeable_at(SEQ, PARAMETERS) == due == world.chain.mine()
    assert condition(world, "0") == GroupCondition(Condition.RUNS, 1, (Owed(SEQ, ("0",), due),), False)
    assert group_condition(world.states["0"], due - 1, [SEQ], never).owed == ()
    assert condition(world, "0", is_void=lambda seq: seq == SEQ).owed == ()
    world.judge("0", SEQ)
    assert condition(world, "0") == GroupCondition(Condition.RUNS, 0, (), False)
    assert condition(world, "1").owed == (Owed(SEQ, ("1",), due),)


def test_a_group_has_stopped_when_nothing_came_for_silence_heights_after_something_was_due() -> None:
    world = Moves()
    due = world.challenge(SEQ).judged_at
    world.judge("0", SEQ)
    world.chain.mine_to(due + SILENCE - 1)
    assert condition(world, "1").condition is Condition.RUNS
    world.chain.mine_to(due + SILENCE)
    stopped = condition(world, "1")
    assert (stopped.condition, stopped.owed) == (Condition.STOPPED, (Owed(SEQ, ("1",), due),))
    assert condition(world, "0").condition is Condition.RUNS, "it owes nothing"
    assert condition(world, "1", is_void=lambda seq: True).condition is Condition.RUNS


def test_a_group_that_certifies_something_else_has_not_stopped() -> None:
    world = Moves()
    world.chain.mine_to(world.challenge(SEQ).judged_at + SILENCE)
    prefix = world.fitting(registration_home(JOINERS[0].stake_address))
    assert condition(world, prefix).condition is Condition.STOPPED
    world.enrol(JOINERS[0])
    assert condition(world, prefix).condition is Condition.RUNS
    assert condition(world, prefix).owed, "and owes the challenge still"
    world.chain.mine_to(world.chain.tip()[0] + SILENCE)
    assert condition(world, prefix).condition is Condition.STOPPED


def test_a_link_that_nobody_makes_stops_a_group_too() -> None:
    world = Groups()
    world.split("")
    (guilty, *_) = world.voters("0")
    world.chain.mine_to(world.chain.tip()[0] + 1)
    world.advance(build_evidence(world.at("0"), world.chain, [world.contradiction(guilty)]))
    assert condition(world, "0", ()).link_due
    world.chain.mine_to(world.chain.tip()[0] + SILENCE)
    stopped = condition(world, "0", ())
    assert (stopped.condition, stopped.quiet) == (Condition.STOPPED, SILENCE)
    assert condition(world, "1", ()).condition is Condition.RUNS
    world.advance(build_link(world.at("0"), world.chain))
    assert condition(world, "0", ()).condition is Condition.RUNS


def test_who_waits_for_its_sibling_has_not_stopped_however_long_it_takes() -> None:
    world = Groups()
    world.split("")
    world.shrink("0")
    world.merge("0")
    world.chain.mine_to(world.chain.tip()[0] + 2 * SILENCE)
    assert condition(world, "0").condition is Condition.MERGES
    assert condition(world, "0").owed, "its union judges it"


def test_a_small_group_that_does_not_merge_has_stopped() -> None:
    world = Groups()
    world.split("")
    world.shrink("0")
    world.chain.mine_to(world.chain.tip()[0] + SILENCE)
    assert condition(world, "0", ()).condition is Condition.STOPPED


def test_the_newest_of_many_owed_challenges_are_kept() -> None:
    world = Moves()
    last = SEQ + OWED_MAX + 5
    world.chain.mine_to(judgeable_at(last, PARAMETERS))
    owed = condition(world, "1", range(SEQ, last + 3)).owed
    assert [one.seq for one in owed] == list(range(last - OWED_MAX + 1, last + 1))


def test_nobody_is_next_before_somebody_has_stayed_its_time() -> None:
    world = Moves()
    assert next_move(world.states["0"], world.chain).operators == ()
    ripe = [one for one in world.founders if one.key in world.states["0"].membership][:2]
    for one in ripe:
        world.give_events(one, events_until_move(world.member(one).age))
    move = next_move(world.states["0"], world.chain)
    assert move.operators == tuple(sorted(one.key for one in ripe)) and move.seq is None


def test_entropy_says_which_of_several_is_next_and_it_is_the_one_that_moves() -> None:
    world = Moves()
    ripe = [one for one in world.founders if one.key in world.states["0"].membership]
    for one in ripe:
        world.give_events(one, events_until_move(world.member(one).age))
    world.judge("0", SEQ)
    at = entropy_height(SEQ, PARAMETERS)
    before = next_move(world.states["0"], world.chain)
    assert (before.seq, before.entropy_height, len(before.operators)) == (SEQ, at, len(ripe))
    world.bury_entropy(SEQ)
    (chosen,) = next_move(world.states["0"], world.chain).operators
    ticket = world.relocate("0")
    assert world.moved(ticket).operator_key == chosen
    assert next_move(world.states["0"], world.chain).seq is None
