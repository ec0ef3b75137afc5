"""The megabyte of a join proof on its way from the operator to each member of the group that it joins.

Answers for: which part is sent to whom next (`ProofSender`), and whether all of a proof
came to us, from the operator itself and in time (`ProofDesk`). A part is compared when it
comes and not kept. Which tickets are expected until when, and what follows from a proof, is left to
the owner; the proof itself to `protocol.group.join_proof`. Spec: `spec/join_proof.md`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from protocol.errors import InvalidProof
from protocol.group.join_proof import KEY_BYTES, verify
from protocol.node.effects import Incoming, Send
from protocol.node.messages import ALL_PARTS, PART_BYTES, PARTS, ProofHeld, ProofPart, pack_plain
from protocol.units import Hash32, OperatorKey

PROOFS_MAX = 256
"""Tickets expected at a time; each takes some hundred bytes."""
PARTS_UNDER_WAY_MAX = 2
"""Members that a part is under way to: so each part passes a line of half a megabit a second in its time."""
PATIENCE_MILLISECONDS = 2_000
"""How long a sender waits for a member's word before it sends the first part unasked."""
REPEAT_MILLISECONDS = 10_000
"""A part that is not answered for so long is sent again: no direct message takes longer."""
PARTS_TO_ONE_MAX = 16 * PARTS
"""Parts that one member is sent of one proof, repeats included: it may restart, not drain us."""


def part_of(operator_key: bytes) -> bytes:
    """Return what each part holds: all are alike, for the key divides them."""
    return operator_key * (PART_BYTES // KEY_BYTES)


@dataclass(slots=True)
class _Expected:
    """What has come of one proof."""

    operator_key: OperatorKey
    until: int
    held: int = 0
    nonce: int | None = None


class ProofDesk:
    """Takes the proofs of operators that are to join our group."""

    def __init__(self, network: bytes, bits: int) -> None:
        """Expect nothing yet; a proof shows `bits` zero bits."""
        self._network = network
        self._bits = bits
        self._expected: dict[bytes, _Expected] = {}

    def expect(self, ticket: bytes, operator_key: OperatorKey, until: int) -> list[Send]:
        """Take this ticket's proof while the chain's height is at most `until`, and say so to the operator.

        Harmless for a ticket that is expected already. Beyond `PROOFS_MAX` tickets it is not taken.
        """
        if ticket in self._expected or len(self._expected) >= PROOFS_MAX:
            return []
        self._expected[ticket] = _Expected(operator_key, until)
        return [self._held(ticket)]

    def take(self, incoming: Incoming, part: ProofPart, height: int) -> list[Send]:
        """Take a part, decoded from `incoming`, at the chain's height; return our word that it is held.

        What is not expected, not from the operator itself over a direct stream, or late is nothing.
        Raises `InvalidProof` for what the peer itself got wrong.
        """
        expected = self._expected.get(part.ticket)
        if expected is None or incoming.topic or incoming.peer != expected.operator_key:
            return []
        if height > expected.until:
            return []
        if part.data != part_of(expected.operator_key):
            raise InvalidProof(f"part {part.index} of a join proof is not the key again and again")
        if part.nonce != expected.nonce:
            verify(expected.operator_key, part.ticket, part.nonce, self._bits)
            expected.nonce = part.nonce
        expected.held |= 1 << part.index
        return [self._held(part.ticket)]

    def satisfied(self, ticket: bytes) -> int | None:
        """Return the nonce of a ticket whose whole proof came to us in time, else None."""
        expected = self._expected.get(ticket)
        return expected.nonce if expected is not None and expected.held == ALL_PARTS else None

    def forget(self, ticket: bytes) -> None:
        """Be done with a ticket."""
        self._expected.pop(ticket, None)

    def drop_below(self, height: int) -> None:
        """Be done with the tickets whose time ended below this height."""
        self._expected = {
            ticket: expected for ticket, expected in self._expected.items() if expected.until >= height
        }

    def _held(self, ticket: bytes) -> Send:
        expected = self._expected[ticket]
        word = ProofHeld(network=self._network, ticket=ticket, parts=expected.held)
        return Send(expected.operator_key, pack_plain(word))


@dataclass(slots=True)
class _Member:
    """How far the transfer to one member is."""

    since: int
    has_spoken: bool = False
    held: int = 0
    sent: int = 0
    tried_at: int = -1
    unanswered: int = 0
    is_under_way: bool = False


class ProofSender:
    """Sends our proof to the members of the group that our ticket leads to: each part once if all is well."""

    def __init__(self, network: bytes, operator_key: OperatorKey, ticket: Hash32) -> None:
        """Hear who expects our ticket's proof, and send nothing before `proved`."""
        self._network = network
        self._me = operator_key
        self.ticket = ticket
        self.nonce: int | None = None
        self._members: dict[OperatorKey, _Member] = {}

    def proved(self, nonce: int, now_ms: int) -> list[Send]:
        """Take the nonce that proves our ticket, and return what is to be sent on it."""
        self.nonce = nonce
        for member in self._members.values():
            member.since = now_ms
        return self._fill(now_ms)

    def tick(self, members: Sequence[OperatorKey], now_ms: int) -> list[Send]:
        """Return the parts that are due to these members of the group now."""
        self._members = {
            key: self._members.get(key) or _Member(since=now_ms) for key in sorted(members) if key != self._me
        }
        for member in self._members.values():
            if member.is_under_way and now_ms >= member.tried_at + REPEAT_MILLISECONDS:
                member.is_under_way = False
                member.unanswered += 1
        return self._fill(now_ms)

    def hear(self, peer: OperatorKey, word: ProofHeld, now_ms: int) -> list[Send]:
        """Take a member's word on what it holds, and return what is to be sent on it."""
        member = self._members.get(peer)
        if member is None or word.ticket != self.ticket:
            return []
        member.has_spoken = True
        member.held = word.parts
        member.is_under_way = False
        return self._fill(now_ms)

    @property
    def waiting(self) -> int:
        """Members that have not said that they hold everything."""
        return sum(member.held != ALL_PARTS for member in self._members.values())

    def _fill(self, now_ms: int) -> list[Send]:
        """Return a part for each whose turn it is: first who answers, then who was sent one long ago."""
        if self.nonce is None:
            return []
        room = PARTS_UNDER_WAY_MAX - sum(member.is_under_way for member in self._members.values())
        ready = [key for key, member in self._members.items() if _is_ready(member, now_ms)]
        ready.sort(key=lambda key: (self._members[key].unanswered, self._members[key].tried_at, key))
        return [self._next_part(key, self.nonce, now_ms) for key in ready[: max(0, room)]]

    def _next_part(self, key: OperatorKey, nonce: int, now_ms: int) -> Send:
        member = self._members[key]
        member.sent += 1
        member.tried_at = now_ms
        member.is_under_way = True
        lacking = next(index for index in range(PARTS) if not member.held >> index & 1)
        data = part_of(self._me)
        part = ProofPart(network=self._network, ticket=self.ticket, nonce=nonce, index=lacking, data=data)
        return Send(key, pack_plain(part))


def _is_ready(member: _Member, now_ms: int) -> bool:
    """Whether a member lacks something that may be sent to it now."""
    if member.is_under_way or member.held == ALL_PARTS or member.sent >= PARTS_TO_ONE_MAX:
        return False
    return member.has_spoken or now_ms >= member.since + PATIENCE_MILLISECONDS
