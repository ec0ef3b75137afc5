"""Finding out who is gone: pings on every connection, and an end to half-closed streams.

Answers for: a peer that is frozen, or behind a dead line, keeps its TCP connection for
many minutes; here it is gone after `silence_seconds`. The pings are yamux's, which the
peer's program must answer, not its kernel.
"""

from collections import Counter

import trio

from zenp2p.network.connection import Connection
from zenp2p.network.limits import Limits
from zenp2p.network.switch import Switch

ROUNDS_A_PING = 4


async def watch(switch: Switch, limits: Limits, counters: Counter[str]) -> None:
    """Ping each connection every `ping_every` seconds and end the silent ones, for ever."""
    round_number = 0
    while True:
        await trio.sleep(limits.ping_every / ROUNDS_A_PING)
        round_number += 1
        for connection in switch.all_connections():
            _look_at(connection, limits, counters)
            if round_number % ROUNDS_A_PING == 0:
                connection.muxed_conn.ping()


def _look_at(connection: Connection, limits: Limits, counters: Counter[str]) -> None:
    now = trio.current_time()
    if now - connection.muxed_conn.last_heard > limits.silence_seconds:
        counters["peers_silent"] += 1
        return connection.abort()
    for stream in connection.get_streams():
        if stream.closed_at is not None and now - stream.closed_at > limits.linger_seconds:
            stream.abort()
