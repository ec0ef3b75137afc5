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
        for index, output in enumerate(transaction.outputs):
            self.outputs[OutPoint(transaction.txid, index)] = (output, self.tip_height)

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

    def view(self, transaction: Transaction) -> NodeView:
        """Return what the paymaster's own node says about a transaction's surroundings."""
        known = {
            spent.previous: Prevout(output.amount, output.script, height, spent.previous in self.spenders)
            for spent in transaction.inputs
            if (found := self.outputs.get(spent.previous))
            for output, height in (found,)
        }
        tail = tail_of(transaction)
        return NodeView(self.tip_height, known, self.trail(), block_of(tail.height) if tail else None)


def block_of(height: int) -> bytes:
    """Return the hash of the block at `height` on the ledger's chain."""
    return sha256(b"block %d" % height)
