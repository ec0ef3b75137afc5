"""Several groups whose nodes judge each other's operators, each group's voters as a test says.

Trackers are the real ones. What stands for the machine that follows the data chains is `Groups`;
messages are carried to whom the effects name, one at a time, until nobody says anything.
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from protocol.codec import MESSAGE_SIZE_MAX, Decoder
from protocol.crypto import SIGNATURE_SIZE
from protocol.errors import ProtocolError
from protocol.genesis import network_id
from protocol.group.data_block import VerdictPayload
from protocol.group.name import matches
from protocol.group.quorum import Electorate, Voter
from protocol.group.verdict_block import Judging, build_payload, check_payload
from protocol.node.effects import Effect, Incoming, Persist, Probe, ProbeResult, Publish, Send
from protocol.node.messages import SIGNED, Receipts, Responses, ResponsesRequest, group_topic, unpack
from protocol.node.tracker import Tracker
from protocol.parameters import DEVNET
from protocol.tracking.challenge import Challenge, challenge_draw, derive_challenge
from protocol.tracking.observation import Observation
from protocol.tracking.registration import Registration
from protocol.tracking.response import Receipt, Response, response_hash
from protocol.units import Hash32, OperatorKey
from tests.support.chain_view import MemoryChain
from tests.support.founding import founded_by
from tests.support.operators import Operator
from zenp2p.store import MemoryStore

DELIVERIES_MAX = 100_000
_decode_statement: Decoder[Response | Receipt | Observation] = Decoder(
    Response | Receipt | Observation, MESSAGE_SIZE_MAX
)
_decode_message: Decoder[ResponsesRequest | Responses | Receipts] = Decoder(
    ResponsesRequest | Responses | Receipts, MESSAGE_SIZE_MAX
)


@dataclass
class Groups:
    """Fulfils `GroupView`; the prefixes of `voters` must divide the name space."""

    network: bytes
    voters: Mapping[str, Sequence[Operator]]
    our_prefix: str
    registered: Mapping[OperatorKey, Registration] = field(default_factory=dict)
    judged: dict[int, Hash32] = field(default_factory=dict)
    """The anchors with which our group judged."""

    @property
    def electorate(self) -> Electorate:
        return self._electorate(self.our_prefix)

    def judges(self, draw: bytes) -> Electorate:
        return self._electorate(self._covering(draw))

    def topic_of(self, draw: bytes) -> str:
        return group_topic(self.network, self._covering(draw))

    def registrations(self, anchor_height: int) -> Mapping[OperatorKey, Registration]:
        return self.registered

    def is_judged(self, seq: int) -> bool:
        return seq in self.judged

    def judged_anchor(self, seq: int) -> Hash32 | None:
        return self.judged.get(seq)

    def _covering(self, draw: bytes) -> str:
        (prefix,) = [prefix for prefix in self.voters if matches(prefix, draw)]
        return prefix

    def _electorate(self, prefix: str) -> Electorate:
        return Electorate.of(Voter(operator_key=one.key, age=2) for one in self.voters[prefix])


@dataclass
class Seat:
    """One operator, its node's tracker and disk, and the groups as it sees them."""

    operator: Operator
    view: Groups
    tracker: Tracker
    store: MemoryStore
    sent: list[Effect] = field(default_factory=list)


class Bench:
    """Operators in groups, on one chain."""

    def __init__(
        self, groups: Mapping[str, Sequence[Operator]], *, unregistered: Sequence[Operator] = ()
    ) -> None:
        self.operators = sorted(
            (one for members in groups.values() for one in members), key=lambda one: one.key
        )
        self.genesis = founded_by(self.operators, parameters=DEVNET)
        self.network = network_id(self.genesis)
        self.chain = MemoryChain()
        self.chain.mine(pay=[(one.stake_address, DEVNET.stake) for one in self.operators])
        self.registered = {one.key: one.registration() for one in self.operators}
        for one in unregistered:
            del self.registered[one.key]
        self._queue: deque[tuple[OperatorKey, Incoming]] = deque()
        self._height: int = self.chain.tip()[0]
        self.seats: dict[OperatorKey, Seat] = {}
        for prefix, members in groups.items():
            for one in members:
                view = Groups(self.network, groups, prefix, self.registered)
                self.seats[one.key] = self._seat(one, view, MemoryStore())

    def __getitem__(self, operator: Operator) -> Seat:
        return self.seats[operator.key]

    def _seat(self, operator: Operator, view: Groups, store: MemoryStore) -> Seat:
        seat = Seat(operator, view, Tracker(self.genesis, operator.signer, self.chain, store), store)
        self.seats[operator.key] = seat
        self.carry(seat, seat.tracker.restore(view))
        return seat

    def restart(self, operator: Operator) -> Seat:
        old = self[operator]
        return self._seat(operator, old.view, old.store)

    def regroup(self, groups: Mapping[str, Sequence[Operator]]) -> None:
        """Let the groups be others from now on; what they have judged goes with each node's old group."""
        for prefix, members in groups.items():
            for one in members:
                view = self[one].view
                if view.our_prefix != prefix:
                    view.judged.clear()
                view.our_prefix = prefix
        for seat in self.seats.values():
            seat.view.voters = groups
            self.carry(seat, seat.tracker.regroup(seat.view))

    def mine_to(self, height: int) -> None:
        while self._height < height:
            self.chain.mine()
            self._height += 1
            for seat in self.seats.values():
                self.carry(seat, seat.tracker.connect(self._height, seat.view))
            self.settle()

    def repeat(self) -> None:
        for seat in self.seats.values():
            self.carry(seat, seat.tracker.repeat(seat.view))
        self.settle()

    def settle(self) -> None:
        for _ in range(DELIVERIES_MAX):
            if self._queue:
                self._take(*self._queue.popleft())
            else:
                dials = [(seat, seat.tracker.tick(seat.view, 0)) for seat in self.seats.values()]
                for seat, effects in dials:
                    self.carry(seat, effects)
                if not self._queue and not any(effects for _, effects in dials):
                    return
        raise AssertionError("the nodes never stop talking")

    def carry(self, seat: Seat, effects: Sequence[Effect]) -> None:
        writes = [(effect.key, effect.value) for effect in effects if isinstance(effect, Persist)]
        seat.store.write(writes, sync=True)
        seat.sent += effects
        me = seat.operator
        for effect in effects:
            match effect:
                case Publish():
                    for key, other in self.seats.items():
                        if key != me.key and group_topic(self.network, other.view.our_prefix) == effect.topic:
                            self._queue.append((key, Incoming(me.key, me.ip, effect.topic, effect.data)))
                case Send():
                    self._queue.append((effect.peer, Incoming(me.key, me.ip, "", effect.data)))
                case Probe():
                    self._probe(seat, effect)

    def _probe(self, seat: Seat, probe: Probe) -> None:
        there = self.seats[probe.peer]
        reply = there.tracker.answer_probe(seat.operator.key, probe.data, there.view)
        result = ProbeResult(probe.token, there.operator.ip, reply, True)
        self.carry(seat, seat.tracker.probed(result))

    def _take(self, to: OperatorKey, incoming: Incoming) -> None:
        seat, effects = self.seats[to], list[Effect]()
        try:
            self.hand(seat, incoming, effects)
        except ProtocolError:
            return
        self.carry(seat, effects)

    def hand(self, seat: Seat, incoming: Incoming, effects: list[Effect]) -> None:
        """Hand one message to a tracker as the node machine does; raises `ProtocolError`."""
        tracker, view = seat.tracker, seat.view
        kind, payload = unpack(incoming.data)
        said = _decode_statement(payload[SIGNATURE_SIZE:]) if kind == SIGNED else _decode_message(payload)
        match said:
            case Response():
                tracker.on_response(payload, incoming, effects)
            case Receipt():
                effects += tracker.on_receipt(said, payload, view)
            case Observation():
                effects += tracker.on_observation(said, payload, view)
            case ResponsesRequest():
                effects += tracker.on_responses_request(said, incoming.peer)
            case Responses():
                effects += tracker.on_responses(said)
            case Receipts():
                tracker.on_receipts(said, view)

    # What is asked of it.

    def challenge(self, seq: int) -> Challenge:
        return derive_challenge(seq, self.chain, DEVNET)

    def falls_to(self, prefix: str, seq: int) -> list[OperatorKey]:
        """The operators whose draw fits a prefix, sorted."""
        anchor = self.challenge(seq).anchor_hash
        return [key for key in self.registered if matches(prefix, challenge_draw(anchor, key))]

    def verdicts(self, judge: Operator, seq: int) -> VerdictPayload:
        """The payload of the verdict block that a judge would propose, checked by another of its group."""
        seat = self[judge]
        judged = next((one for now in (0, 10**9) for one in seat.tracker.judged(seat.view, now)), None)
        assert judged is not None and judged.challenge.seq == seq
        judging = self.judging(seat.view, seq)
        responses = {response_hash(envelope): envelope for envelope in judged.responses}
        payload = build_payload(judging, judged.observations, judged.receipts, responses, self.chain)
        check_payload(judging, payload, self.chain)
        return payload

    def judging(self, view: Groups, seq: int) -> Judging:
        ours = self.falls_to(view.our_prefix, seq)
        return Judging(
            network=self.network,
            challenge=self.challenge(seq),
            electorate=view.electorate,
            ages={},
            registrations={key: self.registered[key] for key in ours},
            contested={},
            holders={},
            parameters=DEVNET,
            parts=(view.our_prefix,),
        )

    def certify(self, members: Iterable[Operator], seq: int) -> None:
        """Let a group have judged a challenge."""
        for one in members:
            seat = self[one]
            seat.view.judged[seq] = self.challenge(seq).anchor_hash
            self.carry(seat, seat.tracker.on_verdicts(seq, seat.view))


def told(seat: Seat) -> list[OperatorKey]:
    """Those to whom a node sent something directly."""
    return sorted({effect.peer for effect in seat.sent if isinstance(effect, Send)})
