"""Verdicts: what a final set of observations and the chain make of each operator.

Answers for: VALID or the first reason that holds, as a pure function of the set of
observations. Judges *attest* what only they could see (a response in time, a node that
could be dialled): more than a third of the voters and of their age, so that less than
a third can neither invent nor hide it. Everything else (answer, signature, stake,
uniqueness) is computed again by whoever checks. Who carries this into a data chain is
`protocol.group`'s business. Spec: `spec/verdict.md`.
"""

from collections.abc import Iterable, Mapping, Sequence
from enum import IntEnum
from types import MappingProxyType
from typing import Annotated

from protocol.chain.view import ChainView
from protocol.codec import Bytes32, Meta, Wire, replace
from protocol.errors import NotYetKnown
from protocol.group.quorum import Electorate, Voter
from protocol.group.regions import falls
from protocol.parameters import Parameters
from protocol.tracking.answer_key import AnswerKey
from protocol.tracking.challenge import Challenge, challenge_draw, require_anchor
from protocol.tracking.diversity import NOBODY, SLOT_SIZE_MAX, exceed_subnet_limit, resolve_duplicates
from protocol.tracking.observation import Observation
from protocol.tracking.registration import Registration
from protocol.tracking.response import Receipt
from protocol.tracking.stake import stake_over_window
from protocol.tracking.testimony import Evidence, Merit, Testimony, check_observations
from protocol.units import Hash32, OperatorKey

Registrations = Mapping[OperatorKey, Registration]

NO_REGISTRATIONS: Registrations = MappingProxyType({})


class Reason(IntEnum):
    """A verdict, in the order in which reasons precede each other. On the wire: the number."""

    VALID = 0
    NOT_REGISTERED = 1
    NO_RESPONSE = 2
    LATE = 3
    OLD_SEQUENCE = 4
    BAD_SIGNATURE = 5
    WRONG_ANSWER = 6
    STAKE_TOO_LOW = 7
    STAKE_DUPLICATE = 8
    UNREACHABLE = 9
    CHAIN_TOO_SLOW = 10
    TLS_INVALID = 11
    DUPLICATE_IP = 12
    DIVERSITY_CAP = 13

    def __str__(self) -> str:
        return self.name


class Verdict(Wire):
    """What became of one operator in one challenge."""

    operator_key: Bytes32
    stake_address: Annotated[bytes, Meta(max_length=21)]
    """The registered stake address (21 bytes); empty for who is not registered."""
    reason: Reason
    slot: Annotated[bytes, Meta(max_length=SLOT_SIZE_MAX)]
    """The diversity slot at which it was reached, or empty."""


_LACKING = {
    Merit.NONE: Reason.NO_RESPONSE,
    Merit.RECEIVED: Reason.LATE,
    Merit.IN_TIME: Reason.OLD_SEQUENCE,
    Merit.CURRENT: Reason.BAD_SIGNATURE,
    Merit.SIGNED: Reason.WRONG_ANSWER,
    Merit.RIGHT: Reason.VALID,
}
"""What it means when a response got so far and no further."""


def derive_verdicts(
    challenge: Challenge,
    registrations: Registrations,
    voters: Iterable[Voter],
    observations: Sequence[Observation],
    responses: Mapping[Hash32, Evidence],
    chain: ChainView,
    previous: Mapping[bytes, OperatorKey],
    parameters: Parameters,
    *,
    contested: Registrations = NO_REGISTRATIONS,
    receipts: Iterable[Receipt] = (),
    ages: Mapping[bytes, int] = NOBODY,
    parts: Sequence[str] = ("",),
) -> tuple[Verdict, ...]:
    """Return the verdict of every operator, sorted by operator key.

    `registrations` and `contested` are the book's at the anchor, of the operators that are judged here,
    `voters` the judging group's, `responses` holds every response that an observation or receipt names,
    `previous` who had the last VALID verdict at a slot, `ages` the members' for the subnet cap, `parts` the
    regions in which the draw of whoever is judged here falls: a judge that came from another group, or one
    of a group that split, also names responses of others. The signatures of observations and
    receipts are checked before. The order of the observations does not matter.

    Raises `StaleMessage` when the anchor left the chain, `NotYetKnown` before the close is buried, and
    `InvalidBlock`, `NotAMember` or `StaleMessage` when the observations are not those of a final set
    of voters.
    """
    require_anchor(challenge, chain)
    if chain.tip()[0] < challenge.judged_at:
        raise NotYetKnown(f"challenge {challenge.seq} is judged at height {challenge.judged_at}")
    electorate = Electorate.of(voters)
    check_observations(challenge, observations, electorate)
    registered = {**contested, **registrations}
    answers = AnswerKey(challenge, registered, chain, parameters)
    testimony = Testimony(electorate, answers, responses, parameters)
    testimony.hear(observations, receipts)
    doubled = stake_duplicates(registrations, contested)
    verdicts = [
        _judge_alone(entry, testimony, entry.signer in doubled, challenge, chain, parameters)
        for entry in registered.values()
    ]
    verdicts += [
        Verdict(operator_key=key, stake_address=b"", reason=Reason.NOT_REGISTERED, slot=b"")
        for key in testimony.responded()
        if key not in registered and falls(parts, challenge_draw(challenge.anchor_hash, key))
    ]
    verdicts.sort(key=lambda verdict: verdict.operator_key)
    return _judge_together(verdicts, challenge, previous, parameters, ages)


def stake_duplicates(registrations: Registrations, contested: Registrations) -> frozenset[OperatorKey]:
    """Return the operators whose stake does not back them: void, or another has a higher sequence.

    One book never has two operators of one stake in force; several groups' books together may.
    """
    by_stake: dict[bytes, list[Registration]] = {}
    for entry in registrations.values():
        by_stake.setdefault(entry.stake_address, []).append(entry)
    doubled = set(contested)
    for entries in by_stake.values():
        entries.sort(key=lambda entry: entry.stake_sequence, reverse=True)
        tied = len(entries) > 1 and entries[0].stake_sequence == entries[1].stake_sequence
        doubled.update(entry.signer for entry in entries[0 if tied else 1 :])
    return frozenset(doubled)


def _judge_alone(
    entry: Registration,
    testimony: Testimony,
    is_doubled: bool,
    challenge: Challenge,
    chain: ChainView,
    parameters: Parameters,
) -> Verdict:
    """Return an operator's verdict as far as it needs no look at the others' places."""
    key = entry.signer
    slot = testimony.slot(key)
    reason = _LACKING[testimony.merit(key)]
    if reason is not Reason.VALID:
        pass
    elif stake_over_window(chain, entry.stake_address, challenge, parameters) < parameters.stake:
        reason = Reason.STAKE_TOO_LOW
    elif is_doubled:
        reason = Reason.STAKE_DUPLICATE
    elif not slot:
        reason = Reason.UNREACHABLE
    elif not testimony.is_fast(key, slot):
        reason = Reason.CHAIN_TOO_SLOW
    elif entry.fqdn and not testimony.is_tls_valid(key):
        reason = Reason.TLS_INVALID
    return Verdict(operator_key=key, stake_address=entry.stake_address, reason=reason, slot=slot)


def _judge_together(
    verdicts: Sequence[Verdict],
    challenge: Challenge,
    previous: Mapping[bytes, OperatorKey],
    parameters: Parameters,
    ages: Mapping[bytes, int],
) -> tuple[Verdict, ...]:
    """Return the verdicts after one holder a slot and few a subnet; only who is VALID alone claims one."""
    claims = {
        OperatorKey(verdict.operator_key): verdict.slot
        for verdict in verdicts
        if verdict.reason is Reason.VALID
    }
    holders = resolve_duplicates(claims, previous, challenge.anchor_hash)
    excess = exceed_subnet_limit(holders, previous, challenge.anchor_hash, parameters.subnet_limit, ages)
    lost = {key: Reason.DUPLICATE_IP for key, slot in claims.items() if holders[slot] != key}
    lost |= dict.fromkeys(excess, Reason.DIVERSITY_CAP)
    return tuple(
        replace(verdict, reason=lost.get(OperatorKey(verdict.operator_key), verdict.reason))
        for verdict in verdicts
    )
