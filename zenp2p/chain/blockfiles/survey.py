"""What stands in one block, of whatever chain: read as far as it can be read.

Answers for: the layout being told from the bytes (the one under which most of the block
reads); a block of which a part is not read still giving its hash and its readable part, with
the reason; bytes that are no block giving nothing. Sums over a file are `tally`'s. Spec:
`spec/cli.md`.
"""

from collections import Counter
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from protocol.chain.block import (
    BlockHeader,
    block_hash,
    has_certificates,
    merkle_root,
    read_certificates,
    read_header,
    read_transactions,
)
from protocol.chain.encoding import Reader
from protocol.chain.rules import ChainFamily, HeaderLayout
from protocol.chain.script import read_number, script_address
from protocol.chain.transaction import ZEN_CERTIFICATE, Transaction, is_coinbase, read_transaction
from protocol.errors import InvalidChainData, UnsupportedChainData
from zenp2p.chain.blockfiles.record import BLOCK_BYTES_MAX, StatedBlock

HEIGHT_MAX = 100_000_000
"""Old coinbases begin with other numbers; no chain is so high."""
MALFORMED, TRAILING = "a block breaks off or is malformed", "bytes follow a block's transactions"
STATED = "decoded JSON without raw bytes: hash and ids are as stated, outputs only where shown"

_HASH = 32
_MERGED_MINING = 0x100
_COINBASE_START = b"\x01" + bytes(_HASH) + b"\xff" * 4
_HEIGHT_VERSION_MIN = 2


class Layout(NamedTuple):
    """How a block is written: its header, and its transactions."""

    header: HeaderLayout
    family: ChainFamily


LAYOUTS = (
    Layout(HeaderLayout.EQUIHASH, ChainFamily.ZCASH),
    Layout(HeaderLayout.EQUIHASH, ChainFamily.ZEN),
    Layout(HeaderLayout.BITCOIN, ChainFamily.BITCOIN),
    Layout(HeaderLayout.EQUIHASH, ChainFamily.BITCOIN),
)
"""In the order in which they are tried: where Zcash's and Zen's both fit they read the same."""


class Root(Enum):
    """Whether the header's Merkle root is that of the block's entries."""

    UNCHECKED = 0
    WRONG = 1
    RIGHT = 2


@dataclass(slots=True)
class Survey:
    """One block. `reason` is empty when all of it was read; hashes are in computed order."""

    layout: Layout | None
    block_hash: bytes
    previous: bytes
    bits: int = 0
    height: int | None = None
    root: Root = Root.UNCHECKED
    transactions: int = 0
    certificates: int = 0
    skipped: int = 0
    """Transactions that the block counts and that were not read."""
    outputs: int = 0
    no_address: int = 0
    """Transactions without any address."""
    versions: Counter[int] = field(default_factory=Counter)
    overwintered: bool = False
    addresses: set[bytes] = field(default_factory=set)
    reason: str = ""
    detail: str = ""


def survey_block(raw: bytes, first: Layout = LAYOUTS[0]) -> Survey | None:
    """Return what stands in a block, `first` being tried first; None for bytes that are no block."""
    if len(raw) > BLOCK_BYTES_MAX:
        return None
    best: Survey | None = None
    for layout in (first, *(each for each in LAYOUTS if each is not first)):
        found = _survey(raw, layout)
        if found is not None and (best is None or _explained(found) > _explained(best)):
            best = found
        if best is not None and not best.reason and best.root is Root.RIGHT:
            break
    return best


def _explained(survey: Survey) -> tuple[bool, bool, int]:
    """How much of a block a reading explains: the more, the likelier it is the right one."""
    return survey.root is Root.RIGHT, not survey.reason, survey.transactions


def survey_stated(block: StatedBlock) -> Survey:
    """Return what a decoded block states."""
    survey = Survey(None, block.block_hash, block.previous or bytes(32), height=block.height)
    survey.reason = STATED
    survey.transactions, survey.certificates = len(block.ids), block.certificates
    survey.root = _compare(list(block.ids), block.root)
    for scripts in block.outputs or ():
        owners = {owner for script in scripts if script is not None and (owner := script_address(script))}
        survey.outputs += len(scripts)
        survey.no_address += not owners
        survey.addresses |= owners
    return survey


def _survey(raw: bytes, layout: Layout) -> Survey | None:
    """Read a block under one layout; None unless its header and its coinbase can be read."""
    reader = Reader(raw)
    try:
        header = read_header(reader, layout.header)
        _skip_merged_mining(reader, header)
        count = Reader(raw, reader.position).count(1)
    except InvalidChainData:
        return None
    survey = Survey(layout, block_hash(header), header.previous, header.bits)
    ids: list[bytes] = []
    try:
        _read_entries(reader, header, survey, ids)
        survey.root = _compare(ids, header.merkle_root)
    except UnsupportedChainData as error:
        survey.reason = str(error)
    except InvalidChainData as error:
        survey.reason, survey.detail = MALFORMED, str(error)
    if not _has_coinbase(survey, layout):
        return None
    if not survey.reason and reader.position != len(raw):
        survey.reason, survey.detail = TRAILING, f"{len(raw) - reader.position} bytes too many"
    survey.skipped = max(count - (survey.transactions - survey.certificates), 0)
    return survey


def _read_entries(reader: Reader, header: BlockHeader, survey: Survey, ids: list[bytes]) -> None:
    """Read all entries into the survey; what was read before an `InvalidChainData` stays counted."""
    family = survey.layout.family if survey.layout is not None else ChainFamily.BITCOIN
    for tx in read_transactions(reader, family):
        if not ids:
            if not is_coinbase(tx) or _is_overwintered(survey.layout, tx):
                raise InvalidChainData("a block's first transaction must be its coinbase")
            survey.height = _height(header, tx)
        _count(survey, tx, ids)
    if has_certificates(header, family):
        for certificate in read_certificates(reader):
            _count(survey, certificate, ids)
            survey.certificates += 1


def _is_overwintered(layout: Layout | None, coinbase: Transaction) -> bool:
    """Whether a version, which another family would take for a negative number, is one of Zcash's."""
    other = layout in (LAYOUTS[1], LAYOUTS[3])
    return other and coinbase.version < ZEN_CERTIFICATE


def _count(survey: Survey, tx: Transaction, ids: list[bytes]) -> None:
    ids.append(tx.txid)
    owners = {owner for output in tx.outputs if (owner := script_address(output.script)) is not None}
    survey.transactions += 1
    survey.outputs += len(tx.outputs)
    survey.no_address += not owners
    survey.addresses |= owners
    survey.versions[tx.version] += 1
    survey.overwintered |= tx.version_group is not None


def _has_coinbase(survey: Survey, layout: Layout) -> bool:
    """Whether this is a block at all: a coinbase was read, or is of a version that is known and not read."""
    unread = layout.family is ChainFamily.ZCASH and survey.reason not in ("", MALFORMED)
    return survey.transactions > 0 or unread


def _skip_merged_mining(reader: Reader, header: BlockHeader) -> None:
    """Walk over the proof that a block was mined together with another chain's, where there is one.

    It is the other chain's coinbase, two Merkle branches and the other header.
    """
    at = reader.position + 4
    if header.layout is not HeaderLayout.BITCOIN or not header.version & _MERGED_MINING:
        return
    if reader.data[at : at + len(_COINBASE_START)] != _COINBASE_START:
        return
    read_transaction(reader, ChainFamily.BITCOIN)
    reader.take(_HASH)
    for _ in range(2):
        reader.take(reader.count(_HASH) * _HASH + 4)
    read_header(reader, HeaderLayout.BITCOIN)


def _compare(ids: list[bytes], stated: bytes) -> Root:
    try:
        return Root.RIGHT if merkle_root(ids) == stated else Root.WRONG
    except InvalidChainData:
        return Root.WRONG


def _height(header: BlockHeader, coinbase: Transaction) -> int | None:
    """Return what a coinbase states, None where it states none (before BIP 34); a first block's is 0."""
    number = read_number(coinbase.inputs[0].script_sig, 0)
    if number is None or number[0] > HEIGHT_MAX or header.version < _HEIGHT_VERSION_MIN:
        return None if any(header.previous) else 0
    return number[0]
