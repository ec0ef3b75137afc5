"""The treasury's outputs as a paymaster's own node would report them, kept by hand."""

from dataclasses import dataclass, field

from protocol.chain.script import address_script
from protocol.chain.transaction import OutPoint, Transaction, TxOutput
from protocol.crypto import sha256
from protocol.genesis import Genesis
from protocol.payout.inspection import NodeView, Prevout, tail_of
from protocol.payout.payment import Coin
from protocol.payout.treasury import BatonTrail, follow_baton, treasury_address
from protocol.units import COIN


@dataclass
class TreasuryLedger:
    """Mined outputs and who spent them. The baton's first output holds 1,000 coins unless told otherwise."""

    genesis: Genesis
    baton_amount: int = 1_000 * COIN
    tip_height: int = 500
    outputs: dict[OutPoint, tuple[TxOutput, int]] = field(default_factory=dict)
    spenders: dict[OutPoint, Transaction] = field(default_factory=dict)
    mined: dict[bytes, tuple[Transaction, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        first = OutPoint(self.genesis.baton.txid, self.genesis.baton.index)
        self.outputs[first] = (self.own_output(self.baton_amount), 0)

    def own_output(self, amount: int) -> TxOutput:
        """Return an output to the treasury."""
        return TxOutput(amount, address_script(treasury_address(self.genesis.treasury)))

    def fund(self, amount: int, height: int = 10, name: str = "") -> OutPoint:
        """Add an output of the treasury, mined at `height`."""
        outpoint = OutPoint(sha256(f"funding {len(self.outputs)} {name}".encode()), 0)
        self.outputs[outpoint] = (self.own_output(amount), height)
        return outpoint

    def mine(self, transaction: Transaction) -> None:
        """Connect a block with this transaction; what it spends must be there."""
        self.tip_height += 1
        for spent in transaction.inputs:
            assert spent.previous in self.outputs and spent.previous not in self.spenders
            self.spenders[spent.previous] = transaction
        self.mined[transaction.txid] = transaction, self.tip_height
        for index, output in enumerate(transaction.outputs):
            self.outputs[OutPoint(transaction.txid, index)] = (output, self.tip_height)

    def take_off(self) -> None:
        """Take the last mined transaction off the chain, as a reorganisation does."""
        transaction, height = self.mined.pop(next(reversed(self.mined)))
        self.tip_height = height - 1
        for spent in transaction.inputs:
            del self.spenders[spent.previous]
        for index in range(len(transaction.outputs)):
            del self.outputs[OutPoint(transaction.txid, index)]

    def trail(self) -> BatonTrail:
        """Return where the baton lies now."""
        return follow_baton(self.genesis, self.spenders.get)

    def coin(self, outpoint: OutPoint) -> Coin:
        """Return an output as a coin."""
        output, height = self.outputs[outpoint]
        return Coin(outpoint, output.amount, height)

    def baton(self) -> Coin:
        """Return the baton as a coin."""
        return self.coin(self.trail().baton)

    def unspent(self) -> list[Coin]:
        """Return the treasury's unspent outputs, the baton among them."""
        script = self.own_output(0).script
        return [
            self.coin(outpoint)
            for outpoint, (output, _) in self.outputs.items()
            if outpoint not in self.spenders and output.script == script
        ]

    def prevout(self, outpoint: OutPoint) -> Prevout:
        """Return a mined output, and what spent it."""
        output, height = self.outputs[outpoint]
        spender = self.spenders.get(outpoint)
        return Prevout(output.amount, output.script, height, spender.txid if spender else None)

    def view(self, transaction: Transaction) -> NodeView:
        """Return what the paymaster's own node says about a transaction's surroundings."""
        known = {
            spent.previous: self.prevout(spent.previous)
            for spent in transaction.inputs
            if spent.previous in self.outputs
        }
        tail = tail_of(transaction)
        tail_block = block_of(tail.height) if tail else None
        return NodeView(self.tip_height, known, self.trail(), tail_block, tuple(self.unspent()))


def block_of(height: int) -> bytes:
    """Return the hash of the block at `height` on the ledger's chain."""
    return sha256(b"block %d" % height)
