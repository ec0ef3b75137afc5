"""Whether a stake was there the whole time.

Answers for: the lowest balance of a stake address from a challenge's anchor to its
close, so that coins which pass through several addresses count for one at most. The
amount that is enough is a parameter; whose stake it is, `registration`'s business.
Spec: `spec/verdict.md`.
"""

from protocol.chain.view import ChainView
from protocol.errors import NotYetKnown
from protocol.parameters import Parameters
from protocol.tracking.challenge import Challenge
from protocol.units import Zatoshi


def stake_over_window(
    chain: ChainView, address: bytes, challenge: Challenge, parameters: Parameters
) -> Zatoshi:
    """Return the lowest balance of a 21-byte address over every height from anchor to close.

    Raises `NotYetKnown` while the close is not buried: above that depth balances may still change.
    """
    if chain.tip()[0] < challenge.closes + parameters.burial:
        raise NotYetKnown(f"challenge {challenge.seq} is judged at height {challenge.judged_at}")
    heights = range(challenge.anchor_height, challenge.closes + 1)
    return min(chain.balance(address, height) for height in heights)
