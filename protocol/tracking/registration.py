"""Registrations: an operator names its stake, the stake's owner agrees, and the last word counts.

Answers for: the two statements (register, deregister), both signatures and every check
that needs no chain; and the book that says which registrations are in force at an
anchor. Whether the stake is large enough is `stake`'s business, which entries reach a
data chain the data chain's. The stake key never touches the node: the owner signs one
line of text in a wallet. Spec: `spec/registration.md`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from protocol.chain.address import AddressKind
from protocol.chain.rules import ChainRules
from protocol.chain.signed_message import verify_message
from protocol.codec import U16, U32, AddressBytes, Bytes32, Bytes65, Decoder, IpBytes, Text, Wire, encode
from protocol.codec import replace as replace_fields
from protocol.crypto import Signer, check_operator_key, envelope_body, sha3_256, verify_envelope
from protocol.errors import MalformedMessage, StaleMessage, WrongNetwork
from protocol.parameters import Parameters
from protocol.tracking.diversity import check_routable, is_packed_ip
from protocol.tracking.hostname import is_hostname
from protocol.units import Hash32, OperatorKey

UNSIGNED = b"\x00" * 65
"""Stands for the stake signature in what the stake's owner signs."""
REGISTRATION_SIZE_MAX = 1_024
"""Bytes of the largest registration or deregistration body."""


class Registration(Wire, tag="registration"):
    """An operator, its one stake and where it listens; signed by the operator and by the stake's owner."""

    network: Bytes32
    operator_key: Bytes32
    stake_address: AddressBytes
    stake_sequence: U32
    node_address: AddressBytes
    ip: IpBytes
    port: U16
    fqdn: Text
    """Host of the read-only HTTPS pages, or empty."""
    tls_port: U16
    """Port of those pages; 0 exactly when there is no host."""
    stake_signature: Bytes65

    def __post_init__(self) -> None:
        """What is wrong on every network."""
        if self.stake_address[0] != AddressKind.P2PKH:
            raise ValueError("a stake lies on a P2PKH address: no other can sign a message")
        if self.node_address[0] not in (AddressKind.P2PKH, AddressKind.P2SH):
            raise ValueError("the node address is of no known kind")
        if not is_packed_ip(self.ip) or not self.port:
            raise ValueError("an endpoint is a packed IP address and a port")
        if bool(self.fqdn) != bool(self.tls_port) or (self.fqdn and not is_hostname(self.fqdn)):
            raise ValueError("a TLS host is a lower-case domain name and a port, or neither")

    @property
    def signer(self) -> OperatorKey:
        """Who must have signed the envelope."""
        return OperatorKey(self.operator_key)


class Deregistration(Wire, tag="deregistration"):
    """The stake's owner takes the stake back; nobody else signs it. It leaves a tombstone."""

    network: Bytes32
    operator_key: Bytes32
    """The operator that loses the stake; for readers, the tombstone is the stake address's."""
    stake_address: AddressBytes
    stake_sequence: U32
    stake_signature: Bytes65


Entry = Registration | Deregistration

_decode_registration: Decoder[Registration] = Decoder(Registration, REGISTRATION_SIZE_MAX)
_decode_deregistration: Decoder[Deregistration] = Decoder(Deregistration, REGISTRATION_SIZE_MAX)


def content_digest(entry: Entry) -> Hash32:
    """Return SHA3-256 of the entry with the stake signature left out: what makes two entries different."""
    return sha3_256(encode(replace_fields(entry, stake_signature=UNSIGNED)))


def registration_text(entry: Entry) -> str:
    """Return the line that the stake's owner signs in a wallet."""
    kind = "registration" if isinstance(entry, Registration) else "deregistration"
    return f"zenp2p {kind} {content_digest(entry).hex()}"


def build_registration(
    signer: Signer,
    sign_text: Callable[[str], bytes],
    *,
    network: bytes,
    stake_address: bytes,
    stake_sequence: int,
    node_address: bytes,
    ip: bytes,
    port: int,
    fqdn: str = "",
    tls_port: int = 0,
) -> bytes:
    """Return the envelope; `sign_text` gives the wallet's 65-byte signature of a line."""
    draft = Registration(
        network=network,
        operator_key=signer.operator_key,
        stake_address=stake_address,
        stake_sequence=stake_sequence,
        node_address=node_address,
        ip=ip,
        port=port,
        fqdn=fqdn,
        tls_port=tls_port,
        stake_signature=UNSIGNED,
    )
    return signer.sign(encode(with_stake_signature(draft, sign_text)))


def build_deregistration(
    sign_text: Callable[[str], bytes],
    *,
    network: bytes,
    operator_key: bytes,
    stake_address: bytes,
    stake_sequence: int,
) -> bytes:
    """Return the bytes of a deregistration; `sign_text` as in `build_registration`."""
    draft = Deregistration(
        network=network,
        operator_key=operator_key,
        stake_address=stake_address,
        stake_sequence=stake_sequence,
        stake_signature=UNSIGNED,
    )
    return encode(with_stake_signature(draft, sign_text))


def with_stake_signature(draft: Entry, sign_text: Callable[[str], bytes]) -> Entry:
    """Return the draft with the owner's signature of its text."""
    return replace_fields(draft, stake_signature=sign_text(registration_text(draft)))


def check_registration(
    envelope: bytes, network: bytes, rules: ChainRules, parameters: Parameters
) -> Registration:
    """Return the registration in `envelope` after every check that needs no chain, the cheap ones first.

    Raises `MalformedMessage`, `WrongNetwork` or `InvalidSignature`.
    """
    entry = _decode_registration(envelope_body(envelope))
    _check_network(entry, network)
    check_routable(entry.ip, parameters)
    if parameters.tls_required and not entry.fqdn:
        raise MalformedMessage("this network requires a TLS host")
    verify_envelope(envelope, entry.operator_key)
    check_operator_key(entry.operator_key)
    _verify_stake(entry, rules)
    return entry


def check_deregistration(data: bytes, network: bytes, rules: ChainRules) -> Deregistration:
    """Return the deregistration in `data`, signed by the stake's owner.

    Raises `MalformedMessage`, `WrongNetwork` or `InvalidSignature`.
    """
    entry = _decode_deregistration(data)
    _check_network(entry, network)
    _verify_stake(entry, rules)
    return entry


def registration_home(stake_address: bytes) -> Hash32:
    """Return SHA3-256 of a 21-byte stake address: the group with this prefix registers it."""
    return sha3_256(stake_address)


def _check_network(entry: Entry, network: bytes) -> None:
    if entry.network != network:
        raise WrongNetwork(f"an entry of network {entry.network.hex()[:16]}")


def _verify_stake(entry: Entry, rules: ChainRules) -> None:
    verify_message(registration_text(entry), entry.stake_signature, entry.stake_address, rules.message_magic)


@dataclass(frozen=True, slots=True)
class _Version:
    """What a stake address's owner had said last, up to one stamp and sequence."""

    stamp: int
    sequence: int
    entries: tuple[Entry, ...]
    """The different entries with that sequence, sorted by content; more than one void each other."""
    effective: int
    """Height from which the registration counts."""

    @property
    def registration(self) -> Registration | None:
        """The one registration, or None for a tombstone or entries that void each other."""
        entry = self.entries[0] if len(self.entries) == 1 else None
        return entry if isinstance(entry, Registration) else None


_Timeline = tuple[_Version, ...]
"""A stake address's versions in the order of (stamp, sequence); a void repeats its sequence."""
_Timelines = Mapping[bytes, _Timeline]


@dataclass(frozen=True, slots=True)
class RegistrationBook:
    """Which registrations are in force, as a function of the set of (entry, stamp) applied.

    Frozen: `apply` returns another book. Stamps must not descend from one `apply` to the next; within
    one stamp the order does not matter.
    """

    period_blocks: int
    stamp: int = 0
    """The last stamp applied."""
    _timelines: _Timelines = field(default_factory=lambda: MappingProxyType({}))
    _stakes: Mapping[bytes, tuple[bytes, ...]] = field(default_factory=lambda: MappingProxyType({}))
    """The stake addresses whose timelines have named an operator."""

    @classmethod
    def empty(cls, parameters: Parameters) -> "RegistrationBook":
        """Return the book of a network in which nobody has registered."""
        return cls(parameters.period_blocks)

    def apply(self, entry: Entry, stamp_height: int) -> "RegistrationBook":
        """Return the book after a checked entry that a data block stamped with this height."""
        return self.apply_all((entry,), stamp_height)

    def apply_all(self, entries: Iterable[Entry], stamp_height: int) -> "RegistrationBook":
        """Return the book after all entries of one data block."""
        if stamp_height < self.stamp:
            raise ValueError(f"stamp {stamp_height} after {self.stamp}")
        timelines, stakes = dict(self._timelines), dict(self._stakes)
        touched: set[bytes] = set()
        for entry in entries:
            stake = entry.stake_address
            timelines[stake] = _insert(timelines.get(stake, ()), entry, stamp_height)
            if isinstance(entry, Registration):
                named = stakes.get(entry.operator_key, ())
                stakes[entry.operator_key] = tuple(sorted({*named, stake}))
            for operator_key in _named(timelines[stake]):
                touched.update(stakes[operator_key])
        for stake in sorted(touched):
            timelines[stake] = self._with_effect(stake, timelines, stakes, stamp_height)
        return replace(self, stamp=stamp_height, _timelines=timelines, _stakes=stakes)

    def accepts(self, entry: Entry) -> None:
        """Raise `StaleMessage` when the entry would change nothing, now and for ever."""
        timeline = self._timelines.get(entry.stake_address)
        if timeline is None or entry.stake_sequence > timeline[-1].sequence:
            return
        last = timeline[-1]
        if entry.stake_sequence < last.sequence:
            raise StaleMessage(f"stake sequence {entry.stake_sequence}, {last.sequence} was seen")
        if len(last.entries) > 1 or content_digest(entry) == content_digest(last.entries[0]):
            raise StaleMessage(f"stake sequence {entry.stake_sequence} was used already")

    def last_sequence(self, stake_address: bytes) -> int | None:
        """Return the highest sequence seen for a stake address: its owner's next one is above it."""
        timeline = self._timelines.get(stake_address)
        return timeline[-1].sequence if timeline else None

    def in_force(self, anchor_height: int) -> Mapping[OperatorKey, Registration]:
        """Return the registrations that count at an anchor, sorted by operator.

        An operator that several stakes name has the one that was stamped last; of equal stamps the
        lowest stake address.
        """
        chosen: dict[OperatorKey, tuple[int, Registration]] = {}
        for _, timeline in sorted(self._timelines.items()):
            version = _version_in_force(timeline, anchor_height)
            entry = version.registration if version else None
            if version and entry and chosen.get(entry.signer, (-1,))[0] < version.stamp:
                chosen[entry.signer] = (version.stamp, entry)
        return MappingProxyType({key: entry for key, (_, entry) in sorted(chosen.items())})

    def contested(self, anchor_height: int) -> Mapping[OperatorKey, Registration]:
        """Return the operators, sorted, that have only registrations that void each other at an anchor."""
        in_force = self.in_force(anchor_height)
        void: dict[OperatorKey, Registration] = {}
        for _, timeline in sorted(self._timelines.items()):
            seen = [version for version in timeline if version.stamp <= anchor_height]
            for entry in seen[-1].entries if seen and len(seen[-1].entries) > 1 else ():
                if isinstance(entry, Registration) and entry.signer not in in_force:
                    void.setdefault(entry.signer, entry)
        return MappingProxyType(dict(sorted(void.items())))

    def judged(self, anchor_height: int) -> Mapping[OperatorKey, Registration]:
        """Return everybody who gets a verdict at an anchor: in force or contested, sorted by operator."""
        both = {**self.contested(anchor_height), **self.in_force(anchor_height)}
        return MappingProxyType(dict(sorted(both.items())))

    def pruned(self, anchor_height: int) -> "RegistrationBook":
        """Return a book that says the same of this anchor and all above, without older history.

        Sequences are never forgotten.
        """
        kept = {stake: _prune(timeline, anchor_height) for stake, timeline in self._timelines.items()}
        return replace(self, _timelines=kept)

    def _with_effect(
        self, stake: bytes, timelines: _Timelines, stakes: Mapping[bytes, tuple[bytes, ...]], stamp: int
    ) -> _Timeline:
        """Return a timeline whose versions of this stamp say when they count.

        A first registration counts at once, a change of stake or operator from the next period.
        """
        timeline = timelines[stake]
        next_period = (stamp // self.period_blocks + 1) * self.period_blocks
        versions: list[_Version] = []
        for at, version in enumerate(timeline):
            entry = version.registration
            if version.stamp == stamp and entry:
                others = (timelines[other] for other in stakes[entry.operator_key])
                is_change = any(_held(timeline[:at], stamp)) or any(
                    held.operator_key == entry.operator_key
                    for other in others
                    for held in _held(other, stamp)
                )
                version = replace(version, effective=next_period if is_change else stamp)
            versions.append(version)
        return tuple(versions)


def _insert(timeline: _Timeline, entry: Entry, stamp: int) -> _Timeline:
    """Return the timeline with the entry in its place, or as it was when a higher sequence came before."""
    before = tuple(version for version in timeline if version.stamp < stamp)
    here = {version.sequence: version.entries for version in timeline[len(before) :]}
    sequence = entry.stake_sequence
    if before and sequence < before[-1].sequence:
        return timeline
    known = here.get(sequence, before[-1].entries if before and before[-1].sequence == sequence else ())
    by_content = {content_digest(other): other for other in (entry, *known)}
    if len(by_content) == len(known):
        return timeline
    here[sequence] = tuple(other for _, other in sorted(by_content.items()))
    return before + tuple(_Version(stamp, number, of, stamp) for number, of in sorted(here.items()))


def _named(timeline: _Timeline) -> Iterator[bytes]:
    """Yield the operators that a timeline names."""
    for version in timeline:
        yield from (entry.operator_key for entry in version.entries if isinstance(entry, Registration))


def _held(timeline: _Timeline, stamp: int) -> Iterator[Registration]:
    """Yield the registrations of lower stamps that count or are to count, unless something ended them."""
    for version in reversed(timeline):
        if version.registration is None:
            return
        if version.stamp < stamp:
            yield version.registration
            if version.effective <= stamp:
                return


def _version_in_force(timeline: _Timeline, anchor_height: int) -> _Version | None:
    """Return the version that counts at an anchor; a tombstone or a void ends what was before it."""
    for version in reversed(timeline):
        counts_from = version.effective if version.registration else version.stamp
        if counts_from <= anchor_height:
            return version
    return None


def _prune(timeline: _Timeline, anchor_height: int) -> _Timeline:
    first = _version_in_force(timeline, anchor_height)
    return timeline[timeline.index(first) :] if first else timeline
