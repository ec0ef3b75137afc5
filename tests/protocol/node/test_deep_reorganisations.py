"""More blocks than the burial are replaced for everybody: in each state of a challenge, and of a list."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.codec import encode
from protocol.group.vote import Phase, decode_statement
from protocol.node.messages import PLAIN, Blocks, pack_plain
from protocol.node.voids import Why
from protocol.payout.light import trust_from_genesis, trust_from_list, verify_list
from protocol.payout.list_header import ListHeader
from protocol.tracking.verdict import Reason
from tests.support.chain_view import MemoryChain
from tests.support.deep import FOUNDERS, NEWCOMER, Deep
from tests.support.operators import operator

ONE = FOUNDERS[0]


def verdicts(network: Deep, seq: int) -> set[Reason]:
    record = network[ONE].node.group.verdicts(seq)
    assert record is not None, f"challenge {seq} is not judged"
    return {verdict.reason for verdict in record.verdicts}


def lists(network: Deep) -> list[ListHeader]:
    """Return the certified lists as a wallet verifies them: every sum holds, and nobody differs."""
    trust, headers = trust_from_genesis(encode(network.genesis)), list[ListHeader]()
    for period in range(1, network[ONE].node.lister.period):
        files = {network[one].node.lister.file(period) for one in (*FOUNDERS, NEWCOMER)}
        verified = [verify_list(file or b"", trust) for file in files]
        assert len({one.list_hash for one in verified}) == 1
        header = verified[0].header
        assert header.paid_total + header.carried_out == header.rewards + header.carried_in
        trust, headers = trust_from_list(verified[0]), [*headers, header]
    named = [block for header in headers for block in header.blocks]
    assert len(named) == len(set(named)), "no challenge is paid twice"
    return headers


def finish(network: Deep, height: int = 34) -> list[ListHeader]:
    """Go on for two more lists, let a newcomer in, and return all lists."""
    network.mine_to(height)
    network.newcomer_comes()
    for one in (*FOUNDERS, NEWCOMER):
        node = network[one].node
        assert not node.contradicted and not node.group.stranded
        assert node.group.state.head == network[ONE].node.group.state.head
        assert not network[one].punished
    headers = lists(network)
    assert len(headers) >= 2
    return headers


def test_before_a_challenge_opens_nothing_is_lost() -> None:
    network = Deep()
    network.mine_to(7)
    network.replace(4)
    assert network.chain.tip()[0] == 8
    headers = finish(network)
    assert not network.news(ONE, "challenge.void")
    assert verdicts(network, 2) == {Reason.VALID} and headers[0].responses == 8


def test_while_it_is_open_it_is_answered_and_judged_anew() -> None:
    network = Deep()
    network.mine_to(9)
    old = network.anchor(2)
    network.replace(2)
    new = network.anchor(2)
    assert new != old
    for one in FOUNDERS:
        assert network.news(one, "challenge.void") == [
            {"seq": 2, "anchor": old.hex(), "reason": Why.LEFT.value}
        ]
        assert network.news(one, "challenge.opened")[-1]["anchor"] == new.hex()
    headers = finish(network)
    assert verdicts(network, 2) == {Reason.VALID} and headers[0].responses == 8
    assert network[ONE].node.group.judged_anchor(2) == new


@pytest.mark.parametrize("restarted", [False, True])
def test_when_the_old_branch_comes_back_its_responses_count(restarted: bool) -> None:
    network = Deep()
    network.mine_to(9)
    old = network.anchor(2)
    lost = network.replace(2)
    if restarted:
        for one in FOUNDERS:
            network.restart(one)
    before = network.chain.tip()[0]
    lost.mine_to(before + 1)
    network.switch(lost)
    assert network.chain.tip()[0] >= 11, "nobody can answer any more"
    finish(network)
    assert verdicts(network, 2) == {Reason.VALID}
    assert network[ONE].node.group.judged_anchor(2) == old


def test_after_its_close_it_is_void_for_everybody_at_once() -> None:
    network = Deep()
    network.mine_to(11)
    old = network.anchor(2)
    network.replace(4)
    new = network.anchor(2)
    for one in FOUNDERS:
        assert network.news(one, "challenge.void") == [
            {"seq": 2, "anchor": old.hex(), "reason": Why.LEFT.value},
            {"seq": 2, "anchor": new.hex(), "reason": Why.CLOSED_BEFORE.value},
        ]
        assert not [
            opened for opened in network[one].node.tracker.open_challenges() if opened.challenge.seq == 2
        ]
        network.restart(one)
        assert network[one].node.tracker.voids.of(2) == {new: Why.CLOSED_BEFORE}
    headers = finish(network)
    assert network[ONE].node.group.verdicts(2) is None
    assert headers[0].responses == 4, "challenge 3 takes the whole pool"


def test_after_its_verdict_it_is_void_and_not_judged_again() -> None:
    network = Deep()
    network.mine_to(13)
    old, state = network.anchor(2), network[ONE].node.group.state
    assert 2 in state.judged
    network.replace(7)
    new = network.anchor(2)
    for one in FOUNDERS:
        assert network.news(one, "challenge.void")[-2:] == [
            {"seq": 2, "anchor": old.hex(), "reason": Why.LEFT_JUDGED.value},
            {"seq": 2, "anchor": new.hex(), "reason": Why.JUDGED_BEFORE.value},
        ]
        assert network.news(one, "data_chain.stranded") == [
            {"prefix": "", "height": state.height, "stamp": state.stamp_height, "why": "reorganised"}
        ]
        assert not network[one].node.contradicted and network[one].node.group.stranded
    headers = finish(network)
    assert network[ONE].node.group.judged_anchor(2) == old
    assert network.news(ONE, "data_chain.agreed")
    assert headers[0].responses == 4 and headers[1].responses == 8


def test_a_judged_challenge_counts_again_when_its_anchor_comes_back() -> None:
    network = Deep()
    network.mine_to(13)
    lost = network.replace(7)
    lost.mine_to(network.chain.tip()[0] + 1)
    network.switch(lost)
    assert network.news(ONE, "challenge.restored") == [{"seq": 2, "anchor": network.anchor(2).hex()}]
    assert finish(network)[0].responses == 8


@pytest.mark.parametrize("restarted", [False, True])
def test_after_the_list_it_stays_certified_and_nothing_is_paid_again(restarted: bool) -> None:
    network = Deep()
    network.mine_to(17)
    first = network[ONE].node.lister.file(1)
    assert first is not None and network[ONE].node.lister.period == 2
    network.replace(12)
    if restarted:
        for one in FOUNDERS:
            network.restart(one)
    for one in FOUNDERS:
        (news,) = network.news(one, "list.stranded")
        assert news == {"period": 1, "why": "stored" if restarted else "reorganised"}
    headers = finish(network, 40)
    assert network[ONE].node.lister.file(1) == first and headers[0].responses == 8
    assert {news["why"] for news in network.news(NEWCOMER, "list.stranded")} == {"followed"}
    for header in headers[1:]:
        assert header.last_hash == network.chain.block_hash(header.last_height)


def test_everybody_restarts_and_nobody_is_contradicted() -> None:
    network = Deep()
    network.mine_to(13)
    state = network[ONE].node.group.state
    network.replace(7)
    for one in FOUNDERS:
        network.restart(one)
        assert network[one].node.group.state == state and not network[one].node.contradicted
        assert network.news(one, "data_chain.stranded")[0]["why"] == "stored"
    finish(network)


@pytest.mark.parametrize("blocks", [1, 2])
def test_a_node_that_slept_through_holds_a_stranded_block_back_until_the_others_stand_on_its_chain(
    blocks: int,
) -> None:
    network = Deep()
    network.mine_to(5)
    asleep = FOUNDERS[3]
    network.cut.add(asleep.key)
    network.mine_to(13)
    if blocks == 2:
        network.submit(ONE, operator(31).envelope(network=network[ONE].node.network))
        network.run(1_000)
    assert network[ONE].node.group.state.height == blocks
    network.replace(7)
    network.cut.discard(asleep.key)
    network._connect(network.chain.tip()[0])
    network.run(3_000)
    node = network[asleep].node
    (news,) = network.news(asleep, "data_chain.contradiction")
    assert news["stranded"] is True and node.contradicted and not node.group.refuted
    assert node.group.state.height == 0 and node.group.held_height == network[ONE].node.group.state.height
    voted = len(network[asleep].votes)
    for _ in range(2):  # while the chain is too short to say anything nothing is held, and then again
        tip = network.chain.tip()
        network.chain.disconnect(tip[0] - 9)
        network.carry(network[asleep], node.disconnect(*tip) + node.tick(network.now))
        assert not node.contradicted and node.group.state.height == 0
        network.chain.mine_to(14, salt=b"deep")
        network.carry(network[asleep], node.connect(*network.chain.tip()) + node.tick(network.now))
        network.run(2_000)
        assert node.contradicted and node.group.held_height == network[ONE].node.group.state.height
    network.submit(ONE, operator(30).envelope(network=node.network))
    network.run(3_000)
    assert not node.contradicted and node.group.state.head == network[ONE].node.group.state.head
    assert network.news(asleep, "data_chain.stranded")[0]["why"] == "followed"
    assert len(network.news(asleep, "data_chain.contradiction")) == 1 and len(network[asleep].votes) == voted
    finish(network)


def test_whoever_is_needed_for_a_quorum_comes_back_though_nothing_more_is_certified() -> None:
    """Two hold the block, one does not, one is gone: only together are they a quorum."""
    network = Deep()
    network.mine_to(5)
    asleep, gone = FOUNDERS[3], FOUNDERS[2]
    network.cut.add(asleep.key)
    network.mine_to(13)
    network.replace(7)
    network.cut.add(gone.key)
    network.cut.discard(asleep.key)
    network._connect(network.chain.tip()[0])
    network.run(3_000)
    stamp = network[ONE].node.group.state.stamp_height
    settled = stamp + network.genesis.parameters.burial + network.genesis.parameters.challenge_every
    network.mine_to(settled - 1)
    node = network[asleep].node
    assert node.contradicted and node.group.state.height == 0
    network.mine_to(settled)
    assert not node.contradicted
    assert network.news(asleep, "data_chain.stranded")[0]["why"] == "settled"
    network.cut.discard(gone.key)
    network._connect(network.chain.tip()[0])
    finish(network)


def test_a_verdict_on_another_anchor_ends_a_challenge_that_was_opened_again() -> None:
    """Who hears late that it was judged on the old branch must not offer it for ever."""
    network = Deep()
    network.mine_to(9)
    asleep = FOUNDERS[3]
    network.cut.add(asleep.key)
    network.mine_to(13)
    old = network.anchor(2)
    lost = network.chain.copy()
    blocks = [network[ONE].node.group.certified(1) or b""]
    other = lost.copy()
    other.disconnect(6)
    other.mine_to(10, salt=b"deep")
    alone = Deep()
    alone.mine_to(9)
    alone.cut |= {one.key for one in FOUNDERS[:3]}
    alone.switch(other)
    node, new = alone[asleep].node, alone.anchor(2)
    assert [opened.challenge.anchor_hash for opened in node.tracker.open_challenges()] == [new]
    alone.mine_to(20)
    answer = Blocks(network=node.network, blocks=tuple(blocks))
    alone.deliver(asleep, ONE, pack_plain(answer))
    assert node.group.judged_anchor(2) == old and not node.contradicted
    assert 2 not in {opened.challenge.seq for opened in node.tracker.open_challenges()}
    assert alone.news(asleep, "challenge.void")[-2:] == [
        {"seq": 2, "anchor": old.hex(), "reason": Why.LEFT_JUDGED.value},
        {"seq": 2, "anchor": new.hex(), "reason": Why.JUDGED_BEFORE.value},
    ]
    assert not any(node.tracker._docket.get(2, anchor) for anchor in (old, new))


def test_what_comes_for_a_lost_anchor_is_not_in_time_by_the_height_of_another_branch() -> None:
    network = Deep()
    network.mine_to(8)
    late = FOUNDERS[3]
    network.cut.add(late.key)
    network.mine_to(9)
    response = next(data for data in network[late].sent if b"\xa8response" in data)
    judge = network[ONE].node
    (opened,) = judge.tracker.open_challenges()
    forged = network[late].operator
    assert opened.builder.held(forged.key) is not None  # it was in time; now a judge that never got it
    opened.builder._held.pop(forged.key)
    network.mine_to(11)
    tip = network.chain.tip()
    network.chain.disconnect(4)
    for height in range(tip[0], 7, -1):
        judge.disconnect(height, tip[1] if height == tip[0] else b"")
    network.chain.mine_to(8, salt=b"deep")
    judge.connect(8, network.anchor(2))
    network.deliver(ONE, late, response)
    held = opened.builder.held(forged.key)
    assert held is not None and held.height == 11


def test_an_anchor_that_comes_back_after_we_observed_its_challenge_opens_it_once_more() -> None:
    network = Deep()
    network.cut |= {one.key for one in FOUNDERS[1:]}  # so nothing is decided
    network.mine_to(12)
    node, anchor = network[ONE].node, network.anchor(2)
    (opened,) = [one for one in node.tracker.open_challenges() if one.challenge.seq == 2]
    said = opened.observations[ONE.key]
    lost = network.replace(5)
    lost.mine_to(15)
    network.switch(lost)
    (again,) = [one for one in node.tracker.open_challenges() if one.challenge.seq == 2]
    assert again.challenge.anchor_hash == anchor and again.observations == {ONE.key: said}


def decides_a_block(data: bytes) -> bool:
    """Whether a message is a precommit of the group, or brings certified blocks."""
    if data[0] == PLAIN:
        return b"\xa6blocks" in data[:12] or b"\xa7forward" in data[:12]
    is_vote = data[65:].startswith(b"\x98\xa4vote") and b"group:" in data
    return is_vote and decode_statement(data[65:]).slot.phase is Phase.PRECOMMIT


def test_a_stranded_block_that_we_voted_for_ourselves_is_taken_at_once() -> None:
    network = Deep()
    away = FOUNDERS[3]
    network.drops = lambda sender, to, data: to == away.key and decides_a_block(data)
    network.mine_to(12)
    node = network[away].node
    block = network[ONE].node.group.certified(1)
    assert block is not None and node.group.state.height == 0
    network.replace(6)
    network.deliver(away, ONE, pack_plain(Blocks(network=node.network, blocks=(block,))))
    assert not node.contradicted and node.group.state.height == 1
    assert [news["why"] for news in network.news(away, "data_chain.stranded")] == ["affirmed"]


@st.composite
def moves(draw: st.DrawFn) -> list[tuple[str, int]]:
    """Return what happens to a network: chains grow, are replaced, come back; founders restart or sleep."""
    kinds = st.sampled_from(["mine", "mine", "replace", "back", "restart", "sleep"])
    return draw(st.lists(st.tuples(kinds, st.integers(1, 9)), min_size=3, max_size=9))


@settings(max_examples=12)
@given(moves())
def test_whatever_is_replaced_everybody_ends_with_one_data_chain_and_nothing_is_paid_twice(
    made: list[tuple[str, int]],
) -> None:
    """All honest, at most one asleep at a time, so nothing may stop for good."""
    network = Deep()
    network.mine_to(8)
    lost: list[MemoryChain] = []
    for kind, number in made:
        if kind == "mine":
            network.mine(number)
        elif kind == "replace":
            lost.append(network.replace(min(number, network.chain.tip()[0] - 2), salt=bytes([len(lost)])))
        elif kind == "back" and lost:
            branch = lost[number % len(lost)].copy()
            branch.mine_to(network.chain.tip()[0] + 1, salt=b"again")
            lost.append(network.chain.copy())
            network.switch(branch)
        elif kind == "restart":
            network.restart(FOUNDERS[number % 4])
        elif kind == "sleep":
            network.wake()
            network.sleep(FOUNDERS[number % 4])
    network.wake()
    finish(network, network.chain.tip()[0] + 26)
