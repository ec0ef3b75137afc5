"""All groups at one node: a real network splits, goes on in several groups, and comes together again."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.codec import encode, replace
from protocol.group.data_block import CertifiedBlock, Kind, decode_block, decode_certified
from protocol.group.name import home_draw, matches
from protocol.group.vote import LIST_ELECTORATE
from protocol.group.vote_guard import VoteGuard
from protocol.node.effects import Incoming
from protocol.node.machine import Node
from protocol.node.messages import Blocks, Forward, group_topic, network_topic, pack_plain
from protocol.payout.light import trust_from_genesis, trust_from_list, verify_list
from protocol.tracking.registration import registration_home
from protocol.tracking.verdict import Reason
from tests.support.many_groups import (
    certify,
    convict,
    founding,
    members,
    same_everywhere,
    shuffled,
    splitting,
    standing,
    states,
    stored,
)
from tests.support.node_cluster import Cluster
from tests.support.operators import Operator, operator
from zenp2p.store import MemoryStore

FIRST = 8
"""Height of the first challenge: number 2, judged at 11; its period ends at 15."""
LISTED = 17
"""Height at which the first list is certified."""
STRANGER = operator(9_999)


def first(cluster: Cluster) -> Node:
    return next(iter(cluster.peers.values())).node


def kinds(cluster: Cluster) -> list[tuple[str, Kind]]:
    """Return the blocks that a node holds, in the order in which it applied them."""
    blocks = [
        decode_block(decode_certified(data).block) for _, data in stored(next(iter(cluster.peers.values())))
    ]
    return [(block.prefix, block.kind) for block in blocks]


# Splitting.


def test_a_network_that_splits_goes_on_in_two_groups_and_everybody_follows_both() -> None:
    cluster = splitting()
    cluster.mine_to(LISTED + 10)
    assert same_everywhere(cluster)
    made = kinds(cluster)
    assert made[0] == ("", Kind.SPLIT) and {("0", Kind.LINK), ("1", Kind.LINK)} == set(made[1:3])
    for prefix in "01":
        assert made.count((prefix, Kind.VERDICT)) >= 3
    assert first(cluster).lister.period == 3


def test_everybody_votes_in_its_own_group_only_and_is_in_its_topic() -> None:
    cluster = splitting()
    cluster.mine_to(LISTED)
    network = first(cluster).network
    for prefix in "01":
        for one in members(cluster, prefix):
            peer = cluster[one]
            assert peer.node.group.state.prefix == prefix
            assert peer.node.topics == (group_topic(network, prefix), network_topic(network))
            assert set(peer.node.topics) == peer.topics
            voted = {slot.electorate for slot, _ in peer.votes}
            assert voted == {"group:", f"group:{prefix}", LIST_ELECTORATE}
            ballots = [machine.state.prefix for machine in peer.node.groups if machine._ballot is not None]
            assert ballots == [prefix]


def test_every_operator_is_judged_once_by_the_group_that_its_draw_names() -> None:
    cluster = splitting()
    cluster.mine_to(LISTED)
    records = list(first(cluster).groups.archive.verdict_records(2, 3))
    assert len(records) == 4
    for seq in (2, 3):
        judged = [
            verdict.operator_key for record in records if record.seq == seq for verdict in record.verdicts
        ]
        assert sorted(judged) == sorted(cluster.peers)
    assert {verdict.reason for record in records for verdict in record.verdicts} == {Reason.VALID}


def test_a_list_over_two_groups_is_certified_and_verifies_from_files() -> None:
    cluster = splitting()
    cluster.mine_to(LISTED + 8)
    trust = trust_from_genesis(encode(cluster.genesis))
    for period in (1, 2):
        files = {peer.node.lister.file(period) for peer in cluster.peers.values()}
        verified = [verify_list(file or b"", trust) for file in files]
        assert len({one.list_hash for one in verified}) == 1
        header = verified[0].header
        assert [head.prefix for head in header.heads] == ["0", "1"]
        assert header.responses == 8 * 2
        assert header.members_count == len(first(cluster).groups.archive.members(header.heads)) >= 7
        trust = trust_from_list(verified[0])


def test_groups_split_again() -> None:
    genesis, founders = founding(14, 3, 2)
    cluster = Cluster(founders, genesis=genesis)
    cluster.mine_to(FIRST + 4)
    assert same_everywhere(cluster)
    assert [prefix for prefix, _, _ in standing(first(cluster).groups)] == ["00", "01", "10", "11"]
    assert all(first(cluster).groups.is_judged(seq) for seq in (2,))


# Coming together.


def merging() -> tuple[Cluster, str]:
    """Return a cluster in which one of two groups fell below its least size; and its prefix."""
    cluster = splitting()
    cluster.mine_to(5)
    prefix = min("01", key=lambda bit: len(members(cluster, bit)))
    while len(members(cluster, prefix)) > 1:
        convict(cluster, members(cluster, prefix)[0])
        if len(first(cluster).groups) == 1:
            break
    return cluster, prefix


def test_a_group_that_is_too_small_goes_on_with_its_sibling() -> None:
    cluster, prefix = merging()
    cluster.mine_to(FIRST + 4)
    assert same_everywhere(cluster)
    made = kinds(cluster)
    assert (prefix, Kind.MERGE) in made and ("01".replace(prefix, ""), Kind.MERGE) in made
    assert [one.prefix for one in states(first(cluster).groups)] == [""]
    assert ("", Kind.VERDICT) in made
    blocks = [decode_block(decode_certified(data).block) for data in blocks_of(cluster)]
    places = [(block.prefix, block.height) for block in blocks]
    assert len(places) == len(set(places)), "a place came twice"


# Coming in late.


def test_a_newcomer_without_records_takes_everything_from_genesis_on() -> None:
    cluster, _ = merging()
    cluster.mine_to(FIRST + 14)
    before = first(cluster)
    newcomer = Node(cluster.genesis, STRANGER.signer, cluster.chain, MemoryStore(), VoteGuard())
    cluster.peers[STRANGER.key] = peer = cluster._new_peer(STRANGER)
    assert newcomer.topics == peer.node.topics == (network_topic(before.network),)
    cluster.carry(peer, peer.node.start(cluster.now))
    cluster.run(30_000)
    assert states(peer.node.groups) == states(before.groups)
    assert peer.node.lister.state == before.lister.state
    assert len(peer.node.groups.archive) == len(before.groups.archive)


def test_a_node_that_was_away_while_the_network_split_catches_up_and_votes_in_its_half() -> None:
    cluster = splitting()
    away = next(peer.operator for peer in cluster.peers.values())
    cluster.cut = {away.key}
    cluster.mine_to(LISTED)
    assert len(cluster[away].node.groups) == 1
    assert len(members_at(cluster, 1)) == 2
    cluster.heal()
    cluster.run(20_000)
    cluster.mine_to(LISTED + 8)
    assert same_everywhere(cluster)
    prefix = cluster[away].node.group.state.prefix
    assert f"group:{prefix}" in {slot.electorate for slot, _ in cluster[away].votes}


def members_at(cluster: Cluster, index: int) -> list[str]:
    """Return the live groups as one of the nodes has them."""
    return [prefix for prefix, _, _ in standing(list(cluster.peers.values())[index].node.groups)]


@pytest.mark.parametrize("seed", range(3))
def test_restarts_at_random_heights_lead_to_the_same_state_and_record(seed: int) -> None:
    cluster, _ = merging()
    draw = random.Random(seed)
    while cluster.chain.tip()[0] < 26:
        cluster.mine(draw.randint(1, 3))
        before = cluster[draw.choice([peer.operator for peer in cluster.peers.values()])]
        record = stored(before)
        after = cluster.restart(before.operator)
        assert stored(after) == record
        assert states(after.node.groups) == states(before.node.groups)
        assert after.node.groups.archive.heads() == before.node.groups.archive.heads()
        assert after.node.group.state.prefix == before.node.group.state.prefix
    assert same_everywhere(cluster) and first(cluster).lister.period >= 3


# Blocks in any order.


def blocks_of(cluster: Cluster) -> list[bytes]:
    return [data for _, data in stored(next(iter(cluster.peers.values())))]


def test_blocks_that_come_in_any_order_lead_to_the_same_state() -> None:
    cluster, _ = merging()
    cluster.mine_to(FIRST + 10)
    blocks, expected = blocks_of(cluster), states(first(cluster).groups)
    for seed in range(20):
        node = Node(cluster.genesis, STRANGER.signer, cluster.chain, MemoryStore(), VoteGuard())
        node.start(0)
        for block in shuffled(blocks, seed):
            told = Forward(network=node.network, sender=STRANGER.key, certified=block)
            node.receive([Incoming(STRANGER.key, STRANGER.ip, network_topic(node.network), pack_plain(told))])
        assert states(node.groups) == expected
        assert not len(node.groups._waiting)


@settings(max_examples=20)
@given(st.data())
def test_blocks_that_are_handed_over_in_pieces_with_gaps_never_lead_anywhere_else(
    data: st.DataObject,
) -> None:
    cluster = whole_story()
    blocks = blocks_of(cluster)
    node = Node(cluster.genesis, STRANGER.signer, cluster.chain, MemoryStore(), VoteGuard())
    node.start(0)
    for block in data.draw(st.lists(st.sampled_from(blocks), max_size=40)):
        answer = Blocks(network=node.network, blocks=(block,))
        node.receive([Incoming(STRANGER.key, STRANGER.ip, "", pack_plain(answer))])
    archive = first(cluster).groups.archive
    for head in node.groups.archive.heads():
        assert archive.block_hash(head.prefix, head.height) == head.block_hash
    assert len(node.groups.archive) <= len(archive)


STORIES: list[Cluster] = []


def whole_story() -> Cluster:
    """Return one cluster that split and merged, for tests that only read it."""
    if not STORIES:
        cluster, _ = merging()
        cluster.mine_to(FIRST + 10)
        STORIES.append(cluster)
    return STORIES[0]


# What contradicts.


def forged(cluster: Cluster, prefix: str, witness: Node) -> bytes:
    """Return a block that all voters of a group certified though no rule allows it."""
    state = witness.groups[prefix].state
    body = decode_certified(witness.groups.archive.certified(prefix, state.height) or b"").block
    block = replace(
        decode_block(body), height=state.height + 1, previous=state.head, kind=Kind.LINK, payload=b"\x01"
    )
    return encode(certify(cluster, prefix, encode(block)))


def test_what_another_group_contradicts_does_not_silence_our_own_groups_votes() -> None:
    cluster = splitting()
    cluster.mine_to(FIRST + 4)
    mine, theirs = members(cluster, "0")[0], "1"
    peer = cluster[mine]
    answer = Blocks(network=peer.node.network, blocks=(forged(cluster, theirs, peer.node),))
    cluster.deliver(mine, STRANGER, pack_plain(answer))
    (news,) = peer.events("data_chain.contradiction")
    assert news.fields["prefix"] == theirs
    assert peer.node.groups[theirs].contradicted and not peer.node.contradicted
    height, voted = peer.node.group.state.height, len(peer.votes)
    cluster.mine_to(FIRST + 8)
    assert peer.node.group.state.height > height and len(peer.votes) > voted
    assert peer.node.groups[theirs].refuted
    assert theirs not in dict(peer.node.groups.wants())


def test_what_our_own_group_contradicts_silences_us() -> None:
    cluster = splitting()
    cluster.mine_to(FIRST + 4)
    mine = members(cluster, "0")[0]
    peer = cluster[mine]
    answer = Blocks(network=peer.node.network, blocks=(forged(cluster, "0", peer.node),))
    cluster.deliver(mine, STRANGER, pack_plain(answer))
    assert peer.node.contradicted
    voted, height = len(peer.votes), peer.node.groups["1"].state.height
    cluster.mine_to(FIRST + 8)
    assert len(peer.votes) == voted
    assert peer.node.groups["1"].state.height > height  # the others are followed all the same


def test_a_block_without_its_groups_quorum_is_refused_and_does_not_wait() -> None:
    cluster = splitting()
    cluster.mine_to(FIRST + 4)
    peer = cluster[members(cluster, "0")[0]]
    whole = decode_certified(forged(cluster, "1", peer.node))
    few = replace(whole.certificate, signatures=whole.certificate.signatures[:1])
    answer = Blocks(
        network=peer.node.network, blocks=(encode(CertifiedBlock(block=whole.block, certificate=few)),)
    )
    cluster.deliver(peer.operator, STRANGER, pack_plain(answer))
    assert not peer.node.groups["1"].contradicted and not len(peer.node.groups._waiting)


# Registrations over groups.


def newcomer_at_home_in(prefix: str) -> Operator:
    numbers = (operator(number) for number in range(5_000, 5_400))
    return next(one for one in numbers if matches(prefix, registration_home(one.stake_address)))


@pytest.mark.parametrize("home", ["0", "1"])
def test_an_operator_that_registers_at_home_is_judged_by_whatever_group_its_draw_names(home: str) -> None:
    one = newcomer_at_home_in(home)
    cluster = splitting(others=[one])
    cluster.mine_to(5)
    cluster.submit(one, one.envelope(network=first(cluster).network))
    cluster.mine_to(35)
    assert (home, Kind.REGISTER) in kinds(cluster)
    other = "01".replace(home, "")
    assert (other, Kind.REGISTER) not in kinds(cluster)
    judges: set[str] = set()
    for record in first(cluster).groups.archive.verdict_records(2, 8):
        for verdict in record.verdicts:
            if verdict.operator_key == one.key:
                assert verdict.reason is Reason.VALID
                judges.add(record.prefix)
    assert judges == {"0", "1"}  # of seven challenges some fall to either
    assert first(cluster).groups[other].state.read.get(home)
    assert cluster[one].node.group.state.covers(home_draw(one.key))  # its seat is at its home
