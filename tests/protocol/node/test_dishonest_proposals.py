"""Blocks that were really made, changed from within by somebody who can sign: refused, and nobody falls."""

import random
from collections.abc import Callable
from enum import Enum
from typing import Any

import pytest

from protocol.codec import Wire, decode, encode, replace
from protocol.errors import ProtocolError
from protocol.group.data_block import (
    DataBlock,
    VerdictPayload,
    decode_block,
    decode_certified,
    decode_payload,
)
from protocol.group.data_chain import DataChain
from protocol.tracking.observation import Observation
from protocol.tracking.response import Receipt, Response
from tests.support.node_cluster import Cluster
from tests.support.operators import operator

FOUNDERS = tuple(operator(number) for number in range(4))
NEWCOMER = operator(4)
SIGNERS = {one.key: one.signer for one in (*FOUNDERS, NEWCOMER)}
NUMBERS = (0, 1, 2, 2**31, 2**32 - 1, 2**62)
TRIES = 400


def resigned(envelope: bytes, kind: type[Any], owner: str, draw: random.Random) -> bytes:
    """Return a statement with something in it changed, signed by whoever it then claims to be, if we can."""
    changed = bent(decode(envelope[64:], kind), draw)
    signer = SIGNERS.get(getattr(changed, owner), FOUNDERS[0].signer)
    return signer.sign(encode(changed))


def bent(value: Any, draw: random.Random) -> Any:
    """Return `value` with one thing in it changed."""
    match value:
        case Wire():
            name = draw.choice(value.__struct_fields__)
            return replace(value, **{name: bent(getattr(value, name), draw)})
        case bool():
            return not value
        case Enum():
            return draw.choice(list(type(value)))
        case int():
            return draw.choice([*NUMBERS, value + 1, max(0, value - 1)])
        case bytes():
            return draw.choice(
                [bytes(len(value)), value[:-1], value + b"\x01", b"", draw.choice(list(SIGNERS))]
            )
        case str():
            return draw.choice(["", "0", "01", "x"])
        case tuple():
            return bent_tuple(value, draw)
    raise TypeError(f"a {type(value).__name__}")


def bent_tuple(items: tuple[Any, ...], draw: random.Random) -> tuple[Any, ...]:
    """Return the items with one lost, doubled, moved or changed."""
    if not items:
        return (b"\x01",)
    at = draw.randrange(len(items))
    match draw.randrange(4):
        case 0:
            return items[:at] + items[at + 1 :]
        case 1:
            return items[:at] + items[at : at + 1] + items[at:]
        case 2:
            return tuple(draw.sample(items, len(items)))
        case _:
            return (*items[:at], bent(items[at], draw), *items[at + 1 :])


def bent_verdicts(payload: VerdictPayload, draw: random.Random) -> VerdictPayload:
    """Return the payload with the word of somebody in it changed and signed anew."""
    places: list[tuple[str, type[Any], str]] = [
        ("observations", Observation, "judge"),
        ("receipts", Receipt, "judge"),
        ("responses", Response, "operator_key"),
    ]
    name, kind, owner = draw.choice(places)
    items = list(getattr(payload, name))
    if not items:
        return payload
    at = draw.randrange(len(items))
    items[at] = resigned(items[at], kind, owner, draw)
    ordered = items if draw.random() < 0.3 else sorted(items, key=lambda item: item[64:])
    return replace(payload, **{name: tuple(ordered)})


def story(height: int) -> tuple[Cluster, DataChain, bytes]:
    """Return a cluster, the state before its last block, and that block."""
    cluster = Cluster(FOUNDERS, others=[NEWCOMER])
    cluster.mine_to(3)
    cluster.submit(FOUNDERS[0], NEWCOMER.envelope(network=cluster[FOUNDERS[0]].node.network))
    cluster.mine_to(height)
    group = cluster[FOUNDERS[0]].node.group
    state = DataChain.from_genesis(cluster.genesis)
    for at in range(1, group.state.height):
        state = state.apply(decode_certified(group.certified(at) or b""), cluster.chain)
    return cluster, state, decode_certified(group.certified(group.state.height) or b"").block


def bent_block(block: DataBlock, draw: random.Random) -> bytes:
    """Return the block with its frame or its contents changed, one to three times."""
    payload: Any = decode_payload(block)
    for _ in range(draw.randint(1, 3)):
        if isinstance(payload, VerdictPayload) and draw.random() < 0.7:
            payload = bent_verdicts(payload, draw)
        elif draw.random() < 0.2:
            block = bent(block, draw)
        else:
            payload = bent(payload, draw)
    return encode(replace(block, payload=encode(payload)))


def attempts(block: DataBlock, draw: random.Random, offer: Callable[[bytes], None]) -> int:
    """Offer so many changed blocks; return how many could be written down at all."""
    made = 0
    for _ in range(TRIES):
        try:
            body = bent_block(block, draw)
        except (ValueError, OverflowError, ProtocolError, TypeError):
            continue  # not even the one who proposes it could write that down
        made += 1
        offer(body)
    return made


@pytest.mark.parametrize(("height", "payload"), [(5, "RegisterPayload"), (11, "VerdictPayload")])
def test_a_changed_block_is_judged_and_never_breaks_the_judge(height: int, payload: str) -> None:
    cluster, state, body = story(height)
    block, draw = decode_block(body), random.Random(height)
    assert type(decode_payload(block)).__name__ == payload
    refused = 0

    def offer(changed: bytes) -> None:
        nonlocal refused
        try:
            accepted = state.check_block(changed, cluster.chain)
        except ProtocolError:
            refused += 1
        else:  # whatever passes can be applied by everybody: another set of true words, say
            assert accepted.height == block.height and accepted.previous == block.previous

    made = attempts(block, draw, offer)
    assert made > TRIES // 3
    assert refused > made * 3 // 4
