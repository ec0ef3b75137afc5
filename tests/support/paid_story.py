"""Verified lists of two payments, one, none and one, and a ledger that pays them without signatures."""

from protocol.chain.transaction import Transaction
from protocol.genesis import Genesis
from protocol.payout.light import TrustPoint, VerifiedList, trust_from_list, verify_list
from protocol.payout.payment import Chunk, build_payment, split_chunks
from protocol.payout.treasury import PaymentMark
from tests.support.payout_world import hash_of
from tests.support.treasury_ledger import TreasuryLedger
from tests.support.wallet_network import WalletStory, make_list, stake

PAID = (1_100, 3, 0, 4)
"""Stakes that each list pays: 998 go into one payment."""


class PaidStory:
    """The lists, by place, and a ledger on which nothing is paid yet."""

    def __init__(self) -> None:
        story = WalletStory()
        self.genesis: Genesis = story.genesis
        self._signers = story.signers[0]
        self._members = verify_list(story.files[0], story.trusts[0]).members
        self.trusts: list[TrustPoint] = [story.trusts[0]]
        self.lists: list[VerifiedList] = []
        for paid in PAID:
            self.lists.append(self.make(paid, self.trusts[-1]))
            self.trusts.append(trust_from_list(self.lists[-1]))
            self._signers = story.signers[1]
        self.ledger = TreasuryLedger(self.genesis)

    def make(self, paid: int, trust: TrustPoint) -> VerifiedList:
        """Return a list that pays so many stakes, verified."""
        made = make_list(
            trust.terms,
            prefixes=[""],
            blocks=[],
            responses={stake(number): 1 for number in range(paid)},
            members=self._members,
        )
        return verify_list(made.signed(self._signers, trust), trust)

    def pay(self, chunk: Chunk) -> Transaction:
        """Mine the payment of a chunk, on the baton."""
        payment = build_payment(
            chunk, self.genesis, self.ledger.baton(), (), tip_height=self.ledger.tip_height
        )
        self.ledger.mine(payment)
        return payment

    def pay_all(self, *places: int) -> None:
        """Mine the payments of whole lists."""
        for place in places:
            for chunk in split_chunks(self.lists[place]):
                self.pay(chunk)

    def chunks(self, place: int) -> tuple[Chunk, ...]:
        """Return the chunks of a list."""
        return split_chunks(self.lists[place])

    def foreign_chunk(self) -> Chunk:
        """Return a chunk of a list that is none of ours."""
        chunk = self.chunks(1)[0]
        return Chunk(PaymentMark(hash_of(b"another list"), 0), chunk.entries)
