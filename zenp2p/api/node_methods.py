"""RPC methods about the node and its challenges: what it does, and why it was paid or not.

Answers for: the truth of this node alone, from its own machine and chain. Amounts are
integers of zatoshi, chain hashes are in display order. Spec: `spec/rpc.md`.
"""

from collections.abc import Iterator
from dataclasses import asdict

from protocol.group.age import is_voting_age
from protocol.node.messages import PLAIN, SIGNED
from protocol.node.open_challenge import OpenChallenge
from protocol.node.voids import Why
from protocol.payout.claims import VerdictRecord
from protocol.tracking.challenge import Challenge, derive_challenge, derive_samples
from protocol.tracking.response import check_receipt
from protocol.tracking.verdict import Reason, Verdict
from zenp2p.api.context import Context, display
from zenp2p.api.errors import InvalidParams, NotFound
from zenp2p.api.methods import Methods, NoParams, Params, program_version

REASONS = {
    Reason.VALID: "right answer, in time, reached, stake in place",
    Reason.NOT_REGISTERED: "no registration was in force at the anchor: register, and wait for its block",
    Reason.NO_RESPONSE: "too few judges had a response: look at the peers and the node's clock and chain",
    Reason.LATE: "the response came after the close: is the node behind its chain?",
    Reason.OLD_SEQUENCE: "the response was for another challenge: the node's chain is behind or on a branch",
    Reason.BAD_SIGNATURE: "the response was not signed by the operator's key",
    Reason.WRONG_ANSWER: "the answer is wrong: the node's chain or its registration differs",
    Reason.STAKE_TOO_LOW: "the stake address held too little at some height of the window",
    Reason.STAKE_DUPLICATE: "two registrations of one stake address have the same sequence",
    Reason.UNREACHABLE: "too few judges could dial the node where its response said it listens",
    Reason.CHAIN_TOO_SLOW: "the node was reached, but its answer to a fresh nonce was wrong or late",
    Reason.TLS_INVALID: "the registered TLS host showed no valid certificate",
    Reason.DUPLICATE_IP: "another node at the same IP address holds the slot",
    Reason.DIVERSITY_CAP: "too many nodes in the same subnet",
}
"""What each verdict means for the operator."""


class SeqParams(Params, frozen=True):
    """A challenge's number."""

    seq: int


class EnvelopeParams(Params, frozen=True):
    """A registration (signed) or deregistration (plain) in hex, as made by a wallet."""

    envelope: str
    deregistration: bool = False


class NodeMethods:
    """The handlers, over one daemon's parts."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._node = context.node

    def register(self, methods: Methods) -> None:
        """Add them to the register."""
        methods.add("node.status", NoParams, self.status, "How the node is doing, and what is wrong.")
        methods.add("challenge.current", NoParams, self.current, "The newest challenge and our samples.")
        methods.add("challenge.show", SeqParams, self.show, "One challenge with every verdict.")
        methods.add("challenge.why", SeqParams, self.why, "Our own verdict, its reason, and our receipts.")
        methods.add("registration.submit", EnvelopeParams, self.submit, "Hand in a (de)registration.")

    async def status(self, params: NoParams) -> object:
        """Everything in one object; `problems` names what needs somebody, `state` sums it up."""
        node = self._node
        height, tip = node.chain.tip()
        me = node.operator_key
        registration = node.groups.book.of(me, height)
        member = next((m for m in node.group.state.membership.members if m.operator_key == me), None)
        problems = list(self._problems(registration is not None))
        return {
            "version": program_version(),
            "state": "ok" if not problems else "degraded",
            "problems": problems,
            "network": node.genesis.name,
            "network_id": node.network.hex(),
            "operator": me.hex(),
            "stake_address": self._context.address(registration.stake_address) if registration else "",
            "registered": registration is not None,
            "member": member is not None,
            "voter": member is not None and is_voting_age(member.age),
            "age": member.age if member else 0,
            "group": member.prefix if member else "",
            "peers": len(self._context.network.peers()),
            "height": height,
            "tip": display(tip),
            "chain": asdict(self._context.chain.condition()),
            "data_height": node.group.state.height,
            "data_head": node.group.state.head.hex(),
            "next_period": node.lister.period,
            "registrations_waiting": len(tuple(node.registrar.waiting())),
        }

    def _problems(self, registered: bool) -> Iterator[str]:
        node = self._node
        yield from self._context.problems()
        if not registered:
            yield "not registered: no challenge can be VALID until a registration is certified"
        if not self._context.network.peers():
            yield "no peers: check the peers in the configuration and the firewall"
        if node.group.contradicted or node.lister.contradicted:
            yield "certified data contradict our own chain: this node no longer votes; see the log"
        if node.group.stranded or node.lister.stranded:
            yield "certified data rest on chain blocks that another branch has replaced; see the log"

    async def current(self, params: NoParams) -> object:
        """The newest challenge that our chain has opened."""
        node = self._node
        parameters = node.genesis.parameters
        height = node.chain.tip()[0]
        seq = height // parameters.challenge_every
        if seq * parameters.challenge_every < node.genesis.first_challenge_height:
            raise NotFound(f"the first challenge opens at height {node.genesis.first_challenge_height}")
        challenge = derive_challenge(seq, node.chain, parameters)
        samples = derive_samples(challenge, node.operator_key, node.chain, parameters)
        left = max(0, challenge.closes - height)
        return {
            **self._describe(challenge),
            "txids": [display(sample.txid) for sample in samples],
            "due_blocks": left,
            "due_seconds": left * parameters.block_seconds,
        }

    async def show(self, params: SeqParams) -> object:
        """A challenge that was judged, is open, or is void because of a reorganisation."""
        node = self._node
        record = node.group.verdicts(params.seq)
        if record is not None:
            return self._judged(record)
        why = self._void_here(params.seq)
        if why is not None:
            challenge = derive_challenge(params.seq, node.chain, node.genesis.parameters)
            return {**self._describe(challenge), "state": "void", "reason": why.value}
        opened = self._opened(params.seq)
        challenge = opened.challenge
        shown = {**self._describe(challenge), "state": "open", "observations": len(opened.observations)}
        return {**shown, "lost": self._lost(params.seq)}

    async def why(self, params: SeqParams) -> object:
        """Why we were paid or not for a challenge, with the judges' receipts."""
        node = self._node
        record = node.group.verdicts(params.seq)
        answer = {"seq": params.seq, "operator": node.operator_key.hex()}
        void = self._void_here(params.seq) if record is None else None
        if void is not None:
            return {**answer, "verdict": None, "reason": f"void: {void.value}", "receipts": []}
        anchor_hash = record.anchor_hash if record else self._opened(params.seq).challenge.anchor_hash
        receipts = node.tracker.receipts(params.seq, anchor_hash)
        shown = [
            {"judge": judge.hex(), "height": check_receipt(envelope, node.network).height}
            for judge, envelope in sorted(receipts.items())
        ]
        if record is None:
            return {**answer, "verdict": None, "reason": "not judged yet", "receipts": shown}
        own = next((v for v in record.verdicts if v.operator_key == node.operator_key), None)
        reason = own.reason if own else Reason.NOT_REGISTERED
        text = f"void: {Why.LEFT_JUDGED.value}" if self._has_left(record) else REASONS[reason]
        return {**answer, "verdict": reason.name, "reason": text, "receipts": shown}

    async def submit(self, params: EnvelopeParams) -> object:
        """Check, keep and gossip a registration; it is in force when its block is certified."""
        try:
            data = bytes.fromhex(params.envelope)
        except ValueError:
            raise InvalidParams("envelope: not hexadecimal") from None
        await self._context.submit(bytes((PLAIN if params.deregistration else SIGNED,)) + data)
        return {"accepted": True}

    def _opened(self, seq: int) -> OpenChallenge:
        for opened in self._node.tracker.open_challenges():
            if opened.challenge.seq == seq:
                return opened
        raise NotFound(f"challenge {seq} is not known here")

    def _void_here(self, seq: int) -> Why | None:
        """Return why a challenge without verdicts is void with its anchor on our chain, or None."""
        anchor = self._node.chain.block_hash(seq * self._node.genesis.parameters.challenge_every)
        return None if anchor is None else self._node.tracker.voids.of(seq).get(anchor)

    def _has_left(self, record: VerdictRecord) -> bool:
        """Whether the anchor of a judged challenge is no longer on our chain."""
        here = self._node.chain.block_hash(record.seq * self._node.genesis.parameters.challenge_every)
        return here not in (None, record.anchor_hash)

    def _lost(self, seq: int) -> list[dict[str, str]]:
        """Return the anchors with which a challenge is void, oldest first."""
        voids = self._node.tracker.voids.of(seq)
        return [{"anchor_hash": display(anchor), "reason": why.value} for anchor, why in voids.items()]

    def _describe(self, challenge: Challenge) -> dict[str, object]:
        return {
            "seq": challenge.seq,
            "anchor_height": challenge.anchor_height,
            "anchor_hash": display(challenge.anchor_hash),
            "anchor_active": self._is_active(challenge.anchor_height, challenge.anchor_hash),
            "opens": challenge.opens,
            "closes": challenge.closes,
            "judged_at": challenge.judged_at,
        }

    def _is_active(self, height: int, block_hash: bytes) -> bool:
        """Whether a block stands on the active chain: `chain.block` tells of it then."""
        return self._node.chain.block_hash(height) == block_hash

    def _judged(self, record: VerdictRecord) -> dict[str, object]:
        height = record.seq * self._node.genesis.parameters.challenge_every
        left = self._has_left(record)
        return {
            "seq": record.seq,
            "anchor_height": height,
            "anchor_hash": display(record.anchor_hash),
            "anchor_active": self._is_active(height, record.anchor_hash),
            **({"state": "void", "reason": Why.LEFT_JUDGED.value} if left else {"state": "judged"}),
            "data_height": record.height,
            "block": record.block_hash.hex(),
            "verdicts": {v.operator_key.hex(): self._verdict(v) for v in record.verdicts},
        }

    def _verdict(self, verdict: Verdict) -> dict[str, str]:
        return {"verdict": verdict.reason.name, "stake_address": self._context.address(verdict.stake_address)}
