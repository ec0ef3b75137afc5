"""Where our own seat is, and when it asks for a place."""

from protocol.group.entropy import entropy_height
from protocol.node.mover import REQUEST_MILLISECONDS, Seat
from tests.support.moves_world import JOINERS, Moves
from tests.support.seats import Seats, asking, large_source

NEW = JOINERS[0]
SEQ = 2
NOW = 10_000


def test_a_seat_is_where_the_blocks_say() -> None:
    world = asking()
    assert Seats(world, NEW).mover.whereabouts().seat is Seat.HOME
    ticket = world.join(NEW, SEQ)
    here = Seats(world, NEW).mover.whereabouts()
    assert (here.seat, here.prefix) == (Seat.UNDER_WAY, world.fitting(world.moved(ticket).name))
    world.expire(ticket)
    here = Seats(world, NEW).mover.whereabouts()
    assert (here.seat, here.prefix) == (Seat.ENDED, world.home(NEW)) and here.ticket is not None
    founder = world.voters("0")[0]
    assert Seats(world, founder).mover.whereabouts().seat is Seat.MEMBER
    world.remove(founder)
    here = Seats(world, founder).mover.whereabouts()
    assert (here.seat, here.prefix) == (Seat.LEFT, "0")


def test_after_an_end_home_is_asked_by_a_later_verdict_only() -> None:
    world = asking()
    world.expire(world.join(NEW, SEQ))
    assert Seats(world, NEW).mover.tick(NOW) == []
    world.hold(5)
    mover = Seats(world, NEW).mover
    again = NOW + REQUEST_MILLISECONDS
    assert mover.tick(NOW) and not mover.tick(again - 1) and mover.tick(again)


def test_who_was_sent_by_its_group_asks_nobody_to_take_it_back() -> None:
    world, one, ticket = large_source()
    world.expire(ticket)
    world.hold(5)
    assert Seats(world, one).mover.whereabouts().seat is Seat.ENDED
    assert Seats(world, one).mover.tick(NOW) == []


def test_who_was_removed_asks_only_while_nobody_knows_its_next_name() -> None:
    world = Moves(age=4)
    one = world.voters("0")[0]
    world.hold(1)
    world.remove(one)
    world.hold(SEQ)
    assert Seats(world, one).mover.tick(NOW)
    world.chain.mine_to(entropy_height(SEQ + 1, world.parameters))
    assert not Seats(world, one).mover.tick(NOW)
