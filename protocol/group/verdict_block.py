"""The VERDICT block: a challenge's verdicts together with everything they follow from.

Answers for: a payload holds the observations of a final set of voters, exactly the
responses that they and the receipts name, and the verdicts that anybody derives from
these and the chain. What follows from observations is `protocol.tracking.verdict`'s business,
when a challenge may be judged `data_chain`'s. Spec: `spec/data_chain.md`.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from protocol.chain.view import ChainView
from protocol.errors import InvalidBlock, MalformedMessage, NotYetKnown, WrongNetwork
from protocol.group.data_block import OBSERVATIONS_MAX, RECEIPTS_MAX, VerdictPayload
from protocol.group.quorum import Electorate
from protocol.group.regions import falls
from protocol.parameters import Parameters
from protocol.tracking.challenge import Challenge, challenge_draw
from protocol.tracking.observation import Observation, check_observation
from protocol.tracking.response import Receipt, check_receipt, read_response, read_responses, response_hash
from protocol.tracking.testimony import referenced_responses
from protocol.tracking.verdict import Reason, Registrations, Verdict, derive_verdicts
from protocol.units import Hash32, OperatorKey


@dataclass(frozen=True, slots=True)
class Judging:
    """One challenge as a group judges it: what its data chain says of it beforehand."""

    network: bytes
    challenge: Challenge
    electorate: Electorate
    ages: Mapping[bytes, int]
    """The members' ages, for the cap per subnet."""
    registrations: Registrations
    """In force at the anchor, of the operators that this group judges."""
    contested: Registrations
    """Void at the anchor, because two of one stake have the same sequence."""
    holders: Mapping[bytes, OperatorKey]
    """Who had the last VALID verdict at each IP slot."""
    parameters: Parameters
    parts: tuple[str, ...] = ("",)
    """The regions that are judged, as prefixes."""


def check_payload(judging: Judging, payload: VerdictPayload, chain: ChainView) -> None:
    """Raise unless the payload is what the rules make of its observations, receipts and responses.

    `NotYetKnown` before the challenge can be judged; else a `ProtocolError` that says what is wrong.
    """
    challenge = judging.challenge
    if (payload.seq, payload.anchor_hash) != (challenge.seq, challenge.anchor_hash):
        raise InvalidBlock(f"challenge {payload.seq} has another anchor on our chain")
    observations, receipts = _read(judging.network, payload)
    if _derive(judging, observations, receipts, payload.responses, chain) != payload.verdicts:
        raise InvalidBlock("the verdicts are not those that follow from the observations")


def check_without_chain(
    network: bytes, electorate: Electorate, registered: Registrations, payload: VerdictPayload
) -> None:
    """Raise for a payload that no chain at all can make right.

    `registered` are those of this group at the anchor's height, in force or contested. What the chain alone
    can say (right answers, balances) is not looked at, so the reasons of the verdicts are not either.
    """
    observations, receipts = _read(network, payload)
    read_responses(payload.responses, network)
    said: tuple[Observation | Receipt, ...] = (*observations, *receipts)
    if any((one.seq, one.anchor_hash) != (payload.seq, payload.anchor_hash) for one in said):
        raise InvalidBlock(f"a judge's word on another challenge than {payload.seq}")
    judges = [observation.judge for observation in observations]
    if any(one.judge not in electorate for one in said) or len(frozenset(judges)) != len(judges):
        raise InvalidBlock("a judge that has no vote, or stands there twice")
    if not electorate.is_final(judges):
        raise InvalidBlock(f"observations of {len(judges)} of {len(electorate)} voters are not final")
    _check_names(registered, payload)


def _check_names(registered: Registrations, payload: VerdictPayload) -> None:
    """Raise unless everybody who is registered has one verdict, with his stake, and nobody else a stake.

    And nobody is judged who falls to other groups.
    """
    verdicts = payload.verdicts
    keys = [verdict.operator_key for verdict in verdicts]
    if keys != sorted(frozenset(keys)) or not frozenset(registered).issubset(keys):
        raise InvalidBlock("the verdicts are not sorted, one each, on everybody who is registered")
    for verdict in verdicts:
        entry = registered.get(OperatorKey(verdict.operator_key))
        stake = b"" if entry is None else entry.stake_address
        if verdict.stake_address != stake or (verdict.reason is Reason.NOT_REGISTERED) != (entry is None):
            raise InvalidBlock(f"the verdict on {verdict.operator_key.hex()[:16]} is not by his registration")
        if not falls(payload.parts, challenge_draw(payload.anchor_hash, verdict.operator_key)):
            raise InvalidBlock(f"{verdict.operator_key.hex()[:16]} is judged by another group")


def _read(network: bytes, payload: VerdictPayload) -> tuple[tuple[Observation, ...], tuple[Receipt, ...]]:
    """Return what the judges say, signatures checked, in its one order, with the responses that it names."""
    observations = tuple(check_observation(envelope, network) for envelope in payload.observations)
    judges = [observation.judge for observation in observations]
    if judges != sorted(judges):
        raise InvalidBlock("observations must be sorted by judge")
    if list(payload.receipts) != sorted(set(payload.receipts)):
        raise InvalidBlock("receipts must be sorted, none twice")
    receipts = tuple(check_receipt(envelope, network) for envelope in payload.receipts)
    if tuple(map(response_hash, payload.responses)) != referenced_responses(observations, receipts):
        raise InvalidBlock("the responses are not exactly those that are named, sorted by hash")
    return observations, receipts


def build_payload(
    judging: Judging,
    observations: Iterable[bytes],
    receipts: Iterable[bytes],
    responses: Mapping[Hash32, bytes],
    chain: ChainView,
    registers: Iterable[bytes] = (),
) -> VerdictPayload:
    """Return the payload made of checked envelopes; those that cannot be used are left out.

    `registers` are the REGISTER blocks of other groups that `judging` has taken up.

    A judge that names a response which nobody shows, or says two things, silences itself only. Receipts that
    say no more than their judge's observation are left out.
    Raises `NotYetKnown` before the challenge can be judged, or while the rest is not a final set.
    """
    readable = _readable(judging, responses)
    chosen = _by_judge(judging, observations, readable)
    said = [observation for _, observation in chosen.values()]
    if not judging.electorate.is_final(chosen):
        raise NotYetKnown(f"observations of {len(chosen)} of {len(judging.electorate)} voters")
    heard = _receipts(judging, receipts, readable, said)
    named = referenced_responses(said, heard.values())
    shown = tuple(readable[digest] for digest in named)
    return VerdictPayload(
        seq=judging.challenge.seq,
        anchor_hash=judging.challenge.anchor_hash,
        parts=judging.parts,
        registers=tuple(sorted(registers)),
        observations=tuple(envelope for envelope, _ in chosen.values()),
        receipts=tuple(heard),
        responses=shown,
        verdicts=_derive(judging, said, heard.values(), shown, chain),
    )


def usable_observations(
    judging: Judging, observations: Iterable[bytes], responses: Mapping[Hash32, bytes]
) -> list[bytes]:
    """Return those of the checked envelopes that `build_payload` would use, by judge."""
    chosen = _by_judge(judging, observations, _readable(judging, responses))
    return [envelope for envelope, _ in chosen.values()]


def _derive(
    judging: Judging,
    observations: Iterable[Observation],
    receipts: Iterable[Receipt],
    responses: Iterable[bytes],
    chain: ChainView,
) -> tuple[Verdict, ...]:
    return derive_verdicts(
        judging.challenge,
        judging.registrations,
        judging.electorate.voters,
        tuple(observations),
        read_responses(responses, judging.network),
        chain,
        judging.holders,
        judging.parameters,
        contested=judging.contested,
        receipts=receipts,
        ages=judging.ages,
        parts=judging.parts,
    )


def _by_judge(
    judging: Judging, envelopes: Iterable[bytes], readable: Mapping[Hash32, bytes]
) -> dict[bytes, tuple[bytes, Observation]]:
    """Return the usable observations by judge, sorted; a judge that said two things has none."""
    found: dict[bytes, tuple[bytes, Observation]] = {}
    doubled: set[bytes] = set()
    for envelope in sorted(set(envelopes)):
        observation = check_observation(envelope, judging.network)
        if not _belongs(judging, observation, observation.judge):
            continue
        if any(digest not in readable for digest in referenced_responses([observation])):
            continue
        if observation.judge in found:
            doubled.add(observation.judge)
        found[observation.judge] = (envelope, observation)
    kept = sorted(judge for judge in found if judge not in doubled)
    return {judge: found[judge] for judge in kept[:OBSERVATIONS_MAX]}


def _receipts(
    judging: Judging,
    envelopes: Iterable[bytes],
    readable: Mapping[Hash32, bytes],
    said: Iterable[Observation],
) -> dict[bytes, Receipt]:
    """Return the usable receipts by envelope, sorted, that add to what their judges `said`."""
    seen = {
        (observation.judge, sighting.operator_key, sighting.response_hash): sighting.received_height
        for observation in said
        for sighting in observation.sightings
    }
    heard: dict[bytes, Receipt] = {}
    for envelope in sorted(set(envelopes)):
        receipt = check_receipt(envelope, judging.network)
        at = seen.get((receipt.judge, receipt.operator_key, receipt.response_hash))
        is_said = at is not None and at <= receipt.height
        if is_said or not _belongs(judging, receipt, receipt.judge) or receipt.response_hash not in readable:
            continue
        heard[envelope] = receipt
        if len(heard) == RECEIPTS_MAX:
            break
    return heard


def without_loudest(receipts: Iterable[bytes], network: bytes) -> tuple[bytes, ...]:
    """Return checked receipts without those of the judge that gave the most; of several the greatest key."""
    judges = {envelope: check_receipt(envelope, network).judge for envelope in receipts}
    loudest, _ = max(Counter(judges.values()).items(), key=lambda entry: (entry[1], entry[0]))
    return tuple(envelope for envelope, judge in judges.items() if judge != loudest)


def _belongs(judging: Judging, said: Observation | Receipt, judge: bytes) -> bool:
    challenge = judging.challenge
    same = (said.seq, said.anchor_hash) == (challenge.seq, challenge.anchor_hash)
    return same and judge in judging.electorate


def _readable(judging: Judging, responses: Mapping[Hash32, bytes]) -> dict[Hash32, bytes]:
    """Return the responses that are evidence of anything."""
    return {digest: envelope for digest, envelope in responses.items() if _is_readable(judging, envelope)}


def _is_readable(judging: Judging, envelope: bytes) -> bool:
    """Whether these bytes are evidence of anything."""
    try:
        read_response(envelope, judging.network)
    except (MalformedMessage, WrongNetwork):
        return False
    return True
