"""The pool of registrations and deregistrations that wait for a REGISTER block.

Answers for: what our user handed in is kept until it is in force or can never be
(nothing acknowledged is lost); what others gossip is taken once, checked whole, and
bounded. Which of them count is decided by the data chain's `RegistrationBook`.
Spec: `spec/registration.md`.
"""

from collections.abc import Iterable

from protocol.codec import encode
from protocol.errors import ProtocolError, StaleMessage
from protocol.genesis import Genesis, network_id
from protocol.group.name import matches
from protocol.node.effects import Effect, Persist, Publish
from protocol.node.messages import PLAIN, SIGNED, pack_plain
from protocol.node.records import REGISTRATION, Records, registration_key
from protocol.tracking.registration import (
    Deregistration,
    Registration,
    check_deregistration,
    check_registration,
    registration_home,
)
from protocol.tracking.registration_book import RegistrationBook

POOL_MAX = 1_024
"""Entries that wait at once; beyond it a new one is refused."""
OWN_MAX = 16
"""Entries of our own user for which there is room beyond that."""
PER_BLOCK_MAX = 128
"""Entries offered for one REGISTER block."""

Entry = Registration | Deregistration


class Registrar:
    """Keeps waiting entries, by the bytes in which they came."""

    def __init__(self, genesis: Genesis, topic: str, records: Records) -> None:
        self._network = network_id(genesis)
        self._rules = genesis.chain
        self._parameters = genesis.parameters
        self._topic = topic
        self._waiting: dict[bytes, Entry] = {}
        self._own: dict[bytes, None] = {}
        """Which of them our user has handed in since the start."""
        for _, packed in records.iterate(REGISTRATION):
            self._waiting[packed] = self._check(packed)

    def take(self, packed: bytes, book: RegistrationBook, *, own: bool = False) -> list[Effect]:
        """Take one packed entry (kind byte and payload); our own user's has room in a full pool.

        Raises `ProtocolError` when it is invalid, would change nothing, or the pool is full.
        """
        if packed in self._waiting:
            self._prefer(packed, own)
            return []
        if len(self._waiting) >= POOL_MAX + (OWN_MAX if own else 0):
            raise StaleMessage(f"{POOL_MAX} registrations wait already")
        entry = self._check(packed)
        book.accepts(entry)
        self._waiting[packed] = entry
        self._prefer(packed, own)
        return [Persist(registration_key(packed), packed, durable=True)]

    def _prefer(self, packed: bytes, own: bool) -> None:
        """Keep our own user's entries before others'."""
        if own:
            self._own[packed] = None
            self._waiting = {packed: self._waiting[packed], **self._waiting}

    def repeat(self, *, all_of_them: bool) -> list[Effect]:
        """Gossip what our user waits for, or all that waits: a first gossip may have reached nobody."""
        chosen = [packed for packed in self._waiting if all_of_them or packed in self._own]
        return [Publish(self._topic, packed) for packed in chosen[:PER_BLOCK_MAX]]

    def offer(self, book: RegistrationBook, prefix: str = "") -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
        """Return (registration envelopes, deregistrations) for one block, in canonical order.

        Those that would change the book and are at home in the group with this prefix.
        """
        chosen: list[tuple[bytes, Entry]] = []
        for packed, entry in sorted(self._waiting.items()):
            is_at_home = matches(prefix, registration_home(entry.stake_address))
            if len(chosen) < PER_BLOCK_MAX and is_at_home and is_accepted(entry, book):
                chosen.append((packed, entry))
        signed = tuple(packed[1:] for packed, entry in chosen if isinstance(entry, Registration))
        plain = tuple(encode(entry) for _, entry in chosen if isinstance(entry, Deregistration))
        return signed, plain

    def settle(self, book: RegistrationBook) -> list[Effect]:
        """Drop what the book has taken up or will never take."""
        done = [packed for packed, entry in self._waiting.items() if not is_accepted(entry, book)]
        for packed in done:
            del self._waiting[packed]
            self._own.pop(packed, None)
        return [Persist(registration_key(packed), None) for packed in done]

    def waiting(self) -> Iterable[Entry]:
        """Return the waiting entries."""
        return tuple(self._waiting.values())

    def _check(self, packed: bytes) -> Entry:
        if packed[:1] == bytes((SIGNED,)):
            return check_registration(packed[1:], self._network, self._rules, self._parameters)
        if packed[:1] == bytes((PLAIN,)):
            return check_deregistration(packed[1:], self._network, self._rules)
        raise StaleMessage("neither a registration nor a deregistration")


def pack_deregistration(entry: Deregistration) -> bytes:
    """Return the network form of a deregistration."""
    return pack_plain(entry)


def is_accepted(entry: Entry, book: RegistrationBook) -> bool:
    """Whether the book would change by `entry`."""
    try:
        book.accepts(entry)
    except ProtocolError:
        return False
    return True
