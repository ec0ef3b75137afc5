"""The book: the stake owner's last word counts, in whatever order the words arrive."""

from collections.abc import Sequence
from itertools import groupby
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.codec import replace
from protocol.errors import StaleMessage
from protocol.parameters import DEVNET, ZEN
from protocol.tracking.registration import Deregistration, Entry, Registration, content_digest
from protocol.tracking.registration_book import RegistrationBook
from protocol.units import OperatorKey
from tests.support.registration_model import BookModel, Stamped

PERIOD = DEVNET.period_blocks
HEIGHTS = sorted({*range(0, 5 * PERIOD, 7), *(PERIOD * n + d for n in range(1, 5) for d in (-1, 0, 1))})


def stake(number: int) -> bytes:
    return b"\x00" + bytes([number]) * 20


def register(owner: int, key: int, sequence: int, port: int = 1, signature: int = 0) -> Registration:
    """An entry as it stands after its checks; the book does not look at signatures again."""
    return Registration(
        network=bytes(32),
        operator_key=bytes([key]) * 32,
        stake_address=stake(owner),
        stake_sequence=sequence,
        node_address=stake(0),
        ip=b"\x7f\0\0\x01",
        port=port,
        fqdn="",
        tls_port=0,
        stake_signature=bytes([signature]) * 65,
    )


def deregister(owner: int, sequence: int) -> Deregistration:
    return Deregistration(
        network=bytes(32),
        operator_key=bytes(32),
        stake_address=stake(owner),
        stake_sequence=sequence,
        stake_signature=bytes(65),
    )


def unsigned(entry: Entry) -> Entry:
    return replace(entry, stake_signature=bytes(65))


def book_of(entries: Sequence[Stamped]) -> RegistrationBook:
    book = RegistrationBook.empty(DEVNET)
    for stamp, entry in entries:
        book = book.apply(entry, stamp)
    return book


def ports(book: RegistrationBook, height: int) -> dict[int, tuple[int, int]]:
    """Operator number -> (stake number, port) in force at a height."""
    found = book.in_force(height).values()
    return {entry.operator_key[0]: (entry.stake_address[1], entry.port) for entry in found}


def test_a_first_registration_counts_from_its_stamp() -> None:
    book = book_of([(5, register(1, 1, 1))])
    assert ports(book, 4) == {}
    assert ports(book, 5) == ports(book, 500) == {1: (1, 1)}


def test_a_change_counts_from_the_next_period() -> None:
    book = book_of([(5, register(1, 1, 1)), (6, register(1, 1, 2, port=2))])
    assert ports(book, 23) == {1: (1, 1)}
    assert ports(book, 24) == {1: (1, 2)}


def test_of_several_changes_in_a_period_the_last_one_counts() -> None:
    changes = [(6, register(1, 1, 2, port=2)), (7, register(1, 1, 3, port=3))]
    book = book_of([(5, register(1, 1, 1)), *changes])
    assert ports(book, 23) == {1: (1, 1)}
    assert ports(book, 24) == {1: (1, 3)}


def test_another_operator_for_the_stake_is_a_change() -> None:
    book = book_of([(5, register(1, 1, 1)), (6, register(1, 2, 2))])
    assert ports(book, 23) == {1: (1, 1)}
    assert ports(book, 24) == {2: (1, 1)}


def test_another_stake_for_the_operator_is_a_change() -> None:
    book = book_of([(5, register(1, 1, 1)), (6, register(2, 1, 1, port=2))])
    assert ports(book, 23) == {1: (1, 1)}
    assert ports(book, 24) == {1: (2, 2)}


def test_an_operator_of_two_first_registrations_has_the_lower_stake() -> None:
    assert ports(book_of([(5, register(2, 1, 1)), (5, register(1, 1, 1))]), 5) == {1: (1, 1)}


def test_at_the_next_period_the_old_operator_is_free() -> None:
    """The height at which a change counts belongs to the new state."""
    changed = [(5, register(1, 1, 1)), (6, register(1, 2, 2))]
    early = book_of([*changed, (23, register(2, 1, 1, port=3))])
    assert (ports(early, 23), ports(early, 24)) == ({1: (1, 1)}, {1: (2, 3), 2: (1, 1)})
    assert ports(book_of([*changed, (24, register(2, 1, 1, port=3))]), 24) == {1: (2, 3), 2: (1, 1)}


def test_deregistering_frees_the_stake_at_once() -> None:
    left: list[Stamped] = [(5, register(1, 1, 1)), (9, deregister(1, 2))]
    assert ports(book_of(left), 8) == {1: (1, 1)}
    assert ports(book_of(left), 9) == {}
    assert ports(book_of([*left, (10, register(1, 2, 3))]), 10) == {2: (1, 1)}


def test_deregistering_ends_a_change_that_waits() -> None:
    book = book_of([(5, register(1, 1, 1)), (6, register(1, 1, 2)), (7, deregister(1, 3))])
    assert ports(book, 7) == ports(book, 24) == {}


def test_deregistering_and_registering_in_one_block_counts_at_once() -> None:
    """As it would in two blocks: which stamps entries get is not their owner's choice."""
    both: list[Stamped] = [(6, deregister(1, 2)), (6, register(1, 1, 3, port=3))]
    for order in (both, both[::-1]):
        assert ports(book_of([(5, register(1, 1, 1)), *order]), 6) == {1: (1, 3)}


def test_a_stake_freed_in_one_block_lets_its_operator_take_another() -> None:
    both: list[Stamped] = [(6, deregister(1, 2)), (6, register(2, 1, 1, port=3))]
    for order in (both, both[::-1]):
        assert ports(book_of([(5, register(1, 1, 1)), *order]), 6) == {1: (2, 3)}


def test_of_two_first_registrations_in_one_block_the_higher_sequence_counts() -> None:
    both: list[Stamped] = [(6, register(1, 1, 2)), (6, register(1, 2, 3))]
    for order in (both, both[::-1]):
        assert ports(book_of(order), 6) == {2: (1, 1)}


def test_equal_sequences_void_each_other_until_a_higher_one() -> None:
    double = [(5, register(1, 1, 1)), (6, register(1, 2, 1))]
    book = book_of(double)
    assert ports(book, 5) == {1: (1, 1)}
    assert ports(book, 6) == ports(book, 24) == {}
    assert [key[0] for key in book.contested(6)] == [1, 2]
    assert not book.contested(5)
    settled = book.apply(register(1, 2, 2), 7)
    assert ports(settled, 7) == {2: (1, 1)}
    assert not settled.contested(7)


def test_a_registration_and_a_deregistration_of_one_sequence_void_each_other() -> None:
    book = book_of([(5, register(1, 1, 1)), (6, deregister(1, 1))])
    assert ports(book, 6) == {}
    assert [key[0] for key in book.contested(6)] == [1]


def test_an_operator_with_another_stake_in_force_is_not_contested() -> None:
    book = book_of([(5, register(1, 1, 1)), (5, register(1, 2, 1)), (5, register(2, 1, 1))])
    assert ports(book, 5) == {1: (2, 1)}
    assert [key[0] for key in book.contested(5)] == [2]
    assert {key[0]: entry.stake_address[1] for key, entry in book.judged(5).items()} == {1: 2, 2: 1}
    assert list(book.judged(5)) == sorted(book.judged(5))


def test_a_second_signature_of_the_same_content_changes_nothing() -> None:
    book = book_of([(5, register(1, 1, 1))])
    again = register(1, 1, 1, signature=9)
    with pytest.raises(StaleMessage):
        book.accepts(again)
    assert ports(book.apply(again, 6), 6) == {1: (1, 1)}


def test_the_owner_is_told_which_sequence_comes_next() -> None:
    book = book_of([(5, register(1, 1, 4)), (6, register(1, 1, 2))])
    assert book.last_sequence(stake(1)) == 4
    assert book.last_sequence(stake(2)) is None


def test_a_block_that_comes_late_says_what_it_would_have_said_in_time() -> None:
    """Another group's block: the operator's change follows from a first registration heard of afterwards."""
    late, change = (5, register(1, 1, 1)), (6, register(2, 1, 1, port=2))
    assert ports(book_of([change]), 6) == {1: (2, 2)}
    book = book_of([change, late])
    assert book == book_of([late, change])
    assert ports(book, 23) == {1: (1, 1)} and ports(book, 24) == {1: (2, 2)}


def test_what_follows_from_a_late_word_reaches_the_stakes_behind_it() -> None:
    """Operator 1 comes from stake 1: so stake 2 keeps operator 3 a while, whose move to stake 3 waits too."""
    rest = [(7, register(2, 3, 1)), (7, register(2, 1, 2)), (8, register(3, 3, 1))]
    assert ports(book_of(rest), 8) == {1: (2, 1), 3: (3, 1)}
    late = (6, register(1, 1, 1))
    book = book_of([*rest, late])
    assert book == book_of([late, *rest])
    assert ports(book, 8) == {1: (1, 1), 3: (2, 1)}
    assert ports(book, 24) == {1: (2, 1), 3: (3, 1)}


def test_a_late_word_that_a_higher_sequence_preceded_takes_its_operator_out_of_the_book() -> None:
    book = book_of([(9, register(1, 1, 1)), (8, register(1, 2, 2))])
    assert book == book_of([(8, register(1, 2, 2))])
    assert ports(book, 9) == {2: (1, 1)}
    assert book.of(bytes([1]) * 32, 9) is None
    assert book.digest == book_of([(8, register(1, 2, 2))]).digest


def test_of_one_content_signed_twice_the_first_signature_stays() -> None:
    first, again = (5, register(1, 1, 1, signature=9)), (6, register(1, 1, 1, signature=1))
    same = (5, register(1, 1, 1, signature=8))
    assert book_of([first, again]) == book_of([again, first]) == book_of([first])
    assert book_of([again, same, first]) == book_of([same])


def test_books_of_other_periods_are_not_merged() -> None:
    with pytest.raises(ValueError):
        RegistrationBook.empty(DEVNET).merge(RegistrationBook.empty(ZEN))


SMALL = st.integers(1, 3)
ENTRIES = st.builds(register, SMALL, SMALL, SMALL, SMALL) | st.builds(deregister, SMALL, SMALL)
STAMPS = st.sampled_from([0, 1, PERIOD - 1, PERIOD, PERIOD + 1, 2 * PERIOD]) | st.integers(0, 3 * PERIOD)
HISTORIES = st.lists(st.tuples(STAMPS, ENTRIES), max_size=9).map(
    lambda entries: sorted(entries, key=lambda one: one[0])
)
SIGNED_TWICE = st.builds(register, SMALL, SMALL, SMALL, SMALL, st.integers(0, 2)) | st.builds(
    deregister, SMALL, SMALL
)
IN_ANY_ORDER = st.lists(st.tuples(STAMPS, SIGNED_TWICE), max_size=12)
KEYS = [bytes([number]) * 32 for number in range(4)]


@settings(max_examples=settings().max_examples * 2)
@given(HISTORIES)
def test_the_book_says_what_the_plain_rules_say(history: list[Stamped]) -> None:
    book, model = book_of(history), BookModel(PERIOD, history)
    for height in HEIGHTS:
        assert dict(book.in_force(height)) == model.in_force(height)
        assert list(book.in_force(height)) == sorted(book.in_force(height))
        assert list(book.contested(height)) == sorted(model.contested(height))


@settings(max_examples=settings().max_examples * 2)
@given(IN_ANY_ORDER, st.randoms(use_true_random=False))
def test_the_book_is_a_function_of_the_set(history: list[Stamped], random: Random) -> None:
    shuffled = [*history, *random.sample(history, len(history) // 2)]
    random.shuffle(shuffled)
    one, other = book_of(sorted(history, key=lambda said: said[0])), book_of(shuffled)
    assert one == other and one.digest == other.digest
    model = BookModel(
        PERIOD, [(stamp, replace(entry, stake_signature=bytes(65))) for stamp, entry in history]
    )
    for height in HEIGHTS:
        found = other.in_force(height).values()
        assert {entry.signer: replace(entry, stake_signature=bytes(65)) for entry in found} == (
            model.in_force(height)
        )
        assert {key: other.of(key, height) for key in KEYS} == {
            key: one.in_force(height).get(OperatorKey(key)) for key in KEYS
        }


@given(IN_ANY_ORDER, IN_ANY_ORDER, IN_ANY_ORDER)
def test_merged_books_are_the_book_of_both_sets(
    both: list[Stamped], left: list[Stamped], right: list[Stamped]
) -> None:
    one, other, whole = book_of(both + left), book_of(right + both), book_of(both + left + right)
    for merged in (one.merge(other), other.merge(one)):
        assert merged == whole and merged.digest == whole.digest
        for height in HEIGHTS:
            assert [merged.of(key, height) for key in KEYS] == [whole.of(key, height) for key in KEYS]
    assert one.merge(one) is one


@given(IN_ANY_ORDER, IN_ANY_ORDER)
def test_books_that_differ_have_different_digests(left: list[Stamped], right: list[Stamped]) -> None:
    one, other = book_of(left), book_of(right)
    assert (one == other) == (one.digest == other.digest)


@given(HISTORIES)
def test_a_block_at_once_is_its_entries_one_by_one(history: list[Stamped]) -> None:
    book = RegistrationBook.empty(DEVNET)
    for stamp, group in groupby(history, key=lambda one: one[0]):
        book = book.apply_all([entry for _, entry in group], stamp)
    for height in HEIGHTS:
        assert book.in_force(height) == book_of(history).in_force(height)


@given(HISTORIES, st.lists(ENTRIES, max_size=6), st.integers(1, 3), SMALL)
def test_nothing_replays_after_a_tombstone(
    history: list[Stamped], later: list[Entry], sequence: int, owner: int
) -> None:
    height = 3 * PERIOD + 1
    book = book_of(history).apply(deregister(owner, sequence), height)
    for number, entry in enumerate(later):
        book = book.apply(entry, height + number)
    for anchor in range(height, height + 3 * PERIOD, 5):
        for entry in book.in_force(anchor).values():
            assert entry.stake_address != stake(owner) or entry.stake_sequence > sequence


@given(HISTORIES, st.lists(ENTRIES, max_size=6))
def test_what_was_taken_once_is_never_taken_again(history: list[Stamped], later: list[Entry]) -> None:
    height = 3 * PERIOD
    book = book_of([*history, *((height, entry) for entry in later)])
    for entry in [entry for _, entry in history] + later:
        with pytest.raises(StaleMessage):
            book.accepts(entry)


@given(HISTORIES, ENTRIES)
def test_what_is_not_accepted_changes_nothing(history: list[Stamped], entry: Entry) -> None:
    book = book_of(history)
    try:
        book.accepts(entry)
    except StaleMessage:
        after = book.apply(entry, 3 * PERIOD + 1)
        for height in range(0, 6 * PERIOD, 4):
            assert after.in_force(height) == book.in_force(height)
        assert after.last_sequence(entry.stake_address) == book.last_sequence(entry.stake_address)
    else:
        with pytest.raises(StaleMessage):
            book.apply(entry, 3 * PERIOD + 1).accepts(entry)


@given(HISTORIES)
def test_one_stake_backs_one_operator(history: list[Stamped]) -> None:
    for height in HEIGHTS:
        stakes = [entry.stake_address for entry in book_of(history).in_force(height).values()]
        assert len(set(stakes)) == len(stakes)


@given(HISTORIES, st.integers(0, 4 * PERIOD), st.lists(ENTRIES, max_size=5))
def test_pruned_history_is_not_missed(history: list[Stamped], height: int, later: list[Entry]) -> None:
    whole = book_of(history)
    pruned = whole.pruned(height)
    start = max(height, 3 * PERIOD)
    for anchor in range(height, height + 3 * PERIOD, 5):
        assert pruned.in_force(anchor) == whole.in_force(anchor)
        assert pruned.contested(anchor) == whole.contested(anchor)
    for number, entry in enumerate(later):
        whole, pruned = whole.apply(entry, start + number), pruned.apply(entry, start + number)
    for anchor in range(height, start + 3 * PERIOD, 5):
        assert pruned.in_force(anchor) == whole.in_force(anchor)
        assert pruned.contested(anchor) == whole.contested(anchor)


@given(HISTORIES)
def test_a_book_never_changes(history: list[Stamped]) -> None:
    book = RegistrationBook.empty(DEVNET)
    seen = []
    for stamp, entry in history:
        seen.append((book, dict(book.in_force(3 * PERIOD))))
        book = book.apply(entry, stamp)
    for old, said in seen:
        assert dict(old.in_force(3 * PERIOD)) == said


def test_contents_tell_entries_apart() -> None:
    assert content_digest(register(1, 1, 1)) != content_digest(register(1, 1, 1, port=2))
