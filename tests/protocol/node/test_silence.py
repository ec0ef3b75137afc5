"""A node whose vote file is lost: it listens until nothing that it may have said can matter."""

import pytest

from protocol.group.vote_guard import VoteGuard
from protocol.node.machine import Node
from protocol.node.messages import Blocks, ListAnswer, pack_plain
from protocol.node.records import RESPONSE
from tests.support.node_cluster import Cluster, Peer
from tests.support.operators import operator
from zenp2p.store import MemoryStore

FOUNDERS = tuple(operator(number) for number in range(4))
LOST = FOUNDERS[0]


def without_votes(cluster: Cluster, store: MemoryStore) -> Peer:
    """Start a node again whose vote file is new and incomplete."""
    guard = VoteGuard((), complete=False)
    node = Node(cluster.genesis, LOST.signer, cluster.chain, store, guard)
    peer = Peer(LOST, node, store, seen=cluster.chain.tip()[0])
    cluster.peers[LOST.key] = peer
    cluster.carry(peer, node.start(cluster.now))
    cluster.settle()
    return peer


def test_it_votes_again_after_a_block_whose_decision_it_has_heard() -> None:
    cluster = Cluster(FOUNDERS)
    cluster.mine_to(9)
    peer = without_votes(cluster, cluster[LOST].store)
    cluster.mine_to(11)
    assert peer.node.group.state.height == 1 and not peer.votes  # the others are enough
    cluster.mine_to(26)
    assert peer.votes and peer.node.may_vote()
    voted = {(slot.electorate, slot.height) for slot, _ in peer.votes}
    assert ("group:", 1) not in voted


def test_it_knows_what_the_others_miss_of_it() -> None:
    cluster = Cluster(FOUNDERS)
    cluster.mine_to(9)
    peer, other = without_votes(cluster, cluster[LOST].store), cluster[FOUNDERS[1]].node
    assert peer.node.group.unheard == (0, 0)
    cluster.mine_to(11)
    assert (peer.node.group.state.height, peer.node.group.unheard) == (1, (1, 2))
    assert other.group.unheard == (0, 0)
    assert other.seating.admissions.attendance.missed(LOST.key, other.group.state) == 1
    cluster.mine_to(26)
    assert peer.node.group.unheard == (0, 0), "it votes again"
    assert other.seating.admissions.attendance.missed(LOST.key, other.group.state) == 0


@pytest.mark.parametrize("lost_chain", [False, True])
def test_blocks_that_are_only_fetched_do_not_end_the_silence(lost_chain: bool) -> None:
    """Whoever lost the chain too began at height 0: every block is stamped after that, even old ones."""
    cluster = Cluster(FOUNDERS)
    cluster.mine_to(19)
    blocks = [cluster[FOUNDERS[1]].node.group.certified(height) for height in (1, 2)]
    file = cluster[FOUNDERS[1]].node.lister.file(1)
    whole, cluster.chain = cluster.chain, cluster.chain.copy()
    if lost_chain:
        cluster.chain.disconnect(19)
    peer = without_votes(cluster, MemoryStore())
    node = peer.node
    for machine in (node.group, node.lister, node.tracker):
        machine._chain = whole  # now the chain is here again
    cluster.cut = {one.key for one in FOUNDERS[1:]}
    fetched = pack_plain(Blocks(network=node.network, blocks=tuple(block or b"" for block in blocks)))
    cluster.deliver(LOST, FOUNDERS[1], fetched)
    cluster.deliver(LOST, FOUNDERS[1], pack_plain(ListAnswer(network=node.network, file=file or b"")))
    assert node.group.state.height == 2 and node.lister.period == 2
    assert not node.may_vote()
    assert node._guard.is_silent(node.network, "group:", 3) and node._guard.is_silent(node.network, "list", 2)


def test_what_a_challenge_left_that_can_never_be_judged_is_swept_at_the_next_start() -> None:
    cluster = Cluster(FOUNDERS)
    cluster.mine_to(9)
    store = cluster[LOST].store
    assert list(store.iterate(RESPONSE))
    cluster.cut = {one.key for one in FOUNDERS}
    cluster.chain.mine_to(8 + 4 * 12)
    cluster.cut = set()
    cluster.restart(LOST)
    assert not list(store.iterate(RESPONSE + (2).to_bytes(4, "big")))
