"""What blocks, transactions and addresses mean for the network: challenges, payments, announcements, stakes.

Answers for: links between the chain and the rules, each a lookup or a step from what was remembered,
never a scan that grows with the chain. What was remembered of a branch is dropped with it. What
the chain holds is `explorer_methods`'. Chain hashes are in display order, protocol hashes in plain hex.
Spec: `spec/rpc.md`.
"""

from collections.abc import Iterator, Mapping
from ipaddress import ip_address

import trio

from protocol.chain.transaction import Transaction
from protocol.node.machine import Node
from protocol.payout.list_file import ListFile, decode_list_file
from protocol.payout.list_header import list_hash
from protocol.payout.payment import ENTRIES_MAX
from protocol.payout.treasury import recognise_payment, treasury_address
from protocol.tracking.announcement import Announcement, recognise_announcement
from protocol.tracking.challenge import Challenge, derive_challenge, derive_samples
from protocol.tracking.registration import Registration
from protocol.units import Hash32, Height, OperatorKey
from zenp2p.api.context import display
from zenp2p.chain.baton_history import BatonHistory, BatonStep
from zenp2p.chain.index import ChainIndex

CHALLENGES_LOOKED_AT = 16
"""Newest challenges of which it is known what they asked our own node for."""
LISTS_KNOWN = 52
"""Newest lists whose hash leads to their period."""
PAYOUTS_SHOWN = 8
"""Newest lists of which an address is told what it gets."""
ANNOUNCEMENTS_SHOWN = 100
"""Announcements that a block tells of; all of them are `chain.announcements`'."""

Link = dict[str, object]


class ChainLinks:
    """The links of one node's chain."""

    def __init__(self, node: Node, index: ChainIndex) -> None:
        self._node = node
        self._index = index
        self._baton = BatonHistory(node.genesis, index)
        self._treasury = treasury_address(node.genesis.treasury)
        self._periods: dict[bytes, int] = {}
        self._amounts: dict[int, tuple[Hash32, Mapping[bytes, tuple[int, int]]]] = {}
        self._asked: dict[Hash32, tuple[int, ...]] = {}
        self._asked_at: tuple[Height, Hash32] | None = None
        self._asking: dict[int, list[int]] = {}
        self._stakes: tuple[tuple[bytes, int], Mapping[bytes, Registration]] | None = None

    async def ready(self) -> None:
        """Follow the baton to its end, everything else having its turn; nothing below waits any more."""
        while not self._baton.follow():
            await trio.lowlevel.checkpoint()

    def of_block(self, height: int) -> Link:
        """Return the challenges that a block moves, and the payments and announcements in it."""
        parameters = self._node.genesis.parameters
        closes = height - parameters.response_window
        ordinals = self._index.block_ordinals(height)
        announced = self._index.announcements.page(ordinals.start, ANNOUNCEMENTS_SHOWN)
        return {
            "challenges": {
                "anchors": self._challenge_at(height),
                "closes": self._challenge_at(closes),
                "judges": self._challenge_at(closes - parameters.burial),
            },
            "payments": [self._payment(step) for step in self._baton.payments_at(height)],
            "announcements": [
                {"txid": display(self._index.transaction_id(each.ordinal)), **_announced(each.announcement)}
                for each in announced
                if each.ordinal in ordinals
            ],
        }

    def of_transaction(self, transaction: Transaction, txid: bytes, ordinal: int) -> Link:
        """Return what a mined transaction pays, announces, and which challenges asked us for it."""
        announcement = recognise_announcement(transaction)
        return {
            "payment": self._mark(transaction, txid),
            "announcement": _announced(announcement) if announcement is not None else None,
            "asked_by": list(self._asked_by().get(ordinal, ())),
        }

    def of_address(self, address: bytes) -> Link:
        """Return whose stake an address is, whether it is the treasury, and what the newest lists pay it."""
        registration = self._registrations().get(address)
        return {
            "treasury": address == self._treasury,
            "stake": None if registration is None else self._stake(registration),
            "payouts": list(self._payouts(address)),
        }

    def of_change(self, txid: bytes) -> Link | None:
        """Return the payment that a change of an address is part of, None for any other change."""
        step = self._baton.step(txid)
        return None if step is None or step.mark is None else self._payment(step)

    def of_list(self, file: ListFile) -> list[Link]:
        """Return the mined transactions that pay a list."""
        return [self._payment(step) for step in self._baton.payments_of(list_hash(file.header))]

    def _challenge_at(self, height: int) -> int | None:
        """Return the challenge whose anchor stands at a height."""
        genesis = self._node.genesis
        seq, rest = divmod(height, genesis.parameters.challenge_every)
        return None if rest or height < genesis.first_challenge_height else seq

    def _payment(self, step: BatonStep) -> Link:
        link: Link = {"txid": display(step.txid), "height": step.height}
        if step.mark is not None:
            link |= {"list_hash": step.mark.list_hash.hex(), "chunk": step.mark.chunk}
            link["period"] = self._period(step.mark.list_hash)
        return link

    def _mark(self, transaction: Transaction, txid: bytes) -> Link | None:
        """Return the payment's mark; anybody can write one, it counts on the baton alone."""
        mark = recognise_payment(transaction)
        if mark is None:
            return None
        return {
            "list_hash": mark.list_hash.hex(),
            "chunk": mark.chunk,
            "period": self._period(mark.list_hash),
            "on_baton": self._baton.step(txid) is not None,
        }

    def _period(self, hash_of_list: bytes) -> int | None:
        """Return the period of one of the newest lists."""
        for period in range(self._node.lister.period - 1, -1, -1)[:LISTS_KNOWN]:
            if period in self._periods.values():
                break
            data = self._node.lister.file(period)
            if data is None:
                continue  # certified, and not on disk yet
            self._periods[list_hash(decode_list_file(data).header)] = period
        return self._periods.get(hash_of_list)

    def _asked_by(self) -> Mapping[int, list[int]]:
        """Return, by ordinal, the newest challenges that asked our own node for it; one look a block."""
        tip = self._index.tip()
        if self._asked_at == tip:
            return self._asking
        genesis = self._node.genesis
        every = genesis.parameters.challenge_every
        newest, first = tip[0] // every, genesis.first_challenge_height // every
        asked: dict[Hash32, tuple[int, ...]] = {}
        self._asking = {}
        for seq in range(newest, max(first, newest - CHALLENGES_LOOKED_AT + 1) - 1, -1):
            challenge = derive_challenge(seq, self._index, genesis.parameters)
            ordinals = self._asked.get(challenge.anchor_hash) or self._sampled(challenge)
            asked[challenge.anchor_hash] = ordinals
            for ordinal in ordinals:
                self._asking.setdefault(ordinal, []).append(seq)
        self._asked, self._asked_at = asked, tip
        return self._asking

    def _sampled(self, challenge: Challenge) -> tuple[int, ...]:
        """Return the ordinals that a challenge asked our own node for, each once."""
        node = self._node
        samples = derive_samples(challenge, node.operator_key, self._index, node.genesis.parameters)
        return tuple(sorted({sample.ordinal for sample in samples}))

    def _registrations(self) -> Mapping[bytes, Registration]:
        """Return the registrations in force by stake address; computed anew when chain or book moved."""
        book, height = self._node.groups.book, self._index.tip()[0]
        key = (book.digest, height)
        if self._stakes is None or self._stakes[0] != key:
            in_force = book.in_force(height)
            self._stakes = key, {each.stake_address: each for each in in_force.values()}
        return self._stakes[1]

    def _stake(self, registration: Registration) -> Link:
        return {
            "operator": OperatorKey(registration.operator_key).hex(),
            "sequence": registration.stake_sequence,
            "ip": str(ip_address(registration.ip)),
            "port": registration.port,
            "fqdn": registration.fqdn or None,
        }

    def _payouts(self, address: bytes) -> Iterator[Link]:
        """Yield what the newest lists pay an address, newest first, with the transaction if it is mined."""
        newest = self._node.lister.period - 1
        periods = range(newest, max(-1, newest - PAYOUTS_SHOWN), -1)
        self._amounts = {period: kept for period, kept in self._amounts.items() if period in periods}
        for period in periods:
            found = self._amounts.get(period) or self._read_amounts(period)
            if found is None:
                continue  # certified, and not on disk yet
            hash_of_list, amounts = found
            if address in amounts:
                amount, chunk = amounts[address]
                steps = self._baton.payments_of(hash_of_list)
                paid = (step for step in steps if step.mark is not None and step.mark.chunk == chunk)
                txid = next((display(step.txid) for step in paid), None)
                yield {"period": period, "amount": amount, "chunk": chunk, "txid": txid}

    def _read_amounts(self, period: int) -> tuple[Hash32, Mapping[bytes, tuple[int, int]]] | None:
        """Return what a list pays to whom, and in which chunk."""
        data = self._node.lister.file(period)
        if data is None:
            return None
        file = decode_list_file(data)
        amounts = {entry.address: (entry.amount, at // ENTRIES_MAX) for at, entry in enumerate(file.entries)}
        self._amounts[period] = list_hash(file.header), amounts
        return self._amounts[period]


def _announced(announcement: Announcement) -> Link:
    return {
        "operator": announcement.operator_key.hex(),
        "ip": str(ip_address(announcement.ip)) if announcement.ip else None,
        "fqdn": announcement.fqdn or None,
        "port": announcement.port,
    }
