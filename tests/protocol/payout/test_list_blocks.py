"""Which verdict blocks a list uses, and until when it waits for one."""

import pytest

from protocol.codec import replace
from protocol.errors import InvalidBlock, NotYetKnown
from protocol.group.void import Void
from protocol.parameters import ZEN
from protocol.payout.list_blocks import (
    Reach,
    check_complete,
    check_heads,
    lateness_deadline,
    listable_challenges,
    period_challenges,
    select_records,
)
from protocol.payout.list_header import Head
from tests.support.payout_world import World, make_genesis


@pytest.mark.parametrize(
    ("period", "own", "listable"),
    [
        (0, range(3, 3), range(3, 3)),
        (1, range(3, 6), range(3, 6)),
        (2, range(6, 9), range(3, 9)),
        (3, range(9, 12), range(6, 12)),
    ],
)
def test_challenges_of_a_period(period: int, own: range, listable: range) -> None:
    genesis = make_genesis()
    assert period_challenges(genesis, period) == own
    assert list(listable_challenges(genesis, period)) == list(listable)


def test_the_first_period_begins_with_the_first_challenge() -> None:
    genesis = replace(make_genesis(), first_challenge_height=40)
    assert list(period_challenges(genesis, 1)) == [5]
    assert list(period_challenges(genesis, 2)) == [6, 7, 8]
    assert list(listable_challenges(genesis, 2)) == [5, 6, 7, 8]


def select(world: World, period: int, reach: Reach | None = None, used: tuple[bytes, ...] = ()) -> list[int]:
    reach = world.reach(world.heads()) if reach is None else reach
    chosen = select_records(world.genesis, period, reach, world.records, used, world.chain)
    return [record.seq for record in chosen]


def judged(*seqs: int) -> World:
    world = World()
    for seq in seqs:
        world.judge(seq)
    return world


def test_own_and_late_challenges_are_selected_once() -> None:
    world = judged(3, 4, 5, 6, 7)
    assert select(world, 1) == [3, 4, 5]
    assert select(world, 2) == [3, 4, 5, 6, 7]
    used = tuple(record.block_hash for record in world.records[:2])
    assert select(world, 2, used=used) == [5, 6, 7]
    assert select(world, 3) == [6, 7], "what came two periods late has lapsed"


def test_blocks_above_the_head_are_left_out() -> None:
    world = judged(3, 4, 5)
    assert select(world, 1, {"": [(0, 2)]}) == [3, 4]
    assert select(world, 1, {"0": [(0, 2)]}) == []
    assert select(world, 1, {"": [(0, 1), (2, 3)]}) == [3, 5]


def test_a_challenge_whose_anchor_left_the_chain_is_void() -> None:
    world = judged(3, 4, 5)
    tip = len(world.chain.blocks) - 1
    world.chain.disconnect(tip - 31)
    world.chain.mine_to(tip, salt=b"other branch")
    assert select(world, 1) == [3], "the anchors of 4 and 5 were replaced"


def test_one_block_handed_over_twice_counts_once() -> None:
    world = judged(3, 4)
    world.records.append(world.records[0])
    assert select(world, 1) == [3, 4]


def complete(world: World, head_height: int | None = None) -> None:
    height = len(world.blocks) - 1 if head_height is None else head_height
    check_complete(world.genesis, 1, {"": [(0, height)]}, world.records, world.chain)


def test_a_list_with_all_its_challenges_need_not_wait() -> None:
    world = judged(3, 4, 5)
    world.bury(1)
    complete(world)


def test_a_missing_challenge_is_waited_for_until_the_deadline() -> None:
    world = judged(3, 5)
    deadline = lateness_deadline(world.genesis, 1)
    assert deadline == 47 + 2 + 8
    world.chain.mine_to(deadline - 1)
    with pytest.raises(NotYetKnown, match="challenge 4"):
        complete(world)
    world.chain.mine()
    complete(world)


def test_a_block_that_we_hold_may_not_be_left_out_so_soon() -> None:
    """A proposer that states an old head would postpone somebody's pay by a period."""
    world = judged(3, 4, 5)
    world.chain.mine_to(lateness_deadline(world.genesis, 1) + 7)
    with pytest.raises(NotYetKnown, match="challenge 5"):
        complete(world, head_height=2)
    world.chain.mine()
    complete(world, head_height=2)


def test_a_late_block_that_we_hold_may_not_be_left_out_so_soon_either() -> None:
    """It would lapse: the next list reads back one period only."""
    world = judged(3, 5, 6, 7, 8)
    late = world.judge(4)
    deadline = lateness_deadline(world.genesis, 2)
    world.chain.mine_to(deadline + 7)
    reach = {"": [(0, late.height - 1)]}
    with pytest.raises(NotYetKnown, match=f"challenge 4 .* until height {deadline + 8}"):
        check_complete(world.genesis, 2, reach, world.records, world.chain)
    check_complete(world.genesis, 2, {"": [(0, late.height)]}, world.records, world.chain)
    world.chain.mine()
    check_complete(world.genesis, 2, reach, world.records, world.chain)


def test_every_region_must_be_judged_by_whatever_groups() -> None:
    world = World()
    for seq in (3, 4):
        world.judge(seq)
    for prefix in ("0", "10", "11"):
        reach = {part: [(0, 9)] for part in ("", "0", "10", "11")}
        with pytest.raises(NotYetKnown, match="challenge 5"):
            check_complete(world.genesis, 1, reach, world.records, world.chain)
        world.judge(5, prefix=prefix)
    check_complete(world.genesis, 1, reach, world.records, world.chain)
    reach["11"] = [(0, world.records[-1].height - 1)]
    with pytest.raises(NotYetKnown, match="challenge 5 has no verdict of 11"):
        check_complete(world.genesis, 1, reach, world.records, world.chain)


def test_parts_that_other_groups_judge_are_waited_for_a_challenge_longer_once_we_hold_them() -> None:
    world = World()
    for seq in (3, 4):
        world.judge(seq)
    world.judge(5, prefix="0")
    deadline = lateness_deadline(world.genesis, 1)
    world.chain.mine_to(deadline)
    check_complete(world.genesis, 1, {part: [(0, 9)] for part in ("", "0", "1")}, world.records, world.chain)
    world.judge(5, prefix="10")
    reach = {"": [(0, 9)], "0": [(0, 9)], "10": [(0, 3)], "11": [(0, 9)]}
    with pytest.raises(NotYetKnown, match=rf"of 1 .* until height {deadline + 8}"):
        check_complete(world.genesis, 1, reach, world.records, world.chain)
    world.chain.mine_to(deadline + 8)
    check_complete(world.genesis, 1, reach, world.records, world.chain)


def test_deadline_of_zen() -> None:
    genesis = make_genesis()
    assert (
        lateness_deadline(replace(genesis, parameters=ZEN, first_challenge_height=576), 1)
        == 8_063 + 100 + 576
    )


def test_heads_never_go_back_but_behind_what_became_void() -> None:
    before = [Head(prefix=part, height=7, block_hash=bytes(32)) for part in "01"]
    whole = Head(prefix="", height=99, block_hash=bytes(32))
    void = Void(prefix="1", above=5, beside=8, through=90, silent_since=1, stamp_height=2)
    reach = {"": [(0, 3), (90, 99)], "0": [(3, 8)], "1": [(3, 5)]}
    with pytest.raises(InvalidBlock, match="before those of the list before, in '1'"):
        check_heads([whole], reach, before)
    check_heads([whole], reach, before, [void])
    with pytest.raises(InvalidBlock, match="in '0'"):
        check_heads([whole], {**reach, "0": [(3, 6)]}, before, [void])
    check_heads([whole], {**reach, "1": [(3, 5), (95, 97)]}, before, [void])
