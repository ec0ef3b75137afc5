"""A network of thousands of founders in many groups at the end of its first period, as every voter holds it.

Answers for: everybody answered every challenge and was judged by the group to which it fell, so the list is
as long as it can be; what it says follows from the rules of `protocol.payout`. How it is agreed on is
`list_run`'s business. Spec: `spec/simulation.md`.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from protocol.codec import replace
from protocol.crypto import Signer, sha3_256
from protocol.genesis import Baton, Genesis, GenesisMember, Treasury, network_id
from protocol.group.membership import Member, genesis_membership
from protocol.group.name import bits
from protocol.group.void import Void
from protocol.parameters import ZEN, Parameters
from protocol.payout.claims import VerdictRecord
from protocol.payout.list_header import Head
from protocol.tracking.challenge import challenge_draw
from protocol.tracking.verdict import Reason, Verdict
from protocol.units import Hash32, Height
from simulations.chain import View, extend
from simulations.founding import CHAIN

CHALLENGES = 7
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


def founded(seed: int, signers: Sequence[Signer], first_hash: bytes) -> Genesis:
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
    """What the groups' data chains hold of the period: fulfils `ListSource`."""

    records: tuple[VerdictRecord, ...]
    everybody: tuple[Member, ...]
    hashes: Mapping[tuple[str, int], Hash32]
    """By prefix and height; each chain goes on for some blocks after the period's last verdicts."""
    read: int = 0
    """How many of these the reader has of the first group."""

    @classmethod
    def of(cls, genesis: Genesis, chain: View, groups: int, further: int) -> "Judgements":
        """Judge every founder VALID in every challenge of the period, in so many groups (a power of two)."""
        depth = groups.bit_length() - 1
        prefixes = [format(number, f"0{depth}b") if depth else "" for number in range(groups)]
        founders = genesis_membership(genesis).members
        everybody = tuple(replace(one, prefix=bits(one.name, depth)) for one in founders)
        verdicts = {one.operator_key: _verdict(number, one) for number, one in enumerate(founders)}
        network = network_id(genesis)
        hashes = {
            (prefix, height): sha3_256(network, prefix.encode(), bytes([height]))
            for prefix in prefixes
            for height in range(CHALLENGES + further + 1)
        }
        heights = range(1, CHALLENGES + 1)
        records = [one for height in heights for one in _records(height, chain, prefixes, verdicts, hashes)]
        return cls(tuple(records), everybody, hashes)

    def heads(self) -> tuple[Head, ...]:
        """Return the heads of all groups, as far as the reader has them."""
        prefixes = sorted({prefix for prefix, _ in self.hashes})
        heights = {prefix: CHALLENGES for prefix in prefixes} | {prefixes[0]: CHALLENGES + self.read}
        return tuple(
            Head(prefix=prefix, height=height, block_hash=self.hashes[prefix, height])
            for prefix, height in heights.items()
        )

    def reach(self, heads: tuple[Head, ...]) -> Mapping[str, Sequence[tuple[int, int]]]:
        """Return what these heads read."""
        return {head.prefix: [(0, head.height)] for head in heads}

    def voids(self, heads: tuple[Head, ...]) -> tuple[Void, ...]:
        """Return nothing: nobody was absorbed."""
        return ()

    def block_hash(self, prefix: str, height: int) -> Hash32 | None:
        """Return the hash of a group's block."""
        return self.hashes.get((prefix, height))

    def verdict_records(self, first_seq: int, last_seq: int) -> Iterable[VerdictRecord]:
        """Return the verdicts of these challenges."""
        return [record for record in self.records if first_seq <= record.seq <= last_seq]

    def members(self, heads: tuple[Head, ...]) -> tuple[Member, ...]:
        """Return everybody."""
        return self.everybody


def _verdict(number: int, member: Member) -> Verdict:
    ip = (number << 8).to_bytes(4, "big")  # each in a subnet of its own: a subnet is paid for few
    stake = b"\x00" + sha3_256(member.operator_key)[:20]
    return Verdict(
        operator_key=member.operator_key, stake_address=stake, reason=Reason.VALID, slot=b"\x04" + ip
    )


def _records(
    height: int,
    chain: View,
    prefixes: Sequence[str],
    verdicts: Mapping[bytes, Verdict],
    hashes: Mapping[tuple[str, int], Hash32],
) -> list[VerdictRecord]:
    """Return what each group says, at a height of its chain, of those who fall to it in one challenge."""
    seq = PERIOD * CHALLENGES + height - 1
    anchor = chain.block_hash(Height(seq * PARAMETERS.challenge_every))
    assert anchor is not None
    falling: dict[str, list[Verdict]] = defaultdict(list)
    for key, verdict in verdicts.items():
        falling[bits(challenge_draw(anchor, key), len(prefixes[0]))].append(verdict)
    return [
        VerdictRecord(
            prefix=prefix,
            height=height,
            block_hash=hashes[prefix, height],
            seq=seq,
            anchor_hash=anchor,
            verdicts=tuple(falling[prefix]),
            parts=(prefix,),
        )
        for prefix in prefixes
    ]
