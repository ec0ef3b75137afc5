"""One member an IP slot: who stays when a change of registration brings two to one place."""

from dataclasses import replace
from types import MappingProxyType

from protocol.group.kinds.slots import settle_slots, slots_of
from protocol.group.name import distance
from protocol.tracking.diversity import ip_slot
from tests.support.moves_world import PARAMETERS, Moves
from tests.support.operators import Operator, operator

PERIOD = PARAMETERS.period_blocks


def test_who_moves_to_a_members_place_is_dismissed_when_the_change_counts() -> None:
    world = Moves()
    stays, goes = world.voters("0")[:2]
    world.enrol(goes, sequence=2, ip=stays.ip)
    for seq in range(1, 4):
        world.hold(seq)
        counts = world.states["0"].stamp_height >= PERIOD
        assert (goes.key in world.states["0"].membership) == (not counts)
    assert counts
    state = world.states["0"]
    assert stays.key in state.membership and state.left[goes.key].age == 1
    assert state.link >= 1 and len(set(slots_of(state, state.stamp_height).values())) == 4


def shared(world: Moves, *members: Operator, ip: bytes) -> None:
    """Let these members' registrations be for one place."""
    book = world.states["0"].book
    for one in members:
        book = book.apply(world.registered(one, sequence=2, ip=ip), 1)
    world.states["0"] = replace(world.states["0"], book=book, stamp_height=PERIOD)


PLACE = operator(5_000).ip


def test_of_two_that_come_at_once_the_last_valid_one_stays_else_the_elder_else_the_nearest() -> None:
    world = Moves()
    one, two = world.voters("0")[:2]
    before = world.states["0"]
    shared(world, one, two, ip=PLACE)
    state = world.states["0"]
    members = {key: world.states["0"].membership.get(key) for key in (one.key, two.key)}
    nearest = min(members, key=lambda key: distance(members[key].name, state.head))  # type: ignore[union-attr]
    assert {key for key in members if key in settle_slots(state, before).membership} == {nearest}
    farthest = next(key for key in members if key != nearest)
    slot = ip_slot(PLACE, PARAMETERS)
    held = replace(state, holders=MappingProxyType({slot: farthest}))
    assert {key for key in members if key in settle_slots(held, before).membership} == {farthest}


def test_the_last_voter_stays_whoever_had_the_place() -> None:
    world = Moves()
    one, two = world.voters("0")[:2]
    shared(world, two, ip=one.ip)
    state = world.states["0"]
    voter = next(v for v in state.electorate.voters if v.operator_key == two.key)
    alone = replace(state, electorate=replace(state.electorate, voters=(voter,)))
    after = settle_slots(alone, state)
    assert two.key in after.membership and one.key in after.left


def test_many_in_one_place_leave_one() -> None:
    world = Moves()
    everybody = world.voters("0")
    before = world.states["0"]
    shared(world, *everybody, ip=PLACE)
    after = settle_slots(world.states["0"], before)
    assert len(after.membership) == 1 and len(after.left) == 4 and after.link_due


def test_who_shares_no_place_stays() -> None:
    world = Moves()
    state = world.states["0"]
    assert settle_slots(state, state) is state
