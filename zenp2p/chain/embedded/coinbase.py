"""The coinbase: exactly what a block may create, and who gets it.

Answers for: the treasury's share of the subsidy standing in output 1 to the zatoshi,
and the whole coinbase being the subsidy and the fees, no more and no less. Nothing is
burnt by a careless miner, so the coins in existence follow from the height alone. The
miner's part may go anywhere. Spec: `spec/embedded_chain.md`.
"""

from dataclasses import dataclass

from protocol.chain.rules import block_subsidy
from protocol.chain.script import address_script
from protocol.chain.transaction import Transaction, TxOutput
from protocol.errors import InvalidChainData
from protocol.units import Zatoshi
from zenp2p.chain.embedded.definition import ChainDefinition, coinbase_transaction

TREASURY_OUTPUT = 1
"""Position of the treasury's output, where there is one."""
EXTRA_NONCE_SIZE = 8


@dataclass(frozen=True, slots=True)
class Shares:
    """How a block's coinbase is divided, in zatoshi."""

    miner: Zatoshi
    treasury: Zatoshi

    @property
    def total(self) -> int:
        """The subsidy and the fees."""
        return self.miner + self.treasury


def coinbase_shares(definition: ChainDefinition, height: int, fees: int) -> Shares:
    """Return the shares of the block at `height`; the treasury's is rounded down, fees are the miner's."""
    subsidy = block_subsidy(definition.rules, height)
    treasury = subsidy * definition.start.treasury_share // 1_000
    return Shares(Zatoshi(subsidy - treasury + fees), Zatoshi(treasury))


def build_coinbase(
    definition: ChainDefinition, height: int, fees: int, miner: bytes, extra_nonce: int
) -> Transaction:
    """Return the coinbase that pays the 21-byte address `miner` and the treasury."""
    shares = coinbase_shares(definition, height, fees)
    outputs = [TxOutput(shares.miner, address_script(miner))]
    if shares.treasury:
        outputs.append(TxOutput(shares.treasury, address_script(definition.treasury)))
    return coinbase_transaction(height, extra_nonce.to_bytes(EXTRA_NONCE_SIZE, "big"), tuple(outputs))


def check_coinbase(tx: Transaction, definition: ChainDefinition, height: int, fees: int) -> None:
    """Raise `InvalidChainData` unless the coinbase pays the treasury its share and creates no other coin."""
    shares = coinbase_shares(definition, height, fees)
    created = sum(output.amount for output in tx.outputs)
    if created != shares.total:
        raise InvalidChainData(f"the coinbase creates {created}, subsidy and fees are {shares.total}")
    if not shares.treasury:
        return
    expected = TxOutput(shares.treasury, address_script(definition.treasury))
    if len(tx.outputs) <= TREASURY_OUTPUT or tx.outputs[TREASURY_OUTPUT] != expected:
        raise InvalidChainData(
            f"output {TREASURY_OUTPUT} of the coinbase does not pay the treasury {shares.treasury}"
        )
