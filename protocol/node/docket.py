"""The challenges that one node holds at once, of our branch and of others.

Answers for: which of them stand on our chain, which is the newest of those, which one a response means, and
which are dropped where there are too many. When a challenge comes and goes is `tracker`'s business, what is
held of it `open_challenge`'s. Spec: `spec/node.md`.
"""

from collections.abc import Iterable, Iterator

from protocol.chain.view import ChainView
from protocol.crypto import SIGNATURE_SIZE
from protocol.errors import StaleMessage
from protocol.node.open_challenge import OpenChallenge
from protocol.tracking.response import decode_response

HELD_MAX = 8
"""Challenges held at once: the one that is open, those that wait for their verdict, other branches."""


class Docket:
    """Challenges by their number and anchor, oldest first."""

    def __init__(self, chain: ChainView) -> None:
        self._chain = chain
        self._held: dict[tuple[int, bytes], OpenChallenge] = {}
        self.newest: OpenChallenge | None = None
        """The newest one on our chain, as far as we looked."""

    def __len__(self) -> int:
        return len(self._held)

    def __iter__(self) -> Iterator[OpenChallenge]:
        return iter(tuple(self._held.values()))

    def get(self, seq: int, anchor_hash: bytes) -> OpenChallenge | None:
        """Return a challenge, or None when it is not held."""
        return self._held.get((seq, anchor_hash))

    def current(self) -> Iterator[OpenChallenge]:
        """Yield those whose anchors are on the chain."""
        for opened in self:
            challenge = opened.challenge
            if self._chain.block_hash(challenge.anchor_height) == challenge.anchor_hash:
                yield opened

    def meant_by(self, response: bytes) -> OpenChallenge:
        """Return the one that a response envelope means; one that means none is seen as of the newest.

        Raises `StaleMessage` while none is open, and `MalformedMessage`.
        """
        if self.newest is None:
            raise StaleMessage("no challenge is open")
        if len(self._held) == 1:
            return self.newest
        said = decode_response(response[SIGNATURE_SIZE:])
        return self._held.get((said.seq, said.anchor_hash), self.newest)

    def admit(self, opened: OpenChallenge) -> None:
        """Hold the challenge that opens now until it is judged or pushed out."""
        self._put(opened)
        self._make_room()
        self.newest = opened

    def resume(self, several: Iterable[OpenChallenge]) -> None:
        """Hold challenges that were open before, too."""
        for opened in several:
            self._put(opened)
        self._held = dict(sorted(self._held.items()))
        self._make_room()
        self.look()

    def close(self, seq: int) -> list[OpenChallenge]:
        """Hold a challenge no more, on whatever branch; return what was held of it."""
        closed = [self._held.pop(key) for key in [key for key in self._held if key[0] == seq]]
        self.look()
        return closed

    def look(self) -> None:
        """See which one is the newest: the chain may have moved."""
        self.newest = max(self.current(), key=lambda opened: opened.challenge.seq, default=None)

    def _put(self, opened: OpenChallenge) -> None:
        opened.was_open = True
        self._held[opened.challenge.seq, opened.challenge.anchor_hash] = opened

    def _make_room(self) -> None:
        """Drop what is too much: challenges of lost branches first, then the oldest."""
        while len(self._held) > HELD_MAX:
            here = [(one.challenge.seq, one.challenge.anchor_hash) for one in self.current()]
            lost = [key for key in self._held if key not in here]
            del self._held[next(iter(lost or self._held))]
