"""The pool of entries that wait for a block."""

import pytest

from protocol.crypto import sha3_256
from protocol.errors import InvalidSignature, MalformedMessage, ProtocolError, StaleMessage
from protocol.genesis import network_id
from protocol.group.name import matches
from protocol.node import registrar as module
from protocol.node.effects import Effect, Persist, Publish
from protocol.node.messages import SIGNED, pack_signed
from protocol.node.records import REGISTRATION
from protocol.node.registrar import Registrar, pack_deregistration
from protocol.tracking.registration import build_deregistration, check_deregistration, check_registration
from protocol.tracking.registration_book import RegistrationBook
from tests.support.founding import founded_by
from tests.support.operators import Operator, operators
from zenp2p.store import MemoryStore

FOUNDERS = operators(1)
GENESIS = founded_by(FOUNDERS)
NETWORK = network_id(GENESIS)
COMERS = operators(12)[2:]
EMPTY = RegistrationBook.empty(GENESIS.parameters)


class Desk:
    """A registrar and its disk."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.registrar = Registrar(GENESIS, "t", self.store)

    def take(self, packed: bytes, book: RegistrationBook = EMPTY, *, own: bool = False) -> list[Effect]:
        return self.write(self.registrar.take(packed, book, own=own))

    def write(self, effects: list[Effect]) -> list[Effect]:
        for effect in effects:
            if isinstance(effect, Persist):
                self.store.write([(effect.key, effect.value)], sync=effect.durable)
        return effects

    def repeated(self, *, all_of_them: bool = True) -> list[bytes]:
        return [
            effect.data
            for effect in self.registrar.repeat(all_of_them=all_of_them)
            if isinstance(effect, Publish)
        ]

    def restart(self) -> None:
        self.registrar = Registrar(GENESIS, "t", self.store)


def packed(one: Operator, sequence: int = 1) -> bytes:
    return pack_signed(one.envelope(sequence, network=NETWORK))


def leaving(one: Operator, sequence: int) -> bytes:
    data = build_deregistration(
        one.sign_text,
        network=NETWORK,
        operator_key=one.key,
        stake_address=one.stake_address,
        stake_sequence=sequence,
    )
    return pack_deregistration(check_deregistration(data, NETWORK, GENESIS.chain))


def test_an_entry_is_on_disk_before_it_counts_and_waits_over_a_restart() -> None:
    desk = Desk()
    (kept,) = desk.take(packed(COMERS[0]))
    assert isinstance(kept, Persist) and kept.durable
    desk.restart()
    assert [entry.stake_address for entry in desk.registrar.waiting()] == [COMERS[0].stake_address]
    assert desk.repeated() == [packed(COMERS[0])]
    assert desk.take(packed(COMERS[0])) == []  # the same again costs nothing


def test_what_is_in_force_is_neither_taken_nor_kept() -> None:
    desk = Desk()
    desk.take(packed(COMERS[0]))
    desk.take(packed(COMERS[1]))
    book = EMPTY.apply(next(iter(desk.registrar.waiting())), 3)
    desk.write(desk.registrar.settle(book))
    assert [entry.stake_address for entry in desk.registrar.waiting()] == [COMERS[1].stake_address]
    assert len(list(desk.store.iterate(REGISTRATION))) == 1
    with pytest.raises(StaleMessage):
        desk.take(packed(COMERS[0]), book)


def test_both_kinds_are_offered_each_in_its_form_and_sorted() -> None:
    desk = Desk()
    entries = [packed(one) for one in COMERS[:3]] + [leaving(COMERS[3], 5)]
    for entry in entries:
        desk.take(entry)
    signed, plain = desk.registrar.offer(EMPTY)
    assert signed == tuple(sorted(entry[1:] for entry in entries[:3]))
    assert plain == (entries[3][1:],)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda data: data[:1] + bytes([data[1] ^ 1]) + data[2:], InvalidSignature),
        (lambda data: data[:-1], MalformedMessage),
        (lambda data: data[:1], MalformedMessage),
        (lambda data: b"\x02" + data[1:], MalformedMessage),
        (lambda data: b"\x09" + data[1:], StaleMessage),
        (lambda data: b"", StaleMessage),
    ],
)
def test_what_is_not_valid_is_not_kept(change: object, error: type[Exception]) -> None:
    desk = Desk()
    with pytest.raises(error):
        desk.take(change(packed(COMERS[0])))  # type: ignore[operator]
    assert not list(desk.registrar.waiting())


def test_the_pool_is_bounded_and_our_own_users_entries_have_room_and_come_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "POOL_MAX", 2)
    monkeypatch.setattr(module, "OWN_MAX", 1)
    desk = Desk()
    for one in COMERS[:2]:
        desk.take(packed(one))
    with pytest.raises(StaleMessage, match="wait already"):
        desk.take(packed(COMERS[2]))
    desk.take(packed(COMERS[3]), own=True)
    assert desk.repeated()[0] == packed(COMERS[3])
    with pytest.raises(StaleMessage, match="wait already"):
        desk.take(packed(COMERS[4]), own=True)
    assert desk.repeated(all_of_them=False) == [packed(COMERS[3])]
    desk.take(packed(COMERS[1]), own=True)  # known already, but now we know that it is ours
    assert desk.repeated()[0] == packed(COMERS[1])
    assert desk.repeated(all_of_them=False) == [packed(COMERS[1]), packed(COMERS[3])]


def test_a_block_is_offered_a_bounded_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PER_BLOCK_MAX", 2)
    desk = Desk()
    for one in COMERS[:4]:
        desk.take(packed(one))
    assert len(desk.registrar.offer(EMPTY)[0]) == 2 == len(desk.repeated())


def test_a_group_is_offered_what_is_at_home_there() -> None:
    """Of each stake, registrations and deregistrations: one data chain orders all its owner's words."""
    desk = Desk()
    for one in COMERS[:4]:
        desk.take(packed(one))
        desk.take(leaving(one, 2))
    whole, gone = desk.registrar.offer(EMPTY)
    halves = [desk.registrar.offer(EMPTY, prefix) for prefix in "01"]
    assert sorted(halves[0][0] + halves[1][0]) == sorted(whole)
    assert sorted(halves[0][1] + halves[1][1]) == sorted(gone)
    for prefix, (registrations, deregistrations) in zip("01", halves, strict=True):
        stakes = {one.stake_address for one in COMERS if matches(prefix, sha3_256(one.stake_address))}
        entries = [
            check_registration(one, NETWORK, GENESIS.chain, GENESIS.parameters) for one in registrations
        ]
        assert entries and {entry.stake_address for entry in entries} <= stakes
        left = [check_deregistration(data, NETWORK, GENESIS.chain) for data in deregistrations]
        assert {entry.stake_address for entry in left} == {entry.stake_address for entry in entries}


def test_a_stale_entry_of_another_network_is_refused() -> None:
    with pytest.raises(ProtocolError):
        Desk().take(bytes([SIGNED]) + COMERS[0].envelope(network=bytes(32)))
