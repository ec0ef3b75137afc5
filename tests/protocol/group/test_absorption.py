"""A stopped group is absorbed over the chain, and however its siblings part there is one history."""

from protocol.group.absorbmaker import build_summons, summons_payload
from protocol.group.blockmaker import build_link
from protocol.group.data_block import Kind, decode_block
from protocol.group.doubt import certain_heads
from protocol.group.kinds.partition import must_merge
from protocol.group.succession import HEIGHTS_LEFT_OUT
from protocol.group.summons import encode_life, encode_summons, summons_of
from protocol.units import Hash32
from tests.support.standoff_world import TERM, Eyes, World, heads, summoned, take_due, waiting


def test_a_stopped_group_is_absorbed_when_it_gives_no_sign_of_life() -> None:
    world = World()
    world.asleep = set(world.voters("1"))
    assert not world.summon("0"), "it has not been silent for a term"
    mined = summoned(world)
    stopped, members = world.near.live["1"], world.near.live["0"].membership
    assert not world.absorb("0")
    take_due(world, mined)
    assert world.absorb("0")
    assert sorted(world.near.live) == [""]
    whole = world.near.live[""]
    assert whole.height == max(world.near.past["0", 4].height, stopped.height) + 2 * HEIGHTS_LEFT_OUT
    assert [one.operator_key for one in whole.membership.members] == [
        one.operator_key for one in members.members
    ]
    assert sorted(whole.left) == [one.operator_key for one in stopped.membership.members]
    assert {key: seat.age for key, seat in whole.left.items()} == {
        one.operator_key: one.age for one in stopped.membership.members
    }
    assert whole.link_due and whole.head == world.near.past["0", 4].head
    assert whole.closed_by is None and world.near.past["0", 4].closed_by is Kind.ABSORB
    assert world.link("") and world.register("")


def test_with_what_the_whole_begins_counts_for_lists() -> None:
    world = World()
    mined = summoned(world)
    take_due(world, mined)
    assert world.absorb("0")
    whole = world.near.live[""]
    assert not world.near.voids[-1].covers("", whole.height)
    assert world.near.voids[-1].covers("", whole.height - 1)
    assert certain_heads(whole.stamp_height, world.chain, Eyes(world.near, world.founders[0], set())) == [
        ("", whole.height)
    ]


def test_every_seat_of_the_whole_is_one_that_either_had() -> None:
    world = World()
    before = world.near.past["", 1]
    mined = summoned(world)
    take_due(world, mined)
    assert world.absorb("0")
    whole = world.near.live[""]
    seats = [one.operator_key for one in whole.membership.members] + list(whole.left)
    assert sorted(seats) == [one.operator_key for one in before.membership.members]
    assert whole.granted == before.granted and not whole.away and not whole.returning
    assert whole.book.in_force(20) == before.book.in_force(20)


def test_what_the_stopped_group_had_not_judged_lapses_and_nothing_else() -> None:
    world = World()
    mined = summoned(world)
    take_due(world, mined)
    assert world.absorb("0")
    whole = world.near.live[""]
    every, burial = world.genesis.parameters.challenge_every, world.genesis.parameters.burial
    last = (whole.stamp_height + burial) // every + 1
    assert {seq: whole.unjudged(seq) for seq in range(1, last + 1)} == dict.fromkeys(
        range(1, last + 1), ("0",)
    )
    assert whole.unjudged(last + 1) == ("",)


class TestSignOfLife:
    """What keeps a group from being absorbed."""

    def test_a_group_that_is_cut_off_shows_a_later_head(self) -> None:
        world = World()
        world.part()
        mined = summoned(world)
        assert world.register("1", world.far)
        assert world.show_life("1", world.far) > mined
        take_due(world, mined)
        world.mine(TERM)
        assert not world.absorb("0")
        assert world.register("1", world.far), "it goes on"
        assert world.drop("0") and world.summon("0"), "it may be summoned anew"
        world.heal()
        assert heads(world.near) == heads(world.far)

    def test_it_counts_until_the_group_is_absorbed(self) -> None:
        world = World()
        world.part()
        mined = summoned(world)
        assert world.register("1", world.far)
        take_due(world, mined)
        world.mine(5)
        world.show_life("1", world.far)
        world.mine(5)
        assert not world.absorb("0")

    def test_an_old_block_is_none(self) -> None:
        world = World()
        world.part()
        mined = summoned(world)
        world.mine_mark(encode_life(world.near.live["1"].head), world.voters("1")[0])
        world.mine_mark(encode_life(world.near.past["", 1].head), world.voters("1")[0])
        take_due(world, mined)
        assert world.absorb("0")

    def test_a_hash_that_nobody_knows_is_one(self) -> None:
        world = World()
        mined = summoned(world)
        world.mine_mark(encode_life(bytes(32)), world.voters("1")[0])
        take_due(world, mined)
        assert not world.absorb("0")

    def test_nobody_else_can_give_it(self) -> None:
        world = World()
        mined = summoned(world)
        world.mine_mark(encode_life(bytes(32)), world.voters("0")[0])
        world.chain.mine(world.chain.spend(world.voters("1")[0].stake_address, [], encode_life(bytes(32))))
        take_due(world, mined)
        assert world.absorb("0"), "neither another group's voter, nor one whose signature does not cover it"

    def test_it_comes_after_the_summons(self) -> None:
        world = World()
        world.mine(TERM)
        assert world.summon("0")
        world.mine_mark(encode_life(bytes(32)), world.voters("1")[0])
        mined = world.mine_summons("0")
        take_due(world, mined)
        assert world.absorb("0")


class TestSummons:
    """When a group is summoned, and when that is off."""

    def test_its_mark_counts_by_a_voters_signature(self) -> None:
        world = World()
        world.mine(TERM)
        assert world.summon("0")
        opened = world.near.live["0"].summons
        assert opened is not None
        mined = world.mine_mark(summons_payload(opened), world.voters("1")[0])
        take_due(world, mined)
        assert not world.absorb("0")
        take_due(world, world.mine_summons("0"))
        assert world.absorb("0")

    def test_the_first_mark_starts_the_term(self) -> None:
        world = World()
        mined = summoned(world)
        world.mine(TERM - 2)
        world.mine_summons("0")
        take_due(world, mined)
        assert world.absorb("0")

    def test_meanwhile_the_group_works_but_does_not_part(self) -> None:
        world = World()
        summoned(world)
        assert world.register("0")
        assert not world.summon("0") and not world.split("0")
        assert not must_merge(world.near.live["0"])

    def test_it_is_dropped_when_the_group_is_back(self) -> None:
        world = World()
        summoned(world)
        assert not world.drop("0"), "nothing was heard"
        assert world.register("1")
        assert world.drop("0")
        assert world.near.live["0"].summons is None

    def test_it_is_dropped_when_nobody_has_it_mined(self) -> None:
        world = World()
        world.mine(TERM)
        assert world.summon("0")
        world.mine(TERM)
        assert not world.drop("0")
        world.mine(world.genesis.parameters.burial + 1)
        assert world.drop("0")

    def test_nobody_summons_over_a_block_that_it_holds(self) -> None:
        world = World()
        known = world.near.live["1"]
        world.mine(TERM)
        assert world.register("1")
        assert not world.make("0", lambda state, chain: build_summons(state, chain, known))


class TestNobodyShowsLife:
    """A group that lives, is cut off from its sibling, and says nothing on the chain."""

    def test_its_later_blocks_are_void_for_everybody(self) -> None:
        world = World()
        world.part()
        mined = summoned(world)
        assert world.register("1", world.far) and world.register("1", world.far)
        take_due(world, mined)
        assert world.absorb("0")
        assert world.link("") and world.register("")
        world.heal()
        assert heads(world.near) == heads(world.far)
        later = [decode_block(one.block) for one in world.certified.values()]
        assert [one.height for one in later if world.far.is_void(one)] == [3, 4]

    def test_it_stops_when_the_term_is_over(self) -> None:
        world = World()
        world.part()
        mined = summoned(world)
        world.mine(mined + TERM + world.genesis.parameters.burial - 1 - world.chain.tip()[0])
        assert world.register("1", world.far)
        world.mine()
        assert not world.register("1", world.far)

    def test_a_summons_that_was_never_made_stops_nobody(self) -> None:
        """A liar of the near side, and one of no side at all, put marks on the chain."""
        world = World()
        world.mine(TERM)
        state = world.near.live["1"]
        assert world.register("1")
        forged = encode_summons(summons_of(state.prefix, state.height, state.head, Hash32(bytes(32))))
        mined = world.mine_mark(forged, world.voters("0")[0])
        take_due(world, mined)
        assert not world.register("1"), "nothing is known of 0 since"
        assert world.register("0") and world.register("1")

    def test_it_is_held_to_a_mark_that_all_blocks_since_have_left_behind(self) -> None:
        """It hears all of its sibling, which hears nothing of it, and whose summons is open still."""
        world = World()
        world.part()
        mined = summoned(world)
        world.mine(world.genesis.parameters.burial + 1)
        assert world.register("0")
        world.far.take_all(world.certified.values())
        assert world.register("1", world.far)
        assert min(state.stamp_height for state in world.far.live.values()) > mined
        take_due(world, mined)
        assert not world.register("1", world.far)
        assert world.absorb("0")

    def test_a_sibling_is_known_up_to_its_last_stamp(self) -> None:
        """A block hash stands on the chain above the stamp of the block: none of this stamp is meant."""
        world = World()
        world.mine(TERM)
        state = world.near.live["1"]
        assert world.register("1")
        forged = encode_summons(summons_of(state.prefix, state.height, state.head, Hash32(bytes(32))))
        mined = world.mine_mark(forged, world.voters("0")[0])
        world.mine(world.genesis.parameters.burial)
        assert world.register("0") and world.near.live["0"].stamp_height == mined
        take_due(world, mined)
        assert world.register("1")

    def test_a_sign_of_life_lets_it_go_on_while_it_is_cut_off(self) -> None:
        world = World()
        world.part()
        mined = summoned(world)
        assert world.register("1", world.far)
        world.show_life("1", world.far)
        take_due(world, mined)
        assert world.register("1", world.far)


class TestBothSummon:
    """Two siblings that are cut off from each other, each of which takes the other for stopped."""

    def both(self) -> tuple[World, int, int]:
        world = World()
        world.part()
        world.mine(TERM)
        assert world.summon("0") and world.summon("1", world.far)
        return world, world.mine_summons("0"), world.mine_summons("1", world.far)

    def test_the_first_on_the_chain_goes_on(self) -> None:
        world, _, last = self.both()
        take_due(world, last)
        world.mine(TERM)
        assert not world.absorb("1", world.far)
        assert world.absorb("0")
        assert world.link("") and world.register("")
        world.heal()
        assert heads(world.near) == heads(world.far)

    def test_unless_the_other_shows_that_it_lives(self) -> None:
        world, _, last = self.both()
        world.show_life("1", world.far)
        take_due(world, last)
        assert not world.absorb("0")
        assert world.absorb("1", world.far)
        world.heal()
        assert heads(world.near) == heads(world.far)

    def test_if_both_do_neither_goes_on(self) -> None:
        world, _, last = self.both()
        world.show_life("1", world.far)
        world.show_life("0")
        take_due(world, last)
        assert not world.absorb("0") and not world.absorb("1", world.far)
        assert world.register("0") and world.register("1", world.far)


class TestWaitingForAUnion:
    """A group that has ended with MERGE, and whose sibling does not answer."""

    def test_it_may_absorb_it_and_nothing_else(self) -> None:
        world = waiting()
        assert not world.register("0")
        mined = summoned(world)
        assert not world.register("0")
        take_due(world, mined)
        assert world.absorb("0")
        assert world.link("") and world.register("")

    def test_an_answer_in_time_makes_the_union(self) -> None:
        world = waiting()
        mined = summoned(world)
        assert not world.merge("1"), "the summons has to be dropped first"
        assert world.register("1") and world.drop("0") and world.merge("1")
        assert sorted(world.near.live) == ["0", "1"], (
            "it is not there before each half has certified two links"
        )
        assert world.make("", build_link) and sorted(world.near.live) == ["0", "1"]
        assert world.make("", build_link) and sorted(world.near.live) == [""]
        take_due(world, mined)
        assert world.register("")
        assert world.near.live[""].height == 5 + HEIGHTS_LEFT_OUT + 3

    def test_no_half_goes_on_as_the_whole_alone(self) -> None:
        world = waiting()
        world.part()
        assert world.merge("1", world.far)
        assert len(world.voters("1", world.far)) > 2 * len(world.voters("0"))
        assert not world.link("", world.far), "all of its voters are more than two thirds of the union's"

    def test_an_answer_that_is_not_known_is_void_when_nobody_shows_it(self) -> None:
        world = waiting()
        world.part()
        mined = summoned(world)
        assert world.merge("1", world.far)
        take_due(world, mined)
        assert world.absorb("0") and world.link("")
        world.heal()
        assert heads(world.near) == heads(world.far)

    def test_an_answer_that_is_shown_stays(self) -> None:
        world = waiting()
        world.part()
        mined = summoned(world)
        assert world.merge("1", world.far)
        world.show_life("1", world.far)
        take_due(world, mined)
        assert not world.absorb("0")
        world.heal()
        world.where = dict.fromkeys(world.founders, world.near)
        assert not world.link(""), "the summons has to be dropped first"
        assert world.drop("0") and world.link("") and sorted(world.near.live) == [""]

    def test_a_union_that_is_there_is_never_taken_apart(self) -> None:
        """Marks that name a head of either half from before are nobody's business any more."""
        world = waiting()
        before = [world.near.live[half] for half in "01"]
        voters = world.voters("0")[0], world.voters("1")[0]
        assert world.merge("1") and world.link("")
        for state, voter in zip(before, reversed(voters), strict=True):
            summons = summons_of(state.prefix, state.height, state.head, Hash32(bytes(32)))
            mined = world.mine_mark(encode_summons(summons), voter)
        take_due(world, mined)
        assert world.register("")

    def test_who_has_voted_for_the_second_link_lets_nobody_be_absorbed(self) -> None:
        """It may be certified, and known to the other half alone."""
        world = waiting()
        assert world.merge("1") and world.make("", build_link)
        world.part()
        assert not world.make("", build_link), "the other half is not here"
        world.mine(TERM)
        assert not world.summon("0")
        assert world.summon("1", world.far), "whose voters did not hear of it"

    def test_an_answer_whose_group_stops_then_is_absorbed(self) -> None:
        world = waiting()
        assert world.merge("1")
        world.asleep = set(world.voters("1"))
        mined = summoned(world)
        take_due(world, mined)
        assert world.absorb("0") and world.link("") and world.register("")
