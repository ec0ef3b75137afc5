"""Which part of a node takes which message.

Answers for: bytes become a message of our network and reach the part that it is for, and one bad message
costs its sender and nothing else. What a part makes of it is the part's business; what follows from all of
them together is left to `machine`. Spec: `spec/node.md`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from protocol.codec import MESSAGE_SIZE_MAX, Decoder, Wire
from protocol.crypto import SIGNATURE_SIZE
from protocol.errors import InvalidProof, MalformedMessage, ProtocolError, WrongNetwork
from protocol.group.data_block import block_hash, decode_block, decode_certified
from protocol.group.join_request import JoinRequest
from protocol.group.resend import Resend
from protocol.group.vote import LIST_ELECTORATE, Proposal, Vote
from protocol.node.catch_up import CatchUp
from protocol.node.effects import Announce, Effect, Incoming, Punish
from protocol.node.forwarding import Forwarding
from protocol.node.groups import Groups
from protocol.node.lister import Lister
from protocol.node.messages import (
    SIGNED,
    Blocks,
    BlocksRequest,
    Forward,
    ListAnswer,
    ListRequest,
    ProofHeld,
    ProofPart,
    Receipts,
    Responses,
    ResponsesRequest,
    Status,
    unpack,
)
from protocol.node.registrar import Registrar
from protocol.node.resends import Resends
from protocol.node.seating import Seating
from protocol.node.tracker import Tracker
from protocol.node.watch import Watch
from protocol.tracking.observation import Observation
from protocol.tracking.registration import Deregistration, Registration
from protocol.tracking.response import Receipt, Response
from protocol.units import OperatorKey

RESPONSE_HEAD = b"\x9a\xa8response"
"""How the body of every response begins: its array header and tag."""

Statement = Response | Receipt | Observation | Vote | Proposal | Registration | JoinRequest | Resend
Message = (
    Status
    | BlocksRequest
    | Blocks
    | Forward
    | ListRequest
    | ListAnswer
    | ResponsesRequest
    | Responses
    | Receipts
    | Deregistration
    | ProofPart
    | ProofHeld
)

_decode_statement: Decoder[Statement] = Decoder(Statement, MESSAGE_SIZE_MAX)
_decode_message: Decoder[Message] = Decoder(Message, MESSAGE_SIZE_MAX)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The machines that a node is composed of, of which none knows another's insides."""

    registrar: Registrar
    forwarding: Forwarding
    groups: Groups
    watch: Watch
    resends: Resends
    seating: Seating
    tracker: Tracker
    lister: Lister
    catch_up: CatchUp

    @property
    def contradicted(self) -> bool:
        """Whether our group or the network has certified what our own chain contradicts.

        What another group has certified is for its own voters to look at.
        """
        return self.groups.own.contradicted or self.lister.contradicted


class Routing:
    """What a node does with messages."""

    def __init__(self, network: bytes, everybody: str, parts: Parts) -> None:
        """Prepare for messages of `network`, whose own topic is `everybody`."""
        self._network = network
        self._everybody = everybody
        self._parts = parts
        self._groups, self._tracker = parts.groups, parts.tracker
        self._seating, self._catch_up = parts.seating, parts.catch_up
        self._now = 0
        self._statements = self._by_statement()
        self._messages = self._by_message()

    def take(self, batch: Sequence[Incoming], now: int) -> list[Effect]:
        """Take a batch of messages that came by `now`, in milliseconds."""
        self._now = now
        effects: list[Effect] = []
        on_response = self._tracker.on_response
        for incoming in batch:
            data = incoming.data
            try:
                if data.startswith(RESPONSE_HEAD, 1 + SIGNATURE_SIZE) and data[0] == SIGNED:
                    on_response(data[1:], incoming, effects)
                else:
                    effects += self._take(incoming)
            except ProtocolError as error:
                effects += blame(incoming, error)
        return effects

    # Inside.

    def _by_statement(self) -> dict[type, Callable[..., list[Effect]]]:
        return {
            Response: self._on_response,
            Receipt: self._on_receipt,
            Observation: self._on_observation,
            Vote: self._on_ballot,
            Proposal: self._on_ballot,
            Registration: self._on_entry,
            JoinRequest: self._on_join_request,
            Resend: self._on_resend,
        }

    def _by_message(self) -> dict[type, Callable[..., list[Effect]]]:
        return {
            Status: self._on_status,
            BlocksRequest: self._on_blocks_request,
            Blocks: self._on_blocks,
            Forward: self._on_forward,
            ListRequest: self._on_list_request,
            ListAnswer: self._on_list_answer,
            ResponsesRequest: self._on_responses_request,
            Responses: self._on_responses,
            Receipts: self._on_receipts,
            Deregistration: self._on_entry,
            ProofPart: self._on_proof_part,
            ProofHeld: self._on_proof_held,
        }

    def _take(self, incoming: Incoming) -> list[Effect]:
        kind, payload = unpack(incoming.data)
        if kind == SIGNED:
            statement = _decode_statement(payload[SIGNATURE_SIZE:])
            self._check_network(statement)
            return self._statements[type(statement)](statement, payload, incoming)
        message = _decode_message(payload)
        self._check_network(message)
        return self._messages[type(message)](message, incoming)

    def _check_network(self, message: Wire) -> None:
        theirs: bytes = message.network  # type: ignore[attr-defined]
        if theirs != self._network:
            raise WrongNetwork(f"a message of network {theirs.hex()[:16]}")

    def _on_response(self, _: Response, envelope: bytes, incoming: Incoming) -> list[Effect]:
        effects: list[Effect] = []
        self._tracker.on_response(envelope, incoming, effects)
        return effects

    def _on_receipt(self, receipt: Receipt, envelope: bytes, _: Incoming) -> list[Effect]:
        return self._tracker.on_receipt(receipt, envelope, self._groups)

    def _on_observation(self, observation: Observation, envelope: bytes, _: Incoming) -> list[Effect]:
        self._groups.moved()
        return self._tracker.on_observation(observation, envelope, self._groups)

    def _on_ballot(self, statement: Vote | Proposal, envelope: bytes, _: Incoming) -> list[Effect]:
        if self._parts.contradicted:
            return []
        if statement.electorate == LIST_ELECTORATE:
            return self._parts.lister.receive(envelope, statement, self._now)
        self._seating.on_vote(envelope, statement)
        return self._groups.receive(envelope, statement, self._now)

    def _on_entry(self, *arguments: object) -> list[Effect]:
        incoming = arguments[-1]
        assert isinstance(incoming, Incoming)
        effects = self._parts.registrar.take(incoming.data, self._groups.book)
        if effects:
            self._groups.moved()
        return effects

    def _on_join_request(self, request: JoinRequest, envelope: bytes, _: Incoming) -> list[Effect]:
        self._seating.on_request(request, envelope)
        return []

    def _on_proof_part(self, part: ProofPart, incoming: Incoming) -> list[Effect]:
        return self._seating.on_part(part, incoming)

    def _on_proof_held(self, word: ProofHeld, incoming: Incoming) -> list[Effect]:
        return self._seating.on_held(word, incoming, self._now)

    def _on_status(self, status: Status, incoming: Incoming) -> list[Effect]:
        return self._catch_up.on_status(status, incoming.peer, self._now)

    def _on_blocks_request(self, request: BlocksRequest, incoming: Incoming) -> list[Effect]:
        return self._catch_up.on_blocks_request(request, incoming.peer, self._now)

    def _on_blocks(self, blocks: Blocks, incoming: Incoming) -> list[Effect]:
        """Take blocks up to the first bad one: what the good ones did must still reach the disk."""
        effects: list[Effect] = []
        held = self._groups.held
        self._seating.on_blocks(blocks.blocks, incoming)
        for block in blocks.blocks:
            try:
                effects += self._groups.take_block(block, self._now)
            except ProtocolError as error:
                effects += blame(incoming, error)
                break
        self._catch_up.on_blocks(self._groups.held - held)
        return effects

    def _on_forward(self, forward: Forward, incoming: Incoming) -> list[Effect]:
        """Take a block that a voter of its group tells everybody of."""
        effects = self._groups.take_block(forward.certified, self._now)
        if incoming.topic == self._everybody:
            body = decode_certified(forward.certified).block
            hashed, sender = block_hash(body), OperatorKey(forward.sender)
            if hashed in self._groups.archive:
                self._parts.forwarding.heard(hashed)
            self._parts.watch.heard(hashed, decode_block(body), sender, self._now)
        return effects

    def _on_resend(self, resend: Resend, envelope: bytes, _: Incoming) -> list[Effect]:
        self._parts.resends.take(resend, envelope)
        self._groups.moved()
        return []

    def _on_list_request(self, request: ListRequest, incoming: Incoming) -> list[Effect]:
        return self._catch_up.on_list_request(request, incoming.peer, self._now)

    def _on_list_answer(self, answer: ListAnswer, _: Incoming) -> list[Effect]:
        return self._parts.lister.take_file(answer.file, self._now)

    def _on_responses_request(self, request: ResponsesRequest, incoming: Incoming) -> list[Effect]:
        if not self._catch_up.may_answer(request, incoming.peer, self._now):
            return []
        return self._tracker.on_responses_request(request, incoming.peer)

    def _on_responses(self, responses: Responses, _: Incoming) -> list[Effect]:
        self._groups.moved()
        return self._tracker.on_responses(responses)

    def _on_receipts(self, shown: Receipts, _: Incoming) -> list[Effect]:
        self._tracker.on_receipts(shown, self._groups)
        return []


def blame(incoming: Incoming, error: ProtocolError) -> list[Effect]:
    """Drop a message; whoever sent malformed bytes or a wrong proof directly loses its connection.

    Gossip is passed on by honest nodes that could not know, and what is stale, of another network
    or signed by nobody of weight may be an honest delay.
    """
    if not incoming.topic and isinstance(error, MalformedMessage | InvalidProof):
        return [Punish(incoming.peer, str(error))]
    return [Announce("message.refused", {"peer": incoming.peer.hex()[:16], "reason": str(error)})]
