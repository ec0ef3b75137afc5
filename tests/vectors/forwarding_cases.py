"""Vectors of the duty to forward: whose a block is, reports, and removals. Format: `spec/forwarding.md`."""

from collections.abc import Sequence
from typing import Any

from protocol.codec import encode
from protocol.crypto import sha3_256
from protocol.errors import ProtocolError
from protocol.group.elsewhere import Standing
from protocol.group.membership import Member, Membership
from protocol.group.resend import Resend, build_resend
from tests.support.forwarding_world import Forwards
from tests.support.operators import operator
from tests.vectors.registry import vectors

NETWORK = sha3_256(b"a network")


@vectors("forwarding", "turns")
def turns() -> list[dict[str, Any]]:
    """For members and a block's hash: in which order the block is theirs to forward."""
    members = Membership.of(
        Member(
            operator_key=operator(number).key,
            age=number % 4,
            name=sha3_256(bytes([number])),
            prefix="",
            joined=0,
        )
        for number in range(7)
    )
    return [
        {
            "members": [encode(member).hex() for member in members.members],
            "block_hash": hashed.hex(),
            "order": [key.hex() for key in members.nearest_voters(hashed)],
        }
        for hashed in (bytes(32), b"\xff" * 32, sha3_256(b"a block"))
    ]


@vectors("forwarding", "resends")
def resends() -> list[dict[str, Any]]:
    cases: list[dict[str, Any]] = []
    for prefix, sender_prefix, height in (("0", "1", 1), ("0110", "0111", 300), ("1", "00", 1 << 40)):
        seed = sha3_256(prefix.encode())
        sender = operator(len(cases))
        said = Resend(
            network=NETWORK,
            prefix=prefix,
            height=height,
            block_hash=sha3_256(b"block", seed),
            member=sha3_256(b"member", seed),
            sender_prefix=sender_prefix,
            sender=sender.key,
            group_block=sha3_256(b"group block", seed),
        )
        fields = {"prefix": prefix, "height": height, "sender_prefix": sender_prefix}
        hashes = {"network": said.network, "block_hash": said.block_hash, "member": said.member}
        hashes |= {"sender": said.sender, "group_block": said.group_block}
        envelope = build_resend(sender.signer, said)
        cases.append(
            fields | {name: value.hex() for name, value in hashes.items()} | {"envelope": envelope.hex()}
        )
    return cases


@vectors("forwarding", "removals")
def removals() -> dict[str, Any]:
    """Which of these proofs remove a member, and why others do not."""
    world = Forwards()
    enough = world.voters("1")[: len(world.voters("1")) * 2 // 3 + 1]
    first, second = (world.reports(enough, [missed]) for missed in world.missed)
    late = world.vote(world.lazy, world.missed[1].block.height + 1)
    proofs = [*first, *second, world.presence, late]
    sets = {
        "a quorum on both blocks, and a vote": [*first, *second, world.presence],
        "one too few on the second": [*first, *second[1:], world.presence],
        "one block": [*first, world.presence],
        "no vote": [*first, *second],
        "a vote after the second": [*first, *second, late],
    }
    speaking = world.standings[world.states["1"].head]
    state = world.states["0"]
    return {
        "network": world.network.hex(),
        "member": world.lazy.key.hex(),
        "stamp_height": world.chain.tip()[0] - world.genesis.parameters.burial,
        "members": [encode(member).hex() for member in state.membership.members],
        "blocks": [placed(standing) for standing in (*world.missed, speaking)],
        "proofs": [proof.hex() for proof in proofs],
        "cases": [
            {
                "name": name,
                "proofs": [proofs.index(proof) for proof in chosen],
                "verdict": verdict(world, chosen),
            }
            for name, chosen in sets.items()
        ],
    }


def placed(standing: Standing) -> dict[str, Any]:
    """A block, and the members of its group before it."""
    return {
        "block_hash": standing.block_hash.hex(),
        "prefix": standing.block.prefix,
        "height": standing.block.height,
        "stamp_height": standing.block.stamp_height,
        "members": [encode(member).hex() for member in standing.members.members],
    }


def verdict(world: Forwards, proofs: Sequence[bytes]) -> str:
    try:
        world.removal(proofs)
    except ProtocolError as error:
        return str(error)
    return "removed"
