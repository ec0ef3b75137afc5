"""Entropy: the chain block that gives a member its next name.

Answers for: the block follows from a challenge's number alone, so no proposer, voter or joiner chooses it,
and whoever uses it stamps at or above it, so it is buried. What is made of it is `relocation`'s business.
Spec: `spec/relocation.md`.
"""

from protocol.chain.view import ChainView
from protocol.errors import NotYetKnown
from protocol.parameters import Parameters
from protocol.units import Hash32, Height

FRESH_CHALLENGES = 2
"""A verdict is good for a move until the entropy of the challenge so many later is there."""


def entropy_height(seq: int, parameters: Parameters) -> Height:
    """Return the height of the block whose hash is the entropy of challenge `seq`.

    It is `burial` above the first chain block at which the challenge can be judged.
    """
    return Height(seq * parameters.challenge_every + parameters.response_window + 2 * parameters.burial)


def move_entropy(seq: int, chain: ChainView, parameters: Parameters) -> Hash32:
    """Return the entropy of challenge `seq`; raises `NotYetKnown` while its block is not connected."""
    height = entropy_height(seq, parameters)
    found = chain.block_hash(height)
    if found is None:
        raise NotYetKnown(f"the entropy of challenge {seq} is chain block {height}")
    return found


def is_fresh(seq: int, stamp_height: int, parameters: Parameters) -> bool:
    """Whether the verdicts of challenge `seq` are good for a move under this stamp."""
    return entropy_height(seq, parameters) <= stamp_height and not is_outdated(seq, stamp_height, parameters)


def is_outdated(seq: int, stamp_height: int, parameters: Parameters) -> bool:
    """Whether the verdicts of challenge `seq` are not good for a move any more under this stamp."""
    return stamp_height >= entropy_height(seq + FRESH_CHALLENGES, parameters)


def is_name_open(seq: int, stamp_height: int, parameters: Parameters) -> bool:
    """Whether nobody can know the name after a return by a verdict of `seq`, made under this stamp.

    It follows from the entropy of the challenge after that, which must come later than the block: else who
    returns could wait for a name that it likes.
    """
    return stamp_height + parameters.burial < entropy_height(seq + 1, parameters)
