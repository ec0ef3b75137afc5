"""Who belongs to a group, as one frozen value with a root that a list or link can commit to.

Answers for: members are sorted, each once, each under a name that fits the group's
prefix; the voters are the members of voting age. How members come and go is decided by
blocks (`data_chain`). Spec: `spec/group.md`.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from operator import attrgetter

from protocol.codec import U8, U64, Bytes32, Text, Wire, encode
from protocol.genesis import Genesis, network_id
from protocol.group.age import is_voting_age
from protocol.group.name import assign_name, distance, is_prefix, matches
from protocol.group.quorum import Electorate, Voter
from protocol.merkle import merkle_root
from protocol.units import Hash32, OperatorKey


class Member(Wire):
    """A member: its key, age, assigned name, its group's prefix bits, and the link that admitted it."""

    operator_key: Bytes32
    age: U8
    name: Bytes32
    prefix: Text
    joined: U64

    def __post_init__(self) -> None:
        """A member stands where its name says."""
        if not is_prefix(self.prefix) or not matches(self.prefix, self.name):
            raise ValueError("a member's name begins with its group's prefix")


_KEY_OF = attrgetter("operator_key")


@dataclass(frozen=True, slots=True)
class Membership:
    """The members of a group (or of the whole network), sorted by key, no key twice."""

    members: tuple[Member, ...]

    def __post_init__(self) -> None:
        """One membership has one spelling."""
        keys = [member.operator_key for member in self.members]
        if keys != sorted(set(keys)):
            raise ValueError("members must be sorted by key, each once")

    @classmethod
    def of(cls, members: Iterable[Member]) -> "Membership":
        """Return the membership of `members` in any order; a key given twice is a `ValueError`."""
        return cls(tuple(sorted(members, key=lambda member: member.operator_key)))

    def __len__(self) -> int:
        return len(self.members)

    def __contains__(self, key: object) -> bool:
        return isinstance(key, bytes) and self.get(key) is not None

    def voters(self) -> Electorate:
        """Return the members of voting age, with their ages."""
        return voters_of(self.members)

    def nearest_voters(self, target: bytes) -> tuple[OperatorKey, ...]:
        """Return the voters by the XOR distance of their names from a 32-byte hash, the nearest first."""
        voters = [member for member in self.members if is_voting_age(member.age)]
        voters.sort(key=lambda member: distance(member.name, target))
        return tuple(OperatorKey(member.operator_key) for member in voters)

    def root(self) -> Hash32:
        """Return the Merkle root over the members' canonical bytes, in order."""
        return members_root(self.members)

    def get(self, key: bytes) -> Member | None:
        """Return the member with this key, or None."""
        place = bisect_left(self.members, key, key=_KEY_OF)
        found = self.members[place] if place < len(self.members) else None
        return found if found is not None and found.operator_key == key else None

    def put(self, member: Member) -> "Membership":
        """Return the membership with a member, in place of the one that has its key."""
        others = (one for one in self.members if one.operator_key != member.operator_key)
        return Membership.of((*others, member))

    def remove(self, key: bytes) -> "Membership":
        """Return the membership without `key`; `KeyError` when it is not there."""
        if key not in self:
            raise KeyError(key)
        return Membership(tuple(member for member in self.members if member.operator_key != key))


def voters_of(members: Iterable[Member]) -> Electorate:
    """Return the electorate of those among `members` that are of voting age."""
    return Electorate.of(
        Voter(operator_key=member.operator_key, age=member.age)
        for member in members
        if is_voting_age(member.age)
    )


def members_root(members: Iterable[Member]) -> Hash32:
    """Return the Merkle root over the members' canonical bytes, in the order given."""
    return merkle_root([encode(member) for member in members])


def genesis_membership(genesis: Genesis) -> Membership:
    """Return the founding members: one group with the empty prefix, names drawn with the network id."""
    entropy = network_id(genesis)
    return Membership(
        tuple(
            Member(
                operator_key=member.operator_key,
                age=member.age,
                name=assign_name(member.age, member.operator_key, entropy),
                prefix="",
                joined=0,
            )
            for member in genesis.members
        )
    )


def shared_slots(slots: Mapping[OperatorKey, bytes]) -> tuple[OperatorKey, ...]:
    """Return the operators, sorted, whose IP slot a lower key of the same group has too.

    A group holds no two members of one IP; `slots` maps its members to their IP slots.
    """
    taken: set[bytes] = set()
    sharing: list[OperatorKey] = []
    for key, slot in sorted(slots.items()):
        if slot in taken:
            sharing.append(key)
        taken.add(slot)
    return tuple(sharing)
