"""Vectors of addresses, slots and their holders. Formats: `spec/diversity.md`."""

import ipaddress
from typing import Any

from protocol.codec import replace
from protocol.crypto import sha3_256
from protocol.errors import MalformedMessage
from protocol.parameters import DEVNET, ZEN, Parameters
from protocol.tracking.diversity import (
    check_routable,
    exceed_subnet_limit,
    ip_slot,
    resolve_duplicates,
    subnet_of,
)
from protocol.units import OperatorKey
from tests.vectors.registry import vectors

ADDRESSES = """
    8.8.8.8 10.0.0.1 100.64.0.1 127.0.0.1 169.254.169.254 172.16.0.1 192.0.0.9 192.0.2.1 192.88.99.1
    192.168.1.1 198.18.0.1 198.51.100.1 203.0.113.1 224.0.0.1 240.0.0.1 255.255.255.255 0.0.0.0
    ::1 ::127.0.0.1 2001:4860:4860::8888 2a01:4f8:c0c:1234:5678::1 64:ff9b::7f00:1 2001:0:7f00:1::
    2001:db8::1 2002:7f00:1:: 3fff::1 fc00::1 fe80::1 ff02::1 ::
""".split()
SLOT_BITS = (48, 56, 60, 64)


def is_routable(ip: bytes, parameters: Parameters) -> bool:
    try:
        check_routable(ip, parameters)
    except MalformedMessage:
        return False
    return True


def slot(ip: bytes, bits: int) -> bytes:
    return ip_slot(ip, replace(ZEN, ipv6_slot_bits=bits))


@vectors("diversity", "addresses")
def addresses() -> list[dict[str, Any]]:
    cases = []
    for text in ADDRESSES:
        ip = ipaddress.ip_address(text).packed
        cases.append(
            {
                "address": text,
                "packed": ip.hex(),
                "routable": is_routable(ip, ZEN),
                "routable_where_loopback_is_allowed": is_routable(ip, DEVNET),
                "slots": {str(bits): slot(ip, bits).hex() for bits in SLOT_BITS},
                "subnet": subnet_of(ip_slot(ip, ZEN)).hex(),
            }
        )
    return cases


@vectors("diversity", "places")
def places() -> list[dict[str, Any]]:
    anchor = sha3_256(b"anchor of places")
    keys = [OperatorKey(sha3_256(b"place", bytes([number]))) for number in range(8)]
    slots = [bytes([4, 9, 9, number // 6, number]) for number in range(8)]
    claims = dict(zip(keys, [slots[0], slots[0], slots[0], *slots[1:6]], strict=True))
    histories: list[tuple[dict[bytes, OperatorKey], dict[bytes, int], int]] = [
        ({}, {}, 0),
        ({slots[0]: keys[0]}, {}, 4),
        ({slots[0]: keys[1], slots[3]: keys[5]}, {keys[4]: 3, keys[6]: 3}, 2),
        ({slots[0]: OperatorKey(bytes(32))}, {}, 1),
    ]
    cases = []
    for previous, ages, limit in histories:
        holders = resolve_duplicates(claims, previous, anchor)
        excess = exceed_subnet_limit(holders, previous, anchor, limit, ages)
        cases.append(
            {
                "anchor_hash": anchor.hex(),
                "claims": {key.hex(): slot.hex() for key, slot in claims.items()},
                "previous": {slot.hex(): key.hex() for slot, key in previous.items()},
                "ages": {key.hex(): age for key, age in ages.items()},
                "limit": limit,
                "holders": {slot.hex(): key.hex() for slot, key in holders.items()},
                "in_excess": [key.hex() for key in excess],
            }
        )
    return cases
