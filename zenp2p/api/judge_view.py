"""What each judge of our group of judges said of one operator, read from a VERDICT block.

Answers for: who attested a response, who reached the operator, and who had nothing. What follows from it is
`protocol.tracking.verdict`'s business. Spec: `spec/rpc.md`, `spec/verdict.md`.
"""

from protocol.codec import decode
from protocol.crypto import envelope_body
from protocol.group.data_block import VerdictPayload
from protocol.group.quorum import Electorate
from protocol.tracking.observation import Observation, Sighting
from protocol.tracking.response import Receipt
from protocol.units import OperatorKey


def describe_judges(
    payload: VerdictPayload, electorate: Electorate, operator_key: OperatorKey
) -> list[dict[str, object]]:
    """Return what every judge said of an operator, sorted by judge; nothing, where its word is missing."""
    observations = (decode(envelope_body(data), Observation) for data in payload.observations)
    words = {observation.signer: _sighting(observation, operator_key) for observation in observations}
    receipts = (decode(envelope_body(data), Receipt) for data in payload.receipts)
    acknowledged = {
        receipt.signer: receipt.height for receipt in receipts if receipt.operator_key == operator_key
    }
    return [
        {
            "judge": voter.operator_key.hex(),
            "age": voter.age,
            "observed": voter.operator_key in words,
            **_describe(words.get(OperatorKey(voter.operator_key))),
            "receipt": acknowledged.get(OperatorKey(voter.operator_key)),
        }
        for voter in electorate.voters
    ]


def _sighting(observation: Observation, operator_key: bytes) -> Sighting | None:
    return next((one for one in observation.sightings if one.operator_key == operator_key), None)


def _describe(seen: Sighting | None) -> dict[str, object]:
    """Return what a judge saw: the height of its tip when the response came, and how its dial-back ended."""
    had_response = seen is not None and bool(seen.response_hash)
    return {
        "response": seen.received_height if seen is not None and had_response else None,
        "reached": seen is not None and seen.reached,
        "fast": seen is not None and seen.fast,
    }
