"""Equal books are one object, and others never are."""

from dataclasses import replace

import pytest

from protocol.parameters import DEVNET
from protocol.tracking import book_shelf as module
from protocol.tracking.book_shelf import BookShelf
from protocol.tracking.registration_book import RegistrationBook
from tests.support.operators import operators

ENTRIES = [one.registration() for one in operators(4)]
EMPTY = RegistrationBook.empty(DEVNET)


def test_books_that_learned_the_same_in_different_orders_are_one() -> None:
    shelf = BookShelf()
    one = EMPTY.apply(ENTRIES[0], 3).apply(ENTRIES[1], 4)
    other = EMPTY.apply(ENTRIES[1], 4).apply(ENTRIES[0], 3)
    assert one is not other
    assert shelf.share(one) is one
    assert shelf.share(other) is one is shelf.share(one)


def test_a_book_is_never_exchanged_for_one_that_only_has_its_digest() -> None:
    """The digest is a sum: who tries hard enough finds two books with one."""
    shelf = BookShelf()
    one = shelf.share(EMPTY.apply(ENTRIES[0], 3))
    forged = replace(EMPTY.apply(ENTRIES[1], 3), _sum=one._sum)
    assert forged.digest == one.digest
    assert shelf.share(forged) is forged
    assert shelf.share(EMPTY.apply(ENTRIES[0], 3)) is one


def test_what_was_asked_for_longest_ago_is_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BOOKS_MAX", 2)
    shelf = BookShelf()
    first, second, third = (EMPTY.apply(entry, 3) for entry in ENTRIES[:3])
    shelf.share(first), shelf.share(second)
    shelf.share(EMPTY.apply(ENTRIES[0], 3))
    shelf.share(third)
    assert len(shelf._books) == 2
    again = EMPTY.apply(ENTRIES[1], 3)
    assert shelf.share(again) is again, "the second was forgotten"
    assert shelf.share(EMPTY.apply(ENTRIES[2], 3)) is third
