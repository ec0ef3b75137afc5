"""Announcements: a new node says on the chain where it listens, in one OP_RETURN.

Answers for: the bytes of an announcement, each in one spelling; recognising the one that a
transaction carries, and which stake addresses the transaction ties it to; and building
such a transaction from a coin of the stake address. Which announcement counts for a
stake, and whom a node dials because of it, is `announced`'s business. Nothing here makes
anybody a participant: that takes a registration. Spec: `spec/announcement.md`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from protocol.chain.data_transaction import FEE_RATE_DEFAULT, build_data_transaction, data_fee
from protocol.chain.mark import (
    SIGNERS_MAX,
    key_addresses,
    only_data,
    signing_addresses,
    sorted_signers,
)
from protocol.chain.script import script_address
from protocol.chain.transaction import OutPoint, Transaction
from protocol.crypto import KEY_SIZE, check_operator_key
from protocol.errors import InvalidSignature, MalformedMessage
from protocol.tracking.diversity import IPV4_SIZE, IPV6_SIZE, is_packed_ip
from protocol.tracking.hostname import is_hostname
from protocol.units import OperatorKey

ANNOUNCEMENT_MAGIC = b"zp2p\x01"
"""What the OP_RETURN of an announcement begins with: the magic of zenp2p's outputs, and type 1."""
PORT_SIZE = 2
PLACE_SIZE_MAX = 41
"""Bytes of the packed address or host name: what 80 bytes of payload leave."""
STAKES_MAX = SIGNERS_MAX
"""Stake addresses that one transaction ties an announcement to by each kind of tie; with more, to none."""

_HEAD_SIZE = len(ANNOUNCEMENT_MAGIC) + KEY_SIZE + PORT_SIZE
_IP_SIZES = (IPV4_SIZE, IPV6_SIZE)


@dataclass(frozen=True, slots=True)
class Announcement:
    """An operator, and where it listens: at a packed address, or at a host name."""

    operator_key: OperatorKey
    port: int
    ip: bytes = b""
    fqdn: str = ""

    def __post_init__(self) -> None:
        """What is wrong on every network."""
        try:
            check_operator_key(self.operator_key)
        except InvalidSignature as error:
            raise ValueError(str(error)) from None
        if not 1 <= self.port <= 0xFFFF:
            raise ValueError(f"a port is 1 to 65535, not {self.port}")
        if bool(self.ip) == bool(self.fqdn):
            raise ValueError("an announcement names an address or a host")
        if self.ip and not is_packed_ip(self.ip):
            raise ValueError(f"not a packed IP address: {self.ip.hex()}")
        if self.fqdn and not is_hostname(self.fqdn):
            raise ValueError("a host is a lower-case domain name of at least two labels")
        if len(_encode_place(self.ip, self.fqdn)) > PLACE_SIZE_MAX:
            raise ValueError(f"a host name that is announced has at most {PLACE_SIZE_MAX} characters")


@dataclass(frozen=True, slots=True)
class Ties:
    """The P2PKH addresses that a transaction ties its announcement to, each kind sorted."""

    signed: tuple[bytes, ...]
    """Coins of theirs are spent by signatures that cover the announcement: their owners made it."""
    paid: tuple[bytes, ...]
    """They are paid, which anybody can do; those that signed are left out."""


def encode_announcement(announcement: Announcement) -> bytes:
    """Return the payload: magic 5, operator key 32, port 2, address or host name."""
    return (
        ANNOUNCEMENT_MAGIC
        + announcement.operator_key
        + announcement.port.to_bytes(PORT_SIZE, "big")
        + _encode_place(announcement.ip, announcement.fqdn)
    )


def _encode_place(ip: bytes, fqdn: str) -> bytes:
    """Return what follows the port: a name as long as an address bears the final dot."""
    if ip:
        return ip
    return (fqdn + "." if len(fqdn) in _IP_SIZES else fqdn).encode("ascii")


def decode_announcement(payload: bytes) -> Announcement:
    """Return the announcement that a payload is, all of it; raises `MalformedMessage`."""
    if not payload.startswith(ANNOUNCEMENT_MAGIC) or len(payload) <= _HEAD_SIZE:
        raise MalformedMessage("not an announcement")
    start = len(ANNOUNCEMENT_MAGIC)
    key = OperatorKey(payload[start : start + KEY_SIZE])
    port = int.from_bytes(payload[start + KEY_SIZE : _HEAD_SIZE], "big")
    place = payload[_HEAD_SIZE:]
    try:
        if len(place) in _IP_SIZES:
            announcement = Announcement(key, port, ip=place)
        else:
            announcement = Announcement(key, port, fqdn=place.decode("ascii").removesuffix("."))
    except ValueError as error:
        raise MalformedMessage(str(error)) from None
    if encode_announcement(announcement) != payload:
        raise MalformedMessage(
            "a host name bears the final dot where it is as long as an address, only there"
        )
    return announcement


def recognise_announcement(transaction: Transaction) -> Announcement | None:
    """Return the announcement that a transaction carries, None when it carries none.

    It must be the transaction's only data output: of two, nobody could say which was meant.
    """
    data = only_data(transaction)
    if data is None:
        return None
    try:
        return decode_announcement(data)
    except MalformedMessage:
        return None


def announcement_ties(transaction: Transaction, spent: Sequence[bytes | None]) -> Ties:
    """Return which stake addresses a transaction ties its announcement to.

    `spent` holds the address of the output that each input spends, None where it has none or is not known.
    """
    signed = signing_addresses(transaction, spent)
    paid = key_addresses(script_address(output.script) for output in transaction.outputs)
    return Ties(
        signed=sorted_signers(signed),
        paid=tuple(sorted(paid - signed)) if len(paid) <= STAKES_MAX else (),
    )


def build_announcing(
    announcement: Announcement,
    stake_address: bytes,
    coin: OutPoint,
    amount: int,
    *,
    fee_rate: int = FEE_RATE_DEFAULT,
    tail: bytes = b"",
) -> Transaction:
    """Return the unsigned transaction that announces, spending one coin of the stake address.

    All but the fee goes back to it. Raises what `build_data_transaction` raises.
    """
    payload = encode_announcement(announcement)
    return build_data_transaction(payload, stake_address, coin, amount, fee_rate=fee_rate, tail=tail)


def announcing_fee(
    announcement: Announcement, stake_address: bytes, fee_rate: int = FEE_RATE_DEFAULT, tail: bytes = b""
) -> int:
    """Return the fee in zatoshi of an announcing transaction; raises `RequestError` for an odd rate."""
    return data_fee(encode_announcement(announcement), stake_address, fee_rate, tail)
