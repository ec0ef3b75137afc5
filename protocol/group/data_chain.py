"""A group's data chain: which block may follow, and what each block changes.

Answers for: the state after any number of blocks (`state.GroupState`) is a frozen value, a pure function
of the genesis file and the blocks, those of other groups that they name included; and a block is accepted
only where the rules make it from that state and from the chain. The rules of each kind are in `kinds`.
Blocks are agreed on by `consensus`, made by `blockmaker` and stored by the node. Spec: `spec/data_chain.md`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from protocol.chain.view import ChainView
from protocol.errors import (
    InvalidBlock,
    InvalidProof,
    InvalidSignature,
    MalformedMessage,
    NotAMember,
    NotYetKnown,
    RequestError,
    StaleMessage,
    Stranded,
    WrongNetwork,
)
from protocol.genesis import Genesis, founding_id, network_id
from protocol.group.certificate import check_certifies
from protocol.group.data_block import (
    AbsorbPayload,
    AdmitPayload,
    CertifiedBlock,
    DataBlock,
    EvidencePayload,
    ExpirePayload,
    Kind,
    LinkPayload,
    MergePayload,
    Payload,
    RefusePayload,
    RegisterPayload,
    RelocatePayload,
    RemovePayload,
    SplitPayload,
    VerdictPayload,
    block_hash,
    decode_block,
    decode_payload,
)
from protocol.group.elsewhere import Around, Elsewhere, Nowhere
from protocol.group.kinds.absorption import after_absorb, check_absorb
from protocol.group.kinds.arrivals import (
    after_admit,
    after_ending,
    check_admit,
    check_expire,
    check_refuse,
)
from protocol.group.kinds.evidence import after_evidence, check_evidence
from protocol.group.kinds.links import after_link, check_link
from protocol.group.kinds.moves import after_relocate, check_relocate
from protocol.group.kinds.partition import after_merge, after_split, check_merge, check_split
from protocol.group.kinds.registers import after_register, check_register
from protocol.group.kinds.removals import after_remove, check_remove
from protocol.group.kinds.slots import settle_slots
from protocol.group.kinds.verdicts import after_verdict, check_verdict
from protocol.group.membership import genesis_membership, shared_slots
from protocol.group.state import GroupState, nothing
from protocol.tracking.diversity import ip_slot
from protocol.tracking.registration import check_registration
from protocol.tracking.registration_book import RegistrationBook
from protocol.units import Hash32, OperatorKey

CHECKED_MAX = 4
"""Accepted blocks that one state remembers, so that deciding one does not check it twice."""
NOWHERE = Nowhere()


@dataclass(frozen=True, slots=True)
class Rule:
    """What is asked of a block of one kind, and what it changes: (state, block, payload, around)."""

    check: Callable[[Any, DataBlock, Any, Around], None]
    after: Callable[[Any, DataBlock, Any, Around], Any]


RULES: dict[type[Payload], Rule] = {
    LinkPayload: Rule(check_link, after_link),
    RegisterPayload: Rule(check_register, after_register),
    VerdictPayload: Rule(check_verdict, after_verdict),
    EvidencePayload: Rule(check_evidence, after_evidence),
    RelocatePayload: Rule(check_relocate, after_relocate),
    AdmitPayload: Rule(check_admit, after_admit),
    RefusePayload: Rule(check_refuse, after_ending),
    ExpirePayload: Rule(check_expire, after_ending),
    RemovePayload: Rule(check_remove, after_remove),
    SplitPayload: Rule(check_split, after_split),
    MergePayload: Rule(check_merge, after_merge),
    AbsorbPayload: Rule(check_absorb, after_absorb),
}


@dataclass(frozen=True, slots=True)
class DataChain(GroupState):
    """The state after a block. `apply` returns the next one; nothing here ever changes."""

    @classmethod
    def from_genesis(cls, genesis: Genesis) -> "DataChain":
        """Return the state before the first block; raises `RequestError` for a genesis that cannot be."""
        network, membership = network_id(genesis), genesis_membership(genesis)
        return cls(
            genesis=genesis,
            network=network,
            prefix="",
            height=0,
            head=Hash32(network),
            stamp_height=0,
            stamp_hash=Hash32(network),
            membership=membership,
            link=0,
            link_due=False,
            book=_founding_book(genesis),
            holders=nothing(),
            judged=nothing(),
            electorate=membership.voters(),
            granted=frozenset(OperatorKey(member.operator_key) for member in genesis.members),
        )

    def check_block(self, body: bytes, chain: ChainView, elsewhere: Elsewhere = NOWHERE) -> DataBlock:
        """Return the block in `body` if it may follow.

        Raises `NotYetKnown` when our chain or a data chain is too short to say, `StaleMessage` for a height
        that is decided, a challenge that is judged or an entry that changes nothing, `Stranded` when the only
        fault is that its stamp is not on our chain, else `InvalidBlock`.
        """
        block, _, is_stranded = self._examine(body, chain, elsewhere)
        if is_stranded:
            raise Stranded(f"chain block {block.stamp_height} is another one here")
        return block

    def _examine(
        self, body: bytes, chain: ChainView, elsewhere: Elsewhere, *, on_its_word: bool = False
    ) -> tuple[DataBlock, Payload, bool]:
        """Return a block without a fault of its own, and whether it is stranded; raises as `check_block`."""
        hashed = block_hash(body)
        known = self._checked.get(hashed)
        if known is not None:
            return *known, False
        try:
            block, payload, is_stranded = self._check(body, chain, elsewhere, on_its_word=on_its_word)
        except (MalformedMessage, WrongNetwork, InvalidSignature, InvalidProof, NotAMember) as error:
            raise InvalidBlock(str(error)) from None
        if not is_stranded:
            if len(self._checked) >= CHECKED_MAX:
                self._checked.clear()
            self._checked[hashed] = block, payload
        return block, payload, is_stranded

    def apply(
        self,
        certified: CertifiedBlock,
        chain: ChainView,
        elsewhere: Elsewhere = NOWHERE,
        *,
        on_its_word: bool = False,
    ) -> "DataChain":
        """Return the state after a certified block.

        With `on_its_word` the certificate stands in for our chain where that does not have the stamp, or has
        not buried it: then everything is checked that needs no chain.

        Raises `InvalidCertificate`, `NotYetKnown`, or `InvalidBlock` when our own state and chain
        contradict what the voters certified (`Stranded` when only the chain does, by its stamp).
        """
        hashed = block_hash(certified.block)
        check_certifies(
            certified.certificate,
            self.network,
            self.electorate,
            name=self.electorate_name,
            height=self.height + 1,
            block_hash=hashed,
        )
        try:
            block, payload, is_stranded = self._examine(
                certified.block, chain, elsewhere, on_its_word=on_its_word
            )
        except StaleMessage as error:
            raise InvalidBlock(f"certified, though {error}") from None
        if is_stranded and not on_its_word:
            raise Stranded(f"chain block {block.stamp_height} is another one here")
        return _after(self, block, payload, hashed, Around(chain, elsewhere, is_stranded))

    def resume(
        self, block: DataBlock, hashed: Hash32, chain: ChainView, elsewhere: Elsewhere = NOWHERE
    ) -> "DataChain":
        """Return the state after a block with this hash that was applied before: only its place is checked.

        A VERDICT block may be without its observations, receipts and responses. Raises as `check_block` does.
        """
        self._check_place(block)
        return _after(self, block, decode_payload(block), hashed, Around(chain, elsewhere))

    def _check(
        self, body: bytes, chain: ChainView, elsewhere: Elsewhere, *, on_its_word: bool
    ) -> tuple[DataBlock, Payload, bool]:
        """Return a block, its payload, and whether its stamp, its only fault, is not on our chain."""
        block = decode_block(body)
        self._check_place(block)
        is_stranded = not self._is_stamp_here(block, chain, on_its_word=on_its_word)
        payload = decode_payload(block)
        if self.link_due != isinstance(payload, LinkPayload):
            raise InvalidBlock("a LINK block follows a change of the members, and nothing else")
        RULES[type(payload)].check(self, block, payload, Around(chain, elsewhere, is_stranded))
        return block, payload, is_stranded

    def _check_place(self, block: DataBlock) -> None:
        if block.network != self.network:
            raise WrongNetwork(f"a block of network {block.network.hex()[:16]}")
        if block.prefix != self.prefix:
            raise InvalidBlock(f"a block of group {block.prefix!r}, this is {self.prefix!r}")
        if block.height <= self.height:
            raise StaleMessage(f"block {block.height} is decided")
        if block.height > self.height + 1:
            raise NotYetKnown(f"block {block.height}, we are at {self.height}")
        if self.is_closed and not (self.closed_by is Kind.MERGE and block.kind is Kind.ABSORB):
            raise InvalidBlock(f"the data chain of group {self.prefix!r} ended at {self.height}")
        if block.previous != self.head:
            raise InvalidBlock(f"block {block.height} does not follow {self.head.hex()[:16]}")

    def _is_stamp_here(self, block: DataBlock, chain: ChainView, *, on_its_word: bool) -> bool:
        """Whether the stamp names the block that is buried here at its height."""
        if block.stamp_height < self.stamp_height:
            raise InvalidBlock(f"stamps go back from {self.stamp_height} to {block.stamp_height}")
        if block.stamp_height + self.genesis.parameters.burial > chain.tip()[0]:
            if on_its_word:
                return False
            raise NotYetKnown(f"chain block {block.stamp_height} is not buried here")
        return chain.block_hash(block.stamp_height) == block.stamp_hash


def _after(
    before: DataChain, block: DataBlock, payload: Payload, hashed: Hash32, around: Around
) -> DataChain:
    """Return the state after a checked block."""
    state = replace(
        before,
        height=block.height,
        head=hashed,
        stamp_height=block.stamp_height,
        stamp_hash=Hash32(block.stamp_hash),
        ending=before if before.is_closed and before.ending is None else before.ending,
        _checked={},
        link_due=False,
    )
    after = RULES[type(payload)].after(state, block, payload, around)
    if not after.is_closed:
        after = settle_slots(after, before)
    assert isinstance(after, DataChain)
    return after


def _founding_book(genesis: Genesis) -> RegistrationBook:
    """Return the book of the founding members' registrations; raises `RequestError`."""
    entries = []
    network = founding_id(genesis)
    for member in genesis.members:
        if not member.registration:
            continue  # a founder may vote without running a paid node
        try:
            entry = check_registration(member.registration, network, genesis.chain, genesis.parameters)
        except (MalformedMessage, WrongNetwork, InvalidSignature) as error:
            raise RequestError(f"founding member {member.operator_key.hex()[:16]}: {error}") from None
        if entry.operator_key != member.operator_key:
            raise RequestError(f"founding member {member.operator_key.hex()[:16]}: another's registration")
        entries.append(entry)
    if len({entry.stake_address for entry in entries}) != len(entries):
        raise RequestError("two founding members have one stake address")
    shared = shared_slots({entry.signer: ip_slot(entry.ip, genesis.parameters) for entry in entries})
    if shared:
        raise RequestError(f"founding member {shared[0].hex()[:16]} shares another's IP address")
    return RegistrationBook.empty(genesis.parameters).apply_all(entries, 0)
