"""What is proposed next, and which verdicts a voter does not affirm yet."""

from dataclasses import replace as replace_fields
from functools import cached_property

import pytest

from protocol.codec import encode, replace
from protocol.errors import InvalidBlock, StaleMessage
from protocol.group.blockmaker import build_register
from protocol.group.data_block import (
    AdmitPayload,
    DataBlock,
    ExpirePayload,
    Kind,
    MergePayload,
    Payload,
    Removal,
    RemovePayload,
    VerdictPayload,
    block_hash,
    decode_block,
    decode_payload,
)
from protocol.group.data_chain import NOWHERE, DataChain
from protocol.group.kinds.partition import may_split
from protocol.group.vote import Phase
from protocol.node import proposals as module
from protocol.node.archive import Archive
from protocol.node.court import Judged
from protocol.node.proposals import (
    TURNS_MAX,
    Candidates,
    Make,
    next_blocks,
    take_turns,
    takes_up_enough,
    untaken,
)
from protocol.units import Hash32
from tests.support.group_world import SEQ
from tests.support.groups_world import Groups
from tests.support.held_groups import HeldGroups
from tests.support.many_groups import members, splitting
from tests.support.node_cluster import Peer


class Chains(Groups):
    """Groups, and one node that holds their blocks."""

    @cached_property
    def node(self) -> HeldGroups:
        return HeldGroups(self)

    def archive(self) -> Archive:
        """What the node holds by now."""
        self.node.take(self.blocks[len(self.node.archive) :])
        return self.node.archive

    def propose(self, prefix: str, candidates: Candidates, guilty: int = 0) -> bytes | None:
        proofs = [self.contradiction(one) for one in self.voters(prefix)[:guilty]]
        blocks = next_blocks(self.at(prefix), self.chain, self.archive(), proofs, candidates)
        return next(blocks, None)

    def judged(self, prefix: str) -> Judged:
        """What everybody in a group saw in the first challenge."""
        self.at(prefix)
        self.chain.mine_to(self.challenge().judged_at)
        registered = self.registrations(SEQ)
        answered = self.responses(SEQ, [one for one in self.founders if one.key in registered])
        seen = [self.observation(judge, answered.values(), SEQ) for judge in self.voters(prefix)]
        return Judged(self.challenge(), tuple(seen), tuple(answered.values()), ())


def kind(body: bytes | None) -> Kind | None:
    return None if body is None else decode_block(body).kind


def made(seen: list[str], name: str, error: Exception | None = None) -> Make:
    """Return a maker that notes its turn."""

    def make(state: DataChain, chain: object, elsewhere: object) -> bytes:
        seen.append(name)
        raise error or StaleMessage("nothing")

    return make


def test_the_most_urgent_comes_first() -> None:
    story = Chains()
    (stranger,) = story.strangers("", 1)
    seen: list[str] = []
    candidates = Candidates(
        judged=(story.judged(""),),
        registrations=(story.registration(stranger),),
        endings=(made(seen, "ending"),),
        removals=(made(seen, "removal"),),
        moves=(made(seen, "move", InvalidBlock("not so")),),
    )
    assert kind(story.propose("", candidates, guilty=1)) is Kind.EVIDENCE and not seen
    assert kind(story.propose("", candidates)) is Kind.SPLIT and not seen
    story.split()
    story.split("0")
    story.split("00")
    prefix = "000"  # too small to split once more
    (stranger,) = story.strangers(prefix, 1)
    candidates = replace_fields(
        candidates, judged=(story.judged(prefix),), registrations=(story.registration(stranger),)
    )
    assert kind(story.propose(prefix, candidates)) is Kind.VERDICT and not seen
    candidates = replace_fields(candidates, judged=())
    assert kind(story.propose(prefix, candidates)) is Kind.REGISTER and seen == ["removal", "ending", "move"]
    assert story.propose(prefix, Candidates()) is None


def test_a_link_that_is_due_comes_before_everything() -> None:
    story = Chains()
    story.advance(story.propose("", Candidates()) or b"")
    assert kind(story.propose("0", Candidates(), guilty=1)) is Kind.LINK


def test_who_is_too_small_and_who_is_beside_it_merge() -> None:
    story = Chains(depth=1, tip=9)
    story.split()
    story.shrink("0")
    assert kind(story.propose("1", Candidates())) is not Kind.MERGE
    body = story.propose("0", Candidates()) or b""
    assert kind(body) is Kind.MERGE
    story.advance(body)
    answer = story.propose("1", Candidates()) or b""
    assert kind(answer) is Kind.MERGE
    assert decode_payload(decode_block(answer)) == MergePayload(because=block_hash(body))
    story.chain.mine_to(12)  # a challenge is closed: it is judged before the groups come together
    story.at("1")
    assert may_split(story.state) and story.propose("1", Candidates()) is None


def test_our_own_bug_is_not_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> bytes:
        raise InvalidBlock("ours")

    monkeypatch.setattr(module, "build_link", broken)
    with pytest.raises(InvalidBlock):
        Chains().propose("", Candidates())


def bodies(*payloads: Payload, height: int = 1) -> list[bytes]:
    """Return blocks of one place, one for each payload."""
    kinds = {RemovePayload: Kind.REMOVE, AdmitPayload: Kind.ADMIT, ExpirePayload: Kind.EXPIRE}
    return [
        encode(
            DataBlock(
                network=bytes(32),
                prefix="",
                height=height,
                previous=bytes(32),
                stamp_height=1,
                stamp_hash=bytes(32),
                kind=kinds[type(one)],
                payload=encode(one),
            )
        )
        for one in payloads
    ]


def removal(number: int, reason: Removal = Removal.SILENT) -> RemovePayload:
    return RemovePayload(operator_key=bytes([number]) * 32, reason=reason, proofs=())


def admission(number: int) -> AdmitPayload:
    key = bytes([number]) * 32
    return AdmitPayload(operator_key=key, age=1, name=key, ticket=bytes(32), ending=b"", verdict=b"", nonce=0)


def test_what_all_can_affirm_is_proposed_alone() -> None:
    first, second = bodies(ExpirePayload(ticket=bytes(32)), removal(1))
    assert take_turns([first, second], NOWHERE) == (first,)
    assert take_turns([], NOWHERE) == ()


def test_what_honest_voters_may_differ_on_holds_up_nothing_else() -> None:
    silent, coming, gone, expired = bodies(
        removal(1), admission(2), removal(3), ExpirePayload(ticket=bytes(32))
    )
    turns = take_turns([silent, coming, gone, expired, silent], NOWHERE)
    assert turns == (silent, expired, gone, expired, coming, expired)
    assert take_turns([silent, coming], NOWHERE) == (silent, coming)


def test_many_silent_members_leave_turns_to_who_comes() -> None:
    count = TURNS_MAX + 3
    had: set[int] = set()
    for height in range(1, count + 1):
        *silent, coming = bodies(*map(removal, range(count)), admission(9), height=height)
        turns = take_turns([*silent, coming], NOWHERE)
        assert len(turns) == TURNS_MAX + 1 and turns[-1] == coming and turns[0] == silent[height % count]
        had |= {silent.index(turn) for turn in turns[:-1]}
    assert len(had) == count, "each has its turn at some height"


def test_one_member_has_one_turn_however_much_there_is_against_it() -> None:
    reasons = bodies(removal(1), removal(1, Removal.FORWARDING), removal(1), removal(2))
    assert take_turns(reasons, NOWHERE) == (reasons[0], reasons[3])


# Registrations of other groups.


def registering() -> tuple[Chains, Hash32, Hash32]:
    """Return two groups of which the second has registered somebody before the first anchor, and after it."""
    story = Chains(tip=9)
    story.split()
    strangers = story.strangers("1", 2)
    hashes = []
    for stranger, height in zip(strangers, (9, 14), strict=True):
        story.chain.mine_to(height)
        body = build_register(story.at("1"), story.chain, [story.registration(stranger)], [])
        story.advance(body)
        hashes.append(block_hash(body))
    return story, hashes[0], hashes[1]


def test_verdicts_take_up_what_counts_at_their_anchor() -> None:
    story, before, after = registering()
    state = story.at("0")
    assert untaken(state, story.archive()) == (before, after)
    assert untaken(state, story.archive(), 8) == (before,)
    story.split("0")
    body = story.propose("00", Candidates(judged=(story.judged("00"),)))
    while kind(body) is Kind.SPLIT:
        story.split("00")
        body = story.propose("000", Candidates(judged=(story.judged("000"),)))
    assert body is not None and kind(body) is Kind.VERDICT
    payload = decode_payload(decode_block(body))
    assert isinstance(payload, VerdictPayload) and payload.registers == (before,)
    story.advance(body)
    assert untaken(story.state, story.archive(), 8) == ()
    assert untaken(story.state, story.archive()) == (after,)


def test_a_voter_waits_one_challenge_for_verdicts_that_leave_out_what_it_knows() -> None:
    story, before, _ = registering()
    state, chain = story.at("0"), story.chain
    payload = VerdictPayload(
        seq=SEQ,
        anchor_hash=bytes(32),
        parts=("0",),
        registers=(),
        observations=(),
        receipts=(),
        responses=(),
        verdicts=(),
    )

    def affirms(payload: VerdictPayload) -> bool:
        return takes_up_enough(state, chain, story.archive(), payload)

    assert affirms(replace(payload, registers=(before,)))
    assert not affirms(payload)
    patience = 8 + 4 + 2 + 8
    chain.mine_to(patience - 1)
    assert not affirms(payload)
    chain.mine_to(patience)
    assert affirms(payload)


def prevoted(peer: Peer) -> list[tuple[str, int]]:
    """Return for what a node prevoted, in which group at which height."""
    slots = (slot for slot, content in peer.votes if content != bytes(32))
    return [(slot.electorate, slot.height) for slot in slots if slot.phase is Phase.PREVOTE]


def test_what_a_machine_has_not_seen_for_itself_is_not_prevoted() -> None:
    cluster = splitting()
    cluster.mine_to(10)
    peer, other = (cluster[one] for one in members(cluster, "0")[:2])
    asked: list[type] = []

    def may_affirm(state: DataChain, block: DataBlock, payload: Payload) -> bool:
        asked.append(type(payload))
        return not isinstance(payload, VerdictPayload)

    peer.node.groups.affirmed_by.append(may_affirm)
    height = peer.node.group.state.height + 1
    cluster.mine_to(14)
    assert VerdictPayload in asked, "nobody asked"
    assert ("group:0", height) not in prevoted(peer) and ("group:0", height) in prevoted(other)
    peer.node.groups.affirmed_by.clear()
    peer.node.groups.moved()
    cluster.run(5_000)
    assert ("group:0", height) in prevoted(peer) and peer.node.group.state.height >= height
