"""Lists at one node: what it takes from others, and a list that its own blocks contradict."""

import pytest

from protocol.chain.view import ChainView
from protocol.codec import decode, encode, replace
from protocol.genesis import Genesis
from protocol.group.certificate import Certificate
from protocol.group.proposer import proposer_order
from protocol.group.vote import LIST_ELECTORATE, Phase, Slot, decode_statement, vote_body
from protocol.node.effects import Announce, Persist
from protocol.node.messages import PLAIN, ListAnswer, pack_plain
from protocol.node.records import LIST, LIST_STATE
from protocol.payout.list_certificate import compact_certificate
from protocol.payout.list_file import ListFile, decode_list_file
from protocol.payout.list_header import Head, list_hash
from protocol.payout.payout_list import ListSource, ListState, PayoutList, propose_list
from protocol.units import Period
from tests.support.node_cluster import Cluster
from tests.support.operators import Operator, operator

FOUNDERS = tuple(operator(number) for number in range(4))
CERTIFIED = 17


def last_to_propose() -> Operator:
    """Return the founder whose turn comes last: it has accepted no list as its own proposal."""
    lister = Cluster(FOUNDERS)[FOUNDERS[0]].node.lister
    order = proposer_order(lister.state.network, LIST_ELECTORATE, lister.electorate, lister.period)
    return next(one for one in FOUNDERS if one.key == order[-1])


BEHIND = last_to_propose()
OTHERS = tuple(one for one in FOUNDERS if one != BEHIND)


def behind() -> tuple[Cluster, bytes]:
    """Return a cluster whose first founder has every block but no list, and the list file of period 1."""
    cluster = Cluster(FOUNDERS)
    cluster.drops = lambda sender, to, data: to == BEHIND.key and (b"list" in data[:400])
    cluster.mine_to(CERTIFIED)
    file = cluster[OTHERS[0]].node.lister.file(1)
    assert file is not None and cluster[BEHIND].node.lister.period == 1
    return cluster, file


def certified(cluster: Cluster, file: ListFile, signers: int = 4) -> ListFile:
    """Return the file with a certificate by the first founders, as if they had decided it."""
    slot = Slot(cluster[BEHIND].node.network, LIST_ELECTORATE, 1, 0, Phase.PRECOMMIT)
    hashed = list_hash(file.header)
    signatures = sorted(
        (bytes(one.key), one.signer.sign(vote_body(slot, hashed, one.key))[:64]) for one in FOUNDERS[:signers]
    )
    certificate = Certificate(
        electorate=LIST_ELECTORATE, height=1, round=0, block_hash=hashed, signatures=tuple(signatures)
    )
    compact = compact_certificate(certificate, cluster[BEHIND].node.lister.electorate)
    return replace(file, certificate=compact)


def hand(cluster: Cluster, file: bytes) -> None:
    network = cluster[BEHIND].node.network
    cluster.deliver(BEHIND, OTHERS[0], pack_plain(ListAnswer(network=network, file=file)))


def test_a_certified_list_is_taken_from_a_file_and_kept_over_a_restart() -> None:
    cluster, file = behind()
    hand(cluster, file)
    peer = cluster[BEHIND]
    assert peer.node.lister.period == 2 and peer.node.lister.file(1) == file
    assert len(list(peer.store.iterate(LIST))) == 1 == len(list(peer.store.iterate(LIST_STATE)))
    state, electorate = peer.node.lister.state, peer.node.lister.electorate
    again = cluster.restart(BEHIND).node.lister
    assert (again.state, again.electorate) == (state, electorate)
    hand(cluster, file)  # once more: nothing
    assert again.period == 2


def test_a_file_without_its_quorum_or_of_another_period_is_not_taken() -> None:
    cluster, file = behind()
    read = decode_list_file(file)
    other = replace(read, header=replace(read.header, period=2))
    for bad in (
        encode(certified(cluster, read, signers=2)),
        encode(replace(read, header=replace(read.header, carried_out=read.header.carried_out + 1))),
        encode(certified(cluster, other)),
        file[:-1],
    ):
        hand(cluster, bad)
        assert cluster[BEHIND].node.lister.period == 1 and not cluster[BEHIND].node.contradicted
    assert not list(cluster[BEHIND].store.iterate(LIST))


def test_entries_of_a_peers_file_are_not_believed_but_made_anew() -> None:
    """The certificate covers the header; what is kept beside it is our own."""
    cluster, file = behind()
    read = decode_list_file(file)
    hand(cluster, encode(replace(read, entries=())))
    assert cluster[BEHIND].node.lister.file(1) == file


def test_a_list_that_everybody_signed_and_our_blocks_contradict_silences_the_node() -> None:
    cluster, file = behind()
    read = decode_list_file(file)
    wrong = replace(read, header=replace(read.header, carried_out=read.header.carried_out + 1))
    hand(cluster, encode(certified(cluster, wrong)))
    peer = cluster[BEHIND]
    assert peer.events("list.contradiction") and peer.node.contradicted and peer.node.lister.period == 1
    voted, height = len(peer.votes), cluster[OTHERS[0]].node.group.state.height
    cluster.drops = lambda sender, to, data: False
    cluster.mine_to(CERTIFIED + 6)
    assert len(peer.votes) == voted  # neither on lists nor on blocks
    assert len(peer.events("list.contradiction")) == 1
    assert cluster[OTHERS[0]].node.group.state.height > height


def test_a_contradiction_by_blocks_that_come_later_ends_when_they_come() -> None:
    cluster, file = behind()
    lister = cluster[BEHIND].node.lister
    source, lister._source = lister._source, cluster[OTHERS[0]].node.groups.archive
    real = lister.state
    lister.state = replace(real, carried=real.carried + 1)  # as if our own past were another
    hand(cluster, file)
    assert lister.contradicted
    lister.state, lister._source = real, source
    lister.moved()
    effects = lister.tick(cluster.now)
    assert [one.event for one in effects if isinstance(one, Announce)][:1] == ["list.agreed"]
    assert any(isinstance(one, Persist) and one.key == LIST_STATE for one in effects)
    assert not lister.contradicted and lister.period == 2
    assert decode(encode(lister.state), type(lister.state)) == lister.state


def stranded() -> tuple[Cluster, bytes]:
    """Return the same after everybody's chain was replaced from before the period's end."""
    cluster, file = behind()
    cluster.reorganise(CERTIFIED - 14, b"deep")
    assert decode_list_file(file).header.last_hash != cluster.chain.block_hash(15)
    return cluster, file


def test_a_stranded_list_is_held_back_until_our_chain_has_settled() -> None:
    cluster, file = stranded()
    cluster.cut = {one.key for one in OTHERS}
    hand(cluster, file)
    peer = cluster[BEHIND]
    (news,) = peer.events("list.contradiction")
    assert news.fields["stranded"] is True and peer.node.contradicted
    settled = 15 + cluster.genesis.parameters.burial + cluster.genesis.parameters.challenge_every
    cluster.mine_to(settled - 1)
    assert peer.node.contradicted and peer.node.lister.period == 1
    cluster.mine_to(settled)
    assert not peer.node.contradicted and peer.node.lister.period == 2
    assert [one.fields for one in peer.events("list.stranded")] == [{"period": 1, "why": "settled"}]
    assert len(peer.events("list.contradiction")) == 1 and peer.node.lister.file(1) == file


def test_a_stranded_list_is_taken_once_the_voters_have_certified_a_block_on_our_chain() -> None:
    cluster, file = stranded()
    group = cluster[BEHIND].node.group
    assert not group.stamps_from(15)
    cluster.submit(OTHERS[0], operator(9).envelope(network=cluster[BEHIND].node.network))
    cluster.run(2_000)
    assert group.stamps_from(15) and not group.stamps_from(cluster.chain.tip()[0])
    hand(cluster, file)
    assert not cluster[BEHIND].node.contradicted and cluster[BEHIND].node.lister.period == 2
    assert [one.fields["why"] for one in cluster[BEHIND].events("list.stranded")] == ["followed"]


def test_a_stamp_above_our_tip_does_not_say_that_the_voters_stand_on_our_chain() -> None:
    cluster, file = stranded()
    cluster.submit(OTHERS[0], operator(9).envelope(network=cluster[BEHIND].node.network))
    cluster.run(2_000)
    peer = cluster[BEHIND]
    stamp = peer.node.group.state.stamp_height
    cluster.cut = {one.key for one in FOUNDERS}
    for height in range(cluster.chain.tip()[0], stamp - 1, -1):
        peer.node.disconnect(height, cluster.chain.block_hash(height) or b"")
        cluster.chain.disconnect(1)
    assert cluster.chain.tip()[0] >= 15 + cluster.genesis.parameters.burial
    assert not peer.node.group.stamps_from(15)
    hand(cluster, file)
    assert peer.node.contradicted and peer.node.lister.period == 1


def decides_a_list(data: bytes) -> bool:
    """Whether a message is a precommit on a list, or the list itself."""
    if data[0] == PLAIN:
        return b"list" in data[:10] and len(data) > 200
    is_vote = data[65:].startswith(b"\x98\xa4vote")
    return is_vote and b"\xa4list" in data and decode_statement(data[65:]).slot.phase is Phase.PRECOMMIT


def test_a_stranded_list_that_we_voted_for_ourselves_is_taken_at_once() -> None:
    cluster = Cluster(FOUNDERS)
    cluster.drops = lambda sender, to, data: to == BEHIND.key and decides_a_list(data)
    cluster.mine_to(CERTIFIED)
    file = cluster[OTHERS[0]].node.lister.file(1)
    lister = cluster[BEHIND].node.lister
    assert file is not None and lister.period == 1
    assert lister._ballot.consensus.affirms(list_hash(decode_list_file(file).header))
    cluster.reorganise(CERTIFIED - 14, b"deep")
    hand(cluster, file)
    assert not cluster[BEHIND].node.contradicted and lister.period == 2
    assert [one.fields["why"] for one in cluster[BEHIND].events("list.stranded")] == ["affirmed"]


def test_a_list_with_another_fault_than_its_branch_stays_a_contradiction() -> None:
    cluster, file = stranded()
    read = decode_list_file(file)
    wrong = replace(read, header=replace(read.header, carried_out=read.header.carried_out + 1))
    cluster.cut = {one.key for one in OTHERS}
    hand(cluster, encode(certified(cluster, wrong)))
    peer = cluster[BEHIND]
    cluster.mine_to(30)
    assert peer.node.contradicted and peer.events("list.contradiction")[0].fields["stranded"] is False


def test_only_who_proposes_a_list_makes_it_and_the_others_wake_up(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Period] = []

    def counted(genesis: Genesis, state: ListState, source: ListSource, chain: ChainView) -> PayoutList:
        ours = propose_list(genesis, state, source, chain)
        made.append(Period(state.period))
        return ours

    monkeypatch.setattr("protocol.node.lister.propose_list", counted)
    cluster = Cluster(FOUNDERS)
    cluster.mine_to(CERTIFIED)
    assert all(cluster[one].node.lister.file(1) is not None for one in FOUNDERS)
    assert made.count(Period(1)) == 1
    cluster = Cluster(FOUNDERS)
    (first,) = (one for one in FOUNDERS if one.key == cluster[one].node.lister._ballot.consensus.proposer(0))
    cluster.drops = lambda sender, to, data: sender == first.key and b"proposal" in data[:100]
    made.clear()
    cluster.mine_to(CERTIFIED)
    assert all(cluster[one].node.lister.file(1) is not None for one in FOUNDERS)
    assert made.count(Period(1)) == 2  # the second one's turn came


def test_what_was_proposed_grows_old_and_is_not_proposed_again() -> None:
    cluster = Cluster(FOUNDERS)
    consensus = {one: cluster[one].node.lister._ballot.consensus for one in FOUNDERS}
    (first,) = (one for one in FOUNDERS if one.key == consensus[one].proposer(0))
    cluster.drops = lambda sender, to, data: b"list" in data[:400]  # nobody hears anybody about it
    cluster.mine_to(CERTIFIED)
    assert consensus[first].spoken.last >= (0, Phase.PROPOSE) and not consensus[first].decided
    consensus[first].offer([b"of a while ago"], cluster.now)
    cluster[first].node.tick(cluster.now)
    assert not consensus[first]._choices


def test_while_heads_are_in_doubt_that_stand_in_the_last_list_no_list_is_proposed() -> None:
    """They come back when it is known what became of them; until then nothing is there to be computed."""
    cluster = Cluster(FOUNDERS)
    cluster.mine_to(CERTIFIED)
    listers = [cluster[one].node.lister for one in FOUNDERS]
    assert {lister.period for lister in listers} == {2}
    (last,) = listers[0].state.heads
    before = cluster[FOUNDERS[0]].node.groups.archive.block_hash("", last.height - 1)
    assert before is not None
    doubtful = Head(prefix="", height=last.height - 1, block_hash=before)
    certain = [lister._proposed.heads for lister in listers]
    for lister in listers:
        lister._proposed.heads = lambda: (doubtful,)  # type: ignore[method-assign]
    cluster.mine(12)
    assert {lister.period for lister in listers} == {2}
    for lister, heads in zip(listers, certain, strict=True):
        lister._proposed.heads = heads  # type: ignore[method-assign]
    cluster.mine(2)
    assert {lister.period for lister in listers} == {3}
