"""Where a node stands: which addresses count, and who keeps a place that several claim.

Answers for: the form and reach of packed IP addresses, the diversity slot of an
address, one holder a slot, and the cap of holders in one subnet. Addresses are
4 or 16 bytes; nothing here resolves names or opens connections. Who was *reached* at
an address is `observation`'s business; only such an operator claims its slot.
Spec: `spec/diversity.md`.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from protocol.errors import MalformedMessage
from protocol.parameters import Parameters
from protocol.tracking.challenge import challenge_draw
from protocol.units import OperatorKey

IPV4_SIZE = 4
IPV6_SIZE = 16
IPV4_SLOT = b"\x04"
"""First byte of an IPv4 slot; the address follows."""
IPV6_SLOT = b"\x06"
"""First byte of an IPv6 slot; the leading bits follow, filled with zeros to whole bytes."""
SLOT_SIZE_MAX = 1 + IPV6_SIZE
IPV4_SUBNET_SIZE = 3
IPV6_SUBNET_SIZE = 6
NOBODY: Mapping[bytes, int] = MappingProxyType({})

_MAPPED = b"\x00" * 10 + b"\xff\xff"
_Net = tuple[int, int, str]
"""First bits, number of bits, what the block is for."""

_UNDIALLABLE_V4: tuple[_Net, ...] = (
    (0x00, 8, "this network"),
    (0b1110, 4, "multicast"),
    (0b1111, 4, "reserved and broadcast"),
)
_LOCAL_V4: tuple[_Net, ...] = (
    (0x0A, 8, "private"),
    (0x64_40 >> 6, 10, "carrier-grade NAT"),
    (0x7F, 8, "loopback"),
    (0xA9_FE, 16, "link-local"),
    (0xAC_10 >> 4, 12, "private"),
    (0xC0_00_00, 24, "protocol assignments"),
    (0xC0_00_02, 24, "documentation"),
    (0xC0_1F_C4, 24, "AS112 anycast"),
    (0xC0_34_C1, 24, "multicast tunnelling anycast"),
    (0xC0_58_63, 24, "6to4 relay anycast"),
    (0xC0_A8, 16, "private"),
    (0xC0_AF_30, 24, "AS112 anycast"),
    (0xC6_12 >> 1, 15, "benchmarking"),
    (0xC6_33_64, 24, "documentation"),
    (0xCB_00_71, 24, "documentation"),
)
_UNDIALLABLE_V6: tuple[_Net, ...] = (
    (0, 128, "unspecified"),
    (0xFF, 8, "multicast"),
)
_GLOBAL_UNICAST_V6: _Net = (0b001, 3, "global unicast")
"""The only IPv6 block of hosts; the rest (NAT64, mapped, ULA, link-local …) is not dialled."""
_LOCAL_V6: tuple[_Net, ...] = (
    (0x2001_0000 >> 9, 23, "protocol assignments, Teredo"),
    (0x2001_0DB8, 32, "documentation"),
    (0x2002, 16, "6to4"),
    (0x2620_004F_8000, 48, "AS112 anycast"),
    (0x3FFF_0000 >> 12, 20, "documentation"),
    (0x3FFE, 16, "6bone, given back"),
)


def fold_mapped(ip: bytes) -> bytes:
    """Return a v4-mapped IPv6 address as the IPv4 address that it is, others unchanged."""
    return ip[12:] if len(ip) == IPV6_SIZE and ip.startswith(_MAPPED) else ip


def is_packed_ip(ip: bytes) -> bool:
    """Whether `ip` is an address in its one form: 4 or 16 bytes, not v4-mapped."""
    return len(ip) in (IPV4_SIZE, IPV6_SIZE) and fold_mapped(ip) is ip


def check_routable(ip: bytes, parameters: Parameters) -> None:
    """Raise `MalformedMessage` unless strangers can dial `ip` (4 or 16 bytes, not mapped).

    Where the network allows loopback, every unicast address passes. Python's `is_global`
    is not asked: it passes NAT64, 6to4, v4-compatible and multicast addresses.
    """
    if not is_packed_ip(ip):
        raise MalformedMessage(f"not a packed IP address: {ip.hex()}")
    if reason := _obstacle(ip, parameters.loopback_allowed):
        raise MalformedMessage(f"not a globally routable address: {ip.hex()} ({reason})")


def _obstacle(ip: bytes, local_allowed: bool) -> str | None:
    """Return why the address cannot be used, or None."""
    number, bits = int.from_bytes(ip, "big"), len(ip) * 8
    undiallable, local = (_UNDIALLABLE_V4, _LOCAL_V4) if bits == 32 else (_UNDIALLABLE_V6, _LOCAL_V6)
    if reason := _block_of(number, bits, undiallable):
        return reason
    if local_allowed:
        return None
    if bits == 128 and not _block_of(number, bits, (_GLOBAL_UNICAST_V6,)):
        return "outside global unicast"
    return _block_of(number, bits, local)


def _block_of(number: int, bits: int, blocks: Iterable[_Net]) -> str | None:
    return next((purpose for first, size, purpose in blocks if number >> (bits - size) == first), None)


def ip_slot(ip: bytes, parameters: Parameters) -> bytes:
    """Return the diversity slot of a packed address: one VALID operator each in a challenge."""
    ip = fold_mapped(ip)
    if len(ip) == IPV4_SIZE:
        return IPV4_SLOT + ip
    bits = parameters.ipv6_slot_bits
    size = (bits + 7) // 8
    prefix = int.from_bytes(ip, "big") >> (128 - bits) << (size * 8 - bits)
    return IPV6_SLOT + prefix.to_bytes(size, "big")


def subnet_of(slot: bytes) -> bytes:
    """Return the subnet of a slot under which holders are capped: the /24 or /48 (or the slot, if wider)."""
    return slot[: 1 + (IPV4_SUBNET_SIZE if slot.startswith(IPV4_SLOT) else IPV6_SUBNET_SIZE)]


def resolve_duplicates(
    claims: Mapping[OperatorKey, bytes], previous: Mapping[bytes, OperatorKey], anchor_hash: bytes
) -> dict[bytes, OperatorKey]:
    """Return the one holder of each claimed slot, sorted by slot.

    `claims` holds the slot at which each operator was reached, `previous` the operator with
    the last VALID verdict at a slot. It keeps the slot if it claims it; else the lowest draw wins:
    nothing to grind, nothing to squat.
    """
    claimants: dict[bytes, list[OperatorKey]] = {}
    for operator_key, slot in claims.items():
        claimants.setdefault(slot, []).append(operator_key)
    return {
        slot: min(keys, key=lambda key: (previous.get(slot) != key, challenge_draw(anchor_hash, key)))
        for slot, keys in sorted(claimants.items())
    }


def exceed_subnet_limit(
    holders: Mapping[bytes, OperatorKey],
    previous: Mapping[bytes, OperatorKey],
    anchor_hash: bytes,
    limit: int,
    ages: Mapping[bytes, int] = NOBODY,
) -> tuple[OperatorKey, ...]:
    """Return the holders in excess of `limit` in one subnet (0 is no limit), sorted by key.

    The youngest are in excess: the eldest by `ages` (0 for who has none) stay, among equals who held
    its slot before, among those the lowest draw.
    """
    subnets: dict[bytes, list[bytes]] = {}
    for slot in holders:
        subnets.setdefault(subnet_of(slot), []).append(slot)

    def rank(slot: bytes) -> tuple[int, bool, bytes]:
        key = holders[slot]
        return -ages.get(key, 0), previous.get(slot) != key, challenge_draw(anchor_hash, key)

    if not limit:
        return ()
    excess = [holders[slot] for slots in subnets.values() for slot in sorted(slots, key=rank)[limit:]]
    return tuple(sorted(excess))
