"""RELOCATE: who moves after a verdict, who joins from home, who returns; everything else is refused."""

from typing import Any

import pytest

from protocol.crypto import sha3_256
from protocol.errors import InvalidBlock, NotYetKnown, ProtocolError, StaleMessage
from protocol.group.data_block import Move, decode_block
from protocol.group.elsewhere import Nowhere
from protocol.group.entropy import entropy_height, move_entropy
from protocol.group.movemaker import build_join, build_rejoin, build_relocate, build_return
from protocol.group.name import assign_name, home_draw, matches
from protocol.units import Hash32
from tests.support.group_world import changed, repacked
from tests.support.moves_world import JOINERS, Moves
from tests.support.operators import Operator

NEW, OTHER = JOINERS[:2]


def check(world: Moves, body: bytes, **change: Any) -> None:
    """Let the block's group check it, its payload changed."""
    body = repacked(body, **change) if change else body
    world.at(decode_block(body).prefix).check_block(body, world.chain, world)


def refused(world: Moves, body: bytes, reason: str, error: type[ProtocolError] = InvalidBlock) -> None:
    with pytest.raises(error, match=reason):
        check(world, body)


# JOIN.


def asking(seq: int = 2) -> Moves:
    """A network in which a newcomer is registered and was found VALID."""
    world = Moves()
    world.enrol(NEW)
    world.hold(seq)
    return world


def join_block(world: Moves, one: Operator = NEW, seq: int = 2, ending: bytes = b"") -> bytes:
    verdict = world.verdict_on(one, seq)
    return build_join(world.at(world.home(one)), world.chain, world, one.key, verdict, ending)


def test_an_operator_joins_from_its_home_group_where_its_name_falls() -> None:
    world = asking()
    ticket = world.join(NEW, 2)
    moved = world.moved(ticket)
    assert (moved.why, moved.age, moved.operator_key) == (Move.JOIN, 0, NEW.key)
    assert moved.name == assign_name(0, NEW.key, move_entropy(2, world.chain, world.parameters))
    home = world.states[world.home(NEW)]
    assert NEW.key in home.granted and not home.link_due and home.link == 1
    assert (home.away[NEW.key].ticket, home.away[NEW.key].name) == (ticket, home_draw(NEW.key))
    target = world.admit(ticket)
    member = world.member(NEW)
    assert (member.age, member.name, member.joined, member.prefix) == (0, moved.name, 2, target)
    assert ticket in world.states[target].ended and NEW.key not in world.states[target].electorate


def test_a_seat_is_given_away_once() -> None:
    world = asking()
    again = join_block(world)
    world.advance(again)
    with pytest.raises(StaleMessage, match="was given away"):
        join_block(world)
    founder = world.founders[0]
    with pytest.raises(StaleMessage, match="was given away"):
        join_block(world, founder)


def test_only_the_home_group_gives_a_seat_away() -> None:
    world = asking()
    other = world.at("1" if world.home(NEW) == "0" else "0")
    with pytest.raises(InvalidBlock, match="at home in another group"):
        build_join(other, world.chain, world, NEW.key, world.verdict_on(NEW, 2))


def test_who_joins_was_found_valid_not_long_ago() -> None:
    world = asking()
    verdict = world.verdict_on(NEW, 2)
    world.chain.mine_to(world.chain.tip()[0] + 15)
    join_block(world)
    world.chain.mine()
    with pytest.raises(InvalidBlock, match="challenge 2 is not the basis"):
        join_block(world)
    world.hold(5, silent=[NEW])
    with pytest.raises(InvalidBlock, match="is NO_RESPONSE in challenge 5"):
        join_block(world, seq=5)
    state = world.at(world.home(NEW))
    with pytest.raises(NotYetKnown, match="not held here"):
        build_join(state, world.chain, Nowhere(), NEW.key, verdict)


def test_a_name_is_not_drawn_before_its_entropy_is_buried() -> None:
    world = asking()
    body = join_block(world)
    early = {"stamp_height": 23, "stamp_hash": world.chain.block_hash(23)}
    refused(world, changed(body, **early), "not the basis of a move at chain height 23")
    world = Moves()
    world.enrol(NEW)
    world.chain.mine_to(16)
    for prefix in "01":
        world.judge(prefix, 2)
    with pytest.raises(NotYetKnown, match="chain block 24, not buried"):
        join_block(world)


def test_only_who_is_registered_joins() -> None:
    world = asking()
    world.strike_off(NEW)
    world.hold(3)
    with pytest.raises(InvalidBlock, match="no registration in force"):
        join_block(world)


def test_a_verdict_is_no_word_on_who_is_not_judged_there() -> None:
    world = asking()
    right = world.verdict_on(NEW, 2)
    wrong = next(
        one.block_hash
        for one in world.standings.values()
        if one.block_hash != right and one.block.stamp_height == world.standings[right].block.stamp_height
    )
    refused(world, repacked(join_block(world), verdict=wrong), "no verdict on")
    refused(world, repacked(join_block(world), verdict=world.states["0"].head), "no |is no VERDICT")


@pytest.mark.parametrize(
    "change",
    [{"age": 1}, {"name": bytes(32)}, {"seq": 3}, {"seq": 1}],
)
def test_nothing_of_a_join_can_be_chosen(change: dict[str, Any]) -> None:
    world = asking()
    with pytest.raises(InvalidBlock, match="another age or name"):
        check(world, join_block(world), **change)


def test_who_was_not_taken_in_gets_another_ticket_for_its_end() -> None:
    world = asking()
    first = world.join(NEW, 2)
    end = world.expire(first)
    with pytest.raises(StaleMessage, match="had a ticket for challenge 2"):
        join_block(world, seq=2, ending=end)
    world.hold(4)
    with pytest.raises(StaleMessage, match="was given away"):
        join_block(world, seq=4)
    world.enrol(OTHER)
    world.enrol(JOINERS[2])
    world.hold(5)
    others_end = world.expire(world.join(OTHER, 5))
    with pytest.raises(InvalidBlock, match="another ticket"):
        join_block(world, seq=5, ending=others_end)
    with pytest.raises(InvalidBlock, match="neither refuses"):
        join_block(world, seq=5, ending=first)
    with pytest.raises(InvalidBlock, match="no ending belongs"):
        join_block(world, JOINERS[2], 5, end)
    second = world.settle(join_block(world, seq=5, ending=end))
    assert world.states[world.home(NEW)].away[NEW.key].ticket == second != first
    world.admit(second)
    assert world.member(NEW).age == 0


# FIRST and AGED.


def ripe(name: str = "0", events: int = 2) -> tuple[Moves, Operator]:
    """A network in which a founder has stayed its time when a challenge has been judged."""
    world = Moves()
    one = world.voters(name)[0]
    world.give_events(one, events)
    world.hold(1)
    return world, one


def falls_out(world: Moves, one: Operator, age: int, seq: int) -> bool:
    name = assign_name(age, one.key, move_entropy(seq, world.chain, world.parameters))
    return not matches(world.seated(one.key), name)


def test_who_has_stayed_its_time_gets_a_ticket_or_a_new_name() -> None:
    seen = set()
    for salt in range(8):
        world = Moves()
        world.chain.mine(salt=bytes([salt]))
        one = world.voters("0")[0]
        world.give_events(one, 2)
        world.hold(2)
        leaves = falls_out(world, one, 2, 2)
        before = world.member(one)
        ticket = world.relocate("0")
        state, moved = world.states["0"], world.moved(ticket)
        assert (moved.why, moved.age, moved.seq) == (Move.AGED, 2, 2)
        assert state.link == 2 and state.move_due is None and not state.link_due
        seen.add(leaves)
        if leaves:
            assert one.key not in state.membership and one.key not in state.events
            away = state.away[one.key]
            assert (away.ticket, away.age, away.name) == (ticket, before.age, before.name)
        else:
            member = world.member(one)
            assert (member.age, member.name, member.joined) == (2, moved.name, before.joined)
            assert state.events[one.key] == 1, "the link of its own move counts"
            assert one.key not in state.away
    assert seen == {True, False}


def test_one_moves_after_a_verdict_and_no_other() -> None:
    world, one = ripe()
    other = next(judge for judge in world.voters("0") if judge != one)
    world.give_events(other, 2)
    body = build_relocate(world.at("0"), world.chain)
    chosen = world.settle(body)
    with pytest.raises(StaleMessage, match="no move is due"):
        build_relocate(world.at("0"), world.chain)
    again = changed(body, height=world.state.height + 1, previous=world.state.head)
    refused(world, again, "nobody is due to move after challenge 1", StaleMessage)
    assert world.moved(chosen).operator_key in (one.key, other.key)
    world.hold(2)
    moved = world.moved(world.relocate("0")).operator_key
    assert {moved, world.moved(chosen).operator_key} == {one.key, other.key}


def test_nobody_moves_before_its_time() -> None:
    world, _ = ripe(events=1)
    with pytest.raises(StaleMessage, match="nobody may move"):
        build_relocate(world.at("0"), world.chain)
    with pytest.raises(StaleMessage, match="no move is due"):
        build_relocate(Moves().state, world.chain)


def test_nobody_moves_before_the_entropy_is_buried() -> None:
    world = Moves()
    world.give_events(world.voters("0")[0], 2)
    world.judge("0", 1)
    with pytest.raises(NotYetKnown, match="chain block 16, not buried"):
        build_relocate(world.at("0"), world.chain)
    world.bury_entropy(1)
    body = build_relocate(world.at("0"), world.chain)
    assert decode_block(body).stamp_height == 16
    early = {"stamp_height": 15, "stamp_hash": world.chain.block_hash(15)}
    refused(world, changed(body, **early), "not buried at the stamp")


def test_neither_the_one_that_moves_nor_what_becomes_of_it_can_be_chosen() -> None:
    world, one = ripe()
    body = build_relocate(world.at("0"), world.chain)
    other = next(judge for judge in world.voters("0") if judge != one)
    for change, reason in (
        ({"operator_key": other.key}, "is not the one that moves"),
        ({"operator_key": NEW.key}, "is not the one that moves"),
        ({"age": 3}, "another age or name"),
        ({"name": bytes(32)}, "another age or name"),
        ({"why": Move.FIRST}, "another age or name"),
    ):
        with pytest.raises(InvalidBlock, match=reason):
            check(world, body, **change)
    with pytest.raises(StaleMessage, match="not returning"):
        check(world, body, why=Move.REJOIN)


def test_in_a_small_group_members_age_where_they_are() -> None:
    world = Moves()
    world.reduce("0", 3)
    one = world.voters("0")[0]
    world.give_events(one, 5)
    world.hold(1)
    before = world.member(one)
    world.relocate("0")
    member = world.member(one)
    assert (member.age, member.name) == (before.age + 1, before.name)
    assert world.states["0"].electorate.age(one.key) == 2 and world.states["0"].link == 4
    assert world.states["0"].events[one.key] == 1 and not world.states["0"].away


def test_a_newcomer_gets_a_vote_with_its_first_move() -> None:
    world = Moves()
    prefix = world.newcomer(NEW, 2)
    world.hold(3)
    ticket = world.relocate(prefix)
    moved = world.moved(ticket)
    assert (moved.operator_key, moved.why, moved.age) == (NEW.key, Move.FIRST, 1)
    if falls_into(moved.name, prefix):
        assert world.states[prefix].electorate.age(NEW.key) == 1
    else:
        assert world.states[world.admit(ticket)].electorate.age(NEW.key) == 1


def falls_into(name: bytes, prefix: str) -> bool:
    return matches(prefix, name)


def test_a_network_of_one_group_renames_who_moves() -> None:
    world = Moves(is_split=False)
    one = world.voters("")[0]
    world.give_events(one, 2)
    world.hold(1)
    before = world.member(one)
    world.relocate("")
    assert world.member(one).age == 2 and world.member(one).name != before.name
    assert not world.states[""].away


# REJOIN.


def came_back(age: int = 1) -> tuple[Moves, Operator]:
    """A network in which a member was removed, and came back without a vote after challenge 2."""
    world = Moves(age=age)
    one = world.voters("0")[0]
    world.hold(1)
    world.remove(one)
    world.hold(2)
    verdict = world.verdict_on(one, 2)
    world.settle(build_return(world.at("0"), world.chain, world, one.key, verdict))
    return world, one


@pytest.mark.parametrize("age", [1, 4, 5])
def test_who_returns_goes_on_with_half_its_age(age: int) -> None:
    world, one = came_back(age)
    world.bury_entropy(3)
    ticket = world.settle(build_rejoin(world.at("0"), world.chain, one.key))
    moved = world.moved(ticket)
    assert (moved.why, moved.seq, moved.age) == (Move.REJOIN, 3, age // 2)
    assert moved.name == assign_name(age // 2, one.key, move_entropy(3, world.chain, world.parameters))
    assert one.key not in world.states["0"].returning
    if matches("0", moved.name):
        assert world.member(one).age == age // 2
    else:
        assert world.states["0"].away[one.key].age == age // 2
        world.admit(ticket)
        assert world.member(one).age == age // 2


def test_who_is_not_returning_is_not_taken_for_full() -> None:
    world, one = came_back()
    with pytest.raises(NotYetKnown, match="entropy of challenge 3"):
        build_rejoin(world.at("0"), world.chain, one.key)
    with pytest.raises(StaleMessage, match="not returning"):
        build_rejoin(world.at("0"), world.chain, world.voters("0")[0].key)
    world.bury_entropy(3)
    body = build_rejoin(world.at("0"), world.chain, one.key)
    for change in ({"age": 1}, {"name": bytes(32)}, {"seq": 2}):
        with pytest.raises(InvalidBlock, match="another age or name"):
            check(world, body, **change)
    last = entropy_height(3, world.parameters) + world.parameters.silence
    world.bury(last)
    assert build_rejoin(world.at("0"), world.chain, one.key)
    world.bury(last + 1)
    with pytest.raises(StaleMessage, match="not returning"):
        build_rejoin(world.at("0"), world.chain, one.key)


# On its certificate's word.


def test_of_a_stranded_move_all_but_the_entropy_is_checked() -> None:
    world, one = ripe()
    world.give_events(world.voters("0")[1], 2)
    body = build_relocate(world.at("0"), world.chain)
    elsewhere = world.chain.copy()
    elsewhere.disconnect(9)
    elsewhere.mine_to(40, salt=b"another branch")
    strange = assign_name(2, one.key, sha3_256(b"entropy of a branch that is gone"))
    named = repacked(body, operator_key=one.key, name=strange)
    state = world.at("0")
    with pytest.raises(InvalidBlock, match="another one here"):
        state.check_block(named, elsewhere)
    after = state.apply(world.certified(named), elsewhere, on_its_word=True)
    assert (after.link_due, after.move_due) == (True, None)
    for change in ({"age": 3}, {"operator_key": world.voters("0")[-1].key}, {"why": Move.FIRST}):
        with pytest.raises(InvalidBlock, match="another age|not the one"):
            state.apply(world.certified(repacked(named, **change)), elsewhere, on_its_word=True)


def test_a_void_verdict_is_no_reason_for_a_move() -> None:
    world = asking()
    body = join_block(world)
    other = world.chain.copy()
    other.disconnect(other.tip()[0] - 15)
    other.mine_to(world.chain.tip()[0], salt=b"another branch")
    world.chain = other
    stamp = decode_block(body).stamp_height
    moved_on = changed(body, stamp_hash=other.block_hash(stamp))
    refused(world, moved_on, "challenge 2 has another anchor")


def test_the_block_of_a_ticket_is_its_name() -> None:
    world = asking()
    ticket = world.join(NEW, 2)
    assert world.standings[Hash32(ticket)].block_hash == world.states[world.home(NEW)].head
