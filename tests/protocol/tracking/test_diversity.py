"""Diversity: which addresses count, one holder a slot, few in a subnet."""

import ipaddress
from collections.abc import Mapping
from random import Random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from protocol.codec import replace
from protocol.errors import MalformedMessage
from protocol.parameters import DEVNET, ZEN
from protocol.tracking.challenge import challenge_draw
from protocol.tracking.diversity import (
    check_routable,
    exceed_subnet_limit,
    fold_mapped,
    ip_slot,
    is_packed_ip,
    resolve_duplicates,
    subnet_of,
)
from protocol.units import OperatorKey

ANCHOR = b"a" * 32
V4 = st.binary(min_size=4, max_size=4)
V6 = st.binary(min_size=16, max_size=16)
GLOBAL_V6 = V6.map(lambda ip: bytes([ip[0] & 0x1F | 0x20]) + ip[1:])


def packed(text: str) -> bytes:
    return ipaddress.ip_address(text).packed


def is_routable(ip: bytes, local: bool = False) -> bool:
    try:
        check_routable(ip, replace(ZEN, loopback_allowed=local))
    except MalformedMessage:
        return False
    return True


@pytest.mark.parametrize(
    "text",
    [
        "8.8.8.8",
        "1.0.0.1",
        "100.63.255.255",
        "100.128.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "192.0.1.0",
        "192.0.3.0",
        "198.17.255.255",
        "198.20.0.0",
        "223.255.255.255",
        "2001:4860:4860::8888",
        "2001:200::1",
        "2600::1",
        "2a01:4f8::1",
    ],
)
def test_addresses_that_strangers_can_dial(text: str) -> None:
    assert is_routable(packed(text))


LOCAL = [
    "10.0.0.1",
    "100.64.0.1",
    "127.0.0.1",
    "127.255.255.255",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.9",
    "192.0.2.1",
    "192.31.196.1",
    "192.52.193.1",
    "192.88.99.1",
    "192.168.1.1",
    "192.175.48.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1",
    "::1",
    "::127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b:1::1",
    "100::1",
    "2001::7f00:1",
    "2001:0:7f00:1::",
    "2001:20::1",
    "2001:1ff:ffff::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2620:4f:8000::1",
    "3ffe::1",
    "3fff::1",
    "3fff:fff::1",
    "4000::1",
    "5f00::1",
    "fc00::1",
    "fe80::1",
    "fec0::1",
]
NEVER = [
    "0.0.0.0",
    "0.1.2.3",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "ff02::1",
]


@pytest.mark.parametrize("text", LOCAL)
def test_addresses_for_local_networks_only(text: str) -> None:
    assert not is_routable(packed(text))
    assert is_routable(packed(text), local=True)


@pytest.mark.parametrize("text", NEVER)
def test_addresses_that_nobody_has(text: str) -> None:
    assert not is_routable(packed(text))
    assert not is_routable(packed(text), local=True)


@pytest.mark.parametrize("ip", [b"", b"123", b"12345", b"1" * 15, b"1" * 17, packed("::ffff:8.8.8.8")])
def test_other_spellings_are_no_addresses(ip: bytes) -> None:
    assert not is_packed_ip(ip)
    for parameters in (ZEN, DEVNET):
        with pytest.raises(MalformedMessage):
            check_routable(ip, parameters)


@given(V4 | V6 | GLOBAL_V6)
@example(packed("192.88.99.1"))
def test_we_pass_no_address_that_python_holds_for_local(ip: bytes) -> None:
    if is_routable(ip):
        assert ipaddress.ip_address(ip).is_global


@given(V4)
def test_what_we_refuse_beyond_python_is_multicast_or_anycast(ip: bytes) -> None:
    address = ipaddress.IPv4Address(ip)
    anycast = ["192.0.0.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.175.48.0/24"]
    special = any(address in ipaddress.ip_network(net) for net in anycast)
    if address.is_global and not address.is_multicast and not special:
        assert is_routable(ip)


@given(V4)
def test_a_mapped_address_has_the_slot_of_the_address(ip: bytes) -> None:
    mapped = b"\0" * 10 + b"\xff\xff" + ip
    assert fold_mapped(mapped) == ip
    assert ip_slot(mapped, ZEN) == ip_slot(ip, ZEN) == b"\x04" + ip


@given(V6, V6, st.integers(1, 128))
def test_one_ipv6_slot_is_one_prefix(one: bytes, other: bytes, bits: int) -> None:
    parameters = replace(ZEN, ipv6_slot_bits=bits)
    if b"\0" * 10 + b"\xff\xff" in (one[:12], other[:12]):
        return
    near = one[:-1] + bytes([one[-1] ^ 1])
    for second in (other, near, one):
        network = ipaddress.ip_network((one, bits), strict=False)
        together = ipaddress.IPv6Address(second) in network
        assert (ip_slot(one, parameters) == ip_slot(second, parameters)) == together


@given(V4, V6, st.integers(1, 128))
def test_families_never_share_a_slot(four: bytes, six: bytes, bits: int) -> None:
    parameters = replace(ZEN, ipv6_slot_bits=bits)
    if fold_mapped(six) is six:
        assert ip_slot(four, parameters) != ip_slot(six, parameters)


def test_slots_and_subnets_have_these_bytes() -> None:
    six = packed("2a01:4f8:c0c:1234:5678::1")
    assert ip_slot(packed("203.0.113.7"), ZEN) == bytes.fromhex("04cb007107")
    assert ip_slot(six, ZEN) == bytes.fromhex("06 2a0104f80c0c12")
    assert ip_slot(six, DEVNET) == bytes.fromhex("06 2a0104f80c0c1234")
    assert ip_slot(six, replace(ZEN, ipv6_slot_bits=60)) == bytes.fromhex("06 2a0104f80c0c1230")
    assert subnet_of(ip_slot(packed("203.0.113.7"), ZEN)) == bytes.fromhex("04cb0071")
    assert subnet_of(ip_slot(six, ZEN)) == subnet_of(ip_slot(six, DEVNET)) == bytes.fromhex("06 2a0104f80c0c")
    assert subnet_of(b"\x06\x2a\x01\x04") == b"\x06\x2a\x01\x04"


KEYS = st.integers(0, 30).map(lambda number: OperatorKey(bytes([number]) * 32))
SLOTS = st.integers(0, 6).map(lambda number: b"\x04" + bytes([9, 9, number % 3, number]))
CLAIMS = st.dictionaries(KEYS, SLOTS, max_size=20)
PREVIOUS = st.dictionaries(SLOTS, KEYS, max_size=7)


@given(CLAIMS, PREVIOUS)
def test_each_claimed_slot_has_exactly_one_holder_who_claims_it(
    claims: Mapping[OperatorKey, bytes], previous: Mapping[bytes, OperatorKey]
) -> None:
    holders = resolve_duplicates(claims, previous, ANCHOR)
    assert list(holders) == sorted(set(claims.values()))
    for slot, holder in holders.items():
        claimants = [key for key, claimed in claims.items() if claimed == slot]
        assert holder in claimants
        if previous.get(slot) in claimants:
            assert holder == previous[slot]
        else:
            assert holder == sorted(claimants, key=lambda key: challenge_draw(ANCHOR, key))[0]


@given(CLAIMS, PREVIOUS, st.randoms(use_true_random=False))
def test_the_order_of_claims_does_not_matter(
    claims: dict[OperatorKey, bytes], previous: dict[bytes, OperatorKey], random: Random
) -> None:
    shuffled = list(claims.items())
    random.shuffle(shuffled)
    assert resolve_duplicates(claims, previous, ANCHOR) == resolve_duplicates(
        dict(shuffled), previous, ANCHOR
    )


@given(CLAIMS, PREVIOUS)
def test_the_holder_keeps_its_slot_in_every_later_challenge(
    claims: dict[OperatorKey, bytes], previous: dict[bytes, OperatorKey]
) -> None:
    first = resolve_duplicates(claims, previous, ANCHOR)
    assert resolve_duplicates(claims, first, b"another anchor") == first


def test_a_lost_claim_frees_the_slot_at_once() -> None:
    one, other = OperatorKey(b"1" * 32), OperatorKey(b"2" * 32)
    slot = b"\x04abcd"
    assert resolve_duplicates({other: slot}, {slot: one}, ANCHOR) == {slot: other}


def holders_in(subnet: int, count: int) -> dict[bytes, OperatorKey]:
    return {bytes([4, 9, 9, subnet, n]): OperatorKey(bytes([subnet, n]) * 16) for n in range(count)}


def test_no_limit_takes_nobody_out() -> None:
    assert exceed_subnet_limit(holders_in(1, 50), {}, ANCHOR, 0) == ()


@given(st.integers(0, 12), st.integers(0, 12), st.integers(1, 5), st.data())
def test_at_most_the_limit_remains_in_a_subnet(one: int, other: int, limit: int, data: st.DataObject) -> None:
    holders = holders_in(1, one) | holders_in(2, other)
    ages: dict[bytes, int] = {
        key: data.draw(st.integers(0, 3)) for key in holders.values() if data.draw(st.booleans())
    }
    previous = {slot: key for slot, key in holders.items() if data.draw(st.booleans())}
    excess = exceed_subnet_limit(holders, previous, ANCHOR, limit, ages)
    assert list(excess) == sorted(set(excess))
    for subnet, count in ((1, one), (2, other)):
        members = {slot: key for slot, key in holders.items() if slot[3] == subnet}
        staying = [(slot, key) for slot, key in members.items() if key not in excess]
        leaving = [(slot, key) for slot, key in members.items() if key in excess]
        assert len(staying) == min(count, limit)

        def seniority(item: tuple[bytes, OperatorKey]) -> tuple[int, bool, bytes]:
            slot, key = item
            return ages.get(key, 0), slot in previous, bytes(255 - x for x in challenge_draw(ANCHOR, key))

        assert not staying or not leaving or min(map(seniority, staying)) > max(map(seniority, leaving))
