"""Vectors of absorbing a stopped group: payloads, marks, and a story. Format: `spec/absorb.md`."""

from collections.abc import Callable
from typing import Any

from protocol.chain.mark import LIFE_MAGIC, SUMMONS_MAGIC, Mark
from protocol.codec import encode
from protocol.crypto import sha3_256
from protocol.errors import MalformedMessage
from protocol.genesis import encode_genesis
from protocol.group.data_block import AbsorbPayload, DataBlock, Kind, Step, decode_payload
from protocol.group.data_chain import DataChain
from protocol.group.summons import encode_life, encode_summons, read_life, read_summons, summons_of
from protocol.units import Height
from tests.support.standoff_world import TERM, THREE, World
from tests.vectors.registry import vectors

HEAD, BLOCK = sha3_256(b"a head"), sha3_256(b"a block")
SUMMONS = encode_summons(summons_of("0110", 77, HEAD, BLOCK))


@vectors("absorb", "payloads")
def payloads() -> list[dict[str, Any]]:
    summon = AbsorbPayload(step=Step.SUMMON, prefix="0110", height=77, head=HEAD, summons=b"")
    take = AbsorbPayload(step=Step.TAKE, prefix="0110", height=77, head=HEAD, summons=BLOCK)
    drop = AbsorbPayload(step=Step.DROP, prefix="1", height=0, head=HEAD, summons=BLOCK)
    cases = {
        "summon": encode(summon),
        "take": encode(take),
        "drop": encode(drop),
        "a summons that names one": encode(take).replace(b"\x02\xa40110", b"\x01\xa40110"),
        "a taking over that names none": encode(summon).replace(b"\x01\xa40110", b"\x02\xa40110"),
        "of the whole network": encode(summon).replace(b"\xa40110", b"\xa0"),
        "no prefix": encode(summon).replace(b"\xa40110", b"\xa40120"),
        "an unknown step": encode(take).replace(b"\x02\xa40110", b"\x04\xa40110"),
    }
    return [{"name": name, "payload": data.hex(), "says": _absorb(data)} for name, data in cases.items()]


def _absorb(data: bytes) -> dict[str, Any] | None:
    block = DataBlock(
        network=bytes(32),
        prefix="0111",
        height=1,
        previous=bytes(32),
        stamp_height=0,
        stamp_hash=bytes(32),
        kind=Kind.ABSORB,
        payload=data,
    )
    try:
        payload = decode_payload(block)
    except MalformedMessage:
        return None
    assert isinstance(payload, AbsorbPayload)
    return {
        "step": payload.step.name,
        "prefix": payload.prefix,
        "height": payload.height,
        "head": payload.head.hex(),
        "summons": payload.summons.hex(),
    }


@vectors("absorb", "marks")
def marks() -> list[dict[str, Any]]:
    cases = {
        "summons": SUMMONS,
        "summons of a group of 247 bits": encode_summons(summons_of("1" * 247, 1 << 40, HEAD, BLOCK)),
        "sign of life": encode_life(BLOCK),
        "no bits": SUMMONS_MAGIC + b"\x00" + SUMMONS[6:],
        "too many bits": SUMMONS_MAGIC + b"\xf8" + SUMMONS[6:],
        "a last bit of 2": SUMMONS[:6] + b"\x02" + SUMMONS[7:],
        "a summons with a byte behind it": SUMMONS + b"\x00",
        "a summons cut off": SUMMONS[:-1],
        "a sign of life with a byte behind it": encode_life(BLOCK) + b"\x00",
        "a sign of life cut off": LIFE_MAGIC + BLOCK[:-1],
        "type 2": b"zp2p\x02" + BLOCK,
    }
    return [{"name": name, "payload": data.hex(), "says": _mark(data)} for name, data in cases.items()]


def _mark(data: bytes) -> dict[str, Any] | None:
    mark = Mark(0, Height(0), data, ())
    summons, life = read_summons(mark), read_life(mark)
    if summons is not None:
        return {
            "bits": summons.bits,
            "last_bit": summons.last_bit,
            "height": summons.height,
            "head": summons.head.hex(),
            "block": summons.block.hex(),
        }
    return None if life is None else {"shown": life.hex()}


class Recorder(World):
    """Tells a story: each block, with the chain's height when it was certified and the state after it."""

    def __post_init__(self) -> None:
        self.steps: list[dict[str, Any]] = []
        super().__post_init__()

    def make(self, prefix: str, build: Callable[[DataChain, Any], bytes], side: Any = None) -> bool:
        made = super().make(prefix, build, side)
        if made:
            hashed, certified = list(self.certified.items())[-1]
            states = self.near.live
            self.steps.append(
                {
                    "chain_height": self.chain.tip()[0],
                    "block": encode(certified).hex(),
                    "hash": hashed.hex(),
                    "groups": {prefix: _state(state) for prefix, state in sorted(states.items())},
                }
            )
        return made


def _state(state: DataChain) -> dict[str, Any]:
    return {
        "height": state.height,
        "head": state.head.hex(),
        "link_due": state.link_due,
        "members_root": state.membership.root().hex(),
        "left": {key.hex(): seat.age for key, seat in sorted(state.left.items())},
        "summons": state.summons.block_hash.hex() if state.summons else None,
        "unjudged": {str(seq): list(state.unjudged(seq)) for seq in range(1, 8)},
        "voids": [[void.prefix, void.above, void.beside, void.through] for void in state.voids],
    }


@vectors("absorb", "story")
def story() -> dict[str, Any]:
    """1 is summoned and shows itself; it falls silent, is summoned again, and absorbed."""
    world = Recorder()
    world.mine(TERM)
    assert world.summon("0")
    world.mine_summons("0")
    assert world.register("1")
    world.show_life("1")
    assert world.drop("0")
    world.mine(TERM)
    assert world.summon("0")
    mined = world.mine_summons("0")
    world.mine(mined + TERM + world.genesis.parameters.burial - world.chain.tip()[0])
    assert world.absorb("0") and world.link("")
    return _told(world)


@vectors("absorb", "halves")
def halves() -> dict[str, Any]:
    """1 has stopped beside 00 and 01: they come together for it, and the whole absorbs it."""
    world = Recorder(THREE)
    every = world.genesis.parameters.challenge_every
    for half in ("00", "01"):
        world.mine(-(-TERM // every) * every)
        assert world.register(half)
    world.mine(every - world.chain.tip()[0] % every)
    assert world.rejoin("00") and world.merge("01") and world.link("0") and world.summon("0")
    mined = world.mine_summons("0")
    world.mine(mined + TERM + world.genesis.parameters.burial - world.chain.tip()[0])
    assert world.absorb("0") and world.link("")
    return _told(world)


def _told(world: Recorder) -> dict[str, Any]:
    return {
        "genesis": encode_genesis(world.genesis).hex(),
        "chain": [block.hex() for block, _ in world.chain.blocks],
        "marks": [
            {
                "height": mark.height,
                "ordinal": mark.ordinal,
                "payload": mark.payload.hex(),
                "signed": [address.hex() for address in mark.signed],
            }
            for mark in world.chain.marks(0, world.chain.tip()[0])
        ],
        "blocks": world.steps,
    }
