"""A network of many groups as wallets see it: lists one after the other, members that come, age and go.

The lists are put together here from what they say, not computed from verdicts: their sums hold, their
roots are right, and whoever votes has signed them.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from protocol.codec import replace
from protocol.crypto import Signer, sha3_256, sha256
from protocol.genesis import Genesis, GenesisMember, encode_genesis, period_heights
from protocol.group.membership import Member, Membership
from protocol.group.name import assign_name, matches
from protocol.payout.formula import divide_pool, period_pool
from protocol.payout.light import TrustPoint, trust_from_genesis, trust_from_list, verify_list
from protocol.payout.list_file import encode_list_file
from protocol.payout.list_header import Entry, Head, ListHeader, ListTerms, entries_root, voters_root
from protocol.units import Hash32
from tests.support.payout_world import certify, make_genesis


def operator(number: int) -> Signer:
    """Return the keys of an operator."""
    return Signer(sha256(b"wallet operator %d" % number))


def stake(number: int) -> bytes:
    """Return the stake address of an operator."""
    return b"\x00" + sha256(b"wallet stake %d" % number)[:20]


def founding(signers: Sequence[Signer], age: int = 4) -> Genesis:
    """Return the genesis of a devnet that these founded."""
    keys = sorted(signer.operator_key for signer in signers)
    members = tuple(GenesisMember(operator_key=key, age=age, registration=b"") for key in keys)
    return replace(make_genesis(), members=members)


def member(signer: Signer, age: int, prefixes: Sequence[str], joined: int = 1) -> Member:
    """Return a member in whichever group its name falls to."""
    name = assign_name(age, signer.operator_key, sha3_256(b"entropy"))
    prefix = next(one for one in prefixes if matches(one, name))
    return Member(operator_key=signer.operator_key, age=age, name=name, prefix=prefix, joined=joined)


def equal_groups(count: int) -> tuple[str, ...]:
    """Return the prefixes of so many groups, as equal in size as halving makes them."""
    prefixes = [""]
    for _ in range(count - 1):
        shortest = min(prefixes, key=len)
        prefixes.remove(shortest)
        prefixes += [shortest + "0", shortest + "1"]
    return tuple(sorted(prefixes))


@dataclass(frozen=True, slots=True)
class Made:
    """A list as its voters certify it."""

    header: ListHeader
    entries: tuple[Entry, ...]
    members: tuple[Member, ...]

    def signed(self, signers: Iterable[Signer], trust: TrustPoint) -> bytes:
        """Return the list file with these signers' precommits, over the trust point's electorate."""
        certificate = certify(self.header, signers, trust.electorate)
        return encode_list_file(self.header, self.entries, self.members, certificate)

    def with_header(self, **changes: object) -> "Made":
        """Return the list with another header: what a lying quorum could sign."""
        return Made(replace(self.header, **changes), self.entries, self.members)

    def with_entries(self, entries: Sequence[Entry], **changes: object) -> "Made":
        """Return the list with other entries, to which the header commits."""
        header = replace(
            self.header, entries_count=len(entries), entries_root=entries_root(entries), **changes
        )
        return Made(header, tuple(entries), self.members)


def make_list(
    terms: ListTerms,
    *,
    prefixes: Sequence[str],
    blocks: Sequence[Hash32],
    responses: Mapping[bytes, int],
    members: Iterable[Member],
) -> Made:
    """Return the list that follows from the terms, with so many responses a stake, and these members."""
    first, last = period_heights(terms.genesis, terms.period)
    count = sum(responses.values())
    rewards = period_pool(terms.genesis.chain, first, last)
    each, carried_out = divide_pool(rewards + terms.carried, count)
    entries = tuple(
        Entry(address=address, responses=number, amount=number * each)
        for address, number in sorted(responses.items())
    )
    membership = Membership.of(members)
    header = ListHeader(
        network=terms.network,
        period=terms.period,
        first_height=first,
        last_height=last,
        last_hash=sha256(b"chain block %d" % last),
        previous=terms.previous,
        heads=tuple(
            Head(prefix=prefix, height=last, block_hash=sha256(b"head" + prefix.encode()))
            for prefix in sorted(prefixes)
        ),
        blocks=tuple(blocks),
        rewards=rewards,
        carried_in=terms.carried,
        responses=count,
        per_response=each,
        carried_out=carried_out,
        paid_total=count * each,
        entries_count=len(entries),
        entries_root=entries_root(entries),
        members_count=len(membership),
        members_root=membership.root(),
        voters_root=voters_root(membership.voters()),
    )
    return Made(header, entries, membership.members)


@dataclass
class WalletStory:
    """Consecutive lists: of one group, of two, of three, of two that pay nobody; each electorate differs."""

    genesis: Genesis = field(init=False)
    lists: list[Made] = field(default_factory=list)
    files: list[bytes] = field(default_factory=list)
    trusts: list[TrustPoint] = field(default_factory=list)
    """The trust point before each list, and the one after the last."""
    signers: list[tuple[Signer, ...]] = field(default_factory=list)
    """Who votes on each list, and on the next one; more voters than one byte has bits."""

    def __post_init__(self) -> None:
        founders = [operator(number) for number in range(9)]
        self.genesis = founding(founders)
        self.trusts.append(trust_from_genesis(encode_genesis(self.genesis)))
        self.signers.append(tuple(founders))
        # operator -> age, and who is paid for how many responses
        self._add(
            [""], {n: 4 + (n == 3) for n in range(9) if n != 5} | {9: 0, 10: 0}, dict.fromkeys(range(9), 3)
        )
        ages = {n: 4 + n % 3 for n in range(9) if n != 5} | {9: 1, 10: 1, 11: 0}
        self._add(["0", "1"], ages, {n: 1 + n % 3 for n in range(11) if n not in (4, 5)})
        self._add(["0", "10", "11"], ages | {2: 9, 5: 2, 11: 1}, {n: 3 for n in range(12) if n != 4})
        self._add(["0", "1"], ages | {2: 9, 11: 2}, {})

    def _add(self, prefixes: Sequence[str], ages: Mapping[int, int], paid: Mapping[int, int]) -> None:
        trust, number = self.trusts[-1], len(self.lists)
        made = make_list(
            trust.terms,
            prefixes=prefixes,
            blocks=[sha256(b"verdict block %d of %d" % (n, number)) for n in range(3 * len(prefixes))],
            responses={stake(n): count for n, count in paid.items()},
            members=[member(operator(n), age, prefixes) for n, age in ages.items()],
        )
        left_out = 1 if number else 0  # the founders all sign the first one
        data = made.signed(self.signers[-1][left_out:], trust)
        self.lists.append(made)
        self.files.append(data)
        self.trusts.append(trust_from_list(verify_list(data, trust)))
        self.signers.append(tuple(operator(n) for n, age in ages.items() if age))
