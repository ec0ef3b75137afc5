"""Vectors of groups that split and merge: their blocks, and what every group knows when it begins.

Format: `spec/partition.md`.
"""

from typing import Any

from protocol.genesis import encode_genesis
from protocol.group.blockmaker import build_evidence, build_link, build_register, build_split
from protocol.group.data_block import block_hash, decode_block, decode_certified
from protocol.group.data_chain import DataChain
from tests.support.groups_world import Groups
from tests.vectors.registry import vectors

SEQ = 1


class Recorder(Groups):
    """Writes down each block, what it led to, and which groups begin after it."""

    def __post_init__(self) -> None:
        self.steps: list[dict[str, Any]] = []
        self.begun: list[DataChain] = []
        super().__post_init__()

    def advance(self, body: bytes) -> None:
        self.begun.clear()
        super().advance(body)
        block = decode_block(body)
        self.steps.append(
            {
                "certified": self.blocks[-1].hex(),
                "kind": block.kind.name,
                "block_hash": block_hash(decode_certified(self.blocks[-1]).block).hex(),
                "after": said_of(self.past[block.prefix, block.height]),
                "begins": [said_of(state) for state in self.begun],
            }
        )

    def _begin(self, state: DataChain, parents: Any = ()) -> None:
        super()._begin(state, parents)
        self.begun.append(state)


def said_of(state: DataChain) -> dict[str, Any]:
    """What another implementation can compare."""
    return {
        "prefix": state.prefix,
        "height": state.height,
        "head": state.head.hex(),
        "stamp_height": state.stamp_height,
        "closed_by": state.closed_by.name if state.closed_by else None,
        "splits": list(state.splits),
        "link": state.link,
        "link_due": state.link_due,
        "members_root": state.membership.root().hex(),
        "voters": [voter.operator_key.hex() for voter in state.electorate.voters],
        "left": {key.hex(): seat.age for key, seat in sorted(state.left.items())},
        "granted": [key.hex() for key in sorted(state.granted)],
        "read": dict(sorted(state.read.items())),
        "registered": [key.hex() for key in state.book.in_force(SEQ * 8)],
        "unjudged": list(state.unjudged(SEQ)),
        "holders": {slot.hex(): key.hex() for slot, key in state.holders.items()},
    }


@vectors("partition", "story")
def story() -> dict[str, Any]:
    """The whole splits, then 1; 0 becomes too small, for its sake 10 and 11 come together; all is one."""
    world = Recorder(count=16, tip=7, depth=2)
    tell(world)
    return {
        "genesis": encode_genesis(world.genesis).hex(),
        "chain": [block.hex() for block, _ in world.chain.blocks],
        "blocks": world.steps,
    }


def tell(world: Recorder) -> None:
    register(world, "")
    world.advance(build_split(world.at(""), world.chain))
    link(world, "0", "1")
    register(world, "0")
    world.judge("1", SEQ, [one.block_hash for one in world.registers("0", 0)])
    world.chain.mine_to(16)
    world.advance(build_split(world.at("1"), world.chain))
    link(world, "10", "11")
    guilty = [world.contradiction(one) for one in world.voters("0")[1:]]
    world.advance(build_evidence(world.at("0"), world.chain, guilty))
    link(world, "0")
    world.merge("0")
    world.merge("11", because="0")
    world.merge("10", because="11")
    link(world, "1")
    world.merge("1", because="0")
    link(world, "")


def register(world: Recorder, prefix: str) -> None:
    (one,) = world.strangers(prefix, 1)
    envelope = one.envelope(len(world.steps) + 1, network=world.network)
    world.advance(build_register(world.at(prefix), world.chain, [envelope], []))


def link(world: Recorder, *prefixes: str) -> None:
    for prefix in prefixes:
        while world.at(prefix).link_due:
            world.advance(build_link(world.state, world.chain))
