"""Whatever two siblings, those who vote in them, the chain and the network between them do: one history.

A third of nobody lies too much: of each half one voter signs whatever it is asked to.
"""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from protocol.group.blockmaker import build_evidence, build_merge
from protocol.group.data_block import DataBlock, Kind, decode_block, decode_payload
from protocol.group.name import sibling
from protocol.group.named_blocks import named_blocks
from protocol.group.summons import encode_life, encode_summons, summons_of
from protocol.units import Hash32
from tests.support.side import Side
from tests.support.standoff_world import FOUNDERS, TERM, THREE, TWO, World, heads

HALVES = st.sampled_from(["0", "1"])
SIDES = st.booleans()
ROUNDS_MAX = 12
"""Terms after which all groups work again when everybody is there."""
NUMBERS = st.integers(0, FOUNDERS - 1)


class Siblings(RuleBasedStateMachine):
    """Two sides of a network that split once. `near` at first has 0's voters, `far` 1's."""

    groups: tuple[str, ...] = TWO

    def __init__(self) -> None:
        super().__init__()
        self.world = World(self.groups)
        self.truth = self.world.near.copy()

    @initialize(
        small=st.sampled_from(["", "0", "1"]),
        has_asked=st.booleans(),
        summoning=st.lists(st.tuples(HALVES, st.booleans()), max_size=2),
    )
    def begin(self, small: str, has_asked: bool, summoning: list[tuple[str, bool]]) -> None:
        """Either half may be small already, and wait for the other; either may have summoned the other."""
        self.set_out(small, has_asked, summoning)

    def set_out(self, small: str, has_asked: bool, summoning: list[tuple[str, bool]]) -> None:
        world = self.world
        if small:
            proofs = [world.contradiction(one) for one in world.voters(small)[1:]]
            assert world.make(small, lambda state, chain: build_evidence(state, chain, proofs))
            assert world.link(small)
            if has_asked:
                assert world.make(small, build_merge)
        for group in self.groups:
            voters = world.voters(group)
            world.liars |= set(voters[-1:] if len(voters) > 3 else [])
        world.part()
        world.mine(TERM)
        for half, is_mined in summoning:
            self.summon(half, half == "1", is_mined)

    def side(self, is_far: bool) -> Side:
        return self.world.far if is_far else self.world.near

    # The chain.

    @rule(count=st.sampled_from([1, 3, TERM - 1]))
    def mine(self, count: int) -> None:
        self.world.mine(count)

    @rule(half=HALVES, is_far=SIDES, number=NUMBERS)
    def show_life(self, half: str, is_far: bool, number: int) -> None:
        """One of its voters, perhaps its liar, shows the head that is known on its side."""
        states = [one for one in self.side(is_far).past.values() if one.prefix == half]
        state = max(states, key=lambda one: one.height)
        voters = [one for one in self.world.founders if one.key in state.electorate]
        self.world.mine_mark(encode_life(state.head), voters[number % len(voters)])

    @rule(half=HALVES, back=st.integers(0, 2), number=NUMBERS)
    def forge_summons(self, half: str, back: int, number: int) -> None:
        self.forge(half, back, number)

    def forge(self, half: str, back: int, number: int) -> None:
        """Somebody puts on the chain that a group is summoned at an old head."""
        places = sorted(place for place in self.truth.past if place[0] == half)
        state = self.truth.past[places[max(0, len(places) - 1 - back)]]
        forged = summons_of(state.prefix, state.height, state.head, Hash32(bytes([number]) * 32))
        self.world.mine_mark(encode_summons(forged), self.world.founders[number])

    # The groups.

    @rule(half=HALVES, is_far=SIDES, is_mined=st.booleans())
    def summon(self, half: str, is_far: bool, is_mined: bool) -> None:
        side = self.side(is_far)
        self.world.summon(half, side)
        state = side.live.get(half)
        if is_mined and state is not None and state.summons is not None:
            self.world.mine_summons(half, side)

    @rule(half=HALVES, is_far=SIDES)
    def drop(self, half: str, is_far: bool) -> None:
        self.world.drop(half, self.side(is_far))

    @rule(half=HALVES, is_far=SIDES)
    def merge(self, half: str, is_far: bool) -> None:
        self.world.merge(half, self.side(is_far))

    @rule(is_far=SIDES)
    def work(self, is_far: bool) -> None:
        for prefix in (*self.groups, "0", ""):
            self.world.link(prefix, self.side(is_far))
            self.world.register(prefix, self.side(is_far))

    @rule(is_far=SIDES)
    def wait_a_term(self, is_far: bool) -> None:
        """The chain grows by a term; then whoever can absorbs, on one side first."""
        self.world.mine(TERM + 2)
        for side in (self.side(is_far), self.side(not is_far)):
            for half in "01":
                self.world.absorb(half, side)
            self.world.link("", side)
            self.world.register("", side)

    # Who is where, and who hears what.

    @rule(number=NUMBERS)
    def fall_asleep(self, number: int) -> None:
        self.world.asleep.add(self.world.founders[number])

    @rule()
    def wake(self) -> None:
        self.world.asleep.clear()

    @rule(number=NUMBERS, is_far=SIDES)
    def change_sides(self, number: int, is_far: bool) -> None:
        """A node comes to be where others are; it brings what it holds."""
        one, there = self.world.founders[number], self.side(is_far)
        if self.world.where[one] is not there:
            there.take_all(self.world.where[one].blocks.values())
            self.world.where[one] = there

    @precondition(lambda self: self.world.certified)
    @rule(is_far=SIDES, data=st.data())
    def hear(self, is_far: bool, data: st.DataObject) -> None:
        """Some blocks come over, in some order."""
        side = self.side(is_far)
        new = [one for hashed, one in self.world.certified.items() if hashed not in side.blocks]
        count = data.draw(st.integers(0, len(new)))
        side.take_all(data.draw(st.permutations(new))[:count])

    # What holds, always.

    @invariant()
    def one_block_stands_at_a_place(self) -> None:
        standing = [one for one in self._blocks() if not self.truth.is_void(one)]
        places = [(one.prefix, one.height) for one in standing]
        assert len(set(places)) == len(places)

    @invariant()
    def nobody_names_what_is_void(self) -> None:
        for block in self._blocks():
            for hashed in named_blocks(decode_payload(block)):
                named = self.truth.standing(hashed)
                assert named is not None
                assert self.truth.is_void(block) or not self.truth.is_void(named.block)

    @invariant()
    def what_is_void_was_made_in_time(self) -> None:
        """So whoever hears of all groups from the absorbing block's stamp on knows what they named."""
        for block in (one for one in self._blocks() if one.kind is not Kind.ABSORB):
            for void in self.truth.voids:
                assert not void.covers(block.prefix, block.height) or block.stamp_height < void.stamp_height

    @invariant()
    def nobody_is_in_two_groups(self) -> None:
        for side in (self.world.near, self.world.far, self.truth):
            keys = [one.operator_key for state in side.live.values() for one in state.membership.members]
            assert len(keys) == len(set(keys))

    def _blocks(self) -> list[DataBlock]:
        """Return everything that is certified, which the truth has then heard of."""
        self.truth.take_all(self.world.certified.values())
        return [decode_block(one.block) for one in self.world.certified.values()]

    # How it ends.

    def teardown(self) -> None:
        """Everybody hears of everything, in whatever order; then all are awake, and the groups work again."""
        world = self.world
        self._blocks()
        world.heal()
        backwards = Side(world.genesis, world.chain)
        assert not backwards.take_all(reversed(world.certified.values()))
        assert heads(world.near) == heads(world.far) == heads(self.truth) == heads(backwards)
        world.asleep.clear()
        world.where = dict.fromkeys(world.founders, world.near)
        idle: list[str] = []
        for _ in range(ROUNDS_MAX):
            idle = [prefix for prefix in sorted(world.near.live) if not self.tend(prefix)]
            if not idle:
                return
            world.link("0")
            world.link("")
            for prefix in filter(None, idle):
                if world.summon(sibling(prefix)):
                    world.mine_summons(sibling(prefix))
            world.mine(TERM // 2)
        raise AssertionError(f"groups {idle} of {sorted(world.near.live)} do not work")

    def tend(self, prefix: str) -> bool:
        """Let a group do what it can; whether it certifies a block like any other."""
        world = self.world
        if prefix:
            world.drop(prefix)
            if world.absorb(prefix) or world.make(prefix, build_merge) or world.merge(prefix):
                return False
            if world.rejoin(prefix):
                return False
        world.link(prefix)
        return world.register(prefix)


class Halves(Siblings):
    """0 has split, and its halves may come together for 1, which they do not hear."""

    groups = THREE

    @initialize(
        small=st.sampled_from(["", *THREE]),
        has_asked=st.booleans(),
        summoning=st.lists(st.tuples(HALVES, st.booleans()), max_size=1),
        is_whole=st.booleans(),
    )
    def begin(self, small: str, has_asked: bool, summoning: list[tuple[str, bool]], is_whole: bool) -> None:
        """The halves may be one already, and have summoned the other group or not."""
        self.set_out(small, has_asked, [])
        if not is_whole:
            return
        world, every = self.world, self.world.genesis.parameters.challenge_every
        world.mine(TERM + every - world.chain.tip()[0] % every)
        for half in ("00", "01"):
            world.register(half)
        self.rejoin("00", False, False)
        for half, is_mined in summoning:
            self.summon(half, half == "1", is_mined)

    @rule(half=st.sampled_from(["00", "01"]), is_far=SIDES, is_lone=st.booleans())
    def rejoin(self, half: str, is_far: bool, is_lone: bool) -> None:
        """One half ends, and its sibling too if it hears of it; then they are one."""
        world, side = self.world, self.side(is_far)
        if world.rejoin(half, side) and not is_lone:
            world.merge(sibling(half), side)
        world.link("0", side)

    @rule(half=st.sampled_from(THREE), back=st.integers(0, 2), number=NUMBERS)
    def forge_summons(self, half: str, back: int, number: int) -> None:
        """None of 0 as it was: while 1 waits for it, nobody could tell but by an answer within the term."""
        self.forge(half, back, number)

    @rule(half=st.sampled_from(["00", "01"]), is_far=SIDES)
    def merge_half(self, half: str, is_far: bool) -> None:
        self.world.merge(half, self.side(is_far))

    @rule(prefix=st.sampled_from(["0", "1", ""]), is_far=SIDES)
    def split(self, prefix: str, is_far: bool) -> None:
        self.world.split(prefix, self.side(is_far))

    @rule(half=st.sampled_from(["00", "01"]), is_far=SIDES)
    def summon_half(self, half: str, is_far: bool) -> None:
        """A half takes the other for stopped, and absorbs it if nobody says anything."""
        side = self.side(is_far)
        if self.world.summon(half, side):
            self.world.mine_summons(half, side)
            self.world.mine(TERM + 2)
            self.world.absorb(half, side)
            self.world.link("0", side)


TestSiblings = Siblings.TestCase
TestHalves = Halves.TestCase
TestHalves.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestSiblings.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
