"""REGISTER blocks: entries that change the book of registrations, and taking up other groups' ones.

Answers for: an entry stands in the chain of the group at which its stake address is at home, once; the other
groups take the block up by its hash, in order, before they judge. What an entry means is
`protocol.tracking.registration`'s business. Spec: `spec/data_chain.md`, `spec/registration.md`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType

from protocol.errors import InvalidBlock
from protocol.group.data_block import DataBlock, RegisterPayload
from protocol.group.elsewhere import Around, Standing
from protocol.group.state import GroupState
from protocol.tracking.registration import (
    Entry,
    check_deregistration,
    check_registration,
    read_deregistration,
    read_registration,
    registration_home,
)
from protocol.tracking.registration_book import RegistrationBook


def check_register(state: GroupState, block: DataBlock, payload: RegisterPayload, around: Around) -> None:
    """Raise unless every entry is valid, at home here, and would change the book."""
    for entry in checked_entries(state, payload):
        if not state.covers(registration_home(entry.stake_address)):
            raise InvalidBlock("an entry whose stake address is at home in another group")
        state.book.accepts(entry)


def after_register(
    state: GroupState, block: DataBlock, payload: RegisterPayload, around: Around
) -> GroupState:
    """Return the state with the entries in its book."""
    return replace(state, book=state.book.apply_all(read_entries(payload), block.stamp_height))


def checked_entries(state: GroupState, payload: RegisterPayload) -> tuple[Entry, ...]:
    """Return the entries of a REGISTER block, their signatures checked."""
    rules, parameters = state.genesis.chain, state.genesis.parameters
    registrations = [
        check_registration(envelope, state.network, rules, parameters) for envelope in payload.registrations
    ]
    deregistrations = [check_deregistration(data, state.network, rules) for data in payload.deregistrations]
    return (*registrations, *deregistrations)


def read_entries(payload: RegisterPayload) -> tuple[Entry, ...]:
    """Return the entries of a REGISTER block that its own group's chain has checked."""
    registrations = [read_registration(envelope) for envelope in payload.registrations]
    return (*registrations, *(read_deregistration(data) for data in payload.deregistrations))


def take_up(
    state: GroupState, hashes: Iterable[bytes], around: Around
) -> tuple[RegistrationBook, Mapping[str, int]]:
    """Return the book and the reading heights after other groups' REGISTER blocks.

    Raises `NotYetKnown` when one is not held, `InvalidBlock` when one is no such block, was taken up
    before, or an earlier one of its group is left out.
    """
    named = [around.named(one) for one in hashes]
    book, read = state.book, dict(state.read)
    by_prefix: dict[str, list[Standing]] = {}
    for standing in named:
        by_prefix.setdefault(standing.block.prefix, []).append(standing)
    for prefix, standings in sorted(by_prefix.items()):
        standings.sort(key=lambda standing: standing.block.height)
        due = around.elsewhere.registers(prefix, read.get(prefix, 0), standings[-1].block.height)
        if prefix == state.prefix or [one.block_hash for one in due] != [s.block_hash for s in standings]:
            raise InvalidBlock(f"REGISTER blocks of group {prefix!r} are not taken up in their order, once")
        for standing in standings:
            assert isinstance(standing.payload, RegisterPayload)
            book = book.apply_all(read_entries(standing.payload), standing.block.stamp_height)
        read[prefix] = standings[-1].block.height
    return book, MappingProxyType(read)
