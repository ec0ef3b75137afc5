"""REMOVE: for what a member loses its place, and that it keeps its age."""

from collections.abc import Sequence

import pytest

from protocol.errors import InvalidBlock, NotYetKnown, StaleMessage
from protocol.group.data_block import Removal
from protocol.group.movemaker import build_remove
from protocol.units import Hash32
from tests.support.group_world import repacked
from tests.support.moves_world import JOINERS, PARAMETERS, Moves
from tests.support.operators import Operator, operator

FAILURES = PARAMETERS.challenge_failures


def remove_block(world: Moves, one: Operator, reason: Removal, proofs: Sequence[bytes] = ()) -> bytes:
    return build_remove(world.at("0"), world.chain, world, one.key, reason, proofs)


def test_who_was_silent_leaves_with_its_age_and_name() -> None:
    world = Moves(age=4)
    one = world.voters("0")[0]
    member = world.member(one)
    world.settle(remove_block(world, one, Removal.SILENT))
    state = world.states["0"]
    assert one.key not in state.membership and one.key not in state.electorate
    left = state.left[one.key]
    assert (left.age, left.name, left.stamp_height) == (4, member.name, state.stamp_height)
    assert state.link == 2
    with pytest.raises(StaleMessage, match="is no member"):
        remove_block(world, one, Removal.SILENT)


def test_the_last_voter_is_not_removed() -> None:
    world = Moves()
    *others, last = world.voters("0")
    for one in others:
        world.remove(one)
    with pytest.raises(InvalidBlock, match="without voters"):
        remove_block(world, last, Removal.SILENT)


def test_a_stranger_is_not_removed() -> None:
    with pytest.raises(StaleMessage, match="is no member"):
        remove_block(Moves(), JOINERS[0], Removal.SILENT)


def test_silence_has_no_proofs() -> None:
    world = Moves()
    body = remove_block(world, world.voters("0")[0], Removal.SILENT)
    with pytest.raises(InvalidBlock, match="nothing proves"):
        world.at("0").check_block(repacked(body, proofs=(bytes(32),)), world.chain, world)


def failing(*silences: bool) -> tuple[Moves, Operator, list[Hash32]]:
    """A member that does not answer these challenges, from the first on; and the verdicts on it."""
    world = Moves()
    one = world.voters("0")[0]
    verdicts = []
    for seq, is_silent in enumerate(silences, start=1):
        world.hold(seq, silent=[one] if is_silent else [])
        verdicts.append(world.verdict_on(one, seq))
    return world, one, verdicts


def test_who_fails_challenges_in_a_row_is_removed() -> None:
    world, one, verdicts = failing(*[True] * FAILURES)
    world.settle(remove_block(world, one, Removal.CHALLENGES, verdicts))
    assert world.states["0"].left[one.key].age == 1


def test_fewer_challenges_or_one_answered_do_not_remove() -> None:
    world, one, verdicts = failing(True, False, True, True)
    with pytest.raises(InvalidBlock, match="did not fail each"):
        remove_block(world, one, Removal.CHALLENGES, verdicts[1:])
    with pytest.raises(InvalidBlock, match="challenges in a row"):
        remove_block(world, one, Removal.CHALLENGES, [verdicts[0], *verdicts[2:]])
    for proofs in (verdicts[2:], verdicts, [], [b"x"] * 3):
        with pytest.raises(InvalidBlock, match=f"not the hashes of {FAILURES} blocks"):
            remove_block(world, one, Removal.CHALLENGES, proofs)


def test_long_forgotten_failures_do_not_remove() -> None:
    world, one, verdicts = failing(*[True] * FAILURES)
    body = remove_block(world, one, Removal.CHALLENGES, verdicts)
    assert body
    world.chain.mine_to(world.chain.tip()[0] + 2 * PARAMETERS.challenge_every)
    with pytest.raises(InvalidBlock, match="not the basis"):
        remove_block(world, one, Removal.CHALLENGES, verdicts)


def test_verdicts_that_are_not_held_or_not_on_the_member_do_not_remove() -> None:
    world, one, verdicts = failing(*[True] * FAILURES)
    unknown = Hash32(bytes(32))
    with pytest.raises(NotYetKnown, match="not held"):
        remove_block(world, one, Removal.CHALLENGES, [unknown, *verdicts[1:]])
    with pytest.raises(InvalidBlock, match="is no VERDICT"):
        seat = world.remove(world.voters("1")[0])
        remove_block(world, one, Removal.CHALLENGES, [seat, *verdicts[1:]])


def test_who_is_not_registered_any_more_is_removed() -> None:
    world = Moves()
    one = world.voters("0")[0]
    with pytest.raises(InvalidBlock, match="has a registration in force"):
        remove_block(world, one, Removal.DEREGISTERED)
    world.strike_off(one)
    world.hold(1)
    world.settle(remove_block(world, one, Removal.DEREGISTERED))
    assert one.key in world.states["0"].left


def test_a_founder_without_a_registration_keeps_its_place() -> None:
    silent = operator(77)
    world = Moves(bystanders=(silent,))
    prefix = world.seated(silent.key)
    with pytest.raises(InvalidBlock, match="may vote without a registration"):
        build_remove(world.at(prefix), world.chain, world, silent.key, Removal.DEREGISTERED)
