"""What a signature in an input covers: the legacy signature hash.

Answers for: Bitcoin's hash with Zen's and old Zcash's joinsplits in it (their own
signature is hashed as 64 zero bytes). It does not cover the amounts that are spent, so
whoever signs must fetch every previous output itself. Zcash's hashes from Overwinter on
are another algorithm and are not computed. Spec: `spec/transaction.md`.
"""

from protocol.chain.encoding import compact_size, var_bytes
from protocol.chain.script import read_push
from protocol.chain.signature import SIGHASH_ANYONE_CAN_PAY, SIGHASH_NONE, SIGHASH_SINGLE
from protocol.chain.transaction import Transaction, encode_output, encode_version
from protocol.crypto import sha256d
from protocol.errors import InvalidChainData, UnsupportedChainData
from protocol.units import Hash32

_BASE_MASK = 0x1F
_OP_CODESEPARATOR = 0xAB
_JOINSPLIT_SIGNATURE = 64
_BLANK_INPUT = 32 + 4 + 1 + 4
_BLANK_OUTPUT = b"\xff" * 8 + b"\x00"


class SignatureHasher:
    """The parts of one transaction that all its inputs' hashes share.

    Without it, n inputs would serialise n inputs n times, which a hostile transaction
    of 100,000 bytes makes slow.
    """

    __slots__ = ("_blank", "_blank_no_sequence", "_end", "_outputs", "_start", "_tx")

    def __init__(self, tx: Transaction) -> None:
        """Raises `UnsupportedChainData` for Zcash's overwintered transactions and for Zen's sidechains."""
        if tx.version_group is not None:
            raise UnsupportedChainData("signature hashes of Zcash's overwintered transactions")
        if tx.sidechain:
            raise UnsupportedChainData("signature hashes of Zen's sidechain transactions and certificates")
        places = [i.previous.txid + i.previous.index.to_bytes(4, "little") + b"\x00" for i in tx.inputs]
        self._tx = tx
        self._start = encode_version(tx)
        self._blank = b"".join(
            place + spent.sequence.to_bytes(4, "little")
            for place, spent in zip(places, tx.inputs, strict=True)
        )
        self._blank_no_sequence = b"".join(place + bytes(4) for place in places)
        self._outputs = compact_size(len(tx.outputs)) + b"".join(map(encode_output, tx.outputs))
        self._end = tx.lock_time.to_bytes(4, "little") + _trailer_without_signature(tx.trailer)

    def digest(self, index: int, script_code: bytes, hash_type: int) -> Hash32:
        """Return the 32 bytes that a signature in input `index` signs; raises `InvalidChainData`.

        `hash_type` may be any 32-bit number, as in a node: only its low bits mean something.
        """
        if not 0 <= index < len(self._tx.inputs):
            raise InvalidChainData(f"no input {index} to sign")
        word = (hash_type & 0xFFFF_FFFF).to_bytes(4, "little")
        inputs = self._inputs(index, script_code, hash_type)
        outputs = self._outputs_for(index, hash_type & _BASE_MASK)
        return sha256d(self._start + inputs + outputs + self._end + word)

    def _inputs(self, index: int, script_code: bytes, hash_type: int) -> bytes:
        spent = self._tx.inputs[index]
        own = (
            spent.previous.txid
            + spent.previous.index.to_bytes(4, "little")
            + var_bytes(_without_separators(script_code))
            + spent.sequence.to_bytes(4, "little")
        )
        if hash_type & SIGHASH_ANYONE_CAN_PAY:
            return compact_size(1) + own
        others_change = hash_type & _BASE_MASK in (SIGHASH_NONE, SIGHASH_SINGLE)
        blank = self._blank_no_sequence if others_change else self._blank
        before, after = blank[: index * _BLANK_INPUT], blank[(index + 1) * _BLANK_INPUT :]
        return compact_size(len(self._tx.inputs)) + before + own + after

    def _outputs_for(self, index: int, base: int) -> bytes:
        if base == SIGHASH_NONE:
            return compact_size(0)
        if base != SIGHASH_SINGLE:
            return self._outputs
        if index >= len(self._tx.outputs):
            # Bitcoin signs the number 1 here, which is good for any transaction; Zen refuses, and so do we.
            raise InvalidChainData(f"hash type SINGLE, and there is no output {index}")
        return compact_size(index + 1) + _BLANK_OUTPUT * index + encode_output(self._tx.outputs[index])


def signature_hash(tx: Transaction, input_index: int, script_code: bytes, hash_type: int) -> Hash32:
    """Return the 32 bytes that a signature in one input signs; raises `InvalidChainData`.

    `script_code` is the previous output's script, or for P2SH the redeem script.
    """
    return SignatureHasher(tx).digest(input_index, script_code, hash_type)


def _trailer_without_signature(trailer: bytes) -> bytes:
    """Joinsplits are covered, their own signature as zeros; without any there is one zero count."""
    if len(trailer) <= 1:
        return trailer
    return trailer[:-_JOINSPLIT_SIGNATURE] + bytes(_JOINSPLIT_SIGNATURE)


def _without_separators(script: bytes) -> bytes:
    """Return the script without OP_CODESEPARATOR; after a broken push it stays as it is."""
    if _OP_CODESEPARATOR not in script:
        return script
    kept = bytearray()
    position = 0
    while position < len(script):
        try:
            push = read_push(script, position)
        except InvalidChainData:
            return bytes(kept) + script[position:]
        end = position + 1 if push is None else push[1]
        if script[position] != _OP_CODESEPARATOR:
            kept += script[position:end]
        position = end
    return bytes(kept)
