"""What one embedded chain is: its rules, its beginning, and who gets the treasury's share.

Answers for: the first block being a pure function of the genesis file's `ChainRules`
and `ChainStart`, so that everybody makes it and nobody has to fetch it. It needs no
work and is checked against nothing but its hash. How later blocks are made and checked
is left to `coinbase` and `validation`. Spec: `spec/embedded_chain.md`.
"""

from dataclasses import dataclass, field

from protocol.chain.address import pay_to_script_hash
from protocol.chain.block import Block, BlockHeader, block_hash, compact_target, merkle_root
from protocol.chain.rules import ChainFamily, ChainRules, HeaderLayout
from protocol.chain.script import address_script, multisig_script, null_data, push_data, push_number
from protocol.chain.transaction import COINBASE_INDEX, OutPoint, Transaction, TxInput, TxOutput
from protocol.errors import InvalidChainData, RequestError
from protocol.genesis import ChainStart, Genesis
from protocol.units import Hash32

BLOCK_VERSION = 2
"""From version 2 on a block's coinbase states its height (BIP 34)."""
BLOCK_SIZE_LIMIT = 1_000_000
"""Bytes of the largest block that still fits into one network message."""
TIME_MAX = 0xFFFF_FFFF
_GENESIS_TEXT = b"zenp2p"
_NO_OUTPOINT = OutPoint(bytes(32), COINBASE_INDEX)


@dataclass(frozen=True, slots=True)
class ChainDefinition:
    """One embedded chain; exists only when its rules can be kept."""

    rules: ChainRules
    start: ChainStart
    treasury: bytes
    """21-byte address of the treasury."""
    genesis: Block = field(init=False)
    genesis_hash: Hash32 = field(init=False)
    target: int = field(init=False)

    def __post_init__(self) -> None:
        """Raises `RequestError`: a definition comes from our own user's genesis file."""
        _check(self.rules, self.start)
        block = genesis_block(self.rules, self.start)
        object.__setattr__(self, "genesis", block)
        object.__setattr__(self, "genesis_hash", block_hash(block.header))
        object.__setattr__(self, "target", compact_target(self.start.bits))


def define_chain(genesis: Genesis) -> ChainDefinition:
    """Return the embedded chain of a genesis file; raises `RequestError` when it names none."""
    if isinstance(genesis.start, bytes):
        raise RequestError(f"network {genesis.name} runs on an external chain, it has none of its own")
    keys = genesis.treasury.public_keys
    treasury = pay_to_script_hash(multisig_script(genesis.treasury.required, keys))
    return ChainDefinition(genesis.chain, genesis.start, treasury)


def genesis_block(rules: ChainRules, start: ChainStart) -> Block:
    """Return the first block: one coinbase that pays the allocations, in order."""
    outputs = tuple(TxOutput(amount, address_script(address)) for address, amount in start.allocations)
    coinbase = coinbase_transaction(0, _GENESIS_TEXT, outputs or (TxOutput(0, null_data(_GENESIS_TEXT)),))
    header = BlockHeader(
        layout=rules.header_layout,
        version=BLOCK_VERSION,
        previous=bytes(32),
        merkle_root=merkle_root([coinbase.txid]),
        time=start.time,
        bits=start.bits,
    )
    return Block(header, (coinbase,))


def coinbase_transaction(height: int, extra: bytes, outputs: tuple[TxOutput, ...]) -> Transaction:
    """Return a coinbase whose script states the height, then pushes `extra` to make it unique."""
    script = push_number(height) + push_data(extra)
    return Transaction(1, (TxInput(_NO_OUTPOINT, script),), outputs)


def _check(rules: ChainRules, start: ChainStart) -> None:
    if rules.family is not ChainFamily.BITCOIN or rules.header_layout is not HeaderLayout.BITCOIN:
        raise RequestError("the embedded chain is of the Bitcoin family, with 80-byte headers")
    if rules.block_size_max > BLOCK_SIZE_LIMIT:
        raise RequestError(f"blocks of the embedded chain have at most {BLOCK_SIZE_LIMIT} bytes")
    if rules.transaction_size_max >= rules.block_size_max:
        raise RequestError("a block must have room for the largest transaction")
    if rules.replay_tail_depth:
        raise RequestError("outputs of the embedded chain carry no replay tail")
    if not 0 < start.time <= TIME_MAX or start.treasury_share > 1_000:
        raise RequestError("the chain's start time or treasury share is out of range")
    if sum(amount for _, amount in start.allocations) > rules.money_max:
        raise RequestError("the allocations exceed the money that may exist")
    try:
        compact_target(start.bits)
        for address, _ in start.allocations:
            address_script(address)
    except InvalidChainData as error:
        raise RequestError(str(error)) from None
