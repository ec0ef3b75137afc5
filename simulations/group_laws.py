"""The laws of a network of many groups: what must hold after every membership change that is certified.

Answers for: what the nodes' own states say is held against the seats as somebody counts them who was never a
node (`seats`); certificates are counted here. Which block brought it about plays no part.
Spec: `spec/simulation.md`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from protocol.crypto import verify_envelope
from protocol.errors import ProtocolError
from protocol.group.certificate import Certificate
from protocol.group.data_chain import DataChain
from protocol.group.vote import Phase, Slot, vote_body
from protocol.units import OperatorKey
from simulations.ledger import Ledger
from simulations.seats import AGES, IPS, SEATS, Group, Kept
from simulations.seats_judged import Breach

CERTIFICATES = "certificates_hold_from_genesis"
NETWORK = "groups_are_the_network"
FULL = 1 << 256
UNION_LINKS = 2
"""LINK blocks with which a union begins."""


@dataclass
class Standing:
    """Where the network stands: the seats as they are counted, and the states that nodes have."""

    ledger: Ledger
    states: dict[str, DataChain] = field(default_factory=dict)
    """By prefix: after the last block of each group that is known."""
    views: Callable[[], Iterable[tuple[str, ...]]] = tuple
    """The prefixes of the groups that there are, as each honest node has them."""

    def groups(self) -> dict[str, Group]:
        """Return the groups by prefix, of halves whose union has certified its first block that union."""
        groups = dict(self.ledger.groups)
        for prefix, union in self.ledger.unions.items():
            if union.links_due < UNION_LINKS:
                del groups[prefix + "0"], groups[prefix + "1"]
                groups[prefix] = union
        return groups

    def live(self) -> Iterator[tuple[Group, DataChain]]:
        """Yield each live group with its state, if any node has one yet.

        In the place of two halves the union that has begun: who shares an address in it has left already.
        """
        for prefix, group in sorted(self.groups().items()):
            state = self.states.get(prefix)
            if state is not None and state.height == group.height:
                yield group, state


def settle(ledger: Ledger, group: Group, state: DataChain) -> Iterator[Breach]:
    """Let those go who share an address, as the rules have it, and tell how else a state differs."""
    members = {member.operator_key: member for member in state.membership.members}
    for key in [key for key in group.members if key not in members]:
        ip = ledger.ips.get(key)
        if all(ledger.ips.get(other) != ip for other in group.members if other != key):
            yield SEATS, f"{key.hex()[:8]} is no member of group {group.prefix!r}, and no block says why"
            continue
        was_due, counts = group.links_due, group.counts
        ledger.dismiss(group, key)
        ledger.change(group)
        group.counts = counts if was_due else group.counts
    for key, member in members.items():
        seat = ledger.seats.get(key)
        if seat is None or key not in group.members:
            yield SEATS, f"{key.hex()[:8]} is a member of group {group.prefix!r}, and no block says why"
        else:
            events = state.events.get(OperatorKey(key), 0)
            if (member.age, events) != (seat.age, seat.events):
                yield AGES, f"{key.hex()[:8]} is {member.age} with {events} events, not {seat}"


def weak(
    certificate: Certificate, network: bytes, electorates: Sequence[Mapping[bytes, int]], what: str
) -> Iterator[Breach]:
    """Count a certificate's valid signatures: more than two thirds of the voters and of their age.

    Of each electorate for itself, and nobody else's.
    """
    slot = Slot(network, certificate.electorate, certificate.height, certificate.round, Phase.PRECOMMIT)
    signers: list[bytes] = []
    for signer, signature in certificate.signatures:
        try:
            verify_envelope(signature + vote_body(slot, certificate.block_hash, signer), signer)
            signers.append(signer)
        except ProtocolError:
            yield CERTIFICATES, f"the certificate of {what} holds a signature that does not"
    if any(all(signer not in electorate for electorate in electorates) for signer in signers):
        yield CERTIFICATES, f"the certificate of {what} is signed by somebody without a vote"
    for electorate in electorates:
        ages = [electorate[signer] for signer in signers if signer in electorate]
        if not (3 * len(ages) > 2 * len(electorate) and 3 * sum(ages) > 2 * sum(electorate.values())):
            yield CERTIFICATES, f"the certificate of {what} has {len(ages)} of {len(electorate)} voters"


def law_prefixes_divide_the_network(standing: Standing) -> Iterator[Breach]:
    """Every name falls to one live group: as the blocks say, and as each honest node has it."""
    for prefixes in {tuple(sorted(standing.ledger.groups)), *standing.views()}:
        is_doubled = any(other.startswith(one) for one, other in zip(prefixes, prefixes[1:], strict=False))
        if is_doubled or sum(FULL >> len(prefix) for prefix in prefixes) != FULL:
            yield NETWORK, f"the groups are {prefixes}"


def law_the_groups_hold_everybody(standing: Standing) -> Iterator[Breach]:
    """The members of all groups, by the states of the nodes, are those who have a member's seat."""
    live = list(standing.live())
    if len(live) < len(standing.groups()):
        return  # of a group that has just begun there is no state yet
    there = {member.operator_key for _, state in live for member in state.membership.members}
    seated = {key for key, seat in standing.ledger.seats.items() if seat.kept is Kept.MEMBER}
    for key in there ^ seated:
        yield NETWORK, f"{key.hex()[:8]} has a member's seat, or a place in a group, and not both"


def law_nobody_is_in_two_groups(standing: Standing) -> Iterator[Breach]:
    """No operator is a member of two groups, by the states of the nodes."""
    seen: dict[bytes, str] = {}
    for group, state in standing.live():
        for member in state.membership.members:
            other = seen.setdefault(member.operator_key, group.prefix)
            if other != group.prefix:
                yield SEATS, f"{member.operator_key.hex()[:8]} is in groups {other!r} and {group.prefix!r}"


def law_every_operator_has_one_seat(standing: Standing) -> Iterator[Breach]:
    """Each seat is kept by the group to which its name falls, and by no other."""
    ledger = standing.ledger
    there = {group.prefix: state for group, state in standing.live()}
    for key, seat in ledger.seats.items():
        group = ledger.holder(seat.bits)
        state = None if group is None else there.get(group.prefix)
        if group is None or state is None:
            continue
        kept = {
            Kept.HOME: key not in state.granted,
            Kept.MEMBER: key in group.members,
            Kept.LEFT: key in state.left,
            Kept.AWAY: key in state.away and state.away[OperatorKey(key)].ticket == seat.ticket,
        }
        if not kept[seat.kept]:
            yield SEATS, f"the seat of {key.hex()[:8]}, {seat.kept.value}, is not in group {group.prefix!r}"


def law_one_ip_in_a_group(standing: Standing) -> Iterator[Breach]:
    """No two members of a group have one address."""
    for group, _ in standing.live():
        ips = [standing.ledger.ips[key] for key in group.members if key in standing.ledger.ips]
        if len(set(ips)) != len(ips):
            yield IPS, f"group {group.prefix!r} has {len(ips)} members at {len(set(ips))} addresses"


LAWS: tuple[Callable[[Standing], Iterator[Breach]], ...] = (
    law_prefixes_divide_the_network,
    law_the_groups_hold_everybody,
    law_nobody_is_in_two_groups,
    law_every_operator_has_one_seat,
    law_one_ip_in_a_group,
)
"""What is asked after every event. Blocks are held against the rules one by one, in `seats`."""
