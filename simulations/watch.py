"""Somebody who sees every certified block of every group, and holds it against the laws as it comes.

Answers for: each block is taken once, when the first honest node writes it, and each of its certificates
once; after each LINK the laws over the whole are asked. What honest nodes complain of is noted too.
Spec: `spec/simulation.md`.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

from protocol.group.data_block import (
    CertifiedBlock,
    LinkPayload,
    VerdictPayload,
    block_hash,
    decode_block,
    decode_certified,
    decode_payload,
)
from protocol.group.vote import group_electorate
from protocol.node.effects import Announce, Incoming, ProbeResult
from protocol.node.records import BLOCK, LIST
from protocol.payout.list_file import decode_list_file
from protocol.payout.list_header import list_hash
from protocol.tracking.response import ProbeRequest
from simulations.chain import SimulatedBlock, View
from simulations.disk import Disk, Write
from simulations.founding import Founding
from simulations.group_laws import CERTIFICATES, LAWS, Standing, settle, weak
from simulations.history import ALARMS
from simulations.ledger import Ledger
from simulations.seats_judged import Breach
from simulations.shared_chains import SharedChains

AGREEMENT = "honest_nodes_agree"
TRUST = "honest_nodes_trust_each_other"
TOLD_MAX = 4
"""Breaches of one law in one run that are kept with their words; the others are counted only."""


class Watch:
    """The record of one run of many groups; fulfils `host.Watcher`."""

    def __init__(
        self, founding: Founding, honest: Sequence[int], shared: SharedChains, ledger: Ledger, view: View
    ) -> None:
        """`view` is the ledger's own view of the chain, which is led on here."""
        self._founding = founding
        self._honest = frozenset(honest)
        self._shared = shared
        self.ledger = ledger
        self._view = view
        self.standing = Standing(self.ledger)
        self.breaches: list[Breach] = []
        self.violations = 0
        self.broken: Counter[str] = Counter()
        """How often each law was."""
        self.carried = 0
        """VERDICT blocks that a list took a period late."""
        self.blocks = 0
        self._certifiers: dict[bytes, tuple[dict[bytes, int], ...]] = {}
        """By block: the voters who had to certify it, of a union's first blocks those of each half."""
        self._certified: dict[bytes, None] = {}
        self._lists: dict[int, bytes] = {}
        self._challenges: dict[bytes, int] = {}
        """By VERDICT block: the challenge."""

    # What is seen.

    def wrote(self, number: int, writes: Sequence[Write]) -> None:
        """A node wrote a batch to its store."""
        if number not in self._honest:
            return
        for key, value in writes:
            if value is None:
                continue
            if key.startswith(BLOCK) and value not in self._certified:
                self._certified[value] = None
                self._take(decode_certified(value))
            elif key.startswith(LIST):
                self._take_list(value)

    def announced(self, number: int, news: Announce) -> None:
        """A node told its operator something."""
        if number in self._honest and news.event in ALARMS:
            self._break(AGREEMENT, f"node {number}: {news.event} {dict(news.fields)}")

    def punishes(self, number: int, other: int, reason: str) -> None:
        """A node drops its connection to another."""
        if number in self._honest and other in self._honest:
            self._break(TRUST, f"node {number} punished honest node {other}: {reason}")

    def said(self, number: int, data: bytes, disk: Disk) -> None:
        """What a node says is looked at in the cluster of one group."""

    def took(self, number: int, view: View, batch: Sequence[Incoming], *, lived: bool) -> None:
        """What a node was handed too."""

    def probed(self, number: int, key: bytes, request: ProbeRequest, result: ProbeResult) -> None:
        """And its dial-backs."""

    def acknowledged(self, number: int, packed: bytes, disk: Disk) -> None:
        """And what its user handed in."""

    def lost_power(self, number: int) -> None:
        """And what it lost."""

    def connects(self, block: SimulatedBlock) -> None:
        """A node has a block on its chain: whoever sees everything follows the longest one."""
        if block.height > self._view.block.height:
            while self._view.step_towards(block) is not None:
                pass

    @property
    def certified(self) -> Iterable[bytes]:
        """The certified blocks, in the order in which they were first seen."""
        return self._certified.keys()

    def complain(self, breaches: Iterable[Breach]) -> None:
        """Take what somebody else has found."""
        for law, what in breaches:
            self._break(law, what)

    # What is made of it.

    def _break(self, law: str, what: str) -> None:
        self.violations += 1
        self.broken[law] += 1
        if self.broken[law] <= TOLD_MAX:
            self.breaches.append((law, what))

    def _take(self, certified: CertifiedBlock) -> None:
        hashed, network = block_hash(certified.block), self._founding.network
        if hashed not in self._certifiers:
            self._step(certified.block, hashed)
        block = decode_block(certified.block)
        what = f"block {block.height} of group {block.prefix!r}"
        certificate = certified.certificate
        place = certificate.electorate, certificate.height, certificate.block_hash
        if place != (group_electorate(block.prefix), block.height, hashed):
            self._break(CERTIFICATES, f"the certificate of {what} is another one's")
        if self.ledger.is_void(block.prefix, block.height):
            return  # whoever certified it had no vote any more
        for law, text in weak(certificate, network, self._certifiers[hashed], what):
            self._break(law, text)

    def _step(self, body: bytes, hashed: bytes) -> None:
        """Go on by a block that nobody had before."""
        block = decode_block(body)
        payload = decode_payload(block)
        group = self.ledger.at(block.prefix)
        self.ledger.enter((block.prefix, block.height), hashed)
        before = None if group is None else self._shared.states.get((block.prefix, group.height, group.head))
        breaches: list[Breach] = []
        if group is not None and before is not None:
            breaches += settle(self.ledger, group, before)
        self._certifiers[hashed] = () if group is None else self.ledger.certifiers(group)
        breaches += self.ledger.take(block, payload, hashed)
        after = self._shared.states.get((block.prefix, block.height, hashed))
        if after is not None:
            self.standing.states[block.prefix] = after
            if group is not None and self.ledger.at(block.prefix) is group:
                breaches += settle(self.ledger, group, after)
        if isinstance(payload, LinkPayload):
            breaches += [breach for law in LAWS for breach in law(self.standing)]
        if isinstance(payload, VerdictPayload):
            self._challenges[hashed] = payload.seq
        self.blocks += 1
        self.complain(breaches)

    def _take_list(self, data: bytes) -> None:
        header = decode_list_file(data).header
        hashed = list_hash(header)
        known = self._lists.get(header.period)
        if known is not None and known != hashed:
            self._break(AGREEMENT, f"the list of period {header.period} has two versions")
        if known is None:
            self._lists[header.period] = hashed
            parameters = self._founding.genesis.parameters
            anchors = (self._challenges[one] * parameters.challenge_every for one in header.blocks)
            self.carried += sum(anchor // parameters.period_blocks < header.period for anchor in anchors)
