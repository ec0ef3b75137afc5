"""A network of thousands of founders at the end of its first period, as every voter holds it.

Answers for: everybody answered every challenge, so the list is as long as it can be; what it says follows
from the rules of `protocol.payout`. How it is agreed on is `list_vote`'s business.
Spec: `spec/simulation.md`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from protocol.codec import replace
from protocol.crypto import Signer, sha3_256
from protocol.genesis import Baton, Genesis, GenesisMember, Treasury, network_id
from protocol.group.membership import Member, genesis_membership
from protocol.group.void import Void
from protocol.parameters import ZEN, Parameters
from protocol.payout.claims import VerdictRecord
from protocol.payout.list_header import Head
from protocol.tracking.verdict import Reason, Verdict
from protocol.units import Hash32, Height
from simulations.chain import View, extend
from simulations.founding import CHAIN

CHALLENGES = 2
"""Of the period."""
PARAMETERS: Parameters = replace(
    ZEN, preset="list", challenge_every=8, response_window=4, burial=2, period_blocks=8 * CHALLENGES
)
"""Zen's, but for a chain that is short enough to be made for each run."""
PERIOD = 1
MEMBER_AGE = 4


def signer_of(number: int) -> Signer:
    """Return the key of voter `number`: always the same."""
    return Signer(sha3_256(b"simulated voter", number.to_bytes(4, "big")))


def founded(seed: int, signers: Iterable[Signer], first_hash: bytes) -> Genesis:
    """Return a genesis of these founders, all of one age."""
    key = b"\x02" + bytes(31) + b"\x01"
    return Genesis(
        name=f"list {seed}",
        parameters=PARAMETERS,
        chain=CHAIN,
        start=first_hash,
        treasury=Treasury(required=1, public_keys=(key,)),
        baton=Baton(txid=bytes(32), index=0),
        first_challenge_height=PERIOD * PARAMETERS.period_blocks,
        carried=0,
        members=tuple(
            GenesisMember(operator_key=key, age=MEMBER_AGE, registration=b"")
            for key in sorted(signer.operator_key for signer in signers)
        ),
    )


def grown() -> View:
    """Return a chain that has buried the period's last block, and the time for late verdicts too."""
    tip = extend(None, ())
    for _ in range((PERIOD + 2) * PARAMETERS.period_blocks):
        tip = extend(tip, ())
    return View(tip)


@dataclass(frozen=True, slots=True)
class Judgements:
    """What one group's data chain holds of the period: fulfils `ListSource`."""

    genesis: Genesis
    records: tuple[VerdictRecord, ...]
    everybody: tuple[Member, ...]

    @classmethod
    def of(cls, genesis: Genesis, chain: View) -> "Judgements":
        """Judge every founder VALID in every challenge of the period."""
        everybody = genesis_membership(genesis).members
        verdicts = tuple(_verdict(number, member) for number, member in enumerate(everybody))
        first = PERIOD * CHALLENGES
        records = [_record(seq, chain, verdicts) for seq in range(first, first + CHALLENGES)]
        return cls(genesis, tuple(records), everybody)

    def heads(self) -> tuple[Head, ...]:
        """Return the one group's head."""
        last = self.records[-1]
        return (Head(prefix="", height=last.height, block_hash=last.block_hash),)

    def reach(self, heads: tuple[Head, ...]) -> Mapping[str, Sequence[tuple[int, int]]]:
        """Return what these heads read."""
        return {head.prefix: [(0, head.height)] for head in heads}

    def voids(self, heads: tuple[Head, ...]) -> tuple[Void, ...]:
        """Return nothing: nobody was absorbed."""
        return ()

    def block_hash(self, prefix: str, height: int) -> Hash32 | None:
        """Return the hash of a block of the one group."""
        if height == 0 and not prefix:
            return Hash32(network_id(self.genesis))
        return next(
            (one.block_hash for one in self.records if (one.prefix, one.height) == (prefix, height)), None
        )

    def verdict_records(self, first_seq: int, last_seq: int) -> Iterable[VerdictRecord]:
        """Return the verdicts of these challenges."""
        return [record for record in self.records if first_seq <= record.seq <= last_seq]

    def members(self, heads: tuple[Head, ...]) -> tuple[Member, ...]:
        """Return everybody."""
        return self.everybody


def _verdict(number: int, member: Member) -> Verdict:
    ip = number.to_bytes(4, "big")
    stake = b"\x00" + sha3_256(member.operator_key)[:20]
    return Verdict(
        operator_key=member.operator_key, stake_address=stake, reason=Reason.VALID, slot=b"\x04" + ip
    )


def _record(seq: int, chain: View, verdicts: tuple[Verdict, ...]) -> VerdictRecord:
    anchor = chain.block_hash(Height(seq * PARAMETERS.challenge_every))
    assert anchor is not None
    return VerdictRecord(
        prefix="",
        height=seq - PERIOD * CHALLENGES + 1,
        block_hash=sha3_256(b"verdicts", anchor),
        seq=seq,
        anchor_hash=anchor,
        verdicts=verdicts,
        parts=("",),
    )
