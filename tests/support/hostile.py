"""Hostile bytes for any decoder, and a meter for what refusing them costs."""

import time
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass

SEVEN_MIB = 7 << 20
"""Of nested arrays, which grow a process by half a gigabyte when they are decoded untyped."""

MEMORY_MAX = 32 << 20
"""Bytes that refusing one frame of seven MiB may allocate: a few times the frame, whatever its items."""
CPU_SECONDS_MAX = 2.0
"""A linear look takes milliseconds, a quadratic one minutes; the room between is for slow machines."""


def hostile_frames(prefix: bytes = b"") -> dict[str, bytes]:
    """Return named frames of about seven MiB, each behind `prefix` (a valid beginning, for instance)."""
    items = SEVEN_MIB.to_bytes(4, "big")
    fill = {
        "arrays in arrays": b"\x91" * SEVEN_MIB,
        "arrays in arrays with long headers": b"\xdd\x00\x00\x00\x01" * (SEVEN_MIB // 5),
        "arrays that promise 2**32 items": b"\xdd\xff\xff\xff\xff" * (SEVEN_MIB // 5),
        "empty arrays": b"\xdd" + items + b"\x90" * SEVEN_MIB,
        "small integers": b"\xdd" + items + b"\x01" * SEVEN_MIB,
        "maps in maps": b"\x81\x01" * (SEVEN_MIB // 2),
        "one map": b"\xdf" + (SEVEN_MIB // 2).to_bytes(4, "big") + b"\x01\x02" * (SEVEN_MIB // 2),
        "text": b"\xdb" + items + b"x" * SEVEN_MIB,
        "bytes": b"\xc6" + items + bytes(SEVEN_MIB),
        "extension": b"\xc9" + items + b"\x01" + bytes(SEVEN_MIB),
        "nothing but nil": b"\xc0" * SEVEN_MIB,
        "a byte that is never used": b"\xc1" * SEVEN_MIB,
        "a promise of 4 GiB": b"\xc6\xff\xff\xff\xff" + bytes(SEVEN_MIB),
        "arrays of arrays": b"\xdd" + items + b"\xdc\xff\xff" * (SEVEN_MIB // 3),
    }
    return {name: prefix + frame for name, frame in fill.items()}


@dataclass(frozen=True)
class Cost:
    """What one call allocated at most, in bytes, and its processor time in seconds."""

    memory: int
    cpu: float


def cost_of(call: Callable[[], object]) -> Cost:
    """Run `call` and return its cost."""
    tracemalloc.start()
    started = time.process_time()
    try:
        call()
        return Cost(tracemalloc.get_traced_memory()[1], time.process_time() - started)
    finally:
        tracemalloc.stop()
