"""The paymasters: whenever the chain moves they pay what is certified and not paid yet.

Answers for: lists verified from files alone, payments built, inspected, signed by two keys and finished
with the code of real paymasters, against the miner's branch. A payment that a reorganisation threw out
is offered again, now and then in another version, which may not be mined beside the first.
Spec: `spec/simulation.md`.
"""

import random
from collections.abc import Sequence

from protocol.chain.multisig import combine_signatures, sign_input
from protocol.chain.transaction import OutPoint, Transaction, with_script_sig
from protocol.genesis import encode_genesis, first_period
from protocol.node.records import list_key
from protocol.payout.inspection import NodeView, Prevout
from protocol.payout.light import TrustPoint, VerifiedList, trust_from_genesis, trust_from_list, verify_list
from protocol.payout.payment import FEE_RATE_DEFAULT, Chunk, Coin, build_payment, next_chunk, split_chunks
from protocol.payout.payment_file import (
    PaymentFile,
    combine_payments,
    finish_payment,
    new_payment_file,
    sign_payment,
    unsigned_transaction,
)
from protocol.payout.treasury import BatonTrail, follow_baton, redeem_script, treasury_address
from simulations.chain import SimulatedBlock
from simulations.founding import Founding
from simulations.host import Host
from simulations.miner import Miner
from simulations.options import Options, Plant

OTHER_VERSION_PROBABILITY = 0.2
"""At each block while a payment waits: build it once more with a higher fee."""


class Paymaster:
    """Two of the treasury's signers, their own node being the miner's."""

    def __init__(
        self, founded: Founding, options: Options, rng: random.Random, hosts: Sequence[Host], miner: Miner
    ) -> None:
        self._founded = founded
        self._options = options
        self._rng = rng
        self._hosts = hosts
        self._miner = miner
        self._lists: list[VerifiedList] = []
        self._finished: dict[bytes, Transaction] = {}
        self._fee_rate = FEE_RATE_DEFAULT
        self._paid_twice: set[bytes] = set()

    def look(self) -> None:
        """A block was mined: pay what comes next."""
        self._fetch()
        tip = self._miner.tip
        trail = follow_baton(self._founded.genesis, tip.spender)
        for verified in self._lists:
            chunk = next_chunk(verified, trail)
            if chunk is not None:
                self._pay(verified, chunk, trail, tip)
                return
            if self._options.plant is Plant.PAY_TWICE and verified.list_hash not in self._paid_twice:
                self._paid_twice.add(verified.list_hash)
                again = (self._pay_again(paid, trail, tip) for paid in split_chunks(verified))
                self._miner.pool.extend(again)

    def paid(self) -> int:
        """Return how many lists are wholly paid on the miner's branch; they are paid one after the other."""
        trail = follow_baton(self._founded.genesis, self._miner.tip.spender)
        unpaid = (at for at, verified in enumerate(self._lists) if next_chunk(verified, trail) is not None)
        return next(unpaid, len(self._lists))

    def _fetch(self) -> None:
        """Take further list files from any node that has them, each verified as a wallet does it."""
        period = first_period(self._founded.genesis) + len(self._lists)
        for host in self._hosts:
            file = host.disk.get(list_key(period))
            if file is not None:
                self._lists.append(verify_list(file, self._trust()))
                return

    def _trust(self) -> TrustPoint:
        if self._lists:
            return trust_from_list(self._lists[-1])
        return trust_from_genesis(encode_genesis(self._founded.genesis))

    def _pay(self, verified: VerifiedList, chunk: Chunk, trail: BatonTrail, tip: SimulatedBlock) -> None:
        if any(tip.accepts(transaction) for transaction in self._miner.pool):
            if self._rng.random() >= OTHER_VERSION_PROBABILITY:
                return
            self._fee_rate += 1_000
        transaction = self._build(chunk, trail.baton, tip)
        view = self._view(transaction, trail, tip)
        blank = new_payment_file(transaction, self._founded.genesis)
        signed = [self._sign(blank, verified, view, secret) for secret in self._signers()]
        whole = combine_payments(signed, self._founded.genesis)
        key = unsigned_transaction(whole, self._founded.genesis).raw
        if key not in self._finished:
            self._finished[key] = finish_payment(whole, self._founded.genesis)
            self._miner.pool.append(self._finished[key])

    def _signers(self) -> Sequence[bytes]:
        return self._founded.paymaster_secrets[: self._founded.genesis.treasury.required]

    def _sign(self, file: PaymentFile, verified: VerifiedList, view: NodeView, secret: bytes) -> PaymentFile:
        return sign_payment(file, self._founded.genesis, verified, view, secret)

    def _build(self, chunk: Chunk, first: OutPoint, tip: SimulatedBlock) -> Transaction:
        coins = self._coins(tip)
        baton = next(coin for coin in coins if coin.outpoint == first)
        genesis = self._founded.genesis
        return build_payment(chunk, genesis, baton, (), tip_height=tip.height, fee_rate=self._fee_rate)

    def _coins(self, tip: SimulatedBlock) -> list[Coin]:
        own = treasury_address(self._founded.genesis.treasury)
        return [Coin(point, amount, height) for point, amount, height in tip.unspent(own)]

    def _view(self, transaction: Transaction, trail: BatonTrail, tip: SimulatedBlock) -> NodeView:
        """Return what the paymasters' own node says about a payment's surroundings."""
        prevouts: dict[OutPoint, Prevout] = {}
        for spent in transaction.inputs:
            coin = tip.coin(spent.previous)
            if coin is not None:
                spender = tip.spender(spent.previous)
                gone = spender.txid if spender is not None else None
                prevouts[spent.previous] = Prevout(coin[0].amount, coin[0].script, coin[1], gone)
        return NodeView(tip.height, prevouts, trail, coins=tuple(self._coins(tip)))

    def _pay_again(self, chunk: Chunk, trail: BatonTrail, tip: SimulatedBlock) -> Transaction:
        """The planted fault: the same chunk once more, out of another coin, signed without a look."""
        other = next(coin for coin in self._coins(tip) if coin.outpoint != trail.baton)
        transaction = self._build(chunk, other.outpoint, tip)
        script = redeem_script(self._founded.genesis.treasury)
        signatures = [sign_input(transaction, 0, script, secret) for secret in self._signers()]
        return with_script_sig(transaction, 0, combine_signatures(transaction, 0, script, signatures))
