"""Decoded blocks, as nodes show them in JSON: their bytes again, or what they state.

Answers for: a `getblock` with whole transactions in it (Bitcoin, Litecoin) being put together
byte by byte; for one without, its stated hash, ids and outputs, from which links and the
Merkle root can be checked and nothing else. Spec: `spec/cli.md`.
"""

from typing import Any

from protocol.chain.encoding import compact_size
from zenp2p.chain.blockfiles.record import StatedBlock

_HEADER_HASHES = ("previousblockhash", "merkleroot")
_NO_HASH = "00" * 32


def rebuilt_block(value: dict[str, Any]) -> bytes | None:
    """Return a block of the Bitcoin layout from its decoded header and the bytes of its transactions."""
    try:
        raws = [bytes.fromhex(tx["hex"]) for tx in value["tx"]]
        hashes = [_hash(value.get(name, _NO_HASH)) for name in _HEADER_HASHES]
        start = (int(value["version"]) & 0xFFFF_FFFF).to_bytes(4, "little") + b"".join(hashes)
        numbers = (int(value["time"]), int(value["bits"], 16), int(value["nonce"]))
        header = start + b"".join(number.to_bytes(4, "little") for number in numbers)
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError):
        return None
    return header + compact_size(len(raws)) + b"".join(raws) if raws else None


def stated_block(value: dict[str, Any]) -> StatedBlock | None:
    """Return what a decoded block states, None when it is none."""
    try:
        transactions, certificates = list(value["tx"]), list(value.get("cert", ()))
        entries = transactions + certificates
        previous = value.get("previousblockhash")
        height = value.get("height")
        return StatedBlock(
            block_hash=_hash(value["hash"]),
            previous=_hash(previous) if previous is not None else None,
            height=height if isinstance(height, int) and height >= 0 else None,
            root=_hash(value["merkleroot"]),
            ids=tuple(_hash(entry["txid"] if isinstance(entry, dict) else entry) for entry in entries),
            certificates=len(certificates),
            outputs=_outputs(entries),
        )
    except (AttributeError, KeyError, TypeError, ValueError):
        return None


def _outputs(entries: list[Any]) -> tuple[tuple[bytes | None, ...], ...] | None:
    if not all(isinstance(entry, dict) for entry in entries):
        return None
    return tuple(tuple(_script(output) for output in entry["vout"]) for entry in entries)


def _script(output: dict[str, Any]) -> bytes | None:
    """Return an output's script; a backward transfer's is nobody's."""
    return None if output.get("backwardTransfer") else bytes.fromhex(output["scriptPubKey"]["hex"])


def _hash(text: Any) -> bytes:
    """Return a shown hash in computed order; raises `ValueError` or `TypeError`."""
    found = bytes.fromhex(text)[::-1]
    if len(found) != 32:
        raise ValueError("not a hash")
    return found
