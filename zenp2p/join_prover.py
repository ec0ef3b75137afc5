"""Mining our join proof: in a worker thread, in short turns, one proof at a time.

Answers for: nothing else of the daemon waits for a proof, a newer ticket replaces the one that is being
worked on, and progress is told now and then. What a proof is, and the search itself, are left
to `protocol.group.join_proof`. Spec: `spec/join_proof.md`.
"""

import time
from collections.abc import Awaitable, Callable

import trio

from protocol.group.join_proof import JoinProver
from protocol.node.effects import Announce, Mine
from protocol.units import Hash32

TRIES_IN_ONE_GO = 500
"""Tries before other threads get their turn: a third of a millisecond."""
GOES_IN_A_TURN = 100
"""Goes before it is looked whether the work is still wanted: some tens of milliseconds."""
PROGRESS_SECONDS = 1
"""Between two announcements of progress, at least."""

Found = Callable[[Hash32, int], Awaitable[None]]
"""Takes a ticket and the nonce that proves it."""


class JoinMiner:
    """Carries `Mine` effects out."""

    def __init__(self, found: Found, announce: Callable[[Announce], None], nursery: trio.Nursery) -> None:
        """Hand nonces to `found`; work goes on in `nursery`."""
        self._found = found
        self._announce = announce
        self._nursery = nursery
        self._thread = trio.CapacityLimiter(1)
        self._wanted: Mine | None = None
        self.trials = 0
        """Of the proof that is searched, or was last."""

    def start(self, mine: Mine) -> None:
        """Work on this proof from now on, and on no other; on the one that is worked on, just go on."""
        if mine != self._wanted:
            self._wanted, self.trials = mine, 0
            self._nursery.start_soon(self._mine, mine)

    async def _mine(self, mine: Mine) -> None:
        """Search until the nonce is found, then hand it in; or until another proof is wanted."""
        prover = JoinProver(mine.operator_key, mine.ticket, mine.bits)
        ticket = mine.ticket.hex()
        nonce, tell_at = None, trio.current_time() + PROGRESS_SECONDS
        while nonce is None and self._wanted is mine:
            nonce = await trio.to_thread.run_sync(_turn, prover, limiter=self._thread)
            if self._wanted is mine:
                self.trials = prover.trials
            if trio.current_time() >= tell_at:
                tell_at = trio.current_time() + PROGRESS_SECONDS
                self._announce(Announce("join_proof.mining", {"ticket": ticket, "trials": prover.trials}))
        if nonce is not None and self._wanted is mine:
            self._wanted = None
            self._announce(Announce("join_proof.found", {"ticket": ticket, "trials": prover.trials}))
            await self._found(mine.ticket, nonce)


def _turn(prover: JoinProver) -> int | None:
    """Search for a turn's length, letting the other threads run between two goes."""
    for _ in range(GOES_IN_A_TURN):
        nonce = prover.search(TRIES_IN_ONE_GO)
        if nonce is not None:
            return nonce
        time.sleep(0)  # gives the interpreter's lock away, for which they would wait 5 ms else
    return None
