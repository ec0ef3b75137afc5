"""Who takes part in a simulated network: keys from numbers, a genesis file, the first block.

Answers for: the members, two operators that cheat, the treasury and its paymasters, all of them
real keys. Seeds differ in the genesis file's name, so in the network id and in everything that is
drawn from it. What they do is left to the actors. Spec: `spec/simulation.md`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from protocol.chain import rules
from protocol.chain.address import pay_to_public_key_hash
from protocol.chain.signed_message import sign_message
from protocol.codec import replace
from protocol.crypto import Signer, secp256k1_public_key, sha3_256
from protocol.genesis import Baton, Genesis, GenesisMember, Treasury, founding_id, network_id
from protocol.parameters import MINIMAL, Parameters
from protocol.payout.treasury import treasury_address
from protocol.tracking.registration import build_registration
from protocol.units import COIN, OperatorKey
from simulations.chain import SimulatedBlock, extend

PARAMETERS: Parameters = replace(MINIMAL, preset="simulation", burial=2)
"""Burial 2, so that a reorganisation of allowed depth can exchange an anchor and what follows it."""
CHAIN = replace(rules.DEVNET, name="simulation", coinbase_maturity=2)
FIRST_CHALLENGE_HEIGHT = 8
CARRIED = 7
MEMBER_AGE = 4
PORT = 9033
TREASURY_COINS = (50 * COIN, 10 * COIN, 10 * COIN)
"""The first is the baton."""
TREASURY_KEYS, TREASURY_REQUIRED = 5, 2


@dataclass(frozen=True, slots=True)
class Party:
    """One operator: its number, its keys and where it listens."""

    number: int
    signer: Signer
    stake_secret: bytes
    stake_address: bytes

    @property
    def key(self) -> OperatorKey:
        """Its operator key."""
        return self.signer.operator_key

    @property
    def ip(self) -> bytes:
        """Its own loopback address."""
        return (0x7F00_0100 + self.number).to_bytes(4, "big")

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


@dataclass(frozen=True, slots=True)
class Founding:
    """A network before anything has happened."""

    genesis: Genesis
    network: bytes
    members: tuple[Party, ...]
    late: Party
    """Registers over the network and always answers rightly, but too late."""
    liar: Party
    """Registers over the network and answers in time, but wrongly."""
    paymaster_secrets: tuple[bytes, ...]
    first_block: SimulatedBlock


@cache
def party(number: int) -> Party:
    """Return operator `number`: always the same keys."""
    secret = sha3_256(b"simulated stake", number.to_bytes(4, "big"))
    signer = Signer(sha3_256(b"simulated operator", number.to_bytes(4, "big")))
    return Party(number, signer, secret, pay_to_public_key_hash(secp256k1_public_key(secret)))


def found(seed: int, nodes: int) -> Founding:
    """Return the network of a seed with so many members."""
    parties = [party(number) for number in range(nodes + 2)]
    secrets = tuple(sha3_256(b"paymaster", bytes([number])) for number in range(TREASURY_KEYS))
    treasury = Treasury(
        required=TREASURY_REQUIRED, public_keys=tuple(secp256k1_public_key(secret) for secret in secrets)
    )
    own = treasury_address(treasury)
    stakes = [(one.stake_address, PARAMETERS.stake) for one in parties]
    first_block = extend(None, (), pay=[*((own, amount) for amount in TREASURY_COINS), *stakes])
    genesis = _genesis(f"simulation {seed}", parties[:nodes], treasury, first_block)
    return Founding(
        genesis=genesis,
        network=network_id(genesis),
        members=tuple(parties[:nodes]),
        late=parties[nodes],
        liar=parties[nodes + 1],
        paymaster_secrets=secrets,
        first_block=first_block,
    )


def _genesis(name: str, members: Sequence[Party], treasury: Treasury, first_block: SimulatedBlock) -> Genesis:
    ordered = sorted(members, key=lambda one: one.key)
    bare = Genesis(
        name=name,
        parameters=PARAMETERS,
        chain=CHAIN,
        start=first_block.hash,
        treasury=treasury,
        baton=Baton(txid=first_block.transactions[0].txid, index=0),
        first_challenge_height=FIRST_CHALLENGE_HEIGHT,
        carried=CARRIED,
        members=tuple(
            GenesisMember(operator_key=one.key, age=MEMBER_AGE, registration=b"") for one in ordered
        ),
    )
    founding = founding_id(bare)
    registered = tuple(
        replace(member, registration=one.registration(founding))
        for member, one in zip(bare.members, ordered, strict=True)
    )
    return replace(bare, members=registered)
