"""What a daemon costs while it does little: processor, memory, and how soon it has a peer.

Four real daemons on loopback addresses, processes of their own. `start_to_first_peer_seconds` is
from the start of a process among running ones, `stop_seconds` from SIGTERM to its end. First the
chain stands still: gossip heartbeats, pings, statements of where everybody is, timers: that is
`idle`, the median of the four nodes. Then the same network at the pace of the devnet, a block a
second and a challenge every eight: `following` is what it takes a node that follows, answers and
judges, `mining` the same and the blocks. The processor time of a shared machine varies.

    python -m tests.benchmarks.daemon --json
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

from tests.support.live_network import LiveNetwork
from zenp2p.devnet.foundry import standard_posts
from zenp2p.devnet.processes import Usage

NODES = 4
MINER = "honest-1"
SECONDS = 20
SETTLE_SECONDS = 5
"""After the last connection: streams are opened and the mesh is built."""
CHALLENGES_BEGIN = 9
"""Height from which a following node has a challenge to answer and to judge."""
CHAIN_NEVER = 7 * 86_400
"""Seconds until the chain of the idle network would begin."""
PEER_SECONDS_MAX = 60


def measure(network: LiveNetwork, seconds: float) -> dict[str, float]:
    """Return the percentage of a core that each daemon takes."""
    before, began = network.usage(), time.monotonic()
    time.sleep(seconds)
    after, took = network.usage(), time.monotonic() - began
    return {name: _percent(before[name], after[name], took) for name in network.names}


def _percent(before: Usage, after: Usage, seconds: float) -> float:
    return 100 * (after.cpu_seconds - before.cpu_seconds) / seconds


def first_peer_seconds(network: LiveNetwork) -> float:
    """Return how long a daemon that starts among running ones takes from its start to its first peer."""
    newcomer = network.names[-1]
    network.stop(newcomer)
    began = time.monotonic()
    network.start(newcomer)
    network.wait_until("peers", 1, PEER_SECONDS_MAX, [newcomer])
    return time.monotonic() - began


def idle(folder: Path, seconds: float) -> dict[str, float]:
    """Return the figures of a network whose chain stands still."""
    posts = standard_posts()[:NODES]
    with LiveNetwork(folder / "idle", posts, start_delay=CHAIN_NEVER) as network:
        network.wait_connected()
        first_peer = first_peer_seconds(network)
        network.wait_connected()
        time.sleep(SETTLE_SECONDS)
        used = measure(network, seconds)
        return {
            "idle_cpu_percent": round(statistics.median(used.values()), 2),
            "idle_cpu_percent_max": round(max(used.values()), 2),
            "start_to_first_peer_seconds": round(first_peer, 2),
        }


def busy(folder: Path, seconds: float) -> dict[str, float]:
    """Return the figures of a network at the pace of the devnet."""
    with LiveNetwork(folder / "busy", standard_posts()[:NODES]) as network:
        network.wait_connected()
        network.wait_until("height", CHALLENGES_BEGIN, 4 * PEER_SECONDS_MAX)
        used = measure(network, seconds)
        followers = [used[name] for name in network.names if name != MINER]
        peak = max(one.peak_rss_mb for one in network.usage().values())
        return {
            "following_cpu_percent": round(statistics.median(followers), 2),
            "mining_cpu_percent": round(used[MINER], 2),
            "peak_rss_mb": peak,
            "stop_seconds": round(network.stop(MINER)[1], 2),
        }


def run(seconds: float) -> dict[str, float]:
    """Return all figures."""
    with tempfile.TemporaryDirectory() as folder:
        return {"nodes": NODES, **idle(Path(folder), seconds), **busy(Path(folder), seconds)}


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="time of each measurement")
    options = parser.parse_args()
    print(f"two networks, {options.seconds:g} s each", file=sys.stderr)
    figures = run(options.seconds)
    print(json.dumps(figures) if options.json else figures)


if __name__ == "__main__":
    main()
