"""The id of a Zcash transaction of version 5: a tree of BLAKE2b digests (ZIP 244).

Answers for: an id that covers everything but proofs, signatures and input scripts, so
that those cannot change it. It works on parts that `transaction` and `shielded` have
walked over before. Spec: `spec/transaction.md`.
"""

from typing import NamedTuple

from protocol.chain.encoding import Reader
from protocol.chain.shielded import ACTION, OUTPUT, SPEND
from protocol.crypto import blake2b
from protocol.units import Hash32

_COMPACT, _MEMO = 52, 512
_CIPHERTEXT, _OUT_CIPHERTEXT = 580, 80
_HASH = 32


class Transparent(NamedTuple):
    """A transaction's transparent parts, each one's bytes in a row without counts."""

    outpoints: bytes
    sequences: bytes
    outputs: bytes


def version_5_id(head: bytes, branch: bytes, parts: Transparent, bundles: bytes) -> Hash32:
    """Return the id in computed order.

    `head` is version, group, branch, lock time and expiry (20 bytes), `bundles` what follows the
    outputs, which must have been walked over by `skip_bundles`.
    """
    reader = Reader(bundles)
    digests = _digest(b"ZTxIdHeadersHash", head) + _transparent(parts) + _sapling(reader) + _orchard(reader)
    return Hash32(_digest(b"ZcashTxHash_" + branch, digests))


def _digest(person: bytes, *parts: bytes) -> bytes:
    return blake2b(b"".join(parts), size=_HASH, key=b"", person=person)


def _transparent(parts: Transparent) -> bytes:
    if not (parts.outpoints or parts.outputs):
        return _digest(b"ZTxIdTranspaHash")
    return _digest(
        b"ZTxIdTranspaHash",
        _digest(b"ZTxIdPrevoutHash", parts.outpoints),
        _digest(b"ZTxIdSequencHash", parts.sequences),
        _digest(b"ZTxIdOutputsHash", parts.outputs),
    )


def _sapling(reader: Reader) -> bytes:
    spends = [reader.take(SPEND) for _ in range(reader.count(SPEND))]
    outputs = [reader.take(OUTPUT) for _ in range(reader.count(OUTPUT))]
    if not (spends or outputs):
        return _digest(b"ZTxIdSaplingHash")
    balance = reader.take(8)
    anchor = reader.take(_HASH) if spends else b""
    reader.take(len(spends) * (192 + 64) + len(outputs) * 192 + 64)
    return _digest(b"ZTxIdSaplingHash", _spends(spends, anchor), _outputs(outputs), balance)


def _spends(spends: list[bytes], anchor: bytes) -> bytes:
    """A spend is value commitment, nullifier and key, 32 bytes each."""
    if not spends:
        return _digest(b"ZTxIdSSpendsHash")
    return _digest(
        b"ZTxIdSSpendsHash",
        _digest(b"ZTxIdSSpendCHash", *[each[32:64] for each in spends]),
        _digest(b"ZTxIdSSpendNHash", *[each[:32] + anchor + each[64:] for each in spends]),
    )


def _outputs(outputs: list[bytes]) -> bytes:
    """An output is value commitment, note commitment and key, 32 bytes each, then two ciphertexts."""
    if not outputs:
        return _digest(b"ZTxIdSOutputHash")
    return _digest(
        b"ZTxIdSOutputHash",
        _digest(b"ZTxIdSOutC__Hash", *[each[32 : 96 + _COMPACT] for each in outputs]),
        _digest(b"ZTxIdSOutM__Hash", *[_memo(each) for each in outputs]),
        _digest(b"ZTxIdSOutN__Hash", *[each[:32] + _rest(each) for each in outputs]),
    )


def _orchard(reader: Reader) -> bytes:
    """An action is value commitment, nullifier, key, note commitment and key, then two ciphertexts."""
    actions = [reader.take(ACTION) for _ in range(reader.count(ACTION))]
    if not actions:
        return _digest(b"ZTxIdOrchardHash")
    compact = [each[32:64] + each[96 : 160 + _COMPACT] for each in actions]
    return _digest(
        b"ZTxIdOrchardHash",
        _digest(b"ZTxIdOrcActCHash", *compact),
        _digest(b"ZTxIdOrcActMHash", *[_memo(each) for each in actions]),
        _digest(b"ZTxIdOrcActNHash", *[each[:32] + each[64:96] + _rest(each) for each in actions]),
        reader.take(1 + 8 + _HASH),
    )


def _memo(item: bytes) -> bytes:
    """Return the memo's part of the ciphertext near an output's or action's end."""
    start = len(item) - _OUT_CIPHERTEXT - _CIPHERTEXT + _COMPACT
    return item[start : start + _MEMO]


def _rest(item: bytes) -> bytes:
    """Return what follows the memo: the end of one ciphertext, and the other."""
    return item[len(item) - _OUT_CIPHERTEXT - _CIPHERTEXT + _COMPACT + _MEMO :]
