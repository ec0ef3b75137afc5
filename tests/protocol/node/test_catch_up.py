"""Who is asked for what is missing, and how often."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.codec import decode, replace
from protocol.crypto import sha3_256
from protocol.node.catch_up import (
    ANSWER_MILLISECONDS,
    ANSWERED_MAX,
    NEIGHBOURS_MAX,
    REQUEST_MILLISECONDS,
    SPEAKERS,
    CatchUp,
    Turns,
)
from protocol.node.effects import Effect, Send
from protocol.node.machine import REPEAT_MILLISECONDS
from protocol.node.messages import (
    BLOCKS_BYTES_MAX,
    BLOCKS_MAX,
    FILE_BYTES_MAX,
    PLAIN,
    Blocks,
    BlocksRequest,
    ListRequest,
    Status,
    Want,
)
from protocol.units import OperatorKey
from tests.support.founding import founded_by
from tests.support.node_cluster import Cluster
from tests.support.operators import operators

FOUNDERS = operators(4)
PEERS = [OperatorKey(bytes([number]) * 32) for number in range(1, 6)]


def anybody(_: OperatorKey) -> bool:
    return True


class Chains:
    """One group's data chain of which only what catching up asks is there."""

    def __init__(self, blocks: list[bytes]) -> None:
        self.blocks = blocks
        self.held, self.lacks = 0, False
        self.members = frozenset(one.key for one in FOUNDERS)
        self.archive = self.lives = self
        self.pruned = 0

    @property
    def members_count(self) -> int:
        return len(self.members)

    def is_member(self, key: bytes) -> bool:
        return key in self.members

    def wants(self) -> list[tuple[str, int]]:
        return [("", self.held + 1)]

    def digest(self) -> bytes:
        return b"\x01" * 32

    def following(self, wants: Iterable[tuple[str, int]], count: int) -> list[bytes]:
        ((_, first),) = wants
        return self.blocks[first - 1 : first - 1 + count] if first else []


class Lists:
    """Lists of which only what catching up asks is there."""

    period = 1
    contradicted = False

    def __init__(self, file: bytes | None) -> None:
        self._file = file

    def file(self, period: int) -> bytes | None:
        return self._file


def desk(blocks: list[bytes], file: bytes | None = None) -> CatchUp:
    return CatchUp(founded_by(FOUNDERS), FOUNDERS[0].key, Chains(blocks), Lists(file), "t")  # type: ignore[arg-type]


def asked(desk: CatchUp, first: int = 1) -> BlocksRequest:
    return BlocksRequest(network=desk._network, wants=(Want(prefix="", first=first),))


def test_those_who_are_said_to_be_ahead_take_turns() -> None:
    turns = Turns()
    for peer in PEERS:
        turns.claim(peer, 9)
    chosen = [turns.next(3, number * REQUEST_MILLISECONDS, anybody) for number in range(10)]
    assert chosen == PEERS * 2


def test_one_request_in_its_time() -> None:
    turns = Turns()
    turns.claim(PEERS[0], 9)
    assert turns.next(3, 0, anybody) is PEERS[0]
    assert turns.next(3, REQUEST_MILLISECONDS - 1, anybody) is None
    assert turns.next(3, REQUEST_MILLISECONDS, anybody) is PEERS[0]


def test_who_gets_on_asks_again_at_once_the_next_one_in_turn() -> None:
    one = desk([])
    for peer in FOUNDERS[1:]:
        one.on_status(status(one, peer.key, 99), peer.key, 0)
    one.on_blocks(taken=0)
    assert not one.ask(1)
    one.on_blocks(taken=1)
    (first,) = one.ask(1)
    one.on_blocks(taken=64)
    (second,) = one.ask(2)
    assert isinstance(first, Send) and isinstance(second, Send) and first.peer != second.peer
    assert not one.ask(3)


def test_nobody_is_asked_for_what_nobody_claims_to_have() -> None:
    turns = Turns()
    turns.claim(PEERS[0], 3)
    assert turns.next(3, 0, anybody) is None
    turns.claim(PEERS[0], 4)
    assert turns.next(3, 0, anybody) is PEERS[0]


def test_who_may_not_be_asked_any_more_is_forgotten() -> None:
    turns = Turns()
    for peer in PEERS:
        turns.claim(peer, 9)
    assert turns.next(3, 0, lambda peer: peer == PEERS[2]) == PEERS[2]
    assert list(turns._claims) == [PEERS[2]] == list(turns._asked)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 9)), min_size=1, max_size=60))
def test_nobody_who_keeps_claiming_is_starved(claims: list[tuple[int, int]]) -> None:
    """However often others claim, an honest peer is asked before anybody is asked twice after its claim."""
    turns, honest = Turns(), PEERS[0]
    chosen = []
    for number, (peer, place) in enumerate(claims):
        turns.claim(honest, 5)
        if peer:
            turns.claim(PEERS[peer], place)
        chosen.append(turns.next(4, number * REQUEST_MILLISECONDS, anybody))
    for start in range(len(chosen) - len(PEERS) + 1):
        assert honest in chosen[start : start + len(PEERS)]


def status(desk: CatchUp, sender: OperatorKey, height: int) -> Status:
    return Status(network=desk._network, sender=sender, heads=bytes(32), blocks=height, pruned=0, lists=0)


def test_strangers_are_not_asked_unless_they_stand_beside_us() -> None:
    one = desk([])
    for peer in PEERS:
        effects = one.on_status(status(one, peer, 7), FOUNDERS[0].key, 0)  # our own echo
        assert not effects
    effects = one.on_status(status(one, PEERS[0], 7), PEERS[1], 0)
    assert [effect.peer for effect in effects if isinstance(effect, Send)] == [PEERS[1]]


def asked_for(effects: Iterable[Effect]) -> list[OperatorKey]:
    return [effect.peer for effect in effects if isinstance(effect, Send)]


def test_who_holds_as_many_blocks_but_others_has_what_we_lack() -> None:
    one, peer = desk([]), FOUNDERS[1].key
    same = replace(status(one, peer, 0), heads=b"\x01" * 32)
    assert not asked_for(one.on_status(same, peer, 0))
    assert asked_for(one.on_status(status(one, peer, 0), peer, 0)) == [peer]
    assert asked_for(one.ask(REQUEST_MILLISECONDS)) == [peer]
    one.on_status(same, peer, REQUEST_MILLISECONDS + 1)  # we agree now
    assert not asked_for(one.ask(9 * REQUEST_MILLISECONDS))


def test_who_says_it_has_fallen_back_is_not_asked_any_more() -> None:
    one, peer = desk([]), FOUNDERS[1].key
    assert asked_for(one.on_status(status(one, peer, 7), peer, 0)) == [peer]
    one._groups.held = 5  # type: ignore[misc]
    one.on_status(status(one, peer, 3), peer, 1)
    assert not asked_for(one.ask(9 * REQUEST_MILLISECONDS))


def test_all_chains_are_asked_for_at_once_and_none_where_nothing_is_wanted() -> None:
    one = desk([])
    one._groups.wants = lambda: [("0", 4), ("10", 9)]  # type: ignore[method-assign]
    (sent,) = one.on_status(status(one, PEERS[0], 7), PEERS[1], 0)
    assert isinstance(sent, Send)
    request = decode(sent.data[1:], BlocksRequest)
    assert [(want.prefix, want.first) for want in request.wants] == [("0", 4), ("10", 9)]
    one._groups.wants = list  # type: ignore[method-assign]
    assert not one.ask(REQUEST_MILLISECONDS)


@pytest.mark.parametrize(("members", "at_once"), [(4, 4), (7, 7), (8, 8), (45, 8), (500, 8), (5_000, 8)])
def test_so_many_say_where_they_are_at_one_time(members: int, at_once: int) -> None:
    keys = [OperatorKey(sha3_256(number.to_bytes(4, "big"))) for number in range(members)]
    turns = members // SPEAKERS + 1
    said = [0] * turns
    genesis, chains = founded_by(FOUNDERS), Chains([])
    chains.members = frozenset(keys)
    for key in keys:
        one = CatchUp(genesis, key, chains, Lists(None), "t")  # type: ignore[arg-type]
        spoke = [one.is_our_turn(turn) for turn in range(turns)]
        assert spoke.count(True) == 1, "everybody has its turn"
        said[spoke.index(True)] += 1
    assert max(said) <= 3 * at_once and sum(said) == members
    assert sum(said) / turns <= SPEAKERS


def test_where_members_speak_in_turns_who_was_away_hears_all_the_same_whom_to_ask() -> None:
    """Nobody decides anything meanwhile, so nothing but a status tells that something is lacking."""
    many = operators(2 * SPEAKERS + 1)
    cluster = Cluster(many)
    cluster.mine_to(4)
    away, others = many[0], many[1:]
    cluster.cut = {away.key}
    cluster.mine_to(13)
    held = {cluster[one].node.groups.held for one in others}
    assert len(held) == 1 and cluster[away].node.groups.held < min(held)
    cluster.heal()
    cluster.run(REPEAT_MILLISECONDS + REQUEST_MILLISECONDS)
    assert {cluster[away].node.groups.held} == held


def test_who_has_pruned_what_we_lack_is_not_asked() -> None:
    one = desk([])
    one._groups.held = 5  # type: ignore[misc]
    honest, other = FOUNDERS[1].key, FOUNDERS[2].key

    def asked_of(sender: OperatorKey, neighbour: OperatorKey, pruned: int, now: int) -> list[OperatorKey]:
        said = replace(status(one, sender, 9), pruned=pruned)
        return [effect.peer for effect in one.on_status(said, neighbour, now) if isinstance(effect, Send)]

    assert asked_of(honest, honest, 6, 0) == []
    assert asked_of(honest, honest, 5, 1_000) == [honest]
    assert asked_of(other, honest, 6, 2_000) == [honest], "what another one says of itself"
    assert asked_of(honest, honest, 6, 3_000) == []


def test_neighbours_are_bounded() -> None:
    one = desk([])
    for number in range(NEIGHBOURS_MAX * 3):
        one.on_status(status(one, PEERS[0], 7), OperatorKey(number.to_bytes(32, "big")), number)
    assert len(one._neighbours) == NEIGHBOURS_MAX
    one.ask(10_000)
    assert len(one._blocks._claims) <= NEIGHBOURS_MAX + len(FOUNDERS)


def answered(desk: CatchUp, first: int, peer: OperatorKey = PEERS[0], now: int = 0) -> tuple[bytes, ...]:
    effects = desk.on_blocks_request(asked(desk, first), peer, now)
    assert len(effects) <= 1
    if not effects:
        return ()
    (sent,) = effects
    assert isinstance(sent, Send) and sent.peer == peer and sent.data[0] == PLAIN
    return decode(sent.data[1:], Blocks, 2 << 20).blocks


def test_an_answer_holds_as_many_blocks_as_fit() -> None:
    small = [bytes([number % 251]) * 10 for number in range(BLOCKS_MAX + 5)]
    assert answered(desk(small), 1) == tuple(small[:BLOCKS_MAX])
    assert answered(desk(small), BLOCKS_MAX + 4) == tuple(small[-2:])
    assert answered(desk(small), len(small) + 1) == ()
    assert answered(desk(small), 0) == () == answered(desk(small), 2**32 - 1)
    large = [bytes([number]) * (BLOCKS_BYTES_MAX // 2) for number in range(3)]
    assert answered(desk(large), 1) == tuple(large[:2])
    assert answered(desk([bytes(BLOCKS_BYTES_MAX + 1)] * 2), 1) == (bytes(BLOCKS_BYTES_MAX + 1),)


def test_one_answer_of_a_kind_to_a_peer_in_its_time() -> None:
    one = desk([b"block"], b"file")
    assert answered(one, 1) and not answered(one, 1, now=ANSWER_MILLISECONDS - 1)
    assert answered(one, 1, PEERS[1]) and answered(one, 1, now=ANSWER_MILLISECONDS)
    request = ListRequest(network=one._network, period=1)
    assert one.on_list_request(request, PEERS[0], ANSWER_MILLISECONDS)
    assert not one.on_list_request(request, PEERS[0], ANSWER_MILLISECONDS)


def test_what_is_remembered_of_answers_is_bounded() -> None:
    one = desk([b"block"])
    for number in range(ANSWERED_MAX + 50):
        answered(one, 1, OperatorKey(number.to_bytes(32, "big")))
    assert len(one._answered) == ANSWERED_MAX


def test_a_list_that_fits_into_no_message_is_not_sent() -> None:
    request = ListRequest(network=desk([])._network, period=1)
    assert desk([], bytes(FILE_BYTES_MAX)).on_list_request(request, PEERS[0], 0)
    assert not desk([], bytes(FILE_BYTES_MAX + 1)).on_list_request(request, PEERS[0], 0)
    assert not desk([], None).on_list_request(request, PEERS[0], 0)
