"""How fast the embedded chain validates, and how fast its index answers, beside bare LevelDB.

Blocks of 50 signed payments, and blocks of a coinbase alone, go through
`EmbeddedChain.add_block` into LevelDB, then through the index. `signature_share` is the part of
the validation of a payment that one bare coincurve verification takes. Then random transactions
are looked up by their number through the index and, in interleaved rounds of the same run, the
same keys straight from LevelDB: `lookup_ratio` is the index's rate divided by the bare one.

    python -m tests.benchmarks.chain --json
"""

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from protocol.chain.block import Block, block_hash
from protocol.crypto import ecdsa_sign, ecdsa_verify, secp256k1_public_key, sha256
from tests.support import embedded_chain as made
from tests.support.chain_maker import ALICE, definition_with_coins, mined_blocks
from zenp2p.chain.embedded.chain import EmbeddedChain
from zenp2p.chain.embedded.definition import ChainDefinition
from zenp2p.chain.index import ChainIndex
from zenp2p.chain.index_records import ordinal_key
from zenp2p.store import LevelStore

BLOCKS, PAYMENTS, COINS = 100, 50, 200
EMPTY_BLOCKS = 1_000
LOOKUPS = 20_000
ROUNDS = 5


def seconds(act: Callable[[], object]) -> float:
    """Return the processor time of one call."""
    began = time.process_time()
    act()
    return time.process_time() - began


def feed(chain: EmbeddedChain, blocks: Sequence[Block]) -> None:
    """Validate and connect the blocks."""
    for block in blocks:
        chain.add_block(block.raw, made.far_future())


def index_all(index: ChainIndex, blocks: Sequence[Block]) -> None:
    """Index the blocks."""
    for block in blocks:
        index.connect(block_hash(block.header), block.raw)


def validation(definition: ChainDefinition, blocks: Sequence[Block]) -> dict[str, float]:
    """Return what it costs to validate, and to index, blocks that hold payments or none."""
    with tempfile.TemporaryDirectory() as folder:
        store = LevelStore(Path(folder) / "db")
        chain, index = EmbeddedChain(definition, store), ChainIndex(store, definition.rules)
        validated = seconds(lambda: feed(chain, blocks))
        indexed = seconds(lambda: index_all(index, [definition.genesis, *blocks]))
        store.close()
    transactions = sum(len(block.transactions) for block in blocks)
    return {
        "blocks_per_second": len(blocks) / validated,
        "transactions_per_second": transactions / validated,
        "indexed_blocks_per_second": len(blocks) / indexed,
        "indexed_transactions_per_second": transactions / indexed,
    }


def bare_verification() -> float:
    """Return the processor time of one bare signature check."""
    secret, digest = made.secret_of("alice"), sha256(b"digest")
    signature, key = ecdsa_sign(digest, secret), secp256k1_public_key(secret)
    return seconds(lambda: [ecdsa_verify(digest, signature, key) for _ in range(2_000)]) / 2_000


def lookups(
    definition: ChainDefinition, blocks: Sequence[Block], count: int, rounds: int
) -> dict[str, float]:
    """Return lookups a second: transactions by number through the index and bare, and past balances."""
    draw = random.Random(1)
    with tempfile.TemporaryDirectory() as folder:
        store = LevelStore(Path(folder) / "db")
        index = ChainIndex(store, definition.rules)
        index_all(index, [definition.genesis, *blocks])
        store.compact()
        height = index.tip()[0]
        ordinals = [draw.randrange(index.transaction_count(height)) for _ in range(count)]
        heights = [draw.randrange(height + 1) for _ in range(count // 10)]
        bare_get = store._db.get
        keys = [ordinal_key(ordinal) for ordinal in ordinals]
        times: dict[str, list[float]] = {"index": [], "bare": [], "balance": []}
        for _ in range(rounds):
            times["bare"].append(seconds(lambda: [bare_get(key) for key in keys]))
            times["index"].append(seconds(lambda: [index.transaction(each) for each in ordinals]))
            times["balance"].append(seconds(lambda: [index.balance(ALICE, each) for each in heights]))
        store.close()
    ratios = [bare / own for bare, own in zip(times["bare"], times["index"], strict=True)]
    return {
        "lookups_per_second": count / statistics.median(times["index"]),
        "bare_lookups_per_second": count / statistics.median(times["bare"]),
        "lookup_ratio": statistics.median(ratios),
        "balances_per_second": len(heights) / statistics.median(times["balance"]),
    }


def run(
    rounds: int = ROUNDS, blocks: int = BLOCKS, empty_blocks: int = EMPTY_BLOCKS, count: int = LOOKUPS
) -> dict[str, float]:
    """Return all figures."""
    definition = definition_with_coins(COINS)
    print(f"making {blocks} blocks of {PAYMENTS} payments", file=sys.stderr, flush=True)
    full = mined_blocks(definition, blocks, PAYMENTS, COINS)
    print(f"making {empty_blocks} blocks without", file=sys.stderr, flush=True)
    empty = mined_blocks(definition, empty_blocks, 0, COINS)
    print("validating and indexing", file=sys.stderr, flush=True)
    figures = validation(definition, full)
    bare = bare_verification()
    for name, value in validation(definition, empty).items():
        if "blocks" in name:
            figures[f"empty_{name}"] = value
    figures["signature_share"] = bare * figures["transactions_per_second"]
    print("looking up", file=sys.stderr, flush=True)
    figures |= lookups(definition, full, count, rounds)
    ratios = ("lookup_ratio", "signature_share")
    return {name: round(value, 3 if name in ratios else 0) for name, value in figures.items()}


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args()
    figures = run(options.rounds)
    print(json.dumps(figures) if options.json else figures)


if __name__ == "__main__":
    main()
