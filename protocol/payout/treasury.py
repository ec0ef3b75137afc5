"""The treasury's address, the mark of a payment, and the baton that makes payments a chain.

Answers for: which output must be spent by the next payment. Every payment spends the
baton and leaves a new one, so two versions of a payment conflict on the chain and
nothing is paid twice; and the transactions along the baton are the chain's own
record of what was paid. What a payment must contain is left to `payment`, where
transactions come from to the callers. Spec: `spec/payment.md`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from protocol.chain.address import pay_to_script_hash
from protocol.chain.script import multisig_script, null_data, null_data_payload, script_address
from protocol.chain.transaction import OutPoint, Transaction
from protocol.errors import InvalidPayment
from protocol.genesis import Genesis, Treasury
from protocol.units import Hash32

PAYMENT_MAGIC = b"zp2p\x02"
"""What the OP_RETURN of a payment begins with: the magic of zenp2p's outputs, and type 2."""
CHUNK_SIZE = 2
"""Bytes of the chunk number in the OP_RETURN, big-endian."""
TRAIL_MAX = 1_000_000
"""Payments that are followed along a baton before giving up: 50 a week for 380 years."""

Spender = Callable[[OutPoint], Transaction | None]
"""Returns the mined transaction that spends an output, or None while it is unspent."""


@dataclass(frozen=True, slots=True)
class PaymentMark:
    """Which chunk of which list a transaction pays."""

    list_hash: Hash32
    chunk: int


@dataclass(frozen=True, slots=True)
class PaidChunk:
    """A transaction along the baton that carries a payment's mark."""

    mark: PaymentMark
    transaction: Transaction


@dataclass(frozen=True, slots=True)
class BatonStep:
    """A place where the baton lay, and the payment that left it there; None for what carries no mark."""

    baton: OutPoint
    paid: PaidChunk | None


@dataclass(frozen=True, slots=True)
class BatonTrail:
    """Where the baton lies now, and the payments that it went through, oldest first."""

    baton: OutPoint
    paid: tuple[PaidChunk, ...]

    def chunks_of(self, list_hash: bytes) -> tuple[PaidChunk, ...]:
        """Return the payments of one list."""
        return tuple(chunk for chunk in self.paid if chunk.mark.list_hash == list_hash)


def redeem_script(treasury: Treasury) -> bytes:
    """Return the script that the paymasters' signatures must fulfil."""
    return multisig_script(treasury.required, treasury.public_keys)


def treasury_address(treasury: Treasury) -> bytes:
    """Return the treasury's 21-byte P2SH address."""
    return pay_to_script_hash(redeem_script(treasury))


def payment_mark_script(mark: PaymentMark) -> bytes:
    """Return the OP_RETURN script: magic 5, list hash 32, chunk number 2."""
    return null_data(PAYMENT_MAGIC + mark.list_hash + mark.chunk.to_bytes(CHUNK_SIZE, "big"))


def recognise_payment(transaction: Transaction) -> PaymentMark | None:
    """Return the mark that a transaction's first output carries, or None.

    A mark alone proves nothing: anybody can write one. It counts in a transaction that spends
    the baton, which takes the paymasters' signatures.
    """
    payload = null_data_payload(transaction.outputs[0].script) if transaction.outputs else None
    if payload is None or len(payload) != len(PAYMENT_MAGIC) + 32 + CHUNK_SIZE:
        return None
    if not payload.startswith(PAYMENT_MAGIC):
        return None
    rest = payload[len(PAYMENT_MAGIC) :]
    return PaymentMark(Hash32(rest[:32]), int.from_bytes(rest[32:], "big"))


def baton_after(transaction: Transaction, address: bytes) -> OutPoint | None:
    """Return the baton that a transaction leaves: its first output to the treasury, None if there is none."""
    for index, output in enumerate(transaction.outputs):
        if script_address(output.script) == address:
            return OutPoint(transaction.txid, index)
    return None


def follow_baton(genesis: Genesis, spender: Spender) -> BatonTrail:
    """Return where the baton lies, followed from the genesis file's output through whatever spent it.

    Raises `InvalidPayment` when a transaction spent it and paid nothing back to the treasury: then the
    paymasters have ended the chain of payments themselves.
    """
    steps = list(walk_baton(genesis, spender))
    return BatonTrail(steps[-1].baton, tuple(step.paid for step in steps if step.paid is not None))


def walk_baton(genesis: Genesis, spender: Spender) -> Iterator[BatonStep]:
    """Yield the places where the baton lay, from the genesis file's output to where it lies now.

    Raises what `follow_baton` raises.
    """
    address = treasury_address(genesis.treasury)
    baton = OutPoint(genesis.baton.txid, genesis.baton.index)
    yield BatonStep(baton, None)
    for _ in range(TRAIL_MAX):
        transaction = spender(baton)
        if transaction is None:
            return
        successor = baton_after(transaction, address)
        if successor is None:
            raise InvalidPayment(
                f"transaction {transaction.txid[::-1].hex()} spent the baton and left none: no output of it "
                "pays the treasury"
            )
        mark = recognise_payment(transaction)
        baton = successor
        yield BatonStep(baton, PaidChunk(mark, transaction) if mark is not None else None)
    raise InvalidPayment(f"the baton was passed on more than {TRAIL_MAX} times")
