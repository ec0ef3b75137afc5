"""The payout list's types, and the laws that hold inside one list.

Answers for: the header that voters certify, the entries below it, and everything
about a list that can be recomputed from the list itself, the genesis file and what
the list before left: the period's heights, the pool, its division, the sums, the order
and the Merkle roots. Which verdicts stand behind the entries is left to `payout_list`
(for those who hold the data chain), who signed to `light` (for those who do not).
Spec: `spec/wallet.md`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from protocol.chain.address import AddressKind
from protocol.codec import (
    MESSAGE_SIZE_MAX,
    U32,
    U64,
    AddressBytes,
    Bytes32,
    Decoder,
    Meta,
    Text,
    Wire,
    encode,
)
from protocol.errors import InvalidBlock, WrongNetwork
from protocol.genesis import Genesis, first_period, network_id, period_heights
from protocol.group.membership import Member, Membership
from protocol.group.quorum import Electorate
from protocol.group.regions import is_partition
from protocol.group.vote import value_hash
from protocol.merkle import merkle_root
from protocol.payout.formula import divide_pool, period_pool
from protocol.units import Hash32, NetworkId, Period, Zatoshi, format_amount

HEADS_MAX = 1_024
"""Groups whose data chains one list may name."""
BLOCKS_MAX = 16_384
"""Verdict blocks that one list may name: half a megabyte, so that a header fits into a proposal."""
ENTRIES_MAX = 100_000
"""Addresses that one list may pay."""


class Head(Wire):
    """How far a group's data chain was read: its last block that the list knows."""

    prefix: Text
    height: U64
    block_hash: Bytes32


class Entry(Wire):
    """What one stake address gets: zatoshi for so many valid responses."""

    address: AddressBytes
    responses: U32
    amount: U64


class ListHeader(Wire, tag="list"):
    """What the voters of the network certify for one period. Amounts are zatoshi."""

    network: Bytes32
    period: U32
    first_height: U32
    last_height: U32
    last_hash: Bytes32
    """Hash of the chain block at `last_height`, in computed order."""
    previous: Bytes32
    """Hash of the list before; the network id for the first list."""
    heads: Annotated[tuple[Head, ...], Meta(min_length=1, max_length=HEADS_MAX)]
    """Sorted by prefix."""
    blocks: Annotated[tuple[Bytes32, ...], Meta(max_length=BLOCKS_MAX)]
    """Verdict blocks whose verdicts are paid, by (prefix, data height)."""
    rewards: U64
    """The nodes' share of the period's subsidies."""
    carried_in: U64
    responses: U32
    per_response: U64
    carried_out: U64
    paid_total: U64
    entries_count: Annotated[int, Meta(ge=0, le=ENTRIES_MAX)]
    entries_root: Bytes32
    members_count: U32
    """Members of all groups, as of the heads."""
    members_root: Bytes32
    voters_root: Bytes32
    """Over those of them that sign the next list: all that a wallet needs in order to go on."""

    def __post_init__(self) -> None:
        """One set of heads and blocks has one spelling, and every name has one group."""
        prefixes = [head.prefix for head in self.heads]
        if prefixes != sorted(set(prefixes)) or any(prefix.strip("01") for prefix in prefixes):
            raise ValueError("heads must be sorted by prefix bits, each once")
        if not is_partition(prefixes):
            raise ValueError("the heads' groups do not divide the name space between them")
        if len(set(self.blocks)) != len(self.blocks):
            raise ValueError("a verdict block is named twice")


@dataclass(frozen=True, slots=True)
class ListTerms:
    """What is settled before a list is made: its period, the list it follows, the zatoshi it inherits."""

    genesis: Genesis
    network: NetworkId
    period: Period
    previous: Hash32
    carried: Zatoshi


decode_header: Decoder[ListHeader] = Decoder(ListHeader, MESSAGE_SIZE_MAX)
"""Return the header that bytes encode; raises `MalformedMessage`."""


def list_hash(header: ListHeader) -> Hash32:
    """Return the hash by which a list is certified, followed and paid: SHA3-256 of its header's bytes."""
    return value_hash(encode(header))


def first_terms(genesis: Genesis) -> ListTerms:
    """Return the terms of a network's first list."""
    network = network_id(genesis)
    return ListTerms(
        genesis=genesis,
        network=network,
        period=first_period(genesis),
        previous=Hash32(network),
        carried=Zatoshi(genesis.carried),
    )


def next_terms(terms: ListTerms, header: ListHeader) -> ListTerms:
    """Return the terms of the list after `header`."""
    return ListTerms(
        genesis=terms.genesis,
        network=terms.network,
        period=Period(header.period + 1),
        previous=list_hash(header),
        carried=Zatoshi(header.carried_out),
    )


def entry_leaves(entries: Sequence[Entry]) -> list[bytes]:
    """Return the Merkle leaves of the entries: their canonical bytes, in order."""
    return [encode(entry) for entry in entries]


def entries_root(entries: Sequence[Entry]) -> Hash32:
    """Return the Merkle root of the entries."""
    return merkle_root(entry_leaves(entries))


def voters_root(electorate: Electorate) -> Hash32:
    """Return the Merkle root of voters: over the canonical bytes of key and age, in order of the keys."""
    return merkle_root([encode(voter) for voter in electorate.voters])


def check_header(header: ListHeader, terms: ListTerms) -> None:
    """Raise `WrongNetwork` or `InvalidBlock` unless the header follows from the terms.

    Checks its place among the lists and every amount but those of the entries.
    """
    if header.network != terms.network:
        raise WrongNetwork(
            f"the list is of network {header.network.hex()[:16]}, "
            f"the genesis file is of {terms.network.hex()[:16]}"
        )
    if header.period != terms.period:
        behind = ", which is behind the trust point" if header.period < terms.period else ""
        raise InvalidBlock(f"the list is of period {header.period}{behind}: period {terms.period} comes next")
    if header.previous != terms.previous:
        raise InvalidBlock(f"the list does not follow list {terms.previous.hex()[:16]}")
    if (header.first_height, header.last_height) != period_heights(terms.genesis, terms.period):
        raise InvalidBlock(
            f"heights {header.first_height} to {header.last_height} are not those of period {header.period}"
        )
    _check_amounts(header, terms)


def _check_amounts(header: ListHeader, terms: ListTerms) -> None:
    """Raise `InvalidBlock` unless the header's sums are what the formula makes of the terms."""
    rewards = period_pool(terms.genesis.chain, header.first_height, header.last_height)
    if (header.rewards, header.carried_in) != (rewards, terms.carried):
        raise InvalidBlock(
            f"the pool is {format_amount(rewards)} and {format_amount(terms.carried)} carried in, "
            f"the list says {format_amount(header.rewards)} and {format_amount(header.carried_in)}"
        )
    pool = rewards + terms.carried
    if header.paid_total > pool:
        raise InvalidBlock(
            f"the list pays {format_amount(header.paid_total)}, its pool holds only {format_amount(pool)}"
        )
    per_response, carried_out = divide_pool(pool, header.responses)
    if (header.per_response, header.carried_out) != (per_response, carried_out):
        raise InvalidBlock(
            f"{header.responses} responses get {format_amount(per_response)} each and carry "
            f"{format_amount(carried_out)}, the list says {format_amount(header.per_response)} and "
            f"{format_amount(header.carried_out)}"
        )
    if header.paid_total != header.responses * per_response:
        raise InvalidBlock(
            f"the list says it pays {format_amount(header.paid_total)}, "
            f"not {format_amount(header.responses * per_response)}"
        )


def check_entries(header: ListHeader, entries: Sequence[Entry]) -> None:
    """Raise `InvalidBlock` unless these are the header's entries and add up to what it says."""
    _check_order(entries)
    _check_sums(header, entries)
    for entry in entries:
        check_entry(header, entry)
    if entries_root(entries) != header.entries_root:
        raise InvalidBlock("the entries are not those that the list commits to")


def check_entry(header: ListHeader, entry: Entry) -> None:
    """Raise `InvalidBlock` unless an address that can hold a stake gets its responses at the list's price."""
    if entry.address[0] != AddressKind.P2PKH:
        raise InvalidBlock(f"address {entry.address.hex()} cannot hold a stake")
    if not entry.responses or entry.amount != entry.responses * header.per_response:
        raise InvalidBlock(
            f"address {entry.address.hex()} gets {format_amount(entry.amount)} for {entry.responses} "
            f"responses at {format_amount(header.per_response)} each"
        )


def _check_order(entries: Sequence[Entry]) -> None:
    """Raise `InvalidBlock` unless the addresses ascend, each once."""
    for before, entry in zip(entries, entries[1:], strict=False):
        if before.address == entry.address:
            raise InvalidBlock(f"address {entry.address.hex()} stands in the list twice")
        if before.address > entry.address:
            raise InvalidBlock(f"the entries are not sorted: {entry.address.hex()} stands too late")


def _check_sums(header: ListHeader, entries: Sequence[Entry]) -> None:
    """Raise `InvalidBlock` unless the entries add up to the header's totals, within the pool."""
    amount, pool = sum(entry.amount for entry in entries), header.rewards + header.carried_in
    if amount > pool:
        raise InvalidBlock(
            f"the entries add up to {format_amount(amount)}, more than the pool of {format_amount(pool)}"
        )
    if amount != header.paid_total:
        raise InvalidBlock(
            f"the entries add up to {format_amount(amount)}, "
            f"the list says it pays {format_amount(header.paid_total)}"
        )
    responses = sum(entry.responses for entry in entries)
    if (len(entries), responses) != (header.entries_count, header.responses):
        raise InvalidBlock(
            f"{len(entries)} entries with {responses} responses, "
            f"the list says {header.entries_count} with {header.responses}"
        )


def check_members(header: ListHeader, members: Sequence[Member]) -> Electorate:
    """Return the voters of the next list; raises `InvalidBlock` unless the members are the header's."""
    try:
        membership = Membership(members=tuple(members))
    except ValueError as error:
        raise InvalidBlock(f"the members for the next list: {error}") from None
    if len(members) != header.members_count or membership.root() != header.members_root:
        raise InvalidBlock("the members for the next list are not those that the list commits to")
    prefixes = {head.prefix for head in header.heads}
    if not all(member.prefix in prefixes for member in members):
        raise InvalidBlock("a member for the next list is of a group that the list does not state")
    electorate = membership.voters()
    check_voters(header, electorate)
    return electorate


def check_voters(header: ListHeader, electorate: Electorate) -> None:
    """Raise `InvalidBlock` unless these are the voters whom the header lets sign the next list."""
    if voters_root(electorate) != header.voters_root:
        raise InvalidBlock("the voters for the next list are not those that the list commits to")
