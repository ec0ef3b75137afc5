"""Deliberate faults in the rules themselves, to show that the checkers see them.

Answers for: within the context one rule of `protocol` is broken, everywhere, and afterwards whole
again. The faults of a shell or of a paymaster stand beside what they break (`host`, `paymaster`).
Spec: `spec/simulation.md`.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from protocol.group.consensus import Consensus
from protocol.group.quorum import Electorate, Quorum
from protocol.group.tally import Offer
from protocol.node.effects import Persist
from protocol.node.open_challenge import OpenChallenge
from simulations.options import Plant
from simulations.patching import replaced


@contextmanager
def planted(plant: Plant | None) -> Iterator[None]:
    """Break one rule for a while."""
    match plant:
        case Plant.IGNORE_LOCK:
            with replaced(Consensus, "lock_allows", _no_lock_binds):
                yield
        case Plant.QUORUM_HALF:
            with replaced(Electorate, "reaches", _half_is_enough):
                yield
        case Plant.ACCEPT_LATE:
            with replaced(OpenChallenge, "keep_response", _never_late):
                yield
        case _:
            yield


def _no_lock_binds(self: Consensus, offer: Offer) -> bool:
    """Prevote whatever is proposed, locked or not."""
    return True


def _half_is_enough(self: Electorate, quorum: Quorum, heads: int, age: int) -> bool:
    """Take half of the heads and of the age for a final decision."""
    wanted = Quorum.SEED if quorum is Quorum.FINAL else quorum
    return wanted.holds(heads, len(self.voters)) and wanted.holds(age, self.age_total)


_really_keep = OpenChallenge.keep_response


def _never_late(self: OpenChallenge, envelope: bytes, height: int, peer: bytes) -> Persist | None:
    """Note every response as if it had come before the close."""
    return _really_keep(self, envelope, min(height, self.challenge.closes - 1), peer)
