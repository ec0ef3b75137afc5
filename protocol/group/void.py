"""Places of data chains that do not count.

Answers for: what an absorbed group certified after its end is void, wherever it went on. Spec:
`spec/absorb.md`.
"""

from dataclasses import dataclass

from protocol.group.name import sibling


@dataclass(frozen=True, slots=True)
class Void:
    """Places that do not count: what a group certified after the head at which it was absorbed."""

    prefix: str
    above: int
    """The height at which its data chain ended."""
    beside: int
    """The height at which that of its sibling ended, which absorbed it."""
    through: int
    """The height at which the whole began, which is not void: nobody came so far without it."""
    silent_since: int
    """Stamp of the last block that counts."""
    stamp_height: int
    """Of the block that absorbed it."""

    def covers(self, prefix: str, height: int) -> bool:
        """Whether a place is void: the absorbed group's, or that of a group which it went on as."""
        if height >= self.through:
            return False
        if prefix.startswith(self.prefix) or self.prefix.startswith(prefix):
            return height > self.above
        return prefix.startswith(sibling(self.prefix)) and height > self.beside
