"""Vectors of verdicts. Format: `spec/verdict.md`."""

from typing import Any

from protocol.codec import encode
from protocol.tracking.stake import stake_over_window
from tests.protocol.tracking.test_verdict import ONE, REASONS
from tests.support.court import Court
from tests.support.operators import NETWORK, operator
from tests.vectors.registry import vectors

AGES = (1, 2, 3, 4)


def describe(name: str, court: Court) -> dict[str, Any]:
    """Everything that the function is given, what it asks of the chain, and what it says."""
    challenge, answers = court.challenge, court.answers()
    registered = {**court.contested, **court.registrations}
    return {
        "name": name,
        "network": NETWORK.hex(),
        "preset": court.parameters.preset,
        "subnet_limit": court.parameters.subnet_limit,
        "challenge": {
            "seq": challenge.seq,
            "anchor_hash": challenge.anchor_hash.hex(),
            "closes": challenge.closes,
        },
        "voters": [[voter.operator_key.hex(), voter.age] for voter in court.voters],
        "registrations": [encode(court.registrations[key]).hex() for key in sorted(court.registrations)],
        "contested": [encode(court.contested[key]).hex() for key in sorted(court.contested)],
        "previous": {slot.hex(): key.hex() for slot, key in sorted(court.previous.items())},
        "chain": {
            key.hex(): {
                "answer": answers.answer(key).hex(),
                "lowest_balance": stake_over_window(
                    court.chain, registered[key].stake_address, challenge, court.parameters
                ),
            }
            for key in sorted(registered)
        },
        "observations": [encode(observation).hex() for observation in court.observations()],
        "responses": [court.evidence[digest].hex() for digest in sorted(court.evidence)],
        "verdicts": [
            {
                "operator_key": verdict.operator_key.hex(),
                "reason": verdict.reason.name,
                "slot": verdict.slot.hex(),
                "body": encode(verdict).hex(),
            }
            for verdict in court.verdicts()
        ],
    }


@vectors("verdict", "reasons")
def reasons() -> list[dict[str, Any]]:
    cases = [describe("everybody is valid", Court(len(AGES), AGES))]
    for change, reason in REASONS:
        court = Court(len(AGES), AGES)
        change(court, court.members[ONE])
        cases.append(describe(f"{reason.name}: {change.__name__}", court))
    stranger, court = operator(50), Court(len(AGES), AGES)
    court.saw(stranger, court.response(stranger))
    cases.append(describe("NOT_REGISTERED", court))
    return cases
