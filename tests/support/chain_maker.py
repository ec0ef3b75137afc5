"""Long made-up chains, quickly: blocks with payments that chain on from one another."""

from collections.abc import Iterator

from protocol.chain.block import Block, BlockHeader, block_hash, merkle_root
from protocol.chain.script import address_script
from protocol.chain.transaction import OutPoint, Transaction, TxInput, TxOutput
from protocol.units import Hash32
from tests.support import embedded_chain as made
from zenp2p.chain.embedded.coinbase import build_coinbase
from zenp2p.chain.embedded.definition import BLOCK_VERSION, ChainDefinition

ALICE = made.address_of("alice")


class Spender:
    """Alice, paying herself: each payment spends the oldest coin and makes two of the same kind again."""

    def __init__(self, definition: ChainDefinition, coins: int, *, signed: bool) -> None:
        """`definition` must allocate her so many coins from output 2 on."""
        txid = definition.genesis.transactions[0].txid
        outputs = definition.genesis.transactions[0].outputs
        self._signed = signed
        self._coins = [(OutPoint(txid, 2 + at), outputs[2 + at].amount) for at in range(coins)]
        self._script = address_script(ALICE)
        self._at = 0

    def pay(self) -> Transaction:
        """Return the next payment: one input, two outputs; without a fee."""
        point, amount = self._coins[self._at]
        outputs = (TxOutput(amount - 1, self._script), TxOutput(1, self._script))
        if self._signed:
            tx = made.pay("alice", [(point, self._script)], [(ALICE, amount - 1), (ALICE, 1)])
        else:
            tx = Transaction(1, (TxInput(point, bytes(107)),), outputs)
        self._coins[self._at] = (OutPoint(tx.txid, 0), amount - 1)
        self._at = (self._at + 1) % len(self._coins)
        return tx


def definition_with_coins(coins: int) -> ChainDefinition:
    """Return a chain in which alice has so many coins."""
    return made.definition([(ALICE, 1_000_000)] * coins)


def mined_blocks(definition: ChainDefinition, count: int, payments: int, coins: int) -> list[Block]:
    """Return valid blocks after the first one, each with so many signed payments."""
    spender = Spender(definition, coins, signed=True)
    branch = made.Branch(definition)
    for _ in range(count):
        branch.grow(1, [spender.pay() for _ in range(payments)])
    return branch.blocks[1:]


def unmined_blocks(definition: ChainDefinition, count: int, payments: int) -> Iterator[tuple[Hash32, bytes]]:
    """Yield (hash, raw block) from the first one on, without work and signatures: an index needs none."""
    spender = Spender(definition, 100, signed=False)
    block = definition.genesis
    yield block_hash(block.header), block.raw
    for height in range(1, count):
        first = build_coinbase(definition, height, 0, made.address_of("miner"), 0)
        transactions = (first, *[spender.pay() for _ in range(payments)])
        header = BlockHeader(
            version=BLOCK_VERSION,
            previous=block_hash(block.header),
            merkle_root=merkle_root([tx.txid for tx in transactions]),
            time=block.header.time + 1,
            bits=definition.start.bits,
        )
        block = Block(header, transactions)
        yield block_hash(header), block.raw
