"""Virtual time: what happens next, and nothing else.

Answers for: actions run in the order of their times, and those of one time in the order in which
they were asked for, so that one seed gives one run. Time is whole milliseconds and costs none.
What happens is left to the actors. Spec: `spec/simulation.md`.
"""

import heapq
from collections.abc import Callable

Action = Callable[[], None]

EVENTS_MAX = 2_000_000
"""Actions of one run; more is a loop of messages that feeds itself."""


class Scheduler:
    """A virtual clock and the actions that wait for it."""

    def __init__(self) -> None:
        self.now_ms = 0
        self.events = 0
        self._asked = 0
        self._waiting: list[tuple[int, int, Action]] = []

    def after(self, delay_ms: int, action: Action) -> None:
        """Run `action` so many milliseconds from now."""
        self._asked += 1
        heapq.heappush(self._waiting, (self.now_ms + max(0, delay_ms), self._asked, action))

    def run_until(self, time_ms: int) -> None:
        """Let everything happen that is due up to `time_ms`; raises `RuntimeError` past `EVENTS_MAX`."""
        while self._waiting and self._waiting[0][0] <= time_ms:
            self.now_ms, _, action = heapq.heappop(self._waiting)
            self.events += 1
            if self.events > EVENTS_MAX:
                raise RuntimeError(f"{EVENTS_MAX} events and no end")
            action()
        self.now_ms = max(self.now_ms, time_ms)
