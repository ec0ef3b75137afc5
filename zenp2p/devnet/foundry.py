"""Founds a local network: keys, genesis file, and one data directory for each node.

Answers for: everything that has to stand on disk before the daemons start. Founding
members are registered by the genesis file; everybody else gets a registration that its
own daemon hands in over the network. Starting and watching is `launcher`'s business.
Spec: `spec/devnet.md`.
"""

import socket
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace as replace_field
from functools import partial
from pathlib import Path

from protocol.chain.address import encode_address, pay_to_script_hash
from protocol.chain.script import multisig_script
from protocol.codec import replace
from protocol.crypto import Signer, secp256k1_public_key
from protocol.errors import RequestError
from protocol.genesis import (
    Genesis,
    GenesisMember,
    Treasury,
    encode_genesis,
    founding_id,
    network_id,
)
from protocol.group.membership import genesis_membership
from protocol.group.name import matches
from protocol.parameters import DEVNET, Parameters
from protocol.tracking.registration import build_registration
from protocol.units import COIN
from zenp2p.chain.embedded.wallet import WalletKey
from zenp2p.data_directory import DataDirectory
from zenp2p.devnet.ground import Arrival, Ground, Stake
from zenp2p.durable_file import write_durably
from zenp2p.identity import new_secret, write_secret
from zenp2p.vote_file import VoteFile

CARRIED = 7
"""Zatoshi carried into the first list: 24 rewards divide evenly by 12 responses, and a rest must be seen."""
FEES = COIN
"""On a stake of a network of many groups, beside what it must hold: for what its owner says on the chain."""
TREASURY_KEYS = 5
TREASURY_REQUIRED = 2
STAKES = "stakes"
"""The folder of the stakes' key files, beside the nodes' own."""
PAYMASTERS = 3
"""How many of the treasury's keys the launcher's paymasters hold."""
MEMBER_AGE = 4
YOUNG_AGE = 1
"""Of the founders of a network of many groups: so that some have stayed their time within minutes."""
FOUNDERS_OF = 3, 4
"""Of so many nodes of a network of many groups so many are founders: numerator, denominator."""
DRAWS_MAX = 1_000
"""Times that founders' keys are drawn; with twelve founders every fourth draw falls into even halves."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a network is founded on, besides who takes part."""

    parameters: Parameters = DEVNET
    member_age: int = MEMBER_AGE
    even_halves: bool = False
    """Whether as many founders' names begin with 0 as with 1: so that their group can split at once."""


@dataclass(frozen=True, slots=True)
class Post:
    """One place in the network: what its node is, where it listens, what its stake holds."""

    name: str
    role: str
    ip: str
    founding: bool
    stake: int
    announced: bool = False
    """Whether it announces itself on the chain and knows nobody."""


@dataclass(frozen=True, slots=True)
class FoundedNode:
    """One node as founded."""

    post: Post
    directory: DataDirectory
    operator_key: bytes
    stake_address: str
    port: int
    stake_key: Path
    """The key file of its stake's owner; its daemon has no use for it."""


@dataclass(frozen=True, slots=True)
class FoundedNetwork:
    """Everything that the launcher needs of a network."""

    folder: Path
    genesis: Genesis
    network_id: bytes
    genesis_file: Path
    nodes: tuple[FoundedNode, ...]
    paymaster_keys: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class _Keys:
    operator_seed: bytes
    stake_secret: bytes
    stake: WalletKey
    node: WalletKey
    port: int


def standard_posts(*, announced: bool = False) -> tuple[Post, ...]:
    """Return the eight nodes of the standard devnet; of the newcomers some may be announced on the chain.

    The understaked one is not: an announcement counts only for a stake that suffices.
    """
    stake = DEVNET.stake
    honest = [Post(f"honest-{n}", "honest", f"127.0.0.{10 + n}", True, stake) for n in range(1, 5)]
    return (
        *honest,
        Post("dead", "dead", "127.0.0.15", False, stake, announced),
        Post("lazy", "lazy", "127.0.0.16", False, stake, announced),
        Post("understaked", "understaked", "127.0.0.17", False, stake - 1),
        Post("duplicate", "duplicate", honest[2].ip, False, stake, announced),
    )


def many_posts(nodes: int) -> tuple[Post, ...]:
    """Return so many honest nodes: three of four are founders, the others join."""
    founders = nodes * FOUNDERS_OF[0] // FOUNDERS_OF[1]
    return tuple(
        Post(
            f"founder-{n}" if n <= founders else f"newcomer-{n - founders}",
            "honest",
            f"127.0.0.{10 + n}",
            n <= founders,
            DEVNET.stake + FEES,
        )
        for n in range(1, nodes + 1)
    )


def plan_of_groups(group_size: int) -> Plan:
    """Return what a network is founded on whose one group splits as soon as it may."""
    return Plan(replace(DEVNET, group_size=group_size), YOUNG_AGE, even_halves=True)


def found_network(folder: Path, posts: Sequence[Post], ground: Ground, plan: Plan = Plan()) -> FoundedNetwork:
    """Make a network on a chain, below a new `folder`."""
    folder.mkdir(parents=True, mode=0o700)
    ports = free_ports([post.ip for post in posts])
    drawn = [_draw(port) for port in ports]
    treasury_secrets = [new_secret() for _ in range(TREASURY_KEYS)]
    genesis, keys = _genesis(posts, drawn, treasury_secrets, ground, plan)
    genesis_file = folder / "genesis"
    write_durably(genesis_file, encode_genesis(genesis), overwrite=False)
    paymasters = _write_paymasters(folder / "paymasters", treasury_secrets)
    (folder / STAKES).mkdir(mode=0o700)
    nodes = tuple(
        _write_node(folder, genesis, post, own, posts, keys, ground)
        for post, own in zip(posts, keys, strict=True)
    )
    ground.announce([_arrival(post, own) for post, own in zip(posts, keys, strict=True) if post.announced])
    return FoundedNetwork(folder, genesis, network_id(genesis), genesis_file, nodes, paymasters)


def _draw(port: int) -> _Keys:
    stake_secret = new_secret()
    return _Keys(new_secret(), stake_secret, WalletKey(stake_secret), WalletKey(new_secret()), port)


def free_ports(addresses: Sequence[str]) -> list[int]:
    """Return a port for each address that is free now, no two alike."""
    sockets = [socket.socket(socket.AF_INET) for _ in addresses]
    try:
        for one, address in zip(sockets, addresses, strict=True):
            one.bind((address, 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def _genesis(
    posts: Sequence[Post],
    keys: Sequence[_Keys],
    treasury_secrets: Sequence[bytes],
    ground: Ground,
    plan: Plan,
) -> tuple[Genesis, Sequence[_Keys]]:
    """Return a genesis as the plan has it, and the keys in it: operators' keys are drawn until they fit."""
    public_keys = tuple(secp256k1_public_key(secret) for secret in treasury_secrets)
    treasury = pay_to_script_hash(multisig_script(TREASURY_REQUIRED, public_keys))
    stakes = [Stake(own.stake, post.stake) for post, own in zip(posts, keys, strict=True)]
    laid = ground.lay(treasury, stakes)
    make = partial(
        Genesis,
        name="devnet",
        parameters=plan.parameters,
        chain=ground.rules,
        start=laid.start,
        treasury=Treasury(required=TREASURY_REQUIRED, public_keys=public_keys),
        baton=laid.baton,
        first_challenge_height=laid.first_challenge,
        carried=CARRIED,
    )
    for _ in range(DRAWS_MAX):
        genesis = _with_registrations(make(members=_members(posts, keys, plan.member_age)), posts, keys)
        if not plan.even_halves or _halves_are_even(genesis):
            return genesis, keys
        keys = [replace_field(own, operator_seed=new_secret()) for own in keys]
    raise RequestError(f"the names of these founders fall into no even halves in {DRAWS_MAX} draws")


def _halves_are_even(genesis: Genesis) -> bool:
    members = genesis_membership(genesis).members
    return 2 * sum(matches("0", member.name) for member in members) == len(members)


def _members(posts: Sequence[Post], keys: Sequence[_Keys], age: int) -> tuple[GenesisMember, ...]:
    """Return the founders, not registered yet."""
    operators = (
        Signer(own.operator_seed).operator_key for post, own in zip(posts, keys, strict=True) if post.founding
    )
    return tuple(GenesisMember(operator_key=key, age=age, registration=b"") for key in sorted(operators))


def _with_registrations(genesis: Genesis, posts: Sequence[Post], keys: Sequence[_Keys]) -> Genesis:
    """Return the genesis with its founders' registrations, signed under the founding id."""
    founding = founding_id(genesis)
    envelopes: dict[bytes, bytes] = {}
    for post, own in zip(posts, keys, strict=True):
        if post.founding:
            signer = Signer(own.operator_seed)
            envelopes[signer.operator_key] = _registration(founding, genesis, post, own)
    members = (replace(member, registration=envelopes[member.operator_key]) for member in genesis.members)
    return replace(genesis, members=tuple(members))


def _registration(network: bytes, genesis: Genesis, post: Post, own: _Keys) -> bytes:
    """Return a registration envelope with the stake owner's proof."""
    return build_registration(
        Signer(own.operator_seed),
        lambda text: own.stake.sign_message(text, genesis.chain.message_magic),
        network=network,
        stake_address=own.stake.address,
        stake_sequence=0,
        node_address=own.node.address,
        ip=socket.inet_aton(post.ip),
        port=own.port,
    )


def _write_paymasters(folder: Path, secrets: Sequence[bytes]) -> tuple[Path, ...]:
    """Write the key files of the paymasters; the other treasury keys are not kept."""
    folder.mkdir(mode=0o700)
    paths = tuple(folder / f"paymaster-{number}.key" for number in range(1, PAYMASTERS + 1))
    for path, secret in zip(paths, secrets, strict=False):
        write_secret(path, secret)
    return paths


def _write_node(
    folder: Path,
    genesis: Genesis,
    post: Post,
    own: _Keys,
    posts: Sequence[Post],
    keys: Sequence[_Keys],
    ground: Ground,
) -> FoundedNode:
    """Write one node's data directory; who is announced on the chain knows no peer."""
    directory = DataDirectory(folder / post.name)
    directory.create()
    write_secret(directory.operator_seed, own.operator_seed)
    write_durably(directory.genesis, encode_genesis(genesis), overwrite=False)
    VoteFile.create(directory.votes).close()
    if not post.founding:
        envelope = _registration(network_id(genesis), genesis, post, own)
        write_durably(directory.registration, envelope, overwrite=False)
    peers = [
        f"{Signer(other.operator_seed).operator_key.hex()}@{place.ip}:{other.port}"
        for place, other in zip(posts, keys, strict=True)
        if place.founding and other is not own and not post.announced
    ]
    stake_address = encode_address(own.stake.address, genesis.chain.prefixes)
    node_address = encode_address(own.node.address, genesis.chain.prefixes)
    config = _config(post, own.port, peers, ground.settings(posts.index(post), node_address))
    write_durably(directory.config, config.encode(), overwrite=False)
    operator_key = Signer(own.operator_seed).operator_key
    stake_key = folder / STAKES / f"{post.name}.key"
    write_secret(stake_key, own.stake_secret)
    return FoundedNode(post, directory, operator_key, stake_address, own.port, stake_key)


def _arrival(post: Post, own: _Keys) -> Arrival:
    operator_key = Signer(own.operator_seed).operator_key
    return Arrival(own.stake, operator_key, socket.inet_aton(post.ip), own.port)


def _config(post: Post, port: int, peers: Sequence[str], chain: Sequence[str]) -> str:
    """Return the TOML of one node."""
    lines = [
        'data_dir = "."',
        "[network]",
        f'ip = "{post.ip}"',
        f"port = {port}",
        f"peers = [{', '.join(f'{peer!r}' for peer in peers)}]",
        "[rpc]",
        "port = 0",
        "[log]",
        'file = "zenp2pd.log"',
        "[chain]",
        *chain,
    ]
    return "\n".join(lines) + "\n"
