"""What the node machine asks of its shell, and what the shell hands in.

The shell carries a batch of effects out in this order: every `Persist` (one write
batch, one fsync when one of them is `durable`), every `RecordVote` (the vote file,
fsynced), then the messages in their order, then the announcements. So a statement
that is not on disk is never sent. Spec: `spec/node.md`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from protocol.group.vote import Slot
from protocol.units import Hash32, OperatorKey

Scalar = str | int | bool | None
News = dict[str, Scalar]


@dataclass(frozen=True, slots=True)
class Incoming:
    """One message from the network: who handed it over (authenticated), from where, on which topic.

    `topic` is "" for a message sent to this node directly. The peer that hands a gossip message on
    is not its author: nothing in `data` is trusted for having come from `peer`. `data` is a
    kind byte and a payload, size-checked by the transport.
    """

    peer: OperatorKey
    ip: bytes
    topic: str
    data: bytes


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What became of a `Probe`: the authenticated remote address and reply, or nothing."""

    token: int
    ip: bytes
    reply: bytes
    fast: bool
    """Whether the reply came within the dial-back deadline."""
    tls_valid: bool = False
    """Whether the TLS host that was asked about showed a valid certificate there."""


@dataclass(frozen=True, slots=True)
class RecordVote:
    """Append (slot, content hash) to the vote file and wait for the disk."""

    slot: Slot
    content_hash: Hash32


class Persist(NamedTuple):
    """Write `value` under `key`, or delete the key when `value` is None."""

    key: bytes
    value: bytes | None
    durable: bool = False


@dataclass(frozen=True, slots=True)
class Compact:
    """Give back the space of what was overwritten between two keys; beside everything else, when it suits."""

    first: bytes
    last: bytes


@dataclass(frozen=True, slots=True)
class Send:
    """Hand `data` to one peer."""

    peer: OperatorKey
    data: bytes


@dataclass(frozen=True, slots=True)
class Publish:
    """Gossip `data` on `topic`."""

    topic: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Probe:
    """Dial `ip`:`port` anew, authenticate `peer` there, ask `data`, and hand in a `ProbeResult`.

    Where `fqdn` is not empty, see too whether `ip`:`tls_port` has a certificate that is valid for it.
    """

    token: int
    peer: OperatorKey
    ip: bytes
    port: int
    data: bytes
    deadline_seconds: int
    fqdn: str = ""
    tls_port: int = 0


@dataclass(frozen=True, slots=True)
class Mine:
    """Look for the nonce of the join proof of (`operator_key`, `ticket`), and hand it in.

    One proof at a time: a newer ticket replaces the one that is being worked on.
    """

    ticket: Hash32
    operator_key: OperatorKey
    bits: int


@dataclass(frozen=True, slots=True)
class Subscribe:
    """Take part in the gossip of `topic` from now on; repeats are harmless."""

    topic: str


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """Take no more part in the gossip of `topic`; publishing there goes on without it."""

    topic: str


@dataclass(frozen=True, slots=True)
class Learn:
    """Remember where a registered operator listens."""

    peer: OperatorKey
    ip: bytes
    port: int


@dataclass(frozen=True, slots=True)
class Keep:
    """Hold connections with these peers before all others, instead of those named before.

    With them this node decides now; the most important first.
    """

    peers: tuple[OperatorKey, ...]


@dataclass(frozen=True, slots=True)
class Punish:
    """The peer broke a rule in a way no honest relay does: drop its connection."""

    peer: OperatorKey
    reason: str


@dataclass(frozen=True, slots=True)
class Announce:
    """News for the log and the API."""

    event: str
    fields: Mapping[str, Scalar] = field(default_factory=dict)


Effect = (
    RecordVote
    | Persist
    | Compact
    | Send
    | Publish
    | Probe
    | Mine
    | Subscribe
    | Unsubscribe
    | Learn
    | Keep
    | Punish
    | Announce
)
