"""Who votes, with what weight, and when a set of them is enough.

Answers for: an electorate is a sorted set of distinct voters, and a quorum counts
heads **and** summed age, both exactly, in integers. Who belongs to an electorate is
`membership`'s business, what they vote on `vote`'s. Spec: `spec/quorum.md`.

Two FINAL sets share more than a third of the heads and more than a third of the
age; so as long as the dishonest hold less than a third of *either*, some honest
voter stands in both, and an honest voter makes one statement a slot.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum

from protocol.codec import U8, Bytes32, Wire
from protocol.units import OperatorKey


class Voter(Wire):
    """One voter of an electorate: its key and its age, at least 1 (age 0 has no vote)."""

    operator_key: Bytes32
    age: U8

    def __post_init__(self) -> None:
        """A member of age 0 is not a voter."""
        if self.age < 1:
            raise ValueError("a voter's age starts at 1")


class Quorum(Enum):
    """How much of the heads and of the age a set must hold: numerator, denominator, strictly more."""

    FINAL = (2, 3, True)
    """Decides: certificates and everything that may never be contradicted."""
    THIRD = (1, 3, True)
    """Holds at least one honest voter while less than a third of either are dishonest."""
    SEED = (1, 2, False)
    """The first text's quorum (at least half of both): two halves of a tie both hold it. Simulations only."""
    MAJORITY = (1, 2, True)
    """The first text's later correction (more than half of both). Simulations only."""

    def holds(self, part: int, whole: int) -> bool:
        """Whether `part` is enough of `whole`; of nothing, nothing is enough."""
        numerator, denominator, strict = self._value_
        have, wanted = part * denominator, whole * numerator
        return whole > 0 and (have > wanted or (have == wanted and not strict))


@dataclass(frozen=True, slots=True)
class Electorate:
    """A frozen set of voters, sorted by key, no key twice. Build it with `Electorate.of`."""

    voters: tuple[Voter, ...]
    age_total: int = field(init=False)
    _ages: dict[bytes, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Refuse unsorted or repeated voters, so that one electorate has one spelling."""
        ages = {voter.operator_key: voter.age for voter in self.voters}
        keys = [voter.operator_key for voter in self.voters]
        if keys != sorted(ages):
            raise ValueError("an electorate is sorted by key, without duplicates")
        object.__setattr__(self, "_ages", ages)
        object.__setattr__(self, "age_total", sum(ages.values()))

    @classmethod
    def of(cls, voters: Iterable[Voter]) -> "Electorate":
        """Return the electorate of `voters` in any order; a key given twice is a `ValueError`."""
        return cls(tuple(sorted(voters, key=lambda voter: voter.operator_key)))

    def __len__(self) -> int:
        return len(self.voters)

    def __contains__(self, key: object) -> bool:
        return key in self._ages

    def keys(self) -> Iterator[OperatorKey]:
        """Yield the voters' keys in order."""
        return (OperatorKey(voter.operator_key) for voter in self.voters)

    def age(self, key: bytes) -> int:
        """Return a voter's age; 0 for somebody who has no vote."""
        return self._ages.get(key, 0)

    def reaches(self, quorum: Quorum, heads: int, age: int) -> bool:
        """Whether so many voters of so much summed age are a `quorum` of this electorate."""
        return quorum.holds(heads, len(self.voters)) and quorum.holds(age, self.age_total)

    def weight(self) -> "Weight | JointWeight":
        """Return the weight of nobody yet, to which voters can be added."""
        return Weight(self)

    def is_quorum(self, quorum: Quorum, keys: Iterable[bytes]) -> bool:
        """Whether the distinct voters among `keys` are a `quorum`; foreign keys weigh nothing."""
        weight = self.weight()
        for key in dict.fromkeys(keys):
            weight.add(key)
        return weight.reaches(quorum)

    def is_final(self, keys: Iterable[bytes]) -> bool:
        """Whether `keys` hold more than two thirds of the voters and of their age."""
        return self.is_quorum(Quorum.FINAL, keys)

    def is_third(self, keys: Iterable[bytes]) -> bool:
        """Whether `keys` hold more than a third of the voters and of their age."""
        return self.is_quorum(Quorum.THIRD, keys)


@dataclass(frozen=True, slots=True)
class JointElectorate(Electorate):
    """Voters of two groups that become one: for a while each group has to agree for itself."""

    halves: tuple[Electorate, Electorate] = field(kw_only=True)
    blocks: int = field(kw_only=True)
    """How many blocks it certifies still; then the voters are one electorate."""

    @classmethod
    def joining(cls, zero: Electorate, one: Electorate, blocks: int) -> "JointElectorate":
        """Return the voters of two groups, who have none in common."""
        voters = sorted((*zero.voters, *one.voters), key=lambda voter: voter.operator_key)
        return cls(tuple(voters), halves=(zero, one), blocks=blocks)

    def weight(self) -> "JointWeight":
        """Return the weight of nobody yet in either half."""
        return JointWeight(self)


class Weight:
    """Heads and summed age of some voters of one electorate; others weigh nothing."""

    __slots__ = ("_electorate", "age", "heads")

    def __init__(self, electorate: Electorate) -> None:
        self._electorate = electorate
        self.heads = self.age = 0

    def add(self, key: bytes) -> None:
        """Count one voter more."""
        age = self._electorate.age(key)
        self.heads += age > 0
        self.age += age

    def reaches(self, quorum: Quorum) -> bool:
        """Whether the voters are a `quorum`."""
        return self._electorate.reaches(quorum, self.heads, self.age)


class JointWeight:
    """Weights in both halves of a joint electorate."""

    __slots__ = ("_halves",)

    def __init__(self, joint: JointElectorate) -> None:
        self._halves = [Weight(half) for half in joint.halves]

    def add(self, key: bytes) -> None:
        """Count one voter more."""
        for half in self._halves:
            half.add(key)

    def reaches(self, quorum: Quorum) -> bool:
        """Whether the voters are a `quorum` of each half; THIRD, which shows one honest voter, of either."""
        enough = any if quorum is Quorum.THIRD else all
        return enough(half.reaches(quorum) for half in self._halves)
