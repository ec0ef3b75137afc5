"""Age: what a member gains by staying, and what it loses by leaving.

Answers for: the four rules about the number alone. When they are applied is
`membership`'s business and that of the moves between groups. Spec: `spec/group.md`.
"""

from protocol.units import Age

AGE_MAX = Age(255)
VOTING_AGE = Age(1)
"""The least age of a voter."""


def is_voting_age(age: int) -> bool:
    """Whether a member of this age has a vote: a newcomer (age 0) has none."""
    return age >= VOTING_AGE


def events_until_move(age: int) -> int:
    """Return how many counted churn events a member of this age stays in one group: 2**age."""
    return 1 << age


def may_move(age: int, counted_events: int) -> bool:
    """Whether a member has stayed long enough in its group to be relocated."""
    return counted_events >= events_until_move(age)


def older(age: int) -> Age:
    """Return the age after a relocation; it stops at 255."""
    return Age(min(age + 1, AGE_MAX))


def age_after_return(age: int) -> Age:
    """Return the age with which a member that had left continues: half, rounded down."""
    return Age(age // 2)
