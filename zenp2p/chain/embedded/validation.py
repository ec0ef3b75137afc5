"""What makes a header, a transaction and a block valid on the embedded chain.

Answers for: every rule that a block must keep, cheapest first: form, work, time, then
each transaction against the coins it spends. The chain's format rules stand in
`protocol.chain`; here they are narrowed to what this chain knows: version 1, no witness,
outputs that are P2PKH, P2SH or OP_RETURN. Which valid branch is active is left to `chain`.
Spec: `spec/embedded_chain.md`.
"""

from collections.abc import Sequence
from typing import Protocol

from protocol.chain.block import Block, BlockHeader, check_merkle_root, check_proof_of_work, coinbase_height
from protocol.chain.multisig import verify_inputs
from protocol.chain.script import ScriptKind, match_template
from protocol.chain.transaction import SEQUENCE_FINAL, Transaction, check_transaction, is_coinbase
from protocol.errors import InvalidChainData, NotYetKnown
from protocol.units import Hash32, Height, Zatoshi
from zenp2p.chain.embedded.coinbase import check_coinbase
from zenp2p.chain.embedded.coins import Coin, CoinChanges
from zenp2p.chain.embedded.definition import BLOCK_VERSION, ChainDefinition

FUTURE_SECONDS_MAX = 2
"""Seconds by which a block's time may lie ahead of the receiver's clock."""
LOCK_TIME_THRESHOLD = 500_000_000
"""Lock times below are heights, those from here on Unix seconds."""

MERKLE_NODE_SIZE = 64
"""Bytes under an inner node of the Merkle tree; no transaction may have as many."""

_OUTPUT_KINDS = (ScriptKind.PUBLIC_KEY_HASH, ScriptKind.SCRIPT_HASH, ScriptKind.NULL_DATA)


class EarlyBlock(NotYetKnown):
    """A block from the future: nobody's fault for certain, and it may be valid in a moment."""


class VerifiedCache(Protocol):
    """Remembers transactions whose signatures were found right. An id covers its signatures and,
    through the ids of its inputs, the scripts they answer to, so the verdict never changes."""

    def __contains__(self, txid: object) -> bool:
        """Whether the transaction was verified before."""

    def add(self, txid: Hash32) -> None:
        """Remember it, perhaps forgetting another one."""


def check_header(header: BlockHeader, parent_time: int, definition: ChainDefinition) -> None:
    """Raise `InvalidChainData` unless the header keeps version, target, spacing and work."""
    if header.version != BLOCK_VERSION:
        raise InvalidChainData(f"block version {header.version}, this chain has {BLOCK_VERSION} only")
    if header.bits != definition.start.bits:
        raise InvalidChainData(f"bits {header.bits:#010x}, this chain has {definition.start.bits:#010x} only")
    if header.time < parent_time + definition.start.minimum_spacing:
        raise InvalidChainData(
            f"block time {header.time} is less than {definition.start.minimum_spacing} s after its parent's"
        )
    check_proof_of_work(header)


def check_time(header: BlockHeader, now: int) -> None:
    """Raise `EarlyBlock` when the block's time lies too far ahead of `now` (Unix seconds)."""
    if header.time > now + FUTURE_SECONDS_MAX:
        raise EarlyBlock(f"block time {header.time} is {header.time - now} s ahead of this node's clock")


def check_committed(block: Block) -> None:
    """Raise `InvalidChainData` unless the header commits to exactly these transactions.

    What fails here says nothing about the header: anybody can put other transactions under it, and
    a witness, which the root does not cover, beside the same ones.
    """
    for tx in block.transactions:
        check_covered(tx)
    check_merkle_root(block)
    if any(len(tx.raw) == MERKLE_NODE_SIZE for tx in block.transactions):
        raise InvalidChainData("a transaction of 64 bytes could be two hashes of the Merkle tree")


def check_covered(tx: Transaction) -> None:
    """Raise `InvalidChainData` for a witness: bytes that the id does not cover, anybody could add them."""
    if tx.witness:
        raise InvalidChainData("a transaction with a witness, this chain has none")


def check_block(block: Block, height: int, definition: ChainDefinition) -> None:
    """Raise `InvalidChainData` when a block, to which its header commits, breaks a rule without coins."""
    transactions = block.transactions
    stated = coinbase_height(block)
    if stated != height:
        raise InvalidChainData(f"the coinbase states height {stated}, the block stands at {height}")
    if any(is_coinbase(tx) for tx in transactions[1:]):
        raise InvalidChainData("a block has one coinbase only")
    for tx in transactions:
        check_alone(tx, definition)
        check_final(tx, height, block.header.time)


def check_alone(tx: Transaction, definition: ChainDefinition) -> None:
    """Raise `InvalidChainData` when the transaction breaks a rule by itself."""
    check_covered(tx)
    if tx.version != 1:
        raise InvalidChainData(f"transaction version {tx.version}, this chain has 1 only")
    check_transaction(tx, definition.rules)
    for output in tx.outputs:
        template = match_template(output.script)
        if template.kind not in _OUTPUT_KINDS or template.tail:
            raise InvalidChainData(f"an output of kind {template.kind.value} could never be spent here")
        if template.kind is ScriptKind.NULL_DATA and output.amount:
            raise InvalidChainData("an OP_RETURN output holds money, which would be lost")


def check_final(tx: Transaction, height: int, time: int) -> None:
    """Raise `InvalidChainData` while the lock time keeps the transaction out of this block."""
    reached = height if tx.lock_time < LOCK_TIME_THRESHOLD else time
    if tx.lock_time >= reached and any(item.sequence != SEQUENCE_FINAL for item in tx.inputs):
        raise InvalidChainData(f"lock time {tx.lock_time} is not reached")


def check_spending(tx: Transaction, coins: Sequence[Coin], verified: VerifiedCache) -> Zatoshi:
    """Check a transaction against the coins it spends, in order of its inputs; return its fee.

    Raises `InvalidChainData` for more out than in, or a wrong signature: wrong for ever and everywhere.
    """
    fee = sum(coin.amount for coin in coins) - sum(output.amount for output in tx.outputs)
    if fee < 0:
        raise InvalidChainData(f"a transaction pays out {-fee} more than it spends")
    txid = tx.txid
    if txid not in verified:
        verify_inputs(tx, [coin.script for coin in coins])
        verified.add(txid)
    return Zatoshi(fee)


def check_mature(coin: Coin, height: int, definition: ChainDefinition) -> None:
    """Raise `InvalidChainData` when a coinbase is spent too soon; the first block's allocations never are."""
    maturity = definition.rules.coinbase_maturity
    if coin.coinbase and coin.height and height - coin.height < maturity:
        raise InvalidChainData(
            f"a coinbase of height {coin.height} is spent at {height}, it needs {maturity} blocks on top"
        )


def connect_block(
    block: Block, height: Height, coins: CoinChanges, definition: ChainDefinition, verified: VerifiedCache
) -> list[Coin]:
    """Apply a block, whose form was checked, to the coins; return what it spent, for its undo record.

    Raises `InvalidChainData`; the changes are then of no use.
    """
    spent: list[Coin] = []
    fees = 0
    for tx in block.transactions[1:]:
        used = coins.apply(tx, height)
        for coin in used:
            check_mature(coin, height, definition)
        fees += check_spending(tx, used, verified)
        spent += used
    check_coinbase(block.transactions[0], definition, height, fees)
    coins.apply(block.transactions[0], height)
    return spent
