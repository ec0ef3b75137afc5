"""Who is under way between groups, and what ended a ticket, as the certified blocks say."""

from protocol.group.data_block import Move
from protocol.group.movemaker import build_readmit
from protocol.node import tickets as module
from protocol.node.tickets import Outcome, Tickets
from tests.support.moves_world import JOINERS, Moves
from tests.support.seats import Seen, asking, large_source

NEW = JOINERS[0]
SEQ = 2


def tickets_of(world: Moves) -> Tickets:
    return Seen(world, NEW).tickets


def test_a_ticket_is_open_until_a_block_ends_it() -> None:
    world = asking()
    ticket = world.join(NEW, SEQ)
    open_ = tickets_of(world).of(NEW.key)
    assert open_ is not None
    assert (open_.ticket, open_.why, open_.seq, open_.age) == (ticket, Move.JOIN, SEQ, 0)
    target = world.fitting(open_.name)
    assert [one.ticket for one in tickets_of(world).leading_to(target)] == [ticket]
    assert not list(tickets_of(world).leading_to("1" if target == "0" else "0"))
    (moved,) = tickets_of(world).moves()
    assert (moved.outcome, moved.source, moved.target) == (Outcome.UNDER_WAY, world.home(NEW), "")
    world.admit(ticket)
    (moved,) = tickets_of(world).moves()
    assert (moved.outcome, moved.target) == (Outcome.ARRIVED, target)
    assert tickets_of(world).of(NEW.key) is None and tickets_of(world).ending_of(NEW.key) is None


def test_an_ending_is_remembered_until_its_seat_is_somewhere_again() -> None:
    world = asking()
    end = world.expire(world.join(NEW, SEQ))
    ending = tickets_of(world).ending_of(NEW.key)
    assert ending is not None and ending.block_hash == end and ending.ticket.operator_key == NEW.key
    assert [one.outcome for one in tickets_of(world).moves()] == [Outcome.EXPIRED]
    world.hold(5)
    second = world.join(NEW, 5, end)
    assert tickets_of(world).ending_of(NEW.key) is None
    of_new = tickets_of(world).of(NEW.key)
    assert of_new is not None and of_new.ticket == second


def test_who_was_sent_away_is_taken_back_and_the_ending_is_forgotten() -> None:
    world, one, ticket = large_source()
    end = world.expire(ticket)
    assert [ending.block_hash for ending in tickets_of(world).endings()] == [end]
    world.settle(build_readmit(world.at("0"), world.chain, world, one.key, end))
    assert not list(tickets_of(world).endings())


def test_who_ages_where_it_is_has_no_ticket() -> None:
    world = Moves(halves=(4, 4))
    world.reduce("0", 3)
    world.hold(SEQ)
    world.give_events(world.voters("0")[0], 9)
    world.relocate("0")
    (moved,) = tickets_of(world).moves()
    assert (moved.outcome, moved.target) == (Outcome.STAYED, "0")
    assert tickets_of(world).of(moved.operator_key) is None


def test_only_the_last_moves_are_shown() -> None:
    world = asking()
    world.join(NEW, SEQ)
    tickets = tickets_of(world)
    standing = world.standings[tickets.moves()[0].ticket]
    for _ in range(module.MOVES_MAX + 5):
        tickets.note(standing)
    assert len(tickets.moves()) == module.MOVES_MAX
