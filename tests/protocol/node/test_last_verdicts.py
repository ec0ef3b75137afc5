"""The last verdicts on an operator, in the order of challenges, whoever judged when."""

from typing import Any

from protocol.group.data_block import LinkPayload, VerdictPayload
from protocol.group.elsewhere import Standing
from protocol.node.last_verdicts import Found, LastVerdicts
from protocol.tracking.verdict import Reason, Verdict
from protocol.units import Hash32
from tests.support.operators import operator

ONE, OTHER = operator(1).key, operator(2).key
KEPT = 3
NOTHING: Any = None


def standing(seq: int, *said: tuple[bytes, Reason], number: int = 0) -> Standing:
    """A block that judges these in a challenge."""
    verdicts = tuple(
        Verdict(operator_key=key, stake_address=b"", reason=reason, slot=b"") for key, reason in sorted(said)
    )
    payload = VerdictPayload(
        seq=seq,
        anchor_hash=bytes(32),
        parts=("",),
        registers=(),
        verdicts=verdicts,
        observations=(),
        receipts=(),
        responses=(),
    )
    return Standing(hashed(seq, number), NOTHING, payload, NOTHING)


def hashed(seq: int, number: int = 0) -> Hash32:
    return Hash32(bytes([seq, number]) * 16)


def noted(*seqs: int, reason: Reason = Reason.NO_RESPONSE) -> LastVerdicts:
    verdicts = LastVerdicts(KEPT)
    for seq in seqs:
        verdicts.note(standing(seq, (ONE, reason)))
    return verdicts


def test_the_last_one_is_of_the_newest_challenge_even_if_an_older_is_judged_late() -> None:
    verdicts = noted(4, 6)
    verdicts.note(standing(5, (ONE, Reason.VALID), (OTHER, Reason.VALID)))
    assert verdicts.last(ONE) == Found(6, Reason.NO_RESPONSE, hashed(6))
    assert [found.seq for found in verdicts.of(ONE)] == [4, 5, 6]
    assert (
        verdicts.last(OTHER) == Found(5, Reason.VALID, hashed(5)) and verdicts.last(operator(3).key) is None
    )


def test_a_challenge_that_is_judged_twice_counts_once_and_as_it_came_first() -> None:
    verdicts = noted(4)
    verdicts.note(standing(4, (ONE, Reason.VALID), number=1))
    assert verdicts.of(ONE) == (Found(4, Reason.NO_RESPONSE, hashed(4)),)


def test_who_is_not_registered_is_not_judged_and_other_blocks_judge_nobody() -> None:
    verdicts = noted(4, reason=Reason.NOT_REGISTERED)
    link = LinkPayload(number=1, members_count=1, members_root=bytes(32))
    verdicts.note(Standing(hashed(9), NOTHING, link, NOTHING))
    assert verdicts.of(ONE) == ()


def test_failures_are_as_many_as_cost_a_place_all_in_a_row() -> None:
    assert not noted(4, 5).failures(ONE) and not noted(4, 5, 7).failures(ONE)
    assert [found.seq for found in noted(3, 4, 5, 6).failures(ONE)] == [4, 5, 6]
    late = noted(6, 4)
    late.note(standing(5, (ONE, Reason.NO_RESPONSE)))
    assert [found.seq for found in late.failures(ONE)] == [4, 5, 6]
    valid = noted(3, 4, 5)
    valid.note(standing(6, (ONE, Reason.VALID)))
    assert not valid.failures(ONE) and not valid.failures(OTHER)
