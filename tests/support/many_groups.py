"""Clusters of real nodes whose group splits at once, and what is asked of them in tests."""

import random
from collections.abc import Sequence
from functools import cache

from protocol.codec import replace
from protocol.crypto import SIGNATURE_SIZE
from protocol.genesis import Genesis
from protocol.group.certificate import Certificate
from protocol.group.data_block import CertifiedBlock, block_hash, decode_block
from protocol.group.data_chain import DataChain
from protocol.group.membership import genesis_membership
from protocol.group.name import bits
from protocol.group.vote import EquivocationProof, Phase, Slot, equivocation_proof, vote_body
from protocol.node.groups import Groups
from protocol.node.records import BLOCK
from protocol.parameters import MINIMAL
from tests.support.founding import founded_by
from tests.support.node_cluster import Cluster, Peer
from tests.support.operators import Operator, operator

GROUP_SIZE = 2
PARAMETERS = replace(MINIMAL, group_size=GROUP_SIZE)
ATTEMPTS_MAX = 500


@cache
def founding(count: int, least: int, depth: int = 1) -> tuple[Genesis, tuple[Operator, ...]]:
    """Return so many founders, of whom at least `least` are behind each prefix of `depth` bits."""
    for attempt in range(ATTEMPTS_MAX):
        numbers = range(attempt * count, (attempt + 1) * count)
        founders = tuple(sorted(map(operator, numbers), key=lambda one: one.key))
        genesis = founded_by(founders, parameters=PARAMETERS)
        names = [bits(member.name, depth) for member in genesis_membership(genesis).members]
        if min(names.count(format(number, f"0{depth}b")) for number in range(1 << depth)) >= least:
            return genesis, founders
    raise AssertionError("no founders whose names fall so evenly")


def splitting(count: int = 8, *, others: Sequence[Operator] = (), joins: bool = False) -> Cluster:
    """Return a cluster that has just enough founders on both sides to split."""
    genesis, founders = founding(count, GROUP_SIZE + 1)
    return Cluster(founders, others=others, genesis=genesis, joins=joins)


@cache
def founding_of_three() -> tuple[Genesis, tuple[Operator, ...]]:
    """Return founders whose network splits into 00, 01 and 1: too few are behind 10 or 11."""
    for attempt in range(ATTEMPTS_MAX):
        founders = tuple(
            sorted(map(operator, range(attempt * 12, (attempt + 1) * 12)), key=lambda one: one.key)
        )
        genesis = founded_by(founders, parameters=PARAMETERS)
        names = [bits(member.name, 2) for member in genesis_membership(genesis).members]
        zeros, ones = ([names.count(half + bit) for bit in "01"] for half in "01")
        if min(zeros) > GROUP_SIZE >= min(ones) and sum(ones) > GROUP_SIZE + 1:
            return genesis, founders
    raise AssertionError("no founders whose names fall so")


def members(cluster: Cluster, prefix: str) -> list[Operator]:
    """Return the operators of a live group, as the first node has it."""
    there = next(iter(cluster.peers.values())).node.groups[prefix].state.membership
    return [peer.operator for key, peer in cluster.peers.items() if key in there]


def standing(groups: Groups) -> list[tuple[str, int, bytes]]:
    """Return where all live chains stand."""
    return [(head.prefix, head.height, head.block_hash) for head in groups.archive.heads()]


def states(groups: Groups) -> list[DataChain]:
    """Return the state of every live group."""
    return [machine.state for machine in groups]


def stored(peer: Peer) -> list[tuple[bytes, bytes]]:
    """Return the record of a node's blocks."""
    return list(peer.store.iterate(BLOCK))


def same_everywhere(cluster: Cluster) -> bool:
    """Whether all nodes hold the same chains."""
    nodes = [peer.node for peer in cluster.peers.values()]
    return all(states(node.groups) == states(nodes[0].groups) for node in nodes)


def certify(cluster: Cluster, prefix: str, body: bytes) -> CertifiedBlock:
    """Return a block with the certificate of all voters of a group, whatever it says."""
    height, network = decode_block(body).height, next(iter(cluster.peers.values())).node.network
    slot = Slot(network, f"group:{prefix}", height, 0, Phase.PRECOMMIT)
    signed = [
        (bytes(one.key), one.signer.sign(vote_body(slot, block_hash(body), one.key))[:SIGNATURE_SIZE])
        for one in members(cluster, prefix)
    ]
    certificate = Certificate(
        electorate=f"group:{prefix}",
        height=height,
        round=0,
        block_hash=block_hash(body),
        signatures=tuple(sorted(signed)),
    )
    return CertifiedBlock(block=body, certificate=certificate)


def contradiction(cluster: Cluster, one: Operator) -> EquivocationProof:
    """Return the proof that an operator voted for two things in one slot, long ahead."""
    network = next(iter(cluster.peers.values())).node.network
    slot = Slot(network, "group:", 999, 0, Phase.PREVOTE)
    votes = [one.signer.sign(vote_body(slot, bytes([n]) * 32, one.key)) for n in (1, 2)]
    proof = equivocation_proof(*votes)
    assert proof is not None
    return proof


def convict(cluster: Cluster, one: Operator) -> None:
    """Let everybody hear of a proof against an operator."""
    proof = contradiction(cluster, one)
    for peer in cluster.peers.values():
        cluster.carry(peer, peer.node.groups.accuse(proof))
    cluster.run(2_000)


def shuffled(items: Sequence[bytes], seed: int) -> list[bytes]:
    """Return the items in another order."""
    mixed = list(items)
    random.Random(seed).shuffle(mixed)
    return mixed
