"""Vectors of moves: entropy, candidates, and the story of two groups whose members come, move and go.

Formats: the pages `spec/relocation.md` and `spec/membership.md`.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

from protocol.crypto import sha3_256
from protocol.errors import ProtocolError
from protocol.genesis import encode_genesis
from protocol.group.data_block import (
    AdmitPayload,
    RelocatePayload,
    block_hash,
    decode_block,
    decode_certified,
    decode_payload,
)
from protocol.group.data_chain import DataChain
from protocol.group.entropy import FRESH_CHALLENGES, entropy_height
from protocol.group.membership import Member, Membership
from protocol.group.movemaker import build_readmit, build_rejoin, build_return
from protocol.group.name import assign_name
from protocol.group.relocation import candidate, due_move, is_ticket
from protocol.group.state import GroupState
from protocol.parameters import PRESETS
from protocol.units import Hash32, OperatorKey
from tests.support.moves_world import JOINERS, Moves
from tests.vectors.registry import vectors


@vectors("relocation", "entropy")
def entropy() -> list[dict[str, Any]]:
    return [
        {
            "preset": preset,
            "seq": seq,
            "entropy_height": entropy_height(seq, parameters),
            "fresh_below": entropy_height(seq + FRESH_CHALLENGES, parameters),
        }
        for preset, parameters in sorted(PRESETS.items())
        for seq in (1, 2, 1_000)
    ]


@vectors("relocation", "candidates")
def candidates() -> list[dict[str, Any]]:
    """Groups with G = 3: each member's age and events, and who moves as what."""
    return [
        chosen(members)
        for members in (
            [(1, 1), (1, 0), (2, 3), (1, 1)],
            [(1, 2), (1, 3), (1, 3), (2, 3)],
            [(1, 2), (1, 3), (1, 3), (2, 4)],
            [(4, 16), (0, 0), (0, 1), (5, 32)],
            [(1, 2), (1, 1), (2, 4)],
            [(255, 1 << 20), (0, 0)],
        )
    ]


def chosen(members: list[tuple[int, int]]) -> dict[str, Any]:
    drawn = sha3_256(b"entropy", bytes(len(members)))
    state, stamp = group_of(members), 100
    member = candidate(state, drawn, stamp)
    moved = due_move(state, member, 7, drawn) if member else None
    return {
        "group_size": state.genesis.parameters.group_size,
        "entropy": drawn.hex(),
        "members": [
            {
                "operator_key": one.operator_key.hex(),
                "age": one.age,
                "name": one.name.hex(),
                "events": state.events[OperatorKey(one.operator_key)],
            }
            for one in state.membership.members
        ],
        "moves": moved
        and {"operator_key": moved.operator_key.hex(), "age": moved.age, "name": moved.name.hex()},
    }


def group_of(members: list[tuple[int, int]]) -> GroupState:
    keys = [OperatorKey(sha3_256(b"member", bytes([number]))) for number in range(len(members))]
    membership = Membership.of(
        Member(operator_key=key, age=age, name=assign_name(age, key, b"seed"), prefix="", joined=0)
        for key, (age, _) in zip(keys, members, strict=True)
    )
    return replace(
        Moves(is_split=False).state,
        membership=membership,
        electorate=membership.voters(),
        events={key: events for key, (_, events) in zip(keys, members, strict=True)},
    )


WANTED = {
    *("RELOCATE JOIN", "RELOCATE FIRST", "RELOCATE AGED", "RELOCATE REJOIN", "a move without a ticket"),
    *("ADMIT ticket", "ADMIT ending", "ADMIT verdict", "REFUSE", "EXPIRE", "REMOVE"),
}
"""What the story has to show."""


class Story:
    """Three operators join two groups, founders grow older, one is removed and comes back."""

    def __init__(self, salt: int) -> None:
        self.world = Moves(halves=(4, 4))
        self.world.chain.mine(salt=bytes([salt]))
        self.lost: Hash32 | None = None
        for one in JOINERS[:3]:
            self.world.enrol(one)

    def run(self) -> "Story":
        world, gone = self.world, self.world.voters("0")[0]
        world.hold(2)
        for one in JOINERS[:3]:
            self.arrive(world.join(one, 2))
        world.remove(gone)
        for seq in (3, 4, 5):
            world.hold(seq)
            if seq == 3:
                verdict = world.verdict_on(gone, 3)
                world.settle(build_return(world.at("0"), world.chain, world, gone.key, verdict))
            if seq == 4:
                self.arrive(world.settle(build_rejoin(world.at("0"), world.chain, gone.key)))
            for prefix in "01":
                with suppress(ProtocolError):
                    self.arrive(world.relocate(prefix))
        return self

    def arrive(self, ticket: Hash32) -> None:
        """Let a ticket be taken, or refused where that must be; the first of an aged member expires."""
        world = self.world
        block, moved = world.standings[ticket].block, world.moved(ticket)
        if not is_ticket(block, moved):
            return
        if self.lost is None and moved.why.name == "AGED":
            self.lost = world.expire(ticket)
            state = world.at(block.prefix)
            world.settle(build_readmit(state, world.chain, world, moved.operator_key, self.lost))
            return
        try:
            world.admit(ticket)
        except ProtocolError:
            world.refuse(ticket)

    def told(self) -> set[str]:
        """Which of the things that are wanted it shows."""
        return {name for data in self.world.blocks for name in names_of(decode_certified(data).block)}


def names_of(body: bytes) -> Iterator[str]:
    block = decode_block(body)
    payload = decode_payload(block)
    yield block.kind.name
    if isinstance(payload, RelocatePayload):
        yield f"RELOCATE {payload.why.name}"
        if not is_ticket(block, payload):
            yield "a move without a ticket"
    elif isinstance(payload, AdmitPayload):
        yield "ADMIT " + ("ticket" if payload.ticket else "ending" if payload.ending else "verdict")


@vectors("relocation", "story")
def story() -> dict[str, Any]:
    """The blocks of both groups as they were certified, and what each state says after its block."""
    told = next(one for salt in range(256) if (one := Story(salt).run()).told() >= WANTED)
    world = told.world
    return {
        "genesis": encode_genesis(world.genesis).hex(),
        "chain": [block.hex() for block, _ in world.chain.blocks],
        "blocks": [step(world, data) for data in world.blocks],
    }


def step(world: Moves, data: bytes) -> dict[str, Any]:
    body = decode_certified(data).block
    block = decode_block(body)
    state = world.past[block.prefix, block.height]
    return {
        "certified": data.hex(),
        "kind": block.kind.name,
        "prefix": block.prefix,
        "block_hash": block_hash(body).hex(),
        "after": after(state),
    }


def after(state: DataChain) -> dict[str, Any]:
    return {
        "members": [[one.operator_key.hex(), one.age, one.name.hex()] for one in state.membership.members],
        "members_root": state.membership.root().hex(),
        "events": {key.hex(): count for key, count in sorted(state.events.items())},
        "link": state.link,
        "link_due": state.link_due,
        "move_due": state.move_due,
        "granted": sorted(key.hex() for key in state.granted),
        "away": {
            key.hex(): [one.ticket.hex(), one.age, one.name.hex()] for key, one in sorted(state.away.items())
        },
        "left": {key.hex(): [one.age, one.name.hex()] for key, one in sorted(state.left.items())},
        "returning": {key.hex(): [one.age, one.seq] for key, one in sorted(state.returning.items())},
        "ended": {ticket.hex(): stamp for ticket, stamp in sorted(state.ended.items())},
    }
