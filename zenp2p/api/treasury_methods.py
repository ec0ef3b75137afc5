"""RPC methods about the treasury on the chain: the baton's way, and what others paid in.

Answers for: both are read from this node's own index and rest on nobody's word. Balance and
unspent outputs are those of any address (`explorer_methods`); what a list still takes is the paymasters'
tool's. Amounts are integers of zatoshi, chain hashes are in display order. Spec: `spec/rpc.md`.
"""

from collections import deque
from typing import Annotated

from msgspec import Meta
from trio.lowlevel import checkpoint

from protocol.chain.script import script_address
from protocol.chain.transaction import OutPoint, Transaction, decode_transaction, is_coinbase
from protocol.payout.payment import Coin, is_spendable
from protocol.payout.treasury import treasury_address, walk_baton
from protocol.units import Hash32, Height
from zenp2p.api.context import Context, display
from zenp2p.api.errors import NotReady
from zenp2p.api.methods import Methods, NoParams, Params
from zenp2p.chain.index_records import Change

DEPOSITS_MAX = 20
"""Deposits in one answer, the newest."""
CHANGES_AT_ONCE = 500
"""Of the treasury's changes looked through before other tasks get their turn."""
LOOKS_MAX = 3
"""How often a look begins anew when the chain moved in the middle of it."""
CHANGES_MAX = 5_000
"""Of the treasury's changes looked through: its income changes it in every block, so more than a week's."""

PAYMENTS_PAGE, PAYMENTS_PAGE_MAX = 100, 1_000
"""Payments in one answer: unless told otherwise, at most."""
PAYMENTS_AT_ONCE = 20
"""Payments along the baton followed before other tasks get their turn: each is a large transaction."""


class BatonParams(Params, frozen=True):
    """A page of payments from number `first` on, the oldest being 0; without it the newest."""

    first: Annotated[int, Meta(ge=0, le=(1 << 32) - 1)] | None = None
    limit: Annotated[int, Meta(ge=1, le=PAYMENTS_PAGE_MAX)] = PAYMENTS_PAGE


class TreasuryMethods:
    """The handlers, over one daemon's parts."""

    def __init__(self, context: Context) -> None:
        self._node = context.node
        self._index = context.chain.index

    def register(self, methods: Methods) -> None:
        """Add them to the register."""
        methods.add("treasury.baton", BatonParams, self.baton, "Where the baton lies, and what was paid.")
        methods.add("treasury.deposits", NoParams, self.deposits, "What others paid the treasury lately.")

    async def baton(self, params: BatonParams) -> object:
        """The chain's own record of what was paid, as of one block, a page of it oldest first."""
        for _ in range(LOOKS_MAX):
            tip = self._index.tip()
            record = await self._record(params)
            if self._index.tip() == tip:
                return record
        raise NotReady("the chain moved each time that the baton was followed: try again")

    async def _record(self, params: BatonParams) -> object:
        page: deque[object] = deque(maxlen=params.limit)
        payments = 0
        for number, step in enumerate(walk_baton(self._node.genesis, self._spender)):
            if step.paid is not None:
                if params.first is None or params.first <= payments < params.first + params.limit:
                    page.append(
                        {
                            "list_hash": step.paid.mark.list_hash.hex(),
                            "chunk": step.paid.mark.chunk,
                            "txid": display(step.baton.txid),
                        }
                    )
                payments += 1
            if number % PAYMENTS_AT_ONCE == PAYMENTS_AT_ONCE - 1:
                await checkpoint()
            baton = step.baton
        return {
            "txid": display(baton.txid),
            "index": baton.index,
            "payments": payments,
            "first": payments - len(page) if params.first is None else params.first,
            "paid": list(page),
        }

    async def deposits(self, params: NoParams) -> object:
        """Outputs to the treasury of transactions that neither spend of it nor create coins, newest first."""
        for _ in range(LOOKS_MAX):
            found = await self._deposits(self._index.tip())
            if found is not None:
                return found
        raise NotReady("the chain changes its branch just now: try again")

    async def _deposits(self, tip: tuple[Height, Hash32]) -> list[object] | None:
        """Return the newest deposits as of a tip, None when it left the chain while others had their turn."""
        address = treasury_address(self._node.genesis.treasury)
        account = self._index.account(address)
        end = account.changes if account is not None else 0
        last = max(end - CHANGES_MAX, 0)
        found: list[object] = []
        while end > last and len(found) < DEPOSITS_MAX:
            first = max(end - CHANGES_AT_ONCE, last)
            for change in reversed(self._index.history(address, first, end - first)):
                found += self._paid_in(change, address, tip[0])
            end = first
            await checkpoint()
            if self._index.block_hash(tip[0]) != tip[1]:
                return None
        return found[:DEPOSITS_MAX]

    def _paid_in(self, change: Change, address: bytes, tip: Height) -> list[object]:
        """Return the deposits of one transaction that touched the treasury."""
        transaction = decode_transaction(self._index.transaction(change.ordinal), self._index.family)
        if is_coinbase(transaction) or any(
            self._is_own(item.previous, address) for item in transaction.inputs
        ):
            return []
        return [
            self._deposit(OutPoint(transaction.txid, index), output.amount, change.height, tip)
            for index, output in enumerate(transaction.outputs)
            if script_address(output.script) == address
        ]

    def _deposit(self, outpoint: OutPoint, amount: int, height: int, tip: Height) -> object:
        spending = self._index.spender(outpoint)
        return {
            "txid": display(outpoint.txid),
            "index": outpoint.index,
            "amount": amount,
            "height": height,
            "confirmations": tip - height + 1,
            "buried": is_spendable(Coin(outpoint, amount, height), self._node.genesis, tip),
            "spent_by": display(spending.txid) if spending else None,
        }

    def _is_own(self, outpoint: OutPoint, address: bytes) -> bool:
        output = self._index.output(outpoint)
        return output is not None and output.address == address

    def _spender(self, outpoint: OutPoint) -> Transaction | None:
        spending = self._index.spender(outpoint)
        found = self._index.transaction_by_id(spending.txid) if spending else None
        return decode_transaction(found.raw, self._index.family) if found else None
