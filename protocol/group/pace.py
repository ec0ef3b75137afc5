"""When a round is given up and when own statements are sent again.

Answers for: deadlines of one height in milliseconds of the owner's clock, each armed
once a round; timeouts that grow with the round, so that they outgrow whatever delay the
network has; resending that backs off. What happens at a deadline is `consensus`'
business. Spec: `spec/consensus.md`.
"""

from protocol.group.vote import Phase

GROWTH_MAX = 60
"""Rounds after which timeouts stop growing (at 31 times the first one)."""
RESEND_SLOWEST = 8
"""Own statements are sent again after 1, 2, 4 and then every 8 timeouts of the round."""


class Pace:
    """The timers of one height."""

    __slots__ = ("_armed", "_base", "_fired", "_resend_at", "_resend_steps", "_timeout")

    def __init__(self, base_milliseconds: int) -> None:
        self._base = self._timeout = base_milliseconds
        self._armed: dict[Phase, int] = {}
        self._fired: set[Phase] = set()
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

    def arm(self, phase: Phase, now_ms: int) -> bool:
        """Start the timer of `phase` unless this round already had it; say whether it was started."""
        if phase in self._armed or phase in self._fired:
            return False
        self._armed[phase] = now_ms + self._timeout
        return True

    def is_armed(self, phase: Phase) -> bool:
        """Whether the timer of `phase` is running."""
        return phase in self._armed

    def expired(self, now_ms: int) -> list[Phase]:
        """Return the phases whose time is up, each once a round."""
        due = sorted(phase for phase, at in self._armed.items() if at <= now_ms)
        for phase in due:
            del self._armed[phase]
            self._fired.add(phase)
        return due

    def resend_due(self, now_ms: int) -> bool:
        """Whether own statements are to be sent again now; if so the next time is later."""
        if self._resend_at is None or now_ms < self._resend_at:
            return False
        self._resend_steps = min(2 * self._resend_steps, RESEND_SLOWEST)
        self._resend_at = now_ms + self._resend_steps * self._timeout
        return True

    def next_deadline(self) -> int | None:
        """Return the earliest millisecond at which something is due, or None."""
        times = list(self._armed.values())
        if self._resend_at is not None:
            times.append(self._resend_at)
        return min(times, default=None)
