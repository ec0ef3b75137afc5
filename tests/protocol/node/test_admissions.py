"""Who comes into a group and who leaves it, as its voters see it: whole nodes, stepped by hand."""

from collections.abc import Callable
from typing import TypeVar

import pytest

from protocol.codec import decode, replace
from protocol.crypto import SIGNATURE_SIZE
from protocol.group.data_block import (
    Move,
    Payload,
    RelocatePayload,
    Removal,
    RemovePayload,
    decode_block,
    decode_certified,
    decode_payload,
)
from protocol.group.data_chain import DataChain
from protocol.group.join_proof import JoinProver
from protocol.group.join_request import build_join_request
from protocol.node import admissions as module
from protocol.node.messages import PLAIN, ProofPart, pack_plain, pack_signed
from protocol.node.routing import RESPONSE_HEAD
from protocol.node.tickets import Moved, Outcome
from protocol.parameters import MINIMAL
from protocol.tracking.registration import build_deregistration
from protocol.units import OperatorKey
from tests.support.founding import founded_by
from tests.support.node_cluster import Cluster
from tests.support.operators import Operator, operator

FOUNDERS = tuple(operator(number) for number in range(7))
NEWCOMER, SECOND = operator(20), operator(21)
STRANGERS = tuple(operator(number) for number in range(100, 400))
PARAMETERS = replace(MINIMAL, preset="admissions", burial=1, silence=10)
BLOCKS_MAX = 60
P = TypeVar("P", bound=Payload)


def network(*others: Operator, joins: bool = True) -> Cluster:
    return Cluster(FOUNDERS, others=others, genesis=founded_by(FOUNDERS, parameters=PARAMETERS), joins=joins)


def mine_until(cluster: Cluster, holds: Callable[[], bool], blocks: int = BLOCKS_MAX) -> None:
    for _ in range(blocks):
        if holds():
            return
        cluster.mine()
    raise AssertionError(f"it did not come to that in {blocks} blocks")


def state_at(cluster: Cluster, one: Operator) -> DataChain:
    return cluster[one].node.group.state


class TestVotersThatSawDifferentThings:
    """What only a voter itself can say may differ for ever: nothing else waits for it."""

    def test_two_that_are_heard_by_different_halves_hold_nothing_up(self) -> None:
        """Each half would remove another of them, and proposed nothing else until it was done."""
        cluster = network(NEWCOMER, joins=False)
        first, second, *honest = FOUNDERS
        hears = {first.key: {one.key for one in honest[:2]}, second.key: {one.key for one in honest[2:]}}

        def drops(sender: OperatorKey, to: OperatorKey, data: bytes) -> bool:
            return sender in hears and (to not in hears[sender] or b"proposal" in data[:128])

        cluster.drops = drops
        ear, other = honest[0], honest[-1]
        mine_until(
            cluster,
            lambda: all(list(cluster[one].node.seating.admissions.removals()) for one in honest),
        )
        cluster.submit(ear, NEWCOMER.envelope(network=cluster[ear].node.network))
        mine_until(cluster, lambda: NEWCOMER.key in registered(cluster, other), 4)
        assert {first.key, second.key} <= {
            one.operator_key for one in state_at(cluster, ear).membership.members
        }


class TestJoinProofs:
    def test_who_sends_each_voter_another_nonce_comes_in_all_the_same(self) -> None:
        """Each voter would propose to admit it with its own, affirm no other, and nothing else went on."""
        cluster = network(NEWCOMER)
        enrol(cluster, NEWCOMER)
        bits, found = PARAMETERS.join_proof_bits, list[int]()

        def drops(sender: OperatorKey, to: OperatorKey, data: bytes) -> bool:
            part = proof_part(data)
            if part is None:
                return False
            if not found:
                prover = JoinProver(NEWCOMER.key, part.ticket, bits)
                found.extend(prover.search(1 << 16) or 0 for _ in FOUNDERS)
            one = next(founder for founder in FOUNDERS if founder.key == to)
            other = replace(part, nonce=found[FOUNDERS.index(one)])
            cluster.deliver(one, NEWCOMER, pack_plain(other))
            return True

        cluster.drops = drops
        mine_until(cluster, lambda: NEWCOMER.key in state_at(cluster, FOUNDERS[0]).membership)
        assert len(set(found)) == len(FOUNDERS)
        assert [one.outcome for one in moves_of(cluster, NEWCOMER)] == [Outcome.ARRIVED]

    def test_who_never_proves_gets_one_ticket_a_challenge_and_stops_nobody(self) -> None:
        """It could have had one after the other, two blocks of everybody's each."""
        cluster = network(NEWCOMER)
        enrol(cluster, NEWCOMER)
        cluster.drops = lambda sender, to, data: proof_part(data) is not None
        mine_until(cluster, lambda: len(moves_of(cluster, NEWCOMER)) > 3)
        outcomes = [one.outcome for one in moves_of(cluster, NEWCOMER)]
        assert outcomes == [Outcome.EXPIRED] * 3 + [Outcome.UNDER_WAY]
        seqs = [payload.seq for payload in decided(cluster, RelocatePayload) if payload.why is Move.JOIN]
        assert len(seqs) == len(set(seqs)) == 4 and seqs == sorted(seqs)
        cluster.drops = lambda sender, to, data: False
        mine_until(cluster, lambda: NEWCOMER.key in state_at(cluster, FOUNDERS[0]).membership)


class TestRequests:
    def test_of_who_was_not_found_valid_nothing_is_kept_or_checked(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Some hundred strangers would have driven out all others, and each cost a signature check."""
        cluster = network(NEWCOMER, joins=False)
        enrol(cluster, NEWCOMER)
        verdicts = cluster[FOUNDERS[0]].node.groups.archive.last_verdicts
        mine_until(cluster, lambda: verdicts.last(NEWCOMER.key) is not None)
        found, network_ = verdicts.last(NEWCOMER.key), cluster[FOUNDERS[0]].node.network
        assert found is not None
        voter, admissions = cluster[FOUNDERS[0]], cluster[FOUNDERS[0]].node.seating.admissions
        honest = build_join_request(NEWCOMER.signer, network_, found.seq, found.block_hash)
        cluster.deliver(FOUNDERS[0], NEWCOMER, pack_signed(honest))
        assert list(admissions._requests) == [NEWCOMER.key]
        checked: list[bytes] = []
        monkeypatch.setattr(module, "check_join_request", lambda envelope, network: checked.append(envelope))
        for stranger in STRANGERS:
            asked = build_join_request(stranger.signer, network_, found.seq, found.block_hash)
            cluster.deliver(FOUNDERS[0], stranger, pack_signed(asked))
        later = build_join_request(NEWCOMER.signer, network_, found.seq + 1, found.block_hash)
        cluster.deliver(FOUNDERS[0], NEWCOMER, pack_signed(later))
        cluster.deliver(FOUNDERS[0], NEWCOMER, pack_signed(honest))
        member = build_join_request(FOUNDERS[1].signer, network_, found.seq, found.block_hash)
        cluster.deliver(FOUNDERS[0], FOUNDERS[1], pack_signed(member))
        assert not checked and list(admissions._requests) == [NEWCOMER.key] and not voter.punished
        mine_until(cluster, lambda: not admissions._requests, 20)  # too old for a move

    def test_a_large_group_with_a_newcomer_is_sent_no_second_one_to_refuse(self) -> None:
        cluster = network(NEWCOMER, SECOND)
        for one in (NEWCOMER, SECOND):
            enrol(cluster, one)
        members = {NEWCOMER.key, SECOND.key}
        mine_until(
            cluster,
            lambda: (
                members <= {one.operator_key for one in state_at(cluster, FOUNDERS[0]).membership.members}
            ),
        )
        assert {one.outcome for one in moves_of(cluster, NEWCOMER, SECOND)} <= {
            Outcome.ARRIVED,
            Outcome.STAYED,
        }


class TestRemovals:
    def test_who_fails_challenges_in_a_row_goes_and_is_not_sent_away_again_for_the_same(self) -> None:
        cluster = network(joins=True)
        lazy, first = FOUNDERS[6], FOUNDERS[0]
        cluster.drops = lambda sender, to, data: sender == lazy.key and is_response(data)
        mine_until(cluster, lambda: lazy.key in state_at(cluster, first).left)
        (removed,) = decided(cluster, RemovePayload)
        assert (removed.reason, len(removed.proofs)) == (Removal.CHALLENGES, PARAMETERS.challenge_failures)
        cluster.drops = lambda sender, to, data: False
        mine_until(cluster, lambda: lazy.key in state_at(cluster, first).membership)
        affirms = cluster[first].node.seating.admissions.may_affirm
        assert not affirms(removed), "by an older failure, after it was found VALID"
        mine_until(cluster, lambda: lazy.key in state_at(cluster, first).electorate)
        assert len(list(decided(cluster, RemovePayload))) == 1

    def test_who_is_registered_no_more_goes(self) -> None:
        cluster = network(joins=False)
        gone, first = FOUNDERS[6], FOUNDERS[0]
        cluster.mine_to(4)
        data = build_deregistration(
            gone.sign_text,
            network=cluster[first].node.network,
            operator_key=gone.key,
            stake_address=gone.stake_address,
            stake_sequence=2,
        )
        peer = cluster[first]
        cluster.carry(peer, peer.node.submit(bytes((PLAIN,)) + data))
        mine_until(cluster, lambda: gone.key in state_at(cluster, first).left)
        assert [one.reason for one in decided(cluster, RemovePayload)] == [Removal.DEREGISTERED]


def registered(cluster: Cluster, one: Operator) -> set[bytes]:
    state = state_at(cluster, one)
    return {key for key in cluster.peers if state.book.of(key, 10_000) is not None}


def enrol(cluster: Cluster, one: Operator) -> None:
    cluster.submit(FOUNDERS[0], one.envelope(network=cluster[FOUNDERS[0]].node.network))


def moves_of(cluster: Cluster, *of: Operator) -> list[Moved]:
    keys = {one.key for one in of}
    moves = cluster[FOUNDERS[0]].node.groups.archive.tickets.moves()
    return [one for one in moves if one.operator_key in keys]


def decided(cluster: Cluster, kind: type[P]) -> list[P]:
    """What the blocks of one kind say, oldest first."""
    node = cluster[FOUNDERS[0]].node
    blocks = [node.group.certified(height) for height in range(1, node.group.state.height + 1)]
    payloads = [decode_payload(decode_block(decode_certified(data).block)) for data in blocks if data]
    return [one for one in payloads if isinstance(one, kind)]


def proof_part(data: bytes) -> ProofPart | None:
    return decode(data[1:], ProofPart) if data[0] == PLAIN and b"proof-part" in data[:16] else None


def is_response(data: bytes) -> bool:
    return data.startswith(RESPONSE_HEAD, 1 + SIGNATURE_SIZE)
