"""A genesis file from a description that people write, and a description of a genesis file.

Answers for: founders agree on a TOML text; the same text gives the same bytes
everywhere. A wrong or unknown entry is refused by its name, and so is a registration
that its member did not make for this network. What the entries mean is left to `protocol.genesis`
and the rules behind it. Spec: `spec/genesis.md`.
"""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from protocol.chain import rules
from protocol.chain.address import AddressPrefixes, decode_address, encode_address
from protocol.chain.block import block_hash
from protocol.chain.encoding import display_hash
from protocol.chain.rules import ChainFamily, ChainRules, HeaderLayout
from protocol.codec import replace
from protocol.errors import ProtocolError, RequestError
from protocol.genesis import (
    GENESIS_SIZE_MAX,
    Baton,
    ChainStart,
    FirstBlock,
    Genesis,
    GenesisMember,
    Treasury,
    decode_genesis,
    encode_genesis,
    founding_id,
    network_id,
)
from protocol.parameters import PRESETS, Parameters
from protocol.payout.treasury import treasury_address
from protocol.tracking.registration import check_registration
from protocol.units import Hash32, NetworkId
from zenp2p.chain.embedded.definition import genesis_block
from zenp2p.data_directory import MissingFile

T = TypeVar("T")

CHAINS = {
    each.name: each for each in (rules.ZEN_MAINNET, rules.ZEN_TESTNET, rules.LITECOIN_REGTEST, rules.DEVNET)
}
"""Chain rules that a description may name."""

_TOP = frozenset(
    {
        "name",
        "preset",
        "chain",
        "first_challenge_height",
        "carried",
        "parameters",
        "chain_rules",
        "treasury",
        "start",
        "first_block",
        "baton",
    }
    | {"members"}
)
_PREFIXES = AddressPrefixes.__struct_fields__
_START = frozenset({"time", "bits", "minimum_spacing", "treasury_share", "allocations"})


class BadDescription(RequestError):
    """A description that no genesis file can be made of."""


def read_genesis(path: Path) -> Genesis:
    """Return the genesis in a file; raises `MissingFile`, `BadGenesis`."""
    return decode_genesis(_read(path))


def describe_genesis(genesis: Genesis) -> dict[str, object]:
    """Return what people want to know of a genesis file, as plain values."""
    treasury = genesis.treasury
    return {
        "name": genesis.name,
        "network_id": network_id(genesis).hex(),
        "founding_id": founding_id(genesis).hex(),
        "preset": genesis.parameters.preset,
        "chain": genesis.chain.name,
        "embedded_chain": isinstance(genesis.start, ChainStart),
        "first_block": display_hash(_first_block(genesis)),
        "first_challenge_height": genesis.first_challenge_height,
        "carried": genesis.carried,
        "treasury": f"{treasury.required} of {len(treasury.public_keys)}",
        "treasury_address": encode_address(treasury_address(treasury), genesis.chain.prefixes),
        "baton": f"{genesis.baton.txid[::-1].hex()}:{genesis.baton.index}",
        "members": len(genesis.members),
        "registered_members": sum(bool(member.registration) for member in genesis.members),
    }


def _first_block(genesis: Genesis) -> Hash32:
    """Return the hash of the chain's first block, in computed order."""
    if isinstance(genesis.start, bytes):
        return Hash32(genesis.start)
    return block_hash(genesis_block(genesis.chain, genesis.start).header)


def genesis_from_file(path: Path) -> Genesis:
    """Return the genesis that a description file describes.

    Raises `MissingFile`, and `BadDescription` naming what is wrong in it.
    """
    try:
        described = tomllib.loads(_read(path).decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadDescription(f"{path} is no TOML file: {error}") from None
    try:
        genesis = _genesis(described)
    except KeyError as error:
        raise BadDescription(f"{path}: {error.args[0]} is missing") from None
    except (RequestError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise BadDescription(f"{path}: {error}") from None
    # The typed decoder checks every type and bound, and says where.
    checked = _checked(genesis, path)
    _check_members(checked)
    return checked


def _checked(genesis: Genesis, path: Path) -> Genesis:
    """Return the genesis as its own bytes decode, or say which entry keeps them from it."""
    try:
        return decode_genesis(encode_genesis(genesis))
    except RequestError as error:
        names = Genesis.__struct_fields__
        said = re.sub(r"\$\[([0-9]+)\]", lambda place: names[int(place[1]) - 1], str(error))
        raise BadDescription(f"{path}: {said}") from None


def finished_genesis(genesis: Genesis) -> bytes:
    """Return the bytes of the genesis file; raises `RequestError` while a member is not registered."""
    missing = [member.operator_key.hex()[:16] for member in genesis.members if not member.registration]
    if missing:
        raise RequestError(
            f"{len(missing)} members have no registration yet ({missing[0]}…);"
            f" they register under the founding id {founding_id(genesis).hex()}"
        )
    return encode_genesis(genesis)


def _genesis(described: Mapping[str, Any]) -> Genesis:
    _only(described, _TOP, "the description")
    chain = _chain(described)
    start = _start(described, chain)
    members = sorted((_member(member) for member in described["members"]), key=lambda m: m.operator_key)
    treasury = described["treasury"]
    _only(treasury, frozenset({"required", "public_keys"}), "treasury")
    return Genesis(
        name=described["name"],
        parameters=_parameters(described),
        chain=chain,
        start=start,
        treasury=Treasury(
            required=treasury["required"],
            public_keys=tuple(_hex(key, "treasury.public_keys") for key in treasury["public_keys"]),
        ),
        baton=_baton(described, chain, start),
        first_challenge_height=described["first_challenge_height"],
        carried=described.get("carried", 0),
        members=tuple(members),
    )


def _chain(described: Mapping[str, Any]) -> ChainRules:
    """Return the named chain's rules with the changes of `[chain_rules]`; version bytes are hex."""
    preset = _named(CHAINS, described["chain"], "chain")
    changes = dict(described.get("chain_rules", {}))
    prefixes = {name: changes.pop(name) for name in _PREFIXES if name in changes}
    _only(changes, frozenset(preset.__struct_fields__) - {"prefixes"}, "chain_rules")
    for name, kind in (("family", ChainFamily), ("header_layout", HeaderLayout)):
        if name in changes:
            changes[name] = _named({each.name.lower(): each for each in kind}, changes[name], name)
    if prefixes:
        read = {name: _hex(text, f"chain_rules.{name}") for name, text in prefixes.items()}
        changes["prefixes"] = replace(preset.prefixes, **read)
    return replace(preset, **changes)


def _parameters(described: Mapping[str, Any]) -> Parameters:
    preset = _named(PRESETS, described["preset"], "preset")
    changes = described.get("parameters", {})
    _only(changes, frozenset(preset.__struct_fields__), "parameters")
    return replace(preset, **changes)


def _start(described: Mapping[str, Any], chain: ChainRules) -> ChainStart | FirstBlock:
    """Return how the embedded chain begins, or the first block that an external chain must have."""
    if ("start" in described) == ("first_block" in described):
        raise ValueError("either [start] (an embedded chain) or first_block (an external one) is wanted")
    if "first_block" in described:
        return _hex(described["first_block"], "first_block")[::-1]
    start = described["start"]
    _only(start, _START, "start")
    allocations = [
        (decode_address(address, chain.prefixes), amount) for address, amount in start["allocations"]
    ]
    return ChainStart(
        time=start["time"],
        bits=start["bits"],
        minimum_spacing=start["minimum_spacing"],
        treasury_share=start["treasury_share"],
        allocations=tuple(allocations),
    )


def _baton(described: Mapping[str, Any], chain: ChainRules, start: ChainStart | FirstBlock) -> Baton:
    """Return the named treasury output; on an embedded chain the first allocation unless another is named."""
    if "baton" not in described and isinstance(start, ChainStart):
        return Baton(txid=genesis_block(chain, start).transactions[0].txid, index=0)
    baton = described["baton"]
    _only(baton, frozenset({"txid", "index"}), "baton")
    return Baton(txid=_hex(baton["txid"], "baton.txid")[::-1], index=baton["index"])


def _member(described: Mapping[str, Any]) -> GenesisMember:
    _only(described, frozenset({"operator_key", "age", "registration"}), "members")
    return GenesisMember(
        operator_key=_hex(described["operator_key"], "members.operator_key"),
        age=described["age"],
        registration=_hex(described.get("registration", ""), "members.registration"),
    )


def _check_members(genesis: Genesis) -> None:
    """Raise `BadDescription` for a registration that was not made by its member under the founding id."""
    founding = NetworkId(founding_id(genesis))
    for member in genesis.members:
        if not member.registration:
            continue
        name = member.operator_key.hex()[:16]
        try:
            made = check_registration(member.registration, founding, genesis.chain, genesis.parameters)
        except ProtocolError as error:
            raise BadDescription(f"member {name}: its registration is not valid here: {error}") from None
        if made.operator_key != member.operator_key:
            raise BadDescription(f"member {name}: its registration is another operator's")


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(GENESIS_SIZE_MAX + 1)
    except OSError as error:
        raise MissingFile(f"{path}: {error.strerror}") from None


def _only(described: Mapping[str, Any], known: frozenset[str], where: str) -> None:
    unknown = sorted(set(described) - known)
    if unknown:
        raise ValueError(f"unknown entry {unknown[0]!r} in {where}")


def _named(table: Mapping[str, T], name: object, what: str) -> T:
    if not isinstance(name, str) or name not in table:
        raise ValueError(f"{what} {name!r} is none of {', '.join(table)}")
    return table[name]


def _hex(text: object, what: str) -> bytes:
    try:
        return bytes.fromhex(str(text))
    except ValueError:
        raise ValueError(f"{what}: {text!r:.80} is not hexadecimal") from None
