"""What a proposer proposes when somebody comes, moves or goes: the blocks of moves, made from what it holds.

Answers for: a block made here passes `DataChain.check_block` on the same state, chain and named blocks; what
cannot be made raises what that check would raise, `StaleMessage` where nothing is to be done and
`NotYetKnown` where entropy or a named block is not there yet. Spec: `spec/relocation.md`.
"""

from collections.abc import Iterable

from protocol.chain.view import ChainView
from protocol.errors import NotYetKnown, StaleMessage
from protocol.group.blockmaker import build_block, next_stamp
from protocol.group.data_block import (
    AdmitPayload,
    ExpirePayload,
    Kind,
    Payload,
    RefusePayload,
    RelocatePayload,
    Removal,
    RemovePayload,
)
from protocol.group.data_chain import NOWHERE, DataChain
from protocol.group.elsewhere import Around, Elsewhere
from protocol.group.entropy import entropy_height, move_entropy
from protocol.group.kinds.arrivals import obstacles, open_ticket
from protocol.group.kinds.named import named_challenge
from protocol.group.relocation import (
    candidate,
    due_move,
    is_returning,
    joining_move,
    return_move,
    ticket_stamps,
)
from protocol.units import Hash32, OperatorKey

NOTHING = b""


def build_relocate(state: DataChain, chain: ChainView) -> bytes:
    """Return the RELOCATE block that is due after a verdict.

    Raises `StaleMessage` when none is due or nobody may move, `NotYetKnown` until the entropy is buried.
    """
    if state.move_due is None:
        raise StaleMessage("no move is due")
    entropy = _buried_entropy(state, chain, state.move_due)
    member = candidate(state, entropy, next_stamp(state, chain))
    if member is None:
        raise StaleMessage(f"nobody may move after challenge {state.move_due}")
    return _checked(state, chain, Kind.RELOCATE, due_move(state, member, state.move_due, entropy))


def build_join(
    state: DataChain,
    chain: ChainView,
    elsewhere: Elsewhere,
    operator_key: bytes,
    verdict: bytes,
    ending: bytes = NOTHING,
) -> bytes:
    """Return the RELOCATE block with which an operator's home group lets it join.

    `verdict` is the hash of a VERDICT block that finds it VALID, `ending` of the block that ended its last
    ticket. Raises a `ProtocolError` when it cannot join.
    """
    seq = named_challenge(Around(chain, elsewhere), verdict)
    entropy = _buried_entropy(state, chain, seq)
    payload = joining_move(operator_key, seq, verdict, ending, entropy)
    return _checked(state, chain, Kind.RELOCATE, payload, elsewhere)


def build_rejoin(state: DataChain, chain: ChainView, operator_key: bytes) -> bytes:
    """Return the RELOCATE block that takes a returning member for full again.

    Raises `StaleMessage` when it is not returning, `NotYetKnown` until the entropy is buried.
    """
    key = OperatorKey(operator_key)
    if not is_returning(state, key, next_stamp(state, chain)):
        raise StaleMessage(f"{key.hex()[:16]} is not returning")
    entropy = _buried_entropy(state, chain, state.returning[key].seq)
    return _checked(state, chain, Kind.RELOCATE, return_move(state, key, entropy))


def build_admit(state: DataChain, chain: ChainView, elsewhere: Elsewhere, ticket: bytes, nonce: int) -> bytes:
    """Return the ADMIT block for the holder of a ticket, whose join proof has this nonce.

    Raises a `ProtocolError` when it cannot come in, `NotYetKnown` under the stamp of the ticket still.
    """
    moved = _good_ticket(state, chain, elsewhere, ticket)
    return _admit(
        state, chain, elsewhere, moved.operator_key, moved.age, moved.name, ticket=ticket, nonce=nonce
    )


def build_readmit(
    state: DataChain, chain: ChainView, elsewhere: Elsewhere, operator_key: bytes, ending: bytes
) -> bytes:
    """Return the ADMIT block for a member that was sent away and not taken in: `ending` says so.

    Raises a `ProtocolError` when it cannot come in.
    """
    away = state.away.get(OperatorKey(operator_key))
    if away is None:
        raise StaleMessage(f"{operator_key.hex()[:16]} was not sent away from here")
    return _admit(state, chain, elsewhere, operator_key, away.age, away.name, ending=ending)


def build_return(
    state: DataChain, chain: ChainView, elsewhere: Elsewhere, operator_key: bytes, verdict: bytes
) -> bytes:
    """Return the ADMIT block, without a vote, for a member that was removed and is found VALID again.

    Raises a `ProtocolError` when it cannot come in.
    """
    left = state.left.get(OperatorKey(operator_key))
    if left is None:
        raise StaleMessage(f"{operator_key.hex()[:16]} was not removed here")
    return _admit(state, chain, elsewhere, operator_key, 0, left.name, verdict=verdict)


def _admit(
    state: DataChain,
    chain: ChainView,
    elsewhere: Elsewhere,
    operator_key: bytes,
    age: int,
    name: bytes,
    *,
    ticket: bytes = NOTHING,
    ending: bytes = NOTHING,
    verdict: bytes = NOTHING,
    nonce: int = 0,
) -> bytes:
    payload = AdmitPayload(
        operator_key=operator_key,
        age=age,
        name=name,
        ticket=ticket,
        ending=ending,
        verdict=verdict,
        nonce=nonce,
    )
    return _checked(state, chain, Kind.ADMIT, payload, elsewhere)


def build_refuse(state: DataChain, chain: ChainView, elsewhere: Elsewhere, ticket: bytes) -> bytes:
    """Return the REFUSE block for the holder of a ticket, with the first reason that holds.

    Raises `StaleMessage` when none does, or the ticket has ended or expired.
    """
    moved = _good_ticket(state, chain, elsewhere, ticket)
    reasons = obstacles(state, moved.operator_key, moved.age, next_stamp(state, chain))
    if not reasons:
        raise StaleMessage(f"nothing keeps {moved.operator_key.hex()[:16]} out")
    payload = RefusePayload(ticket=ticket, reason=reasons[0])
    return _checked(state, chain, Kind.REFUSE, payload, elsewhere)


def build_expire(state: DataChain, chain: ChainView, elsewhere: Elsewhere, ticket: bytes) -> bytes:
    """Return the EXPIRE block of a ticket; raises a `ProtocolError` when it has ended or is still good."""
    return _checked(state, chain, Kind.EXPIRE, ExpirePayload(ticket=ticket), elsewhere)


def build_remove(
    state: DataChain,
    chain: ChainView,
    elsewhere: Elsewhere,
    operator_key: bytes,
    reason: Removal,
    proofs: Iterable[bytes] = (),
) -> bytes:
    """Return the REMOVE block of a member; raises a `ProtocolError` when the reason does not hold."""
    payload = RemovePayload(operator_key=operator_key, reason=reason, proofs=tuple(sorted(set(proofs))))
    return _checked(state, chain, Kind.REMOVE, payload, elsewhere)


def _good_ticket(state: DataChain, chain: ChainView, elsewhere: Elsewhere, ticket: bytes) -> RelocatePayload:
    """Return what an open ticket says; raises `NotYetKnown` until a block may take or refuse it."""
    sent, moved = open_ticket(state, ticket, Around(chain, elsewhere))
    first, _ = ticket_stamps(sent, state.genesis.parameters.relocation_pending)
    if next_stamp(state, chain) < first:
        raise NotYetKnown(f"a ticket is good from chain height {first} on")
    return moved


def _buried_entropy(state: DataChain, chain: ChainView, seq: int) -> Hash32:
    """Return the entropy of a challenge once a block may use it."""
    height = entropy_height(seq, state.genesis.parameters)
    if next_stamp(state, chain) < height:
        raise NotYetKnown(f"the entropy of challenge {seq} is chain block {height}, not buried here")
    return move_entropy(seq, chain, state.genesis.parameters)


def _checked(
    state: DataChain, chain: ChainView, kind: Kind, payload: Payload, elsewhere: Elsewhere = NOWHERE
) -> bytes:
    """Return the next block around a payload, which may follow; raises as `DataChain.check_block`."""
    body = build_block(state, chain, kind, payload)
    state.check_block(body, chain, elsewhere)
    return body
