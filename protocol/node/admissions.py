"""Who comes into our group and who leaves it, as one voter sees it: what it proposes, and what it affirms.

Answers for: requests for a place, proofs and hand-overs that came to this node itself, and whom it has
missed; from these and the blocks follow the blocks that it would propose, and whether it votes for
another's. What such a block may say is the business of `protocol.group.kinds`; our own seat is `mover`'s.
Spec: `spec/relocation.md`.
"""

from collections.abc import Iterator
from functools import partial

from protocol.chain.view import ChainView
from protocol.crypto import verify_envelope
from protocol.errors import NotAMember, StaleMessage
from protocol.genesis import Genesis, network_id
from protocol.group.data_block import AdmitPayload, Move, Payload, RelocatePayload, Removal, RemovePayload
from protocol.group.data_chain import DataChain
from protocol.group.elsewhere import Elsewhere
from protocol.group.entropy import is_fresh, is_name_open, is_outdated, move_entropy
from protocol.group.join_request import JoinRequest, check_join_request
from protocol.group.kinds.arrivals import obstacles
from protocol.group.movemaker import (
    build_admit,
    build_expire,
    build_join,
    build_readmit,
    build_refuse,
    build_rejoin,
    build_remove,
    build_return,
)
from protocol.group.name import assign_name, home_draw
from protocol.group.relocation import is_large
from protocol.group.vote import Statement
from protocol.node.attendance import Attendance
from protocol.node.effects import Effect, Incoming
from protocol.node.hand_over import HandOver
from protocol.node.last_verdicts import Found
from protocol.node.messages import ProofPart
from protocol.node.proofs import ProofDesk
from protocol.node.proposals import Make
from protocol.node.surroundings import Surroundings
from protocol.tracking.verdict import Reason
from protocol.units import Hash32, OperatorKey

REQUESTS_MAX = 256
"""Operators whose requests are remembered; the oldest is forgotten first (they are repeated)."""


class Admissions:
    """The comings and goings of our group at one node."""

    def __init__(self, genesis: Genesis, me: OperatorKey, chain: ChainView, around: Surroundings) -> None:
        self._parameters = genesis.parameters
        self._network = network_id(genesis)
        self._me = me
        self._chain = chain
        self._around = around
        self._requests: dict[OperatorKey, JoinRequest] = {}
        self._desk = ProofDesk(self._network, genesis.parameters.join_proof_bits)
        self.attendance = Attendance(me, genesis.parameters)
        self.hand_over = HandOver(self._network, me, around)

    # What comes in.

    def on_request(self, request: JoinRequest, envelope: bytes) -> None:
        """Take a request for a place; raises `InvalidSignature`, `StaleMessage` or `NotAMember`.

        Only of who is VALID by the verdict that it names, and whose seat our group holds: so nobody can fill
        the memory of requests, or the time that goes into them, without a stake behind each.
        """
        before = self._requests.get(request.signer)
        if before is not None and before.seq >= request.seq:
            raise StaleMessage(f"{request.signer.hex()[:16]} has asked already")
        if not self._concerns_us(request):
            raise NotAMember(f"{request.signer.hex()[:16]} has no seat here, or that verdict is not held")
        check_join_request(envelope, self._network)
        self._requests.pop(request.signer, None)
        self._requests[request.signer] = request
        while len(self._requests) > REQUESTS_MAX:
            del self._requests[next(iter(self._requests))]

    def _concerns_us(self, request: JoinRequest) -> bool:
        """Whether a request could be granted by our group, now or when its verdict's entropy is there."""
        state, key = self._around.own(), request.signer
        if state is None or is_outdated(request.seq, self._stamp, self._parameters):
            return False
        found = Found(request.seq, Reason.VALID, Hash32(request.verdict))
        if found not in self._around.last_verdicts.of(key):
            return False
        away = state.away.get(key)
        may_join = key not in state.granted or (away is not None and away.why is Move.JOIN)
        return key in state.left or (may_join and state.covers(home_draw(key)))

    def on_part(self, incoming: Incoming, part: ProofPart) -> list[Effect]:
        """Take a part of a join proof; raises `InvalidProof`."""
        return [*self._desk.take(incoming, part, self._tip)]

    def on_vote(self, statement: Statement, envelope: bytes) -> None:
        """Note who votes in our group; raises `InvalidSignature`.

        A vote on a block that is decided shows that its voter is there as well as any other.
        """
        attendance = self.attendance
        if not attendance.may_be_news(statement.signer, statement.height, self._tip):
            return
        state = self._around.own()
        if state is None or statement.electorate != state.electorate_name or statement.height < state.height:
            return
        if attendance.is_news(statement.signer, statement.height, state, self._tip):
            verify_envelope(envelope, statement.signer)
            attendance.hear(statement.signer, statement.height, state, self._tip)

    def look(self) -> list[Effect]:
        """Go on with the chain and the blocks as they are now: expect proofs, begin hand-overs."""
        state = self._around.own()
        self.attendance.look(state, self._tip)
        self.hand_over.look()
        self._desk.drop_below(self._tip)
        self._requests = {key: one for key, one in self._requests.items() if self._concerns_us(one)}
        if state is None:
            return []
        effects: list[Effect] = []
        for ticket in self._around.tickets.leading_to(state.prefix):
            # Stamps lie `burial` below the tip; a proof that comes later can be admitted by nobody.
            until = ticket.stamp_height + self._parameters.relocation_pending + self._parameters.burial
            if self._tip <= until and ticket.operator_key != self._me:
                effects += self._desk.expect(ticket.ticket, ticket.operator_key, until)
        return effects

    def tick(self, now: int) -> list[Effect]:
        """Ask again those who have to hand something over."""
        return self.hand_over.tick(now)

    @property
    def _tip(self) -> int:
        return self._chain.tip()[0]

    @property
    def _stamp(self) -> int:
        """What a block would stamp now."""
        return self._tip - self._parameters.burial

    # What this voter would propose, most urgent first.

    def endings(self) -> Iterator[Make]:
        """Yield what ends tickets that lead here, takes back who was not taken in, and lets return."""
        state = self._around.own()
        if state is None:
            return
        for ticket in self._around.tickets.leading_to(state.prefix):
            yield partial(build_expire, ticket=ticket.ticket)
            yield partial(build_refuse, ticket=ticket.ticket)
            nonce = self._desk.satisfied(ticket.ticket)
            if nonce is not None:
                yield partial(build_admit, ticket=ticket.ticket, nonce=nonce)
        for ending in self._around.tickets.endings():
            key, away = ending.ticket.operator_key, state.away.get(ending.ticket.operator_key)
            if away is not None and away.ticket == ending.ticket.ticket and away.why is not Move.JOIN:
                yield partial(build_readmit, operator_key=key, ending=ending.block_hash)
        for key, request in self._ripe_requests():
            if key in state.left and is_name_open(request.seq, self._stamp, self._parameters):
                yield partial(build_return, operator_key=key, verdict=request.verdict)

    def removals(self) -> Iterator[Make]:
        """Yield what removes members."""
        state = self._around.own()
        if state is None:
            return
        for key in self.attendance.silent(state, self._tip):
            yield partial(build_remove, operator_key=key, reason=Removal.SILENT)
        for member in state.membership.members:
            key = OperatorKey(member.operator_key)
            failed = self._around.last_verdicts.failures(key)
            if failed:
                proofs = [found.block_hash for found in failed]
                yield partial(build_remove, operator_key=key, reason=Removal.CHALLENGES, proofs=proofs)
            if state.book.of(key, state.stamp_height) is None:
                yield partial(build_remove, operator_key=key, reason=Removal.DEREGISTERED)

    def moves(self) -> Iterator[Make]:
        """Yield what takes those for full that came back, and sends those on that ask for a place."""
        state = self._around.own()
        if state is None:
            return
        for key in state.returning:
            if self.hand_over.is_satisfied(key):
                yield partial(_rejoin, operator_key=key)
        for key, request in self._ripe_requests():
            if key not in state.left and self._has_room(key, request.seq):
                ending = self._around.tickets.ending_of(key)
                ended = ending.block_hash if ending else b""
                yield partial(build_join, operator_key=key, verdict=request.verdict, ending=ended)

    def _ripe_requests(self) -> Iterator[tuple[OperatorKey, JoinRequest]]:
        """Yield the requests whose verdict is good for a move by now, oldest first."""
        for key, request in tuple(self._requests.items()):
            if is_fresh(request.seq, self._stamp, self._parameters):
                yield key, request

    def _has_room(self, key: OperatorKey, seq: int) -> bool:
        """Whether the group to which an operator would go might take it in: else a ticket is no use."""
        name = assign_name(0, key, move_entropy(seq, self._chain, self._parameters))
        target = self._around.covering(name)
        if obstacles(target, key, 0, self._stamp):
            return False
        return not is_large(target) or all(one.age for one in self._around.tickets.leading_to(target.prefix))

    # What this voter affirms of a block that may follow by the rules.

    def may_affirm(self, payload: Payload) -> bool:
        """Whether this node itself saw what only a voter can see: a proof, a hand-over, a silence."""
        match payload:
            case AdmitPayload() if payload.ticket:
                # Whatever nonce came to us: that the block's one holds is a rule, and who sends each voter
                # another one would else be admitted by nobody, and hold everybody up.
                return self._desk.satisfied(payload.ticket) is not None
            case RelocatePayload() if payload.why is Move.REJOIN:
                return self.hand_over.is_satisfied(OperatorKey(payload.operator_key))
            case RemovePayload() if payload.reason is Removal.SILENT:
                state = self._around.own()
                key = OperatorKey(payload.operator_key)
                return state is not None and self.attendance.is_silent(key, state, self._tip)
            case RemovePayload() if payload.reason is Removal.CHALLENGES:
                # Older failures are fresh for a while after a newer verdict has found it VALID.
                return bool(self._around.last_verdicts.failures(OperatorKey(payload.operator_key)))
            case _:
                return True


def _rejoin(state: DataChain, chain: ChainView, elsewhere: Elsewhere, operator_key: OperatorKey) -> bytes:
    return build_rejoin(state, chain, operator_key)
