"""The group's data chain as one node holds it: its state, and what judges, operators and lists ask of it.

Answers for: the blocks up to the head are remembered by what others need of them: their hashes, the
members after them, their verdicts. Which block comes next is `group`'s business, what a list makes of
them `protocol.payout.payout_list`'s. Spec: `spec/node.md`.
"""

from collections.abc import Iterable, Mapping

from protocol.chain.view import ChainView
from protocol.genesis import Genesis
from protocol.group.data_block import CertifiedBlock, DataBlock, VerdictPayload, decode_block, decode_payload
from protocol.group.data_chain import DataChain
from protocol.group.membership import Member, Membership
from protocol.group.quorum import Electorate
from protocol.node.messages import group_topic
from protocol.node.records import Records, block_key
from protocol.payout.claims import VerdictRecord
from protocol.payout.list_header import Head
from protocol.tracking.registration import Registration
from protocol.units import ChallengeSeq, Hash32, OperatorKey


class DataHistory:
    """What is decided; fulfils `ListSource` and `GroupView`."""

    def __init__(self, genesis: Genesis, chain: ChainView, records: Records) -> None:
        self._chain = chain
        self._records = records
        self.state = DataChain.from_genesis(genesis)
        self._hashes: list[Hash32] = [self.state.head]
        self._memberships: list[tuple[int, Membership]] = [(0, self.state.membership)]
        self._verdicts: dict[int, VerdictRecord] = {}
        self._decided: list[DataBlock] = []

    @property
    def electorate(self) -> Electorate:
        """The voters that certify the next block."""
        return self.state.electorate

    @property
    def our_prefix(self) -> str:
        """The prefix of the only group."""
        return self.state.prefix

    def judges(self, draw: bytes) -> Electorate:
        """The voters of the group to which a draw falls."""
        return self.state.electorate

    def topic_of(self, draw: bytes) -> str:
        """The topic of that group."""
        return group_topic(self.state.network, self.state.prefix)

    def registrations(self, anchor_height: int) -> Mapping[OperatorKey, Registration]:
        """The registrations of everybody who is judged at an anchor, sorted by operator."""
        return self.state.book.judged(anchor_height)

    def is_judged(self, seq: int) -> bool:
        """Whether a challenge has its verdict block."""
        return not self.state.unjudged(seq)

    def judged_anchor(self, seq: int) -> Hash32 | None:
        """Return the hash of the anchor with which a challenge was judged, or None before that."""
        judged = self.state.judged.get(seq)
        return judged[-1].anchor_hash if judged else None

    def stamps_from(self, height: int) -> bool:
        """Whether the last block stamps a block of our chain at or above this chain height."""
        state = self.state
        return state.stamp_height >= height and self._chain.block_hash(state.stamp_height) == state.stamp_hash

    def certified(self, height: int) -> bytes | None:
        """Return a certified block as it is stored, or None above the head."""
        return self._records.get(block_key(height)) if 0 < height <= self.state.height else None

    def verdicts(self, seq: int) -> VerdictRecord | None:
        """Return a challenge's verdicts, or None before they are certified."""
        return self._verdicts.get(seq)

    def heads(self) -> tuple[Head, ...]:
        """Return the last block of each group's data chain."""
        return (Head(prefix=self.state.prefix, height=self.state.height, block_hash=self.state.head),)

    def reach(self, heads: tuple[Head, ...]) -> Mapping[str, int]:
        """Return up to what height blocks are behind these heads."""
        return {head.prefix: head.height for head in heads}

    def block_hash(self, prefix: str, height: int) -> Hash32 | None:
        """Return the hash of one data block, the network id at 0, None above the head."""
        known = prefix == self.state.prefix and 0 <= height < len(self._hashes)
        return self._hashes[height] if known else None

    def verdict_records(self, first_seq: int, last_seq: int) -> Iterable[VerdictRecord]:
        """Return the VERDICT blocks of these challenges, both inclusive."""
        return tuple(self._verdicts[seq] for seq in range(first_seq, last_seq + 1) if seq in self._verdicts)

    def members(self, heads: tuple[Head, ...]) -> tuple[Member, ...]:
        """Return the members as of these heads, sorted by operator key."""
        (head,) = heads
        return next(after.members for height, after in reversed(self._memberships) if height <= head.height)

    def take_decided(self) -> list[DataBlock]:
        """Hand out the blocks decided since the last call, oldest first."""
        decided, self._decided = self._decided, []
        return decided

    def _advance(self, certified: CertifiedBlock, state: DataChain) -> DataBlock:
        """Make `state` the present one, and remember what lists read of its last block."""
        block = decode_block(certified.block)
        if state.membership is not self.state.membership:
            self._memberships.append((state.height, state.membership))
        self.state = state
        self._hashes.append(state.head)
        self._decided.append(block)
        payload = decode_payload(block)
        if isinstance(payload, VerdictPayload):
            self._verdicts[payload.seq] = VerdictRecord(
                prefix=state.prefix,
                height=state.height,
                block_hash=state.head,
                seq=ChallengeSeq(payload.seq),
                anchor_hash=Hash32(payload.anchor_hash),
                verdicts=payload.verdicts,
                parts=payload.parts,
            )
        return block
