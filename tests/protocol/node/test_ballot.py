"""The record of one height: what a restart takes back from it."""

import pytest

from protocol.codec import encode
from protocol.crypto import SIGNATURE_SIZE, Signer
from protocol.group.consensus import Consensus
from protocol.group.quorum import Electorate, Voter
from protocol.group.tally import FUTURE_ROUNDS
from protocol.group.vote import NIL, Phase, Proposal, Slot, Vote, decode_statement, value_hash, vote_body
from protocol.group.vote_guard import VoteGuard
from protocol.node.ballot import Ballot
from protocol.node.effects import Effect, Persist, RecordVote
from protocol.units import Hash32

NETWORK = b"\x07" * 32
NAME = "group:"
HEIGHT = 3
PREFIX = b"b/"
SIGNERS = tuple(Signer(bytes([number + 1]) * 32) for number in range(4))
ELECTORATE = Electorate.of(Voter(operator_key=signer.operator_key, age=4) for signer in SIGNERS)


class Desk:
    """One voter's ballot with what its shell has written."""

    def __init__(self, signer: Signer) -> None:
        self.signer = signer
        self.store: dict[bytes, bytes] = {}
        self.votes: list[tuple[Slot, Hash32]] = []
        self.ballot = self._open()

    def _open(self) -> Ballot:
        guard = VoteGuard(self.votes)
        key = self.signer.operator_key
        consensus = Consensus(
            NETWORK, NAME, ELECTORATE, HEIGHT, key, 100, lambda value: True, guard.records()
        )
        return Ballot(consensus, self.signer, guard, "topic", PREFIX)

    def start(self) -> None:
        """Begin from what was written."""
        self.ballot = self._open()
        self.write(self.ballot.restore(sorted(self.store.items()), 0))

    def hear(self, envelope: bytes, now: int = 0) -> None:
        """Take an envelope and write what must be written."""
        self.write(self.ballot.receive(envelope, decode_statement(envelope[SIGNATURE_SIZE:]), now))

    def write(self, effects: list[Effect]) -> None:
        """Carry out what is for the disk."""
        for effect in effects:
            if isinstance(effect, RecordVote):
                self.votes.append((effect.slot, effect.content_hash))
            if isinstance(effect, Persist) and effect.value is None:
                self.store.pop(effect.key)
            elif isinstance(effect, Persist) and effect.value is not None:
                assert effect.key not in self.store
                self.store[effect.key] = effect.value


def prevote(signer: Signer, block_hash: bytes, round_: int = 0) -> bytes:
    """Return a signed prevote."""
    slot = Slot(NETWORK, NAME, HEIGHT, round_, Phase.PREVOTE)
    return signer.sign(vote_body(slot, block_hash, signer.operator_key))


def proposal(signer: Signer, value: bytes, round_: int = 0) -> bytes:
    """Return a signed proposal without a lock."""
    body = Proposal(
        network=NETWORK,
        electorate=NAME,
        height=HEIGHT,
        round=round_,
        valid_round=0,
        proof=(),
        proposer=signer.operator_key,
        value=value,
    )
    return signer.sign(encode(body))


def roles() -> tuple[Desk, Signer, Signer, Signer]:
    """Return a voter that does not propose in round 0, the one that does, and two others."""
    first = Desk(SIGNERS[0]).ballot.consensus.proposer(0)
    proposer = next(signer for signer in SIGNERS if signer.operator_key == first)
    me, *others = (signer for signer in SIGNERS if signer is not proposer)
    desk = Desk(me)
    desk.start()
    return desk, proposer, others[0], others[1]


def test_the_proof_of_a_lock_comes_back_though_a_voter_in_it_contradicted_itself() -> None:
    for number in range(8):  # whatever order the hashes of the two votes have
        value = b"value %d" % number
        desk, proposer, twice, _ = roles()
        desk.hear(proposal(proposer, value))
        desk.hear(prevote(twice, value_hash(value)))
        desk.hear(prevote(twice, NIL))
        desk.hear(prevote(proposer, value_hash(value)))
        assert desk.ballot.consensus.spoken.locked_hash == value_hash(value)
        desk.start()
        consensus = desk.ballot.consensus
        assert (consensus.valid_round, consensus.valid_value) == (0, value)


@pytest.mark.parametrize("is_late", [False, True])
def test_a_lock_comes_of_votes_that_were_there_before_what_they_are_for(is_late: bool) -> None:
    desk, proposer, twice, _ = roles()
    hashed = value_hash(b"value")
    desk.hear(prevote(twice, NIL))
    desk.hear(prevote(twice, hashed))
    for _ in range(3):
        desk.hear(prevote(twice, hashed))
    said = [proposal(proposer, b"value"), prevote(proposer, hashed)]
    for envelope in reversed(said) if is_late else said:
        desk.hear(envelope)
    assert desk.ballot.consensus.spoken.locked_hash == hashed
    desk.start()
    assert (desk.ballot.consensus.valid_round, desk.ballot.consensus.valid_value) == (0, b"value")


def test_what_is_of_no_round_that_is_kept_is_not_recorded_and_may_come_again() -> None:
    desk, proposer, other, third = roles()
    far = prevote(other, NIL, FUTURE_ROUNDS + 1)
    before = dict(desk.store)
    desk.hear(far)
    assert desk.store == before
    desk.hear(prevote(third, NIL, FUTURE_ROUNDS + 1))  # a third is there: we follow
    assert desk.ballot.consensus.round == FUTURE_ROUNDS + 1
    desk.hear(far)
    assert far in desk.store.values()
    tally = desk.ballot.consensus._log.at(FUTURE_ROUNDS + 1).prevotes
    assert tally.says(other.operator_key, NIL)


def test_a_statement_that_was_refused_leaves_no_gap_that_a_restart_fills_wrongly() -> None:
    desk, proposer, other, third = roles()
    desk.hear(proposal(proposer, b"value"))
    desk.hear(prevote(other, NIL))
    for key in sorted(desk.store)[:1]:  # as if this one had never been written
        del desk.store[key]
    desk.start()
    before = dict(desk.store)
    desk.hear(prevote(third, NIL))
    assert before.items() <= desk.store.items() and len(desk.store) > len(before)
    desk.write(desk.ballot.forget())
    assert not desk.store


def test_the_record_is_kept_once_and_dropped_whole() -> None:
    desk, proposer, other, _ = roles()
    said = [proposal(proposer, b"value"), prevote(proposer, value_hash(b"value")), prevote(other, NIL)]
    for envelope in said * 2:
        desk.hear(envelope)
    held = list(desk.store.values())
    assert all(held.count(envelope) == 1 for envelope in said)
    own = [decode_statement(e[SIGNATURE_SIZE:]) for e in held if e not in said]
    assert own and all(isinstance(vote, Vote) and vote.voter == desk.signer.operator_key for vote in own)
    desk.write(desk.ballot.forget())
    assert not desk.store


def test_a_height_that_goes_on_for_hundreds_of_rounds_stays_small_and_goes_on() -> None:
    """Nobody has anything to propose, so every round ends with nothing."""
    desk, proposer, other, third = roles()
    now = 0
    for round_ in range(300):
        for phase in (Phase.PREVOTE, Phase.PRECOMMIT):
            for signer in (proposer, other, third):
                slot = Slot(NETWORK, NAME, HEIGHT, round_, phase)
                desk.hear(signer.sign(vote_body(slot, NIL, signer.operator_key)), now)
            now += 4_000
            desk.write(desk.ballot.tick(now))
    assert desk.ballot.consensus.round >= 299
    assert len(desk.store) < 4 * 3 * 20
    rounds = {decode_statement(envelope[SIGNATURE_SIZE:]).round for envelope in desk.store.values()}
    assert rounds and min(rounds) > 290
    desk.start()
    assert desk.ballot.consensus.round >= 299


def test_an_own_statement_that_only_the_store_remembers_is_recorded_before_it_is_repeated() -> None:
    desk, proposer, _, _ = roles()
    desk.hear(proposal(proposer, b"value"))
    leader = Desk(proposer)
    leader.start()
    leader.write(leader.ballot.offer([b"value"], 0))
    assert [slot.phase for slot, _ in desk.votes] == [Phase.PREVOTE]
    assert [slot.phase for slot, _ in leader.votes] == [Phase.PROPOSE, Phase.PREVOTE]
    for one in (desk, leader):
        said = set(one.votes)
        one.votes.clear()  # killed after the store was written and before the vote file was
        one.start()
        assert set(one.votes) == said
