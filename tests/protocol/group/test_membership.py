"""Memberships: one spelling, a root that says everything, voters by age, one IP a member."""

import pytest

from protocol.codec import encode, replace
from protocol.genesis import network_id
from protocol.group.membership import (
    Member,
    Membership,
    genesis_membership,
    members_root,
    shared_slots,
    voters_of,
)
from protocol.group.name import assign_name, bits
from protocol.merkle import merkle_proof, merkle_root, verify_merkle_proof
from protocol.units import OperatorKey
from tests.support.group_world import Group


def member(number: int, age: int = 1) -> Member:
    key = bytes([number]) * 32
    return Member(operator_key=key, age=age, name=assign_name(age, key, b""), prefix="", joined=0)


MEMBERS = tuple(member(number) for number in range(1, 6))


def test_a_membership_is_sorted_and_has_nobody_twice() -> None:
    assert Membership.of(reversed(MEMBERS)) == Membership(MEMBERS)
    for wrong in (MEMBERS[::-1], (MEMBERS[0], MEMBERS[0])):
        with pytest.raises(ValueError, match="sorted"):
            Membership(wrong)
    with pytest.raises(ValueError, match="sorted"):
        Membership.of([MEMBERS[0], member(1, age=3)])


def test_a_member_stands_where_its_name_says() -> None:
    prefix = bits(MEMBERS[0].name, 3)
    assert replace(MEMBERS[0], prefix=prefix).prefix == prefix
    for wrong in (("1" if prefix[0] == "0" else "0"), "2", "x"):
        with pytest.raises(ValueError, match="begins with"):
            replace(MEMBERS[0], prefix=wrong)


def test_voters_are_the_members_of_voting_age() -> None:
    membership = Membership.of([*MEMBERS, member(9, age=0)])
    assert member(9).operator_key in membership
    assert list(membership.voters().keys()) == [one.operator_key for one in MEMBERS]
    assert voters_of([member(9, age=0)]).voters == ()


def test_the_root_says_everything_about_everybody() -> None:
    root = Membership(MEMBERS).root()
    assert root == members_root(MEMBERS) == merkle_root([encode(one) for one in MEMBERS])
    changed = (
        replace(MEMBERS[0], age=2),
        replace(MEMBERS[0], joined=1),
        replace(MEMBERS[0], name=b"\x05" * 32),
    )
    assert all(members_root([other, *MEMBERS[1:]]) != root for other in changed)
    leaves = [encode(one) for one in MEMBERS]
    verify_merkle_proof(leaves[3], 3, 5, merkle_proof(leaves, 3), root)


def test_who_leaves_is_gone_and_nobody_else() -> None:
    left = Membership(MEMBERS).remove(MEMBERS[2].operator_key)
    assert left.members == MEMBERS[:2] + MEMBERS[3:] and len(left) == 4
    with pytest.raises(KeyError):
        left.remove(MEMBERS[2].operator_key)


def test_the_founders_are_one_group_of_one_age() -> None:
    group = Group()
    membership = genesis_membership(group.genesis)
    assert [one.operator_key for one in membership.members] == [one.key for one in group.founders]
    assert {(one.age, one.prefix, one.joined) for one in membership.members} == {(4, "", 0)}
    entropy = network_id(group.genesis)
    assert all(one.name == assign_name(4, one.operator_key, entropy) for one in membership.members)


def test_of_those_who_share_a_slot_the_lowest_key_may_stay() -> None:
    keys = [OperatorKey(bytes([number]) * 32) for number in range(4)]
    slots = {keys[3]: b"a", keys[0]: b"a", keys[1]: b"b", keys[2]: b"a"}
    assert shared_slots(slots) == (keys[2], keys[3])
    assert shared_slots({keys[0]: b"a", keys[1]: b"b"}) == ()
