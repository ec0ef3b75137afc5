"""Dial-backs of one judge: who is dialled, how often, and what counts as reached."""

from protocol.codec import decode, replace
from protocol.genesis import network_id
from protocol.node.dial_back import DIALS_AT_ONCE_MAX, DialBack
from protocol.node.effects import Effect, Persist, Probe, ProbeResult
from protocol.node.open_challenge import PROBE_ATTEMPTS_MAX, OpenChallenge
from protocol.node.records import SIGHTING
from protocol.tracking.answer_key import AnswerKey
from protocol.tracking.challenge import derive_challenge, dial_back_digest
from protocol.tracking.response import ProbeRequest, build_probe_reply, build_response
from tests.support.founding import founded_by
from tests.support.node_cluster import Cluster
from tests.support.operators import Operator, operators
from zenp2p.store import MemoryStore

OPERATORS = operators(20)
JUDGE, *OTHERS = OPERATORS
GENESIS = founded_by(OPERATORS)
NETWORK = network_id(GENESIS)
PLACE = b"\x7f\x00\x00\x63"


class Court:
    """A judge that has heard everybody's response to challenge 2."""

    def __init__(self, heard: int = len(OTHERS)) -> None:
        cluster = Cluster(OPERATORS[:1], genesis=GENESIS)
        self.chain = cluster.chain
        self.chain.mine_to(8)
        registrations = cluster[JUDGE].node.group.registrations(8)
        self.challenge = derive_challenge(2, self.chain, GENESIS.parameters)
        answers = AnswerKey(self.challenge, registrations, self.chain, GENESIS.parameters)
        self.opened = OpenChallenge(NETWORK, answers)
        self.dial_back = DialBack(GENESIS, JUDGE.signer, self.chain)
        for one in (JUDGE, *OTHERS[:heard]):
            entry, answer = registrations[one.key], answers.answer(one.key)
            envelope = build_response(one.signer, NETWORK, self.challenge, entry, answer, PLACE, 7_000)
            assert self.opened.keep_response(envelope, 8, one.key) is not None
            self.opened.to_dial.append(one.key)

    def begin(self) -> list[Probe]:
        return probes(self.dial_back.begin([self.opened]))

    def ended(self, probe: Probe, ip: bytes = PLACE, reply: bytes = b"", fast: bool = True) -> list[Effect]:
        return self.dial_back.ended(ProbeResult(probe.token, ip, reply, fast), [self.opened])

    def reply(self, probe: Probe, by: Operator) -> bytes:
        request = decode(probe.data, ProbeRequest)
        digest = dial_back_digest(self.challenge, by.key, request.nonce, self.chain, GENESIS.parameters)
        return build_probe_reply(by.signer, request, digest)

    def seen(self, one: Operator) -> tuple[bool, bytes, bool]:
        sightings = {seen.operator_key: seen for seen in self.opened.builder.build(JUDGE.key).sightings}
        found = sightings[one.key]
        return found.reached, found.ip, found.fast


def probes(effects: list[Effect]) -> list[Probe]:
    found = [effect for effect in effects if isinstance(effect, Probe)]
    assert len(found) == len(effects)
    return found


def test_a_few_at_a_time_each_where_its_response_says_and_never_ourselves() -> None:
    court = Court()
    first = court.begin()
    assert len(first) <= DIALS_AT_ONCE_MAX
    everybody = first + court.begin()
    assert sorted(probe.peer for probe in everybody) == sorted(one.key for one in OTHERS)
    assert {(probe.ip, probe.port) for probe in everybody} == {(PLACE, 7_000)}
    assert not court.begin()


def test_no_nonce_is_used_twice() -> None:
    court = Court()
    begun = court.begin() + court.begin()
    for probe in begun:
        court.ended(probe, ip=b"")
    begun += probes(court.dial_back.again(court.opened))
    nonces = [decode(probe.data, ProbeRequest).nonce for probe in begun]
    assert len(set(nonces)) == len(nonces) > len(OTHERS)


def test_who_was_not_reached_is_tried_again_a_few_times_but_not_while_it_is_being_dialled() -> None:
    court = Court(heard=1)
    (probe,) = court.begin()
    assert not court.dial_back.again(court.opened)
    for _ in range(PROBE_ATTEMPTS_MAX - 1):
        assert court.ended(probe, ip=b"") == []
        (probe,) = probes(court.dial_back.again(court.opened))
    court.ended(probe, ip=b"")
    assert not court.dial_back.again(court.opened)


def test_who_answered_rightly_and_in_time_is_reached_fast_and_not_dialled_again() -> None:
    court = Court(heard=1)
    (probe,) = court.begin()
    (kept,) = court.ended(probe, reply=court.reply(probe, OTHERS[0]))
    assert isinstance(kept, Persist) and kept.key.startswith(SIGHTING)
    assert court.seen(OTHERS[0]) == (True, PLACE, True)
    assert not court.dial_back.again(court.opened)


def test_anothers_reply_a_late_one_and_a_wrong_one_are_reached_and_not_fast() -> None:
    court = Court(heard=4)
    late, others, wrong, empty = sorted(court.begin(), key=lambda probe: probe.peer)
    by_key = {one.key: one for one in OTHERS}
    court.ended(late, reply=court.reply(late, by_key[late.peer]), fast=False)
    court.ended(others, reply=court.reply(others, by_key[wrong.peer]))
    court.ended(wrong, reply=court.reply(empty, by_key[wrong.peer]))  # to another's nonce
    court.ended(empty, reply=b"junk")
    for probe in (late, others, wrong, empty):
        assert court.seen(by_key[probe.peer]) == (True, PLACE, False)


def test_a_result_that_nobody_asked_for_or_that_comes_twice_changes_nothing() -> None:
    court = Court(heard=1)
    (probe,) = court.begin()
    stray = ProbeResult(probe.token + 1, PLACE, b"", True)
    assert court.dial_back.ended(stray, [court.opened]) == []
    assert court.ended(probe) and court.ended(probe) == []


def test_a_result_that_comes_after_the_verdict_leaves_nothing_behind() -> None:
    court = Court(heard=1)
    (probe,) = court.begin()
    result = ProbeResult(probe.token, PLACE, court.reply(probe, OTHERS[0]), True)
    assert court.dial_back.ended(result, []) == []
    assert not court.dial_back._dialled


def test_a_registered_tls_host_is_asked_about_until_it_was_valid_once() -> None:
    court = Court(heard=1)
    one = OTHERS[0]
    registrations = dict(court.opened.answers.registrations)
    registrations[one.key] = replace(registrations[one.key], fqdn="node.example.org", tls_port=443)
    court.opened.update(AnswerKey(court.challenge, registrations, court.chain, GENESIS.parameters))
    (probe,) = court.begin()
    assert (probe.fqdn, probe.tls_port) == ("node.example.org", 443)
    court.ended(probe, reply=court.reply(probe, one))
    assert court.seen(one) == (True, PLACE, True)
    (again,) = probes(court.dial_back.again(court.opened))  # fast, but the certificate was not valid
    (kept,) = court.dial_back.ended(ProbeResult(again.token, PLACE, b"", False, True), [court.opened])
    assert not court.dial_back.again(court.opened)
    assert isinstance(kept, Persist) and kept.value is not None
    store = MemoryStore({kept.key: kept.value})
    anew = OpenChallenge(NETWORK, court.opened.answers)
    anew.restore(store)
    assert anew.builder.contact(one.key) == (PLACE, True, True)  # the best of both is what is written
