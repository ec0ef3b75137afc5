"""Transactions of the Bitcoin, Zcash and Zen families.

Answers for: reading a transaction far enough to give its id, inputs and outputs, with
the same bytes coming out again, and for the checks that need no other transaction. The
families read the same bytes differently from version 2 on, so the family is an
argument, never a guess. Joinsplits, shielded parts and witnesses are carried as bytes,
not read. What a signature covers is left to `sighash`. Spec: `spec/transaction.md`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from protocol.chain.encoding import Reader, compact_size, var_bytes
from protocol.chain.rules import ChainFamily, ChainRules
from protocol.chain.shielded import (
    BUNDLES_EMPTY,
    JOINSPLIT_GROTH,
    JOINSPLIT_PHGR,
    OVERWINTER_EMPTY,
    SAPLING_EMPTY,
    skip_bundles,
    skip_joinsplits,
    skip_overwintered,
)
from protocol.chain.sidechain import (
    UNRIPE,
    read_backward_transfers,
    skip_certificate_head,
    skip_sidechain_part,
)
from protocol.chain.zcash_id import Transparent, version_5_id
from protocol.crypto import sha256d
from protocol.errors import InvalidChainData, UnsupportedChainData
from protocol.units import Hash32

SEQUENCE_FINAL = 0xFFFF_FFFF
COINBASE_INDEX = 0xFFFF_FFFF
COINBASE_SCRIPT_SIZES = range(2, 101)
AMOUNT_LIMIT = 1 << 63
"""Amounts are signed 64-bit numbers on the chain; the negative half is refused."""

_INPUT_SIZE_MIN = 32 + 4 + 1 + 4
_OUTPUT_SIZE_MIN = 8 + 1
_OVERWINTERED = 1 << 31
_ZCASH_GROUPS = {3: 0x03C4_8270, 4: 0x892F_2085, 5: 0x26A7_270A}
_ZCASH_VERSION_MAX = 15
"""Versions above are no version of a chain that is alive, but bytes that are no transaction."""
_BUNDLES = 5
"""The version from which on Zcash writes branch, lock time and expiry before the inputs."""
_ZEN_GROTH, ZEN_SIDECHAIN, ZEN_CERTIFICATE = -3, -4, -5
_MARKER = b"\x00"
_WITNESS_FLAG, _MWEB_FLAG = 0x01, 0x08
"""BIP 144: where the inputs begin stand a marker (no inputs) and a flag; Litecoin has one more flag."""


@dataclass(frozen=True, slots=True)
class OutPoint:
    """One output of one transaction: its id in computed order, and its position."""

    txid: bytes
    index: int


@dataclass(frozen=True, slots=True)
class TxInput:
    """Spends `previous`, with the script that proves the right to."""

    previous: OutPoint
    script_sig: bytes = b""
    sequence: int = SEQUENCE_FINAL


@dataclass(frozen=True, slots=True)
class TxOutput:
    """An amount in zatoshi and the script that guards it, in a backward transfer `UNRIPE` and a key hash."""

    amount: int
    script: bytes


@dataclass(frozen=True, slots=True)
class Transaction:
    """A transaction of any family.

    `version` is signed (Zen's -3); `version_group` is set in Zcash's overwintered
    transactions only; `trailer` is what follows the lock time, as it stood (from version 5 on with
    the consensus branch before it). `witness` is empty, or holds a stack for each input, of which
    one at least has an item. `sidechain` is what Zen's -4 has before its lock time, and a certificate
    (-5) before its inputs; its last `backward` outputs are backward transfers.
    """

    version: int
    inputs: tuple[TxInput, ...]
    outputs: tuple[TxOutput, ...]
    lock_time: int = 0
    version_group: int | None = None
    trailer: bytes = b""
    witness: tuple[tuple[bytes, ...], ...] = ()
    sidechain: bytes = b""
    backward: int = 0
    _raw: bytes = field(default=b"", init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        """A witness of nothing has no encoding of its own."""
        if self.witness and (len(self.witness) != len(self.inputs) or not any(self.witness)):
            raise ValueError("a witness has a stack for each input, and an item in one of them")

    @property
    def raw(self) -> bytes:
        """The bytes, witness included: those that were read, or else the encoding."""
        if not self._raw:
            object.__setattr__(self, "_raw", encode_transaction(self))
        return self._raw

    @property
    def txid(self) -> Hash32:
        """The id in computed order: it does not cover a witness, nor version 5's scripts and proofs."""
        if self.version_group is not None and self.version >= _BUNDLES:
            return _version_5_id(self)
        return sha256d(encode_transaction(replace(self, witness=())) if self.witness else self.raw)


def is_coinbase(tx: Transaction) -> bool:
    """Whether the transaction creates coins: one input that spends nothing."""
    return len(tx.inputs) == 1 and is_null(tx.inputs[0].previous)


def has_shielded_part(tx: Transaction) -> bool:
    """Whether joinsplits or shielded spends and outputs follow the lock time."""
    if tx.version_group is None:
        return len(tx.trailer) > 1
    empty = {3: OVERWINTER_EMPTY, 4: SAPLING_EMPTY, 5: BUNDLES_EMPTY}
    return len(tx.trailer) > empty[tx.version]


def is_null(outpoint: OutPoint) -> bool:
    """Whether the outpoint names nothing, as a coinbase's does."""
    return outpoint.index == COINBASE_INDEX and not any(outpoint.txid)


def with_script_sig(tx: Transaction, index: int, script_sig: bytes) -> Transaction:
    """Return the transaction with another script in input `index`."""
    signed = replace(tx.inputs[index], script_sig=script_sig)
    return replace(tx, inputs=(*tx.inputs[:index], signed, *tx.inputs[index + 1 :]))


def decode_transaction(raw: bytes, family: ChainFamily) -> Transaction:
    """Return the transaction that `raw` is, all of it; raises `InvalidChainData`."""
    reader = Reader(raw)
    tx = read_transaction(reader, family)
    reader.finish()
    return tx


def parse_transaction(data: bytes, family: ChainFamily, offset: int = 0) -> tuple[Transaction, int]:
    """Return (the transaction at `offset`, where it ends); raises `InvalidChainData`.

    Kinds that are known but not read raise `UnsupportedChainData` with the reason.
    """
    reader = Reader(data, offset)
    tx = read_transaction(reader, family)
    return tx, reader.position


def read_transaction(reader: Reader, family: ChainFamily) -> Transaction:
    """Read one transaction; raises `InvalidChainData`."""
    start = reader.position
    version, group = _read_version(reader, family)
    if family is ChainFamily.ZEN and version == ZEN_CERTIFICATE:
        tx = _read_certificate(reader)
    elif group is not None and version >= _BUNDLES:
        tx = _read_version_5(reader, version, group)
    else:
        tx = _read_plain(reader, family, version, group)
    object.__setattr__(tx, "_raw", reader.data[start : reader.position])
    return tx


def _read_plain(reader: Reader, family: ChainFamily, version: int, group: int | None) -> Transaction:
    """Read what nearly all kinds have in common."""
    witnessed = family is ChainFamily.BITCOIN and _read_flag(reader)
    inputs, outputs = _read_inputs(reader), _read_outputs(reader)
    witness = _read_witness(reader, len(inputs)) if witnessed else ()
    start = reader.position
    if family is ChainFamily.ZEN and version == ZEN_SIDECHAIN:
        skip_sidechain_part(reader)
    sidechain = reader.data[start : reader.position]
    lock_time = reader.uint(4)
    trailer = _read_trailer(reader, family, version, group)
    return Transaction(version, inputs, outputs, lock_time, group, trailer, witness, sidechain)


def _read_version_5(reader: Reader, version: int, group: int) -> Transaction:
    """Read Zcash's layout since ZIP 225; branch and expiry become the start of the trailer."""
    branch, lock_time, expiry = reader.take(4), reader.uint(4), reader.take(4)
    inputs, outputs = _read_inputs(reader), _read_outputs(reader)
    start = reader.position
    skip_bundles(reader)
    trailer = branch + expiry + reader.data[start : reader.position]
    return Transaction(version, inputs, outputs, lock_time, group, trailer)


def _read_certificate(reader: Reader) -> Transaction:
    """Read a certificate: it has no lock time, and its backward transfers are its last outputs."""
    start = reader.position
    skip_certificate_head(reader)
    head = reader.data[start : reader.position]
    inputs, outputs = _read_inputs(reader), _read_outputs(reader)
    backward = tuple([_output(*each) for each in read_backward_transfers(reader)])
    return Transaction(ZEN_CERTIFICATE, inputs, outputs + backward, sidechain=head, backward=len(backward))


def _read_version(reader: Reader, family: ChainFamily) -> tuple[int, int | None]:
    """Return (version, version group) and refuse the kinds that are not read."""
    word = reader.uint(4)
    version = word - (1 << 32) if word & _OVERWINTERED else word
    if family is ChainFamily.ZCASH and version < 0:
        return _read_version_group(reader, word & ~_OVERWINTERED)
    return version, None


def _read_flag(reader: Reader) -> bool:
    """Whether a witness follows the outputs: a transaction without inputs would begin like its mark."""
    start = reader.position
    if reader.data[start : start + 1] != _MARKER or reader.data[start + 1 : start + 2] == b"\x00":
        return False
    flag = reader.take(2)[1]
    if flag & _MWEB_FLAG:
        raise UnsupportedChainData("transactions with a part in Litecoin's extension blocks are not read")
    if flag != _WITNESS_FLAG:
        raise InvalidChainData(f"transaction flag {flag:#04x} is not defined")
    return True


def _read_witness(reader: Reader, inputs: int) -> tuple[tuple[bytes, ...], ...]:
    """Return a stack for each input; raises `InvalidChainData` when all are empty: that is spelt without."""
    stacks = tuple([tuple([reader.var_bytes() for _ in range(reader.count(1))]) for _ in range(inputs)])
    if not any(stacks):
        raise InvalidChainData("a witness that holds nothing")
    return stacks


def _read_version_group(reader: Reader, version: int) -> tuple[int, int]:
    """Return Zcash's version and version group, which must belong together."""
    newest = max(_ZCASH_GROUPS)
    if newest < version <= _ZCASH_VERSION_MAX:
        raise UnsupportedChainData(f"Zcash transaction version {version} is not read (1 to {newest} are)")
    group = reader.uint(4)
    if _ZCASH_GROUPS.get(version) != group:
        raise InvalidChainData(f"Zcash transaction version {version} with version group {group:#010x}")
    return version, group


def _read_input(reader: Reader) -> TxInput:
    return TxInput(OutPoint(reader.take(32), reader.uint(4)), reader.var_bytes(), reader.uint(4))


def _read_inputs(reader: Reader) -> tuple[TxInput, ...]:
    return tuple([_read_input(reader) for _ in range(reader.count(_INPUT_SIZE_MIN))])


def _read_outputs(reader: Reader) -> tuple[TxOutput, ...]:
    count = reader.count(_OUTPUT_SIZE_MIN)
    return tuple([_output(reader.uint(8), reader.var_bytes()) for _ in range(count)])


def _output(amount: int, script: bytes) -> TxOutput:
    if amount >= AMOUNT_LIMIT:
        raise InvalidChainData("an output has a negative amount")
    return TxOutput(amount, script)


def _read_trailer(reader: Reader, family: ChainFamily, version: int, group: int | None) -> bytes:
    """Return what follows the lock time, its parts counted but not read."""
    start = reader.position
    if group is not None:
        skip_overwintered(reader, version)
    elif family is ChainFamily.ZCASH and version >= 2:
        skip_joinsplits(reader, JOINSPLIT_PHGR)
    elif family is ChainFamily.ZEN and (version >= 2 or version == _ZEN_GROTH):
        skip_joinsplits(reader, JOINSPLIT_GROTH if version == _ZEN_GROTH else JOINSPLIT_PHGR)
    return reader.data[start : reader.position]


def encode_output(output: TxOutput) -> bytes:
    """Return the bytes of an output."""
    return output.amount.to_bytes(8, "little") + var_bytes(output.script)


def encode_transaction(tx: Transaction) -> bytes:
    """Return the bytes of a transaction; for one that was read, the same bytes again."""
    inputs = compact_size(len(tx.inputs)) + b"".join(map(_encode_input, tx.inputs))
    if tx.version_group is not None and tx.version >= _BUNDLES:
        return _version_5_head(tx) + inputs + _encode_outputs(tx.outputs) + tx.trailer[8:]
    if tx.version == ZEN_CERTIFICATE and tx.sidechain:
        return encode_version(tx) + tx.sidechain + inputs + _encode_certified(tx)
    parts = [encode_version(tx), _MARKER + bytes([_WITNESS_FLAG]) if tx.witness else b"", inputs]
    parts.append(_encode_outputs(tx.outputs))
    for stack in tx.witness:
        parts.append(compact_size(len(stack)))
        parts.extend(map(var_bytes, stack))
    parts.append(tx.sidechain + tx.lock_time.to_bytes(4, "little") + tx.trailer)
    return b"".join(parts)


def _encode_input(spent: TxInput) -> bytes:
    return _encode_outpoint(spent) + var_bytes(spent.script_sig) + spent.sequence.to_bytes(4, "little")


def _encode_outpoint(spent: TxInput) -> bytes:
    return spent.previous.txid + spent.previous.index.to_bytes(4, "little")


def _encode_outputs(outputs: Sequence[TxOutput]) -> bytes:
    return compact_size(len(outputs)) + b"".join(map(encode_output, outputs))


def _encode_certified(tx: Transaction) -> bytes:
    """Return a certificate's outputs, then its backward transfers."""
    ordinary = len(tx.outputs) - tx.backward
    parts = [_encode_outputs(tx.outputs[:ordinary]), compact_size(tx.backward)]
    for output in tx.outputs[ordinary:]:
        parts.append(output.amount.to_bytes(8, "little") + output.script.removeprefix(UNRIPE))
    return b"".join(parts)


def _version_5_head(tx: Transaction) -> bytes:
    """Return version, group, branch, lock time and expiry."""
    return encode_version(tx) + tx.trailer[:4] + tx.lock_time.to_bytes(4, "little") + tx.trailer[4:8]


def _version_5_id(tx: Transaction) -> Hash32:
    parts = Transparent(
        b"".join(map(_encode_outpoint, tx.inputs)),
        b"".join(spent.sequence.to_bytes(4, "little") for spent in tx.inputs),
        b"".join(map(encode_output, tx.outputs)),
    )
    return version_5_id(_version_5_head(tx), tx.trailer[:4], parts, tx.trailer[8:])


def encode_version(tx: Transaction) -> bytes:
    """Return the bytes before the inputs: the version, and Zcash's version group."""
    if tx.version_group is None:
        return tx.version.to_bytes(4, "little", signed=True)
    word = tx.version | _OVERWINTERED
    return word.to_bytes(4, "little") + tx.version_group.to_bytes(4, "little")


def check_transaction(tx: Transaction, rules: ChainRules) -> None:
    """Raise `InvalidChainData` when the transaction breaks a rule on its own.

    Signatures, existence of the spent outputs and amounts of the inputs are checked
    elsewhere; what a joinsplit does, nowhere.
    """
    if len(tx.raw) > rules.transaction_size_max:
        raise InvalidChainData(f"transaction of {len(tx.raw)} bytes")
    if rules.family is not ChainFamily.BITCOIN and tx.version < 1 and tx.version != _ZEN_GROTH:
        raise InvalidChainData(f"transaction version {tx.version} is not defined")
    if not (tx.inputs and tx.outputs) and not has_shielded_part(tx):
        raise InvalidChainData("a transaction without inputs or without outputs")
    _check_amounts(tx.outputs, rules.money_max)
    if len({spent.previous for spent in tx.inputs}) != len(tx.inputs):
        raise InvalidChainData("a transaction spends one output twice")
    if is_coinbase(tx):
        if len(tx.inputs[0].script_sig) not in COINBASE_SCRIPT_SIZES:
            raise InvalidChainData(f"coinbase script of {len(tx.inputs[0].script_sig)} bytes")
    elif any(is_null(spent.previous) for spent in tx.inputs):
        raise InvalidChainData("an input spends nothing, and the transaction is no coinbase")


def _check_amounts(outputs: Sequence[TxOutput], money_max: int) -> None:
    """Each amount and every sum of amounts must stay within the money that can exist."""
    if any(output.amount > money_max for output in outputs):
        raise InvalidChainData("an output's amount is out of range")
    if sum(output.amount for output in outputs) > money_max:
        raise InvalidChainData("the outputs' sum is out of range")
