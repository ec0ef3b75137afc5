"""CPU of a delivered gossip message, beside stock py-libp2p, over real TCP.

`python -m tests.benchmarks.network --json`: five processes, all connected with each other,
gossip 300-byte messages at 100 a second altogether, first over our adapter, then over
py-libp2p as it comes (same gossipsub parameters, noise, yamux, rate; no patches). The CPU
is that of all five processes from the first message until the last one has arrived.
Goal: at most 0.55 of stock, everything delivered, p99 below 100 ms on a quiet machine.
Prints one JSON object on stdout, progress on stderr.
"""

import argparse
import contextlib
import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trio

from protocol.crypto import Signer
from zenp2p.network.host import open_network
from zenp2p.ports import Endpoint

ROOT = Path(__file__).parents[2]
NODES = 5
TOPIC = "benchmark"
LOOPBACK = bytes([127, 0, 0, 1])
QUIET_SECONDS = 1.5
DRAIN_SECONDS_MAX = 30.0
MESH_SECONDS_MAX = 30.0

Publish = Callable[[bytes], Awaitable[None]]
Take = Callable[[bytes], None]


@dataclass
class Tally:
    """What one node has received of others: its delays in seconds, and when the last one came."""

    index: int
    delays: list[float] = field(default_factory=list)
    last: float = 0.0

    def take(self, data: bytes) -> None:
        """Count a message: byte 0 its sender, then the moment in nanoseconds."""
        if data[0] != self.index:
            now = time.monotonic_ns()
            self.delays.append((now - int.from_bytes(data[1:9], "big")) / 1e9)
            self.last = time.monotonic()


def _seed(index: int) -> bytes:
    return bytes([index + 1]) * 32


@contextlib.asynccontextmanager
async def _ours(
    index: int, take: Take
) -> AsyncIterator[tuple[Publish, Callable[[list[int]], Awaitable[None]]]]:
    async with (
        trio.open_nursery() as nursery,
        open_network(_seed(index), Endpoint(LOOPBACK, 0), nursery) as net,
    ):

        async def read() -> None:
            async for batch in net.received:
                for message in batch:
                    take(message.data)

        async def connect(ports: list[int]) -> None:
            for other in range(NODES):
                net.learn(Signer(_seed(other)).operator_key, Endpoint(LOOPBACK, ports[other]))
            while len(net.peers()) < NODES - 1:
                await trio.sleep(0.02)
            await trio.sleep(2)  # two heartbeats: the mesh is there

        net.subscribe(TOPIC)
        nursery.start_soon(read)
        _say(port=net.endpoint.port)
        yield lambda data: net.publish(TOPIC, data), connect


@contextlib.asynccontextmanager
async def _stock(
    index: int, take: Take
) -> AsyncIterator[tuple[Publish, Callable[[list[int]], Awaitable[None]]]]:
    from tests.benchmarks.stock_libp2p import run_stock

    async with run_stock([_seed(other) for other in range(NODES)], index, TOPIC, take) as (
        port,
        publish,
        connect,
    ):
        _say(port=port)
        yield publish, connect


def _say(**fields: object) -> None:
    print(json.dumps(fields), flush=True)


async def _hear() -> dict[str, Any]:
    line = await trio.to_thread.run_sync(sys.stdin.readline)
    heard: dict[str, Any] = json.loads(line)
    return heard


async def _worker(kind: str, index: int, rate: float, size: int, seconds: float) -> None:
    tally = Tally(index)
    async with (_ours if kind == "ours" else _stock)(index, tally.take) as (publish, connect):
        ports: list[int] = (await _hear())["ports"]
        with trio.fail_after(MESH_SECONDS_MAX):
            await connect(ports)
        _say(ready=True)
        start: float = (await _hear())["start"]
        await trio.sleep(start - time.monotonic())
        cpu = time.process_time()
        sent = await _publish(publish, index, rate, size, start, seconds)
        await _drain(tally)
        _say(sent=sent, cpu=time.process_time() - cpu, delays=tally.delays)
        sys.stdout.flush()
        os._exit(0)  # stock py-libp2p often raises when it is stopped under load


async def _publish(publish: Publish, index: int, rate: float, size: int, start: float, seconds: float) -> int:
    count = round(rate / NODES * seconds)
    for number in range(count):
        await trio.sleep(max(0.0, start + (number + index / NODES) * NODES / rate - time.monotonic()))
        await publish(bytes([index]) + time.monotonic_ns().to_bytes(8, "big") + os.urandom(size - 9))
    return count


async def _drain(tally: Tally) -> None:
    with trio.move_on_after(DRAIN_SECONDS_MAX):
        while time.monotonic() - tally.last < QUIET_SECONDS:
            await trio.sleep(0.1)


@dataclass(frozen=True)
class Result:
    """One run: CPU seconds of all processes, and the delays of all deliveries, sorted."""

    cpu: float
    wanted: int
    delays: list[float]

    @property
    def delivered(self) -> float:
        """The fraction of messages that arrived."""
        return len(self.delays) / self.wanted

    @property
    def cpu_ms_per_delivery(self) -> float:
        """CPU milliseconds of all processes for each message that arrived at a node."""
        return self.cpu * 1e3 / len(self.delays)

    def percentile_ms(self, share: float) -> float:
        """The delay that `share` of the deliveries did not exceed."""
        return self.delays[min(len(self.delays) - 1, int(len(self.delays) * share))] * 1e3


def run_once(kind: str, rate: float, size: int, seconds: float) -> Result:
    """Run five processes of a kind, "ours" or "stock"."""
    command = [
        sys.executable,
        "-m",
        __spec__.name if __spec__ else "tests.benchmarks.network",
        "--worker",
        kind,
    ]
    command += ["--rate", str(rate), "--size", str(size), "--seconds", str(seconds), "--index"]
    workers = [
        subprocess.Popen(
            [*command, str(index)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
        )
        for index in range(NODES)
    ]
    try:
        ports = [_answer(worker)["port"] for worker in workers]
        _tell(workers, ports=ports)
        for worker in workers:
            _answer(worker)
        _tell(workers, start=time.monotonic() + 1.0)
        answers = [_answer(worker) for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
    delays = sorted(delay for answer in answers for delay in answer["delays"])
    wanted = sum(answer["sent"] for answer in answers) * (NODES - 1)
    return Result(sum(answer["cpu"] for answer in answers), wanted, delays)


def _answer(worker: "subprocess.Popen[str]") -> dict[str, Any]:
    assert worker.stdout is not None
    line = worker.stdout.readline()
    if not line:
        raise SystemExit(f"a worker ended early with {worker.wait()}")
    answer: dict[str, Any] = json.loads(line)
    return answer


def _tell(workers: "list[subprocess.Popen[str]]", **fields: object) -> None:
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write(json.dumps(fields) + "\n")
        worker.stdin.flush()


def main() -> None:
    """Run the benchmark, or one of its workers."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object (the default)")
    parser.add_argument("--rate", type=float, default=100.0, help="messages a second, all nodes together")
    parser.add_argument("--size", type=int, default=300, help="bytes of a message")
    parser.add_argument("--seconds", type=float, default=10.0, help="how long each kind publishes")
    parser.add_argument("--worker", choices=("ours", "stock"), help=argparse.SUPPRESS)
    parser.add_argument("--index", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        logging.disable(logging.CRITICAL)
        trio.run(_worker, options.worker, options.index, options.rate, options.size, options.seconds)
        return
    print("our adapter ...", file=sys.stderr)
    ours = run_once("ours", options.rate, options.size, options.seconds)
    print("stock py-libp2p ...", file=sys.stderr)
    stock = run_once("stock", options.rate, options.size, options.seconds)
    print(json.dumps(report(ours, stock, options.rate, options.size)))


def report(ours: Result, stock: Result, rate: float, size: int) -> dict[str, object]:
    """Return the figures that the benchmark prints."""
    return {
        "benchmark": "network",
        "cpu_ratio_to_stock": round(ours.cpu_ms_per_delivery / stock.cpu_ms_per_delivery, 3),
        "delivered": round(ours.delivered, 5),
        "p50_ms": round(ours.percentile_ms(0.50), 2),
        "p99_ms": round(ours.percentile_ms(0.99), 2),
        "cpu_ms_per_delivery": round(ours.cpu_ms_per_delivery, 3),
        "stock_cpu_ms_per_delivery": round(stock.cpu_ms_per_delivery, 3),
        "stock_delivered": round(stock.delivered, 5),
        "stock_p50_ms": round(stock.percentile_ms(0.50), 2),
        "stock_p99_ms": round(stock.percentile_ms(0.99), 2),
        "nodes": NODES,
        "messages_per_second": rate,
        "message_bytes": size,
        "load_average": round(os.getloadavg()[0], 2),
    }


if __name__ == "__main__":
    main()
