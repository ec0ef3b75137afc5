"""A group's data chain: which block may follow, and what each block changes.

Answers for: the state after any number of blocks (members, registrations, who holds
which IP slot, which challenges are judged) is a frozen value, a pure function of the
genesis file and the blocks; and a block is accepted only where the rules make it from
that state and from the chain. Blocks are agreed on by `consensus`, made by `blockmaker`
and stored by the node; what a VERDICT block must say is `verdict_block`'s business.
Spec: `spec/data_chain.md`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

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
    CertifiedBlock,
    DataBlock,
    EvidencePayload,
    LinkPayload,
    Payload,
    RegisterPayload,
    VerdictPayload,
    block_hash,
    decode_block,
    decode_payload,
)
from protocol.group.membership import Membership, genesis_membership, shared_slots
from protocol.group.name import matches
from protocol.group.quorum import Electorate
from protocol.group.verdict_block import Judging, check_payload, check_without_chain
from protocol.group.vote import check_equivocation, group_electorate
from protocol.tracking.challenge import Challenge, challenge_draw, derive_challenge
from protocol.tracking.diversity import ip_slot
from protocol.tracking.registration import (
    Entry,
    RegistrationBook,
    check_deregistration,
    check_registration,
)
from protocol.tracking.verdict import Reason, Registrations, Verdict
from protocol.units import Hash32, NetworkId, OperatorKey

Checked = tuple[DataBlock, Payload]
CHECKED_MAX = 4
"""Accepted blocks that one state remembers, so that deciding one does not check it twice."""


@dataclass(frozen=True, slots=True)
class Judged:
    """Where a challenge was judged."""

    height: int
    """Of the VERDICT block in the group's data chain."""
    block_hash: Hash32
    anchor_hash: Hash32


@dataclass(frozen=True, slots=True)
class DataChain:
    """The state after a block. `apply` returns the next one; nothing here ever changes."""

    genesis: Genesis
    network: NetworkId
    prefix: str
    height: int
    """Of the last block; 0 before the first."""
    head: Hash32
    """Hash of the last block; the network id before the first."""
    stamp_height: int
    """Chain height that the last block stamps; stamps never go back."""
    stamp_hash: Hash32
    """Hash of the chain block that it stamps; the network id before the first."""
    membership: Membership
    link: int
    """Number of the last link; the founding is link 0."""
    link_due: bool
    """Whether the members changed, so that the next block must be a LINK."""
    book: RegistrationBook
    holders: Mapping[bytes, OperatorKey]
    """IP slot -> who had the last VALID verdict there."""
    judged: Mapping[int, Judged]
    """By challenge."""
    electorate: Electorate
    """Who certifies the next block."""
    _checked: dict[Hash32, Checked] = field(default_factory=dict, repr=False, compare=False)

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
            holders=MappingProxyType({}),
            judged=MappingProxyType({}),
            electorate=membership.voters(),
        )

    @property
    def electorate_name(self) -> str:
        """The name under which this group's voters vote."""
        return group_electorate(self.prefix)

    def challenge(self, seq: int, chain: ChainView) -> Challenge:
        """Return challenge `seq`, if this chain has it; raises `NotYetKnown` or `InvalidBlock`."""
        if seq * self.genesis.parameters.challenge_every < self.genesis.first_challenge_height:
            raise InvalidBlock(f"challenge {seq} is before the first one")
        return derive_challenge(seq, chain, self.genesis.parameters)

    def judging(self, challenge: Challenge) -> Judging:
        """Return what this state says of a challenge that is to be judged."""
        anchor = challenge.anchor_height
        return Judging(
            network=self.network,
            challenge=challenge,
            electorate=self.electorate,
            ages={member.operator_key: member.age for member in self.membership.members},
            registrations=self._ours(self.book.in_force(anchor), challenge.anchor_hash),
            contested=self._ours(self.book.contested(anchor), challenge.anchor_hash),
            holders=self.holders,
            parameters=self.genesis.parameters,
        )

    def _ours(self, registrations: Registrations, anchor_hash: Hash32) -> Registrations:
        """Return the registrations of the operators that fall to this group in a challenge."""
        return {
            key: entry
            for key, entry in registrations.items()
            if matches(self.prefix, challenge_draw(anchor_hash, key))
        }

    def is_stranded(self, chain: ChainView) -> bool:
        """Whether the last block stamps a chain block that another one has replaced."""
        here = chain.block_hash(self.stamp_height)
        return self.height > 0 and here not in (None, self.stamp_hash)

    def check_block(self, body: bytes, chain: ChainView) -> DataBlock:
        """Return the block in `body` if it may follow.

        Raises `NotYetKnown` when our chain or data chain is too short to say, `StaleMessage` for a height
        that is decided, a challenge that is judged or an entry that changes nothing, `Stranded` when the
        only fault is that its stamp is not on our chain, else `InvalidBlock`.
        """
        block, _, is_stranded = self._examine(body, chain)
        if is_stranded:
            raise Stranded(f"chain block {block.stamp_height} is another one here")
        return block

    def _examine(
        self, body: bytes, chain: ChainView, *, on_its_word: bool = False
    ) -> tuple[DataBlock, Payload, bool]:
        """Return a block without a fault of its own, and whether it is stranded; raises as `check_block`."""
        hashed = block_hash(body)
        known = self._checked.get(hashed)
        if known is not None:
            return *known, False
        try:
            block, payload, is_stranded = self._check(body, chain, on_its_word=on_its_word)
        except (MalformedMessage, WrongNetwork, InvalidSignature, InvalidProof, NotAMember) as error:
            raise InvalidBlock(str(error)) from None
        if not is_stranded:
            if len(self._checked) >= CHECKED_MAX:
                self._checked.clear()
            self._checked[hashed] = block, payload
        return block, payload, is_stranded

    def forget_checks(self) -> None:
        """Check every block again from now on: the chain on which it was found good is another one."""
        self._checked.clear()

    def apply(self, certified: CertifiedBlock, chain: ChainView, *, on_its_word: bool = False) -> "DataChain":
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
            block, payload, is_stranded = self._examine(certified.block, chain, on_its_word=on_its_word)
        except StaleMessage as error:
            raise InvalidBlock(f"certified, though {error}") from None
        if is_stranded and not on_its_word:
            raise Stranded(f"chain block {block.stamp_height} is another one here")
        return _after(self, block, payload, hashed)

    def _check(self, body: bytes, chain: ChainView, *, on_its_word: bool) -> tuple[DataBlock, Payload, bool]:
        """Return a block, its payload, and whether its stamp, its only fault, is not on our chain."""
        block = decode_block(body)
        self._check_place(block)
        is_stranded = not self._is_stamp_here(block, chain, on_its_word=on_its_word)
        payload = decode_payload(block)
        if self.link_due != isinstance(payload, LinkPayload):
            raise InvalidBlock("a LINK block follows a change of the members, and nothing else")
        match payload:
            case LinkPayload():
                self._check_link(payload)
            case RegisterPayload():
                for entry in self._entries(payload):
                    self.book.accepts(entry)
            case VerdictPayload() if is_stranded:
                self._check_stranded_verdict(block, payload)
            case VerdictPayload():
                self._check_verdict(block, payload, chain)
            case EvidencePayload():
                self._check_evidence(payload)
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

    def _check_link(self, payload: LinkPayload) -> None:
        expected = (self.link + 1, len(self.membership), self.membership.root())
        if (payload.number, payload.members_count, payload.members_root) != expected:
            raise InvalidBlock(f"link {self.link + 1} has {len(self.membership)} other members")

    def _entries(self, payload: RegisterPayload) -> tuple[Entry, ...]:
        """Return the entries of a REGISTER block, their signatures checked."""
        rules, parameters = self.genesis.chain, self.genesis.parameters
        registrations = [
            check_registration(envelope, self.network, rules, parameters)
            for envelope in payload.registrations
        ]
        deregistrations = [
            check_deregistration(data, self.network, rules) for data in payload.deregistrations
        ]
        return (*registrations, *deregistrations)

    def _check_verdict(self, block: DataBlock, payload: VerdictPayload, chain: ChainView) -> None:
        if payload.seq in self.judged:
            raise StaleMessage(f"challenge {payload.seq} is judged")
        challenge = self.challenge(payload.seq, chain)
        if block.stamp_height < challenge.closes:
            # Else a later block could still register somebody for a challenge that is judged.
            raise InvalidBlock(f"challenge {payload.seq} is judged under a stamp before its close")
        check_payload(self.judging(challenge), payload, chain)

    def _check_stranded_verdict(self, block: DataBlock, payload: VerdictPayload) -> None:
        """Check what needs no chain: the balances and answers were those of a branch that is gone."""
        parameters = self.genesis.parameters
        anchor = payload.seq * parameters.challenge_every
        if payload.seq in self.judged:
            raise StaleMessage(f"challenge {payload.seq} is judged")
        if anchor < self.genesis.first_challenge_height:
            raise InvalidBlock(f"challenge {payload.seq} is before the first one")
        if block.stamp_height < anchor + parameters.response_window:
            raise InvalidBlock(f"challenge {payload.seq} is judged under a stamp before its close")
        registered = {**self.book.in_force(anchor), **self.book.contested(anchor)}
        ours = self._ours(registered, Hash32(payload.anchor_hash))
        check_without_chain(self.network, self.electorate, ours, payload)

    def _check_evidence(self, payload: EvidencePayload) -> None:
        guilty = [check_equivocation(proof, self.network) for proof in payload.proofs]
        if guilty != sorted(set(guilty)):
            raise InvalidBlock("proofs must be sorted by the member that they convict, one each")
        for key in guilty:
            if key not in self.membership:
                raise StaleMessage(f"{key.hex()[:16]} is no member")
        if all(voter.operator_key in guilty for voter in self.electorate.voters):
            raise InvalidBlock("a group without voters could never do anything again")


def _after(state: DataChain, block: DataBlock, payload: Payload, hashed: Hash32) -> DataChain:
    """Return the state after a checked block."""
    state = replace(
        state,
        height=block.height,
        head=hashed,
        stamp_height=block.stamp_height,
        stamp_hash=Hash32(block.stamp_hash),
        _checked={},
        link_due=False,
    )
    match payload:
        case LinkPayload():
            return replace(state, link=payload.number)
        case RegisterPayload():
            entries = state._entries(payload)
            return replace(state, book=state.book.apply_all(entries, block.stamp_height))
        case VerdictPayload():
            judged = Judged(block.height, hashed, Hash32(payload.anchor_hash))
            return replace(
                state,
                judged=MappingProxyType({**state.judged, payload.seq: judged}),
                holders=holders_after(state.holders, payload.verdicts),
            )
        case EvidencePayload():
            membership = state.membership
            for proof in payload.proofs:
                membership = membership.remove(check_equivocation(proof, state.network))
            return replace(state, membership=membership, electorate=membership.voters(), link_due=True)


def holders_after(
    holders: Mapping[bytes, OperatorKey], verdicts: tuple[Verdict, ...]
) -> Mapping[bytes, OperatorKey]:
    """Return who had the last VALID verdict at each slot; nobody holds two."""
    valid = {
        OperatorKey(verdict.operator_key): verdict.slot
        for verdict in verdicts
        if verdict.reason is Reason.VALID and verdict.slot
    }
    kept = {slot: key for slot, key in holders.items() if key not in valid}
    kept.update((slot, key) for key, slot in valid.items())
    return MappingProxyType(dict(sorted(kept.items())))


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
