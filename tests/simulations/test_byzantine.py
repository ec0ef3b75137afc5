"""What a dishonest member can say: wrong things under its own key, and nothing under another's."""

from collections import defaultdict
from collections.abc import Iterator
from itertools import islice

import pytest

from protocol.codec import decode
from protocol.crypto import SIGNATURE_SIZE, verify_envelope
from protocol.errors import InvalidSignature
from protocol.group.vote import Proposal, Slot, Vote
from protocol.node.effects import Incoming
from protocol.tracking.response import Receipt
from simulations.byzantine import ForkedMouth
from simulations.cluster import Cluster
from simulations.network import Party
from simulations.options import Fault, Options
from simulations.reading import read_receipts, read_signed
from simulations.signatures import remembered_signatures

SEEDS_MAX = 60
OPTIONS = Options(faults=frozenset({Fault.BYZANTINE}))


def lonely(*, sly: bool) -> Iterator[Cluster]:
    """Yield runs, not begun, with exactly one dishonest member, of a kind."""
    for seed in range(SEEDS_MAX):
        cluster = Cluster(seed, OPTIONS)
        mouths = [cluster.hosts[number].mouth for number in cluster.byzantine]
        if len(mouths) == 1 and isinstance(mouths[0], ForkedMouth) and mouths[0]._sly is sly:
            yield cluster


def overheard(cluster: Cluster) -> dict[Slot, set[bytes]]:
    """Run a cluster; return what its dishonest member said in each slot, signed rightly."""
    key = cluster.hosts[cluster.byzantine[0]].key
    said: dict[Slot, set[bytes]] = defaultdict(set)
    carry = cluster.network._carry

    def listen(sender: int, party: Party, message: Incoming, mark: bytes) -> None:
        data, statement = message.data, read_signed(message.data)
        if isinstance(statement, Vote | Proposal) and statement.signer == key and verified(data, key):
            said[statement.slot].add(data[1 + SIGNATURE_SIZE :])
        carry(sender, party, message, mark)

    cluster.network._carry = listen  # type: ignore[method-assign]
    with remembered_signatures():
        outcome = cluster.run()
    assert not outcome.violations and not outcome.pending and outcome.faults.byzantine_votes
    return said


def members_at(cluster: Cluster) -> list[bool]:
    """Whether each honest node still counts the dishonest one as a member."""
    key = cluster.hosts[cluster.byzantine[0]].key
    nodes = [host.node for host in cluster.honest]
    return [key in node.group.state.membership for node in nodes if node is not None]


def verified(data: bytes, key: bytes) -> bool:
    """Whether a message is really signed: garbage made of one is not."""
    try:
        verify_envelope(data[1:], key)
    except InvalidSignature:
        return False
    return True


def test_a_loud_one_contradicts_itself_and_is_expelled() -> None:
    for cluster in lonely(sly=False):
        said = overheard(cluster)
        assert any(len(bodies) > 1 for bodies in said.values())
        if not any(members_at(cluster)):
            return  # where nobody heard both statements it may stay
    pytest.fail("nobody was ever expelled")


def test_a_sly_one_never_contradicts_itself_and_stays() -> None:
    cluster = next(lonely(sly=True))
    said = overheard(cluster)
    assert said and all(len(bodies) == 1 for bodies in said.values())
    assert len(members_at(cluster)) == 6 and all(members_at(cluster))


def test_a_forged_receipt_stands_before_each_that_it_shows_and_nobody_breaks_with_who_passes_it_on() -> None:
    shown: list[tuple[bytes, ...]] = []

    def listen(cluster: Cluster) -> None:
        carry = cluster.network._carry

        def watch(sender: int, party: Party, message: Incoming, mark: bytes) -> None:
            receipts = read_receipts(message.data)
            if sender in cluster.byzantine and receipts is not None:
                shown.append(receipts.envelopes)
            carry(sender, party, message, mark)

        cluster.network._carry = watch  # type: ignore[method-assign]

    for cluster in islice(lonely(sly=True), 3):
        listen(cluster)
        overheard(cluster)
    forged = [each for each in shown if not signed_by_a_judge(each[0])]
    assert forged and len(forged) < len(shown)
    assert all(not signed_by_a_judge(bad) for each in forged for bad in each[::2])
    assert all(signed_by_a_judge(good) for each in forged for good in each[1::2])


def signed_by_a_judge(receipt: bytes) -> bool:
    return verified(b"\0" + receipt, decode(receipt[SIGNATURE_SIZE:], Receipt).judge)


def test_nobody_speaks_under_the_key_of_an_honest_member_but_itself() -> None:
    cluster = next(lonely(sly=False))
    honest = {host.key: host.number for host in cluster.honest}
    carry = cluster.network._carry

    def watch(sender: int, party: Party, message: Incoming, mark: bytes) -> None:
        data, statement = message.data, read_signed(message.data)
        if sender in cluster.byzantine and isinstance(statement, Vote) and verified(data, statement.signer):
            assert statement.signer not in honest or passed_on(cluster, data)
        carry(sender, party, message, mark)

    cluster.network._carry = watch  # type: ignore[method-assign]
    assert not cluster.run().violations


def passed_on(cluster: Cluster, data: bytes) -> bool:
    """Whether an honest member said this itself before (locks are shown with others' votes)."""
    said = cluster.history.bodies.values()
    return any(data[1 + SIGNATURE_SIZE :] in bodies for bodies in said)


def test_garbage_is_heard_and_survived() -> None:
    cluster = Cluster(0, Options(faults=frozenset(), nodes=4))
    cluster.join()
    host = cluster.hosts[0]
    host.boot()
    for data in (b"", b"\x00", b"\x01", b"\x02" + b"\x99" * 300, bytes(400)):
        host.hear(Incoming(cluster.hosts[1].key, cluster.hosts[1].ip, "", data))
    cluster.scheduler.run_until(1_000)
    assert host.is_up
