"""Nodes of two groups of which one stops or is cut off: what they decide by themselves, and end with."""

import pytest

from protocol.group.data_block import (
    AbsorbPayload,
    Kind,
    Step,
    decode_block,
    decode_certified,
    decode_payload,
)
from protocol.group.summons import encode_life, encode_summons, summons_of
from protocol.units import Hash32
from tests.support.many_groups import convict, same_everywhere, standing, stored
from tests.support.node_cluster import Cluster
from tests.support.parted import TERM, Parted


def kinds_of(parted: Parted, prefix: str, *, far: bool = False) -> list[Kind]:
    """The blocks of a prefix in the order in which a node of one side applied them."""
    blocks = [decode_block(decode_certified(data).block) for _, data in stored(parted.peer(far=far))]
    return [block.kind for block in blocks if block.prefix == prefix]


def steps(parted: Parted) -> list[Step]:
    """What 0 has decided about 1."""
    blocks = [decode_block(decode_certified(data).block) for _, data in stored(parted.peer())]
    found = [decode_payload(one) for one in blocks if (one.prefix, one.kind) == ("0", Kind.ABSORB)]
    return [payload.step for payload in found if isinstance(payload, AbsorbPayload)]


def absorbed(parted: Parted) -> None:
    """Let 0 absorb 1, of which it hears nothing."""
    mined = parted.summon()
    parted.cluster.mine_to(mined + TERM)
    assert parted.live() == ["0", "1"]
    parted.cluster.mine(3)
    assert parted.live() == [""]


def test_a_group_that_has_stopped_is_summoned_and_absorbed() -> None:
    parted = Parted()
    parted.cluster.cut = {one.key for one in parted.far}
    absorbed(parted)
    whole = parted.state("")
    assert not whole.link_due and sorted(whole.left) == sorted(one.key for one in parted.far)
    assert parted.peer().node.group.state is whole
    parted.cluster.mine(12)
    assert kinds_of(parted, "")[-1] is Kind.VERDICT and parted.state("").unjudged(99) == ("",)


def test_whoever_was_away_follows_and_sees_that_it_is_no_member() -> None:
    parted = Parted()
    parted.cluster.cut = {one.key for one in parted.far}
    absorbed(parted)
    parted.heal()
    assert same_everywhere(parted.cluster)
    node = parted.peer(far=True).node
    assert node.group.state.prefix == "" and node.operator_key in node.group.state.left


def test_who_missed_nothing_but_what_followed_a_merge_follows_all_the_same() -> None:
    """The last block of 0 that it has ended 0's chain, and yet its ABSORB blocks come after."""
    parted = Parted()
    far = {one.key for one in parted.far}
    parted.cluster.drops = lambda sender, to, data: sender in far
    for one in parted.near[1:]:
        convict(parted.cluster, one)
    parted.cluster.mine(4)
    assert parted.state("0").closed_by is parted.state("0", far=True).closed_by is Kind.MERGE
    parted.cluster.cut = set(far)
    absorbed(parted)
    assert parted.live(far=True) == ["0", "1"]
    parted.heal()
    assert same_everywhere(parted.cluster) and parted.live(far=True) == [""]


def test_its_members_return_without_a_vote() -> None:
    parted = Parted(joins=True)
    away = {one.key for one in parted.far}
    parted.cluster.cut = set(away)
    absorbed(parted)
    parted.heal()
    for _ in range(60):
        parted.cluster.mine()
        back = away & {one.operator_key for one in parted.state("").membership.members}
        if back:
            break
    assert back
    assert all(one.age < 4 for one in parted.state("").membership.members if one.operator_key in back)


def test_a_group_that_is_cut_off_hears_of_its_summons_and_answers() -> None:
    parted = Parted()
    parted.part()
    mined = parted.summon()
    (news,) = parted.peer(far=True).events("group.summoned")
    assert news.fields == {
        "prefix": "1",
        "height": mined,
        "due": mined + TERM,
        "data_height": news.fields["data_height"],
    }
    absorbing = parted.peer(far=True).node.absorbing
    assert [one.prefix for one in absorbing.unanswered()] == ["1"]
    parted.show_life()
    assert not absorbing.unanswered()
    parted.cluster.mine(TERM + 4)
    assert parted.live() == parted.live(far=True) == ["0", "1"]
    parted.heal()
    assert same_everywhere(parted.cluster)
    parted.cluster.mine(8)
    assert parted.state("0").summons is None and same_everywhere(parted.cluster)


def test_a_group_that_comes_back_in_time_is_not_absorbed() -> None:
    parted = Parted()
    parted.cluster.cut = {one.key for one in parted.far}
    mined = parted.summon()
    parted.heal()
    parted.cluster.mine_to(mined + TERM + 4)
    assert steps(parted) == [Step.SUMMON, Step.DROP]
    assert same_everywhere(parted.cluster)


def test_what_an_absorbed_group_went_on_with_is_void_and_it_stops_by_itself() -> None:
    parted = Parted()
    parted.part()
    mined = parted.summon()
    opened = parted.state("0").summons
    assert opened is not None
    parted.cluster.mine_to(mined + TERM + 3)
    assert parted.live() == [""] and parted.live(far=True) == ["0", "1"]
    last = parted.state("1", far=True)
    assert last.height > opened.height, "it went on, and nobody showed it"
    parted.cluster.mine(12)
    assert parted.state("1", far=True) is last, "the term is over"
    parted.heal()
    assert same_everywhere(parted.cluster) and parted.live(far=True) == [""]
    archive = parted.peer(far=True).node.groups.archive
    assert (
        archive.lives.is_void("1", last.height) and archive.lives.void_blocks == last.height - opened.height
    )
    held = {peer.node.groups.held for peer in parted.cluster.peers.values()}
    assert len(held) == 1, "nobody asks for what counts for nothing"


@pytest.mark.parametrize("far", [False, True])
def test_after_a_start_it_is_the_same(far: bool) -> None:
    parted = Parted()
    parted.part()
    mined = parted.summon()
    parted.cluster.mine_to(mined + TERM + 3)
    parted.heal()
    before = standing(parted.peer(far=far).node.groups), stored(parted.peer(far=far))
    peer = parted.cluster.restart(parted.at[far])
    assert (standing(peer.node.groups), stored(peer)) == before
    assert same_everywhere(parted.cluster)


def test_a_summons_that_nobody_made_stops_nobody_who_hears_its_sibling() -> None:
    parted = Parted()
    state = parted.state("1")
    forged = summons_of("1", state.height, state.head, Hash32(bytes(32)))
    mined = parted.mark(encode_summons(forged), parted.near[0])
    parted.cluster.mine_to(mined + TERM + 20)
    assert parted.live() == ["0", "1"]
    assert parted.state("1").height > state.height and parted.state("1").stamp_height > mined + TERM


def test_both_summon_and_the_first_on_the_chain_goes_on() -> None:
    parted = Parted()
    parted.part()
    stop_judging(parted.cluster)
    parted.cluster.mine(2 * TERM)
    assert parted.state("0").summons and parted.state("1", far=True).summons
    parted.summon("1", far=True)
    mined = parted.summon("0")
    parted.cluster.mine_to(mined + TERM + 4)
    assert parted.live(far=True) == [""] and parted.live() == ["0", "1"]
    parted.heal()
    assert same_everywhere(parted.cluster) and parted.live() == [""]


def stop_judging(cluster: Cluster) -> None:
    """Let no observation arrive, so that nothing is certified any more."""
    lost = cluster.drops
    cluster.drops = lambda sender, to, data: lost(sender, to, data) or b"observation" in data[:120]


def come_together(parted: Parted) -> None:
    """Cut 1 off until the halves of 0 are one for it."""
    parted.cluster.cut = {one.key for one in parted.far}
    for _ in range(3 * TERM):
        if parted.live() == ["0", "1"]:
            return
        parted.cluster.mine()
    raise AssertionError("nobody came together")


def test_the_halves_of_its_sibling_come_together_and_absorb_it() -> None:
    parted = Parted(has_split=True)
    assert parted.live() == ["00", "01", "1"]
    come_together(parted)
    mined = parted.summon()
    parted.cluster.mine_to(mined + TERM + 3)
    assert parted.live() == [""]
    parted.cluster.mine(8)
    assert kinds_of(parted, "")[-1] is Kind.VERDICT
    parted.heal()
    assert same_everywhere(parted.cluster) and parted.live(far=True) == [""]
    assert [kinds_of(parted, half).count(Kind.MERGE) for half in ("00", "01")] == [1, 1]


def test_halves_stay_as_they_are_beside_a_group_that_works() -> None:
    parted = Parted(has_split=True)
    parted.cluster.mine(3 * TERM)
    assert parted.live() == ["00", "01", "1"]


def test_when_it_comes_back_its_sibling_parts_again() -> None:
    parted = Parted(has_split=True)
    come_together(parted)
    parted.heal()
    made = kinds_of(parted, "0")
    assert made.count(Kind.SPLIT) == 2 and made[-1] is not Kind.ABSORB
    assert steps(parted) == [Step.SUMMON, Step.DROP]
    parted.cluster.mine(TERM)
    assert same_everywhere(parted.cluster)


def test_a_sign_of_life_by_a_stranger_is_none() -> None:
    parted = Parted()
    parted.cluster.cut = {one.key for one in parted.far}
    mined = parted.summon()
    parted.mark(encode_life(bytes(32)), parted.near[1])
    parted.cluster.mine_to(mined + TERM + 3)
    assert parted.live() == [""]
