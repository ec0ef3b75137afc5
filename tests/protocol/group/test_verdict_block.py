"""VERDICT blocks: what they are made of, when, and that nothing but what follows is accepted."""

from collections.abc import Sequence
from dataclasses import replace as replace_field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.codec import replace
from protocol.errors import InvalidBlock, NotYetKnown, StaleMessage, Stranded
from protocol.group import blockmaker
from protocol.group.blockmaker import build_verdict
from protocol.group.data_block import VerdictPayload, block_hash, decode_block, decode_payload
from protocol.group.data_chain import DataChain
from protocol.group.kinds.verdicts import holders_after
from protocol.group.verdict_block import Judging, build_payload
from protocol.tracking.challenge import challenge_draw
from protocol.tracking.diversity import ip_slot
from protocol.tracking.observation import check_observation
from protocol.tracking.response import check_receipt, response_hash
from protocol.tracking.testimony import referenced_responses
from protocol.tracking.verdict import Reason, Verdict
from protocol.units import Hash32, OperatorKey
from tests.support.group_world import SEQ, Group, changed, repacked
from tests.support.operators import operator

NEW = operator(9)


def verdicts_of(body: bytes) -> dict[OperatorKey, Reason]:
    payload = decode_payload(decode_block(body))
    assert isinstance(payload, VerdictPayload)
    return {OperatorKey(verdict.operator_key): verdict.reason for verdict in payload.verdicts}


def test_when_all_goes_well_everybody_is_valid_and_holds_its_slot() -> None:
    group = Group()
    body = group.verdict_block()
    assert verdicts_of(body) == {one.key: Reason.VALID for one in group.founders}
    group.advance(body)
    parameters = group.genesis.parameters
    assert dict(group.state.holders) == {ip_slot(one.ip, parameters): one.key for one in group.founders}
    judged = group.state.judged[SEQ][0]
    assert (judged.height, judged.block_hash) == (1, block_hash(body))
    assert judged.anchor_hash == group.chain.block_hash(8)


def test_any_final_set_of_observations_will_do_and_no_smaller_one() -> None:
    group = Group()
    responses = group.responses()
    seen = group.observations()
    body = build_verdict(group.state, group.chain, SEQ, seen[:3], responses)
    group.state.check_block(body, group.chain)
    assert set(verdicts_of(body).values()) == {Reason.VALID}
    with pytest.raises(NotYetKnown, match="observations of 2 of 4"):
        build_verdict(group.state, group.chain, SEQ, seen[:2], responses)
    payload = decode_payload(decode_block(body))
    assert isinstance(payload, VerdictPayload)
    with pytest.raises(InvalidBlock, match="not final"):
        group.state.check_block(repacked(body, observations=payload.observations[:2]), group.chain)


def test_who_said_nothing_gets_no_response() -> None:
    group = Group()
    silent = group.founders[3]
    responses = group.responses(of=group.founders[:3])
    seen = [group.observation(judge, responses.values()) for judge in group.founders]
    body = build_verdict(group.state, group.chain, SEQ, seen, responses)
    group.advance(body)
    assert verdicts_of(body)[silent.key] is Reason.NO_RESPONSE
    assert silent.key not in group.state.holders.values()


def test_receipts_that_say_no_more_than_the_observations_are_left_out() -> None:
    group = Group()
    judge, one, *_ = group.founders
    responses = group.responses()
    digest = next(iter(group.responses(of=[one])))
    heard_later = group.receipt(judge, one, responses[digest], height=10)
    heard_before = group.receipt(judge, one, responses[digest], height=8)
    seen = group.observations()  # at height 9
    same = group.receipt(judge, one, responses[digest], height=9)
    body = build_verdict(group.state, group.chain, SEQ, seen, responses, [heard_later, heard_before, same])
    payload = decode_payload(decode_block(body))
    assert isinstance(payload, VerdictPayload) and payload.receipts == (heard_before,)
    group.advance(body)


def test_receipts_count_as_observations() -> None:
    """Two judges gave receipts and keep silent about it in their observations."""
    group = Group()
    one = group.founders[0]
    responses = group.responses()
    [digest] = group.responses(of=[one])
    others = [envelope for key, envelope in responses.items() if key != digest]
    seen = [group.observation(judge, others) for judge in group.founders]
    without = build_verdict(group.state, group.chain, SEQ, seen, responses)
    assert verdicts_of(without)[one.key] is Reason.NO_RESPONSE
    receipts = [group.receipt(judge, one, responses[digest]) for judge in group.founders[1:3]]
    with_them = build_verdict(group.state, group.chain, SEQ, seen, responses, receipts)
    group.state.check_block(with_them, group.chain)
    assert verdicts_of(with_them)[one.key] is Reason.VALID


def test_receipts_never_keep_a_challenge_from_being_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    """A judge that gives more of them than fit into a block silences itself only."""
    group = Group()
    founders, responses = group.founders, group.responses()
    seen = [group.observation(judge, responses.values()) for judge in founders[:3]]
    full = build_verdict(group.state, group.chain, SEQ, seen, responses)
    loud = [group.receipt(founders[3], one, e) for one in founders for e in responses.values()]
    [first] = group.responses(of=[founders[0]]).values()
    without = [e for e in responses.values() if e != first]
    seen = [group.observation(founders[0], without), *seen[1:]]
    needed = group.receipt(founders[0], founders[0], first)
    monkeypatch.setattr(blockmaker, "BLOCK_SIZE_MAX", len(full) + 300)
    body = build_verdict(group.state, group.chain, SEQ, seen, responses, [*loud, needed])
    payload = decode_payload(decode_block(body))
    assert isinstance(payload, VerdictPayload)
    assert payload.receipts == (needed,) and len(payload.observations) == 3
    monkeypatch.setattr(blockmaker, "BLOCK_SIZE_MAX", len(full) - 300)
    with pytest.raises(NotYetKnown, match="of 2 of 4"):
        build_verdict(group.state, group.chain, SEQ, seen, responses, [*loud, needed])


def test_of_observations_that_no_block_has_room_for_none_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    group = Group()
    seen, responses = group.observations(), group.responses()
    tried: list[int] = []

    def build(judging: Judging, said: Sequence[bytes], *more: Any) -> VerdictPayload:
        tried.append(len(said))
        return build_payload(judging, said, *more)

    monkeypatch.setattr(blockmaker, "build_payload", build)
    build_verdict(group.state, group.chain, SEQ, seen, responses)
    monkeypatch.setattr(blockmaker, "BLOCK_SIZE_MAX", sum(map(len, seen)) - 1)
    with pytest.raises(NotYetKnown, match="of 2 of 4"):
        build_verdict(group.state, group.chain, SEQ, seen, responses)
    assert tried == [4, 3, 2], "the three that would fit leave no room for the verdicts"
    monkeypatch.setattr(blockmaker, "BLOCK_SIZE_MAX", 2 * max(map(len, seen)))
    with pytest.raises(NotYetKnown, match="of 2 of 4"):
        build_verdict(group.state, group.chain, SEQ, seen, responses)
    assert tried == [4, 3, 2, 2]


def test_observations_that_cannot_be_used_take_no_room_from_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Those of strangers, and those of a judge that said two things, are shorter than all others."""
    group = Group()
    seen, responses = group.observations(judges=group.founders[:3]), group.responses()
    full = build_verdict(group.state, group.chain, SEQ, seen, responses)
    strangers = [group.observation(operator(number), (), reached=False) for number in range(100, 115)]
    doubled = [group.observation(group.founders[3], [one], reached=False) for one in responses.values()]
    assert sum(map(len, [*strangers, *doubled])) > len(full) - max(map(len, seen))
    monkeypatch.setattr(blockmaker, "BLOCK_SIZE_MAX", len(full))
    for more in (strangers, doubled, [*strangers, *doubled]):
        assert build_verdict(group.state, group.chain, SEQ, [*more, *seen], responses) == full


def test_a_challenge_is_judged_once_when_its_close_is_buried_and_not_before_the_first() -> None:
    group = Group(tip=13)
    seen, responses = group.observations(), group.responses()
    with pytest.raises(NotYetKnown, match="judged at height 14"):
        build_verdict(group.state, group.chain, SEQ, seen, responses)
    with pytest.raises(NotYetKnown, match="opens with block 16"):
        build_verdict(group.state, group.chain, 2, [], {})
    with pytest.raises(InvalidBlock, match="before the first"):
        build_verdict(group.state, group.chain, 0, [], {})
    group.chain.mine()
    body = group.verdict_block()
    group.advance(body)
    with pytest.raises(StaleMessage, match="is judged"):
        build_verdict(group.state, group.chain, SEQ, seen, responses)
    again = changed(body, height=2, previous=group.state.head)
    with pytest.raises(StaleMessage, match="is judged"):
        group.state.check_block(again, group.chain)


def test_a_verdict_stamps_nothing_before_the_close() -> None:
    """Else a later block could still register somebody for a challenge that is judged."""
    group = Group()
    early = changed(group.verdict_block(), stamp_height=11, stamp_hash=group.chain.block_hash(11))
    with pytest.raises(InvalidBlock, match="before its close"):
        group.state.check_block(early, group.chain)


def test_verdicts_that_do_not_follow_are_refused() -> None:
    group = Group()
    body = group.verdict_block()
    payload = decode_payload(decode_block(body))
    assert isinstance(payload, VerdictPayload)
    verdicts, unsigned = payload.verdicts, bytes(64) + payload.observations[0][64:]
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"verdicts": (replace(verdicts[0], reason=Reason.LATE), *verdicts[1:])}, "not those that follow"),
        ({"verdicts": verdicts[1:]}, "not those that follow"),
        ({"verdicts": verdicts[::-1]}, "not those that follow"),
        ({"verdicts": (replace(verdicts[0], slot=b""), *verdicts[1:])}, "not those that follow"),
        ({"anchor_hash": b"\x01" * 32}, "another anchor"),
        ({"responses": payload.responses[1:]}, "not exactly those"),
        ({"responses": payload.responses[::-1]}, "not exactly those"),
        ({"responses": (*payload.responses, payload.responses[-1])}, "not exactly those"),
        ({"observations": payload.observations[::-1]}, "sorted by judge"),
        ({"observations": payload.observations[:1] * 4}, "two observations"),
        ({"receipts": (b"\x02" * 70, b"\x01" * 70)}, "receipts must be sorted"),
        ({"receipts": (b"\x02" * 70,)}, "Expected `array`"),
        ({"observations": (unsigned, *payload.observations[1:])}, "not signed"),
    ]
    for change, reason in wrong:
        with pytest.raises(InvalidBlock, match=reason):
            group.state.check_block(repacked(body, **change), group.chain)


def test_judges_without_a_vote_and_those_who_say_two_things_are_left_out() -> None:
    group = Group(count=5)
    responses = group.responses()
    seen = group.observations()
    double = group.observation(group.founders[0], [], reached=False)
    stranger = group.observation(NEW, responses.values())
    body = build_verdict(group.state, group.chain, SEQ, [*seen, double, stranger], responses)
    payload = decode_payload(decode_block(body))
    assert isinstance(payload, VerdictPayload) and len(payload.observations) == 4
    group.state.check_block(body, group.chain)


def test_a_judge_that_names_what_nobody_shows_silences_only_itself() -> None:
    group = Group(count=5)
    responses = group.responses()
    hidden = group.founders[2]
    [digest] = group.responses(of=[hidden])
    shown = {key: envelope for key, envelope in responses.items() if key != digest}
    seen = [
        group.observation(judge, (responses if judge is hidden else shown).values())
        for judge in group.founders
    ]
    body = build_verdict(group.state, group.chain, SEQ, seen, {**shown, digest: b"unreadable"})
    payload = decode_payload(decode_block(body))
    assert isinstance(payload, VerdictPayload) and len(payload.observations) == 4
    group.state.check_block(body, group.chain)


def test_an_anchor_that_left_the_chain_judges_nobody() -> None:
    group = Group()
    body = group.verdict_block()
    other = group.chain.copy()
    other.disconnect(8)
    other.mine_to(16, salt=b"another branch")
    with pytest.raises((InvalidBlock, StaleMessage)):
        group.state.check_block(body, other)


def test_a_group_judges_those_who_fall_to_its_prefix() -> None:
    group = Group(count=9)
    challenge = group.challenge()
    for prefix in ("", "0", "1", "01"):
        judging = replace_prefix(group.state, prefix).judging(challenge)
        expected = [
            one.key
            for one in group.founders
            if format(challenge_draw(challenge.anchor_hash, one.key)[0], "08b").startswith(prefix)
        ]
        assert list(judging.registrations) == expected


def test_judges_of_a_group_that_split_say_nothing_of_those_who_fall_to_its_sibling() -> None:
    """They saw everybody, when they were one group; each half judges its own, of what both saw."""
    group = Group(count=9)
    challenge = group.challenge()
    whole = group.verdict_block()
    for prefix in ("0", "1"):
        state = replace_prefix(group.state, prefix)
        half = build_verdict(state, group.chain, SEQ, group.observations(), group.responses())
        ours = list(state.judging(challenge).registrations)
        assert ours and list(verdicts_of(half)) == ours
        assert set(verdicts_of(half).values()) == {Reason.VALID}
        state.check_block(half, group.chain)
        foreign = repacked(half, parts=("0", "1"))
        with pytest.raises(InvalidBlock):
            state.check_block(foreign, group.chain)
    assert len(verdicts_of(whole)) == 9


def replace_prefix(state: DataChain, prefix: str) -> DataChain:
    return replace_field(state, prefix=prefix)


def verdict(number: int, slot: bytes, reason: Reason = Reason.VALID) -> Verdict:
    return Verdict(operator_key=bytes([number]) * 32, stake_address=b"", reason=reason, slot=slot)


def test_the_holder_of_a_slot_is_who_was_valid_there_last() -> None:
    one, two = OperatorKey(b"\x01" * 32), OperatorKey(b"\x02" * 32)
    held = holders_after({}, (verdict(1, b"a"), verdict(2, b"b")))
    assert dict(held) == {b"a": one, b"b": two}
    held = holders_after(held, (verdict(1, b"a", Reason.LATE), verdict(2, b"", Reason.UNREACHABLE)))
    assert dict(held) == {b"a": one, b"b": two}, "who fails once may come back"
    held = holders_after(held, (verdict(2, b"c"),))
    assert dict(held) == {b"a": one, b"c": two}, "nobody holds two"
    assert dict(holders_after(held, (verdict(2, b"a"),))) == {b"a": two}


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_whatever_was_seen_the_block_maker_makes_a_block_that_passes_or_waits(data: st.DataObject) -> None:
    group = Group(count=5)
    envelopes = list(group.responses().values())
    some = st.sets(st.sampled_from(envelopes))
    judges = data.draw(st.sets(st.sampled_from(group.founders), min_size=3))
    seen = [
        group.observation(judge, sorted(data.draw(some)), reached=data.draw(st.booleans()))
        for judge in sorted(judges, key=lambda judge: judge.key)
    ]
    pairs = data.draw(st.sets(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=6))
    founders = group.founders
    receipts = [group.receipt(founders[a], founders[b], envelopes[b]) for a, b in sorted(pairs)]
    shown = {response_hash(envelope): envelope for envelope in data.draw(some | st.just(set(envelopes)))}
    try:
        body = build_verdict(group.state, group.chain, SEQ, seen, shown, receipts)
    except NotYetKnown:
        usable = [o for o in seen if all(d in shown for d in named_in(o, group.network))]
        assert not group.state.electorate.is_final(check_observation(o, group.network).judge for o in usable)
        return
    heard = {receipt for receipt in receipts if check_receipt(receipt, group.network).response_hash in shown}
    check_with(group, body, heard, shown)
    group.advance(body)
    assert SEQ in group.state.judged and set(verdicts_of(body)) == {one.key for one in group.founders}
    valid = {key for key, reason in verdicts_of(body).items() if reason is Reason.VALID}
    assert set(group.state.holders.values()) == valid


def check_with(group: Group, body: bytes, receipts: set[bytes], shown: dict[Hash32, bytes]) -> None:
    """The verdicts are those that follow from all receipts, also from those that were left out."""
    payload = decode_payload(decode_block(body))
    assert isinstance(payload, VerdictPayload) and receipts.issuperset(payload.receipts)
    named = {check_receipt(receipt, group.network).response_hash for receipt in receipts}
    responses = {*payload.responses, *(shown[Hash32(digest)] for digest in named)}
    whole = repacked(
        body, receipts=tuple(sorted(receipts)), responses=tuple(sorted(responses, key=response_hash))
    )
    group.state.check_block(whole, group.chain)


def named_in(envelope: bytes, network: bytes) -> tuple[Hash32, ...]:
    return referenced_responses([check_observation(envelope, network)])


def stranded(group: Group) -> bytes:
    """Return a good VERDICT block whose branch, with its anchor, our chain has left."""
    body = group.verdict_block()
    group.chain.disconnect(8)
    group.chain.mine_to(15, salt=b"another branch")
    with pytest.raises(Stranded):
        group.state.check_block(body, group.chain)
    return body


def test_a_stranded_verdict_block_is_good_but_for_the_chain() -> None:
    group = Group()
    body = stranded(group)
    certified = group.certified(body)
    with pytest.raises(Stranded):
        group.state.apply(certified, group.chain)
    after = group.state.apply(certified, group.chain, on_its_word=True)
    assert after.judged[SEQ][0].anchor_hash != group.chain.block_hash(8) and len(after.holders) == 4


def test_no_chain_makes_a_group_judge_who_falls_to_another() -> None:
    group = Group(count=9)
    state = replace_prefix(group.state, "0")
    body = build_verdict(state, group.chain, SEQ, group.observations(), group.responses())
    payload = decode_payload(decode_block(body))
    assert isinstance(payload, VerdictPayload)
    ours = {verdict.operator_key for verdict in payload.verdicts}
    other = next(one.key for one in group.founders if one.key not in ours)
    made_up = Verdict(operator_key=other, stake_address=b"", reason=Reason.NOT_REGISTERED, slot=b"")
    more = sorted((*payload.verdicts, made_up), key=lambda one: one.operator_key)
    group.chain.disconnect(8)
    group.chain.mine_to(15, salt=b"another branch")
    with pytest.raises(Stranded):
        state.check_block(body, group.chain)
    with pytest.raises(InvalidBlock, match="another group") as refused:
        state.check_block(repacked(body, verdicts=tuple(more)), group.chain)
    assert not isinstance(refused.value, Stranded)


def test_what_no_chain_can_make_right_is_no_stranded_block() -> None:
    group = Group()
    body = stranded(group)
    payload = decode_payload(decode_block(body))
    assert isinstance(payload, VerdictPayload)
    first, *others = payload.verdicts
    made_up = replace(first, operator_key=b"\xff" * 32)
    faults: list[dict[str, Any]] = [
        {"observations": payload.observations[:2]},
        {"observations": payload.observations[::-1]},
        {"observations": (*payload.observations[:3], payload.observations[2])},
        {"responses": payload.responses[:-1]},
        {"anchor_hash": b"\x07" * 32},
        {"seq": SEQ + 1},
        {"seq": 0},
        {"verdicts": tuple(others)},
        {"verdicts": payload.verdicts[::-1]},
        {"verdicts": (*payload.verdicts, made_up)},
        {"verdicts": (replace(first, stake_address=others[0].stake_address), *others)},
        {"verdicts": (replace(first, reason=Reason.NOT_REGISTERED), *others)},
    ]
    for fault in faults:
        with pytest.raises(InvalidBlock) as refused:
            group.state.check_block(repacked(body, **fault), group.chain)
        assert not isinstance(refused.value, Stranded), fault
    again = group.state.apply(group.certified(body), group.chain, on_its_word=True)
    twice = changed(body, height=2, previous=again.head)
    with pytest.raises(StaleMessage, match="is judged"):
        again.check_block(twice, group.chain)
