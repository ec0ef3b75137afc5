"""The voters of a whole network: what is done at each vote does not grow with how many there are."""

from collections import Counter
from collections.abc import Iterator

import pytest

from protocol.codec import encode
from protocol.group.consensus import Consensus
from protocol.group.proposer import proposer_order
from protocol.group.quorum import Electorate, Voter
from protocol.group.rounds import SHOWN_VOTES_MAX
from protocol.group.tally import HeightLog, Tally
from protocol.group.vote import LIST_ELECTORATE, NIL, Phase, Proposal, Slot, Vote, value_hash, vote_body
from protocol.units import OperatorKey

NETWORK = b"\x05" * 32
VALUE = b"a list"
ROUND_MS = 1_000


def electorate(count: int) -> Electorate:
    return Electorate.of(
        Voter(operator_key=number.to_bytes(32, "big"), age=1 + number % 7) for number in range(count)
    )


def cast(voter: OperatorKey, phase: Phase, block_hash: bytes, round_: int = 0) -> tuple[bytes, Vote]:
    """Return a vote as one whose signature was checked."""
    slot = Slot(NETWORK, LIST_ELECTORATE, 1, round_, phase)
    vote = Vote(
        network=NETWORK,
        electorate=LIST_ELECTORATE,
        height=1,
        round=round_,
        phase=phase,
        block_hash=block_hash,
        voter=voter,
    )
    return bytes(64) + vote_body(slot, block_hash, voter), vote


def proposal(voters: Electorate) -> tuple[bytes, Proposal]:
    made = Proposal(
        network=NETWORK,
        electorate=LIST_ELECTORATE,
        height=1,
        round=0,
        valid_round=0,
        proof=(),
        proposer=proposer_order(NETWORK, LIST_ELECTORATE, voters, 1)[0],
        value=VALUE,
    )
    return bytes(64) + encode(made), made


class Counted:
    """Counts how many votes are gone through."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.votes: Counter[str] = Counter()
        really_envelopes, really_enter = Tally.envelopes, HeightLog.enter

        def envelopes(tally: Tally, block_hash: bytes) -> list[tuple[bytes, bytes]]:
            found = really_envelopes(tally, block_hash)
            self.votes["sorted"] += len(found)
            return found

        def enter(log: HeightLog, round_: int) -> None:
            self.votes["entered"] += len(log._latest)
            really_enter(log, round_)

        monkeypatch.setattr(Tally, "envelopes", envelopes)
        monkeypatch.setattr(HeightLog, "enter", enter)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counted]:
    yield Counted(monkeypatch)


def failing_round(count: int) -> Consensus:
    """Return a voter in a round in which everybody prevoted the list and hardly anybody precommits it."""
    voters = electorate(count)
    keys = list(voters.keys())
    me, others = keys[0], keys[1:]
    consensus = Consensus(NETWORK, LIST_ELECTORATE, voters, 1, me, ROUND_MS, lambda value: value == VALUE)
    consensus.start(0)
    consensus.receive_proposal(*proposal(voters), 0)
    for phase, block_hash in ((Phase.PREVOTE, value_hash(VALUE)), (Phase.PRECOMMIT, NIL)):
        consensus.signed(cast(me, phase, value_hash(VALUE))[0])
        for number, voter in enumerate(others):
            consensus.receive_vote(*cast(voter, phase, block_hash), 10)
            if phase is Phase.PRECOMMIT and 3 * number > 2 * count + 10:
                consensus.tick(10 + ROUND_MS // 2 + 1)
    return consensus


def test_in_a_failing_round_votes_are_not_gone_through_at_each_further_vote(counted: Counted) -> None:
    count = 4 * SHOWN_VOTES_MAX
    consensus = failing_round(count)
    assert consensus.valid_round == 0 and not consensus.decided
    assert counted.votes["sorted"] == pytest.approx(2 * count / 3, abs=2), "for the proof of the lock, once"
    assert counted.votes["entered"] <= 1, "the round began before the votes"


def test_a_lock_is_shown_where_the_votes_are_few_enough(counted: Counted) -> None:
    consensus = failing_round(SHOWN_VOTES_MAX // 2)
    assert consensus._shown and len(consensus._shown) <= SHOWN_VOTES_MAX // 2
    assert failing_round(2 * SHOWN_VOTES_MAX)._shown == []
