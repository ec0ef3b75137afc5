"""A small embedded chain for tests: easy work, known keys, and blocks made to measure."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from protocol.chain import rules
from protocol.chain.address import pay_to_public_key_hash, pay_to_script_hash
from protocol.chain.block import Block, BlockHeader, block_hash, merkle_root
from protocol.chain.multisig import sign_p2pkh_input
from protocol.chain.script import address_script, multisig_script
from protocol.chain.transaction import OutPoint, Transaction, TxInput, TxOutput, with_script_sig
from protocol.codec import replace as replace_fields
from protocol.crypto import secp256k1_public_key, sha256
from protocol.genesis import ChainStart
from protocol.units import COIN, Hash32
from zenp2p.chain.embedded.chain import EmbeddedChain
from zenp2p.chain.embedded.coinbase import build_coinbase
from zenp2p.chain.embedded.definition import BLOCK_VERSION, ChainDefinition
from zenp2p.chain.embedded.miner import search
from zenp2p.ports import Store
from zenp2p.store import MemoryStore

START = 1_700_000_000
EASY_BITS = 0x207F_FFFF
"""Every second hash will do."""
RULES = replace_fields(rules.DEVNET, coinbase_maturity=3)


def secret_of(name: str) -> bytes:
    """Return the secret key that belongs to a name."""
    return sha256(name.encode())


def address_of(name: str) -> bytes:
    """Return the P2PKH address of a name."""
    return pay_to_public_key_hash(secp256k1_public_key(secret_of(name)))


TREASURY_KEYS = tuple(secp256k1_public_key(secret_of(f"paymaster {number}")) for number in range(5))
REDEEM_SCRIPT = multisig_script(2, TREASURY_KEYS)
TREASURY = pay_to_script_hash(REDEEM_SCRIPT)


def definition(
    allocations: Sequence[tuple[bytes, int]] = (),
    *,
    bits: int = EASY_BITS,
    share: int = 35,
    maturity: int = 3,
) -> ChainDefinition:
    """Return a chain that begins with 1,000 coins of "alice", 100 of the treasury, and `allocations`."""
    start = ChainStart(
        time=START,
        bits=bits,
        minimum_spacing=1,
        treasury_share=share,
        allocations=((address_of("alice"), 1_000 * COIN), (TREASURY, 100 * COIN), *allocations),
    )
    return ChainDefinition(replace_fields(RULES, coinbase_maturity=maturity), start, TREASURY)


def pay(
    owner: str,
    spent: Sequence[tuple[OutPoint, bytes]],
    outputs: Sequence[tuple[bytes, int]],
    lock_time: int = 0,
) -> Transaction:
    """Return a transaction that spends P2PKH outputs (outpoint, script) of `owner`, signed."""
    tx = Transaction(
        1,
        tuple(TxInput(outpoint) for outpoint, _ in spent),
        tuple(TxOutput(amount, address_script(address)) for address, amount in outputs),
        lock_time,
    )
    for index, (_, script) in enumerate(spent):
        tx = with_script_sig(tx, index, sign_p2pkh_input(tx, index, script, secret_of(owner)))
    return tx


def allocation(chain: ChainDefinition, index: int = 0) -> tuple[OutPoint, bytes]:
    """Return an output of the first block, to be spent."""
    coinbase = chain.genesis.transactions[0]
    return OutPoint(coinbase.txid, index), coinbase.outputs[index].script


def make_block(
    chain: ChainDefinition,
    parent: Block,
    height: int,
    transactions: Sequence[Transaction] = (),
    *,
    fees: int = 0,
    payee: bytes | None = None,
    salt: int = 0,
    spacing: int = 1,
    coinbase: Transaction | None = None,
) -> Block:
    """Return a mined block on top of `parent`; `salt` tells siblings apart."""
    first = coinbase or build_coinbase(chain, height, fees, payee or address_of("miner"), salt)
    header = BlockHeader(
        version=BLOCK_VERSION,
        previous=block_hash(parent.header),
        merkle_root=merkle_root([first.txid, *[tx.txid for tx in transactions]]),
        time=parent.header.time + spacing,
        bits=chain.start.bits,
    )
    return mined(chain, Block(header, (first, *transactions)))


def mined(chain: ChainDefinition, block: Block) -> Block:
    """Return the block with a nonce that fits its header."""
    nonce = search(block.header, chain.target, 0, 1 << 24)
    assert nonce is not None
    return replace(block, header=replace(block.header, nonce=nonce))


@dataclass
class Branch:
    """A chain of made blocks, beginning with the first block of the definition."""

    chain: ChainDefinition
    blocks: list[Block] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not self.blocks:
            self.blocks.append(self.chain.genesis)

    @property
    def tip(self) -> Hash32:
        """Hash of the last block."""
        return block_hash(self.blocks[-1].header)

    def grow(
        self, count: int = 1, transactions: Sequence[Transaction] = (), *, fees: int = 0, salt: int = 0
    ) -> None:
        """Append blocks; the transactions go into the first of them."""
        for number in range(count):
            inside = transactions if number == 0 else ()
            owed = fees if number == 0 else 0
            tip = self.blocks[-1]
            self.blocks.append(make_block(self.chain, tip, len(self.blocks), inside, fees=owed, salt=salt))

    def fork(self, height: int) -> "Branch":
        """Return a branch with the same blocks up to `height`."""
        return Branch(self.chain, self.blocks[: height + 1])

    def coinbase_output(self, height: int, index: int = 0) -> tuple[OutPoint, bytes]:
        """Return an output of a block's coinbase, to be spent."""
        coinbase = self.blocks[height].transactions[0]
        return OutPoint(coinbase.txid, index), coinbase.outputs[index].script


def far_future() -> int:
    """Return a time at which no made block is early."""
    return START + 10_000_000


def opened(chain: ChainDefinition, store: Store | None = None) -> EmbeddedChain:
    """Return the chain in a store, by default a new one in memory."""
    return EmbeddedChain(chain, store if store is not None else MemoryStore())


def feed(chain: EmbeddedChain, blocks: Sequence[Block]) -> None:
    """Add blocks, those it has already left out."""
    for block in blocks:
        chain.add_block(block.raw, far_future())
