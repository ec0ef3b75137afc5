"""What the consensus machine asks its owner to do, in this order, before anything else happens.

Answers for: the shapes only. The owner records a `Sign` in the vote file, signs, makes it
durable together with what was received before it, publishes it, and feeds the envelope
back. Spec: `spec/consensus.md`.
"""

from dataclasses import dataclass

from protocol.group.certificate import Certificate
from protocol.group.vote import EquivocationProof, Slot
from protocol.units import Hash32


@dataclass(frozen=True, slots=True)
class Sign:
    """Sign `body` if the vote file allows (slot, content hash); then publish it and hand in `signed`."""

    slot: Slot
    content_hash: Hash32
    body: bytes


@dataclass(frozen=True, slots=True)
class Resend:
    """Publish this envelope again (our own, or one that others may have missed)."""

    envelope: bytes


@dataclass(frozen=True, slots=True)
class Decide:
    """The height is decided: `value`, and the certificate that proves it to anybody."""

    value: bytes
    certificate: Certificate


@dataclass(frozen=True, slots=True)
class Accuse:
    """A voter contradicted itself."""

    proof: EquivocationProof


Action = Sign | Resend | Decide | Accuse
