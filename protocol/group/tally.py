"""What one node has heard of one height: votes counted, proposals kept, everything bounded.

Answers for: a voter is counted in a slot for its first vote and, if it contradicts itself, for
its votes for proposals that are kept; a second different statement is handed out as evidence,
and neither memory nor work grows with what a dishonest voter sends. What follows from the
counts is `consensus`' business. Callers hand in statements of voters only, with checked signatures.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from protocol.crypto import SIGNATURE_SIZE, envelope_body
from protocol.group.quorum import Electorate, JointWeight, Quorum, Weight
from protocol.group.vote import Phase, Proposal, Signed, Vote, value_hash
from protocol.units import Hash32

PAST_ROUNDS = 4
"""Rounds before the current one whose votes are still kept."""
FUTURE_ROUNDS = 8
"""Rounds after the current one whose votes and proposals are kept; of later ones only that they are there."""
PROPOSALS_MAX = 2
"""Proposals kept of one round before a quorum of a third speaks for a further one."""

Place = tuple[int, Phase]
"""(round, phase): how far a voter has come."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A proposal as it was heard."""

    envelope: bytes
    proposal: Proposal
    hash: Hash32


class Tally:
    """The votes of one phase of one round."""

    __slots__ = ("_electorate", "_final", "_further", "_heads", "_held", "_votes", "_weights")

    def __init__(self, electorate: Electorate) -> None:
        self._electorate = electorate
        self._votes: dict[bytes, tuple[bytes, bytes]] = {}
        self._further: dict[tuple[bytes, bytes], bytes] = {}
        """Of voters that contradict themselves, by (hash, voter)."""
        self._held: dict[bytes, tuple[bytes, bytes]] = {}
        """By voter the vote with which it first contradicted itself, if its proposal was not kept by then."""
        self._weights: dict[bytes, Weight | JointWeight] = {}
        self._heads: dict[bytes, int] = {}
        self._final: bytes | None = None

    def envelope(self, voter: bytes) -> bytes | None:
        """Return the first vote of `voter`, if there is one."""
        vote = self._votes.get(voter)
        return vote[1] if vote else None

    def says(self, voter: bytes, block_hash: bytes) -> bool:
        """Whether `voter` is counted for `block_hash`."""
        vote = self._votes.get(voter)
        return vote is not None and (vote[0] == block_hash or (block_hash, voter) in self._further)

    def add(self, voter: bytes, block_hash: bytes, envelope: bytes) -> None:
        """Count a vote that is not counted yet.

        A voter that contradicts itself counts for each of its votes, as it would at voters that hear only one
        of them: else a lock that came with its help could be shown to nobody who heard it otherwise.
        """
        if voter in self._votes:
            self._further[block_hash, voter] = envelope
        else:
            self._votes[voter] = (block_hash, envelope)
        self._heads[block_hash] = self.heads(block_hash) + 1
        weight = self._weights.get(block_hash)
        if weight is None:
            weight = self._weights[block_hash] = self._electorate.weight()
        weight.add(voter)
        if self._final is None and weight.reaches(Quorum.FINAL):
            self._final = block_hash

    def hold(self, voter: bytes, block_hash: bytes, envelope: bytes) -> None:
        """Keep the vote with which a voter first contradicts itself: its proposal may come later."""
        self._held.setdefault(voter, (block_hash, envelope))

    def count_held(self, block_hash: bytes) -> None:
        """Count what was held for a proposal that is kept now."""
        for voter, (held_for, envelope) in list(self._held.items()):
            if held_for == block_hash and not self.says(voter, block_hash):
                self.add(voter, block_hash, envelope)

    @property
    def final(self) -> bytes | None:
        """The hash (or `NIL`) that FINAL voted for; None while there is none.

        A second one would take a third of heads and age that contradict themselves.
        """
        return self._final

    def has_third(self, block_hash: bytes) -> bool:
        """Whether at least one honest voter stands behind `block_hash`."""
        weight = self._weights.get(block_hash)
        return weight is not None and weight.reaches(Quorum.THIRD)

    def heads(self, block_hash: bytes) -> int:
        """Return how many are counted for `block_hash`."""
        return self._heads.get(block_hash, 0)

    def envelopes(self, block_hash: bytes) -> list[tuple[bytes, bytes]]:
        """Return (voter, envelope) of the votes for `block_hash`, sorted by voter."""
        found = [(voter, vote[1]) for voter, vote in self._votes.items() if vote[0] == block_hash]
        found += [(voter, vote) for (hashed, voter), vote in self._further.items() if hashed == block_hash]
        return sorted(found)

    def signatures(self, block_hash: bytes) -> tuple[Signed, ...]:
        """Return (voter, signature) of the votes for `block_hash`, sorted by voter."""
        return tuple((voter, envelope[:SIGNATURE_SIZE]) for voter, envelope in self.envelopes(block_hash))


class RoundLog:
    """One round's proposals and votes."""

    __slots__ = ("offers", "precommits", "prevotes")

    def __init__(self, electorate: Electorate) -> None:
        self.offers: list[Offer] = []
        self.prevotes = Tally(electorate)
        self.precommits = Tally(electorate)

    def tally(self, phase: Phase) -> Tally:
        """Return the votes of one phase."""
        return self.prevotes if phase is Phase.PREVOTE else self.precommits

    def counts(self, vote: Vote) -> bool:
        """Whether a vote would be counted: a first one, or another one for a proposal that is kept."""
        tally = self.tally(vote.phase)
        if tally.says(vote.voter, vote.block_hash):
            return False
        is_first = tally.envelope(vote.voter) is None
        return is_first or any(offer.hash == vote.block_hash for offer in self.offers)

    def wants_offer(self, value: Hash32) -> bool:
        """Whether one more proposal is worth keeping."""
        if any(offer.hash == value for offer in self.offers):
            return False
        return len(self.offers) < PROPOSALS_MAX or self.prevotes.has_third(value)


class HeightLog:
    """Everything heard at one height, seen from the current round."""

    def __init__(self, electorate: Electorate) -> None:
        self._electorate = electorate
        self._rounds: dict[int, RoundLog] = {}
        self._latest: dict[bytes, Place] = {}
        self._ahead = electorate.weight()
        self._passed: dict[Phase, Weight | JointWeight] = {}
        self._is_ahead, self._has_passed = False, set[Phase]()
        """Whether a third is ahead, and which phases FINAL has passed."""
        self.has_news = True
        """Whether anything was heard, since this was last set to False, from which a rule may follow."""
        self._round = self._pinned = 0
        self.enter(0)

    def pin(self, round_: int) -> None:
        """Keep this round however old it grows: the prevotes of a lock prove it to the others."""
        self._pinned = round_

    def enter(self, round_: int) -> None:
        """Make `round_` the current round: forget what is too old and count who is already there."""
        self._round = round_
        for old in [number for number in self._rounds if not self.keeps(number)]:
            del self._rounds[old]
        self._ahead = self._electorate.weight()
        self._passed = {phase: self._electorate.weight() for phase in (Phase.PREVOTE, Phase.PRECOMMIT)}
        self._is_ahead, self._has_passed = False, set()
        for voter, place in self._latest.items():
            self._count(voter, None, place)

    def keeps(self, round_: int) -> bool:
        """Whether statements of this round are kept."""
        return round_ == self._pinned or -PAST_ROUNDS <= round_ - self._round <= FUTURE_ROUNDS

    def at(self, round_: int) -> RoundLog:
        """Return what was heard of a round that is kept."""
        log = self._rounds.get(round_)
        if log is None:
            log = self._rounds[round_] = RoundLog(self._electorate)
        return log

    def counts(self, vote: Vote) -> bool:
        """Whether a vote would be counted."""
        return self.keeps(vote.round) and self.at(vote.round).counts(vote)

    def wants_vote(self, vote: Vote) -> bool:
        """Whether a vote would tell something new; a contradiction does."""
        if self.keeps(vote.round):
            return not self.at(vote.round).tally(vote.phase).says(vote.voter, vote.block_hash)
        return self._latest.get(vote.voter, (-1, Phase.PROPOSE)) < (vote.round, vote.phase)

    def wants_proposal(self, proposal: Proposal) -> bool:
        """Whether a proposal would be kept."""
        return self.keeps(proposal.round) and self.at(proposal.round).wants_offer(value_hash(proposal.value))

    def said_by(self, voter: bytes) -> list[bytes]:
        """Return the envelopes of `voter` in the current round, in the order in which they were said."""
        log = self.at(self._round)
        votes = [log.prevotes.envelope(voter), log.precommits.envelope(voter)]
        offers = [offer.envelope for offer in log.offers if offer.proposal.proposer == voter]
        return offers + [envelope for envelope in votes if envelope is not None]

    def rounds(self) -> Iterator[tuple[int, RoundLog]]:
        """Yield the rounds of which something was heard, latest first."""
        return ((number, self._rounds[number]) for number in sorted(self._rounds, reverse=True))

    def add_vote(self, envelope: bytes, vote: Vote) -> bytes | None:
        """Count a vote; return the earlier envelope when the voter contradicts itself with it."""
        self._reach(vote.voter, (vote.round, vote.phase))
        if not self.keeps(vote.round):
            return None
        log = self.at(vote.round)
        tally = log.tally(vote.phase)
        earlier = tally.envelope(vote.voter)
        if log.counts(vote):
            before = tally.final
            tally.add(vote.voter, vote.block_hash, envelope)
            self.has_news = self.has_news or tally.final is not before
        elif earlier is not None and not tally.says(vote.voter, vote.block_hash):
            tally.hold(vote.voter, vote.block_hash, envelope)
        return _contradicted(earlier, envelope)

    def add_proposal(self, envelope: bytes, proposal: Proposal) -> bytes | None:
        """Keep a proposal; return an earlier envelope when the proposer contradicts itself with it."""
        self._reach(proposal.proposer, (proposal.round, Phase.PROPOSE))
        if not self.keeps(proposal.round):
            return None
        log, hashed = self.at(proposal.round), value_hash(proposal.value)
        earlier = log.offers[0].envelope if log.offers else None
        if log.wants_offer(hashed):
            log.offers.append(Offer(envelope, proposal, hashed))
            for tally in (log.prevotes, log.precommits):
                tally.count_held(hashed)
            self.has_news = True
        return _contradicted(earlier, envelope)

    def value(self, block_hash: bytes) -> bytes | None:
        """Return the value with this hash, if some kept proposal holds it."""
        for _, log in self.rounds():
            for offer in log.offers:
                if offer.hash == block_hash:
                    return offer.proposal.value
        return None

    def decisions(self) -> list[tuple[int, bytes]]:
        """Return (round, hash) of the values that FINAL precommitted."""
        return [(number, log.precommits.final) for number, log in self.rounds() if log.precommits.final]

    def passed(self, phase: Phase) -> bool:
        """Whether FINAL has made its statement of `phase` in the current round, or is further on.

        Whoever is further on need not be waited for; counting it here is what lets nobody
        need anybody's old votes. It moves timers only, never a lock or a decision.
        """
        return phase in self._has_passed

    def skip_target(self) -> int | None:
        """Return the highest later round that more than a third of heads and age have reached, if any."""
        if not self._is_ahead:
            return None
        there = self._electorate.weight()
        for place, voter in sorted(((place, voter) for voter, place in self._latest.items()), reverse=True):
            there.add(voter)
            if there.reaches(Quorum.THIRD):
                return place[0]
        raise AssertionError("a third is ahead, so some round has a third")

    def _reach(self, voter: bytes, place: Place) -> None:
        before = self._latest.get(voter)
        if before is None or before < place:
            self._latest[voter] = place
            self._count(voter, before, place)
            self.has_news = self.has_news or self._is_ahead

    def _count(self, voter: bytes, before: Place | None, place: Place) -> None:
        """Add the voter's weight to each mark that it passes on its way from `before` to `place`."""
        start = before or (-1, Phase.PROPOSE)
        for phase, weight in self._passed.items():
            if start < (self._round, phase) <= place:
                weight.add(voter)
                if phase not in self._has_passed and weight.reaches(Quorum.FINAL):
                    self._has_passed.add(phase)
                    self.has_news = True
        if start[0] <= self._round < place[0]:
            self._ahead.add(voter)
            self._is_ahead = self._ahead.reaches(Quorum.THIRD)


def _contradicted(earlier: bytes | None, envelope: bytes) -> bytes | None:
    """Return `earlier` if its body is another one."""
    if earlier is None or envelope_body(earlier) == envelope_body(envelope):
        return None
    return earlier
