"""The laws that every run must keep, each as a function from the record of a run to its breaches.

Answers for: what is checked is what happened (`history`), with arithmetic of its own where a rule of the
protocol could be the one that is broken. Which scenario led there plays no part. Spec: `spec/simulation.md`.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from protocol.chain.rules import ChainRules, block_subsidy
from protocol.chain.script import script_address
from protocol.crypto import verify_envelope
from protocol.errors import ProtocolError
from protocol.genesis import encode_genesis, first_period, period_heights
from protocol.group.certificate import Certificate
from protocol.group.data_block import VerdictPayload, block_hash, decode_block, decode_payload
from protocol.group.quorum import Electorate
from protocol.group.vote import Phase, Slot, vote_body
from protocol.payout.light import VerifiedList, trust_from_genesis, trust_from_list, verify_list
from protocol.payout.list_file import decode_list_file
from protocol.payout.list_header import list_hash
from protocol.payout.treasury import recognise_payment
from protocol.tracking.verdict import Reason
from simulations.chain import SimulatedBlock
from simulations.history import Ballot, CastVote, History, short
from simulations.newcomer import Newcomer, follow
from simulations.reading import judge_of

NODE_REWARD_THOUSANDTHS = 35
"""The nodes' share of each subsidy, said here once more on purpose."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A run at its end: what happened, the chain that came out, and what a newcomer makes of it."""

    history: History
    tip: SimulatedBlock
    newcomer: Newcomer

    @classmethod
    def of(cls, history: History, tip: SimulatedBlock) -> "Ended":
        """Return the end of a run."""
        return cls(history, tip, follow(history, tip))


Invariant = Callable[[Ended], Iterable[str]]


def invariant_one_data_chain(ended: Ended) -> Iterator[str]:
    """No two honest nodes hold different blocks at one height of the data chain."""
    for height, bodies in sorted(ended.history.blocks.items()):
        if len(bodies) > 1:
            names = {short(body): sorted(set(numbers)) for body, numbers in bodies.items()}
            yield f"data block {height} differs: {names}"


def invariant_one_statement_a_slot(ended: Ended) -> Iterator[str]:
    """An honest node says one thing in a slot, over everything it ever sent, whatever crashed in between."""
    for (number, slot), bodies in ended.history.bodies.items():
        if len(bodies) > 1:
            place = f"{slot.electorate} {slot.height}, round {slot.round}, {slot.phase.name}"
            yield f"node {number} made {len(bodies)} statements in {place}"


def invariant_locks_are_kept(ended: Ended) -> Iterator[str]:
    """Who precommitted a value prevotes another one only after a quorum prevoted that one, no earlier."""
    for ballot, votes in ended.history.votes.items():
        for lock in votes:
            if lock.phase is not Phase.PRECOMMIT or not lock.block_hash:
                continue
            for vote in votes:
                if _breaks(lock, vote) and not _is_freed(ended, ballot, lock, vote):
                    yield f"node {vote.number} broke its lock of round {lock.round} at {ballot}"


def _is_freed(ended: Ended, ballot: Ballot, lock: CastVote, vote: CastVote) -> bool:
    """Whether anybody can have proved that a quorum prevoted the other value, no earlier than the lock."""
    electorate = ended.newcomer.electorates.get(ballot)
    if electorate is None:
        return True  # the ballot was never decided, so nobody can say who voted in it
    rounds = range(lock.round, vote.round)
    prevoters = (ended.history.prevoters.get((ballot, at, vote.block_hash), {}) for at in rounds)
    return any(_is_final(electorate, signers) for signers in prevoters)


def _is_final(electorate: Electorate, signers: Iterable[bytes]) -> bool:
    """Whether these are more than two thirds of heads and age, counted here and not by the rules."""
    return _holds(electorate, signers, 2)


def _is_third(electorate: Electorate, signers: Iterable[bytes]) -> bool:
    """Whether these are more than a third of heads and age."""
    return _holds(electorate, signers, 1)


def _holds(electorate: Electorate, signers: Iterable[bytes], thirds: int) -> bool:
    there = frozenset(signers)
    ages = [voter.age for voter in electorate.voters if voter.operator_key in there]
    total = sum(voter.age for voter in electorate.voters)
    return 3 * len(ages) > thirds * len(electorate.voters) and 3 * sum(ages) > thirds * total


def _breaks(lock: CastVote, vote: CastVote) -> bool:
    later = vote.number == lock.number and vote.phase is Phase.PREVOTE and vote.round > lock.round
    return later and vote.block_hash not in (b"", lock.block_hash)


def invariant_certificates_hold_from_genesis(ended: Ended) -> Iterator[str]:
    """Everything that any honest node took is signed by more than two thirds of the voters before it."""
    newcomer = ended.newcomer
    if newcomer.refusal:
        yield newcomer.refusal
    for height, certificate in newcomer.certificates:
        electorate = newcomer.electorates.get((certificate.electorate, height))
        if electorate is not None:
            yield from _weak(certificate, newcomer.network, electorate, f"block {height}")


def _weak(certificate: Certificate, network: bytes, electorate: Electorate, what: str) -> Iterator[str]:
    """Count a certificate's valid signatures with arithmetic of our own."""
    slot = Slot(network, certificate.electorate, certificate.height, certificate.round, Phase.PRECOMMIT)
    signers: list[bytes] = []
    for signer, signature in certificate.signatures:
        try:
            verify_envelope(signature + vote_body(slot, certificate.block_hash, signer), signer)
        except ProtocolError:
            yield f"the certificate of {what} holds a signature that does not"
        else:
            signers.append(signer)
    if not _is_final(electorate, signers):
        yield f"the certificate of {what} has {len(signers)} of {len(electorate.voters)} voters"


def _verdict_blocks(ended: Ended) -> Iterator[tuple[VerdictPayload, Electorate | None]]:
    """Yield each verdict block that honest nodes hold, with the voters who judged."""
    for height, bodies in sorted(ended.history.blocks.items()):
        for body in bodies:
            payload = decode_payload(decode_block(body))
            if isinstance(payload, VerdictPayload):
                yield payload, ended.newcomer.electorates.get((ended.newcomer.electorate_name, height))


def invariant_one_verdict_a_challenge(ended: Ended) -> Iterator[str]:
    """A challenge is judged once, and everybody holds the same verdicts."""
    judged = Counter(payload.seq for payload, _ in _verdict_blocks(ended))
    yield from (f"challenge {seq} is judged {count} times" for seq, count in judged.items() if count > 1)


def invariant_honest_operators_are_valid(ended: Ended) -> Iterator[str]:
    """Whom more than a third of the judges heard in time, and as many reached, is VALID.

    Of the judges whose observations the block holds those count that are honest, by what really came to them.
    """
    history = ended.history
    honest = [history.founding.members[number].key for number in history.honest]
    for payload, electorate in _verdict_blocks(ended):
        verdicts = {verdict.operator_key: verdict.reason for verdict in payload.verdicts}
        if electorate is None:
            continue
        judges = frozenset(judge_of(envelope) for envelope in payload.observations)
        for key in honest:
            seen = (payload.anchor_hash, key)
            heard = [history.founding.members[number].key for number in history.on_time.get(seen, {})]
            reached = [history.founding.members[number].key for number in history.reached.get(seen, {})]
            if not (_is_third(electorate, judges & {*heard}) and _is_third(electorate, judges & {*reached})):
                continue
            if verdicts.get(key) is not Reason.VALID:
                yield f"honest {key.hex()[:8]} in challenge {payload.seq}: {verdicts.get(key)}"


def invariant_receipts_are_honoured(ended: Ended) -> Iterator[str]:
    """What an honest judge acknowledged stands in its observation, as it was acknowledged.

    Who cheats may send something better later; then that stands there.
    """
    history = ended.history
    honest = {history.founding.members[number].key for number in history.honest}
    for number, receipt in history.receipts:
        observation = history.observations.get((number, receipt.anchor_hash))
        if observation is None:
            continue
        seen = {sighting.operator_key: sighting for sighting in observation.sightings}.get(
            receipt.operator_key
        )
        if seen is None or not seen.response_hash:
            yield f"node {number} forgot what it acknowledged in challenge {receipt.seq}"
        elif receipt.operator_key in honest and (seen.response_hash, seen.received_height) != (
            receipt.response_hash,
            receipt.height,
        ):
            yield f"node {number} acknowledged in challenge {receipt.seq} something else than it saw"


def invariant_late_and_lying_are_not_valid(ended: Ended) -> Iterator[str]:
    """Who answered wrongly, or no honest judge in time, is never VALID."""
    history = ended.history
    late, liar = history.founding.late.key, history.founding.liar.key
    for payload, _ in _verdict_blocks(ended):
        valid = [one.operator_key for one in payload.verdicts if one.reason is Reason.VALID]
        if liar in valid:
            yield f"the liar is VALID in challenge {payload.seq}"
        if late in valid and not history.maybe_on_time.get((payload.anchor_hash, late)):
            yield f"the late one is VALID in challenge {payload.seq}"


def invariant_one_list_a_period(ended: Ended) -> Iterator[str]:
    """All honest nodes hold the same list of a period."""
    for period, files in sorted(ended.history.lists.items()):
        hashes = {list_hash(decode_list_file(file).header) for file in files}
        if len(hashes) > 1:
            yield f"the list of period {period} has {len(hashes)} versions"


def invariant_lists_verify_and_add_up(ended: Ended) -> Iterator[str]:
    """A wallet verifies every list from files alone, and paid and carried are the pool of its heights."""
    genesis = ended.history.founding.genesis
    trust, carried = trust_from_genesis(encode_genesis(genesis)), genesis.carried
    expected: int = first_period(genesis)
    for period, files in sorted(ended.history.lists.items()):
        if period != expected:
            yield f"the list of period {period} came instead of {expected}"
            return
        verified: VerifiedList | None = None
        for file in files:
            try:
                verified = verify_list(file, trust)
            except ProtocolError as error:
                yield f"a wallet refuses the list of period {period}: {error}"
                return
            yield from _weak(
                verified.certificate, verified.header.network, trust.electorate, f"list {period}"
            )
        assert verified is not None
        first, last = period_heights(genesis, period)
        pool = carried + sum(_reward(genesis.chain, at) for at in range(first, last + 1))
        paid = sum(entry.amount for entry in verified.entries)
        if paid + verified.header.carried_out != pool:
            yield f"period {period}: {paid} paid and {verified.header.carried_out} carried are not {pool}"
        trust, carried, expected = trust_from_list(verified), verified.header.carried_out, expected + 1


def _reward(rules: ChainRules, height: int) -> int:
    return block_subsidy(rules, height) * NODE_REWARD_THOUSANDTHS // 1_000


def invariant_cheats_are_not_paid(ended: Ended) -> Iterator[str]:
    """No list names the stake of the liar; and none that of the late one, unless it was in time for once."""
    history = ended.history
    late, liar = history.founding.late, history.founding.liar
    excused = any(key == late.key for _, key in history.maybe_on_time)
    for period, files in sorted(history.lists.items()):
        for file in files:
            paid = {entry.address for entry in decode_list_file(file).entries}
            if liar.stake_address in paid or (late.stake_address in paid and not excused):
                yield f"the list of period {period} pays somebody who cheats"


def invariant_nothing_is_paid_twice(ended: Ended) -> Iterator[str]:
    """On the chain each chunk stands once, and nobody received more than the certified lists give."""
    marks: Counter[tuple[bytes, int]] = Counter()
    received: Counter[bytes] = Counter()
    for block in ended.tip.branch():
        for transaction in block.transactions[1:]:
            mark = recognise_payment(transaction)
            if mark is not None:
                marks[(mark.list_hash, mark.chunk)] += 1
            for output in transaction.outputs:
                received[script_address(output.script) or b""] += output.amount
    yield from (f"chunk {chunk} of a list is mined {n} times" for (_, chunk), n in marks.items() if n > 1)
    owed: Counter[bytes] = Counter()
    for files in ended.history.lists.values():
        for entry in decode_list_file(next(iter(files))).entries:
            owed[entry.address] += entry.amount
    for number, party in enumerate(ended.history.founding.members):
        if received[party.stake_address] > owed[party.stake_address]:
            yield f"member {number} received {received[party.stake_address]} of {owed[party.stake_address]}"


def invariant_lists_name_what_stands_on_their_branch(ended: Ended) -> Iterator[str]:
    """A list names the challenges whose anchors are on its branch: others are void for everybody.

    All of them that are judged up to its head and late by one period at most, but those that the list
    before has named.
    """
    history, named_before = ended.history, frozenset[bytes]()
    for period, files in sorted(history.lists.items()):
        header = decode_list_file(next(iter(files))).header
        branch = history.connected.get(header.last_hash)
        if branch is None or branch.height != header.last_height:
            yield f"the list of period {period} rests on no block of any node's chain"
            return
        expected = {
            hashed
            for hashed, (height, payload) in _verdicts_by_hash(ended).items()
            if height <= header.heads[0].height and _stands(ended, payload, branch, period)
        }
        if set(header.blocks) != expected - named_before:
            yield f"the list of period {period} names {len(header.blocks)} challenges of {len(expected)}"
        named_before = frozenset(header.blocks)


def _verdicts_by_hash(ended: Ended) -> dict[bytes, tuple[int, VerdictPayload]]:
    """Return each verdict block's data height and content by its hash."""
    found: dict[bytes, tuple[int, VerdictPayload]] = {}
    for height, bodies in sorted(ended.history.blocks.items()):
        for body in bodies:
            payload = decode_payload(decode_block(body))
            if isinstance(payload, VerdictPayload):
                found.setdefault(block_hash(body), (height, payload))
    return found


def _stands(ended: Ended, payload: VerdictPayload, branch: SimulatedBlock, period: int) -> bool:
    """Whether a challenge is of this period, or the one before, and its anchor on this branch."""
    genesis = ended.history.founding.genesis
    anchor = payload.seq * genesis.parameters.challenge_every
    if not period - 1 <= anchor // genesis.parameters.period_blocks <= period:
        return False
    return branch.ancestor(anchor).hash == payload.anchor_hash


def invariant_no_challenge_is_listed_twice(ended: Ended) -> Iterator[str]:
    """No two lists pay for one challenge, whatever became of its anchor between them."""
    seqs = {hashed: payload.seq for hashed, (_, payload) in _verdicts_by_hash(ended).items()}
    listed: Counter[int] = Counter()
    for files in ended.history.lists.values():
        blocks = decode_list_file(next(iter(files))).header.blocks
        listed.update(seqs[hashed] for hashed in blocks if hashed in seqs)
    yield from (f"challenge {seq} stands in {times} lists" for seq, times in listed.items() if times > 1)


def invariant_a_newcomer_comes_in(ended: Ended) -> Iterator[str]:
    """A new node takes every block and every list, on the chain that came out."""
    if ended.newcomer.stopped:
        yield f"a newcomer took {ended.newcomer.stopped}"


def invariant_recorded_before_said(ended: Ended) -> Iterator[str]:
    """Nothing leaves an honest node before what it rests on is durable."""
    yield from ended.history.unrecorded


def invariant_nothing_is_contradicted(ended: Ended) -> Iterator[str]:
    """No honest node finds that a quorum certified what its own chain and blocks refute."""
    yield from ended.history.alarms


def invariant_honest_nodes_trust_each_other(ended: Ended) -> Iterator[str]:
    """No honest node punishes another, and none is expelled."""
    history = ended.history
    yield from history.punished
    for number in history.honest:
        if history.founding.members[number].key not in ended.newcomer.members:
            yield f"honest member {number} was expelled"


INVARIANTS: tuple[Invariant, ...] = (
    invariant_one_data_chain,
    invariant_one_statement_a_slot,
    invariant_locks_are_kept,
    invariant_certificates_hold_from_genesis,
    invariant_one_verdict_a_challenge,
    invariant_honest_operators_are_valid,
    invariant_receipts_are_honoured,
    invariant_late_and_lying_are_not_valid,
    invariant_one_list_a_period,
    invariant_lists_verify_and_add_up,
    invariant_cheats_are_not_paid,
    invariant_nothing_is_paid_twice,
    invariant_lists_name_what_stands_on_their_branch,
    invariant_no_challenge_is_listed_twice,
    invariant_a_newcomer_comes_in,
    invariant_recorded_before_said,
    invariant_nothing_is_contradicted,
    invariant_honest_nodes_trust_each_other,
)


def breaches(ended: Ended) -> list[str]:
    """Return every breach of every law, as `law: what`."""
    return [f"{law.__name__.removeprefix('invariant_')}: {what}" for law in INVARIANTS for what in law(ended)]
