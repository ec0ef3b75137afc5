"""What this node may still sign: the pure half of the vote file.

Answers for: in each electorate statements go forward only, so no slot is ever used
twice, whatever order a restart brings things in; and where the file may have forgotten
something the node listens and does not sign. The file itself, written and fsynced before
anything is sent, is the shell's. Spec: `spec/consensus.md`.
"""

from collections.abc import Iterable, Mapping

from protocol.group.vote import NIL, Phase, Slot, voted_hash
from protocol.units import Hash32

_Place = tuple[int, int, Phase]
"""(height, round, phase): statements of one electorate come in this order."""


class VoteGuard:
    """The recorded statements of this node. Mutable; the shell writes each record before it counts."""

    def __init__(self, records: Iterable[tuple[Slot, Hash32]] = (), *, complete: bool = True) -> None:
        """Take up the file's records; not `complete` means that later ones may be missing.

        Then nothing is signed in any electorate until `listen_through` says up to which height
        something may have been signed before.
        """
        self._records: dict[Slot, Hash32] = {}
        self._last: dict[tuple[bytes, str], _Place] = {}
        self._silent: dict[tuple[bytes, str], int] = {}
        self._complete = complete
        for slot, content in records:
            self._take(slot, content)

    def may_sign(self, slot: Slot, content_hash: Hash32) -> bool:
        """Whether this statement is new and after all others of its electorate, or the same once more."""
        electorate = (slot.network, slot.electorate)
        silent = self._silent.get(electorate)
        if (silent is None and not self._complete) or (silent is not None and slot.height <= silent):
            return False
        known = self._records.get(slot)
        if known is not None:
            return known == content_hash
        last = self._last.get(electorate)
        return last is None or last < (slot.height, slot.round, slot.phase)

    def record(self, slot: Slot, content_hash: Hash32) -> None:
        """Count a statement as made; a statement that may not be signed is our own bug (`ValueError`)."""
        if not self.may_sign(slot, content_hash):
            raise ValueError(f"{slot} is used, passed or silenced")
        self._take(slot, content_hash)

    def has_voted(self, network: bytes, electorate: str, height: int) -> bool:
        """Whether a vote for a value, not only for none, is recorded at this height of an electorate."""
        return any(
            (slot.network, slot.electorate, slot.height) == (network, electorate, height)
            and slot.phase is not Phase.PROPOSE
            and voted_hash(content) != NIL
            for slot, content in self._records.items()
        )

    def records(self) -> Mapping[Slot, Hash32]:
        """Return all records; `Consensus` takes those of its height."""
        return dict(self._records)

    def listen_through(self, network: bytes, electorate: str, height: int) -> None:
        """Sign nothing in this electorate up to and including `height`: something may be forgotten there."""
        key = (network, electorate)
        self._silent[key] = max(height, self._silent.get(key, 0))

    def is_silent(self, network: bytes, electorate: str, height: int) -> bool:
        """Whether the node only listens at this height."""
        silent = self._silent.get((network, electorate))
        return not self._complete if silent is None else height <= silent

    def witness(self, slot: Slot, content_hash: Hash32) -> bool:
        """Take note of an own, validly signed statement that came from elsewhere; whether it was known.

        One that is not in the records shows that the file lost something, or that somebody else
        has our key: the node then only listens up to this height.
        """
        if self._records.get(slot) == content_hash:
            return True
        self.listen_through(slot.network, slot.electorate, slot.height)
        return False

    def forget_below(self, network: bytes, electorate: str, height: int) -> None:
        """Drop the records below a decided height; the last one always stays, so nothing opens again."""
        last = self._last.get((network, electorate))
        self._records = {
            slot: content
            for slot, content in self._records.items()
            if (slot.network, slot.electorate) != (network, electorate)
            or slot.height >= height
            or (slot.height, slot.round, slot.phase) == last
        }

    def _take(self, slot: Slot, content_hash: Hash32) -> None:
        self._records.setdefault(slot, content_hash)
        electorate = (slot.network, slot.electorate)
        place = (slot.height, slot.round, slot.phase)
        self._last[electorate] = max(place, self._last.get(electorate, place))
