"""Proofs that a member contradicted itself, until they stand in a block.

Answers for: one proof of each guilty member of our own group, kept over a stop and bounded. What a proof is,
is `protocol.group.vote`'s business, what becomes of the guilty `protocol.group.kinds.evidence`'s.
Spec: `spec/evidence.md`.
"""

from collections.abc import Callable

from protocol.codec import decode, encode
from protocol.crypto import sha3_256
from protocol.group.membership import Membership
from protocol.group.vote import EquivocationProof, check_equivocation
from protocol.node.effects import Announce, Effect, Persist
from protocol.node.records import PROOF, Records
from protocol.units import OperatorKey

PROOFS_MAX = 64
"""Equivocation proofs that wait for their block."""


class Accusations:
    """The proofs that wait, by the member whom they convict."""

    def __init__(self, network: bytes, records: Records) -> None:
        self._network = network
        self._proofs: dict[OperatorKey, tuple[bytes, EquivocationProof]] = {}
        """With its key in the record."""
        for key, data in records.iterate(PROOF):
            proof = decode(data, EquivocationProof)
            self._proofs[check_equivocation(proof, network)] = key, proof

    def take(self, proof: EquivocationProof, members: Membership) -> list[Effect]:
        """Keep the first proof against one of these members; raises `InvalidProof`."""
        guilty = check_equivocation(proof, self._network)
        if guilty in self._proofs or guilty not in members or len(self._proofs) >= PROOFS_MAX:
            return []
        data = encode(proof)
        key = PROOF + sha3_256(data)
        self._proofs[guilty] = key, proof
        return [Persist(key, data, durable=True), Announce("equivocation", {"proof": key[-32:].hex()})]

    def against(self, members: Membership) -> list[EquivocationProof]:
        """Return the proofs against these members."""
        return [proof for guilty, (_, proof) in self._proofs.items() if guilty in members]

    def forget(self, is_member: Callable[[OperatorKey], bool]) -> list[Effect]:
        """Drop the proofs that convict nobody who is still a member anywhere."""
        gone = [guilty for guilty in self._proofs if not is_member(guilty)]
        return [Persist(self._proofs.pop(guilty)[0], None) for guilty in gone]
