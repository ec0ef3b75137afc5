"""What a peer, a judge or a bare liar can try against one node, and what it costs the node: nothing."""

import random

import pytest

from protocol.codec import decode, encode, replace
from protocol.errors import StaleMessage
from protocol.group.data_block import CertifiedBlock, Kind, block_hash, decode_block
from protocol.group.vote import Phase, Slot, vote_body
from protocol.node.catch_up import REQUEST_MILLISECONDS
from protocol.node.effects import Announce, Incoming, Punish, Send
from protocol.node.messages import (
    PLAIN,
    SIGNED,
    Blocks,
    BlocksRequest,
    Responses,
    ResponsesRequest,
    Status,
    Want,
    pack_plain,
    pack_signed,
)
from protocol.node.proposals import Candidates
from protocol.node.records import BALLOT, BLOCK, REGISTRATION
from protocol.tracking.observation import Observation, Sighting
from protocol.tracking.response import decode_response, response_hash
from protocol.units import OperatorKey
from tests.support.node_cluster import Cluster
from tests.support.operators import Operator, operator

FOUNDERS = tuple(operator(number) for number in range(4))
STRANGER = operator(9)
FIRST = 8
JUDGED_AT = 11


def away(height: int = 21) -> Cluster:
    """Return a cluster whose first founder lacks every block up to `height`, and hears nobody yet."""
    cluster = Cluster(FOUNDERS)
    cluster.mine_to(5)
    cluster.cut = {FOUNDERS[0].key}
    cluster.mine_to(height)
    return cluster


def blocks_of(cluster: Cluster, one: Operator) -> list[bytes]:
    group = cluster[one].node.group
    return [group.certified(height) or b"" for height in range(1, group.state.height + 1)]


def connect_all(cluster: Cluster, one: Operator) -> None:
    """Tell a node that is cut off of every chain block."""
    peer = cluster[one]
    for height in range(peer.seen + 1, cluster.chain.tip()[0] + 1):
        cluster.carry(peer, peer.node.connect(height, cluster.chain.block_hash(height) or b""))
        peer.seen = height


def status(cluster: Cluster, sender: Operator, height: int, lists: int = 0) -> bytes:
    network = cluster[FOUNDERS[0]].node.network
    return pack_plain(
        Status(network=network, sender=sender.key, heads=bytes(32), blocks=height, pruned=0, lists=lists)
    )


def test_a_good_block_before_a_bad_one_is_kept_on_disk() -> None:
    cluster = away()
    node = cluster[FOUNDERS[0]].node
    good = blocks_of(cluster, FOUNDERS[1])
    connect_all(cluster, FOUNDERS[0])
    for bad in (b"junk", encode(replace(decode(good[1], CertifiedBlock), block=b"junk"))):
        before = node.group.state.height
        answer = Blocks(network=node.network, blocks=(good[before], bad))
        cluster.deliver(FOUNDERS[0], STRANGER, pack_plain(answer))
        assert node.group.state.height == before + 1
    assert len(list(cluster[FOUNDERS[0]].store.iterate(BLOCK))) == node.group.state.height == 2
    assert cluster.restart(FOUNDERS[0]).node.group.state == node.group.state


def test_a_bug_of_ours_while_a_message_is_taken_is_not_called_the_peers_fault() -> None:
    cluster = Cluster(FOUNDERS)
    node = cluster[FOUNDERS[0]].node

    def broken(*_: object) -> list[object]:
        raise IndexError("ours")

    node._routing._messages[Status] = broken  # type: ignore[assignment]
    with pytest.raises(IndexError):
        node.receive([Incoming(STRANGER.key, STRANGER.ip, "", status(cluster, STRANGER, 1))])


def forged_certificate(cluster: Cluster, **change: object) -> bytes:
    """Return the next block, changed, certified by everybody: all voters have lied."""
    certified = decode(blocks_of(cluster, FOUNDERS[1])[0], CertifiedBlock)
    block = encode(replace(decode_block(certified.block), **change))
    hashed = block_hash(block)
    network = cluster[FOUNDERS[0]].node.network
    slot = Slot(network, certified.certificate.electorate, 1, 0, Phase.PRECOMMIT)
    signatures = sorted(
        (bytes(one.key), one.signer.sign(vote_body(slot, hashed, one.key))[:64]) for one in FOUNDERS
    )
    certificate = replace(certified.certificate, round=0, block_hash=hashed, signatures=tuple(signatures))
    return encode(CertifiedBlock(block=block, certificate=certificate))


def contradict(cluster: Cluster, **change: object) -> None:
    node = cluster[FOUNDERS[0]].node
    connect_all(cluster, FOUNDERS[0])
    answer = Blocks(network=node.network, blocks=(forged_certificate(cluster, **change),))
    cluster.deliver(FOUNDERS[0], STRANGER, pack_plain(answer))


def test_after_a_contradiction_nothing_is_voted_on_and_nothing_more_is_asked() -> None:
    cluster = away(JUDGED_AT + 1)
    contradict(cluster, kind=Kind.LINK, payload=b"\x01")
    peer = cluster[FOUNDERS[0]]
    (news,) = peer.events("data_chain.contradiction")
    assert peer.node.group.contradicted and news.fields["stranded"] is False
    assert peer.node.group.state.height == 0
    voted = len(peer.votes)
    cluster.heal()
    cluster.mine_to(20)
    assert len(peer.votes) == voted
    assert len(peer.events("data_chain.contradiction")) == 1
    assert not any(decoded_tag(data) == b"blocks?" for data in peer.sent)


def decoded_tag(data: bytes) -> bytes:
    """Return the tag of a plain message."""
    return data[3 : 3 + (data[2] & 0x1F)] if data[0] == PLAIN else b""


def test_a_block_that_says_what_nobody_may_say_is_a_contradiction_and_no_crash() -> None:
    cluster = away(JUDGED_AT + 1)
    contradict(cluster, kind=Kind.LINK, payload=b"\x01")
    assert cluster[FOUNDERS[0]].events("data_chain.contradiction")


def test_a_contradiction_ends_when_our_chain_comes_round() -> None:
    """A node that was alone on a fork of its own hears the others' blocks before their chain."""
    cluster = away(JUDGED_AT + 1)
    others = blocks_of(cluster, FOUNDERS[1])
    peer = cluster[FOUNDERS[0]]
    real, fork = peer.node.chain, cluster.chain.copy()
    fork.disconnect(6)
    for _ in range(7):
        fork.mine(salt=b"alone")
    views = (peer.node.group, peer.node.lister, peer.node.tracker)
    for machine in views:
        machine._chain = fork
    connect_all(cluster, FOUNDERS[0])
    cluster.deliver(FOUNDERS[0], STRANGER, pack_plain(Blocks(network=peer.node.network, blocks=(others[0],))))
    assert peer.node.group.contradicted
    for machine in views:
        machine._chain = real
    tip = cluster.chain.tip()
    cluster.carry(peer, peer.node.disconnect(tip[0], tip[1]))
    cluster.carry(peer, peer.node.connect(*tip))
    cluster.carry(peer, peer.node.tick(cluster.now))
    assert not peer.node.group.contradicted and peer.node.group.state.height == 1
    assert peer.events("data_chain.agreed")


def test_what_was_found_good_on_a_branch_that_is_gone_is_looked_at_again() -> None:
    cluster = away(JUDGED_AT + 1)
    peer = cluster[FOUNDERS[0]]
    connect_all(cluster, FOUNDERS[0])
    (good,) = blocks_of(cluster, FOUNDERS[1])
    peer.node.group.state.check_block(decode(good, CertifiedBlock).block, cluster.chain)  # as a proposal is
    tip = cluster.chain.tip()
    cluster.chain.disconnect(6)
    for _ in range(7):
        cluster.chain.mine(salt=b"another branch")
    cluster.carry(peer, peer.node.disconnect(*tip))
    cluster.deliver(FOUNDERS[0], STRANGER, pack_plain(Blocks(network=peer.node.network, blocks=(good,))))
    assert peer.node.group.contradicted and peer.node.group.state.height == 0


def test_a_node_that_starts_on_another_branch_says_so_and_goes_on_when_its_chain_comes_round() -> None:
    cluster = Cluster(FOUNDERS)
    cluster.mine_to(JUDGED_AT + 4)
    before = cluster[FOUNDERS[0]].node.group.state
    assert before.height == 2
    real, fork = cluster.chain, cluster.chain.copy()
    fork.disconnect(9)
    for _ in range(9):
        fork.mine(salt=b"alone")
    cluster.chain = fork
    cluster.cut = {one.key for one in FOUNDERS[1:]}
    peer = cluster.restart(FOUNDERS[0])
    assert not peer.node.contradicted and peer.node.group.state == before
    (news,) = peer.events("data_chain.stranded")
    assert news.fields == {"prefix": "", "height": 2, "stamp": before.stamp_height, "why": "stored"}
    for machine in (peer.node.group, peer.node.lister, peer.node.tracker):
        machine._chain = real
    cluster.carry(peer, peer.node.disconnect(*fork.tip()))
    for height in range(before.stamp_height, real.tip()[0] + 1):
        cluster.carry(peer, peer.node.connect(height, real.block_hash(height) or b""))
    cluster.carry(peer, peer.node.tick(cluster.now + 100))
    assert not peer.node.group.stranded and peer.node.group.state == before
    assert len(peer.events("data_chain.agreed")) == 1 == len(peer.events("data_chain.stranded"))


# Catching up.


def test_a_liar_cannot_absorb_every_request() -> None:
    cluster = away()
    liars = [operator(number) for number in range(100, 140)]
    cluster.heal()
    peer = cluster[FOUNDERS[0]]
    asked: list[bytes] = []
    for turn in range(20):
        for liar in liars:  # always first, and highest
            effects = peer.node.receive(
                [Incoming(STRANGER.key, STRANGER.ip, "t", status(cluster, liar, 2**32 - 1, 2**32 - 1))]
            )
            asked += [effect.peer for effect in effects if isinstance(effect, Send)]
        effects = peer.node.receive(
            [Incoming(STRANGER.key, STRANGER.ip, "t", status(cluster, FOUNDERS[1], 3, 1))]
        )
        asked += [effect.peer for effect in effects if isinstance(effect, Send)]
        effects = peer.node.tick(cluster.now + REQUEST_MILLISECONDS * (turn + 1))
        asked += [effect.peer for effect in effects if isinstance(effect, Send)]
    assert FOUNDERS[1].key in asked
    assert len(asked) <= 2 * 21  # and the rate is kept


def test_a_member_whose_status_is_forged_does_not_keep_us_from_asking_another() -> None:
    cluster = away()
    peer = cluster[FOUNDERS[0]]
    connect_all(cluster, FOUNDERS[0])
    asked: list[bytes] = []
    for turn in range(6):
        for sender, height in ((FOUNDERS[2], 2**32 - 1), (FOUNDERS[1], 3)):
            one = Incoming(FOUNDERS[2].key, FOUNDERS[2].ip, "t", status(cluster, sender, height))
            asked += [effect.peer for effect in peer.node.receive([one]) if isinstance(effect, Send)]
        effects = peer.node.tick(cluster.now + REQUEST_MILLISECONDS * (turn + 1))
        asked += [effect.peer for effect in effects if isinstance(effect, Send)]
    assert {FOUNDERS[1].key, FOUNDERS[2].key} <= set(asked)


def test_requests_of_one_peer_are_answered_at_a_bounded_rate() -> None:
    cluster = Cluster(FOUNDERS)
    cluster.mine_to(JUDGED_AT + 1)
    node = cluster[FOUNDERS[0]].node
    request = pack_plain(BlocksRequest(network=node.network, wants=(Want(prefix="", first=1),)))
    batch = [Incoming(STRANGER.key, STRANGER.ip, "", request)] * 50
    assert len([e for e in node.receive(batch) if isinstance(e, Send)]) == 1
    other = Incoming(operator(10).key, STRANGER.ip, "", request)
    assert len([e for e in node.receive([other]) if isinstance(e, Send)]) == 1
    node.tick(cluster.now + REQUEST_MILLISECONDS)
    assert len([e for e in node.receive(batch) if isinstance(e, Send)]) == 1


# What grows.


def test_responses_that_nobody_named_are_not_kept_and_cost_little() -> None:
    cluster = Cluster(FOUNDERS)
    cluster.mine_to(JUDGED_AT - 1)
    node = cluster[FOUNDERS[0]].node
    opened = node.tracker.open_challenges()[0]
    challenge = opened.challenge
    junk = tuple(number.to_bytes(2, "big") for number in range(256))
    answer = Responses(
        network=node.network, seq=challenge.seq, anchor_hash=challenge.anchor_hash, envelopes=junk
    )
    before = len(opened._responses())
    cluster.deliver(FOUNDERS[0], STRANGER, pack_plain(answer))
    assert len(opened._responses()) == before


def observation_by(cluster: Cluster, judge: Operator, sightings: tuple[Sighting, ...]) -> bytes:
    node = cluster[FOUNDERS[0]].node
    challenge = node.tracker.open_challenges()[0].challenge
    observation = Observation(
        network=node.network,
        seq=challenge.seq,
        anchor_hash=challenge.anchor_hash,
        judge=judge.key,
        sightings=sightings,
    )
    return judge.signer.sign(encode(observation))


def crowd(count: int) -> tuple[Sighting, ...]:
    """Return sightings of operators that do not exist."""
    return tuple(
        Sighting(
            operator_key=number.to_bytes(32, "big"),
            response_hash=b"",
            received_height=0,
            reached=True,
            ip=b"\x08\x08\x08\x08",
            fast=False,
            tls_valid=False,
        )
        for number in range(count)
    )


def scribbles(cluster: Cluster, count: int) -> list[bytes]:
    """Return responses to the open challenge that nobody signed, of operators that do not exist."""
    genuine = next(
        decode_response(data[65:])
        for data in cluster[FOUNDERS[1]].sent
        if data.startswith(b"\x9a\xa8response", 65)
    )
    keys = (number.to_bytes(32, "big") for number in range(count))
    return [bytes(64) + encode(replace(genuine, operator_key=key)) for key in keys]


def test_a_judge_that_shows_more_than_fits_into_a_block_silences_only_itself() -> None:
    """Its observation names a megabyte of responses, and it has them all: no block could hold them."""
    liar = FOUNDERS[3]
    cluster = Cluster(FOUNDERS)
    cluster.mine_to(JUDGED_AT - 1)
    cluster.cut = {liar.key}
    shown = scribbles(cluster, 4_096)
    sightings = tuple(
        replace(seen, response_hash=response_hash(shown[number]), received_height=9, reached=False, ip=b"")
        for number, seen in enumerate(crowd(4_096))
    )
    told = pack_signed(observation_by(cluster, liar, sightings))
    challenge = cluster[FOUNDERS[0]].node.tracker.open_challenges()[0].challenge
    for one in FOUNDERS[:3]:
        cluster.deliver(one, liar, told)
        for start in range(0, len(shown), 256):
            answer = Responses(
                network=cluster[one].node.network,
                seq=challenge.seq,
                anchor_hash=challenge.anchor_hash,
                envelopes=tuple(shown[start : start + 256]),
            )
            cluster.deliver(one, liar, pack_plain(answer))
    cluster.mine_to(JUDGED_AT + 3)
    assert cluster[FOUNDERS[0]].node.group.is_judged(2)


def test_receipts_and_dial_backs_of_strangers_leave_room_for_judges() -> None:
    from protocol.node.responder import STRANGERS_MAX
    from protocol.tracking.response import build_probe

    cluster = Cluster(FOUNDERS)
    cluster.mine_to(FIRST)
    node = cluster[FOUNDERS[0]].node
    challenge = node.tracker.open_challenges()[0].challenge
    probe = encode(build_probe(node.network, challenge, bytes(32)))
    with pytest.raises(StaleMessage):
        for number in range(STRANGERS_MAX + 1):
            node.answer_probe(OperatorKey(number.to_bytes(32, "big")), probe)
    assert node.answer_probe(FOUNDERS[1].key, probe)


def test_a_full_pool_of_strangers_keeps_nobody_from_registering_at_his_own_node(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("protocol.node.registrar.POOL_MAX", 3)
    monkeypatch.setattr("protocol.node.registrar.PER_BLOCK_MAX", 2)
    cluster = Cluster(FOUNDERS)
    cluster.cut = {one.key for one in FOUNDERS[1:]}
    peer = cluster[FOUNDERS[0]]
    for number in range(20, 25):
        entry = operator(number).envelope(network=peer.node.network)
        cluster.deliver(FOUNDERS[0], STRANGER, pack_signed(entry), topic="t")
    assert len(list(peer.store.iterate(REGISTRATION))) == 3
    ours = pack_signed(operator(30).envelope(network=peer.node.network))
    cluster.carry(peer, peer.node.submit(ours))
    assert len(list(peer.store.iterate(REGISTRATION))) == 4
    peer.sent.clear()
    cluster.run(4_000)
    assert ours in peer.sent  # it is what we repeat first
    assert ours in {data for _, data in cluster.restart(FOUNDERS[0]).store.iterate(REGISTRATION)}


# Fuzz.


def real_messages(cluster: Cluster) -> list[bytes]:
    """Return one message of each kind that nodes really sent, and requests and answers of each kind."""
    node = cluster[FOUNDERS[1]].node
    by_kind: dict[bytes, bytes] = {}
    for one in FOUNDERS:
        for data in cluster[one].sent:
            head = data[65:78] if data[0] == SIGNED else data[1:12]
            by_kind.setdefault(head[:8], data)
    opened = node.tracker.open_challenges()
    seq, anchor = (opened[0].challenge.seq, opened[0].challenge.anchor_hash) if opened else (2, bytes(32))
    kept = tuple(opened[0].builder.envelopes().values()) if opened else ()
    more = [
        BlocksRequest(network=node.network, wants=(Want(prefix="", first=1),)),
        Blocks(network=node.network, blocks=tuple(blocks_of(cluster, FOUNDERS[1]))),
        ResponsesRequest(network=node.network, seq=seq, anchor_hash=anchor, hashes=(bytes(32),)),
        *([Responses(network=node.network, seq=seq, anchor_hash=anchor, envelopes=kept)] if kept else []),
    ]
    return [*by_kind.values(), *map(pack_plain, more)]


def mutated(data: bytes, draw: random.Random) -> bytes:
    """Return `data` with a few bytes changed, cut, repeated or inserted; never as it was."""
    changed = bytearray(data)
    for _ in range(draw.randint(1, 3)):
        at = draw.randrange(len(changed)) if changed else 0
        match draw.randrange(5):
            case 0 if changed:
                changed[at] ^= 1 << draw.randrange(8)
            case 1:
                changed[at:at] = draw.randbytes(draw.randint(1, 4))
            case 2:
                del changed[at : at + draw.randint(1, 8)]
            case 3:
                changed = changed[:at]
            case _:
                changed[at : at + 1] = draw.choice([b"\xc0", b"\xcf" + bytes(8), b"\xff", b"\x90", b"\xd9"])
    return bytes(changed) if bytes(changed) != data else bytes(changed) + b"\x00"


@pytest.mark.parametrize("height", [FIRST + 1, JUDGED_AT, 17])
def test_mutated_messages_of_every_kind_change_nothing(height: int) -> None:
    cluster = Cluster(FOUNDERS)
    cluster.mine_to(height)
    node, draw = cluster[FOUNDERS[0]].node, random.Random(height)
    messages = real_messages(cluster)
    assert len(messages) >= 6
    node.tick(cluster.now)
    group, lists = node.group.state, node.lister.state
    opened = [
        (one.builder.build(node.operator_key), dict(one.observations))
        for one in node.tracker.open_challenges()
    ]
    for data in messages:
        for _ in range(60):
            topic = draw.choice(["", node.topics[0]])
            effects = node.receive([Incoming(STRANGER.key, STRANGER.ip, topic, mutated(data, draw))])
            unsigned = data[0] == PLAIN  # requests that still make sense are answered
            allowed = (Announce, Punish, Send) if unsigned else (Announce, Punish)
            assert all(isinstance(effect, allowed) for effect in effects), (data[:80], effects)
    assert (node.group.state, node.lister.state) == (group, lists)
    assert opened == [
        (one.builder.build(node.operator_key), dict(one.observations))
        for one in node.tracker.open_challenges()
    ]
    cluster.mine_to(20)
    assert node.lister.period == cluster[FOUNDERS[1]].node.lister.period == 2


def test_messages_that_change_nothing_do_not_make_us_look_for_a_block_each_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cluster = Cluster(FOUNDERS)
    cluster.cut = {FOUNDERS[2].key, FOUNDERS[3].key}  # nothing can be decided: a verdict is overdue
    cluster.mine_to(JUDGED_AT + 2)
    node = cluster[FOUNDERS[0]].node
    looked: list[int] = []
    build = node.group._choices

    def counted(candidates: Candidates) -> tuple[bytes, ...]:
        looked.append(1)
        return build(candidates)

    monkeypatch.setattr(node.group, "_choices", counted)
    for _ in range(50):
        node.receive([Incoming(STRANGER.key, STRANGER.ip, "t", status(cluster, STRANGER, 0))])
    assert len(looked) <= 1
    node.tick(cluster.now + 100)
    assert 1 <= len(looked) <= 2


def test_what_was_said_about_the_next_block_is_taken_back_on_a_chain_that_is_too_short() -> None:
    cluster = Cluster(FOUNDERS)
    cluster.mine_to(JUDGED_AT + 4)
    cluster.cut = {one.key for one in FOUNDERS[2:]}  # no quorum
    entry = operator(30).envelope(network=cluster[FOUNDERS[0]].node.network)
    cluster.submit(FOUNDERS[0], entry)
    cluster.run(3_000)
    before = cluster[FOUNDERS[0]]
    kept = dict(before.store.iterate(BALLOT))
    assert kept and before.node.group.state.height == 2
    short = cluster.chain.copy()
    short.disconnect(6)
    cluster.cut = {one.key for one in FOUNDERS[1:]}
    cluster.chain = short  # it stopped while its chain was being reorganised
    peer = cluster.restart(FOUNDERS[0])
    assert peer.node.group.state == before.node.group.state
    assert {*kept.values()} <= {value for _, value in peer.store.iterate(BALLOT)}
    ballot = peer.node.group._ballot
    assert ballot is not None and ballot.consensus._log.said_by(FOUNDERS[1].key)
