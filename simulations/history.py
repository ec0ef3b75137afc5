"""What really happened, as nobody in the network can know it: the material of the checkers.

Answers for: a complete record of what honest nodes said, wrote and were handed, with the facts at that
moment. It judges nothing; that is `invariants`' business. Spec: `spec/simulation.md`.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from protocol.codec import decode
from protocol.crypto import SIGNATURE_SIZE, sha3_256
from protocol.group.data_block import CertifiedBlock, decode_block
from protocol.group.vote import Phase, Proposal, Slot, Vote, content_hash
from protocol.node.effects import Announce, Incoming, ProbeResult
from protocol.node.records import (
    BLOCK,
    LIST,
    OBSERVATION,
    RESPONSE,
    challenge_prefix,
    registration_key,
    split_challenge_key,
)
from protocol.node.voids import Why
from protocol.tracking.observation import Observation
from protocol.tracking.response import ProbeRequest, Receipt, Response
from simulations.chain import SimulatedBlock, View
from simulations.disk import Disk
from simulations.founding import PARAMETERS, Founding
from simulations.reading import read_signed

ALARMS = frozenset({"data_chain.contradiction", "list.contradiction", "data_chain.stranded", "list.stranded"})
"""News that no honest node has while the chain keeps its burial."""

Ballot = tuple[str, int]
"""(electorate, height)"""
Seen = tuple[bytes, bytes]
"""(anchor hash, operator key)"""


@dataclass(frozen=True, slots=True)
class CastVote:
    """A vote that an honest node sent."""

    number: int
    round: int
    phase: Phase
    block_hash: bytes


class History:
    """The record of one run."""

    def __init__(self, founding: Founding, honest: Sequence[int], *, deep: bool = False) -> None:
        """With `deep` more blocks than the burial are replaced: blocks and lists may be stranded."""
        self.founding = founding
        self.deep = deep
        self.honest = tuple(honest)
        self.bodies: dict[tuple[int, Slot], dict[bytes, None]] = defaultdict(dict)
        """Everything that an honest node ever sent for a slot."""
        self.votes: dict[Ballot, dict[CastVote, None]] = defaultdict(dict)
        """Votes of honest nodes."""
        self.prevoters: dict[tuple[Ballot, int, bytes], dict[bytes, None]] = defaultdict(dict)
        """Everybody, honest or not, who prevoted for a hash in a round."""
        self.unrecorded: list[str] = []
        """Statements that left a node before what they rest on was durable."""
        self.blocks: dict[int, dict[bytes, list[int]]] = defaultdict(dict)
        """Data height -> certified block without its certificate -> who wrote it."""
        self.certified: dict[bytes, None] = {}
        """Every certified block, certificate included, as some honest node wrote it."""
        self.lists: dict[int, dict[bytes, list[int]]] = defaultdict(dict)
        """Period -> list file -> who wrote it."""
        self.receipts: dict[tuple[int, Receipt], None] = {}
        """What honest judges acknowledged."""
        self.observations: dict[tuple[int, bytes], Observation] = {}
        """What honest judges said they saw, by the challenge's anchor hash."""
        self.alarms: list[str] = []
        self.stranded: Counter[str] = Counter()
        """With `deep`: how often what was announced of stranded blocks and lists."""
        self.closed_before: dict[tuple[int, bytes], dict[int, None]] = defaultdict(dict)
        """Challenge (seq, anchor hash) -> honest nodes that had stood past its close before its anchor."""
        self.connected: dict[bytes, SimulatedBlock] = {}
        """Every block that any node ever had on its chain."""
        self.punished: list[str] = []
        self.errors: list[str] = []
        self.on_time: dict[Seen, dict[int, None]] = defaultdict(dict)
        """Honest judges that took an operator's response before the challenge closed, and still have it."""
        self.maybe_on_time: dict[Seen, dict[int, None]] = defaultdict(dict)
        """The same, with those that may have lost it in a crash."""
        self.reached: dict[Seen, dict[int, None]] = defaultdict(dict)
        """Honest judges whose dial-back was answered in time."""
        self._observed: dict[tuple[bytes, int], None] = {}
        """Challenges (by anchor hash) of which a judge has written its observation: it sees no more."""

    def said(self, number: int, data: bytes, disk: Disk) -> None:
        """A node hands a message to the network; only honest ones are held to their word."""
        statement = read_signed(data)
        body = data[1 + SIGNATURE_SIZE :]
        if isinstance(statement, Vote):
            self.heard_vote(statement)
        if number not in self.honest or statement is None:
            return
        if statement.signer != self.founding.members[number].key:
            return
        if isinstance(statement, Vote | Proposal):
            self.bodies[(number, statement.slot)][body] = None
            if disk.recorded.get(statement.slot) != content_hash(statement, body):
                self.unrecorded.append(f"node {number} sent {statement.slot} before it was recorded")
            if isinstance(statement, Vote):
                cast = CastVote(number, statement.round, statement.phase, statement.block_hash)
                self.votes[(statement.electorate, statement.height)][cast] = None
        else:
            self._check_rests(number, statement, disk)

    def heard_vote(self, vote: Vote) -> None:
        """Somebody, whoever it was, prevoted."""
        if vote.phase is Phase.PREVOTE:
            place = ((vote.electorate, vote.height), vote.round, vote.block_hash)
            self.prevoters[place][vote.voter] = None

    def _check_rests(self, number: int, statement: object, disk: Disk) -> None:
        """A receipt and an observation are promises: what they speak of must be durable."""
        if isinstance(statement, Receipt):
            self.receipts[(number, statement)] = None
            place = challenge_prefix(RESPONSE, statement.seq, statement.anchor_hash) + statement.operator_key
        elif isinstance(statement, Observation):
            self.observations[(number, statement.anchor_hash)] = statement
            place = challenge_prefix(OBSERVATION, statement.seq, statement.anchor_hash) + statement.judge
        else:
            return
        if place not in disk.ever_synced:
            kind = type(statement).__name__.lower()
            self.unrecorded.append(f"node {number} sent a {kind} before it was durable")

    def wrote(self, number: int, writes: Sequence[tuple[bytes, bytes | None]]) -> None:
        """A node wrote a batch to its store."""
        if number not in self.honest:
            return
        for key, value in writes:
            if value is None:
                continue
            if key.startswith(BLOCK):
                body = decode(value, CertifiedBlock).block
                self.blocks[decode_block(body).height].setdefault(body, []).append(number)
                self.certified[value] = None
            elif key.startswith(OBSERVATION):
                _, anchor_hash, judge = split_challenge_key(OBSERVATION, key)
                if judge == self.founding.members[number].key:
                    self._observed[(anchor_hash, number)] = None
            elif key.startswith(LIST):
                self.lists[int.from_bytes(key[len(LIST) :], "big")].setdefault(value, []).append(number)

    def took(self, number: int, view: View, batch: Sequence[Incoming], *, lived: bool) -> None:
        """A node was handed messages; `lived` through carrying out what follows, so that it is durable."""
        tip = view.block.height
        for incoming in batch:
            response = read_signed(incoming.data)
            if not isinstance(response, Response) or number not in self.honest:
                continue
            closes = response.seq * PARAMETERS.challenge_every + PARAMETERS.response_window
            here = view.block_hash(response.seq * PARAMETERS.challenge_every)
            observed = (response.anchor_hash, number) in self._observed
            if here == response.anchor_hash and tip < closes and not observed:
                seen = (response.anchor_hash, response.operator_key)
                self.maybe_on_time[seen][number] = None
                if lived:
                    self.on_time[seen][number] = None

    def probed(self, number: int, key: bytes, request: ProbeRequest, result: ProbeResult) -> None:
        """A dial-back of an honest node ended, and what it found is written."""
        observed = (request.anchor_hash, number) in self._observed
        if number in self.honest and result.ip and result.fast and result.reply and not observed:
            self.reached[(request.anchor_hash, key)][number] = None

    def acknowledged(self, number: int, packed: bytes, disk: Disk) -> None:
        """A node took a registration from its user: it must be durable by now."""
        if registration_key(packed) not in disk.ever_synced:
            self.unrecorded.append(f"node {number} acknowledged a registration before it was durable")

    def lost_power(self, number: int) -> None:
        """What a node had not synced may be lost: what its dial-backs found."""
        for (anchor_hash, _), judges in self.reached.items():
            if (anchor_hash, number) not in self._observed:
                judges.pop(number, None)

    def announced(self, number: int, news: Announce) -> None:
        """A node told its operator something."""
        if number not in self.honest:
            return
        if news.fields.get("reason") == Why.CLOSED_BEFORE.value:
            place = int(news.fields["seq"] or 0), bytes.fromhex(str(news.fields["anchor"]))
            self.closed_before[place][number] = None
        if news.event not in ALARMS:
            return
        if self.deep and news.fields.get("stranded", True):
            self.stranded[f"{news.event} {news.fields.get('why', '')}".strip()] += 1
        else:
            self.alarms.append(f"node {number}: {news.event} {dict(news.fields)}")

    def connects(self, block: SimulatedBlock) -> None:
        """A node has a block on its chain."""
        self.connected[block.hash] = block

    def punishes(self, number: int, other: int, reason: str) -> None:
        """A node drops its connection to another."""
        if number in self.honest and other in self.honest:
            self.punished.append(f"node {number} punished honest node {other}: {reason}")


def short(data: bytes) -> str:
    """Name some bytes in a report."""
    return sha3_256(data).hex()[:12]
