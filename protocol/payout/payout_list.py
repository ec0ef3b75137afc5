"""The payout list of a period, as every voter computes it for itself.

Answers for: that the same verdict blocks give the same bytes everywhere, and that a
voter signs only what it found itself: `check_list` recomputes the whole list up to the
heads that a proposal states. That the blocks are certified and right is
`protocol.group.data_chain`'s business; which of them count is `list_blocks`', who is
paid by them `claims`', the sums are `list_header`'s. Spec: `spec/payout_list.md`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Protocol

from protocol.chain.view import ChainView
from protocol.codec import U32, U64, Bytes32, Meta, Wire
from protocol.errors import InvalidBlock, NotYetKnown, Stranded
from protocol.genesis import Genesis, first_period, network_id, period_heights
from protocol.group.membership import Member, Membership
from protocol.group.void import Void
from protocol.payout.claims import Claim, VerdictRecord, merge_entries, resolve_claims
from protocol.payout.formula import divide_pool, period_pool
from protocol.payout.list_blocks import (
    Reach,
    check_complete,
    check_heads,
    is_within,
    listable_challenges,
    period_challenges,
    select_records,
)
from protocol.payout.list_header import (
    BLOCKS_MAX,
    HEADS_MAX,
    Entry,
    Head,
    ListHeader,
    ListTerms,
    check_header,
    decode_header,
    entries_root,
    list_hash,
    voters_root,
)
from protocol.units import Hash32, NetworkId, Period, Zatoshi

CLAIMS_MAX = 1 << 20
"""Valid responses of one period: 5,000 operators give 35,000 in a week."""


class ListState(Wire, tag="list-state"):
    """What the certified lists so far leave for the next one.

    A pure function of them and of the blocks that they name; canonical, so that a node may
    store it instead of computing all lists again.
    """

    network: Bytes32
    period: U32
    """The period of the next list."""
    previous: Bytes32
    carried: U64
    heads: Annotated[tuple[Head, ...], Meta(max_length=HEADS_MAX)]
    """Up to which the last list was read: the next one is not read less far."""
    blocks: Annotated[tuple[Bytes32, ...], Meta(max_length=BLOCKS_MAX)]
    """The verdict blocks that the last list used."""
    claims: Annotated[tuple[Claim, ...], Meta(max_length=CLAIMS_MAX)]
    """What it paid of its own period, by (seq, operator)."""


@dataclass(frozen=True, slots=True)
class PayoutList:
    """A computed list: what is certified, what it commits to, and what it leaves for the next."""

    header: ListHeader
    entries: tuple[Entry, ...]
    members: tuple[Member, ...]
    state: ListState


class ListSource(Protocol):
    """What a voter holds of the groups' data chains, certified and checked."""

    def heads(self) -> tuple[Head, ...]:
        """Return the head of each group that there is, sorted by prefix: a partition of the name space."""

    def reach(self, heads: tuple[Head, ...]) -> Reach:
        """Return by prefix which blocks are behind these heads, which are held.

        Those of groups that have split or merged since are among them, and none that are void.
        """

    def voids(self, heads: tuple[Head, ...]) -> Sequence[Void]:
        """Return what does not count as of these heads, which are held."""

    def block_hash(self, prefix: str, height: int) -> Hash32 | None:
        """Return the hash that a group had as its head at a data height, or None when that is not held.

        Of a block, or of what a group began with: a split's block, the hash of a merge, the genesis file.
        """

    def verdict_records(self, first_seq: int, last_seq: int) -> Iterable[VerdictRecord]:
        """Return the VERDICT blocks of these challenges (both inclusive), in any order."""

    def members(self, heads: tuple[Head, ...]) -> tuple[Member, ...]:
        """Return the members of all groups as of these heads, sorted by operator key."""


def first_state(genesis: Genesis) -> ListState:
    """Return the state before a network's first list."""
    network = network_id(genesis)
    return ListState(
        network=network,
        period=first_period(genesis),
        previous=network,
        carried=genesis.carried,
        heads=(),
        blocks=(),
        claims=(),
    )


def state_terms(genesis: Genesis, state: ListState) -> ListTerms:
    """Return the terms of the list that follows `state`."""
    return ListTerms(
        genesis=genesis,
        network=NetworkId(state.network),
        period=Period(state.period),
        previous=Hash32(state.previous),
        carried=Zatoshi(state.carried),
    )


def check_due(genesis: Genesis, state: ListState, source: ListSource, chain: ChainView) -> None:
    """Raise `NotYetKnown` while it is too early to propose the next list up to our own heads."""
    _buried_hash(genesis, period_heights(genesis, state.period)[1], chain)
    _check_heads(state.heads, source)
    records = _listable_records(genesis, state, source)
    check_complete(genesis, state.period, source.reach(source.heads()), records, chain)


def propose_list(genesis: Genesis, state: ListState, source: ListSource, chain: ChainView) -> PayoutList:
    """Return the next list up to our own heads.

    Raises `NotYetKnown` while it is too early, or what is behind the list before is missing after a start.
    """
    _check_heads(state.heads, source)
    return _list_up_to(source.heads(), genesis, state, source, chain, wait=True)


def check_list(
    value: bytes, genesis: Genesis, state: ListState, source: ListSource, chain: ChainView
) -> PayoutList:
    """Return the list whose header `value` is, before we vote for it: recomputed from our own blocks.

    Raises `NotYetKnown` when it states blocks that we do not hold or comes too early, `Stranded` when its
    only fault is that its last chain block is not on our chain, and `MalformedMessage`, `WrongNetwork` or
    `InvalidBlock` when it is not the list.
    """
    return _recompute(value, genesis, state, source, chain, wait=True)


def recompute_list(
    value: bytes, genesis: Genesis, state: ListState, source: ListSource, chain: ChainView
) -> PayoutList:
    """Return the list whose header `value` is, once it is certified: like `check_list`, but without waiting.

    What a quorum has found complete is not held back because we would have waited longer.
    """
    return _recompute(value, genesis, state, source, chain, wait=False)


def stranded_list(value: bytes, genesis: Genesis, state: ListState, source: ListSource) -> PayoutList:
    """Return the list whose header `value` is, though our chain has left the branch that it was made on.

    Which challenges were on that branch is taken from the blocks that it names; everything else is computed
    from our own. Raises as `check_list` does, but never `Stranded`.
    """
    header = decode_header(value)
    check_header(header, state_terms(genesis, state))
    _check_heads(header.heads, source)
    listable = listable_challenges(genesis, state.period)
    reach = source.reach(header.heads)
    check_heads(header.heads, reach, state.heads, source.voids(header.heads))
    named = frozenset(header.blocks).difference(state.blocks)
    used = [
        record
        for record in source.verdict_records(listable.start, listable.stop - 1)
        if record.block_hash in named and is_within(reach, record)
    ]
    used.sort(key=lambda record: (record.prefix, record.height))
    members = source.members(header.heads)
    ours = _make_list(genesis, state, header.heads, used, members, Hash32(header.last_hash))
    return _same(header, ours)


def compute_list(
    genesis: Genesis,
    state: ListState,
    heads: tuple[Head, ...],
    reach: Reach,
    records: Iterable[VerdictRecord],
    members: tuple[Member, ...],
    chain: ChainView,
) -> PayoutList:
    """Return the list after `state` from the verdict blocks up to `heads`, given in any order.

    `reach` says up to where `heads` read each group. Blocks that do not belong into this list are left out.
    Raises `NotYetKnown` while the period's last block is not buried, `InvalidBlock` for members twice.
    """
    used = select_records(genesis, state.period, reach, records, state.blocks, chain)
    last_hash = _buried_hash(genesis, period_heights(genesis, state.period)[1], chain)
    return _make_list(genesis, state, heads, used, members, last_hash)


def _make_list(
    genesis: Genesis,
    state: ListState,
    heads: tuple[Head, ...],
    used: Sequence[VerdictRecord],
    members: tuple[Member, ...],
    last_hash: Hash32,
) -> PayoutList:
    """Return the list after `state` that these verdict blocks give, sorted by (prefix, data height)."""
    ages = {member.operator_key: member.age for member in members}
    claims = resolve_claims(used, state.claims, subnet_limit=genesis.parameters.subnet_limit, ages=ages)
    first, last = period_heights(genesis, state.period)
    rewards = period_pool(genesis.chain, first, last)
    per_response, carried_out = divide_pool(rewards + state.carried, len(claims))
    entries = merge_entries(claims, per_response)
    membership = _membership(members)
    header = ListHeader(
        network=state.network,
        period=state.period,
        first_height=first,
        last_height=last,
        last_hash=last_hash,
        previous=state.previous,
        heads=heads,
        blocks=tuple(record.block_hash for record in used),
        rewards=rewards,
        carried_in=state.carried,
        responses=len(claims),
        per_response=per_response,
        carried_out=carried_out,
        paid_total=len(claims) * per_response,
        entries_count=len(entries),
        entries_root=entries_root(entries),
        members_count=len(members),
        members_root=membership.root(),
        voters_root=voters_root(membership.voters()),
    )
    own = period_challenges(genesis, state.period)
    state_after = _next_state(header, tuple(claim for claim in claims if claim.seq in own))
    return PayoutList(header, entries, members, state_after)


def _recompute(
    value: bytes, genesis: Genesis, state: ListState, source: ListSource, chain: ChainView, *, wait: bool
) -> PayoutList:
    """Return our own list up to the heads that a header states; raises unless it has the same header."""
    header = decode_header(value)
    check_header(header, state_terms(genesis, state))
    _check_heads(header.heads, source)
    if header.last_hash != _buried_hash(genesis, header.last_height, chain):
        stranded_list(value, genesis, state, source)
        raise Stranded(f"chain block {header.last_height} is another one here")
    return _same(header, _list_up_to(header.heads, genesis, state, source, chain, wait=wait))


def _same(header: ListHeader, ours: PayoutList) -> PayoutList:
    """Return our own list; raises `InvalidBlock` unless it has this header."""
    if ours.header != header:
        fields = ListHeader.__struct_fields__
        differing = [name for name in fields if getattr(header, name) != getattr(ours.header, name)]
        raise InvalidBlock(f"the list is not what its blocks give: {', '.join(differing)} differ")
    return ours


def _list_up_to(
    heads: tuple[Head, ...],
    genesis: Genesis,
    state: ListState,
    source: ListSource,
    chain: ChainView,
    *,
    wait: bool,
) -> PayoutList:
    """Return the list up to `heads` from what we hold; with `wait`, `NotYetKnown` while it is too early."""
    _buried_hash(genesis, period_heights(genesis, state.period)[1], chain)
    records, reach = _listable_records(genesis, state, source), source.reach(heads)
    check_heads(heads, reach, state.heads, source.voids(heads))
    if wait:
        check_complete(genesis, state.period, reach, records, chain)
    return compute_list(genesis, state, heads, reach, records, source.members(heads), chain)


def _listable_records(genesis: Genesis, state: ListState, source: ListSource) -> tuple[VerdictRecord, ...]:
    """Return the verdict blocks that we hold of the challenges that the next list may name."""
    listable = listable_challenges(genesis, state.period)
    return tuple(source.verdict_records(listable.start, listable.stop - 1))


def _next_state(header: ListHeader, claims: tuple[Claim, ...]) -> ListState:
    """Return what a list leaves for the next one; `claims` are those of its own period."""
    return ListState(
        network=header.network,
        period=header.period + 1,
        previous=list_hash(header),
        carried=header.carried_out,
        heads=header.heads,
        blocks=header.blocks,
        claims=claims,
    )


def _buried_hash(genesis: Genesis, height: int, chain: ChainView) -> Hash32:
    """Return the hash of a chain block; raises `NotYetKnown` while it is not buried."""
    block_hash = chain.block_hash(height)
    if block_hash is None or chain.tip()[0] < height + genesis.parameters.burial:
        raise NotYetKnown(f"height {height}, the last of the period, is not buried yet")
    return block_hash


def _membership(members: tuple[Member, ...]) -> Membership:
    """Return the members of all groups; raises `InvalidBlock` for heads with somebody in two of them."""
    try:
        return Membership(members=members)
    except ValueError as error:
        raise InvalidBlock(f"as of the stated heads: {error}") from None


def _check_heads(heads: tuple[Head, ...], source: ListSource) -> None:
    """Raise `NotYetKnown` unless we hold the data chains up to `heads`, `InvalidBlock` if ours differ.

    That they divide the name space is the header's own law; of our groups they may be those of before a
    split or merge that we hold already.
    """
    for head in heads:
        ours = source.block_hash(head.prefix, head.height)
        if ours is None:
            raise NotYetKnown(f"the list states {_place(head)}, which we do not hold yet")
        if ours != head.block_hash:
            raise InvalidBlock(f"the list states another {_place(head)} than ours")


def _place(head: Head) -> str:
    return f"data block {head.height}" + (f" of group {head.prefix}" if head.prefix else "")
