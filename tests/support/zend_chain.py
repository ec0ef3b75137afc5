"""A made-up chain in Zen's form: its headers, replay tails and certificates; no work stands behind it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from protocol.chain.address import pay_to_public_key_hash
from protocol.chain.block import Block, BlockHeader, block_hash, merkle_root
from protocol.chain.multisig import sign_p2pkh_input
from protocol.chain.rules import ZEN_TESTNET, HeaderLayout, block_subsidy
from protocol.chain.script import address_script, push_data, push_number, replay_tail
from protocol.chain.transaction import OutPoint, Transaction, TxInput, TxOutput, with_script_sig
from protocol.crypto import secp256k1_public_key, sha256
from protocol.units import Hash32

RULES = ZEN_TESTNET
START = 1_700_000_000
BITS = 0x200F_0F0F
SOLUTION_SIZE = 36
"""Bytes of a regtest solution."""
VERSION, VERSION_WITH_CERTIFICATES = 0x2000_0000, 3
MINER = sha256(b"miner of a made-up zen chain")


def address_of(secret: bytes) -> bytes:
    """Return the P2PKH address of a secret."""
    return pay_to_public_key_hash(secp256k1_public_key(secret))


@dataclass
class ZenBranch:
    """Blocks of one branch, by height."""

    blocks: list[Block] = field(default_factory=list)
    salt: int = 0
    """Of the first block: tells whole chains apart."""

    def __post_init__(self) -> None:
        if not self.blocks:
            self.grow(salt=self.salt)

    @property
    def raw(self) -> list[bytes]:
        """The blocks' bytes."""
        return [block.raw for block in self.blocks]

    @property
    def tip(self) -> Hash32:
        """Hash of the last block."""
        return block_hash(self.blocks[-1].header)

    def tail(self) -> bytes:
        """Return the replay tail that a new output carries: it names the first block of a short chain."""
        height = max(0, len(self.blocks) - 1 - RULES.replay_tail_depth)
        return replay_tail(block_hash(self.blocks[height].header), height) if self.blocks else b""

    def grow(
        self,
        count: int = 1,
        transactions: Sequence[Transaction] = (),
        *,
        salt: int = 0,
        certificates: Sequence[Transaction] | None = None,
    ) -> list[bytes]:
        """Append blocks, what is given goes into the first; returns their bytes.

        `salt` tells siblings apart.
        """
        start = len(self.blocks)
        for number in range(count):
            inside = transactions if number == 0 else ()
            self.blocks.append(self._next(inside, salt, certificates if number == 0 else None))
        return self.raw[start:]

    def fork(self, height: int) -> "ZenBranch":
        """Return a branch with the same blocks up to `height`."""
        return ZenBranch(self.blocks[: height + 1])

    def spend(self, height: int, outputs: Sequence[tuple[bytes, int]]) -> Transaction:
        """Return a signed payment of zatoshi to addresses out of a coinbase; the rest is fee."""
        coinbase = self.blocks[height].transactions[0]
        tail = self.tail()
        tx = Transaction(
            1,
            (TxInput(OutPoint(coinbase.txid, 0)),),
            tuple(TxOutput(amount, address_script(address) + tail) for address, amount in outputs),
        )
        return with_script_sig(tx, 0, sign_p2pkh_input(tx, 0, coinbase.outputs[0].script, MINER))

    def _next(
        self, transactions: Sequence[Transaction], salt: int, certificates: Sequence[Transaction] | None
    ) -> Block:
        height = len(self.blocks)
        script = push_number(height) + push_data(salt.to_bytes(8, "little"))
        subsidy = max(1, block_subsidy(RULES, height))
        output = TxOutput(subsidy, address_script(address_of(MINER)) + self.tail())
        coinbase = Transaction(1, (TxInput(OutPoint(bytes(32), 0xFFFF_FFFF), script),), (output,))
        entries = (coinbase, *transactions)
        header = BlockHeader(
            layout=HeaderLayout.EQUIHASH,
            version=VERSION if certificates is None else VERSION_WITH_CERTIFICATES,
            previous=self.tip if self.blocks else bytes(32),
            merkle_root=merkle_root([tx.txid for tx in (*entries, *(certificates or ()))]),
            reserved=bytes(32),
            time=START + 150 * height,
            bits=BITS,
            nonce=salt,
            solution=bytes(SOLUTION_SIZE),
        )
        return Block(header, entries, None if certificates is None else tuple(certificates))
