"""Which valid responses are paid: each operator, stake address and IP slot once a challenge.

Answers for: within one group a verdict has settled this already; over several groups,
and for blocks that come a period late, it is settled here by the same rule of
diversity, and whatever the list before paid was there first. Which blocks are read is
left to `list_blocks`. Spec: `spec/payout_list.md`, `spec/diversity.md`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from protocol.codec import U32, AddressBytes, Bytes32, Meta, Wire
from protocol.payout.list_header import Entry
from protocol.tracking.diversity import NOBODY, SLOT_SIZE_MAX, exceed_subnet_limit, resolve_duplicates
from protocol.tracking.verdict import Reason, Verdict
from protocol.units import Hash32, OperatorKey

LISTED_AGE = 256
"""Above every member's age: who was listed already is never in excess of a subnet's limit."""


@dataclass(frozen=True, slots=True)
class VerdictRecord:
    """What a list reads of one certified VERDICT block: where it stands, and its verdicts."""

    prefix: str
    height: int
    """Its height in the group's data chain."""
    block_hash: Hash32
    seq: int
    anchor_hash: Hash32
    verdicts: tuple[Verdict, ...]
    parts: tuple[str, ...]
    """The regions whose operators it judges, as prefixes."""


class Claim(Wire):
    """A paid response: nobody else is paid for its operator, stake or slot in that challenge."""

    seq: U32
    operator_key: Bytes32
    stake_address: AddressBytes
    slot: Annotated[bytes, Meta(max_length=SLOT_SIZE_MAX)]


def resolve_claims(
    records: Iterable[VerdictRecord],
    listed: Sequence[Claim],
    *,
    subnet_limit: int = 0,
    ages: Mapping[bytes, int] = NOBODY,
) -> tuple[Claim, ...]:
    """Return what is paid of these blocks' VALID verdicts, sorted by (seq, operator).

    `listed` is what the list before paid: it says who holds which slot, and in a challenge that
    both lists have part in, it was there first. The order of `records` does not matter.
    """
    by_seq: dict[int, list[VerdictRecord]] = {}
    for record in sorted(records, key=lambda record: (record.seq, record.prefix, record.height)):
        by_seq.setdefault(record.seq, []).append(record)
    claims: list[Claim] = []
    for seq, blocks in by_seq.items():
        holders = _last_holders([*listed, *claims])
        taken = [claim for claim in listed if claim.seq == seq]
        anchor_hash = blocks[0].anchor_hash
        free = _without_taken(_valid_claims(blocks), taken)
        won = _win_stakes_and_slots(free, holders, anchor_hash)
        claims += _within_subnets(won, taken, holders, anchor_hash, subnet_limit, ages)
    return tuple(claims)


def merge_entries(claims: Iterable[Claim], per_response: int) -> tuple[Entry, ...]:
    """Return what each stake address gets, sorted by address: a transaction pays an address once."""
    responses: dict[bytes, int] = {}
    for claim in claims:
        responses[claim.stake_address] = responses.get(claim.stake_address, 0) + 1
    return tuple(
        Entry(address=address, responses=count, amount=count * per_response)
        for address, count in sorted(responses.items())
    )


def _last_holders(claims: Iterable[Claim]) -> dict[bytes, OperatorKey]:
    """Return who was paid last for each slot."""
    by_seq = sorted(claims, key=lambda claim: claim.seq)
    return {claim.slot: OperatorKey(claim.operator_key) for claim in by_seq}


def _valid_claims(records: Iterable[VerdictRecord]) -> list[Claim]:
    """Return one claim for each operator that some block of a challenge finds VALID, sorted by operator."""
    claims: dict[bytes, Claim] = {}
    for record in records:
        for verdict in record.verdicts:
            if verdict.reason is Reason.VALID:
                claim = Claim(
                    seq=record.seq,
                    operator_key=verdict.operator_key,
                    stake_address=verdict.stake_address,
                    slot=verdict.slot,
                )
                claims.setdefault(claim.operator_key, claim)
    return [claims[key] for key in sorted(claims)]


def _without_taken(claims: Iterable[Claim], taken: Iterable[Claim]) -> list[Claim]:
    """Return the claims whose operator, stake and slot are not among those `taken`."""
    gone = {name for claim in taken for name in _names(claim)}
    return [claim for claim in claims if not gone.intersection(_names(claim))]


def _names(claim: Claim) -> tuple[tuple[str, bytes], ...]:
    """Return the three things that a claim takes."""
    return ("operator", claim.operator_key), ("stake", claim.stake_address), ("slot", claim.slot)


def _win_stakes_and_slots(
    claims: Iterable[Claim], holders: Mapping[bytes, OperatorKey], anchor_hash: Hash32
) -> list[Claim]:
    """Return the claims that keep their stake against all others, and among those their slot."""
    by_operator = {OperatorKey(claim.operator_key): claim for claim in claims}
    stakes = resolve_duplicates({k: c.stake_address for k, c in by_operator.items()}, {}, anchor_hash)
    owners = {key: by_operator[key].slot for key in sorted(stakes.values())}
    slots = resolve_duplicates(owners, holders, anchor_hash)
    return [by_operator[key] for key in sorted(slots.values())]


def _within_subnets(
    claims: Sequence[Claim],
    taken: Sequence[Claim],
    holders: Mapping[bytes, OperatorKey],
    anchor_hash: Hash32,
    limit: int,
    ages: Mapping[bytes, int],
) -> list[Claim]:
    """Return the claims that are not in excess of a subnet's limit."""
    slots = {claim.slot: OperatorKey(claim.operator_key) for claim in (*claims, *taken)}
    ages = {**ages, **{claim.operator_key: LISTED_AGE for claim in taken}}
    excess = exceed_subnet_limit(slots, holders, anchor_hash, limit, ages)
    return [claim for claim in claims if claim.operator_key not in excess]
