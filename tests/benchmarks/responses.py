"""How fast a judge takes responses, beside a bare loop of signature checks in the same run.

5,000 signed responses go through the daemon's own path: the driver's `receive`, the node
machine (canonical form, network, challenge, registration, signature, answer,
deduplication), the effects, and one durable batch in LevelDB. `ratio` is the bare loop's
processor time divided by the path's, the median of interleaved rounds.

    python -m tests.benchmarks.responses --json
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

import trio
from nacl.bindings import crypto_sign_open

from protocol.genesis import Genesis, network_id
from protocol.group.vote_guard import VoteGuard
from protocol.node.machine import Node
from protocol.node.messages import pack_signed
from protocol.parameters import DEVNET
from protocol.tracking.answer_key import AnswerKey
from protocol.tracking.challenge import derive_challenge
from protocol.tracking.response import build_response
from tests.support.chain_view import MemoryChain
from tests.support.founding import founded_by
from tests.support.operators import Operator, operators
from zenp2p.driver import Driver
from zenp2p.network.memory import Hub, open_memory_network
from zenp2p.ports import Endpoint, Received
from zenp2p.store import LevelStore
from zenp2p.vote_file import VoteFile

RESPONSES = 5_000
ROUNDS = 9
BATCH = 256
"""Messages that the network hands over at once."""
FIRST_CHALLENGE = 8


class World:
    """One judge, and the responses of everybody else to one challenge."""

    def __init__(self, count: int) -> None:
        everybody = operators(count + 1)
        self.judge, others = everybody[0], everybody[1:]
        self.genesis: Genesis = founded_by(
            others, bystanders=[self.judge], parameters=DEVNET, first_challenge_height=FIRST_CHALLENGE
        )
        self.chain = MemoryChain()
        self.chain.mine_to(FIRST_CHALLENGE)
        self.envelopes = self._responses(others)
        self.keys = [one.key for one in others]

    def node(self, store: LevelStore) -> Node:
        """Return the judge's machine with the challenge open and every right answer at hand."""
        node = Node(self.genesis, self.judge.signer, self.chain, store, VoteGuard())
        node.start(0)
        (opened,) = node.tracker.open_challenges()
        opened.answers.prepare(self.keys)
        return node

    def received(self, topic: str) -> list[list[Received]]:
        """Return the responses as the network hands them over."""
        items = [Received(self.keys[0], b"\x7f\0\0\1", topic, pack_signed(one)) for one in self.envelopes]
        return [items[at : at + BATCH] for at in range(0, len(items), BATCH)]

    def _responses(self, others: tuple[Operator, ...]) -> list[bytes]:
        parameters = self.genesis.parameters
        network = network_id(self.genesis)
        challenge = derive_challenge(FIRST_CHALLENGE // parameters.challenge_every, self.chain, parameters)
        registered = {one.key: one.registration() for one in others}
        answers = AnswerKey(challenge, registered, self.chain, parameters)
        return [
            build_response(
                one.signer, network, challenge, entry, answers.answer(one.key), entry.ip, entry.port
            )
            for one, entry in zip(others, registered.values(), strict=True)
        ]


def bare_seconds(world: World) -> float:
    """Return the processor time of nothing but the signatures."""
    pairs = list(zip(world.envelopes, world.keys, strict=True))
    began = time.process_time()
    for envelope, key in pairs:
        crypto_sign_open(envelope, key)
    return time.process_time() - began


async def path_seconds(world: World) -> float:
    """Return the processor time of the daemon's path."""
    with tempfile.TemporaryDirectory() as folder:
        store, votes = LevelStore(Path(folder) / "db"), VoteFile.create(Path(folder) / "votes")
        endpoint = Endpoint(b"\x7f\0\0\1", 1)
        seed = world.judge.signer.derive(b"seed")
        async with trio.open_nursery() as nursery:
            async with open_memory_network(Hub(), seed, endpoint, nursery) as net:
                node = world.node(store)
                driver = Driver(node, VoteGuard(), store, votes, net, nursery, lambda news: None)
                batches = world.received(node.topics[0])
                began = time.process_time()
                for batch in batches:
                    await driver.receive(batch)
                spent = time.process_time() - began
                kept = len(node.tracker.open_challenges()[0].builder.envelopes())
            nursery.cancel_scope.cancel()
        store.close()
        votes.close()
    if kept != len(world.keys):
        raise SystemExit(f"{kept} of {len(world.keys)} responses were kept")
    return spent


def run(count: int, rounds: int) -> dict[str, float]:
    """Return the figures of interleaved rounds."""
    world = World(count)
    bare: list[float] = []
    path: list[float] = []
    for number in range(rounds):
        bare.append(bare_seconds(world))
        path.append(trio.run(path_seconds, world))
        print(f"round {number + 1}: ratio {bare[-1] / path[-1]:.3f}", file=sys.stderr, flush=True)
    ratios = [one / other for one, other in zip(bare, path, strict=True)]
    return {
        "responses": count,
        "ratio": round(statistics.median(ratios), 3),
        "bare_per_second": round(count / statistics.median(bare)),
        "path_per_second": round(count / statistics.median(path)),
    }


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--responses", type=int, default=RESPONSES)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args()
    figures = run(options.responses, options.rounds)
    print(json.dumps(figures) if options.json else figures)


if __name__ == "__main__":
    main()
