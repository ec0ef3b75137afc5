"""What a proposer proposes: the next block of a data chain, made from what it holds.

Answers for: a block made here passes `DataChain.check_block` on the same state and
chain. What is not usable is left out; when nothing is left to put into a block that is said.
Spec: `spec/data_chain.md`.
"""

from collections.abc import Iterable, Mapping

from protocol.chain.view import ChainView
from protocol.codec import encode
from protocol.errors import InvalidBlock, InvalidProof, NotYetKnown, ProtocolError, StaleMessage
from protocol.group.data_block import (
    BLOCK_SIZE_MAX,
    ENTRIES_MAX,
    PROOFS_MAX,
    DataBlock,
    EvidencePayload,
    Kind,
    LinkPayload,
    MergePayload,
    Payload,
    RegisterPayload,
    SplitPayload,
)
from protocol.group.data_chain import NOWHERE, DataChain
from protocol.group.elsewhere import Around, Elsewhere, Standing
from protocol.group.kinds.partition import asks_to_merge, awaits_verdict, halves, may_split, must_merge
from protocol.group.kinds.registers import take_up
from protocol.group.verdict_block import Judging, build_payload, usable_observations, without_loudest
from protocol.group.vote import EquivocationProof, check_equivocation
from protocol.tracking.registration import Entry, check_deregistration, check_registration
from protocol.units import Hash32, Height

EVIDENCE_BYTES_MAX = BLOCK_SIZE_MAX - 16 * 1024
"""Bytes of the envelopes that prove something in one block: what is around them takes less than the rest."""


def build_link(state: DataChain, chain: ChainView) -> bytes:
    """Return the LINK block that is due; raises `StaleMessage` when none is."""
    if not state.link_due:
        raise StaleMessage("no LINK block is due")
    payload = LinkPayload(
        number=state.link + 1, members_count=len(state.membership), members_root=state.membership.root()
    )
    return build_block(state, chain, Kind.LINK, payload)


def build_register(
    state: DataChain, chain: ChainView, registrations: Iterable[bytes], deregistrations: Iterable[bytes]
) -> bytes:
    """Return a REGISTER block of the entries that would change the book.

    Raises `StaleMessage` when there is none.
    """
    signed = [data for data in sorted(set(registrations)) if _registers(state, data)]
    plain = [data for data in sorted(set(deregistrations)) if _deregisters(state, data)]
    if not signed and not plain:
        raise StaleMessage("no entry would change the book")
    payload = RegisterPayload(
        registrations=tuple(signed[:ENTRIES_MAX]), deregistrations=tuple(plain[:ENTRIES_MAX])
    )
    return build_block(state, chain, Kind.REGISTER, payload)


def build_verdict(
    state: DataChain,
    chain: ChainView,
    seq: int,
    observations: Iterable[bytes],
    responses: Mapping[Hash32, bytes],
    receipts: Iterable[bytes] = (),
    registers: Iterable[bytes] = (),
    elsewhere: Elsewhere = NOWHERE,
) -> bytes:
    """Return the VERDICT block of a challenge from checked envelopes, `responses` by their hash.

    While it is too large, the receipts of the judge with the most of them are left out, then the longest
    observation: a judge that says more than all others silences itself only.
    `registers` are the REGISTER blocks of other groups to take up first.
    Raises `NotYetKnown` before it can be judged or without a final set of observations,
    `StaleMessage` when it is judged or its anchor left the chain.
    """
    if not state.unjudged(seq):
        raise StaleMessage(f"challenge {seq} is judged")
    challenge = state.challenge(seq, chain)
    if chain.tip()[0] < challenge.judged_at:
        raise NotYetKnown(f"challenge {seq} is judged at height {challenge.judged_at}")
    named = sorted(set(registers))
    book, _ = take_up(state, named, Around(chain, elsewhere))
    judging = state.judging(challenge, book)
    said = _that_fit(judging, observations, responses)
    heard = tuple(receipts)
    while True:
        payload = build_payload(judging, said, heard, responses, chain, named)
        try:
            return build_block(state, chain, Kind.VERDICT, payload)
        except InvalidBlock:
            if payload.receipts:
                heard = without_loudest(payload.receipts, state.network)
            else:
                said.pop()


def _that_fit(
    judging: Judging, observations: Iterable[bytes], responses: Mapping[Hash32, bytes]
) -> list[bytes]:
    """Return the observations by length, without the longest ones that no block has room for.

    In a large group they may be many, and each attempt to make a block judges everybody anew. Those that
    no block takes anyway have no room from the others.
    """
    said = sorted(observations, key=len)
    if sum(map(len, said)) > BLOCK_SIZE_MAX:
        said = sorted(usable_observations(judging, said, responses), key=len)
    size = sum(map(len, said))
    while size > BLOCK_SIZE_MAX:
        size -= len(said.pop())
    return said


def build_evidence(state: DataChain, chain: ChainView, proofs: Iterable[EquivocationProof]) -> bytes:
    """Return an EVIDENCE block against the present members that the proofs convict, as many as fit.

    Raises `StaleMessage` when there is none.
    """
    chosen: dict[bytes, EquivocationProof] = {}
    room = EVIDENCE_BYTES_MAX
    for proof in proofs:
        try:
            guilty = check_equivocation(proof, state.network)
        except InvalidProof:
            continue
        size = len(proof.first) + len(proof.second)
        is_wanted = guilty in state.membership and guilty not in chosen and len(chosen) < PROOFS_MAX
        if is_wanted and size <= room:
            room -= size
            chosen[guilty] = proof
    if not chosen:
        raise StaleMessage("nobody to convict")
    payload = EvidencePayload(proofs=tuple(chosen[key] for key in sorted(chosen)))
    return build_block(state, chain, Kind.EVIDENCE, payload)


def next_stamp(state: DataChain, chain: ChainView) -> Height:
    """Return the height of the last chain block that is buried: the next block's stamp.

    Raises `NotYetKnown` while that is below the last one.
    """
    stamp = chain.tip()[0] - state.genesis.parameters.burial
    if stamp < state.stamp_height:
        raise NotYetKnown(f"no chain block from {state.stamp_height} on is buried here")
    return Height(stamp)


def build_split(state: DataChain, chain: ChainView) -> bytes:
    """Return the SPLIT block; raises `StaleMessage` unless the group may split."""
    if not may_split(state):
        raise StaleMessage("not enough voters in both halves to split")
    zeros, ones = halves(state)
    return build_block(state, chain, Kind.SPLIT, SplitPayload(zeros=zeros, ones=ones))


def build_merge(state: DataChain, chain: ChainView, because: Standing | None = None) -> bytes:
    """Return the MERGE block of a group that is too small, or that the MERGE block `because` asks to.

    Raises `StaleMessage` when neither is so, `NotYetKnown` while a challenge has to be judged first.
    """
    if not (must_merge(state) if because is None else asks_to_merge(state, because)):
        raise StaleMessage("nothing to merge for")
    if awaits_verdict(state, next_stamp(state, chain)):
        raise NotYetKnown("a challenge has to be judged first")
    payload = MergePayload(because=because.block_hash if because else b"")
    return build_block(state, chain, Kind.MERGE, payload)


def build_block(state: DataChain, chain: ChainView, kind: Kind, payload: Payload) -> bytes:
    """Return the next block around `payload`, stamped with the last chain block that is buried."""
    if state.link_due and kind is not Kind.LINK:
        raise StaleMessage("a LINK block is due first")
    stamp = next_stamp(state, chain)
    stamp_hash = chain.block_hash(stamp)
    assert stamp_hash is not None
    block = DataBlock(
        network=state.network,
        prefix=state.prefix,
        height=state.height + 1,
        previous=state.head,
        stamp_height=stamp,
        stamp_hash=stamp_hash,
        kind=kind,
        payload=encode(payload),
    )
    body = encode(block)
    if len(body) > BLOCK_SIZE_MAX:
        raise InvalidBlock(f"a {kind.name} block of {len(body)} bytes, at most {BLOCK_SIZE_MAX} allowed")
    return body


def _registers(state: DataChain, envelope: bytes) -> bool:
    rules, parameters = state.genesis.chain, state.genesis.parameters
    try:
        return _changes(state, check_registration(envelope, state.network, rules, parameters))
    except ProtocolError:
        return False


def _deregisters(state: DataChain, data: bytes) -> bool:
    try:
        return _changes(state, check_deregistration(data, state.network, state.genesis.chain))
    except ProtocolError:
        return False


def _changes(state: DataChain, entry: Entry) -> bool:
    state.book.accepts(entry)
    return True
