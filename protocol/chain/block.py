"""Blocks: header, Merkle root, height, and how much work stands behind them.

Answers for: two header layouts (Bitcoin's 80 bytes; Zcash's and Zen's with a reserved
hash, a 32-byte nonce and an Equihash solution), reading and writing whole blocks, and
the checks that need nothing but the block. Certificates of Zen's sidechains follow the
transactions and are numbered after them. Which target a header must name, and the
Equihash solution itself, are left to the chain's own node. Spec: `spec/chain.md`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from protocol.chain.encoding import Reader, compact_size, display_hash, var_bytes
from protocol.chain.rules import ChainFamily, ChainRules, HeaderLayout
from protocol.chain.script import read_number
from protocol.chain.transaction import ZEN_CERTIFICATE, Transaction, is_coinbase, read_transaction
from protocol.crypto import sha256d
from protocol.errors import InvalidChainData
from protocol.units import Hash32, Height

SOLUTION_SIZE_MAX = 1_344
"""Bytes of the Equihash solution with the parameters (200, 9) of Zcash and Zen."""
_TRANSACTION_SIZE_MIN = 10
_ZEN_CERTIFICATE_VERSION = 3
_MANTISSA, _NEGATIVE = 0x7F_FFFF, 0x80_0000


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockHeader:
    """A block's header; hashes in computed order, the nonce as a little-endian number.

    `reserved` (32 bytes) and `solution` are empty in the Bitcoin layout.
    """

    layout: HeaderLayout = HeaderLayout.BITCOIN
    version: int
    previous: bytes
    merkle_root: bytes
    reserved: bytes = b""
    time: int
    bits: int
    nonce: int = 0
    solution: bytes = b""


@dataclass(frozen=True, slots=True)
class Block:
    """A header and its transactions, the coinbase first; of Zen's version 3 also its certificates.

    Everything that counts transactions counts `entries`.
    """

    header: BlockHeader
    transactions: tuple[Transaction, ...]
    certificates: tuple[Transaction, ...] | None = None
    """None where the block has no list of them."""
    _raw: bytes = field(default=b"", init=False, compare=False, repr=False)

    @property
    def raw(self) -> bytes:
        """The bytes: those that were read, or else the encoding."""
        if not self._raw:
            object.__setattr__(self, "_raw", encode_block(self))
        return self._raw

    @property
    def entries(self) -> tuple[Transaction, ...]:
        """The transactions, then the certificates: the leaves of the Merkle tree."""
        return self.transactions + (self.certificates or ())


def encode_header(header: BlockHeader) -> bytes:
    """Return the bytes of a header; its hash covers all of them."""
    start = header.version.to_bytes(4, "little", signed=True) + header.previous + header.merkle_root
    clock = header.time.to_bytes(4, "little") + header.bits.to_bytes(4, "little")
    if header.layout is HeaderLayout.BITCOIN:
        return start + clock + header.nonce.to_bytes(4, "little")
    return start + header.reserved + clock + header.nonce.to_bytes(32, "little") + var_bytes(header.solution)


def read_header(reader: Reader, layout: HeaderLayout) -> BlockHeader:
    """Read one header; raises `InvalidChainData`."""
    equihash = layout is HeaderLayout.EQUIHASH
    word = reader.uint(4)
    header = BlockHeader(
        layout=layout,
        version=word - (1 << 32) if word >> 31 else word,
        previous=reader.take(32),
        merkle_root=reader.take(32),
        reserved=reader.take(32) if equihash else b"",
        time=reader.uint(4),
        bits=reader.uint(4),
        nonce=reader.uint(32 if equihash else 4),
        solution=reader.var_bytes() if equihash else b"",
    )
    if len(header.solution) > SOLUTION_SIZE_MAX:
        raise InvalidChainData(f"Equihash solution of {len(header.solution)} bytes")
    return header


def decode_header(raw: bytes, layout: HeaderLayout) -> BlockHeader:
    """Return the header that `raw` is, all of it; raises `InvalidChainData`."""
    reader = Reader(raw)
    header = read_header(reader, layout)
    reader.finish()
    return header


def block_hash(header: BlockHeader) -> Hash32:
    """Return the block's hash, in computed order."""
    return sha256d(encode_header(header))


def parse_block(raw: bytes, rules: ChainRules) -> Block:
    """Return the block that `raw` is, all of it; raises `InvalidChainData`.

    Its Merkle root and its work are checked by `check_merkle_root` and `check_proof_of_work`.
    """
    if len(raw) > rules.block_size_max:
        raise InvalidChainData(f"block of {len(raw)} bytes, at most {rules.block_size_max} allowed")
    reader = Reader(raw)
    header = read_header(reader, rules.header_layout)
    transactions = tuple(read_transactions(reader, rules.family))
    certificates = tuple(read_certificates(reader)) if has_certificates(header, rules.family) else None
    reader.finish()
    block = Block(header, transactions, certificates)
    object.__setattr__(block, "_raw", raw)
    return block


def read_transactions(reader: Reader, family: ChainFamily) -> Iterator[Transaction]:
    """Read a block's list of transactions, one at a time; raises `InvalidChainData`."""
    for _ in range(reader.count(_TRANSACTION_SIZE_MIN)):
        tx = read_transaction(reader, family)
        if family is ChainFamily.ZEN and tx.version == ZEN_CERTIFICATE:
            raise InvalidChainData("a certificate stands among the transactions")
        yield tx


def has_certificates(header: BlockHeader, family: ChainFamily) -> bool:
    """Whether a list of certificates follows the transactions."""
    return family is ChainFamily.ZEN and header.version == _ZEN_CERTIFICATE_VERSION


def read_certificates(reader: Reader) -> Iterator[Transaction]:
    """Read a Zen block's list of certificates, one at a time; raises `InvalidChainData`."""
    for _ in range(reader.count(_TRANSACTION_SIZE_MIN)):
        certificate = read_transaction(reader, ChainFamily.ZEN)
        if certificate.version != ZEN_CERTIFICATE:
            raise InvalidChainData("a transaction stands among the certificates")
        yield certificate


def encode_block(block: Block) -> bytes:
    """Return the bytes of a block; for one that was read, the same bytes again."""
    parts = [encode_header(block.header)]
    for group in (block.transactions, block.certificates):
        if group is not None:
            parts.append(compact_size(len(group)) + b"".join(tx.raw for tx in group))
    return b"".join(parts)


def merkle_root(txids: Sequence[bytes]) -> Hash32:
    """Return the chain's Merkle root over transaction ids in computed order.

    Raises `InvalidChainData` for no ids, and for two equal neighbours: the tree doubles the
    last node of an odd level, so a list with its end repeated has the root of the list
    without (CVE-2012-2459), and a node that accepts it can be made to refuse the real block.
    """
    if not txids:
        raise InvalidChainData("a block without transactions")
    level = list(txids)
    while len(level) > 1:
        if any(left == right for left, right in zip(level[::2], level[1::2], strict=False)):
            raise InvalidChainData("a block whose list of transactions was doubled at its end")
        if len(level) % 2:
            level.append(level[-1])
        level = [sha256d(left + right) for left, right in zip(level[::2], level[1::2], strict=True)]
    return Hash32(level[0])


def check_merkle_root(block: Block) -> None:
    """Raise `InvalidChainData` unless the header's Merkle root is that of the block's entries."""
    computed = merkle_root([tx.txid for tx in block.entries])
    if computed != block.header.merkle_root:
        stated = display_hash(block.header.merkle_root)
        raise InvalidChainData(f"the Merkle root is {display_hash(computed)}, the header says {stated}")


def coinbase_height(block: Block) -> Height:
    """Return the height that the coinbase states (BIP 34); raises `InvalidChainData`.

    A chain's block 0 does not state it.
    """
    if not block.transactions or not is_coinbase(block.transactions[0]):
        raise InvalidChainData("a block's first transaction must be its coinbase")
    number = read_number(block.transactions[0].inputs[0].script_sig, 0)
    if number is None:
        raise InvalidChainData("the coinbase does not begin with its height")
    return Height(number[0])


def compact_target(bits: int) -> int:
    """Return the target that a header's `bits` stand for; raises `InvalidChainData`."""
    exponent, mantissa = bits >> 24, bits & _MANTISSA
    shift = 8 * (exponent - 3)
    target = mantissa << shift if shift >= 0 else mantissa >> -shift
    if bits & _NEGATIVE or not 0 < target < 1 << 256:
        raise InvalidChainData(f"bits {bits:#010x} are no target")
    return target


def target_bits(target: int) -> int:
    """Return the `bits` of the largest target at or below `target` that they can state."""
    size = (target.bit_length() + 7) // 8
    mantissa = target >> 8 * (size - 3) if size > 3 else target << 8 * (3 - size)
    if mantissa & _NEGATIVE:
        mantissa, size = mantissa >> 8, size + 1
    return size << 24 | mantissa


def block_work(bits: int) -> int:
    """Return the number of hashes that a block of this target takes on average."""
    return (1 << 256) // (compact_target(bits) + 1)


def check_proof_of_work(header: BlockHeader) -> None:
    """Raise `InvalidChainData` unless the header's hash is at or below the target that it names."""
    if int.from_bytes(block_hash(header), "little") > compact_target(header.bits):
        raise InvalidChainData(f"block {display_hash(block_hash(header))} does not reach its target")
