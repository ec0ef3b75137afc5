"""When a round is given up and when own statements are sent again.

Answers for: deadlines of one height in milliseconds of the owner's clock, each armed
once a round; timeouts that grow with the round, so that they outgrow whatever delay the
network has; resending that backs off. What happens at a deadline is `consensus`'
business. Spec: `spec/consensus.md`.
"""

from enum import IntEnum

GROWTH_MAX = 60
"""Rounds after which timeouts stop growing (at 31 times the first one)."""
RESEND_SLOWEST = 8
"""Own statements are sent again after 1, 2, 4 and then every 8 timeouts; a new one after 1 again."""


class Timer(IntEnum):
    """What is waited for in a round; of several that are due, the first here comes first."""

    SHOW = 0
    """Half of `PRECOMMIT`: whoever holds a fresh lock then shows it."""
    PROPOSE = 1
    """The proposal."""
    PREVOTE = 2
    """A quorum of prevotes for one thing."""
    PRECOMMIT = 3
    """A quorum of precommits for one value; then the round is over."""


class Pace:
    """The timers of one height."""

    __slots__ = ("_armed", "_base", "_fired", "_resend_at", "_resend_steps", "_timeout")

    def __init__(self, base_milliseconds: int) -> None:
        self._base = self._timeout = base_milliseconds
        self._armed: dict[Timer, int] = {}
        self._fired: set[Timer] = set()
        self._resend_at: int | None = None
        self._resend_steps = 1

    def timeout(self, round_: int) -> int:
        """Return how many milliseconds each step of `round_` is waited for."""
        return self._base * (2 + min(round_, GROWTH_MAX)) // 2

    def enter(self, round_: int, now_ms: int) -> None:
        """Begin a round: forget the timers of the round before."""
        self._timeout = self.timeout(round_)
        self._armed.clear()
        self._fired.clear()
        self._resend_steps = 1
        self._resend_at = now_ms + self._timeout

    def arm(self, timer: Timer, now_ms: int) -> bool:
        """Start a timer unless this round already had it; say whether it was started."""
        if timer in self._armed or timer in self._fired:
            return False
        self._armed[timer] = now_ms + (self._timeout // 2 if timer is Timer.SHOW else self._timeout)
        return True

    def has_fired(self, timer: Timer) -> bool:
        """Whether a timer of this round is over."""
        return timer in self._fired

    def expired(self, now_ms: int) -> list[Timer]:
        """Return the timers that are over, each once a round, in order."""
        due = sorted(timer for timer, at in self._armed.items() if at <= now_ms)
        for timer in due:
            del self._armed[timer]
            self._fired.add(timer)
        return due

    def resend_due(self, now_ms: int) -> bool:
        """Whether own statements are to be sent again now; if so the next time is later."""
        if self._resend_at is None or now_ms < self._resend_at:
            return False
        self._resend_steps = min(2 * self._resend_steps, RESEND_SLOWEST)
        self._resend_at = now_ms + self._resend_steps * self._timeout
        return True

    def said(self, now_ms: int) -> None:
        """Something new was said: it is sent again soon, however slow the resending has become by now."""
        if self._resend_at is not None:
            self._resend_at = min(self._resend_at, now_ms + self._timeout)
            self._resend_steps = 1

    def next_deadline(self) -> int | None:
        """Return the earliest millisecond at which something is due, or None."""
        times = list(self._armed.values())
        if self._resend_at is not None:
            times.append(self._resend_at)
        return min(times, default=None)
