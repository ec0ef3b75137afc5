"""How many answers a judge verifies a second, and that a longer chain does not make it slower.

Answers of a group of 20 and of 5,000 nodes are computed anew (samples drawn, looked up in a
LevelDB index, hashed) and compared, on a chain of 100 blocks and on one of 10,000. The bare index
lookups of the same samples are timed in the same rounds: `ratio` is the time on the long chain
divided by that on the short one, `ratio_beyond_lookups` the same with the lookups taken off.

    python -m tests.benchmarks.challenge --json
"""

import argparse
import gc
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from protocol.crypto import sha256
from protocol.parameters import ZEN
from protocol.tracking.answer_key import AnswerKey
from protocol.tracking.challenge import Challenge, expected_answer, sample_ordinals
from protocol.units import ChallengeSeq, Height
from tests.support.chain_maker import definition_with_coins, unmined_blocks
from zenp2p.chain.index import ChainIndex
from zenp2p.store import LevelStore

SHORT, LONG = 100, 10_000
PAYMENTS = 2
"""Payments in each block beside the coinbase."""
GROUP, NETWORK = 20, 5_000
ROUNDS = 7


class Bench:
    """One indexed chain, a challenge at its tip, and everybody's answer to it."""

    def __init__(self, folder: Path, blocks: int, nodes: int) -> None:
        definition = definition_with_coins(100)
        self.store = LevelStore(folder)
        self.index = ChainIndex(self.store, definition.rules)
        for block_hash, raw in unmined_blocks(definition, blocks, PAYMENTS):
            self.index.connect(block_hash, raw)
        self.store.compact()
        height, anchor = self.index.tip()
        total = self.index.transaction_count(height)
        self.challenge = Challenge(ChallengeSeq(1), height, anchor, total, Height(height), Height(height))
        self.keys = [sha256(number.to_bytes(4, "big")) for number in range(nodes)]
        self.answers = [expected_answer(self.challenge, key, self.index, ZEN) for key in self.keys]
        self.ordinals = [sample_ordinals(anchor, key, total, ZEN.samples) for key in self.keys]

    def verify(self, nodes: int) -> None:
        """Verify the answers of the first nodes, as a judge does who sees each for the first time."""
        key = AnswerKey(self.challenge, {}, self.index, ZEN)
        pairs = zip(self.keys[:nodes], self.answers[:nodes], strict=True)
        if not all(key.answer(operator) == answer for operator, answer in pairs):
            raise SystemExit("a right answer was not recognised")

    def look_up(self, nodes: int) -> None:
        """Look up the same samples and nothing else."""
        for ordinals in self.ordinals[:nodes]:
            for ordinal in ordinals:
                self.index.transaction(ordinal)


def seconds(act: Callable[[], None], repeat: int = 1) -> float:
    """Return the processor time of one call, without the collector's."""
    gc.collect()
    gc.disable()
    began = time.process_time()
    for _ in range(repeat):
        act()
    spent = time.process_time() - began
    gc.enable()
    return spent / repeat


def compare(benches: Sequence[Bench], nodes: int, rounds: int) -> dict[str, float]:
    """Return the figures for so many nodes on the short and the long chain, in interleaved rounds."""
    repeat = max(1, NETWORK // nodes // 5)
    taken: list[list[float]] = [[], [], [], []]
    for _ in range(rounds):
        for at, bench in enumerate(benches):
            taken[at].append(seconds(lambda bench=bench: bench.verify(nodes), repeat))  # type: ignore[misc]
            taken[at + 2].append(seconds(lambda bench=bench: bench.look_up(nodes), repeat))  # type: ignore[misc]
    short, long, short_lookup, long_lookup = map(statistics.median, taken)
    return {
        "short_per_second": round(nodes / short),
        "long_per_second": round(nodes / long),
        "ratio": round(long / short, 3),
        "lookup_ratio": round(long_lookup / short_lookup, 3),
        "ratio_beyond_lookups": round((long - long_lookup) / (short - short_lookup), 3),
    }


def run(rounds: int = ROUNDS, long: int = LONG, network: int = NETWORK) -> dict[str, float]:
    """Return all figures."""
    with tempfile.TemporaryDirectory() as folder:
        print(f"indexing chains of {SHORT} and {long} blocks", file=sys.stderr, flush=True)
        benches = [Bench(Path(folder) / str(blocks), blocks, network) for blocks in (SHORT, long)]
        figures: dict[str, float] = {"short_blocks": SHORT, "long_blocks": long}
        for name, nodes in (("group", GROUP), ("network", network)):
            print(f"verifying the answers of {nodes} nodes", file=sys.stderr, flush=True)
            found = compare(benches, nodes, rounds)
            figures |= {f"{name}_{key}": value for key, value in found.items()}
        for bench in benches:
            bench.store.close()
    return figures


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
