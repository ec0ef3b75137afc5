"""Vectors of registrations and of the book. Formats: `spec/registration.md`."""

from typing import Any

from protocol.chain.rules import DEVNET as CHAIN
from protocol.codec import encode, replace
from protocol.crypto import envelope_body
from protocol.errors import ProtocolError
from protocol.group.name import bits
from protocol.parameters import DEVNET, ZEN, Parameters
from protocol.tracking.registration import (
    Entry,
    Registration,
    check_deregistration,
    check_registration,
    registration_home,
    registration_text,
    with_stake_signature,
)
from protocol.tracking.registration_book import RegistrationBook
from tests.support.operators import NETWORK, operator
from tests.vectors.registry import vectors

ALICE, BOB = operator(1), operator(2)
PUBLIC = b"\x08\x08\x08\x08"
FIRST = (5, ALICE.registration(1))
SEQUENCE = ALICE.stake_address + b"\x07"
"""The stake address and sequence 7 as they stand in a body."""


def describe(entry: Entry) -> dict[str, Any]:
    """The fields as JSON: bytes as hex."""
    fields = {name: getattr(entry, name) for name in entry.__struct_fields__}
    return {name: value.hex() if isinstance(value, bytes) else value for name, value in fields.items()}


def outcome(envelope: bytes, parameters: Parameters) -> dict[str, Any]:
    try:
        entry = check_registration(envelope, NETWORK, CHAIN, parameters)
    except ProtocolError as error:
        return {"error": type(error).__name__}
    return {"text": registration_text(entry), "fields": describe(entry)}


@vectors("registration", "registrations")
def registrations() -> dict[str, Any]:
    good = ALICE.envelope(7)
    stolen = with_stake_signature(
        replace(ALICE.registration(7), stake_address=BOB.stake_address), ALICE.sign_text
    )
    cases = {
        "right": (good, DEVNET),
        "right, with a TLS host": (ALICE.envelope(7, ip=PUBLIC, fqdn="node.example.org"), ZEN),
        "right, IPv6": (ALICE.envelope(7, ip=bytes.fromhex("2a0104f8000000000000000000000001")), DEVNET),
        "loopback where it is not allowed": (good, replace(DEVNET, loopback_allowed=False)),
        "no TLS host where one is required": (ALICE.envelope(7, ip=PUBLIC), ZEN),
        "another network": (ALICE.envelope(7, network=bytes(32)), DEVNET),
        "signed by another operator": (BOB.signer.sign(envelope_body(good)), DEVNET),
        "somebody else's stake": (ALICE.signer.sign(encode(stolen)), DEVNET),
        "a byte behind it": (good + b"\0", DEVNET),
        "a sequence in a longer form": (
            ALICE.signer.sign(
                envelope_body(good).replace(ALICE.stake_address + b"\x07", ALICE.stake_address + b"\xcc\x07")
            ),
            DEVNET,
        ),
    }
    return {
        "network": NETWORK.hex(),
        "message_magic": CHAIN.message_magic,
        "cases": [
            {
                "name": name,
                "preset": parameters.preset,
                "loopback_allowed": parameters.loopback_allowed,
                "envelope": envelope.hex(),
                **outcome(envelope, parameters),
            }
            for name, (envelope, parameters) in cases.items()
        ],
    }


@vectors("registration", "deregistrations")
def deregistrations() -> dict[str, Any]:
    entry = ALICE.deregistration(8)
    assert check_deregistration(encode(entry), NETWORK, CHAIN) == entry
    return {
        "network": NETWORK.hex(),
        "message_magic": CHAIN.message_magic,
        "cases": [{"body": encode(entry).hex(), "text": registration_text(entry), "fields": describe(entry)}],
    }


HISTORIES: dict[str, list[tuple[int, Entry]]] = {
    "a first registration counts at once": [FIRST],
    "a change counts from the next period": [
        FIRST,
        (6, ALICE.registration(2, ip=PUBLIC)),
    ],
    "a stake changes its operator": [FIRST, (6, BOB.registration(2, stake_of=ALICE))],
    "an operator changes its stake": [FIRST, (6, ALICE.registration(1, stake_of=BOB))],
    "deregistering counts at once, and registering after it": [
        FIRST,
        (9, ALICE.deregistration(2)),
        (12, BOB.registration(3, stake_of=ALICE)),
    ],
    "deregistering and registering in one block counts at once": [
        FIRST,
        (6, ALICE.deregistration(2)),
        (6, BOB.registration(3, stake_of=ALICE)),
    ],
    "a lower sequence changes nothing": [
        (5, ALICE.registration(2)),
        (6, BOB.registration(1, stake_of=ALICE)),
    ],
    "nothing replays after a tombstone": [
        FIRST,
        (6, ALICE.deregistration(2)),
        (7, ALICE.registration(1)),
    ],
    "a late block makes what came before it a change": [
        (6, ALICE.registration(1, stake_of=BOB)),
        FIRST,
    ],
    "a late block of a higher sequence": [
        (9, ALICE.registration(1)),
        (8, BOB.registration(2, stake_of=ALICE)),
    ],
    "equal sequences void each other": [
        FIRST,
        (9, BOB.registration(1, stake_of=ALICE)),
        (20, BOB.registration(2, stake_of=ALICE)),
    ],
}


@vectors("registration", "homes")
def homes() -> list[dict[str, Any]]:
    """The group of each stake's entries: that whose prefix its home begins with."""
    stakes = [operator(number).stake_address for number in range(1, 5)]
    found = [(stake, registration_home(stake)) for stake in stakes]
    return [
        {"stake_address": stake.hex(), "home": home.hex(), "first_bits": bits(home, 12)}
        for stake, home in found
    ]


@vectors("registration", "book")
def book() -> list[dict[str, Any]]:
    return [_history(name, entries) for name, entries in HISTORIES.items()]


def _history(name: str, entries: list[tuple[int, Entry]]) -> dict[str, Any]:
    state = RegistrationBook.empty(DEVNET)
    for stamp, entry in entries:
        state = state.apply(entry, stamp)
    return {
        "name": name,
        "period_blocks": DEVNET.period_blocks,
        "entries": [
            {
                "stamp": stamp,
                "kind": "registration" if isinstance(entry, Registration) else "deregistration",
                "body": encode(entry).hex(),
            }
            for stamp, entry in entries
        ],
        "at": [
            {
                "anchor_height": height,
                "in_force": [
                    {"operator_key": key.hex(), "body": encode(entry).hex()}
                    for key, entry in state.in_force(height).items()
                ],
                "contested": [key.hex() for key in state.contested(height)],
            }
            for height in (4, 5, 8, 16, 24, 48)
        ],
    }
