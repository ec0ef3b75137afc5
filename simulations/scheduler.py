"""Virtual time: a queue of actions, run one after the other in the order of their times.

Answers for: two actions of one time run in the order in which they were asked for, so that a run is the
same every time. What the actions do is the actors' business. Spec: `spec/simulation.md`.
"""

import heapq
from collections.abc import Callable

Action = Callable[[], None]

EVENTS_MAX = 2_000_000
"""Actions of one run unless it says otherwise; more is a loop of messages that feeds itself."""


class Scheduler:
    """A virtual clock and the actions that wait for it."""

    def __init__(self, events_max: int = EVENTS_MAX) -> None:
        self.now_ms = 0
        self.events = 0
        self._events_max = events_max
        self._times: list[int] = []
        """The milliseconds at which something is due, a heap."""
        self._due: dict[int, list[Action]] = {}

    def after(self, delay_ms: int, action: Action) -> None:
        """Run `action` so many milliseconds from now."""
        time = self.now_ms + max(0, delay_ms)
        due = self._due.get(time)
        if due is None:
            self._due[time] = [action]
            heapq.heappush(self._times, time)
        else:
            due.append(action)

    def run_until(self, time_ms: int) -> None:
        """Let everything happen that is due up to `time_ms`; raises `RuntimeError` past the most events."""
        while self._times and self._times[0] <= time_ms:
            self.now_ms = self._times[0]
            for action in self._due[self.now_ms]:  # an action may ask for another one at once
                self.events += 1
                if self.events > self._events_max:
                    raise RuntimeError(f"{self._events_max} events and no end")
                action()
            del self._due[heapq.heappop(self._times)]
        self.now_ms = max(self.now_ms, time_ms)
