"""The transactions along the treasury's baton, remembered as far as the chain was followed.

Answers for: whether a mined transaction is a payment or merely carries a mark, and what was paid of a
list, without following the baton from its beginning at every question. A reorganisation
that took off the block up to which it was followed begins it anew. What the baton is, is
`protocol.payout.treasury`'s rule. Spec: `spec/payment.md`.
"""

from dataclasses import dataclass
from typing import TypeVar

from protocol.chain.transaction import OutPoint, decode_transaction
from protocol.genesis import Genesis
from protocol.payout.treasury import PaymentMark, baton_after, recognise_payment, treasury_address
from protocol.units import Hash32, Height
from zenp2p.chain.index import ChainIndex

K = TypeVar("K")

STEPS_MAX = 200
"""Transactions along the baton that one go follows, 0.2 s of large ones; the next one goes on from there."""
KEPT_MAX = 100_000
"""Transactions that are remembered, 38 years of 50 a week; older ones count as not on the baton."""


@dataclass(frozen=True, slots=True)
class BatonStep:
    """A mined transaction that passed the baton on; without a mark when it paid no list."""

    txid: Hash32
    height: Height
    mark: PaymentMark | None


class BatonHistory:
    """What went along one network's baton on the active chain of one index."""

    def __init__(self, genesis: Genesis, index: ChainIndex) -> None:
        self._genesis = genesis
        self._index = index
        self._address = treasury_address(genesis.treasury)
        self._begin()

    def step(self, txid: bytes) -> BatonStep | None:
        """Return what a transaction did with the baton, None when it is not on its way."""
        self.follow()
        return self._steps.get(txid)

    def payments_of(self, list_hash: bytes) -> tuple[BatonStep, ...]:
        """Return the payments of one list, in the chain's order."""
        self.follow()
        return tuple(self._by_list.get(list_hash, ()))

    def payments_at(self, height: int) -> tuple[BatonStep, ...]:
        """Return the payments in one block, in the chain's order."""
        self.follow()
        return tuple(self._by_height.get(height, ()))

    def _begin(self) -> None:
        self._baton: OutPoint | None = OutPoint(self._genesis.baton.txid, self._genesis.baton.index)
        self._seen: tuple[Height, Hash32] | None = None
        self._complete = False
        self._steps: dict[bytes, BatonStep] = {}
        self._by_list: dict[bytes, list[BatonStep]] = {}
        self._by_height: dict[int, list[BatonStep]] = {}

    def follow(self) -> bool:
        """Go on from where we stood, if that is still on the chain; False while there is more of the way.

        Lookups follow one go, and know no more than was followed.
        """
        tip = self._index.tip()
        if self._seen == tip and self._complete:
            return True
        if self._seen is not None and self._index.block_hash(self._seen[0]) != self._seen[1]:
            self._begin()
        self._seen = tip
        self._complete = False
        for _ in range(STEPS_MAX):
            if not self._advance():
                self._complete = True
                break
        return self._complete

    def _advance(self) -> bool:
        """Take one step along the baton; False when it lies still, or was not passed on."""
        spending = self._index.spender(self._baton) if self._baton is not None else None
        mined = self._index.transaction_by_id(spending.txid) if spending is not None else None
        if spending is None or mined is None:
            return False
        transaction = decode_transaction(mined.raw, self._index.family)
        self._baton = baton_after(transaction, self._address)
        self._keep(BatonStep(spending.txid, spending.height, recognise_payment(transaction)))
        return True

    def _keep(self, step: BatonStep) -> None:
        if len(self._steps) >= KEPT_MAX:
            self._forget(next(iter(self._steps.values())))
        self._steps[step.txid] = step
        if step.mark is not None:
            self._by_list.setdefault(step.mark.list_hash, []).append(step)
            self._by_height.setdefault(step.height, []).append(step)

    def _forget(self, step: BatonStep) -> None:
        del self._steps[step.txid]
        if step.mark is not None:
            _drop(self._by_list, step.mark.list_hash, step)
            _drop(self._by_height, step.height, step)


def _drop(table: dict[K, list[BatonStep]], key: K, step: BatonStep) -> None:
    """Take one step out of a table."""
    table[key].remove(step)
    if not table[key]:
        del table[key]
