"""The paymaster's tool: payment files in, payment files out, checked against one's own node.

Answers for: what is built, signed or sent rests on this node's chain alone, as of one block and only
while that chain is ok; a list is begun only when it can be paid whole, and sending may be repeated at
any time: the same payment again is never a second one. Nobody else's word counts, and no key leaves this
process. What a payment must contain is `protocol.payout`'s, asking the node `treasury_reader`'s, files
and options are the command's. Spec: `spec/payment.md`.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from protocol.chain.encoding import display_hash
from protocol.chain.transaction import Transaction
from protocol.errors import InvalidPayment, RequestError
from protocol.genesis import Genesis
from protocol.payout.inspection import NodeView, PaymentReport, tail_of
from protocol.payout.light import VerifiedList
from protocol.payout.need import check_funded, compute_need, make_purse
from protocol.payout.payment import (
    FEE_RATE_DEFAULT,
    build_gathering,
    build_payment,
    chunk_count,
    next_chunk,
    split_chunks,
)
from protocol.payout.payment_file import (
    PaymentFile,
    combine_payments,
    decode_payment_file,
    encode_payment_file,
    finish_payment,
    inspect_file,
    new_payment_file,
    sign_payment,
    unsigned_transaction,
)
from protocol.payout.treasury import recognise_payment
from zenp2p.treasury_reader import Client, TreasuryReader

MINED = "mined"
"""A payment's state when it stands in the chain; otherwise what `chain.broadcast` answers."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A payment that left: its id as wallets show it; "sent", "waiting" or "mined"; its block's height."""

    txid: str
    state: str
    height: int | None = None


class Paymaster:
    """Works on the payments of one network with one node. Files are bytes, amounts zatoshi."""

    def __init__(self, genesis: Genesis, client: Client) -> None:
        self._genesis = genesis
        self._node = TreasuryReader(genesis, client)

    def build(self, verified: VerifiedList, fee_rate: int = FEE_RATE_DEFAULT) -> bytes:
        """Return the unsigned file that pays the list's next chunk.

        Raises `RequestError` when nothing is due or the treasury cannot pay (for the first chunk:
        the whole list), `InvalidPayment` when the baton's history does not fit, `NotReady` while the node's
        chain is not ok.
        """
        return self._node.settled(lambda: self._build(verified, fee_rate))

    def _build(self, verified: VerifiedList, fee_rate: int) -> bytes:
        trail = self._node.trail()
        chunk = next_chunk(verified, trail)
        if chunk is None:
            raise RequestError(f"the list of period {verified.header.period} is wholly paid already")
        height, coins = self._node.tip_height(), list(self._node.unspent())
        baton, tail = self._node.coin(trail.baton), self._node.tail(height)
        if chunk.mark.chunk == 0:
            purse = make_purse(baton, coins, self._genesis, height)
            chunks = split_chunks(verified)
            check_funded(compute_need(chunks, self._genesis, purse, fee_rate=fee_rate, tail=tail), purse)
        transaction = build_payment(
            chunk, self._genesis, baton, coins, tip_height=height, fee_rate=fee_rate, tail=tail
        )
        return encode_payment_file(new_payment_file(transaction, self._genesis))

    def gather(self, fee_rate: int = FEE_RATE_DEFAULT) -> bytes:
        """Return the unsigned file that gathers the treasury's small outputs.

        Raises `RequestError`, `NotReady` while the node's chain is not ok.
        """
        return self._node.settled(lambda: self._gather(fee_rate))

    def _gather(self, fee_rate: int) -> bytes:
        height = self._node.tip_height()
        transaction = build_gathering(
            self._genesis,
            self._node.trail().baton,
            self._node.unspent(),
            tip_height=height,
            fee_rate=fee_rate,
            tail=self._node.tail(height),
        )
        return encode_payment_file(new_payment_file(transaction, self._genesis))

    def inspect(self, file: bytes, verified: VerifiedList | None) -> PaymentReport:
        """Return what a file's transaction does.

        Raises a `ProtocolError` unless it may be signed, `NotReady` while the node's chain is not ok.
        """
        payment = self._decode(file)
        return inspect_file(payment, self._genesis, verified, self._settled_view(payment, verified))

    def sign(self, file: bytes, verified: VerifiedList | None, secret: bytes) -> bytes:
        """Return the file with this paymaster's signatures, after the inspection.

        Raises a `ProtocolError` when it must not be signed, `RequestError` for a wrong key, `NotReady` while
        the node's chain is not ok.
        """
        payment = self._decode(file)
        view = self._settled_view(payment, verified)
        return encode_payment_file(sign_payment(payment, self._genesis, verified, view, secret))

    def broadcast(self, file: bytes, verified: VerifiedList | None) -> Sent:
        """Send a fully signed payment, or say that it is sent already; safe to repeat at any time.

        It is inspected once more: a payment that was right when it was signed may be late by now.
        Raises `InvalidPayment` when another version of it is mined, `BadData` when the node refuses it,
        `NotReady` while the node's chain is not ok: then it is not even said whether it is mined.
        """
        payment = self._decode(file)
        transaction = finish_payment(payment, self._genesis)
        found = self._node.settled(
            lambda: self._mined(transaction, verified) or self._view(payment, verified)
        )
        if isinstance(found, Sent):
            return found
        inspect_file(payment, self._genesis, verified, found)
        state = self._node.broadcast(transaction)
        if state == MINED:  # between our two questions
            return self._mined(transaction, verified) or Sent(display_hash(transaction.txid), state)
        return Sent(display_hash(transaction.txid), state)

    def _mined(self, transaction: Transaction, verified: VerifiedList | None) -> Sent | None:
        """Return where this very transaction stands in the chain, if it does; the list must be its own."""
        mark = recognise_payment(transaction)
        if mark is not None and (verified is None or mark.list_hash != verified.list_hash):
            raise InvalidPayment(f"the payment is for list {mark.list_hash.hex()}: give that list")
        found = self._node.mined(transaction.txid)
        return None if found is None else Sent(display_hash(transaction.txid), MINED, found.height)

    def _decode(self, file: bytes) -> PaymentFile:
        return decode_payment_file(file, self._genesis)

    def _settled_view(self, payment: PaymentFile, verified: VerifiedList | None) -> NodeView:
        return self._node.settled(lambda: self._view(payment, verified))

    def _view(self, payment: PaymentFile, verified: VerifiedList | None) -> NodeView:
        """Return what our own node says about a payment's surroundings."""
        transaction = unsigned_transaction(payment, self._genesis)
        outpoints = [spent.previous for spent in transaction.inputs]
        known = ((outpoint, self._node.prevout(outpoint)) for outpoint in outpoints)
        tail = tail_of(transaction)
        return NodeView(
            tip_height=self._node.tip_height(),
            prevouts={outpoint: prevout for outpoint, prevout in known if prevout is not None},
            trail=self._node.trail(),
            tail_block=self._node.block_hash(tail.height) if tail else None,
            coins=tuple(self._node.unspent()) if _begins(transaction, verified) else (),
        )


def combine_files(files: Iterable[bytes], genesis: Genesis) -> bytes:
    """Return one payment file with the signatures of several, given in any order; asks no node.

    Raises a `ProtocolError` for a file that is damaged or foreign, `RequestError` when they do
    not belong together.
    """
    payments = [decode_payment_file(file, genesis) for file in files]
    return encode_payment_file(combine_payments(payments, genesis))


def count_signers(file: bytes, genesis: Genesis) -> int:
    """Return how many paymasters have signed a file; raises a `ProtocolError`."""
    return len(decode_payment_file(file, genesis).signatures)


def _begins(transaction: Transaction, verified: VerifiedList | None) -> bool:
    """Whether a transaction claims to be the first of several payments: then the others must be covered."""
    mark = recognise_payment(transaction)
    several = verified is not None and chunk_count(verified.header) > 1
    return several and mark is not None and mark.chunk == 0
