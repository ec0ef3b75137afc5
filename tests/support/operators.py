"""Operators for tests: keys and stakes from numbers, registrations signed as real ones are.

`operator(n)` is always the same operator; its stake address holds nothing until a chain pays it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property

from protocol.chain.address import pay_to_public_key_hash
from protocol.chain.rules import DEVNET as DEVNET_CHAIN
from protocol.chain.signed_message import sign_message
from protocol.crypto import Signer, secp256k1_public_key, sha3_256
from protocol.parameters import DEVNET
from protocol.tracking.registration import (
    Deregistration,
    Registration,
    build_deregistration,
    build_registration,
    check_deregistration,
    check_registration,
)
from protocol.units import OperatorKey
from tests.support.chain_view import MemoryChain

NETWORK = sha3_256(b"a network for tests")


@dataclass(frozen=True)
class Operator:
    """One operator with a stake of its own."""

    number: int

    @cached_property
    def signer(self) -> Signer:
        return Signer(sha3_256(b"operator", self.number.to_bytes(4, "big")))

    @property
    def key(self) -> OperatorKey:
        return self.signer.operator_key

    @cached_property
    def stake_secret(self) -> bytes:
        return sha3_256(b"stake", self.number.to_bytes(4, "big"))

    @cached_property
    def stake_address(self) -> bytes:
        return pay_to_public_key_hash(secp256k1_public_key(self.stake_secret))

    @property
    def ip(self) -> bytes:
        return (0x7F00_0100 + self.number).to_bytes(4, "big")

    def sign_text(self, text: str) -> bytes:
        """What the stake owner's wallet answers."""
        return sign_message(text, self.stake_secret, DEVNET_CHAIN.message_magic)

    def envelope(
        self,
        sequence: int = 1,
        *,
        stake_of: "Operator | None" = None,
        network: bytes = NETWORK,
        ip: bytes = b"",
        port: int = 9033,
        fqdn: str = "",
    ) -> bytes:
        """A registration envelope with the stake of this operator or of another."""
        owner = stake_of or self
        return build_registration(
            self.signer,
            owner.sign_text,
            network=network,
            stake_address=owner.stake_address,
            stake_sequence=sequence,
            node_address=b"\x00" + self.key[:20],
            ip=ip or self.ip,
            port=port,
            fqdn=fqdn,
            tls_port=443 if fqdn else 0,
        )

    def registration(
        self, sequence: int = 1, *, stake_of: "Operator | None" = None, ip: bytes = b"", fqdn: str = ""
    ) -> Registration:
        """A registration that passed every check."""
        envelope = self.envelope(sequence, stake_of=stake_of, ip=ip, fqdn=fqdn)
        return check_registration(envelope, NETWORK, DEVNET_CHAIN, DEVNET)

    def deregistration(self, sequence: int) -> Deregistration:
        """The stake owner's deregistration."""
        data = build_deregistration(
            self.sign_text,
            network=NETWORK,
            operator_key=self.key,
            stake_address=self.stake_address,
            stake_sequence=sequence,
        )
        return check_deregistration(data, NETWORK, DEVNET_CHAIN)


@cache
def operator(number: int) -> Operator:
    """Return operator `number`."""
    return Operator(number)


def operators(count: int) -> tuple[Operator, ...]:
    """Return the operators 0 to `count` - 1, sorted by key."""
    return tuple(sorted(map(operator, range(count)), key=lambda one: one.key))


def staked_chain(members: Sequence[Operator], height: int, stake: int = DEVNET.stake) -> MemoryChain:
    """Return a chain whose block 1 pays each member its stake, up to `height`."""
    chain = MemoryChain()
    chain.mine(pay=[(member.stake_address, stake) for member in members])
    chain.mine_to(height)
    return chain
