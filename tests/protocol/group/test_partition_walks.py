"""Groups that split, merge, judge and register in any order: nothing is lost, and nothing doubled."""

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.errors import NotYetKnown, StaleMessage
from protocol.group.data_block import Kind, RegisterPayload, VerdictPayload
from protocol.group.elsewhere import Around, Standing
from protocol.group.kinds.partition import asks_to_merge, awaits_verdict, may_split, must_merge
from protocol.group.kinds.registers import read_entries, take_up
from protocol.group.regions import is_partition, uncovered
from protocol.tracking.registration_book import RegistrationBook
from tests.support.groups_world import Groups

ACTIONS = ("split", "split", "unite", "merge", "shrink", "grow", "register", "register", "judge", "judge")
SEQS = range(1, 8)
STEPS = st.lists(
    st.tuples(st.sampled_from(ACTIONS), st.integers(0, 255), st.integers(0, 1 << 16)), min_size=6, max_size=30
)


@dataclass
class Walk:
    """A network under random steps; what a step cannot do it leaves."""

    world: Groups = field(default_factory=Groups)
    registered: int = 0

    def step(self, action: str, which: int, more: int) -> None:
        live = sorted(self.world.states)
        prefix = live[which % len(live)]
        if self.world.states[prefix].is_closed:
            prefix = next((one for one in live if not self.world.states[one].is_closed), "")
        if prefix not in self.world.states:
            return
        try:
            getattr(self, action)(prefix, more)
        except (StaleMessage, NotYetKnown):
            return

    def split(self, prefix: str, more: int) -> None:
        self.world.split(prefix)

    def shrink(self, prefix: str, more: int) -> None:
        if len(self.world.voters(prefix)) >= 2:
            self.world.shrink(prefix)

    def grow(self, prefix: str, more: int) -> None:
        self.world.take_back(prefix)

    def merge(self, prefix: str, more: int) -> None:
        """Let a group follow whoever asks it; else end if it is too small."""
        state = self.world.states[prefix]
        closed = [p for p, other in sorted(self.world.states.items()) if other.closed_by is Kind.MERGE]
        asking = [p for p in closed if asks_to_merge(state, self.world.standings[self.world.states[p].head])]
        if not asking and not must_merge(state):
            return
        while awaits_verdict(state, self.world.chain.tip()[0] - state.genesis.parameters.burial):
            self.world.chain.mine()
        self.world.merge(prefix, because=asking[more % len(asking)] if asking else None)
        for live, after in list(self.world.states.items()):
            if after.link_due:
                self.world.link(live)

    def unite(self, prefix: str, more: int) -> None:
        """Let a group become too small, and everybody whom it asks follow."""
        if prefix and not must_merge(self.world.states[prefix]):
            self.shrink(prefix, more)
        for _ in range(len(self.world.states)):
            for live in sorted(self.world.states):
                if live in self.world.states and not self.world.states[live].is_closed:
                    self.merge(live, more)

    def register(self, prefix: str, more: int) -> None:
        self.registered += 1
        one = self.world.strangers(prefix, more % 3 + 1)[-1]
        self.world.register(prefix, one.envelope(self.registered, network=self.world.network))

    def judge(self, prefix: str, more: int) -> None:
        """Judge one of three challenges, and take up what other groups registered, as far as it goes."""
        state, named = self.world.states[prefix], []
        for other in sorted({one.block.prefix for one in self.world.standings.values()} - {prefix}):
            blocks = self.world.registers(other, state.read.get(other, 0))
            named += [one.block_hash for one in blocks[: more % 4]]
        self.world.judge(prefix, 1 + more % len(SEQS), sorted(named))

    def finish(self) -> None:
        """Let all groups come together again."""
        while len(self.world.states) > 1:
            self.unite(max(self.world.states, key=lambda prefix: (len(prefix), prefix)), 0)


def check_everywhere(walk: Walk) -> None:
    """What holds after every step."""
    world = walk.world
    assert is_partition(world.states)
    members = [m for state in world.states.values() for m in state.membership.members]
    seats = [m.operator_key for m in members] + [k for state in world.states.values() for k in state.left]
    assert sorted(seats) == [one.key for one in world.founders]
    places = [(one.block.prefix, one.block.height) for one in world.standings.values()]
    assert len(set(places)) == len(places)
    for prefix, state in world.states.items():
        assert state.prefix == prefix and len(state.splits) == len(prefix)
        assert may_split(state) <= (not state.is_closed)
    granted = [key for state in world.states.values() for key in state.granted]
    assert sorted(granted) == [one.key for one in world.founders]


def check_judged(walk: Walk) -> None:
    """Each part of each challenge has one verdict, in whatever group; and each group knows what is left."""
    world = walk.world
    payloads = [one.payload for one in world.standings.values()]
    verdicts = [payload for payload in payloads if isinstance(payload, VerdictPayload)]
    for seq in SEQS:
        parts = [part for one in verdicts if one.seq == seq for part in one.parts]
        for at, part in enumerate(parts):
            assert not any(part.startswith(o) or o.startswith(part) for o in parts[at + 1 :])
        left = [region for state in world.states.values() for region in state.unjudged(seq)]
        assert uncovered("", uncovered("", left)) == uncovered("", parts)


def check_books(walk: Walk) -> None:
    """Every group that takes up what it has not read has everybody's entries, and nothing of its own."""
    world = walk.world
    founded = world.past["", 0]
    everything = founded.book
    for one in world.standings.values():
        if isinstance(one.payload, RegisterPayload):
            everything = everything.apply_all(read_entries(one.payload), one.block.stamp_height)
    for prefix in world.states:
        book, due = taken_up(world, prefix)
        assert book == everything, prefix
        own = world.reach(tuple(head for head in world.heads() if head.prefix == prefix))
        spans = [(one.block.height, own.get(one.block.prefix, ())) for one in due]
        assert not any(above < height <= until for height, found in spans for above, until in found)


def taken_up(world: Groups, prefix: str) -> tuple[RegistrationBook, list[Standing]]:
    """Return a group's book after all REGISTER blocks that it has not read, and these."""
    state = world.states[prefix]
    others = sorted({one.block.prefix for one in world.standings.values()} - {prefix})
    due = [one for other in others for one in world.registers(other, state.read.get(other, 0))]
    book, _ = take_up(state, sorted(one.block_hash for one in due), Around(world.chain, world))
    return book, due


@settings(max_examples=40)
@given(STEPS)
def test_nothing_is_lost_and_nothing_doubled(steps: list[tuple[str, int, int]]) -> None:
    walk = Walk()
    for action, which, more in steps:
        walk.step(action, which, more)
        check_everywhere(walk)
    check_judged(walk)
    check_books(walk)
    walk.finish()
    check_everywhere(walk)
    check_judged(walk)
    check_books(walk)
    (whole,) = walk.world.states.values()
    assert whole.prefix == "" and "" not in whole.read
