"""The node machine as a whole: a group of four, on one chain, joined without loss."""

from itertools import pairwise

import pytest

from protocol.codec import encode, replace
from protocol.errors import StaleMessage
from protocol.group.vote import Vote, decode_statement
from protocol.node.docket import HELD_MAX
from protocol.node.effects import Incoming, Persist, Send
from protocol.node.messages import PLAIN, SIGNED, pack_plain, pack_signed
from protocol.node.records import (
    BLOCK,
    OBSERVATION,
    REGISTRATION,
    RESPONSE,
    SIGHTING,
    split_challenge_key,
)
from protocol.parameters import MINIMAL
from protocol.payout.light import trust_from_genesis, verify_list
from protocol.tracking.response import Response, decode_response
from protocol.tracking.verdict import Reason
from tests.support.founding import founded_by
from tests.support.node_cluster import Cluster
from tests.support.operators import Operator, operator

FOUNDERS = tuple(operator(number) for number in range(4))
NEWCOMER = operator(4)
FIRST = 8
"""Height of the first challenge: number 2, closes at 10, judged at 11; its period ends at 15."""


def reasons(cluster: Cluster, seq: int, at: Operator = FOUNDERS[0]) -> dict[bytes, Reason]:
    """Return the verdicts of a challenge as one node holds them."""
    record = cluster[at].node.group.verdicts(seq)
    assert record is not None, f"challenge {seq} is not judged"
    return {verdict.operator_key: verdict.reason for verdict in record.verdicts}


def judged_at(seq: int) -> int:
    return seq * 4 + 3


def test_a_challenge_is_judged_and_its_list_is_certified_by_everybody() -> None:
    cluster = Cluster(FOUNDERS)
    cluster.mine_to(17)
    for one in FOUNDERS:
        assert reasons(cluster, 2, one) == {founder.key: Reason.VALID for founder in FOUNDERS}
    files = [cluster[one].node.lister.file(1) or b"" for one in FOUNDERS]
    lists = [verify_list(file, trust_from_genesis(encode(cluster.genesis))) for file in files]
    verified = lists[0]
    assert all(one.list_hash == verified.list_hash for one in lists)  # certificates may differ in signers
    pool = verified.header.rewards + verified.header.carried_in
    assert verified.header.paid_total + verified.header.carried_out == pool
    assert verified.header.responses == 8  # challenges 2 and 3


def test_all_nodes_hold_the_same_data_chain() -> None:
    cluster = Cluster(FOUNDERS)
    cluster.mine_to(20)
    assert len({cluster[one].node.group.state.head for one in FOUNDERS}) == 1
    assert cluster[FOUNDERS[0]].node.group.state.height >= 3


def test_a_newcomer_registers_over_the_network_and_is_judged_from_the_next_challenge() -> None:
    cluster = Cluster(FOUNDERS, others=[NEWCOMER])
    cluster.mine_to(FIRST + 2)  # its block stamps the block before: one above the first anchor
    cluster.submit(NEWCOMER, NEWCOMER.envelope(network=cluster[NEWCOMER].node.network))
    cluster.mine_to(judged_at(3))
    assert NEWCOMER.key not in reasons(cluster, 2)
    assert reasons(cluster, 3)[NEWCOMER.key] is Reason.VALID


def test_a_registration_waits_on_disk_until_its_block() -> None:
    cluster = Cluster(FOUNDERS, others=[NEWCOMER])
    cluster.cut = {one.key for one in FOUNDERS}
    cluster.mine_to(5)
    cluster.submit(NEWCOMER, NEWCOMER.envelope(network=cluster[NEWCOMER].node.network))
    peer = cluster.restart(NEWCOMER)
    assert len(tuple(peer.node.registrar.waiting())) == 1
    cluster.heal()
    cluster.mine_to(9)
    assert not tuple(peer.node.registrar.waiting())
    assert not list(peer.store.iterate(REGISTRATION))
    with pytest.raises(StaleMessage):
        peer.node.submit(pack_signed(NEWCOMER.envelope(network=peer.node.network)))


def test_an_operator_that_is_silent_gets_no_response() -> None:
    cluster = Cluster(FOUNDERS)
    silent = FOUNDERS[3]
    cluster.mine_to(FIRST - 1)
    cluster.cut = {silent.key}
    cluster.mine_to(judged_at(2) + 2)
    assert reasons(cluster, 2)[silent.key] is Reason.NO_RESPONSE
    assert list(reasons(cluster, 2).values()).count(Reason.VALID) == 3


def test_without_a_quorum_nothing_is_decided_and_everything_after_it_returns() -> None:
    cluster = Cluster(FOUNDERS)
    cluster.mine_to(FIRST + 1)
    cluster.cut = {FOUNDERS[2].key, FOUNDERS[3].key}
    cluster.mine_to(judged_at(2) + 1)
    assert cluster[FOUNDERS[0]].node.group.state.height == 0
    cluster.heal()
    cluster.run(60_000)
    assert {cluster[one].node.group.state.height for one in FOUNDERS} == {1}


def test_a_node_that_was_away_catches_up() -> None:
    cluster = Cluster(FOUNDERS)
    away = FOUNDERS[1]
    cluster.mine_to(5)
    cluster.cut = {away.key}
    cluster.mine_to(21)
    height = cluster[FOUNDERS[0]].node.group.state.height
    assert height >= 3 and cluster[away].node.group.state.height == 0
    cluster.heal()
    cluster.run(10_000)
    assert cluster[away].node.group.state.height == height
    assert cluster[away].node.lister.period == cluster[FOUNDERS[0]].node.lister.period == 2


@pytest.mark.parametrize("height", [FIRST, FIRST + 1, judged_at(2), judged_at(2) + 2, 16, 17, 19])
def test_a_restarted_node_is_where_it_was(height: int) -> None:
    cluster = Cluster(FOUNDERS)
    cluster.mine_to(height)
    before = cluster[FOUNDERS[0]].node
    after = cluster.restart(FOUNDERS[0]).node
    assert after.group.state == before.group.state
    assert after.lister.state == before.lister.state
    assert after.lister.electorate == before.lister.electorate
    opened = {o.challenge: o for o in before.tracker.open_challenges()}
    restored = {o.challenge: o for o in after.tracker.open_challenges()}
    assert restored.keys() == opened.keys()
    for challenge, one in restored.items():
        assert one.builder.build(before.operator_key) == opened[challenge].builder.build(before.operator_key)
        assert one.observations == opened[challenge].observations


def test_restarts_at_every_height_never_lead_to_two_statements_of_one_slot() -> None:
    cluster = Cluster(FOUNDERS)
    sent: dict[tuple[object, bytes], bytes] = {}
    for _ in range(20):
        cluster.mine()
        for one in FOUNDERS:
            for data in cluster[one].sent:
                if data[0] == SIGNED and data[65:].startswith((b"\x98\xa4vote", b"\x99\xa8proposal")):
                    statement = decode_statement(data[65:])
                    place = (statement.slot, statement.signer)
                    assert sent.setdefault(place, data) == data
        cluster.restart(FOUNDERS[cluster.chain.tip()[0] % 4])
    assert any(isinstance(decode_statement(data[65:]), Vote) for data in sent.values())
    assert cluster[FOUNDERS[0]].node.lister.period == 2


def test_a_challenge_whose_anchor_is_replaced_is_judged_on_the_new_branch_only() -> None:
    cluster = Cluster(FOUNDERS)
    cluster.mine_to(FIRST)
    old = cluster.chain.block_hash(FIRST)
    cluster.reorganise(1, b"another branch")
    assert cluster[FOUNDERS[0]].events("challenge.void")
    cluster.mine_to(judged_at(2) + 1)
    record = cluster[FOUNDERS[0]].node.group.verdicts(2)
    assert record is not None and record.anchor_hash == cluster.chain.block_hash(FIRST) != old
    assert set(reasons(cluster, 2).values()) == {Reason.VALID}


def test_judges_give_receipts_and_the_operator_keeps_them() -> None:
    cluster = Cluster(FOUNDERS, others=[NEWCOMER])
    cluster.mine_to(3)
    cluster.submit(NEWCOMER, NEWCOMER.envelope(network=cluster[NEWCOMER].node.network))
    cluster.mine_to(FIRST + 1)
    opened = cluster[NEWCOMER].node.tracker.open_challenges()[0].challenge
    receipts = cluster[NEWCOMER].node.tracker.receipts(opened.seq, opened.anchor_hash)
    assert sorted(receipts) == sorted(one.key for one in FOUNDERS)


def test_a_receipt_is_given_for_what_is_on_the_disk() -> None:
    cluster = Cluster(FOUNDERS)
    cluster.mine_to(FIRST - 1)
    judge, silent = FOUNDERS[0], FOUNDERS[1]
    cluster.cut = {silent.key}
    cluster.mine()
    cluster.heal()
    (response,) = {data for data in cluster[silent].sent if data.startswith(b"\x9a\xa8response", 65)}
    for topic, acknowledged in ((cluster[judge].node.topics[0], False), ("", True)):
        effects = cluster[judge].node.receive([Incoming(silent.key, silent.ip, topic, response)])
        durable = [one for one in effects if isinstance(one, Persist) and one.key.startswith(RESPONSE)]
        assert any(one.durable for one in durable) is acknowledged
        assert any(isinstance(one, Send) for one in effects) is acknowledged


def test_a_response_that_comes_before_its_anchor_is_kept_for_it() -> None:
    cluster = Cluster(FOUNDERS)
    cluster.mine_to(FIRST - 1)
    late, other = FOUNDERS[0], FOUNDERS[1]
    cluster.cut = {late.key}
    cluster.mine()
    (response,) = {data for data in cluster[other].sent if data.startswith(b"\x9a\xa8response", 65)}
    node = cluster[late].node
    assert not node.tracker.open_challenges()
    node.receive([Incoming(other.key, other.ip, "", response)])
    cluster.carry(cluster[late], node.connect(FIRST, cluster.chain.block_hash(FIRST) or b""))
    (opened,) = node.tracker.open_challenges()
    assert opened.builder.held(other.key) is not None


@pytest.mark.parametrize("shown", [True, False])
def test_a_receipt_counts_for_a_judge_that_is_gone_when_the_challenge_is_judged(shown: bool) -> None:
    """Two judges hear the newcomer and one of them vanishes: its receipt alone says that it heard."""
    cluster = Cluster(FOUNDERS, others=[NEWCOMER])
    cluster.mine_to(3)
    cluster.submit(NEWCOMER, NEWCOMER.envelope(network=cluster[NEWCOMER].node.network))
    cluster.mine_to(FIRST - 1)
    heard = {FOUNDERS[0].key, FOUNDERS[1].key}

    def drops(sender: bytes, to: bytes, data: bytes) -> bool:
        if data.startswith(b"\x95\xa8receipts", 1):
            return not shown
        is_response = data.startswith(b"\x9a\xa8response", 65)
        return is_response and to not in heard and decode_response(data[65:]).operator_key == NEWCOMER.key

    cluster.drops = drops
    cluster.mine_to(FIRST + 1)
    cluster.cut = {FOUNDERS[1].key}
    cluster.mine_to(judged_at(2) + 2)
    # One of four reached it, which is too few; that two heard it in time is known by the receipt only.
    assert reasons(cluster, 2)[NEWCOMER.key] is (Reason.UNREACHABLE if shown else Reason.NO_RESPONSE)


def test_of_a_judged_challenge_our_word_and_what_it_names_are_kept_for_a_while_and_the_block() -> None:
    cluster = Cluster(FOUNDERS)
    cluster.mine_to(FIRST + 1)
    store = cluster[FOUNDERS[0]].store
    written = list(store.iterate(RESPONSE))
    cluster.mine_to(judged_at(2))
    assert list(store.iterate(RESPONSE)) == written and not list(store.iterate(SIGHTING))
    ((key, _),) = store.iterate(OBSERVATION)
    assert key.endswith(FOUNDERS[0].key) and list(store.iterate(BLOCK))
    cluster.mine_to((2 + HELD_MAX + 1) * cluster.genesis.parameters.challenge_every)
    kept = [split_challenge_key(RESPONSE, key)[0] for key, _ in store.iterate(RESPONSE)]
    assert kept and min(kept) == 3


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x01",
        b"\x09junk",
        bytes([SIGNED]) + bytes(80),
        bytes([PLAIN]) + b"\xc1",
        bytes([PLAIN]) + b"\x91" * 999,
    ],
)
def test_garbage_costs_its_direct_sender_and_nobody_else(data: bytes) -> None:
    cluster = Cluster(FOUNDERS)
    cluster.deliver(FOUNDERS[0], NEWCOMER, data)
    assert [one.peer for one in cluster[FOUNDERS[0]].punished] == [NEWCOMER.key]
    cluster.deliver(FOUNDERS[1], FOUNDERS[2], data, topic=cluster[FOUNDERS[1]].node.topics[0])
    assert not cluster[FOUNDERS[1]].punished  # gossip is passed on by those who could not know
    cluster.mine_to(judged_at(2))
    assert set(reasons(cluster, 2).values()) == {Reason.VALID}


def test_responses_of_strangers_other_challenges_and_other_networks_change_nothing() -> None:
    cluster = Cluster(FOUNDERS)
    cluster.mine_to(FIRST)
    node = cluster[FOUNDERS[0]].node
    genuine = next(
        decode_response(data[65:])
        for data in cluster[FOUNDERS[1]].sent
        if data.startswith(b"\x9a\xa8response", 65)
    )
    before = node.tracker.open_challenges()[0].builder.build(node.operator_key)
    fields = {name: getattr(genuine, name) for name in genuine.__struct_fields__}
    for change in (
        {"operator_key": NEWCOMER.key},
        {"seq": genuine.seq + 1},
        {"network": bytes(32)},
        {"answer": bytes(12)},
    ):
        forged = NEWCOMER.signer.sign(encode(Response(**{**fields, **change})))
        cluster.deliver(FOUNDERS[0], FOUNDERS[2], pack_signed(forged), node.topics[0])
    assert node.tracker.open_challenges()[0].builder.build(node.operator_key) == before


def test_dial_backs_of_one_judge_are_answered_a_few_times_only() -> None:
    from protocol.node.responder import PROBES_ANSWERED_MAX
    from protocol.tracking.response import build_probe

    cluster = Cluster(FOUNDERS)
    cluster.mine_to(FIRST)
    node = cluster[FOUNDERS[0]].node
    challenge = node.tracker.open_challenges()[0].challenge
    with pytest.raises(StaleMessage, match="enough"):
        for number in range(PROBES_ANSWERED_MAX + 1):
            node.answer_probe(
                NEWCOMER.key, encode(build_probe(node.network, challenge, bytes([number]) * 32))
            )


def test_stamps_and_heights_of_the_data_chain_only_grow() -> None:
    cluster = Cluster(FOUNDERS)
    cluster.mine_to(24)
    blocks = [news.fields for news in cluster[FOUNDERS[0]].events("data_chain.block")]
    assert len(blocks) >= 3
    for one, other in pairwise(blocks):
        assert other["height"] == int(str(one["height"])) + 1
        assert int(str(other["stamp"])) >= int(str(one["stamp"]))


def test_a_message_of_another_network_is_refused() -> None:
    from protocol.node.messages import Status

    cluster = Cluster(FOUNDERS)
    foreign = Status(network=bytes(32), sender=NEWCOMER.key, heads=bytes(32), blocks=9, pruned=0, lists=9)
    cluster.deliver(FOUNDERS[0], NEWCOMER, pack_plain(foreign))
    assert not cluster[FOUNDERS[0]].sent


@pytest.mark.parametrize(("block_seconds", "count"), [(1, 30), (10, 30), (30, 10), (150, 2)])
def test_where_blocks_are_slow_a_node_repeats_itself_less(block_seconds: int, count: int) -> None:
    parameters = replace(MINIMAL, block_seconds=block_seconds)
    cluster = Cluster(FOUNDERS, genesis=founded_by(FOUNDERS, parameters=parameters))
    cluster.run(59_900)
    assert sum(data[0] == PLAIN for data in cluster[FOUNDERS[0]].sent) == count


@pytest.mark.parametrize("valid", [True, False])
def test_who_registered_a_tls_host_must_show_its_certificate(valid: bool) -> None:
    name = "node.example.org"
    cluster = Cluster(FOUNDERS, others=[NEWCOMER])
    cluster.tls_hosts = {name} if valid else set()
    cluster.mine_to(3)
    network = cluster[NEWCOMER].node.network
    cluster.submit(NEWCOMER, NEWCOMER.envelope(network=network, fqdn=name))
    cluster.mine_to(judged_at(2))
    assert reasons(cluster, 2)[NEWCOMER.key] is (Reason.VALID if valid else Reason.TLS_INVALID)
    assert {reasons(cluster, 2)[one.key] for one in FOUNDERS} == {Reason.VALID}
