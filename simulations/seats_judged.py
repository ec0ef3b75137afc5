"""Which operators were judged in which challenge, by arithmetic of its own.

Answers for: each region of the name space is judged once a challenge, whatever splits and merges in between,
and nobody outside of it is. What the verdicts say is no business of this. Spec: `spec/simulation.md`.
"""

from collections import defaultdict
from collections.abc import Iterator

from protocol.codec import decode
from protocol.crypto import envelope_body, sha3_256
from protocol.genesis import Genesis
from protocol.group.data_block import Payload, RegisterPayload, VerdictPayload
from protocol.tracking.registration import Deregistration, Registration
from protocol.tracking.verdict import Reason

JUDGED = "challenges_are_judged_once"
SETTLED_CHALLENGES = 2
"""Challenges after which a registration is in every group's book, whenever it was taken up there."""

Breach = tuple[str, str]


def bits_of(name: bytes) -> str:
    """Return the 256 bits of a name, the first one first."""
    return format(int.from_bytes(name, "big"), "0256b")


class Judged:
    """What was judged so far."""

    def __init__(self, genesis: Genesis) -> None:
        self._every = genesis.parameters.challenge_every
        self.regions: dict[int, list[str]] = defaultdict(list)
        """By challenge: the regions that are judged, none within another."""
        self._operators: dict[int, dict[bytes, None]] = defaultdict(dict)
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

    def take(self, prefix: str, payload: VerdictPayload) -> Iterator[Breach]:
        """Note the verdicts of a group."""
        what = f"challenge {payload.seq} in group {prefix!r}"
        known = self.regions[payload.seq]
        for part in payload.parts:
            if any(part.startswith(other) or other.startswith(part) for other in known):
                yield JUDGED, f"{what}: region {part!r} is judged twice"
            known.append(part)
        judged = self._operators[payload.seq]
        for verdict in payload.verdicts:
            if verdict.reason is Reason.NOT_REGISTERED:
                continue
            draw = bits_of(sha3_256(payload.anchor_hash, verdict.operator_key))
            if not draw.startswith(tuple(payload.parts)):
                yield JUDGED, f"{what}: {verdict.operator_key.hex()[:8]} falls to another group"
            if verdict.operator_key in judged:
                yield JUDGED, f"{what}: {verdict.operator_key.hex()[:8]} is judged twice"
            judged[verdict.operator_key] = None
        if self.is_whole(payload.seq):
            yield from self._missing(payload.seq)

    def is_whole(self, seq: int) -> bool:
        """Whether every region of a challenge is judged."""
        return sum(1 << (64 - len(part)) for part in self.regions[seq]) >= 1 << 64

    def _missing(self, seq: int) -> Iterator[Breach]:
        settled = (seq - SETTLED_CHALLENGES) * self._every
        for key, since in self._since.items():
            if since <= settled and key not in self._operators[seq]:
                yield JUDGED, f"challenge {seq}: {key.hex()[:8]} has no verdict"
