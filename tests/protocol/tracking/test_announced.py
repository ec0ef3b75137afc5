"""Which announcement counts, and whom it may move: a function of the set, whoever shouts."""

from collections.abc import Sequence
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from protocol.codec import replace
from protocol.parameters import DEVNET
from protocol.tracking.announced import Claim, Sighting, claims_of, counting_claims, dial_order, is_usable
from protocol.tracking.announcement import Announcement, Ties
from protocol.units import Height
from tests.support.operators import operator

PUBLIC = replace(DEVNET, loopback_allowed=False)
ALICE, BOB, CAROL = (operator(number) for number in (1, 2, 3))
STAKES = [operator(number).stake_address for number in range(1, 5)]
HERE, THERE, LOCAL = b"\x08\x08\x08\x08", b"\x09\x09\x09\x09", b"\x7f\x00\x00\x01"


def seen(
    ordinal: int,
    *,
    by: int = 1,
    ip: bytes = HERE,
    signed: Sequence[bytes] = (),
    paid: Sequence[bytes] = (),
) -> Sighting:
    """An announcement of operator `by` in transaction `ordinal`."""
    ties = Ties(tuple(sorted(signed)), tuple(sorted(set(paid) - set(signed))))
    return Sighting(Announcement(operator(by).key, 9033, ip=ip), ordinal, Height(ordinal // 2), ties)


STAKE_SETS = st.sets(st.sampled_from(STAKES), max_size=2)
SIGHTINGS = st.lists(
    st.builds(
        lambda ordinal, by, ip, signed, paid: seen(ordinal, by=by, ip=ip, signed=signed, paid=paid),
        st.integers(0, 10_000),
        st.integers(1, 4),
        st.sampled_from((HERE, THERE, LOCAL)),
        STAKE_SETS,
        STAKE_SETS,
    ),
    max_size=12,
    unique_by=lambda sighting: sighting.ordinal,
)


def counting(*sightings: Sighting) -> dict[bytes, int]:
    """The ordinals that count, by stake address."""
    return {stake: one.sighting.ordinal for stake, one in counting_claims(sightings, PUBLIC).items()}


class TestWhatCounts:
    """One claim a stake."""

    @given(SIGHTINGS, st.randoms(use_true_random=False))
    def test_the_order_in_which_they_are_seen_changes_nothing(
        self, sightings: list[Sighting], random: Random
    ) -> None:
        shuffled = [*sightings, *sightings]
        random.shuffle(shuffled)
        assert counting_claims(shuffled, PUBLIC) == counting_claims(sightings, PUBLIC)

    @given(SIGHTINGS)
    def test_it_is_the_last_that_the_owner_signed_else_the_last_that_paid(
        self, sightings: list[Sighting]
    ) -> None:
        for stake in STAKES:
            usable = [one for one in sightings if one.announcement.ip != LOCAL]
            signed = [one.ordinal for one in usable if stake in one.ties.signed]
            paid = [one.ordinal for one in usable if stake in one.ties.paid]
            expected = max(signed or paid, default=None)
            assert counting(*sightings).get(stake) == expected

    @given(SIGHTINGS, SIGHTINGS)
    def test_what_others_pay_never_replaces_what_the_owner_signed(
        self, sightings: list[Sighting], spam: list[Sighting]
    ) -> None:
        before = counting_claims(sightings, PUBLIC)
        weak = [
            Sighting(one.announcement, one.ordinal + 20_000, one.height, Ties((), one.ties.paid))
            for one in spam
        ]
        after = counting_claims([*sightings, *weak], PUBLIC)
        assert all(after[stake] == claim for stake, claim in before.items() if claim.signed)

    @given(SIGHTINGS, SIGHTINGS)
    def test_other_stakes_are_not_touched(self, sightings: list[Sighting], more: list[Sighting]) -> None:
        """A payload that is replayed in somebody else's transaction speaks for that one alone."""
        before, after = counting_claims(sightings, PUBLIC), counting_claims([*sightings, *more], PUBLIC)
        touched = {stake for one in more for stake in (*one.ties.signed, *one.ties.paid)}
        assert {s: c for s, c in after.items() if s not in touched} == {
            s: c for s, c in before.items() if s not in touched
        }

    def test_where_nobody_may_listen_is_no_announcement(self) -> None:
        local = seen(9, ip=LOCAL, signed=[STAKES[0]])
        assert counting(seen(1, signed=[STAKES[0]]), local) == {STAKES[0]: 1}
        assert counting_claims([local], DEVNET).keys() == {STAKES[0]}
        assert is_usable(Announcement(ALICE.key, 1, fqdn="node.example.org"), PUBLIC)


def order(
    sightings: Sequence[Sighting], registered: Sequence[int] = (), known: Sequence[int] = ()
) -> list[int]:
    """The ordinals that may lead to a dial, in order; each operator is registered with its own stake."""
    claims = [claim for one in sightings for claim in claims_of(one)]
    registrations = {operator(n).key: operator(n).registration(ip=HERE) for n in registered}
    chosen = dial_order(claims, registrations, [operator(n).key for n in known])
    return [claim.sighting.ordinal for claim in chosen]


class TestWhoIsDialled:
    """Nobody is led elsewhere by somebody else's word."""

    def test_signed_before_paid_new_before_old(self) -> None:
        sightings = [
            seen(1, by=1, signed=[STAKES[0]]),
            seen(2, by=2, paid=[STAKES[1]]),
            seen(3, by=3, signed=[STAKES[2]]),
            seen(4, by=4, paid=[STAKES[3]]),
        ]
        assert order(sightings) == [3, 1, 4, 2]

    def test_whom_our_user_configured_is_not_moved(self) -> None:
        assert order([seen(1, signed=[ALICE.stake_address])], known=[1]) == []
        assert order([seen(1, signed=[ALICE.stake_address])], registered=[1], known=[1]) == []

    def test_who_is_registered_is_moved_by_the_owner_of_its_stake_alone(self) -> None:
        others = [
            seen(1, ip=THERE, signed=[BOB.stake_address]),
            seen(2, ip=THERE, paid=[ALICE.stake_address]),
            seen(3, ip=THERE, signed=[CAROL.stake_address], paid=[ALICE.stake_address]),
        ]
        assert order(others, registered=[1]) == []
        assert order([*others, seen(4, ip=THERE, signed=[ALICE.stake_address])], registered=[1]) == [4]
        assert order(others) == [3, 1, 3, 2]

    def test_who_is_registered_there_is_known_there(self) -> None:
        assert order([seen(1, ip=HERE, signed=[ALICE.stake_address])], registered=[1]) == []

    def test_newcomers_come_first(self) -> None:
        moved = seen(9, by=1, ip=THERE, signed=[ALICE.stake_address])
        assert order([moved, seen(1, by=2, paid=[BOB.stake_address])], registered=[1]) == [1, 9]

    @given(SIGHTINGS, st.sets(st.integers(1, 4)), st.randoms(use_true_random=False))
    def test_a_function_of_the_set(
        self, sightings: list[Sighting], registered: set[int], random: Random
    ) -> None:
        claims = [claim for one in sightings for claim in claims_of(one)]
        shuffled: list[Claim] = list(claims)
        random.shuffle(shuffled)
        registrations = {operator(n).key: operator(n).registration() for n in registered}
        assert dial_order(shuffled, registrations, ()) == dial_order(claims, registrations, ())
