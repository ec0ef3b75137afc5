"""RPC methods about challenges: the newest one, what was judged and by whom, why we were paid or not.

Answers for: the truth of this node alone, from its own machine and chain. One challenge is judged in as
many blocks as groups judge it, each for the operators whose draws fall to its regions. Amounts are
integers of zatoshi, chain hashes are in display order. Spec: `spec/rpc.md`.
"""

from collections.abc import Sequence
from operator import attrgetter

from protocol.errors import NotYetKnown
from protocol.group.regions import uncovered
from protocol.node.open_challenge import OpenChallenge
from protocol.node.voids import Why
from protocol.payout.claims import VerdictRecord
from protocol.tracking.challenge import Challenge, challenge_draw, derive_challenge, derive_samples
from protocol.tracking.response import check_receipt
from protocol.tracking.verdict import Reason, Verdict
from zenp2p.api.context import Context, display
from zenp2p.api.errors import NotFound
from zenp2p.api.judge_view import describe_judges
from zenp2p.api.listing import describe_listing
from zenp2p.api.methods import Methods, NoParams, Params
from zenp2p.api.network_view import NetworkView

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


by_operator = attrgetter("operator_key")


class SeqParams(Params, frozen=True):
    """A challenge's number."""

    seq: int


class ChallengeMethods:
    """The handlers, over one daemon's parts."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._node = context.node
        self._view = NetworkView(context.node)

    def register(self, methods: Methods) -> None:
        """Add them to the register."""
        methods.add("challenge.current", NoParams, self.current, "The newest challenge and our samples.")
        methods.add("challenge.show", SeqParams, self.show, "One challenge with every verdict.")
        methods.add("challenge.why", SeqParams, self.why, "Our verdict, its reason, judges and receipts.")

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
            "group": self._view.covering(challenge_draw(challenge.anchor_hash, node.operator_key)).prefix,
            "txids": [display(sample.txid) for sample in samples],
            "due_blocks": left,
            "due_seconds": left * parameters.block_seconds,
        }

    # challenge.show

    async def show(self, params: SeqParams) -> object:
        """A challenge that was judged, wholly or in part, is open, or is void because of a reorganisation."""
        records = self._view.records(params.seq)
        if records:
            return self._judged(params.seq, records)
        challenge = self._challenge(params.seq)
        shown = self._describe(challenge)
        why = self._void_here(params.seq)
        if why is not None:
            return {**shown, "state": "void", "reason": why.value}
        opened = self._opened(challenge)
        return {
            **shown,
            "state": "open",
            "observations": len(opened.observations) if opened else 0,
            "lost": self._lost(params.seq),
        }

    def _judged(self, seq: int, records: Sequence[VerdictRecord]) -> dict[str, object]:
        """Return what all groups said of a challenge."""
        counting = self._counting(seq, records)
        anchor_hash = (counting or records)[0].anchor_hash
        shown = [record for record in records if record.anchor_hash == anchor_hash]
        height = seq * self._node.genesis.parameters.challenge_every
        waits = uncovered("", (part for record in shown for part in record.parts))
        said = (verdict for record in shown for verdict in record.verdicts)
        state = {"state": "partly judged" if waits else "judged"}
        return {
            "seq": seq,
            "anchor_height": height,
            "anchor_hash": display(anchor_hash),
            "anchor_active": self._is_active(height, anchor_hash),
            **(state if counting else {"state": "void", "reason": Why.LEFT_JUDGED.value}),
            "unjudged": list(waits),
            "blocks": [_block(record) for record in shown],
            "verdicts": {
                verdict.operator_key.hex(): self._verdict(verdict)
                for verdict in sorted(said, key=by_operator)
            },
        }

    def _counting(self, seq: int, records: Sequence[VerdictRecord]) -> list[VerdictRecord]:
        """Return the blocks whose anchor stands on our chain, or may: those of a lost branch are void."""
        here = self._node.chain.block_hash(seq * self._node.genesis.parameters.challenge_every)
        return [record for record in records if here in (None, record.anchor_hash)]

    # challenge.why

    async def why(self, params: SeqParams) -> object:
        """Why we were paid or not: the group that our draw names, its judges, our receipts."""
        records = self._view.records(params.seq)
        record = self._of_us(params.seq, records)
        void = self._void_here(params.seq) if record is None else None
        answer = {"seq": params.seq, "operator": self._node.operator_key.hex()}
        if void is not None:
            return {**answer, "verdict": None, "reason": f"void: {void.value}", "receipts": []}
        if record is None:
            return {**answer, **self._not_judged(self._challenge(params.seq))}
        own = next((v for v in record.verdicts if v.operator_key == self._node.operator_key), None)
        reason = own.reason if own else Reason.NOT_REGISTERED
        is_void = not self._counting(params.seq, [record])
        text = f"void: {Why.LEFT_JUDGED.value}" if is_void else REASONS[reason]
        receipts = self._receipts(params.seq, record.anchor_hash)
        return {
            **answer,
            "verdict": reason.name,
            "reason": text,
            "group": record.prefix,
            "block": _block(record),
            "list": self._listing(record) if reason is Reason.VALID and not is_void else None,
            "judges": self._judges(record),
            "receipts": receipts,
        }

    def _of_us(self, seq: int, records: Sequence[VerdictRecord]) -> VerdictRecord | None:
        """Return the block that judges us: one that counts, if there is one."""
        ours = [record for record in records if self._view.judges_us(record)]
        return next(iter(self._counting(seq, ours) or ours), None)

    def _listing(self, record: VerdictRecord) -> dict[str, object]:
        node = self._node
        return describe_listing(node.lister, node.genesis.parameters, record, node.operator_key)

    def _judges(self, record: VerdictRecord) -> list[dict[str, object]]:
        payload = self._view.evidence(record)
        if payload is None:
            return []
        return describe_judges(payload, self._view.judges(record), self._node.operator_key)

    def _not_judged(self, challenge: Challenge) -> dict[str, object]:
        """Return which group has still to judge us, and what our judges hold of us."""
        group = self._view.covering(challenge_draw(challenge.anchor_hash, self._node.operator_key))
        height, due = self._node.chain.tip()[0], challenge.judged_at
        when = f"can be from height {due} on" if height < due else f"is due since height {due}"
        return {
            "verdict": None,
            "reason": f"not judged yet: {when}",
            "group": group.prefix,
            "group_condition": self._view.condition(group).condition.value,
            "receipts": self._receipts(challenge.seq, challenge.anchor_hash),
        }

    def _receipts(self, seq: int, anchor_hash: bytes) -> list[dict[str, object]]:
        held = self._node.tracker.receipts(seq, anchor_hash)
        return [
            {"judge": judge.hex(), "height": check_receipt(envelope, self._node.network).height}
            for judge, envelope in sorted(held.items())
        ]

    # Parts of the answers.

    def _challenge(self, seq: int) -> Challenge:
        """Return a challenge of our chain."""
        genesis = self._node.genesis
        try:
            if seq < 0 or seq * genesis.parameters.challenge_every < genesis.first_challenge_height:
                raise NotFound(f"challenge {seq} is before the first one")
            return derive_challenge(seq, self._node.chain, genesis.parameters)
        except NotYetKnown:
            raise NotFound(f"challenge {seq} is not known here") from None

    def _opened(self, challenge: Challenge) -> OpenChallenge | None:
        """Return what the node holds of a challenge that waits for its verdicts."""
        named = challenge.seq, challenge.anchor_hash
        return next(
            (
                opened
                for opened in self._node.tracker.open_challenges()
                if (opened.challenge.seq, opened.challenge.anchor_hash) == named
            ),
            None,
        )

    def _void_here(self, seq: int) -> Why | None:
        """Return why a challenge without verdicts is void with its anchor on our chain, or None."""
        anchor = self._node.chain.block_hash(seq * self._node.genesis.parameters.challenge_every)
        return None if anchor is None else self._node.tracker.voids.of(seq).get(anchor)

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

    def _verdict(self, verdict: Verdict) -> dict[str, str]:
        return {"verdict": verdict.reason.name, "stake_address": self._context.address(verdict.stake_address)}


def _block(record: VerdictRecord) -> dict[str, object]:
    """Return where verdicts stand."""
    return {
        "prefix": record.prefix,
        "height": record.height,
        "hash": record.block_hash.hex(),
        "parts": list(record.parts),
        "verdicts": len(record.verdicts),
    }
