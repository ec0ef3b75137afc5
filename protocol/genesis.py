"""The genesis file: everything that the nodes of one network agree on beforehand.

Answers for: the file's canonical form, its relations, and the network id, which
is the SHA3-256 of the file and stands in every signed message. The members'
registrations stand in the file too; so that they can be signed before the file's
hash exists, they name the *founding id* instead: the hash of the same file with
every registration left empty. What the fields mean is left to the rules that read
them. Spec: `spec/genesis.md`.
"""

from typing import Annotated

from protocol.chain.rules import ChainRules
from protocol.codec import U8, U32, U64, AddressBytes, Bytes32, Meta, Text, Wire, decode, encode, replace
from protocol.crypto import sha3_256
from protocol.errors import MalformedMessage, RequestError
from protocol.parameters import Parameters
from protocol.units import Hash32, Height, NetworkId, Period

GENESIS_SIZE_MAX = 1 << 22
"""Bytes of the largest genesis file."""
ALLOCATIONS_MAX = 10_000
MEMBERS_MAX = 5_000

PublicKey33 = Annotated[bytes, Meta(min_length=33, max_length=33)]


class Treasury(Wire):
    """Who signs payments: `required` of the compressed secp256k1 keys, in this order."""

    required: U8
    public_keys: Annotated[tuple[PublicKey33, ...], Meta(min_length=1, max_length=15)]

    def __post_init__(self) -> None:
        """A threshold that can be met, by distinct keys."""
        if not 0 < self.required <= len(self.public_keys):
            raise ValueError(f"{self.required} of {len(self.public_keys)} keys cannot sign")
        if len(set(self.public_keys)) != len(self.public_keys):
            raise ValueError("a treasury key stands twice")


class Baton(Wire):
    """The treasury output that the first payment must spend."""

    txid: Bytes32
    index: U32


FirstBlock = Bytes32
"""Hash of an external chain's first block, in computed order: a node beside another chain must notice."""


class ChainStart(Wire):
    """How the embedded chain begins."""

    time: U64
    """Unix seconds of the first block; later blocks are at least `minimum_spacing` apart."""
    bits: U32
    """Compact target of every block."""
    minimum_spacing: U32
    """Seconds between a block's time and its parent's, at least."""
    treasury_share: U32
    """Thousandths of each subsidy that the coinbase must pay to the treasury."""
    allocations: Annotated[tuple[tuple[AddressBytes, U64], ...], Meta(max_length=ALLOCATIONS_MAX)]
    """Outputs of the first block: 21-byte address and zatoshi, in order."""


class GenesisMember(Wire):
    """A founding member: its key, age and registration envelope (under the founding id)."""

    operator_key: Bytes32
    age: U8
    registration: Annotated[bytes, Meta(max_length=2_048)]


class Genesis(Wire, tag="genesis"):
    """The founding agreement of a network."""

    name: Text
    parameters: Parameters
    chain: ChainRules
    start: ChainStart | FirstBlock
    """How the embedded chain begins, or the hash of an external chain's first block."""
    treasury: Treasury
    baton: Baton
    first_challenge_height: U32
    """Anchor of the first challenge; its period is the first that is paid."""
    carried: U64
    """Zatoshi carried into the first list."""
    members: Annotated[tuple[GenesisMember, ...], Meta(min_length=1, max_length=MEMBERS_MAX)]

    def __post_init__(self) -> None:
        """Sorted distinct members of one age of at least 1, and a first challenge on the grid."""
        keys = [member.operator_key for member in self.members]
        if keys != sorted(set(keys)):
            raise ValueError("members must be sorted by key, each once")
        if len({member.age for member in self.members}) != 1 or self.members[0].age < 1:
            raise ValueError("founding members have one age of at least 1")
        if self.first_challenge_height % self.parameters.challenge_every or not self.first_challenge_height:
            raise ValueError("the first challenge's height must be a positive multiple of challenge_every")


def encode_genesis(genesis: Genesis) -> bytes:
    """Return the bytes of the genesis file."""
    return encode(genesis)


class BadGenesis(RequestError):
    """What our user named is no genesis file."""


def decode_genesis(data: bytes) -> Genesis:
    """Return the genesis that a file holds; raises `BadGenesis`."""
    try:
        return decode(data, Genesis, GENESIS_SIZE_MAX)
    except MalformedMessage as error:
        raise BadGenesis(f"not a genesis file: {error}") from None


def network_id(genesis: Genesis) -> NetworkId:
    """Return SHA3-256 of the file: the id that stands in every signed message."""
    return NetworkId(sha3_256(encode(genesis)))


def founding_id(genesis: Genesis) -> Hash32:
    """Return the id under which founding members register: the file's hash without registrations."""
    bare = tuple(replace(member, registration=b"") for member in genesis.members)
    return sha3_256(encode(replace(genesis, members=bare)))


def first_period(genesis: Genesis) -> Period:
    """Return the first period that is paid."""
    return Period(genesis.first_challenge_height // genesis.parameters.period_blocks)


def period_heights(genesis: Genesis, period: int) -> tuple[Height, Height]:
    """Return the first and last height of a period, both inclusive."""
    first = period * genesis.parameters.period_blocks
    return Height(first), Height(first + genesis.parameters.period_blocks - 1)
