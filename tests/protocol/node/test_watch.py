"""Whom a voter reports for a block of another group, and all those whom it does not."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from protocol.codec import replace
from protocol.crypto import SIGNATURE_SIZE, sha3_256, verify_envelope
from protocol.group.data_block import DataBlock
from protocol.group.regions import overlap
from protocol.node.effects import Announce, Publish
from protocol.node.forwarding import is_of_now, turn_milliseconds
from protocol.node.messages import group_topic
from protocol.node.watch import (
    AHEAD_MAX,
    EARLY_MAX,
    PATIENCE_TURNS,
    REPORTING_GROUPS,
    SAYINGS,
    Watch,
    reporting,
)
from protocol.parameters import MINIMAL, ZEN
from protocol.units import Hash32, Height, OperatorKey
from tests.support.forwarding_network import PARAMETERS, Network, resend_in
from tests.support.operators import Operator, operator

PATIENCE = PATIENCE_TURNS * turn_milliseconds(PARAMETERS)
LATER = 1_000_000


@dataclass
class Scene:
    """A block of group 0 that was decided just now, and who is to tell of it."""

    network: Network
    hashed: Hash32
    block: DataBlock
    order: tuple[OperatorKey, ...]

    def watch(self, one: Operator | None = None, *, began_at: int = 0) -> Watch:
        """The watch of a node (of group 1), with nothing heard yet."""
        peer = self.network[one or self.network.of("1")[0]]
        watch = Watch(self.network.genesis, peer.operator.signer, self.network.chain, peer.node.groups)
        watch._began_at = Height(began_at)
        return watch

    def hear(self, watch: Watch, *senders: bytes, now: int = 0) -> None:
        for sender in senders:
            watch.heard(self.hashed, self.block, OperatorKey(sender), now)

    def said(self, watch: Watch, now: int = LATER) -> list[bytes]:
        return [effect.data for effect in watch.due(now) if isinstance(effect, Publish)]


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    network = Network()
    before = len(network.forwards)

    def newest() -> list[Hash32]:
        return [
            hashed
            for hashed in list(network.forwards)[before:]
            if network.standing(hashed).block.prefix == "0"
        ]

    network.run_until(lambda: bool(newest()))
    hashed = newest()[-1]
    yield Scene(network, hashed, network.standing(hashed).block, network.order(hashed))


def test_a_forwarder_is_reported_that_is_not_heard_long_after_another_was(scene: Scene) -> None:
    watch = scene.watch()
    scene.hear(watch, scene.order[1], now=50)
    assert scene.said(watch, PATIENCE + 49) == []
    effects = watch.due(PATIENCE + 50)
    assert [type(effect) for effect in effects] == [Publish, Announce]
    assert isinstance(effects[0], Publish) and effects[0].topic == group_topic(scene.network.any.network, "0")
    said = resend_in(effects[0].data)
    assert said is not None
    assert (said.member, said.block_hash, said.height) == (scene.order[0], scene.hashed, scene.block.height)
    assert (said.prefix, said.sender_prefix, said.sender) == ("0", "1", scene.network.of("1")[0].key)
    verify_envelope(effects[0].data[1:], said.signer)
    assert len(effects[0].data) > SIGNATURE_SIZE


def test_a_report_is_said_a_few_times_and_once_a_block(scene: Scene) -> None:
    watch = scene.watch()
    scene.hear(watch, *scene.order[1:])
    first = scene.said(watch, PATIENCE)
    assert len(first) == 1 and scene.said(watch, 2 * PATIENCE - 1) == []
    again = [scene.said(watch, PATIENCE * turn) for turn in range(2, SAYINGS + 3)]
    assert again == [first] * (SAYINGS - 1) + [[], []]


@pytest.mark.parametrize("when", [0, PATIENCE - 1])
def test_a_forwarder_that_was_heard_is_not_reported(scene: Scene, when: int) -> None:
    watch = scene.watch()
    scene.hear(watch, scene.order[1], now=0)
    scene.hear(watch, scene.order[0], now=when)
    scene.hear(watch, scene.order[2], now=when)
    assert scene.said(watch) == []
    first = scene.watch()
    scene.hear(first, scene.order[0], *scene.order)
    assert scene.said(first) == []


def test_who_was_to_tell_and_has_moved_since_does_not_report_itself(scene: Scene) -> None:
    network = scene.network
    forwarder = next(one for one in network.of("0") if one.key == scene.order[0])
    groups = network[network.of("1")[0]].node.groups
    watch = Watch(network.genesis, forwarder.signer, network.chain, groups)
    watch._began_at = Height(0)
    scene.hear(watch, *scene.order[1:])
    assert scene.said(watch) == []


def test_nobody_is_reported_while_no_other_voter_tells_of_the_block(scene: Scene) -> None:
    watch = scene.watch()
    scene.hear(watch, operator(77).key, *(one.key for one in scene.network.of("1")))
    assert scene.said(watch) == []


def test_who_began_after_the_block_was_stamped_reports_nobody(scene: Scene) -> None:
    for began_at, count in ((scene.block.stamp_height - 1, 1), (scene.block.stamp_height, 0)):
        watch = scene.watch(began_at=began_at)
        scene.hear(watch, scene.order[1])
        assert len(scene.said(watch)) == count


def test_old_blocks_are_not_reported(scene: Scene) -> None:
    network, watch = scene.network, scene.watch()
    tip = network.chain.tip()[0]
    archive = network.any.groups.archive
    old = [
        hashed
        for hashed in network.forwards
        if not is_of_now(network.standing(hashed).block.stamp_height, tip, PARAMETERS)
    ]
    assert old
    for hashed in old:
        for sender in network.order(hashed)[1:]:
            watch.heard(hashed, network.standing(hashed).block, sender, 0)
    assert scene.said(watch) == [] and all(hashed in archive for hashed in old)


@pytest.mark.parametrize(
    ("prefix", "is_early"),
    [("0", True), ("00", True), ("011", True), ("", True), ("1", False), ("10", False)],
)
def test_a_block_that_may_have_come_before_it_could_be_taken_is_not_reported(
    scene: Scene, prefix: str, is_early: bool
) -> None:
    watch = scene.watch()
    unknown = replace(scene.block, prefix=prefix)
    watch.heard(Hash32(bytes(32)), unknown, scene.order[0], 0)
    scene.hear(watch, scene.order[1])
    assert len(scene.said(watch)) == (not is_early)


def test_what_came_early_below_a_block_says_nothing_about_it(scene: Scene) -> None:
    watch = scene.watch()
    watch.heard(Hash32(bytes(32)), replace(scene.block, height=scene.block.height - 1), scene.order[0], 0)
    scene.hear(watch, scene.order[1])
    assert len(scene.said(watch)) == 1


def test_made_up_blocks_silence_a_watch_for_so_many_blocks_only_and_fill_no_memory(scene: Scene) -> None:
    watch = scene.watch()
    for number in range(2 * EARLY_MAX):
        made_up = replace(scene.block, prefix=format(number, "b"), height=2**62)
        watch.heard(Hash32(sha3_256(bytes(number))), made_up, scene.order[0], 0)
    held = {machine.state.prefix: machine.held_height for machine in scene.network.any.groups}
    assert watch._early == {prefix: height + AHEAD_MAX for prefix, height in held.items()}
    assert len(watch._told) == 0


def test_who_has_no_vote_reports_nobody(scene: Scene) -> None:
    peer = scene.network[scene.network.of("1")[0]]
    watch = Watch(scene.network.genesis, operator(77).signer, scene.network.chain, peer.node.groups)
    watch._began_at = Height(0)
    scene.hear(watch, scene.order[1])
    assert watch.due(LATER) == []


def test_a_voter_does_not_report_its_own_group_and_remembers_whom_it_heard(scene: Scene) -> None:
    watch = scene.watch(scene.network.of("0")[0])
    scene.hear(watch, scene.order[1])
    assert not watch.has_told(scene.hashed)
    scene.hear(watch, scene.order[0])
    assert watch.has_told(scene.hashed)
    assert watch.due(LATER) == []


def test_the_nodes_of_a_few_groups_report_a_block_never_its_own() -> None:
    prefixes = ("000", "001", "01", "10", "1100", "1101", "111")
    chosen: set[str] = set()
    for number in range(64):
        said = reporting(prefixes, "01", sha3_256(bytes([number])))
        assert len(said) == REPORTING_GROUPS and "01" not in said
        assert said == reporting(reversed(prefixes), "01", sha3_256(bytes([number])))
        chosen.update(said)
    assert chosen == set(prefixes) - {"01"}
    assert reporting(("0", "1"), "0", bytes(32)) == ("1",)
    assert reporting(("",), "", bytes(32)) == ()
    assert reporting(("00", "01", "1"), "0", bytes(32)) == ("1",)
    assert overlap("0", "01") and overlap("01", "0") and not overlap("00", "01")


def test_a_block_is_of_now_for_as_long_as_it_may_take() -> None:
    for parameters, late in ((ZEN, 2), (MINIMAL, 2)):
        stamp = 1_000
        last = stamp + parameters.burial + late
        assert is_of_now(stamp, last, parameters) and not is_of_now(stamp, last + 1, parameters)
    assert turn_milliseconds(ZEN) == 10_000 and turn_milliseconds(MINIMAL) == 1_000
