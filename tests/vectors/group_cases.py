"""Vectors of groups: quorums, proposers, votes, certificates, evidence, names, members, a data chain.

Formats: the pages `spec/{quorum,consensus,evidence,group,data_chain}.md`.
"""

from typing import Any

from protocol.codec import encode
from protocol.crypto import Signer, sha3_256
from protocol.errors import InvalidCertificate, InvalidProof
from protocol.genesis import encode_genesis, network_id
from protocol.group.age import age_after_return, events_until_move, older
from protocol.group.blockmaker import build_evidence, build_link, build_register
from protocol.group.certificate import Certificate, check_certificate
from protocol.group.data_block import block_hash, decode_block, decode_certified
from protocol.group.data_chain import DataChain
from protocol.group.membership import genesis_membership
from protocol.group.name import assign_name, bits
from protocol.group.proposer import proposer_order
from protocol.group.quorum import Electorate, Quorum, Voter
from protocol.group.vote import (
    NIL,
    EquivocationProof,
    Phase,
    Slot,
    check_equivocation,
    equivocation_proof,
    vote_body,
)
from tests.support.group_world import Group
from tests.support.operators import operator
from tests.vectors.registry import vectors

NETWORK = sha3_256(b"a network")
SIGNERS = tuple(sorted((Signer(bytes([n]) * 32) for n in range(1, 6)), key=lambda s: s.operator_key))
AGES = (1, 2, 3, 4, 90)
ELECTORATE = Electorate.of(
    Voter(operator_key=signer.operator_key, age=age) for signer, age in zip(SIGNERS, AGES, strict=True)
)
STRANGER = next(one for n in range(9, 99) if (one := Signer(bytes([n]) * 32)).operator_key[0] > 0xF0)
"""Its key sorts behind the voters'."""
HASH = sha3_256(b"a value")


@vectors("quorum", "quorums")
def quorums() -> list[dict[str, Any]]:
    """For each set of places in `ages`, which quorums it holds."""
    cases = []
    for ages in ((1,), (1, 1, 1), (2, 2, 2, 2), (1, 1, 1, 100), (5, 4, 3, 2, 1, 1, 1)):
        keys = [bytes([number]) * 32 for number in range(len(ages))]
        electorate = Electorate.of(
            Voter(operator_key=key, age=age) for key, age in zip(keys, ages, strict=True)
        )
        for chosen in range(1 << len(ages)):
            places = [place for place in range(len(ages)) if chosen >> place & 1]
            held = [q.name for q in Quorum if electorate.is_quorum(q, (keys[place] for place in places))]
            cases.append({"ages": ages, "chosen": places, "holds": held})
    return cases


@vectors("consensus", "proposers")
def proposers() -> list[dict[str, Any]]:
    return [
        {
            "network": NETWORK.hex(),
            "electorate": name,
            "height": height,
            "voters": [voter.operator_key.hex() for voter in ELECTORATE.voters],
            "order": [key.hex() for key in proposer_order(NETWORK, name, ELECTORATE, height)],
        }
        for name in ("group:", "group:01", "list")
        for height in (1, 2, 1_000_000)
    ]


def signed_vote(signer: Signer, slot: Slot, value: bytes) -> bytes:
    return signer.sign(vote_body(slot, value, signer.operator_key))


@vectors("consensus", "votes")
def votes() -> list[dict[str, Any]]:
    cases = []
    for number, phase in enumerate((Phase.PREVOTE, Phase.PRECOMMIT)):
        for value in (HASH, NIL):
            slot = Slot(NETWORK, "group:01", 7, 300, phase)
            cases.append(
                {
                    "seed": (bytes([number + 1]) * 32).hex(),
                    "network": NETWORK.hex(),
                    "electorate": slot.electorate,
                    "height": slot.height,
                    "round": slot.round,
                    "phase": int(phase),
                    "block_hash": value.hex(),
                    "envelope": signed_vote(Signer(bytes([number + 1]) * 32), slot, value).hex(),
                }
            )
    return cases


def certificate(signers: tuple[Signer, ...], phase: Phase = Phase.PRECOMMIT, round_: int = 1) -> Certificate:
    slot = Slot(NETWORK, "group:", 4, round_, phase)
    return Certificate(
        electorate="group:",
        height=4,
        round=1,
        block_hash=HASH,
        signatures=tuple((s.operator_key, signed_vote(s, slot, HASH)[:64]) for s in signers),
    )


def verdict_on(given: Certificate) -> str:
    try:
        check_certificate(given, NETWORK, ELECTORATE)
    except InvalidCertificate as error:
        return str(error)
    return "valid"


@vectors("consensus", "certificates")
def certificates() -> dict[str, Any]:
    given = {
        "all": certificate(SIGNERS),
        "four heads, the eldest among them": certificate(SIGNERS[1:]),
        "four heads without the eldest": certificate(SIGNERS[:4]),
        "three heads of five": certificate(SIGNERS[2:]),
        "prevotes": certificate(SIGNERS, Phase.PREVOTE),
        "precommits of another round": certificate(SIGNERS, round_=2),
        "a stranger": certificate(
            tuple(sorted((*SIGNERS, Signer(b"\x09" * 32)), key=lambda s: s.operator_key))
        ),
    }
    return {
        "network": NETWORK.hex(),
        "voters": [[voter.operator_key.hex(), voter.age] for voter in ELECTORATE.voters],
        "certificates": [
            {"name": name, "certificate": encode(one).hex(), "verdict": verdict_on(one)}
            for name, one in given.items()
        ],
    }


@vectors("evidence", "proofs")
def proofs() -> list[dict[str, Any]]:
    slot, later = (Slot(NETWORK, "group:", 4, round_, Phase.PREVOTE) for round_ in (1, 2))
    one = signed_vote(SIGNERS[0], slot, HASH)
    others = {
        "two hashes": signed_vote(SIGNERS[0], slot, sha3_256(b"another value")),
        "a hash and nothing": signed_vote(SIGNERS[0], slot, NIL),
        "two rounds": signed_vote(SIGNERS[0], later, NIL),
        "two signers": signed_vote(SIGNERS[1], slot, NIL),
        "not signed": bytes(64) + signed_vote(SIGNERS[0], slot, NIL)[64:],
    }
    cases = []
    for name, other in others.items():
        proof = equivocation_proof(one, other)
        assert proof is not None
        cases.append({"name": name, "network": NETWORK.hex(), "proof": encode(proof).hex()} | judged(proof))
    return cases


def judged(proof: EquivocationProof) -> dict[str, str]:
    try:
        return {"guilty": check_equivocation(proof, NETWORK).hex()}
    except InvalidProof as error:
        return {"refused": str(error)}


@vectors("group", "names")
def names() -> list[dict[str, Any]]:
    cases = []
    for age in (0, 1, 255):
        key, entropy = SIGNERS[age % 5].operator_key, sha3_256(b"entropy", bytes([age]))
        name = assign_name(age, key, entropy)
        cases.append(
            {
                "age": age,
                "operator_key": key.hex(),
                "entropy": entropy.hex(),
                "name": name.hex(),
                "first_bits": bits(name, 12),
                "events_until_move": str(events_until_move(age)),
                "older": older(age),
                "age_after_return": age_after_return(age),
            }
        )
    return cases


@vectors("group", "members")
def members() -> dict[str, Any]:
    genesis = Group().genesis
    membership = genesis_membership(genesis)
    return {
        "genesis": encode_genesis(genesis).hex(),
        "network": network_id(genesis).hex(),
        "members": [encode(member).hex() for member in membership.members],
        "root": membership.root().hex(),
    }


@vectors("data_chain", "story")
def story() -> dict[str, Any]:
    """A registration, a challenge, a conviction and its link, as a newcomer replays them."""
    group = Group()
    group.advance(build_register(group.state, group.chain, [group.registration(operator(9))], []))
    group.advance(group.verdict_block())
    proof = group.contradiction(group.founders[2])
    group.advance(build_evidence(group.state, group.chain, [proof]))
    group.advance(build_link(group.state, group.chain))
    state, steps = DataChain.from_genesis(group.genesis), []
    for data in group.blocks:
        certified = decode_certified(data)
        state = state.apply(certified, group.chain)
        steps.append(
            {
                "certified": data.hex(),
                "kind": decode_block(certified.block).kind.name,
                "block_hash": block_hash(certified.block).hex(),
                "members_root": state.membership.root().hex(),
                "voters": len(state.electorate),
                "link": state.link,
                "registered": [key.hex() for key in state.book.in_force(16)],
                "holders": {slot.hex(): key.hex() for slot, key in state.holders.items()},
                "judged": sorted(state.judged),
            }
        )
    return {
        "genesis": encode_genesis(group.genesis).hex(),
        "chain": [block.hex() for block, _ in group.chain.blocks],
        "blocks": steps,
    }
