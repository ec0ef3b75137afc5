"""Who takes part in a simulated network: keys from numbers, a genesis file, the first block.

Answers for: the members, strangers that come later, the treasury and its paymasters, all of them
real keys. Seeds differ in the genesis file's name, so in the network id and in everything that is
drawn from it. What they do is left to the actors. Spec: `spec/simulation.md`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from dataclasses import replace as replace_fields
from functools import cache

from protocol.chain import rules
from protocol.chain.address import pay_to_public_key_hash
from protocol.chain.signed_message import sign_message
from protocol.codec import replace
from protocol.crypto import Signer, secp256k1_public_key, sha3_256
from protocol.genesis import Baton, Genesis, GenesisMember, Treasury, founding_id, network_id
from protocol.parameters import MINIMAL, Parameters
from protocol.payout.treasury import treasury_address
from protocol.tracking.registration import build_deregistration, build_registration
from protocol.units import COIN, OperatorKey
from simulations.chain import SimulatedBlock, extend

PARAMETERS: Parameters = replace(
    MINIMAL, preset="simulation", burial=2, group_size=40, silence=1_000, challenge_failures=255
)
"""Burial 2, so that a reorganisation of allowed depth can exchange an anchor and what follows it.

One group decides through all faults: it never splits, nobody is let go for being down, and whom it expels
has contradicted himself.
"""
CHAIN = replace(rules.DEVNET, name="simulation", coinbase_maturity=2)
FIRST_CHALLENGE_HEIGHT = 8
CARRIED = 7
MEMBER_AGE = 4
PORT = 9033
TREASURY_COINS = (50 * COIN, 10 * COIN, 10 * COIN)
"""The first is the baton."""
TREASURY_KEYS, TREASURY_REQUIRED = 5, 2
NOBODY: Mapping[int, int] = {}


@dataclass(frozen=True, slots=True)
class Terms:
    """What a network agrees on in its genesis file, and who may come to it later."""

    parameters: Parameters = PARAMETERS
    member_age: int = MEMBER_AGE
    first_challenge_height: int = FIRST_CHALLENGE_HEIGHT
    strangers: int = 2
    """Operators with a stake that are no founders."""


CLUSTER = Terms()
"""A network of one group, and two who cheat."""


@dataclass(frozen=True, slots=True)
class Party:
    """One operator: its number, its keys and where it listens."""

    number: int
    signer: Signer
    stake_secret: bytes
    stake_address: bytes
    place: int
    """Number of the machine on which it runs: two operators there have one IP address."""

    @property
    def key(self) -> OperatorKey:
        """Its operator key."""
        return self.signer.operator_key

    @property
    def ip(self) -> bytes:
        """The loopback address of its machine."""
        return (0x7F00_0100 + self.place).to_bytes(4, "big")

    def registration(self, network: bytes) -> bytes:
        """Return its registration envelope with the stake owner's proof."""
        return build_registration(
            self.signer,
            lambda text: sign_message(text, self.stake_secret, CHAIN.message_magic),
            network=network,
            stake_address=self.stake_address,
            stake_sequence=1,
            node_address=b"\x00" + self.key[:20],
            ip=self.ip,
            port=PORT,
        )

    def deregistration(self, network: bytes) -> bytes:
        """Return what ends its registration, with the stake owner's proof."""
        return build_deregistration(
            lambda text: sign_message(text, self.stake_secret, CHAIN.message_magic),
            network=network,
            operator_key=self.key,
            stake_address=self.stake_address,
            stake_sequence=2,
        )


@dataclass(frozen=True, slots=True)
class Founding:
    """A network before anything has happened."""

    genesis: Genesis
    network: bytes
    members: tuple[Party, ...]
    strangers: tuple[Party, ...]
    paymaster_secrets: tuple[bytes, ...]
    first_block: SimulatedBlock

    @property
    def operators(self) -> tuple[Party, ...]:
        """Everybody with a stake, by number."""
        return self.members + self.strangers

    @property
    def late(self) -> Party:
        """Registers over the network and always answers rightly, but too late."""
        return self.strangers[0]

    @property
    def liar(self) -> Party:
        """Registers over the network and answers in time, but wrongly."""
        return self.strangers[1]


@cache
def party(number: int) -> Party:
    """Return operator `number`: always the same keys."""
    secret = sha3_256(b"simulated stake", number.to_bytes(4, "big"))
    signer = Signer(sha3_256(b"simulated operator", number.to_bytes(4, "big")))
    return Party(number, signer, secret, pay_to_public_key_hash(secp256k1_public_key(secret)), number)


def found(seed: int, nodes: int, terms: Terms = CLUSTER, lodgers: Mapping[int, int] = NOBODY) -> Founding:
    """Return the network of a seed with so many members.

    `lodgers` are operators, by number, that run on the machine of another one.
    """
    parties = [party(number) for number in range(nodes + terms.strangers)]
    parties = [replace_fields(one, place=lodgers.get(one.number, one.number)) for one in parties]
    secrets = tuple(sha3_256(b"paymaster", bytes([number])) for number in range(TREASURY_KEYS))
    treasury = Treasury(
        required=TREASURY_REQUIRED, public_keys=tuple(secp256k1_public_key(secret) for secret in secrets)
    )
    own = treasury_address(treasury)
    stakes = [(one.stake_address, terms.parameters.stake) for one in parties]
    first_block = extend(None, (), pay=[*((own, amount) for amount in TREASURY_COINS), *stakes])
    genesis = _genesis(f"simulation {seed}", parties[:nodes], treasury, first_block, terms)
    return Founding(
        genesis=genesis,
        network=network_id(genesis),
        members=tuple(parties[:nodes]),
        strangers=tuple(parties[nodes:]),
        paymaster_secrets=secrets,
        first_block=first_block,
    )


def _genesis(
    name: str, members: Sequence[Party], treasury: Treasury, first_block: SimulatedBlock, terms: Terms
) -> Genesis:
    ordered = sorted(members, key=lambda one: one.key)
    bare = Genesis(
        name=name,
        parameters=terms.parameters,
        chain=CHAIN,
        start=first_block.hash,
        treasury=treasury,
        baton=Baton(txid=first_block.transactions[0].txid, index=0),
        first_challenge_height=terms.first_challenge_height,
        carried=CARRIED,
        members=tuple(
            GenesisMember(operator_key=one.key, age=terms.member_age, registration=b"") for one in ordered
        ),
    )
    founding = founding_id(bare)
    registered = tuple(
        replace(member, registration=one.registration(founding))
        for member, one in zip(bare.members, ordered, strict=True)
    )
    return replace(bare, members=registered)
