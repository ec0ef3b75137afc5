"""A bounded memory of hashes: the oldest are forgotten first.

Answers for: caches and "seen before" lists that a peer cannot make grow.
"""


class Remembered:
    """At most `limit` values; adding one more forgets the oldest."""

    __slots__ = ("_limit", "_values")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._values: dict[bytes, None] = {}

    def __contains__(self, value: object) -> bool:
        """Whether the value is remembered."""
        return value in self._values

    def __len__(self) -> int:
        """How many values are remembered."""
        return len(self._values)

    def add(self, value: bytes) -> None:
        """Remember a value."""
        if value not in self._values and len(self._values) >= self._limit:
            del self._values[next(iter(self._values))]
        self._values[value] = None
