"""What this voter has said at one height, and the lock that follows from it.

Answers for: at one height a voter goes forward only: a slot that was used, or one
before it, is never used for anything else. A lock is the latest own precommit of a value
and nothing more, so it is read from the vote file alone, whatever else a crash has
taken. The file itself is the shell's, its rules `vote_guard`'s.
"""

from protocol.group.vote import NIL, Phase, voted_hash
from protocol.units import Hash32

NEVER = -1
"""The round of something that has not happened."""

Place = tuple[int, Phase]
"""(round, phase) of a statement."""


class Spoken:
    """Own statements at one height: where, and what."""

    __slots__ = ("_contents", "_last", "locked_hash", "locked_round")

    def __init__(self) -> None:
        self._contents: dict[Place, Hash32] = {}
        self._last: Place = (NEVER, Phase.PRECOMMIT)
        self.locked_round = NEVER
        self.locked_hash = NIL

    def __bool__(self) -> bool:
        return bool(self._contents)

    def __contains__(self, place: object) -> bool:
        return place in self._contents

    @property
    def last(self) -> Place:
        """The latest place used; (-1, precommit) before the first."""
        return self._last

    def vote(self, round_: int, phase: Phase) -> bytes | None:
        """Return the hash (or `NIL`) that was voted for there; None when nothing was said."""
        content = self._contents.get((round_, phase))
        return None if content is None else voted_hash(content)

    def affirms(self, block_hash: bytes) -> bool:
        """Whether any own vote was for this value: then it was found good, whatever became of the chain."""
        votes = (content for (_, phase), content in self._contents.items() if phase is not Phase.PROPOSE)
        return any(voted_hash(content) == block_hash for content in votes)

    def allows(self, place: Place, content: Hash32) -> bool:
        """Whether this may be said: for the first time after everything else, or once more."""
        return place > self._last or self._contents.get(place) == content

    def remember(self, place: Place, content: Hash32) -> None:
        """Take a statement as made; a precommit of a value is a lock."""
        self._contents.setdefault(place, content)
        self._last = max(self._last, place)
        round_, phase = place
        if phase is Phase.PRECOMMIT and voted_hash(content) and round_ > self.locked_round:
            self.locked_round, self.locked_hash = round_, voted_hash(content)
