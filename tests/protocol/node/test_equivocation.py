"""A founder that says two things in one slot: proven, written down, expelled; the rest goes on."""

from collections.abc import Sequence

import pytest

from protocol.codec import encode, replace
from protocol.group.data_block import EvidencePayload, Kind, decode_block, decode_certified, decode_payload
from protocol.group.vote import LIST_ELECTORATE, NIL, Proposal, Vote, check_equivocation, decode_statement
from protocol.node.effects import Effect, Publish
from protocol.node.messages import SIGNED, pack_signed
from protocol.node.records import PROOF
from protocol.tracking.verdict import Reason
from tests.support.node_cluster import Cluster, Peer
from tests.support.operators import operator

HONEST = tuple(operator(number) for number in range(4))
LIAR = operator(4)
EVERYBODY = (*HONEST, LIAR)
JUDGED_AT = 11
TURN_MAX = 80
"""Height by which the liar must have had to propose: whose turn it is follows from the network's id."""
WORDS = (b"\x98\xa4vote", b"\x99\xa8proposal")


class WithLiar(Cluster):
    """Whatever the liar votes on, it votes for something else too, as long as `lies` says so."""

    def __init__(self, electorate: str, kind: type = Vote) -> None:
        self.electorate, self.kind = electorate, kind
        self.lies = True
        self.told: list[bytes] = []
        super().__init__(EVERYBODY)

    def carry(self, peer: Peer, effects: Sequence[Effect]) -> None:
        super().carry(peer, effects)
        if peer.operator is LIAR and self.lies:
            twice = [self.other(effect) for effect in effects if isinstance(effect, Publish)]
            super().carry(peer, [effect for effect in twice if effect is not None])

    def other(self, effect: Publish) -> Publish | None:
        """Return the liar's second statement in the slot of its first."""
        if effect.data[0] != SIGNED or not effect.data[65:].startswith(
            (b"\x98\xa4vote", b"\x99\xa8proposal")
        ):
            return None
        said = decode_statement(effect.data[65:])
        if said.signer != LIAR.key or said.electorate != self.electorate or not isinstance(said, self.kind):
            return None
        if isinstance(said, Proposal):
            bent: Vote | Proposal = replace(said, value=said.value + b"\x00")
        else:
            bent = replace(said, block_hash=NIL if said.block_hash else b"\x01" * 32)
        self.told.append(pack_signed(LIAR.signer.sign(encode(bent))))
        return Publish(effect.topic, self.told[-1])


def kinds(cluster: Cluster) -> list[Kind]:
    group = cluster[HONEST[0]].node.group
    blocks = (group.certified(height) or b"" for height in range(1, group.state.height + 1))
    return [decode_block(decode_certified(block).block).kind for block in blocks]


@pytest.mark.parametrize("kind", [Vote, Proposal])
def test_who_votes_twice_is_expelled_and_the_rest_goes_on(kind: type) -> None:
    cluster = WithLiar(cluster_name(), kind)
    while not cluster.told:
        cluster.mine()
        assert cluster.chain.tip()[0] < TURN_MAX, "the liar never had its turn"
    cluster.mine(27)
    made = kinds(cluster)
    at = made.index(Kind.EVIDENCE)
    assert made[at + 1] is Kind.LINK and made.count(Kind.EVIDENCE) == 1
    assert made[at + 2 :].count(Kind.VERDICT) >= 2
    for one in HONEST:
        node = cluster[one].node
        assert node.group.state.head == cluster[HONEST[0]].node.group.state.head
        assert LIAR.key not in node.group.state.membership and LIAR.key not in node.group.electorate
        assert all(founder.key in node.group.electorate for founder in HONEST)
        assert not list(cluster[one].store.iterate(PROOF))
        assert len(cluster[one].events("equivocation")) == 1
        assert not cluster[one].punished  # its connection is not what it loses
        assert node.lister.period >= 3 and LIAR.key not in node.lister.electorate


def cluster_name() -> str:
    """Return the name under which the only group votes."""
    return "group:"


def test_the_proof_in_the_block_convicts_the_liar_before_anybody() -> None:
    cluster = WithLiar(cluster_name())
    cluster.mine_to(JUDGED_AT + 3)
    group = cluster[HONEST[0]].node.group
    at = kinds(cluster).index(Kind.EVIDENCE) + 1
    payload = decode_payload(decode_block(decode_certified(group.certified(at) or b"").block))
    assert isinstance(payload, EvidencePayload)
    assert [check_equivocation(proof, group.state.network) for proof in payload.proofs] == [LIAR.key]


def test_an_expelled_member_is_still_judged_as_an_operator_and_judges_nobody() -> None:
    cluster = WithLiar(cluster_name())
    cluster.mine_to(JUDGED_AT + 2)
    cluster.lies = False
    assert LIAR.key not in cluster[HONEST[0]].node.group.electorate
    cluster.mine_to(JUDGED_AT + 6)
    record = cluster[HONEST[0]].node.group.verdicts(3)
    assert record is not None
    assert {verdict.operator_key: verdict.reason for verdict in record.verdicts}[LIAR.key] is Reason.VALID
    assert not cluster[LIAR].node.tracker.is_judge


def test_who_votes_twice_on_a_list_is_expelled_too() -> None:
    cluster = WithLiar(LIST_ELECTORATE)
    cluster.mine_to(23)
    assert cluster.told
    assert Kind.EVIDENCE in kinds(cluster)
    assert LIAR.key not in cluster[HONEST[0]].node.group.electorate
    assert cluster[HONEST[0]].node.lister.period >= 2


def test_a_proof_outlives_a_restart_until_its_block() -> None:
    cluster = WithLiar(cluster_name())
    cluster.mine_to(4)
    cluster.cut = {HONEST[2].key, HONEST[3].key}  # no quorum: nothing is decided
    cluster.submit(HONEST[0], operator(7).envelope(network=cluster[HONEST[0]].node.network))
    cluster.mine_to(6)
    store = cluster[HONEST[0]].store
    assert list(store.iterate(PROOF)), "the liar was not caught"
    cluster.restart(HONEST[0])
    cluster.restart(HONEST[1])
    assert list(store.iterate(PROOF))
    cluster.lies = False
    cluster.heal()
    cluster.mine_to(JUDGED_AT + 1)
    cluster.run(10_000)
    assert Kind.EVIDENCE in kinds(cluster) and not list(store.iterate(PROOF))
