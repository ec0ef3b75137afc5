"""The paymaster's tool: payment files in, payment files out, checked against one's own node.

Answers for: what is built or signed rests on this node's chain alone, asked over RPC:
every previous output, who spent the baton, how deep coins are buried. Nobody else's
word counts, and no key leaves this process. What a payment must contain is
`protocol.payout`'s, files and options are the command's. Spec: `spec/payment.md`.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from protocol.chain.address import encode_address
from protocol.chain.encoding import display_hash, parse_display_hash
from protocol.chain.script import replay_tail
from protocol.chain.transaction import OutPoint, Transaction, decode_transaction
from protocol.errors import RequestError
from protocol.genesis import Genesis
from protocol.payout.inspection import NodeView, PaymentReport, Prevout, tail_of
from protocol.payout.light import VerifiedList
from protocol.payout.payment import FEE_RATE_DEFAULT, Coin, build_gathering, build_payment, next_chunk
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
from protocol.payout.treasury import BatonTrail, follow_baton, treasury_address
from zenp2p.api.errors import NotFound


class Client(Protocol):
    """The way to one's own node: `zenp2p.api.client.RpcClient`."""

    def call(self, method: str, params: Mapping[str, Any] | Sequence[Any] | None = None) -> Any:
        """Return the result of one method, or raise the error that the daemon answers."""


class Paymaster:
    """Works on the payments of one network with one node. Files are bytes, amounts zatoshi."""

    def __init__(self, genesis: Genesis, client: Client) -> None:
        self._genesis = genesis
        self._client = client

    def build(self, verified: VerifiedList, fee_rate: int = FEE_RATE_DEFAULT) -> bytes:
        """Return the unsigned file that pays the list's next chunk.

        Raises `RequestError` when nothing is due or the treasury cannot pay, `InvalidPayment` when
        the baton's history does not fit.
        """
        trail = self._trail()
        chunk = next_chunk(verified, trail)
        if chunk is None:
            raise RequestError(f"the list of period {verified.header.period} is wholly paid already")
        height = self._tip_height()
        transaction = build_payment(
            chunk,
            self._genesis,
            self._coin(trail.baton),
            self._unspent(),
            tip_height=height,
            fee_rate=fee_rate,
            tail=self._tail(height),
        )
        return encode_payment_file(new_payment_file(transaction, self._genesis))

    def gather(self, fee_rate: int = FEE_RATE_DEFAULT) -> bytes:
        """Return the unsigned file that gathers the treasury's small outputs; raises `RequestError`."""
        height = self._tip_height()
        transaction = build_gathering(
            self._genesis,
            self._trail().baton,
            self._unspent(),
            tip_height=height,
            fee_rate=fee_rate,
            tail=self._tail(height),
        )
        return encode_payment_file(new_payment_file(transaction, self._genesis))

    def inspect(self, file: bytes, verified: VerifiedList | None) -> PaymentReport:
        """Return what a file's transaction does; raises a `ProtocolError` unless it may be signed."""
        payment = self._decode(file)
        return inspect_file(payment, self._genesis, verified, self._view(payment))

    def sign(self, file: bytes, verified: VerifiedList | None, secret: bytes) -> bytes:
        """Return the file with this paymaster's signatures, after the inspection.

        Raises a `ProtocolError` when it must not be signed, `RequestError` for a wrong key.
        """
        payment = self._decode(file)
        signed = sign_payment(payment, self._genesis, verified, self._view(payment), secret)
        return encode_payment_file(signed)

    def broadcast(self, file: bytes, verified: VerifiedList | None) -> str:
        """Send a fully signed payment and return its id as wallets show it.

        It is inspected once more: a payment that was right when it was signed may be late by now.
        """
        payment = self._decode(file)
        inspect_file(payment, self._genesis, verified, self._view(payment))
        transaction = finish_payment(payment, self._genesis)
        self._client.call("chain.broadcast", {"transaction": transaction.raw.hex()})
        return display_hash(transaction.txid)

    def _decode(self, file: bytes) -> PaymentFile:
        return decode_payment_file(file, self._genesis)

    def _view(self, payment: PaymentFile) -> NodeView:
        """Return what our own node says about a payment's surroundings."""
        transaction = unsigned_transaction(payment, self._genesis)
        outpoints = [spent.previous for spent in transaction.inputs]
        known = ((outpoint, self._prevout(outpoint)) for outpoint in outpoints)
        tail = tail_of(transaction)
        return NodeView(
            tip_height=self._tip_height(),
            prevouts={outpoint: prevout for outpoint, prevout in known if prevout is not None},
            trail=self._trail(),
            tail_block=self._block_hash(tail.height) if tail else None,
        )

    def _trail(self) -> BatonTrail:
        return follow_baton(self._genesis, self._spender)

    def _spender(self, outpoint: OutPoint) -> Transaction | None:
        """Return the mined transaction that spends an output."""
        found = self._output(outpoint)
        if found is None:
            place = f"{display_hash(outpoint.txid)}:{outpoint.index}"
            raise RequestError(f"our node does not know {place}, where the baton should lie")
        if found["spent_by"] is None:
            return None
        mined = self._client.call("chain.transaction", {"txid": found["spent_by"]})
        return decode_transaction(bytes.fromhex(mined["transaction"]), self._genesis.chain.family)

    def _prevout(self, outpoint: OutPoint) -> Prevout | None:
        found = self._output(outpoint)
        if found is None:
            return None
        script = bytes.fromhex(found["script"])
        return Prevout(found["amount"], script, found["height"], found["spent_by"] is not None)

    def _output(self, outpoint: OutPoint) -> dict[str, Any] | None:
        """Return what the node knows of a mined output, or None."""
        try:
            found: dict[str, Any] = self._client.call(
                "chain.output", {"txid": display_hash(outpoint.txid), "index": outpoint.index}
            )
        except NotFound:
            return None
        return found

    def _coin(self, outpoint: OutPoint) -> Coin:
        found = self._output(outpoint)
        if found is None:
            raise RequestError("the baton left our node's chain just now: try again")
        return Coin(outpoint, found["amount"], found["height"])

    def _unspent(self) -> Iterable[Coin]:
        """Return the treasury's unspent outputs, as many as the node tells."""
        address = encode_address(treasury_address(self._genesis.treasury), self._genesis.chain.prefixes)
        for coin in self._client.call("chain.unspent", {"address": address}):
            outpoint = OutPoint(parse_display_hash(coin["txid"]), coin["index"])
            yield Coin(outpoint, coin["amount"], coin["height"])

    def _tip_height(self) -> int:
        height: int = self._client.call("chain.tip")["height"]
        return height

    def _tail(self, tip_height: int) -> bytes:
        """Return the replay tail that outputs built now carry; empty where the chain has none."""
        depth = self._genesis.chain.replay_tail_depth
        if not depth:
            return b""
        height = max(tip_height - depth, 0)
        return replay_tail(self._block_hash(height), height)

    def _block_hash(self, height: int) -> bytes:
        return parse_display_hash(self._client.call("chain.block_hash", {"height": height})["hash"])


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
