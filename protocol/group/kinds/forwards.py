"""REMOVE for blocks that were not forwarded: what another group's voters have to say of a member.

Answers for: each block was the member's to forward, lately; FINAL of one other group missed each of them; and
the member was there between them, so that no single outage costs anybody its place. What a voter asks itself
besides, and when one reports, is the node's business. Spec: `spec/forwarding.md`.
"""

from collections.abc import Collection, Mapping

from protocol.codec import Decoder
from protocol.crypto import envelope_body, verify_envelope
from protocol.errors import InvalidBlock, WrongNetwork
from protocol.group.data_block import DataBlock, RemovePayload
from protocol.group.elsewhere import Around, Standing
from protocol.group.quorum import Electorate
from protocol.group.resend import RESEND_SIZE_MAX, Resend
from protocol.group.state import GroupState
from protocol.group.vote import Vote
from protocol.parameters import Parameters
from protocol.units import Hash32, OperatorKey

FORWARDS_MISSED = 2
"""Blocks that a member did not forward, after which it goes (seed 001: two in a row)."""

Reporters = tuple[str, Electorate]
"""A group that reports: its prefix, and who had a vote there."""
Misses = dict[int, dict[Reporters, set[OperatorKey]]]
"""By a block's data height: which voters of which group missed it."""

_decode: Decoder[Resend | Vote] = Decoder(Resend | Vote, RESEND_SIZE_MAX)


def forwarding_window(parameters: Parameters) -> int:
    """Return for how many stamped heights a block that was not forwarded counts: as failed challenges do."""
    return parameters.challenge_failures * parameters.challenge_every


def forwarder(standing: Standing) -> OperatorKey | None:
    """Return whose a block is to forward: the voter nearest to its hash; None where nobody had a vote."""
    return next(iter(standing.members.nearest_voters(standing.block_hash)), None)


def check_forwards(state: GroupState, block: DataBlock, payload: RemovePayload, around: Around) -> None:
    """Raise unless the proofs show that a member did not forward two blocks, and was there between them."""
    member, misses, votes = payload.operator_key, Misses(), list[Vote]()
    for envelope in payload.proofs:
        said = _decode(envelope_body(envelope))
        if isinstance(said, Vote):
            votes.append(said)
        elif said.member != member:
            raise InvalidBlock(f"a report on another member than {member.hex()[:16]}")
        else:
            reporters = check_missed(state, said, block.stamp_height, around)
            misses.setdefault(said.height, {}).setdefault(reporters, set()).add(said.signer)
        verify_envelope(envelope, said.signer)
    if len(misses) != FORWARDS_MISSED:
        raise InvalidBlock(f"reports on {len(misses)} blocks, not on {FORWARDS_MISSED}")
    for height, by_group in misses.items():
        if reported_by(by_group) is None:
            raise InvalidBlock(f"no group says with a quorum that block {height} was not forwarded")
    if len(votes) != 1 or not is_presence(state, votes[0], member, misses):
        raise InvalidBlock(f"no vote shows that {member.hex()[:16]} was there between the two blocks")


def missed_blocks(payload: RemovePayload) -> frozenset[Hash32]:
    """Return the blocks that the proofs of a removal report; raises `MalformedMessage`."""
    said = [_decode(envelope_body(envelope)) for envelope in payload.proofs]
    return frozenset(Hash32(one.block_hash) for one in said if isinstance(one, Resend))


def check_missed(state: GroupState, resend: Resend, stamp_height: int, around: Around) -> Reporters:
    """Return the group that speaks, if a report counts for this state at a stamp, but for its signature.

    Raises `NotYetKnown` for a block that is not held, another `ProtocolError` when it does not count.
    """
    parameters = state.genesis.parameters
    if resend.network != state.network:
        raise WrongNetwork(f"a report of network {resend.network.hex()[:16]}")
    if resend.prefix != state.prefix:
        raise InvalidBlock(f"a report on group {resend.prefix!r}, this is {state.prefix!r}")
    missed = around.named(resend.block_hash)
    if (missed.block.prefix, missed.block.height) != (resend.prefix, resend.height):
        raise InvalidBlock(f"the reported block does not stand at height {resend.height}")
    if missed.block.stamp_height + forwarding_window(parameters) < stamp_height:
        raise InvalidBlock(f"block {resend.height} is too old to count")
    if forwarder(missed) != resend.member or not _has_stayed(state, missed, resend.member):
        raise InvalidBlock(f"block {resend.height} was not {resend.member.hex()[:16]}'s to forward")
    speaking = around.named(resend.group_block)
    if speaking.block.prefix != resend.sender_prefix or resend.sender not in speaking.electorate:
        raise InvalidBlock(f"{resend.sender.hex()[:16]} has no vote in group {resend.sender_prefix!r}")
    if speaking.block.stamp_height + parameters.silence < missed.block.stamp_height:
        raise InvalidBlock(f"the voters of {resend.sender.hex()[:16]}'s group are those of long before")
    return resend.sender_prefix, speaking.electorate


def reported_by(by_group: Mapping[Reporters, set[OperatorKey]]) -> Reporters | None:
    """Return the first group of which enough missed a block, or None."""
    for reporters in sorted(by_group, key=lambda one: one[0]):
        if reporters[1].is_final(by_group[reporters]):
            return reporters
    return None


def is_presence(state: GroupState, vote: Vote, member: bytes, heights: Collection[int]) -> bool:
    """Whether a vote shows that a member was there after the first of these blocks, up to the last one."""
    is_theirs = (vote.network, vote.electorate, vote.voter) == (state.network, state.electorate_name, member)
    return is_theirs and min(heights) < vote.height <= max(heights)


def _has_stayed(state: GroupState, missed: Standing, member: bytes) -> bool:
    """Whether a member has not left since a block: so none is held against it once more after a return."""
    then, now = missed.members.get(member), state.membership.get(member)
    return then is not None and now is not None and then.joined == now.joined
