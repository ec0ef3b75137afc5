"""How long a member stays at each age: the data chain's own rules, one group, one challenge after the other.

Answers for: a large group to which newcomers come at even distances and which nobody leaves, but for a
passer-by who makes each challenge a counted event. Every RELOCATE and LINK is checked and applied by
`protocol`; that challenges were judged, and who has tickets, is taken for granted.
Spec: `spec/simulation.md`.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from protocol.codec import replace
from protocol.crypto import sha3_256
from protocol.errors import StaleMessage
from protocol.group import data_chain
from protocol.group.age import AGE_MAX
from protocol.group.blockmaker import build_block, build_link
from protocol.group.data_block import (
    AdmitPayload,
    DataBlock,
    Kind,
    Payload,
    RelocatePayload,
    Removal,
    RemovePayload,
    VerdictPayload,
    block_hash,
    decode_block,
    decode_payload,
)
from protocol.group.data_chain import NOWHERE, DataChain
from protocol.group.elsewhere import Around
from protocol.group.entropy import entropy_height
from protocol.group.movemaker import build_relocate
from protocol.parameters import MINIMAL, Parameters
from protocol.units import Hash32, OperatorKey
from simulations.chain import View, extend
from simulations.founding import Terms, found

PARAMETERS: Parameters = replace(
    MINIMAL, preset="residence", challenge_every=2, response_window=1, period_blocks=2, group_size=1
)
"""The least that a challenge takes, and a group that is large from its second member on."""
EVERY = 37
"""Counted events between two newcomers. The powers of 2 leave 36 different rests of it, so nobody waits."""
FOUNDERS = 2


FOUNDERS = 2
"""Of the greatest age, so that they never move: they make the group a large one."""
TERMS = Terms(PARAMETERS, member_age=AGE_MAX, first_challenge_height=PARAMETERS.challenge_every, strangers=0)
PASSER_BY = OperatorKey(bytes(32))
"""Comes and goes, of the greatest age: its coming or going makes a LINK after each challenge."""

NO_TICKET = bytes(32)


@dataclass(frozen=True, slots=True)
class Residence:
    """What came of a run."""

    events: int
    """Counted events."""
    stays: Mapping[int, tuple[int, ...]]
    """By age: of each member that moved on, the counted events that it had stayed for."""
    members: Mapping[int, int]
    """Newcomers by age in the end."""
    mean_members: Mapping[int, float]
    """The same at a counted event, on the average of the run's latter half."""

    def as_dict(self) -> dict[str, object]:
        """Return the figures by name."""
        ages = {
            str(age): {
                "stays": len(stays),
                "shortest": min(stays),
                "longest": max(stays),
                "members": self.members.get(age, 0),
                "mean_members": round(self.mean_members.get(age, 0.0), 3),
            }
            for age, stays in self.stays.items()
        }
        return {"events": self.events, "ages": ages}


class Group:
    """The one group of a network, in the hands of somebody who writes its blocks."""

    def __init__(self) -> None:
        founded = found(0, FOUNDERS, TERMS)
        self.state = DataChain.from_genesis(founded.genesis)
        self.chain = View(founded.first_block)
        self.events = 0
        """Counted LINK blocks, counted here and not by the rules."""
        self.stays: dict[int, list[int]] = defaultdict(list)
        self.newcomers: dict[int, int] = defaultdict(int)
        """How many of them there are, by age."""
        self.seen: list[Mapping[int, int]] = []
        """The same, at each counted event."""
        self._came: dict[bytes, int] = {}
        """By newcomer: how many events had been counted when it came to its age."""

    def challenge(self, seq: int, *, brings_newcomer: bool) -> None:
        """Let a challenge be judged, and what follows from it follow: one LINK of it counts."""
        target = entropy_height(seq, PARAMETERS) + PARAMETERS.burial
        while self.chain.tip()[0] < target:
            self.chain.step_towards(extend(self.chain.block, ()))
        self._put(Kind.VERDICT, _verdicts(seq, self.chain))
        if brings_newcomer:
            self._admit(sha3_256(b"newcomer", seq.to_bytes(4, "big")), 0)
        elif not self._relocate():
            self._pass_by()
        self._link(is_counted=True)
        if brings_newcomer and self._relocate():
            self._link(is_counted=False)

    def _link(self, *, is_counted: bool) -> None:
        self._apply(build_link(self.state, self.chain))
        if is_counted:
            self.events += 1
            self.seen.append(dict(self.newcomers))

    def _relocate(self) -> bool:
        """Apply the move that is due; return whether the rules find anybody who moves."""
        try:
            body = build_relocate(self.state, self.chain)
        except StaleMessage:
            return False
        moved = decode_payload(decode_block(body))
        assert isinstance(moved, RelocatePayload)
        self._apply(body)
        self.stays[moved.age - 1].append(self.events - self._came[moved.operator_key])
        self._came[moved.operator_key] = self.events
        self.newcomers[moved.age - 1] -= 1
        self.newcomers[moved.age] += 1
        return True

    def _pass_by(self) -> None:
        """Let the passer-by come or go."""
        if PASSER_BY in self.state.membership:
            self._put(Kind.REMOVE, RemovePayload(operator_key=PASSER_BY, reason=Removal.SILENT, proofs=()))
        else:
            self._admit(PASSER_BY, AGE_MAX)

    def _admit(self, key: bytes, age: int) -> None:
        if age == 0:
            self._came[key] = self.events  # its own coming is the first event that it sees
            self.newcomers[age] += 1
        name = sha3_256(key)
        self._put(
            Kind.ADMIT,
            AdmitPayload(
                operator_key=key, age=age, name=name, ticket=NO_TICKET, ending=b"", verdict=b"", nonce=0
            ),
        )

    def _apply(self, body: bytes) -> None:
        """Apply a block that the rules find good, but for its certificate."""
        block, payload, _ = self.state._examine(body, self.chain, NOWHERE)
        self._follow(block, payload, block_hash(body))

    def _put(self, kind: Kind, payload: Payload) -> None:
        """Apply a block of whose content nothing is asked."""
        body = build_block(self.state, self.chain, kind, payload)
        self._follow(decode_block(body), payload, block_hash(body))

    def _follow(self, block: DataBlock, payload: Payload, hashed: Hash32) -> None:
        around = Around(self.chain, NOWHERE)
        self.state = data_chain._after(self.state, block, payload, hashed, around)


def _verdicts(seq: int, chain: View) -> VerdictPayload:
    """Return a judgement on nobody."""
    anchor_hash = chain.block_hash(seq * PARAMETERS.challenge_every)
    assert anchor_hash is not None
    return VerdictPayload(
        seq=seq,
        anchor_hash=anchor_hash,
        parts=("",),
        registers=(),
        observations=(),
        receipts=(),
        responses=(),
        verdicts=(),
    )


def reside(challenges: int, every: int = EVERY) -> Residence:
    """Run so many challenges, each a counted event, with a newcomer at each multiple of `every`."""
    group = Group()
    for number in range(challenges):
        group.challenge(number + 1, brings_newcomer=number % every == 0)
    late = group.seen[-max(1, challenges // 2 // every * every) :]
    summed: Counter[int] = Counter()
    for newcomers in late:
        summed.update(newcomers)
    return Residence(
        events=group.events,
        stays={age: tuple(stays) for age, stays in sorted(group.stays.items())},
        members={age: count for age, count in sorted(group.newcomers.items()) if count},
        mean_members={age: total / len(late) for age, total in sorted(summed.items())},
    )
