"""Nodes that give up the proofs of old blocks: nothing that anybody may ask later is lost."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.codec import encode, replace
from protocol.genesis import Genesis
from protocol.group.data_block import VerdictPayload, decode_block, decode_certified, decode_payload
from protocol.group.vote_guard import VoteGuard
from protocol.node import archive as archive_module
from protocol.node import pruning
from protocol.node.archive import Archive
from protocol.node.effects import Compact, Effect, Persist
from protocol.node.hand_over import SPAN
from protocol.node.machine import Node
from protocol.node.records import block_key, block_order
from protocol.node.stored_block import PrunedBlock, decode_stored, pruned
from protocol.parameters import MINIMAL
from protocol.payout.list_file import decode_list_file
from tests.protocol.group.test_partition_walks import ACTIONS, Walk
from tests.support.chain_view import MemoryChain
from tests.support.founding import founded_by
from tests.support.groups_world import Groups
from tests.support.halves import PARAMETERS as HALVES
from tests.support.moves_world import founding
from tests.support.node_cluster import TICK, Cluster
from tests.support.operators import Operator, operator, operators
from zenp2p.store import MemoryStore

FOUNDERS = operators(4)
NEWCOMERS = (operator(20), operator(21))
OUTSIDER = operator(8_000)
STEPS = st.lists(
    st.tuples(
        st.sampled_from([action for action in ACTIONS if action != "grow"]),
        st.integers(0, 255),
        st.integers(0, 1 << 16),
    ),
    min_size=6,
    max_size=25,
)
"""Of a network whose blocks anybody can check from the genesis file on."""


def write(store: MemoryStore, effects: Sequence[Effect]) -> None:
    store.write([(one.key, one.value) for one in effects if isinstance(one, Persist)], sync=True)


def started(genesis: Genesis, chain: MemoryChain, store: MemoryStore) -> Node:
    return Node(genesis, OUTSIDER.signer, chain, store, VoteGuard(), joins=False)


def follower(world: Groups) -> tuple[Node, MemoryStore]:
    """A node that has taken every block of a network, and its disk."""
    store = MemoryStore()
    node = started(world.genesis, world.chain, store)
    for block in world.blocks:
        write(store, node.groups.take_block(block, 0))
    assert node.groups.held == len(world.blocks)
    return node, store


def answers(node: Node) -> dict[str, Any]:
    """All that a node holds and says of the decided blocks, the wholly stored ones left out."""
    archive = node.groups.archive
    archive._standings.clear()  # what was read last is read again
    heads = archive.heads()
    return {
        "states": [(machine.state, repr(machine.state)) for machine in node.groups],
        "heads": heads,
        "digest": archive.lives.digest(),
        "reach": archive.reach(heads),
        "members": archive.members(heads),
        "places": dict(archive._places),
        "orders": [archive.order(hashed) for hashed in archive._places],
        "standings": [archive.standing(hashed) for hashed in archive._places],
        "registers": {prefix: archive.registers(prefix, 0) for prefix in archive.registering()},
        "verdicts": list(archive.verdict_records(0, 1 << 20)),
        "last verdicts": archive.last_verdicts._found,
        "moves": archive.tickets.moves(),
        "endings": list(archive.tickets.endings()),
        "departures": archive.departures.all(),
        "list": (node.lister.state, node.lister.electorate),
    }


def is_pruned(store: MemoryStore, order: int) -> bool:
    data = store.get(block_key(order))
    assert data is not None
    return isinstance(decode_stored(data), PrunedBlock)


def check_law(genesis: Genesis, chain: MemoryChain, store: MemoryStore, data: st.DataObject) -> None:
    """However many blocks are pruned, and whenever the node is killed meanwhile, it comes back the same."""
    before = answers(started(genesis, chain, store))
    blocks = len(before["places"])
    below = data.draw(st.integers(0, blocks), label="below")
    for _ in range(data.draw(st.integers(1, 4), label="starts")):
        node = started(genesis, chain, store)
        assert answers(node) == before
        for _ in range(data.draw(st.integers(0, 3), label="steps")):
            write(store, node.groups.archive.prune(below))
        assert answers(node) == before
        assert [is_pruned(store, at) for at in range(blocks)] == [
            at < node.groups.archive.pruned for at in range(blocks)
        ]
    last = started(genesis, chain, store).groups.archive
    assert last.pruned == last.pruned_below <= below and last.prunable_below({}) <= blocks


@settings(max_examples=12, deadline=None)
@given(steps=STEPS, data=st.data())
def test_pruned_blocks_of_any_network_lead_to_the_same_state(
    steps: list[tuple[str, int, int]], data: st.DataObject
) -> None:
    walk = Walk()
    for step in steps:
        walk.step(*step)
    _, store = follower(walk.world)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(archive_module, "PRUNED_AT_ONCE", 5)
        check_law(walk.world.genesis, walk.world.chain, store, data)


@pytest.fixture(scope="module")
def moved() -> Cluster:
    """A network that took in two, aged and lost members, and has certified lists."""
    parameters = replace(MINIMAL, preset="joining", burial=1, silence=10)
    genesis = founded_by(FOUNDERS, parameters=parameters)
    cluster = Cluster(FOUNDERS, others=NEWCOMERS, genesis=genesis, joins=True)
    for one in NEWCOMERS:
        cluster.submit(FOUNDERS[0], one.envelope(network=cluster[one].node.network))
    cluster.mine_to(60)
    cluster.cut = {FOUNDERS[3].key}
    cluster.mine_to(85)
    cluster.heal()
    cluster.mine_to(120)
    kinds = {moved.why.name for moved in cluster[FOUNDERS[0]].node.groups.archive.tickets.moves()}
    assert kinds >= {"JOIN", "FIRST", "REJOIN"}
    return cluster


@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_pruned_blocks_of_members_that_came_and_went_lead_to_the_same_state(
    moved: Cluster, data: st.DataObject
) -> None:
    store = MemoryStore(dict(moved[FOUNDERS[0]].store.iterate(b"")))
    check_law(moved.genesis, moved.chain, store, data)


def judged() -> Groups:
    """Two groups that have judged, and registered somebody."""
    world = Groups()
    world.judge("", 1)
    world.split()
    for prefix in "01":
        world.register(prefix, world.strangers(prefix, 1)[0].envelope(network=world.network))
        world.judge(prefix, 2)
    return world


def test_what_a_pruned_block_keeps() -> None:
    for block in judged().blocks:
        certified = decode_certified(block)
        kept = pruned(certified)
        before, after = decode_block(certified.block), decode_block(kept.block)
        payload, left = decode_payload(before), decode_payload(after)
        if isinstance(payload, VerdictPayload):
            assert payload.observations and payload.responses
            assert left == replace(payload, observations=(), receipts=(), responses=())
            assert replace(after, payload=before.payload) == before
        else:
            assert kept.block == certified.block
        assert decode_stored(encode(kept)) == kept and decode_stored(block) == certified


def test_nobody_gets_a_pruned_block_or_what_follows_it_without_it() -> None:
    world = judged()
    node, store = follower(world)
    archive = node.groups.archive
    first = decode_block(decode_certified(world.blocks[0]).block)
    wants = [(first.prefix, 1), ("0", first.height + 2), ("1", first.height + 2)]
    assert list(archive.following(wants, 64)) == world.blocks[:2] + world.blocks[2:]
    write(store, archive.prune(1))
    assert archive.certified("", 1) is None and archive.certified("", 2) == world.blocks[1]
    assert list(archive.following([("", 1)], 64)) == []
    assert list(archive.following(wants, 64)) == world.blocks[2:]
    assert list(archive.following([("", 2)], 64)) == world.blocks[1:2]


def test_one_step_prunes_a_bounded_number_and_a_bounded_size() -> None:
    world = judged()
    node, store = follower(world)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(archive_module, "PRUNED_AT_ONCE", 3)
        write(store, writes := node.groups.archive.prune(len(world.blocks)))
        assert len(writes) == 3 == node.groups.archive.pruned
        patch.setattr(archive_module, "PRUNED_BYTES", 1)
        write(store, writes := node.groups.archive.prune(len(world.blocks)))
        assert len(writes) == 1
    while node.groups.archive.prune(len(world.blocks)):
        pass
    assert node.groups.archive.pruned == len(world.blocks) and node.groups.archive.prune(1 << 30) == []


def test_what_was_left_over_at_the_start_stays_whole_with_all_that_came_after_it() -> None:
    world = judged()
    store = MemoryStore()
    for number, block in enumerate(world.blocks):
        store.write([(block_key(number), block)], sync=True)
    left = len(world.blocks) - 3
    archive = started(world.genesis, world.chain, store).groups.archive
    whole = dict(archive.reach(archive.heads()))
    assert archive.prunable_below(whole) == len(world.blocks)
    archive.leave(left, decode_certified(world.blocks[left]))
    assert archive.prunable_below(whole) == left
    assert archive.prunable_below({**whole, "": [(0, 1)]}) == 1 and archive.prunable_below({}) == 0


def test_a_number_that_no_block_has_any_more_is_passed_over() -> None:
    world = judged()
    store = MemoryStore()
    for number, block in enumerate(world.blocks):
        store.write([(block_key(number + number // 3), block)], sync=True)
    archive = started(world.genesis, world.chain, store).groups.archive
    last = (len(world.blocks) - 1) + (len(world.blocks) - 1) // 3 + 1
    write(store, archive.prune(last))
    assert (archive.pruned, archive.pruned_below) == (len(world.blocks), last)
    again = started(world.genesis, world.chain, store).groups.archive
    assert (again.pruned, again.pruned_below) == (len(world.blocks), last)


@pytest.mark.parametrize("lost", [0, 4])
def test_a_record_that_lacks_a_pruned_block_is_loud(lost: int) -> None:
    world = judged()
    node, store = follower(world)
    write(store, node.groups.archive.prune(len(world.blocks)))
    store.write([(block_key(lost), None)], sync=True)
    with pytest.raises(ValueError, match="lacks blocks before its pruned block"):
        started(world.genesis, world.chain, store)


# Whole nodes.


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let one block of each chain stay whole whatever the lists say: these chains are short."""
    monkeypatch.setattr(pruning, "BLOCKS_KEPT", 1)


def archive_of(cluster: Cluster, one: Operator) -> Archive:
    return cluster[one].node.groups.archive


def test_a_node_prunes_below_the_list_before_the_last_one(few: None) -> None:
    cluster, one = Cluster(FOUNDERS, pruning=FOUNDERS[:1]), FOUNDERS[0]
    node = cluster[one].node
    while node.lister.period < 3:
        assert archive_of(cluster, one).pruned == 0
        cluster.mine()
    cluster.run(500)
    (head,) = decode_list_file(node.lister.file(1) or b"").header.heads
    assert 0 < archive_of(cluster, one).pruned == head.height < node.group.state.height
    (news,) = cluster[one].events("data_chain.pruned")
    assert news.fields == {"blocks": head.height}
    cluster.mine_to(60)
    assert archive_of(cluster, one).pruned > head.height
    other = FOUNDERS[1]
    assert not archive_of(cluster, other).pruned and not cluster[other].events("data_chain.pruned")
    started_again, never_pruned = answers(cluster.restart(one).node), answers(cluster.restart(other).node)
    assert started_again == never_pruned


def test_the_space_of_all_that_is_pruned_is_given_back_in_pieces(few: None) -> None:
    cluster, one = Cluster(FOUNDERS), FOUNDERS[0]
    cluster.mine_to(60)
    node = cluster[one].node
    for start, at_once, expected in ((0, 3, [(0, 5), (6, 9)]), (0, 1 << 20, [(0, 9)]), (8, 1, [(8, 9)])):
        store = MemoryStore(dict(cluster[one].store.iterate(b"")))
        groups = started(cluster.genesis, cluster.chain, store).groups
        write(store, groups.archive.prune(start))
        pruner, given_back = pruning.Pruner(groups, node.lister), []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(pruning, "COMPACTED_BLOCKS", 5)
            patch.setattr(archive_module, "PRUNED_AT_ONCE", at_once)
            while effects := pruner.tick():
                write(store, effects)
                given_back += [one for one in effects if isinstance(one, Compact)]
        places = [(block_order(each.first), block_order(each.last)) for each in given_back]
        assert places == expected and groups.archive.pruned_below == 10


def test_the_last_blocks_of_each_chain_stay_whole_whatever_the_lists_say(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else who comes back could not hand over what it is asked for."""
    assert pruning.BLOCKS_KEPT > SPAN
    genesis, founders = founding((3, 3), HALVES, 1, ())
    pruned_by = {}
    for kept in (1, 8, 1 << 20):
        monkeypatch.setattr(pruning, "BLOCKS_KEPT", kept)
        cluster = Cluster(founders, genesis=genesis, pruning=founders)
        cluster.mine_to(60)
        archive = archive_of(cluster, founders[0])
        assert [head.prefix for head in archive.heads()] == ["0", "1"]
        for head in archive.heads():
            for height in range(max(1, head.height - kept + 1), head.height + 1):
                life = archive.lives.at(head.prefix, height)
                is_block = life is not None and height > life.start
                assert is_block == (archive.certified(head.prefix, height) is not None)
        pruned_by[kept] = archive.pruned
    assert pruned_by[1] > pruned_by[8] > pruned_by[1 << 20] == 1, "the group that split is no chain any more"


def test_nothing_is_pruned_while_anything_is_contradicted(few: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_module, "PRUNED_AT_ONCE", 1)
    cluster, one = Cluster(FOUNDERS), FOUNDERS[0]
    cluster.mine_to(60)
    cluster.pruning = frozenset([one])
    machine = cluster.restart(one).node.group
    cluster.run(TICK)
    begun = archive_of(cluster, one).pruned
    stored = machine.certified(machine.state.height)
    machine._held.hold(decode_certified(stored or b""), None)
    cluster.run(5 * TICK)
    assert machine.contradicted and archive_of(cluster, one).pruned == begun
    cluster.mine(each=TICK)
    assert not machine.contradicted and archive_of(cluster, one).pruned == begun
    cluster.run(TICK)
    assert archive_of(cluster, one).pruned == begun + 1


def test_a_newcomer_verifies_from_genesis_with_an_archive_node_only(few: None) -> None:
    for pruning_ones in (FOUNDERS, FOUNDERS[:3]):
        cluster = Cluster(FOUNDERS, others=[OUTSIDER], pruning=pruning_ones)
        cluster.cut = {OUTSIDER.key}
        cluster.mine_to(60)
        assert archive_of(cluster, FOUNDERS[0]).pruned > 8
        cluster.heal()
        cluster.run(8_000)
        groups, theirs = cluster[OUTSIDER].node.groups, cluster[FOUNDERS[0]].node.groups
        if pruning_ones == FOUNDERS:
            assert groups.held == 0
        else:
            assert groups.own.state == theirs.own.state and groups.archive.pruned == 0
            assert cluster[OUTSIDER].node.lister.period == cluster[FOUNDERS[0]].node.lister.period
        assert not any(peer.punished for peer in cluster.peers.values())


def test_who_was_away_for_a_period_is_helped_by_all(few: None) -> None:
    cluster, late = Cluster(FOUNDERS, pruning=FOUNDERS), FOUNDERS[3]
    cluster.mine_to(40)
    cluster.cut = {late.key}
    cluster.mine(cluster.genesis.parameters.period_blocks)
    assert archive_of(cluster, FOUNDERS[0]).pruned > archive_of(cluster, late).pruned > 0
    cluster.heal()
    cluster.run(4_000)
    assert cluster[late].node.group.state == cluster[FOUNDERS[0]].node.group.state
