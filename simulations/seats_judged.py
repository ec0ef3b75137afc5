"""Which operators were judged in which challenge, and how, by arithmetic of its own.

Answers for: each region of the name space is judged once a challenge, whatever splits, merges and is absorbed
in between, and nobody outside of it is. Which verdicts are right is no business of this. Spec:
`spec/simulation.md`.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from protocol.codec import decode
from protocol.crypto import envelope_body, sha3_256
from protocol.genesis import Genesis
from protocol.group.data_block import Payload, RegisterPayload, VerdictPayload
from protocol.tracking.registration import Deregistration, Registration
from protocol.tracking.verdict import Reason

JUDGED = "challenges_are_judged_once"
SETTLED_CHALLENGES = 2
"""Challenges after which a registration is in every group's book, whenever it was taken up there."""
DEPTH = 256
"""Bits of a name."""

Breach = tuple[str, str]
"""The name of a law, and what broke it."""
Place = tuple[str, int]
"""A group's prefix, and a height of its data chain."""


def bits_of(name: bytes) -> str:
    """Return the 256 bits of a name, the first one first."""
    return format(int.from_bytes(name, "big"), "0256b")


@dataclass(frozen=True, slots=True)
class Said:
    """What a VERDICT block says."""

    seq: int
    anchor: bytes
    parts: tuple[str, ...]
    reasons: dict[bytes, Reason]
    """By operator, of those that fall to the parts."""


class Judged:
    """What was judged so far."""

    def __init__(self, genesis: Genesis) -> None:
        self._every = genesis.parameters.challenge_every
        self._first = -(-genesis.first_challenge_height // self._every)
        self._said: dict[bytes, Said] = {}
        """By VERDICT block."""
        self._of: dict[int, list[bytes]] = {}
        """By challenge: the blocks that judge it."""
        self._lapsed: dict[int, list[str]] = {}
        """By challenge: regions that nobody judges any more."""
        self._excused: dict[int, list[str]] = {}
        """By challenge: regions that somebody may have waited too long with to judge them."""
        self._since: dict[bytes, int] = {}
        """By registered operator: from which chain height on."""
        self._stakes: dict[bytes, bytes] = {}
        for member in genesis.members:
            if member.registration:
                self._enter(member.registration, 0)

    def register(self, payload: Payload, stamp_height: int) -> None:
        """Note who is registered from a block on, and who no more."""
        if not isinstance(payload, RegisterPayload):
            return
        for envelope in payload.registrations:
            self._enter(envelope, stamp_height)
        for data in payload.deregistrations:
            gone = decode(data, Deregistration)
            self._since.pop(self._stakes.get(gone.stake_address, b""), None)

    def _enter(self, envelope: bytes, stamp_height: int) -> None:
        entry = decode(envelope_body(envelope), Registration)
        self._since.setdefault(entry.operator_key, stamp_height)
        self._stakes[entry.stake_address] = entry.operator_key

    def owner(self, stake_address: bytes) -> bytes | None:
        """Return the operator for whom a stake stands."""
        return self._stakes.get(stake_address)

    def said(self, block: bytes) -> Said | None:
        """Return what a VERDICT block says; None of another block, or of a void one."""
        return self._said.get(block)

    def regions(self, seq: int) -> list[str]:
        """Return the regions of which a challenge is judged, or lapsed."""
        parts = [part for block in self._of.get(seq, ()) for part in self._said[block].parts]
        return parts + self._lapsed.get(seq, [])

    def take(self, prefix: str, payload: VerdictPayload, hashed: bytes) -> Iterator[Breach]:
        """Note the verdicts of a group."""
        what = f"challenge {payload.seq} in group {prefix!r}"
        if payload.seq < self._first:
            yield JUDGED, f"{what} is before the first one"
        known = self.regions(payload.seq)
        for part in payload.parts:
            if any(part.startswith(other) or other.startswith(part) for other in known):
                yield JUDGED, f"{what}: region {part!r} is judged twice"
            if not part.startswith(prefix):
                yield JUDGED, f"{what}: region {part!r} is not its own"
        judged = self._operators(payload.seq)
        reasons: dict[bytes, Reason] = {}
        for verdict in payload.verdicts:
            draw = bits_of(sha3_256(payload.anchor_hash, verdict.operator_key))
            if draw.startswith(payload.parts):
                reasons[verdict.operator_key] = verdict.reason
            elif verdict.reason is not Reason.NOT_REGISTERED:
                yield JUDGED, f"{what}: {verdict.operator_key.hex()[:8]} falls to another group"
            if verdict.reason is not Reason.NOT_REGISTERED and verdict.operator_key in judged:
                yield JUDGED, f"{what}: {verdict.operator_key.hex()[:8]} is judged twice"
        self._said[hashed] = Said(payload.seq, payload.anchor_hash, payload.parts, reasons)
        self._of.setdefault(payload.seq, []).append(hashed)
        if self.is_whole(payload.seq):
            yield from self._missing(payload.seq, payload.anchor_hash)

    def _operators(self, seq: int) -> set[bytes]:
        """Return who was judged in a challenge."""
        reasons = (self._said[block].reasons for block in self._of.get(seq, ()))
        return {key for said in reasons for key, why in said.items() if why is not Reason.NOT_REGISTERED}

    def is_whole(self, seq: int) -> bool:
        """Whether every region of a challenge is judged, or has lapsed."""
        return sum(1 << (DEPTH - len(part)) for part in self.regions(seq)) >= 1 << DEPTH

    def _missing(self, seq: int, anchor: bytes) -> Iterator[Breach]:
        settled, judged = (seq - SETTLED_CHALLENGES) * self._every, self._operators(seq)
        lapsed = tuple(self._lapsed.get(seq, ()))
        for key, since in self._since.items():
            if since > settled or key in judged:
                continue
            if not (lapsed and bits_of(sha3_256(anchor, key)).startswith(lapsed)):
                yield JUDGED, f"challenge {seq}: {key.hex()[:8]} has no verdict"

    def forget(self, hashed: bytes) -> None:
        """Let a block that turned out void have judged nothing."""
        said = self._said.pop(hashed, None)
        if said is not None:
            self._of[said.seq].remove(hashed)

    def excuse(self, region: str, last_height: int) -> None:
        """Let it be no fault if what of a region is not judged, up to a chain height, never is."""
        for seq in range(self._first, last_height // self._every + 1):
            self._excused.setdefault(seq, []).extend(_rest(region, self.regions(seq)))

    def is_settled(self, seq: int) -> bool:
        """Whether nothing of a challenge is left that has to be judged."""
        return not _rest("", self.regions(seq) + self._excused.get(seq, []))

    def lapse(self, region: str, last_height: int) -> None:
        """Let nobody judge what of a region is not judged, up to the challenge after a chain height."""
        for seq in range(self._first, last_height // self._every + 2):
            self._lapsed.setdefault(seq, []).extend(_rest(region, self.regions(seq)))


def _rest(region: str, covered: list[str]) -> list[str]:
    """Return what of a region none of the others covers."""
    if any(region.startswith(one) for one in covered):
        return []
    if not any(one.startswith(region) for one in covered):
        return [region]
    return _rest(region + "0", covered) + _rest(region + "1", covered)
