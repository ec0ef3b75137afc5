"""REMOVE for blocks that were not forwarded: what proves it, and what does not."""

from collections.abc import Callable
from typing import Any

import pytest

from protocol.codec import replace
from protocol.errors import InvalidBlock, NotYetKnown, ProtocolError, StaleMessage
from protocol.group.kinds.forwards import forwarder, forwarding_window
from protocol.group.resend import Resend, build_resend
from tests.support.forwarding_world import Forwards


def quorum(world: Forwards) -> int:
    """How many of group 1 (whose voters are of one age) are enough."""
    return len(world.voters("1")) * 2 // 3 + 1


def test_who_forwards_neither_of_two_blocks_leaves_with_its_age() -> None:
    world = Forwards()
    enough = world.voters("1")[: quorum(world)]
    world.advance(world.removal([*world.reports(enough), world.presence]))
    state = world.states["0"]
    assert world.lazy.key not in state.membership and state.left[world.lazy.key].age == 4
    assert state.link_due


def test_less_than_a_quorum_of_the_other_group_removes_nobody() -> None:
    world = Forwards()
    everybody = world.voters("1")
    few = everybody[: quorum(world) - 1]
    with pytest.raises(InvalidBlock, match="no group says with a quorum"):
        world.removal([*world.reports(few), world.presence])
    first, second = world.missed
    mixed = world.reports(everybody, [first]) + world.reports(few, [second])
    with pytest.raises(InvalidBlock, match="no group says with a quorum"):
        world.removal([*mixed, world.presence])
    twice = world.reports(few)
    world.register("1", world.strangers("1", 2)[1].envelope(network=world.network))
    with pytest.raises(InvalidBlock, match="no group says with a quorum"):
        world.removal([*twice, *world.reports(few), world.presence])  # the same few, under another block


def test_reports_under_different_blocks_of_the_same_voters_count_together() -> None:
    world = Forwards()
    chosen = world.voters("1")[: quorum(world)]
    reports = world.reports(chosen[:3])
    world.register("1", world.strangers("1", 2)[1].envelope(network=world.network))
    assert world.removal([*reports, *world.reports(chosen[3:]), world.presence])


def test_voters_before_and_after_a_change_do_not_count_together() -> None:
    world = Forwards()
    gone, *others = world.voters("1")
    reports = world.reports(others[:3])
    world.convict("1", gone)
    proofs = [*reports, *world.reports(others[3 : quorum(world)]), world.presence]
    with pytest.raises(InvalidBlock, match="no group says with a quorum"):
        world.removal(proofs)


def test_one_block_is_not_enough_and_three_are_one_too_many() -> None:
    world = Forwards()
    third = world.nearest_to(world.lazy)
    for blocks in ([world.missed[0]], [*world.missed, third], []):
        with pytest.raises(InvalidBlock, match=f"reports on {len(blocks)} blocks"):
            world.removal([*world.reports(missed=blocks), world.presence])
    assert world.removal(
        [*world.reports(missed=[world.missed[1], third]), world.vote(world.lazy, third.block.height)]
    )


def test_who_was_not_there_between_the_blocks_is_not_removed() -> None:
    world = Forwards()
    first, second = (one.block.height for one in world.missed)
    other = world.voters("0")[0]
    if other == world.lazy:
        other = world.voters("0")[1]
    for votes in (
        [],
        [world.vote(world.lazy, first)],
        [world.vote(world.lazy, second + 1)],
        [world.vote(other, second)],
        [world.vote(world.lazy, second, prefix="1")],
        [world.vote(world.lazy, second), world.vote(world.lazy, first + 1, prefix="1")],
    ):
        with pytest.raises(InvalidBlock, match="was there between"):
            world.removal([*world.reports(), *votes])
    assert world.removal([*world.reports(), world.vote(world.lazy, first + 1)])


def test_nobody_answers_for_what_was_anothers_to_forward() -> None:
    world = Forwards()
    other = next(one for one in world.voters("0") if one != world.lazy)
    with pytest.raises(InvalidBlock, match="another member"):
        world.removal([*world.reports(), world.presence], other)
    with pytest.raises(InvalidBlock, match="to forward"):
        world.removal(altered(world, member=other.key), other)


def altered(world: Forwards, **change: Any) -> list[bytes]:
    """The reports, each changed and signed anew; with the vote."""
    made = [(one, world.resend(one, block)) for block in world.missed for one in world.voters("1")]
    return [*(build_resend(one.signer, replace(said, **change)) for one, said in made), world.presence]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda world: {"height": world.missed[0].block.height + 100}, InvalidBlock, "does not stand"),
        (lambda world: {"block_hash": bytes(32)}, NotYetKnown, "not held"),
        (lambda world: {"group_block": bytes(32)}, NotYetKnown, "not held"),
        (lambda world: {"group_block": world.missed[0].block_hash}, InvalidBlock, "has no vote in group '1'"),
        (lambda world: {"sender_prefix": "11"}, InvalidBlock, "has no vote in group '11'"),
        (lambda world: {"prefix": "00"}, InvalidBlock, "report on group '00'"),
        (lambda world: {"network": bytes(32)}, InvalidBlock, "report of network"),
    ],
)
def test_reports_that_say_something_else_remove_nobody(
    change: Callable[[Forwards], dict[str, Any]], error: type[ProtocolError], message: str
) -> None:
    world = Forwards()
    with pytest.raises(error, match=message):
        world.removal(altered(world, **change(world)))


def test_who_has_no_vote_there_reports_nothing() -> None:
    world = Forwards()
    stranger = world.strangers("1", 1)[0]
    with pytest.raises(InvalidBlock, match="has no vote"):
        world.removal([*world.reports(), world.report(stranger, world.missed[0]), world.presence])


def test_every_proof_is_signed_by_who_says_it() -> None:
    world = Forwards()
    for at in range(0, len(proofs := [*world.reports(), world.presence]), 7):
        forged = [*proofs]
        forged[at] = bytes(64) + proofs[at][64:]
        with pytest.raises(InvalidBlock, match="not signed by"):
            world.removal(forged)
    with pytest.raises(InvalidBlock, match="not signed by"):
        world.removal([*proofs[:-1], bytes(64) + proofs[-1][64:]])
    with pytest.raises(InvalidBlock):
        world.removal([*proofs, b"something else" * 10])


def test_old_blocks_and_old_voters_do_not_count() -> None:
    world = Forwards()
    proofs = [*world.reports(), world.presence]
    stamp, burial = world.missed[0].block.stamp_height, world.genesis.parameters.burial
    world.chain.mine_to(stamp + burial + forwarding_window(world.genesis.parameters))
    assert world.removal(proofs)
    world.chain.mine()
    with pytest.raises(InvalidBlock, match="too old"):
        world.removal(proofs)


def test_the_voters_who_speak_are_those_of_the_time_of_the_block() -> None:
    world = Forwards()
    old = world.states["1"].head
    world.chain.mine_to(world.chain.tip()[0] + world.genesis.parameters.silence + 1)
    first, second = world.nearest_to(world.lazy), world.nearest_to(world.lazy)
    vote = world.vote(world.lazy, second.block.height)
    with pytest.raises(InvalidBlock, match="those of long before"):
        world.removal([*world.reports(missed=[first, second]), vote])
    world.register("1", world.strangers("1", 2)[1].envelope(network=world.network))
    assert world.states["1"].head != old
    assert world.removal([*world.reports(missed=[first, second]), vote])


def test_what_cost_a_place_once_does_not_cost_it_again_after_a_return() -> None:
    world = Forwards()
    proofs = [*world.reports(), world.presence]
    world.advance(world.removal(proofs))
    world.link("0")
    with pytest.raises(StaleMessage, match="is no member"):
        world.removal(proofs)
    world.come_back(world.lazy)
    with pytest.raises(InvalidBlock, match="to forward"):
        world.removal(proofs)


def test_a_group_alone_in_its_network_removes_nobody_so() -> None:
    world = Forwards()
    with pytest.raises(ValueError, match="another group than its own"):
        replace(world.resend(world.voters("1")[0], world.missed[0]), prefix="")
    with pytest.raises(ValueError, match="another group than its own"):
        replace(world.resend(world.voters("1")[0], world.missed[0]), sender_prefix="01")


def test_a_member_does_not_report_itself() -> None:
    world = Forwards()
    said: Resend = world.resend(world.voters("1")[0], world.missed[0])
    with pytest.raises(ValueError, match="nobody reports itself"):
        replace(said, member=said.sender)


def test_the_nearest_voter_forwards_and_who_has_no_vote_never() -> None:
    world = Forwards()
    standing = world.missed[0]
    order = standing.members.nearest_voters(standing.block_hash)
    assert forwarder(standing) == order[0] == world.lazy.key
    assert sorted(order) == [voter.operator_key for voter in standing.electorate.voters]
    young = standing.members.get(world.lazy.key)
    assert young is not None
    without = standing.members.put(replace(young, age=0))
    assert without.nearest_voters(standing.block_hash) == order[1:]
