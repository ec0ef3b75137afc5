"""A mined transaction as people and programs look at it: whose coins it spends, and who spent its outputs.

Answers for: everything shown is in the transaction's own bytes or one lookup away in the index; the
rules' templates decide whose an output is, never a node's JSON. What a transaction means for
the network is `chain_links`'. Amounts are integers of zatoshi. Spec: `spec/rpc.md`.
"""

from collections.abc import Callable

from msgspec import Struct

from protocol.chain.script import match_template, template_address
from protocol.chain.transaction import (
    ZEN_CERTIFICATE,
    Transaction,
    TxInput,
    TxOutput,
    has_shielded_part,
    is_coinbase,
)
from zenp2p.api.context import display
from zenp2p.chain.index import ChainIndex

AddressText = Callable[[bytes], str]


class CoinbaseView(Struct, frozen=True):
    """The one input of a transaction that creates coins."""

    coinbase: str
    sequence: int


class InputView(Struct, frozen=True):
    """What is spent. Address and amount are None where the spent output is not in the index."""

    txid: str
    index: int
    address: str | None
    amount: int | None
    script: str
    sequence: int


class OutputView(Struct, frozen=True):
    """What is paid; `spent_by` is the transaction, `spent_input` which of its inputs."""

    index: int
    amount: int
    address: str | None
    template: str
    script: str
    spent_by: str | None
    spent_input: int | None


class TransactionParts(Struct, frozen=True):
    """What a transaction's bytes say."""

    version: int
    lock_time: int
    size: int
    inputs: list[InputView] | list[CoinbaseView]
    outputs: list[OutputView]
    fee: int | None
    """None for a coinbase, where not every amount is known, and where coins leave or come another way."""


class TransactionView:
    """Describes transactions of one index."""

    def __init__(self, index: ChainIndex, address_text: AddressText) -> None:
        self._index = index
        self._text = address_text

    def describe(self, tx: Transaction) -> TransactionParts:
        """Return the parts of a mined transaction."""
        txid = tx.txid
        outputs = [self._output(txid, number, output) for number, output in enumerate(tx.outputs)]
        if is_coinbase(tx):
            spent = tx.inputs[0]
            coinbase = [CoinbaseView(spent.script_sig.hex(), spent.sequence)]
            return TransactionParts(tx.version, tx.lock_time, len(tx.raw), coinbase, outputs, None)
        inputs = [self._input(spent) for spent in tx.inputs]
        own = tx.outputs[: len(tx.outputs) - tx.backward]
        fee = None if _crosses(tx) else _fee(inputs, own)
        return TransactionParts(tx.version, tx.lock_time, len(tx.raw), inputs, outputs, fee)

    def _input(self, spent: TxInput) -> InputView:
        previous = spent.previous
        found = self._index.output(previous)
        return InputView(
            txid=display(previous.txid),
            index=previous.index,
            address=self._text(found.address) if found is not None and found.address is not None else None,
            amount=found.amount if found is not None else None,
            script=spent.script_sig.hex(),
            sequence=spent.sequence,
        )

    def _output(self, txid: bytes, number: int, output: TxOutput) -> OutputView:
        template = match_template(output.script)
        address = template_address(template)
        spender = self._index.spent_by(txid, number)
        return OutputView(
            index=number,
            amount=output.amount,
            address=self._text(address) if address is not None else None,
            template=template.kind.value,
            script=output.script.hex(),
            spent_by=display(self._index.transaction_id(spender.ordinal)) if spender else None,
            spent_input=spender.input_index if spender else None,
        )


def _crosses(tx: Transaction) -> bool:
    """Whether coins come from a shielded pool or a sidechain, or go there, beside inputs and outputs.

    A certificate's backward transfers are the sidechain's coins: its fee is its own inputs'.
    """
    return has_shielded_part(tx) or (tx.version != ZEN_CERTIFICATE and any(tx.sidechain))


def _fee(inputs: list[InputView], outputs: tuple[TxOutput, ...]) -> int | None:
    amounts = [spent.amount for spent in inputs if spent.amount is not None]
    if len(amounts) != len(inputs):
        return None
    return sum(amounts) - sum(output.amount for output in outputs)
