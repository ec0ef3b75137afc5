"""The key files of a data directory: the operator's, and keys of the chain by name.

Answers for: a new key's public side is told in every form that somebody will ask for,
its secret side in none. What a key is used for is left to its user. Spec: `spec/keys.md`.
"""

from pathlib import Path

from protocol.chain.address import encode_address, pay_to_public_key_hash
from protocol.chain.rules import ChainRules
from protocol.crypto import secp256k1_public_key
from protocol.errors import RequestError
from zenp2p.data_directory import DataDirectory
from zenp2p.genesis_description import CHAINS, read_genesis
from zenp2p.identity import create_operator, new_secret, write_secret
from zenp2p.key_backup import KEY_NAME
from zenp2p.vote_file import VoteFile


def make_operator_key(directory: DataDirectory) -> dict[str, object]:
    """Make the operator's key, with the vote file that belongs to it; raises `CannotCreate`."""
    if not directory.operator_seed.exists() and not directory.votes.exists():
        VoteFile.create(directory.votes).close()
    signer = create_operator(directory.operator_seed)
    return {"file": str(directory.operator_seed), "operator": signer.operator_key.hex()}


def make_chain_key(directory: DataDirectory, name: str, rules: ChainRules | None) -> dict[str, object]:
    """Make a secp256k1 key; its address is told in text when the chain is known.

    Raises `RequestError` (an odd name), `CannotCreate`.
    """
    if not KEY_NAME.fullmatch(f"{name}.key"):
        raise RequestError(f"{name!r} is no name for a key: small letters, digits, - and _, at most 63")
    path = directory.keys / f"{name}.key"
    secret = new_secret()
    public_key = secp256k1_public_key(secret)
    address = pay_to_public_key_hash(public_key)
    write_secret(path, secret)
    told: dict[str, object] = {
        "file": str(path),
        "public_key": public_key.hex(),
        "address_hash": address[1:].hex(),
    }
    if rules is not None:
        told["address"] = encode_address(address, rules.prefixes)
    return told


def known_rules(chain: str | None, genesis: Path) -> ChainRules | None:
    """Return the rules of a named chain, else of the genesis file if it is there; raises `RequestError`."""
    if chain is not None:
        if chain not in CHAINS:
            raise RequestError(f"chain {chain!r} is none of {', '.join(CHAINS)}")
        return CHAINS[chain]
    return read_genesis(genesis).chain if genesis.exists() else None
