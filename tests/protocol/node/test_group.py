"""A group's data chain at one node whose chain moves under it."""

from protocol.crypto import SIGNATURE_SIZE
from protocol.group.proposer import proposer_order
from protocol.group.vote import Phase, Proposal, Vote, decode_statement, value_hash
from protocol.group.vote_guard import VoteGuard
from protocol.node.effects import Effect, Incoming, Publish
from protocol.node.machine import Node
from protocol.node.messages import SIGNED, pack_signed
from protocol.units import OperatorKey
from tests.support.chain_view import MemoryChain
from tests.support.founding import founded_by
from tests.support.node_cluster import Cluster
from tests.support.operators import Operator, operator
from zenp2p.store import MemoryStore

FOUNDERS = tuple(operator(number) for number in range(4))
NEWCOMER = operator(4)


def ballots(effects: list[Effect]) -> list[tuple[bytes, Vote | Proposal]]:
    """Return the votes and proposals that are published."""
    found: list[tuple[bytes, Vote | Proposal]] = []
    for effect in effects:
        if isinstance(effect, Publish) and effect.data[0] == SIGNED and b"group:" in effect.data:
            found.append((effect.data, decode_statement(effect.data[1 + SIGNATURE_SIZE :])))
    return found


def node_on(chain: MemoryChain, one: Operator) -> Node:
    node = Node(founded_by(FOUNDERS), one.signer, chain, MemoryStore(), VoteGuard())
    node.start(0)
    return node


def test_a_proposal_that_came_too_early_is_voted_for_when_the_chain_has_grown() -> None:
    ahead = MemoryChain()
    ahead.mine_to(5)
    behind = ahead.copy()
    ahead.mine()
    nodes = [node_on(ahead, one) for one in FOUNDERS]
    entry = pack_signed(NEWCOMER.envelope(network=nodes[0].network))
    (data, proposal) = next(
        ballot for node in nodes for ballot in ballots(node.submit(entry)) if isinstance(ballot[1], Proposal)
    )
    assert isinstance(proposal, Proposal)
    voter = next(one for one in FOUNDERS if one.key != proposal.proposer)
    late = node_on(behind, voter)
    assert not ballots(late.receive([Incoming(proposal.signer, b"", "", data)]))
    behind.mine()
    assert behind.tip() == ahead.tip()
    effects = late.connect(*behind.tip()) + late.tick(1)
    votes = [said for _, said in ballots(effects) if isinstance(said, Vote)]
    assert [(vote.phase, vote.block_hash) for vote in votes] == [(Phase.PREVOTE, value_hash(proposal.value))]


def test_a_node_that_stops_while_its_chain_is_reorganised_starts_with_all_that_it_had() -> None:
    """To judge a challenge once more, or to observe it anew, would be to say two things of it."""
    cluster = Cluster(FOUNDERS)
    cluster.mine_to(16)
    before = cluster[FOUNDERS[0]].node.group.state
    assert before.height > 1
    tip = cluster.chain.tip()[0]
    cluster.chain.disconnect(tip - before.stamp_height)
    restarted = cluster.restart(FOUNDERS[0])
    assert restarted.node.group.state == before and not restarted.node.contradicted
    assert all(
        opened.challenge.seq not in before.judged for opened in restarted.node.tracker.open_challenges()
    )


def locked_on_what_one_does_not_affirm() -> tuple[Cluster, OperatorKey]:
    """One voter of four is locked on a block, one never saw what it would have to see to affirm it.

    A dishonest voter helped to lock it, showed that to the one alone, and is gone.
    """
    cluster = Cluster(FOUNDERS)
    cluster.mine_to(5)
    state = cluster[FOUNDERS[0]].node.group.state
    order = proposer_order(state.network, state.electorate_name, state.electorate, state.height + 1)
    first, second, third, dishonest = order
    cluster.peers[third].node.groups.affirmed_by.append(lambda state, block, payload: False)
    cluster.drops = lambda sender, to, data: to in (second, third) and is_vote(data)
    cluster.submit(cluster.peers[first].operator, NEWCOMER.envelope(network=state.network))
    cluster.run(100)
    votes = [said for peer in cluster.peers.values() for said in votes_of(peer.sent) if said.block_hash]
    assert {vote.voter for vote in votes if vote.phase is Phase.PRECOMMIT} == {first, dishonest}
    assert {vote.voter for vote in votes if vote.phase is Phase.PREVOTE} == {first, second, dishonest}
    cluster.drops = lambda sender, to, data: False
    cluster.cut = {dishonest}
    return cluster, third


def is_vote(data: bytes) -> bool:
    return data[0] == SIGNED and data.startswith(b"\x98\xa4vote", 1 + SIGNATURE_SIZE)


def votes_of(sent: list[bytes]) -> list[Vote]:
    said = [decode_statement(data[1 + SIGNATURE_SIZE :]) for data in sent if is_vote(data)]
    return [one for one in said if isinstance(one, Vote)]


def test_a_lock_on_what_not_every_voter_can_affirm_does_not_stop_the_group() -> None:
    """That a quorum prevoted it says that more than a third of the voters are honest and saw it."""
    cluster, unconvinced = locked_on_what_one_does_not_affirm()
    cluster.run(30_000)
    there = [peer.node.group.state for key, peer in cluster.peers.items() if key not in cluster.cut]
    assert [state.height for state in there] == [1] * 3 and len({state.head for state in there}) == 1
    voted = {vote.block_hash for vote in votes_of(cluster.peers[unconvinced].sent)}
    assert there[0].head in voted
