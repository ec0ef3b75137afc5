"""Making this node's registration: the line that the stake's owner signs, then the envelope.

Answers for: what is written can be accepted, since it passes every check of the rules
first. The stake's key stays in its wallet: the owner signs one line there, or names a
key file where the stake is not worth a wallet (a test network). Handing it in is left
to the daemon. Spec: `spec/registration.md`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address

from protocol.chain.address import decode_address
from protocol.chain.signed_message import decode_signature, sign_message
from protocol.crypto import Signer
from protocol.errors import ProtocolError, RequestError
from protocol.genesis import Genesis, founding_id, network_id
from protocol.tracking.registration import build_registration, check_registration


@dataclass(frozen=True, slots=True)
class Wish:
    """What an operator wants registered, as typed."""

    stake_address: str
    stake_sequence: int
    node_address: str
    ip: str
    port: int
    fqdn: str = ""
    tls_port: int = 0
    founding: bool = False
    """Registered by the genesis file itself, under the founding id."""


class _Unsigned(Exception):
    """Carries the line to sign out of the builder."""


def text_to_sign(wish: Wish, genesis: Genesis, signer: Signer) -> str:
    """Return the line that the owner of the stake address signs ("sign message" in a wallet)."""

    def stop(text: str) -> bytes:
        raise _Unsigned(text)

    try:
        _build(wish, genesis, signer, stop)
    except _Unsigned as unsigned:
        return str(unsigned)
    raise AssertionError("the builder asks for a signature")


def register(wish: Wish, genesis: Genesis, signer: Signer, signature: str) -> bytes:
    """Return the registration with the signature that a wallet showed; raises `RequestError`."""
    made = decode_signature(signature)
    return _checked(_build(wish, genesis, signer, lambda text: made), wish, genesis)


def register_with_key(wish: Wish, genesis: Genesis, signer: Signer, stake_secret: bytes) -> bytes:
    """Return the registration signed with the stake's own key; raises `RequestError`."""
    magic = genesis.chain.message_magic
    envelope = _build(wish, genesis, signer, lambda text: sign_message(text, stake_secret, magic))
    return _checked(envelope, wish, genesis)


def _build(wish: Wish, genesis: Genesis, signer: Signer, sign_text: Callable[[str], bytes]) -> bytes:
    prefixes = genesis.chain.prefixes
    try:
        return build_registration(
            signer,
            sign_text,
            network=_network(wish, genesis),
            stake_address=decode_address(wish.stake_address, prefixes),
            stake_sequence=wish.stake_sequence,
            node_address=decode_address(wish.node_address, prefixes),
            ip=ip_address(wish.ip).packed,
            port=wish.port,
            fqdn=wish.fqdn,
            tls_port=wish.tls_port,
        )
    except ValueError as error:
        raise RequestError(f"this cannot be registered: {error}") from None


def _checked(envelope: bytes, wish: Wish, genesis: Genesis) -> bytes:
    try:
        check_registration(envelope, _network(wish, genesis), genesis.chain, genesis.parameters)
    except ProtocolError as error:
        raise RequestError(f"the network would refuse this registration: {error}") from None
    return envelope


def _network(wish: Wish, genesis: Genesis) -> bytes:
    return founding_id(genesis) if wish.founding else network_id(genesis)
