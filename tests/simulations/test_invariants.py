"""Every law is broken on purpose once, in the record of a run that kept them all."""

from copy import deepcopy
from dataclasses import replace as replace_fields
from functools import cache

import pytest

from protocol.codec import decode, encode, replace
from protocol.group.data_block import CertifiedBlock, VerdictPayload, decode_block, decode_payload
from protocol.group.vote import Phase, Slot
from protocol.node.effects import Announce, News
from protocol.node.voids import Why
from protocol.payout.list_file import decode_list_file
from protocol.tracking.verdict import Reason
from protocol.units import OperatorKey
from simulations import invariants as laws
from simulations.chain import extend
from simulations.cluster import Cluster
from simulations.history import CastVote
from simulations.invariants import INVARIANTS, Ended, breaches
from simulations.options import Options
from simulations.reading import judge_of
from simulations.signatures import remembered_signatures

A, B = b"\x0a" * 32, b"\x0b" * 32
REWRITTEN = "lists_name_what_stands_on_their_branch"
"""What is broken besides when a block is changed that a list names by its hash."""
GROUP = "group:"
QUIET = 999


@cache
def clean_run() -> Cluster:
    """One run without faults."""
    with remembered_signatures():
        cluster = Cluster(5, Options(faults=frozenset()))
        outcome = cluster.run()
    assert not outcome.violations and not outcome.pending
    return cluster


@pytest.fixture
def ended() -> Ended:
    """The end of that run, to be tampered with."""
    cluster = clean_run()
    return Ended.of(deepcopy(cluster.history), cluster.miner.tip)


def again(ended: Ended) -> Ended:
    """Let a newcomer follow the tampered record."""
    return Ended.of(ended.history, ended.tip)


def broken(ended: Ended) -> set[str]:
    """Return the names of the broken laws."""
    return {text.partition(":")[0] for text in breaches(ended)}


def height_of(data: bytes) -> int:
    """Return the height of a certified block."""
    return decode_block(decode(data, CertifiedBlock).block).height


def verdict_height(ended: Ended) -> int:
    """Return the height of a block with verdicts on everybody, the two who cheat included."""
    for height, bodies in sorted(ended.history.blocks.items(), reverse=True):
        payload = decode_payload(decode_block(next(iter(bodies))))
        if isinstance(payload, VerdictPayload) and len(payload.verdicts) == 9:
            return height
    raise AssertionError("no challenge with everybody")


def observers(ended: Ended) -> list[int]:
    """Return the members whose observations stand in that block."""
    payload = decode_payload(decode_block(next(iter(ended.history.blocks[verdict_height(ended)]))))
    assert isinstance(payload, VerdictPayload)
    keys = [party.key for party in ended.history.founding.members]
    return [keys.index(OperatorKey(judge_of(envelope))) for envelope in payload.observations]


def rewrite_verdict(ended: Ended, operator_key: bytes, reason: Reason) -> None:
    """Change one verdict in what honest nodes hold."""
    height = verdict_height(ended)
    body = next(iter(ended.history.blocks[height]))
    block = decode_block(body)
    payload = decode_payload(block)
    assert isinstance(payload, VerdictPayload)
    slot = b"\x04\x7f\x00\x00\x01" if reason is Reason.VALID else b""
    verdicts = tuple(
        replace(one, reason=reason, slot=slot) if one.operator_key == operator_key else one
        for one in payload.verdicts
    )
    changed = encode(replace(block, payload=encode(replace(payload, verdicts=verdicts))))
    ended.history.blocks[height] = {changed: [0]}


def test_a_clean_run_breaks_no_law_and_there_is_something_to_look_at(ended: Ended) -> None:
    assert not breaches(ended)
    history = ended.history
    assert len(history.blocks) >= 5 and len(history.lists) >= 2 and len(history.bodies) > 100
    assert len(history.on_time) > 20 and len(history.reached) > 20 and ended.newcomer.electorates


def test_every_law_has_its_own_name_and_text() -> None:
    assert len({law.__name__ for law in INVARIANTS}) == len(INVARIANTS) == 18
    assert all(law.__name__.startswith("invariant_") and law.__doc__ for law in INVARIANTS)
    defined = {name for name in vars(laws) if name.startswith("invariant_")}
    assert defined == {law.__name__ for law in INVARIANTS}


def test_two_data_chains(ended: Ended) -> None:
    ended.history.blocks[1][next(iter(ended.history.blocks[2]))] = [3]
    assert "one_data_chain" in broken(ended)


def test_two_statements_in_a_slot(ended: Ended) -> None:
    (number, slot), bodies = next(iter(ended.history.bodies.items()))
    assert isinstance(slot, Slot) and number in ended.history.honest
    bodies[b"something else"] = None
    assert broken(ended) == {"one_statement_a_slot"}


def quiet(ended: Ended) -> tuple[str, int]:
    """Return a ballot of the founders in which nobody has said anything."""
    ended.newcomer.electorates[(GROUP, QUIET)] = ended.newcomer.electorates[(GROUP, 1)]
    return GROUP, QUIET


@pytest.mark.parametrize(("voters", "round_", "freed"), [(4, 0, False), (5, 0, True), (7, 2, False)])
def test_a_broken_lock(ended: Ended, voters: int, round_: int, freed: bool) -> None:
    votes = ended.history.votes[quiet(ended)]
    votes[CastVote(0, 0, Phase.PRECOMMIT, A)] = None
    votes[CastVote(0, 2, Phase.PREVOTE, B)] = None
    keys = [member.key for member in ended.history.founding.members]
    for key in keys[:voters]:
        ended.history.prevoters[((GROUP, QUIET), round_, B)][key] = None
    assert broken(ended) == (set() if freed else {"locks_are_kept"})


def test_a_lock_binds_neither_other_nodes_nor_earlier_rounds_nor_votes_for_nothing(ended: Ended) -> None:
    votes = ended.history.votes[quiet(ended)]
    votes[CastVote(0, 1, Phase.PRECOMMIT, A)] = None
    for free in (CastVote(1, 2, Phase.PREVOTE, B), CastVote(0, 0, Phase.PREVOTE, B)):
        votes[free] = None
    votes[CastVote(0, 2, Phase.PREVOTE, b"")] = None
    votes[CastVote(0, 3, Phase.PREVOTE, A)] = None
    assert not broken(ended)


def test_a_certificate_without_a_quorum_or_with_a_bad_signature(ended: Ended) -> None:
    height, whole = ended.newcomer.certificates[0]
    few = replace(whole, signatures=whole.signatures[:4])
    ended.newcomer.certificates.append((height, few))
    assert broken(ended) == {"certificates_hold_from_genesis"}
    voter, _ = whole.signatures[0]
    forged = replace(whole, signatures=((voter, bytes(64)), *whole.signatures[1:]))
    ended.newcomer.certificates[-1] = (height, forged)
    assert any("a signature that does not" in text for text in breaches(ended))


def test_a_chain_that_a_newcomer_cannot_follow(ended: Ended) -> None:
    versions = [data for data in ended.history.certified if height_of(data) == 1]
    certified = decode(versions[0], CertifiedBlock)
    for data in versions:
        del ended.history.certified[data]
    assert broken(again(ended)) == {"certificates_hold_from_genesis"}
    other = replace(certified, block=encode(replace(decode_block(certified.block), stamp_hash=A)))
    ended.history.certified[encode(other)] = None
    assert "certificates_hold_from_genesis" in broken(again(ended))


def test_a_challenge_judged_twice(ended: Ended) -> None:
    ended.history.blocks[99] = dict(ended.history.blocks[verdict_height(ended)])
    assert broken(ended) == {"one_verdict_a_challenge"}


def test_an_honest_operator_that_is_not_valid(ended: Ended) -> None:
    rewrite_verdict(ended, ended.history.founding.members[0].key, Reason.LATE)
    assert broken(ended) == {"honest_operators_are_valid", REWRITTEN}
    *gone, last, second, first = observers(ended)
    for judges in ended.history.on_time.values():
        for number in range(7):
            if number not in (first, second, last):
                judges.pop(number, None)  # then three of seven heard it, still more than a third
    assert gone and broken(ended) == {"honest_operators_are_valid", REWRITTEN}
    for judges in ended.history.on_time.values():
        judges.pop(last, None)
    assert broken(ended) == {REWRITTEN}


def test_a_receipt_that_was_forgotten_or_changed(ended: Ended) -> None:
    history = ended.history
    member = history.founding.members[0].key
    number, receipt = next(one for one in history.receipts if one[1].operator_key == member)
    place = (number, receipt.anchor_hash)
    observation = history.observations[place]
    later = tuple(
        replace(one, received_height=one.received_height + 1) if one.operator_key == member else one
        for one in observation.sightings
    )
    history.observations[place] = replace(observation, sightings=later)
    assert broken(ended) == {"receipts_are_honoured"}
    history.observations[place] = replace(observation, sightings=())
    assert broken(ended) == {"receipts_are_honoured"}
    del history.observations[place]
    assert not broken(ended)


@pytest.mark.parametrize("who", ["late", "liar"])
def test_somebody_who_cheats_and_is_valid(ended: Ended, who: str) -> None:
    key = getattr(ended.history.founding, who).key
    rewrite_verdict(ended, key, Reason.VALID)
    assert broken(ended) == {"late_and_lying_are_not_valid", REWRITTEN}


def test_two_lists_of_a_period(ended: Ended) -> None:
    lists = ended.history.lists
    lists[1][next(iter(lists[2]))] = [0]
    assert "one_list_a_period" in broken(ended)


def test_a_list_that_no_wallet_takes(ended: Ended) -> None:
    (file,) = list(ended.history.lists[1])[:1]
    listed = decode_list_file(file)
    signers = int.from_bytes(listed.certificate.signers, "big")
    last = signers & -signers
    fewer = replace(
        listed.certificate,
        signers=(signers ^ last).to_bytes(len(listed.certificate.signers), "big"),
        signatures=listed.certificate.signatures[:-64],
    )
    ended.history.lists[1] = {encode(replace(listed, certificate=fewer)): [0]}
    assert broken(ended) == {"lists_verify_and_add_up"}
    del ended.history.lists[1]
    assert "lists_verify_and_add_up" in broken(ended)


def test_a_pool_that_is_not_the_heights_rewards(ended: Ended, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(laws, "NODE_REWARD_THOUSANDTHS", 36)
    assert broken(ended) == {"lists_verify_and_add_up"}


@pytest.mark.parametrize("who", ["late", "liar"])
def test_a_list_that_pays_somebody_who_cheats(ended: Ended, who: str) -> None:
    founding = ended.history.founding
    cheats = {"late": founding.late, "liar": founding.liar}
    cheats[who] = replace_fields(cheats[who], stake_address=founding.members[0].stake_address)
    ended.history.founding = replace_fields(founding, strangers=tuple(cheats.values()))
    assert broken(ended) == {"cheats_are_not_paid"}


def test_a_payment_mined_twice(ended: Ended) -> None:
    payments = [tx for block in ended.tip.branch() for tx in block.transactions[1:]]
    other = replace_fields(payments[0], inputs=extend(None, ()).transactions[0].inputs)
    block = replace_fields(ended.tip, parent=ended.tip, transactions=(*ended.tip.transactions, other))
    assert broken(replace_fields(ended, tip=block)) == {"nothing_is_paid_twice"}


def test_what_a_record_says_outright(ended: Ended) -> None:
    ended.history.unrecorded.append("a vote")
    assert broken(ended) == {"recorded_before_said"}
    ended.history.alarms.append("an alarm")
    ended.history.punished.append("a punishment")
    assert broken(ended) == {
        "recorded_before_said",
        "nothing_is_contradicted",
        "honest_nodes_trust_each_other",
    }


def test_an_honest_member_that_was_expelled(ended: Ended) -> None:
    ended.newcomer.members -= {ended.history.founding.members[3].key}
    assert broken(ended) == {"honest_nodes_trust_each_other"}


def test_a_list_that_names_a_challenge_of_another_branch_or_leaves_one_out(ended: Ended) -> None:
    """Its anchors are held against the chain on which its period ends."""
    (file,) = list(ended.history.lists[1])[:1]
    header = decode_list_file(file).header
    real = ended.history.connected[header.last_hash]
    other = real.ancestor(11)
    while other.height < header.last_height:
        other = extend(other, (), salt=b"another branch")
    ended.history.connected[header.last_hash] = other
    assert broken(ended) == {"lists_name_what_stands_on_their_branch"}
    ended.history.connected[header.last_hash] = real.ancestor(header.last_height - 1)
    assert broken(ended) == {"lists_name_what_stands_on_their_branch"}
    del ended.history.connected[header.last_hash]
    assert broken(ended) == {"lists_name_what_stands_on_their_branch"}


def test_a_challenge_that_two_lists_name(ended: Ended) -> None:
    first, second = (decode_list_file(next(iter(ended.history.lists[period]))) for period in (1, 2))
    twice = replace(second, header=replace(second.header, blocks=first.header.blocks))
    ended.history.lists[2] = {encode(twice): [0]}
    assert "no_challenge_is_listed_twice" in broken(ended)


def test_a_newcomer_that_does_not_come_in(ended: Ended) -> None:
    ended.newcomer.stopped = "2 of 3 blocks"
    assert broken(ended) == {"a_newcomer_comes_in"}


def test_what_is_stranded_is_an_alarm_unless_the_chain_breaks_its_burial(ended: Ended) -> None:
    news = [
        Announce("data_chain.contradiction", {"height": 3, "reason": "x", "stranded": True}),
        Announce("list.stranded", {"period": 1, "why": "settled"}),
        Announce("data_chain.contradiction", {"height": 3, "reason": "x", "stranded": False}),
    ]
    for deep, alarms in ((False, 3), (True, 1)):
        history = deepcopy(ended.history)
        history.deep = deep
        for one in news:
            history.announced(history.honest[0], one)
        assert len(history.alarms) == alarms and sum(history.stranded.values()) == 3 - alarms


def test_a_challenge_that_was_void_from_the_beginning_is_noted_and_need_not_be_judged() -> None:
    cluster = Cluster(2, Options(faults=frozenset()))
    number, seq = cluster.history.honest[0], 3
    while cluster.miner.tip.height < 14:
        cluster.miner._mine()
    assert not cluster._is_void(seq)
    fields: News = {"seq": seq, "anchor": cluster.miner.tip.ancestor(12).hash.hex()}
    left = Announce("challenge.void", {**fields, "reason": Why.LEFT.value})
    closed = Announce("challenge.void", {**fields, "reason": Why.CLOSED_BEFORE.value})
    cluster.history.announced(number, left)
    assert not cluster._is_void(seq)
    cluster.history.announced(number, closed)
    assert cluster._is_void(seq) and not cluster._is_void(seq + 1) and not cluster._is_void(2)
