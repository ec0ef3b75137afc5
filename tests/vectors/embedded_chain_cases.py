"""Vectors of the embedded chain and its index. Formats: `spec/embedded_chain.md`, `spec/index.md`."""

from typing import Any

from protocol.chain.block import block_hash
from protocol.codec import encode, replace
from protocol.units import COIN
from tests.support import embedded_chain as made
from tests.vectors.registry import vectors
from zenp2p.chain.embedded import messages as m
from zenp2p.chain.embedded.coinbase import coinbase_shares
from zenp2p.chain.embedded.definition import ChainDefinition
from zenp2p.chain.follower import Follower
from zenp2p.chain.index import ChainIndex
from zenp2p.store import MemoryStore

NETWORK = b"n" * 32


def vector_branch() -> made.Branch:
    """A branch of three blocks with one payment, spelled out to the nonce."""
    definition = made.definition([(made.address_of("bob"), 42 * COIN)])
    payment = made.pay(
        "alice",
        [made.allocation(definition)],
        [(made.address_of("bob"), 10 * COIN), (made.address_of("alice"), 990 * COIN - 500)],
    )
    branch = made.Branch(definition)
    branch.grow(1)
    branch.grow(2, [payment], fees=500)
    return branch


@vectors("embedded_chain", "genesis")
def genesis() -> list[dict[str, Any]]:
    return [_genesis(made.definition()), _genesis(vector_branch().chain), _genesis(_bare())]


def _bare() -> ChainDefinition:
    definition = made.definition()
    return ChainDefinition(definition.rules, replace(definition.start, allocations=()), definition.treasury)


def _genesis(definition: ChainDefinition) -> dict[str, Any]:
    return {
        "rules": encode(definition.rules).hex(),
        "start": encode(definition.start).hex(),
        "treasury": definition.treasury.hex(),
        "block": definition.genesis.raw.hex(),
        "hash": definition.genesis_hash.hex(),
        "txid": definition.genesis.transactions[0].txid.hex(),
    }


@vectors("embedded_chain", "coinbase")
def coinbase() -> list[dict[str, Any]]:
    cases = []
    for share in (0, 35, 1_000):
        definition = made.definition(share=share)
        for height, fees in ((1, 0), (1, 7), (839_999, 0), (840_000, 1), (1_680_000, 0), (64 * 840_000, 3)):
            shares = coinbase_shares(definition, height, fees)
            cases.append(
                {
                    "treasury_share": share,
                    "height": height,
                    "fees": fees,
                    "miner": shares.miner,
                    "treasury": shares.treasury,
                }
            )
    return cases


@vectors("embedded_chain", "blocks")
def blocks() -> dict[str, Any]:
    branch = vector_branch()
    store = MemoryStore()
    made.feed(made.opened(branch.chain, store), branch.blocks)
    return {
        "rules": encode(branch.chain.rules).hex(),
        "start": encode(branch.chain.start).hex(),
        "treasury": branch.chain.treasury.hex(),
        "blocks": [block.raw.hex() for block in branch.blocks],
        "coins": {key[2:].hex(): value.hex() for key, value in store.iterate(b"co")},
        "undo": {key[2:].hex(): value.hex() for key, value in store.iterate(b"cu")},
    }


@vectors("embedded_chain", "messages")
def messages() -> list[dict[str, Any]]:
    header, body = bytes(range(80)), bytes(range(81))
    cases: list[m.ChainMessage] = [
        m.HeadersRequest(network=NETWORK, locator=(b"a" * 32, b"b" * 32)),
        m.Headers(network=NETWORK, headers=(header,)),
        m.Headers(network=NETWORK, headers=()),
        m.BlocksRequest(network=NETWORK, hashes=(b"a" * 32,)),
        m.Blocks(network=NETWORK, blocks=(body,)),
        m.NewBlock(network=NETWORK, header=header, block=b""),
        m.NewBlock(network=NETWORK, header=header, block=body),
        m.NewTransaction(network=NETWORK, transaction=b"\x01"),
        m.PoolRequest(network=NETWORK, known=(b"t" * 32,)),
    ]
    return [{"kind": type(message).__name__, "data": m.pack(message).hex()} for message in cases]


@vectors("index", "records")
def records() -> dict[str, Any]:
    branch = vector_branch()
    store = MemoryStore()
    index = ChainIndex(store, made.RULES)
    chain = made.opened(branch.chain)
    made.feed(chain, branch.blocks)
    for _ in Follower(chain, index).follow(len(branch.blocks)):
        pass
    owners = {name: made.address_of(name) for name in ("alice", "bob", "miner")}
    return {
        "blocks": [
            {"hash": block_hash(block.header).hex(), "raw": block.raw.hex()} for block in branch.blocks
        ],
        "records": {key.hex(): value.hex() for key, value in store.iterate(b"i")},
        "balances": {
            owner.hex(): [index.balance(owner, height) for height in range(4)] for owner in owners.values()
        },
    }
