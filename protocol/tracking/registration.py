"""Registrations: an operator names its stake, the stake's owner agrees, and the last word counts.

Answers for: the two statements (register, deregister), both signatures, every check
that needs no chain, and the group to which an entry belongs. Which registrations are in
force at an anchor is `registration_book`'s business, whether the stake is large enough
`stake`'s, which entries reach a data chain the data chain's. The stake key never touches
the node: the owner signs one line of text in a wallet. Spec: `spec/registration.md`.
"""

from collections.abc import Callable

from protocol.chain.address import AddressKind
from protocol.chain.rules import ChainRules
from protocol.chain.signed_message import verify_message
from protocol.codec import U16, U32, AddressBytes, Bytes32, Bytes65, Decoder, IpBytes, Text, Wire, encode
from protocol.codec import replace as replace_fields
from protocol.crypto import Signer, check_operator_key, envelope_body, sha3_256, verify_envelope
from protocol.errors import MalformedMessage, WrongNetwork
from protocol.parameters import Parameters
from protocol.tracking.diversity import check_routable, is_packed_ip
from protocol.tracking.hostname import is_hostname
from protocol.units import Hash32, OperatorKey

UNSIGNED = b"\x00" * 65
"""Stands for the stake signature in what the stake's owner signs."""
REGISTRATION_SIZE_MAX = 1_024
"""Bytes of the largest registration or deregistration body."""


class Registration(Wire, tag="registration"):
    """An operator, its one stake and where it listens; signed by the operator and by the stake's owner."""

    network: Bytes32
    operator_key: Bytes32
    stake_address: AddressBytes
    stake_sequence: U32
    node_address: AddressBytes
    ip: IpBytes
    port: U16
    fqdn: Text
    """Host of the read-only HTTPS pages, or empty."""
    tls_port: U16
    """Port of those pages; 0 exactly when there is no host."""
    stake_signature: Bytes65

    def __post_init__(self) -> None:
        """What is wrong on every network."""
        if self.stake_address[0] != AddressKind.P2PKH:
            raise ValueError("a stake lies on a P2PKH address: no other can sign a message")
        if self.node_address[0] not in (AddressKind.P2PKH, AddressKind.P2SH):
            raise ValueError("the node address is of no known kind")
        if not is_packed_ip(self.ip) or not self.port:
            raise ValueError("an endpoint is a packed IP address and a port")
        if bool(self.fqdn) != bool(self.tls_port) or (self.fqdn and not is_hostname(self.fqdn)):
            raise ValueError("a TLS host is a lower-case domain name and a port, or neither")

    @property
    def signer(self) -> OperatorKey:
        """Who must have signed the envelope."""
        return OperatorKey(self.operator_key)


class Deregistration(Wire, tag="deregistration"):
    """The stake's owner takes the stake back; nobody else signs it. It leaves a tombstone."""

    network: Bytes32
    operator_key: Bytes32
    """The operator that loses the stake; for readers, the tombstone is the stake address's."""
    stake_address: AddressBytes
    stake_sequence: U32
    stake_signature: Bytes65


Entry = Registration | Deregistration

_decode_registration: Decoder[Registration] = Decoder(Registration, REGISTRATION_SIZE_MAX)
_decode_deregistration: Decoder[Deregistration] = Decoder(Deregistration, REGISTRATION_SIZE_MAX)


def content_digest(entry: Entry) -> Hash32:
    """Return SHA3-256 of the entry with the stake signature left out: what makes two entries different."""
    return sha3_256(encode(replace_fields(entry, stake_signature=UNSIGNED)))


def registration_text(entry: Entry) -> str:
    """Return the line that the stake's owner signs in a wallet."""
    kind = "registration" if isinstance(entry, Registration) else "deregistration"
    return f"zenp2p {kind} {content_digest(entry).hex()}"


def build_registration(
    signer: Signer,
    sign_text: Callable[[str], bytes],
    *,
    network: bytes,
    stake_address: bytes,
    stake_sequence: int,
    node_address: bytes,
    ip: bytes,
    port: int,
    fqdn: str = "",
    tls_port: int = 0,
) -> bytes:
    """Return the envelope; `sign_text` gives the wallet's 65-byte signature of a line."""
    draft = Registration(
        network=network,
        operator_key=signer.operator_key,
        stake_address=stake_address,
        stake_sequence=stake_sequence,
        node_address=node_address,
        ip=ip,
        port=port,
        fqdn=fqdn,
        tls_port=tls_port,
        stake_signature=UNSIGNED,
    )
    return signer.sign(encode(with_stake_signature(draft, sign_text)))


def build_deregistration(
    sign_text: Callable[[str], bytes],
    *,
    network: bytes,
    operator_key: bytes,
    stake_address: bytes,
    stake_sequence: int,
) -> bytes:
    """Return the bytes of a deregistration; `sign_text` as in `build_registration`."""
    draft = Deregistration(
        network=network,
        operator_key=operator_key,
        stake_address=stake_address,
        stake_sequence=stake_sequence,
        stake_signature=UNSIGNED,
    )
    return encode(with_stake_signature(draft, sign_text))


def with_stake_signature(draft: Entry, sign_text: Callable[[str], bytes]) -> Entry:
    """Return the draft with the owner's signature of its text."""
    return replace_fields(draft, stake_signature=sign_text(registration_text(draft)))


def check_registration(
    envelope: bytes, network: bytes, rules: ChainRules, parameters: Parameters
) -> Registration:
    """Return the registration in `envelope` after every check that needs no chain, the cheap ones first.

    Raises `MalformedMessage`, `WrongNetwork` or `InvalidSignature`.
    """
    entry = _decode_registration(envelope_body(envelope))
    _check_network(entry, network)
    check_routable(entry.ip, parameters)
    if parameters.tls_required and not entry.fqdn:
        raise MalformedMessage("this network requires a TLS host")
    verify_envelope(envelope, entry.operator_key)
    check_operator_key(entry.operator_key)
    _verify_stake(entry, rules)
    return entry


def read_registration(envelope: bytes) -> Registration:
    """Return a registration that was checked before; raises `MalformedMessage`."""
    return _decode_registration(envelope_body(envelope))


def read_deregistration(data: bytes) -> Deregistration:
    """Return a deregistration that was checked before; raises `MalformedMessage`."""
    return _decode_deregistration(data)


def check_deregistration(data: bytes, network: bytes, rules: ChainRules) -> Deregistration:
    """Return the deregistration in `data`, signed by the stake's owner.

    Raises `MalformedMessage`, `WrongNetwork` or `InvalidSignature`.
    """
    entry = _decode_deregistration(data)
    _check_network(entry, network)
    _verify_stake(entry, rules)
    return entry


def registration_home(stake_address: bytes) -> Hash32:
    """Return SHA3-256 of a 21-byte stake address: the group with this prefix registers it."""
    return sha3_256(stake_address)


def _check_network(entry: Entry, network: bytes) -> None:
    if entry.network != network:
        raise WrongNetwork(f"an entry of network {entry.network.hex()[:16]}")


def _verify_stake(entry: Entry, rules: ChainRules) -> None:
    verify_message(registration_text(entry), entry.stake_signature, entry.stake_address, rules.message_magic)
