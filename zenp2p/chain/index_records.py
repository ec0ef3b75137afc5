"""How the chain's index lies in the node's database.

Answers for: the key of every record and its bytes. Numbers are big-endian, so that
keys sort by them. What belongs into one batch, and the lookups, are `index`. All keys
begin with `INDEX_PREFIX`. Records of announcements are `announcement_records`. Spec:
`spec/index.md` (the table there is these two modules).
"""

import struct
from dataclasses import dataclass, replace
from typing import NamedTuple

from protocol.chain.block import BlockHeader, decode_header, encode_header
from protocol.chain.rules import HeaderLayout
from protocol.chain.transaction import OutPoint
from protocol.units import Hash32, Height, Zatoshi
from zenp2p.chain.source import ChainEvent, Connected, Disconnected

INDEX_PREFIX = b"i"
FORMAT = 5
"""Raised with every change of a record's meaning: an index of another format is not read."""
HEAD_KEY, FORMAT_KEY = INDEX_PREFIX + b"H", INDEX_PREFIX + b"F"
BLOCK_KEY, HASH_KEY, HEADER_KEY, EVENT_KEY = (INDEX_PREFIX + letter for letter in (b"B", b"K", b"D", b"E"))
ORDINAL_KEY, ID_KEY, OUTPUT_KEY = (INDEX_PREFIX + letter for letter in (b"T", b"I", b"O"))
ACCOUNT_KEY, CHANGE_KEY, UNSPENT_KEY = (INDEX_PREFIX + letter for letter in (b"A", b"L", b"U"))

TXID_SIZE = 32
"""Bytes of the id before a raw transaction: an id need not be computed, which takes reading it all."""

_HEAD = struct.Struct(">I32sQQ")
_BLOCK = struct.Struct(">32sQ")
_PLACE = struct.Struct(">QI")
_OUTPUT = struct.Struct(">QIB")
_COINBASE, _PLAIN = 1, 2
_SPENDER = struct.Struct(">QI")
_ACCOUNT = struct.Struct(">IQI16sI")
_RECEIVED_SIZE = 16
"""A sum over all time: who holds much can pay himself until 8 bytes are too few."""
_CHANGE = struct.Struct(">IQQ")
_EVENT = struct.Struct(">?I32s")
_ADDRESS_SIZE = 21
_NO_ADDRESS = b"\xff" * _ADDRESS_SIZE
_NUMBER, _ORDINAL = struct.Struct(">I"), struct.Struct(">Q")


class Head(NamedTuple):
    """The last indexed block, the transactions up to and with it, and the events so far."""

    height: Height
    block_hash: Hash32
    transactions: int
    events: int


class Place(NamedTuple):
    """Where a transaction stands: its number in the chain and its block's height."""

    ordinal: int
    height: Height


class Spender(NamedTuple):
    """What spends an output: the number of the transaction, and which of its inputs."""

    ordinal: int
    input_index: int


@dataclass(frozen=True, slots=True)
class IndexedOutput:
    """An output of the active chain. `address` is None where its script has none."""

    amount: Zatoshi
    address: bytes | None
    height: Height
    coinbase: bool
    is_plain: bool
    """Whether the script is `address_script` of the address; else it stands in the transaction alone."""
    spender: Spender | None = None


class Account(NamedTuple):
    """What is known of an address: its number of changes, what it holds, the height of its last change."""

    changes: int
    balance: Zatoshi
    last_height: Height
    received: Zatoshi
    """All that its outputs ever held; what of it is spent again, the balance leaves out."""
    unspent: int
    """How many outputs hold the balance."""


class Change(NamedTuple):
    """One transaction's effect on an address: when, which, and the balance after it."""

    height: Height
    ordinal: int
    balance: Zatoshi


def block_key(height: int) -> bytes:
    """Height -> block."""
    return BLOCK_KEY + _NUMBER.pack(height)


def hash_key(block_hash: bytes) -> bytes:
    """Block hash -> height."""
    return HASH_KEY + block_hash


def header_key(height: int) -> bytes:
    """Height -> the block's size and header."""
    return HEADER_KEY + _NUMBER.pack(height)


def ordinal_key(ordinal: int) -> bytes:
    """Ordinal -> id and raw transaction."""
    return ORDINAL_KEY + _ORDINAL.pack(ordinal)


def id_key(txid: bytes) -> bytes:
    """Transaction id -> place."""
    return ID_KEY + txid


def output_key(outpoint: OutPoint) -> bytes:
    """Outpoint -> output."""
    return OUTPUT_KEY + outpoint.txid + _NUMBER.pack(outpoint.index)


def account_key(address: bytes) -> bytes:
    """Address -> account."""
    return ACCOUNT_KEY + address


def change_key(address: bytes, number: int) -> bytes:
    """Address and number of the change, from 0 -> change."""
    return CHANGE_KEY + address + _NUMBER.pack(number)


def unspent_key(address: bytes, outpoint: OutPoint) -> bytes:
    """Address and outpoint -> nothing: the output's record says the rest."""
    return UNSPENT_KEY + address + outpoint.txid + _NUMBER.pack(outpoint.index)


def read_unspent_key(key: bytes) -> OutPoint:
    """Return the outpoint of an `unspent_key`."""
    return OutPoint(key[-36:-4], _NUMBER.unpack(key[-4:])[0])


def event_key(number: int) -> bytes:
    """Number of the event -> event."""
    return EVENT_KEY + _ORDINAL.pack(number)


def encode_head(head: Head) -> bytes:
    """Return height (4), hash (32), transactions (8), events (8)."""
    return _HEAD.pack(*head)


def decode_head(data: bytes) -> Head:
    """Read `encode_head`."""
    height, block_hash, transactions, events = _HEAD.unpack(data)
    return Head(Height(height), Hash32(block_hash), transactions, events)


def encode_block_entry(block_hash: bytes, transactions: int) -> bytes:
    """Return hash (32) and the transactions up to and with this block (8)."""
    return _BLOCK.pack(block_hash, transactions)


def decode_block_entry(data: bytes) -> tuple[Hash32, int]:
    """Read `encode_block_entry`."""
    block_hash, transactions = _BLOCK.unpack(data)
    return Hash32(block_hash), transactions


def encode_height(height: Height) -> bytes:
    """Return height (4)."""
    return _NUMBER.pack(height)


def decode_height(data: bytes) -> Height:
    """Read `encode_height`."""
    return Height(_NUMBER.unpack(data)[0])


def encode_header_entry(size: int, header: BlockHeader) -> bytes:
    """Return the block's size (4) and its header, without the solution that some chains have in it."""
    return _NUMBER.pack(size) + encode_header(replace(header, solution=b""))


def decode_header_entry(data: bytes, layout: HeaderLayout) -> tuple[int, BlockHeader]:
    """Read `encode_header_entry`."""
    return _NUMBER.unpack_from(data)[0], decode_header(data[_NUMBER.size :], layout)


def encode_place(place: Place) -> bytes:
    """Return ordinal (8), height (4)."""
    return _PLACE.pack(*place)


def decode_place(data: bytes) -> Place:
    """Read `encode_place`."""
    ordinal, height = _PLACE.unpack(data)
    return Place(ordinal, Height(height))


def encode_output_entry(output: IndexedOutput) -> bytes:
    """Return amount (8), height (4), flags (1), address (21, all ones: none), and the spender if any."""
    flags = output.coinbase * _COINBASE | output.is_plain * _PLAIN
    data = _OUTPUT.pack(output.amount, output.height, flags) + (output.address or _NO_ADDRESS)
    return data if output.spender is None else data + _SPENDER.pack(*output.spender)


def decode_output_entry(data: bytes) -> IndexedOutput:
    """Read `encode_output_entry`."""
    amount, height, flags = _OUTPUT.unpack_from(data)
    end = _OUTPUT.size + _ADDRESS_SIZE
    address = data[_OUTPUT.size : end]
    spender = decode_spender(data)
    owner = None if address == _NO_ADDRESS else address
    coinbase, is_plain = bool(flags & _COINBASE), bool(flags & _PLAIN)
    return IndexedOutput(Zatoshi(amount), owner, Height(height), coinbase, is_plain, spender)


def decode_spender(data: bytes) -> Spender | None:
    """Read who spends an output from `encode_output_entry`, None while it is unspent."""
    end = _OUTPUT.size + _ADDRESS_SIZE
    return Spender(*_SPENDER.unpack_from(data, end)) if len(data) > end else None


def encode_account(account: Account) -> bytes:
    """Return changes (4), balance (8), last height (4), received (16), unspent outputs (4)."""
    received = account.received.to_bytes(_RECEIVED_SIZE, "big")
    return _ACCOUNT.pack(account.changes, account.balance, account.last_height, received, account.unspent)


def decode_account(data: bytes) -> Account:
    """Read `encode_account`."""
    changes, balance, last_height, received, unspent = _ACCOUNT.unpack(data)
    total = Zatoshi(int.from_bytes(received, "big"))
    return Account(changes, Zatoshi(balance), Height(last_height), total, unspent)


def encode_change(change: Change) -> bytes:
    """Return height (4), ordinal (8), balance after (8)."""
    return _CHANGE.pack(*change)


def decode_change(data: bytes) -> Change:
    """Read `encode_change`."""
    height, ordinal, balance = _CHANGE.unpack(data)
    return Change(Height(height), ordinal, Zatoshi(balance))


def encode_event(event: ChainEvent) -> bytes:
    """Return whether it connected (1), height (4), hash (32); the number is the key's."""
    return _EVENT.pack(isinstance(event, Connected), event.height, event.block_hash)


def decode_event(number: int, data: bytes) -> ChainEvent:
    """Read `encode_event`."""
    connected, height, block_hash = _EVENT.unpack(data)
    kind = Connected if connected else Disconnected
    return kind(number, Height(height), Hash32(block_hash))
