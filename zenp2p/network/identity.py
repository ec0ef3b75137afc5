"""The operator's key as libp2p identity.

Answers for: a libp2p peer id is the operator's 32-byte Ed25519 key in another
dress, so both ways are pure. Peers with any other kind of key have no operator and
are refused. Where the seed is kept is left to `zenp2p.identity`.
"""

from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.crypto.keys import KeyPair
from libp2p.peer.id import ID

from protocol.units import OperatorKey
from zenp2p.ports import TransportError

SEED_SIZE = 32
_PREFIX = bytes.fromhex("002408011220")
"""Identity multihash of 36 bytes: the protobuf of an Ed25519 public key (libp2p peer id spec)."""


def key_pair(seed: bytes) -> KeyPair:
    """Return libp2p's key pair of an operator's 32-byte seed."""
    if len(seed) != SEED_SIZE:
        raise ValueError(f"a seed has {SEED_SIZE} bytes, not {len(seed)}")
    return create_new_key_pair(seed)


def peer_id(key: OperatorKey) -> ID:
    """Return the peer id of an operator."""
    return ID(_PREFIX + key)


def operator_key(peer: ID) -> OperatorKey:
    """Return the operator behind a peer id; raises `TransportError` for other kinds of key."""
    data = peer.to_bytes()
    if len(data) != len(_PREFIX) + 32 or not data.startswith(_PREFIX):
        raise TransportError("the peer's identity is not an Ed25519 key")
    return OperatorKey(data[len(_PREFIX) :])
