"""Equal books of registrations kept once.

Answers for: a node follows every group's data chain, and their books say the same most of the
time; so that hundreds of them take the memory of one, each is exchanged for an equal one that
is here already. What a book says is `registration_book`'s business. Spec: `spec/registration.md`.
"""

from protocol.tracking.registration_book import RegistrationBook
from protocol.units import Hash32

BOOKS_MAX = 256
"""Books that are remembered; the one that was asked for longest ago is forgotten first."""


class BookShelf:
    """The books of one network that were seen last."""

    def __init__(self) -> None:
        self._books: dict[Hash32, RegistrationBook] = {}

    def share(self, book: RegistrationBook) -> RegistrationBook:
        """Return a book equal to this one: the one that is here, or this one, which is here from now on."""
        known = self._books.pop(book.digest, book)
        self._books[book.digest] = known
        if len(self._books) > BOOKS_MAX:
            del self._books[next(iter(self._books))]
        return known if known == book else book
