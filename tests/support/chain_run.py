"""A node's life in short: payments, a reorganisation, a branch that turns out invalid; the same every time.

`python -m tests.support.chain_run FOLDER` lives it over and over in a LevelDB store, until it is
killed, and says after each block which one it was.
"""

import sys
from pathlib import Path

from protocol.chain.block import Block
from protocol.chain.transaction import OutPoint
from protocol.errors import InvalidChainData
from protocol.units import COIN
from tests.support import embedded_chain as made
from zenp2p.chain.embedded.chain import EmbeddedChain
from zenp2p.chain.embedded.definition import ChainDefinition
from zenp2p.chain.follower import Follower
from zenp2p.chain.index import ChainIndex
from zenp2p.ports import Store
from zenp2p.store import LevelStore

STEPS_MAX = 1_000


def story() -> tuple[ChainDefinition, list[Block]]:
    """Return a chain and blocks in an order in which it changes its mind twice, and once almost."""
    definition = made.definition()
    alice, bob = made.address_of("alice"), made.address_of("bob")
    first = made.pay("alice", [made.allocation(definition)], [(bob, 400 * COIN), (alice, 600 * COIN - 7)])
    spent = (OutPoint(first.txid, 0), first.outputs[0].script)
    second = made.pay("bob", [spent], [(alice, 150 * COIN), (bob, 250 * COIN)])
    one = made.Branch(definition)
    one.grow(2)
    one.grow(2, [first, second], fees=7)
    two = one.fork(2)
    two.grow(3, [first], fees=7, salt=1)
    bad = one.fork(3)
    bad.grow(2, salt=2)
    bad.blocks.append(made.make_block(definition, bad.blocks[-1], 6, fees=1))  # a zatoshi too much
    three = two.fork(4)
    three.grow(4, salt=3)
    order = [*one.blocks[1:], *two.blocks[3:], *bad.blocks[4:], *three.blocks[5:]]
    return definition, order


def longer_story(rounds: int) -> tuple[ChainDefinition, list[Block]]:
    """Return a chain that is overtaken by a branch of one block more, again and again."""
    definition = made.definition()
    order: list[Block] = []
    last = made.Branch(definition)
    last.grow(3)
    order += last.blocks[1:]
    for number in range(rounds):
        other = last.fork(len(last.blocks) - 3)
        other.grow(3, salt=number + 1)
        order += other.blocks[-3:]
        last = other
    return definition, order


def live(definition: ChainDefinition, blocks: list[Block], store: Store) -> tuple[EmbeddedChain, ChainIndex]:
    """Open chain and index, take the blocks, let the index follow after each; return both."""
    chain = EmbeddedChain(definition, store)
    index = ChainIndex(store, definition.rules)
    follower = Follower(chain, index)
    for block in blocks:
        take(chain, block)
        for _ in follower.follow(STEPS_MAX):
            pass
    return chain, index


def take(chain: EmbeddedChain, block: Block) -> None:
    """Add a block; an invalid one changes nothing."""
    try:
        chain.add_block(block.raw, made.far_future())
    except InvalidChainData:
        return


def main(folder: Path) -> None:
    """Live on and on until killed."""
    definition, blocks = longer_story(400)
    store = LevelStore(folder, free_bytes_min=0)
    chain = EmbeddedChain(definition, store)
    follower = Follower(chain, ChainIndex(store, definition.rules))
    for number, block in enumerate(blocks):
        take(chain, block)
        for _ in follower.follow(2):
            pass
        print(number, flush=True)
    print("done", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
