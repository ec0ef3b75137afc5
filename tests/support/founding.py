"""Whole networks for tests of the node machine: a genesis whose founders are registered."""

from collections.abc import Sequence

from protocol.chain import rules
from protocol.codec import replace
from protocol.crypto import secp256k1_public_key, sha256
from protocol.genesis import Baton, Genesis, GenesisMember, Treasury, founding_id
from protocol.parameters import MINIMAL, Parameters
from tests.support.operators import Operator

TREASURY = Treasury(
    required=2, public_keys=tuple(secp256k1_public_key(sha256(bytes([number]))) for number in range(1, 6))
)
AGE = 4


def founded_by(
    founders: Sequence[Operator],
    *,
    bystanders: Sequence[Operator] = (),
    parameters: Parameters = MINIMAL,
    first_challenge_height: int = 8,
    carried: int = 7,
    age: int = AGE,
) -> Genesis:
    """Return a genesis of these founders; `bystanders` vote without being registered."""
    plain = Genesis(
        name="test",
        parameters=parameters,
        chain=rules.DEVNET,
        start=sha256(b"first block"),
        treasury=TREASURY,
        baton=Baton(txid=sha256(b"baton"), index=0),
        first_challenge_height=first_challenge_height,
        carried=carried,
        members=tuple(
            GenesisMember(operator_key=one.key, age=age, registration=b"")
            for one in sorted((*founders, *bystanders), key=lambda one: one.key)
        ),
    )
    network = founding_id(plain)
    envelopes: dict[bytes, bytes] = {one.key: one.envelope(network=network) for one in founders}
    members = (
        replace(member, registration=envelopes.get(member.operator_key, b"")) for member in plain.members
    )
    return replace(plain, members=tuple(members))
