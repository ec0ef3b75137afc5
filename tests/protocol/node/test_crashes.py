"""One of four nodes dies at a chosen moment: after any write, at any failing write, between any two effects.

It starts again from what its disk holds. In the end it stands where the others stand, no slot holds
two statements of anybody, and what it acknowledged is in force.
"""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from protocol.group.vote import Phase, Slot, decode_statement, vote_body
from protocol.node.effects import Effect, Persist, RecordVote
from protocol.node.messages import SIGNED, pack_signed
from tests.support.faulty_store import Fault, FaultyStore, SimulatedCrash
from tests.support.node_cluster import Cluster, Peer
from tests.support.operators import operator
from zenp2p.ports import StoreError

FOUNDERS = tuple(operator(number) for number in range(4))
VICTIM = FOUNDERS[1]
NEWCOMER = operator(4)
BEGIN = 9
"""The victim may fall from here on: challenge 2 (anchor 8) is open, the newcomer comes."""
CRASHED_UNTIL = 17
END = 20
WORDS = (b"\x98\xa4vote", b"\x99\xa8proposal")
STRIDE = 23
"""In a quick run every so many moments are tried; nightly all."""


class Doomed(Cluster):
    """A cluster whose victim dies: before effect `fuse` of its shell, or as its disk says."""

    def __init__(self, fuse: int = -1, *, votes_fail_at: int = -1) -> None:
        self.fuse, self.votes_fail_at = fuse, votes_fail_at
        self.effects = self.appends = 0
        self.armed = self.acknowledged = False
        super().__init__(FOUNDERS, others=[NEWCOMER])

    @property
    def victim(self) -> Peer:
        return self[VICTIM]

    def arm(self, store: FaultyStore | None = None) -> None:
        """From now on the victim is in danger; `store` goes on with what its disk holds."""
        self.armed = True
        if store is not None:
            self.victim.store = store  # type: ignore[assignment]
            for part in (self.victim.node.group, self.victim.node.lister, self.victim.node.tracker):
                part._records = store
            self.victim.node.tracker._responder._records = store

    def carry(self, peer: Peer, effects: Sequence[Effect]) -> None:
        """Carry effects out one at a time, in the shell's order, as long as the process lives."""
        if not self.armed or peer is not self.peers[VICTIM.key] or VICTIM.key in self.cut:
            super().carry(peer, effects)
            return
        try:
            self._write(peer, effects)
            for effect in effects:
                if not isinstance(effect, Persist | RecordVote):
                    self._burn()
                    super().carry(peer, [effect])
        except (SimulatedCrash, StoreError):
            self.cut.add(VICTIM.key)

    def _write(self, peer: Peer, effects: Sequence[Effect]) -> None:
        writes = [effect for effect in effects if isinstance(effect, Persist)]
        if writes:
            self._burn()
            durable = any(effect.durable for effect in writes)
            peer.store.write([(effect.key, effect.value) for effect in writes], sync=durable)
        votes = [effect for effect in effects if isinstance(effect, RecordVote)]
        if votes:
            self._burn()
            self.appends += 1
            if self.appends == self.votes_fail_at:
                raise StoreError("the vote file took no more")
            peer.votes += [(effect.slot, effect.content_hash) for effect in votes]

    def _burn(self) -> None:
        """One more moment at which the process may die."""
        self.effects += 1
        if self.effects == self.fuse:
            raise SimulatedCrash(f"before effect {self.fuse}")


def run(cluster: Doomed, store: FaultyStore | None = None) -> None:
    """Play the short story: the victim falls somewhere in it, is missed for a while, and comes back."""
    cluster.mine_to(BEGIN)
    before = dict(cluster.victim.store.iterate(b""))
    if store is not None:
        store.write(list(before.items()), sync=True)
    cluster.arm(store)
    envelope = pack_signed(NEWCOMER.envelope(network=cluster.victim.node.network))
    cluster.carry(cluster.victim, cluster.victim.node.submit(envelope))
    cluster.acknowledged = VICTIM.key not in cluster.cut
    cluster.settle()
    cluster.mine_to(CRASHED_UNTIL)
    cluster.armed = False
    said = cluster.victim.sent
    if store is not None:
        cluster.victim.store = store.survivor()
    cluster.cut.discard(VICTIM.key)
    cluster.restart(VICTIM).sent.extend(said)
    cluster.mine_to(END)
    cluster.run(8_000)


def check(cluster: Doomed) -> None:
    """Everybody is at the same place; nobody said two things; what was acknowledged is in force."""
    nodes = [cluster[one].node for one in FOUNDERS]
    assert len({node.group.state.head for node in nodes}) == 1
    assert {node.lister.period for node in nodes} == {2}
    assert {2, 3} <= set(nodes[0].group.state.judged)
    if cluster.acknowledged:
        assert NEWCOMER.key in nodes[0].group.registrations(END)
    check_words(cluster)


def check_words(cluster: Cluster) -> None:
    """No slot holds two statements, and who said something has it in its vote file."""
    said: dict[tuple[Slot, bytes], bytes] = {}
    for one in FOUNDERS:
        written = dict(cluster[one].votes)
        for data in filter(is_word, cluster[one].sent):
            statement = decode_statement(data[65:])
            assert said.setdefault((statement.slot, statement.signer), data) == data, "two statements"
            assert statement.signer != one.key or statement.slot in written, "not written"


def is_word(data: bytes) -> bool:
    """Whether a message is a vote or a proposal."""
    return data[0] == SIGNED and data[65:].startswith(WORDS)


def moments() -> int:
    """Return how many moments there are at which the victim can die."""
    cluster = Doomed()
    run(cluster)
    check(cluster)
    assert cluster.acknowledged and cluster.appends >= 8
    return cluster.effects


def fall_between_effects(first: int, stride: int) -> None:
    for fuse in range(first, moments() + 1, stride):
        cluster = Doomed(fuse)
        run(cluster)
        check(cluster)


def test_a_node_that_dies_between_two_effects_comes_back() -> None:
    fall_between_effects(5, STRIDE)


@pytest.mark.nightly
def test_a_node_that_dies_between_any_two_effects_comes_back() -> None:
    fall_between_effects(1, 1)


def writes() -> int:
    """Return how many batches the victim writes while it is in danger."""
    store = FaultyStore()
    run(Doomed(), store)
    assert store.writes > 10
    return store.writes


def fail_writes(fault: Fault, first: int, stride: int) -> None:
    for at in range(first, writes() + 1, stride):
        cluster, store = Doomed(), FaultyStore(at, fault)
        run(cluster, store)
        check(cluster)


@pytest.mark.parametrize("fault", Fault)
def test_a_node_whose_write_fails_comes_back(fault: Fault) -> None:
    fail_writes(fault, 2 + list(Fault).index(fault), 9)


@pytest.mark.nightly
@pytest.mark.parametrize("fault", Fault)
def test_a_node_of_which_any_write_fails_comes_back(fault: Fault) -> None:
    fail_writes(fault, 2, 1)


def test_a_node_whose_vote_file_fails_comes_back() -> None:
    clean = Doomed()
    run(clean)
    for at in range(1, clean.appends + 1):
        cluster = Doomed(votes_fail_at=at)
        run(cluster)
        assert cluster.appends >= at
        check(cluster)


def test_the_check_sees_a_vote_that_is_not_written_and_a_second_statement() -> None:
    cluster = Doomed()
    cluster.mine_to(11)
    check_words(cluster)
    peer = cluster.victim
    word = next(data for data in peer.sent if is_word(data))
    statement = decode_statement(word[65:])
    kept, peer.votes = peer.votes, [one for one in peer.votes if one[0] != statement.slot]
    with pytest.raises(AssertionError, match="not written"):
        check_words(cluster)
    peer.votes = kept
    slot = statement.slot
    peer.sent += [
        pack_signed(VICTIM.signer.sign(vote_body(replace(slot, phase=Phase.PREVOTE), block, VICTIM.key)))
        for block in (b"\x01" * 32, b"\x02" * 32)
    ]
    with pytest.raises(AssertionError, match="two statements"):
        check_words(cluster)
