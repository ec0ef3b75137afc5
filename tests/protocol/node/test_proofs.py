"""A join proof's transfer: what counts, what is blamed, and that it comes through."""

import heapq
from collections import Counter
from collections.abc import Callable
from itertools import count
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.codec import decode, replace
from protocol.crypto import Signer
from protocol.errors import InvalidProof
from protocol.group.join_proof import JoinProver, chunk
from protocol.node.effects import Incoming, Send
from protocol.node.messages import ALL_PARTS, PART_BYTES, PARTS, ProofHeld, ProofPart, pack_plain
from protocol.node.proofs import (
    PARTS_TO_ONE_MAX,
    PARTS_UNDER_WAY_MAX,
    PATIENCE_MILLISECONDS,
    PROOFS_MAX,
    REPEAT_MILLISECONDS,
    ProofDesk,
    ProofSender,
    part_of,
)
from protocol.units import Hash32, OperatorKey

NETWORK = bytes(range(32))
BITS = 4
KEYS = sorted(Signer(bytes([number]) * 32).operator_key for number in range(1, 30))
JOINER, MEMBERS = KEYS[0], KEYS[1:]
TICKET, OTHER_TICKET = Hash32(b"\x07" * 32), Hash32(b"\x08" * 32)
UNTIL = 100


def proved(ticket: bytes, first: int = 0) -> int:
    """Return the smallest nonce from `first` on that proves a ticket."""
    prover = JoinProver(JOINER, ticket, BITS)
    prover.trials = first
    nonce = prover.search(1 << 12)
    assert nonce is not None
    return nonce


NONCE = proved(TICKET)


def part(index: int, ticket: bytes = TICKET, nonce: int = NONCE, data: bytes | None = None) -> ProofPart:
    body = part_of(JOINER) if data is None else data
    return ProofPart(network=NETWORK, ticket=ticket, nonce=nonce, index=index, data=body)


def sent_by(peer: OperatorKey, topic: str = "") -> Incoming:
    return Incoming(peer, b"\x7f\x00\x00\x01", topic, b"")


def desk() -> ProofDesk:
    made = ProofDesk(NETWORK, BITS)
    made.expect(TICKET, JOINER, UNTIL)
    return made


def word(sends: list[Send]) -> int:
    """Return the parts that the one message, to the joiner, says are held."""
    (send,) = sends
    assert send.peer == JOINER
    return decode(send.data[1:], ProofHeld).parts


# The desk.


def test_the_parts_together_are_the_megabyte() -> None:
    assert part_of(JOINER) * PARTS == chunk(JOINER)
    assert len(part_of(JOINER)) == PART_BYTES


@given(st.permutations(range(PARTS)), st.lists(st.integers(0, PARTS - 1), max_size=4))
def test_all_parts_in_any_order_and_repeated_make_the_proof(order: list[int], repeats: list[int]) -> None:
    taker = desk()
    held = 0
    for index in order:
        assert taker.satisfied(TICKET) is None
        held |= 1 << index
        assert word(taker.take(sent_by(JOINER), part(index), UNTIL)) == held
    for index in repeats:
        assert word(taker.take(sent_by(JOINER), part(index), UNTIL)) == ALL_PARTS
    assert taker.satisfied(TICKET) == NONCE


@pytest.mark.parametrize(
    ("incoming", "ticket", "height"),
    [
        (sent_by(MEMBERS[0]), TICKET, UNTIL),
        (sent_by(JOINER, "topic"), TICKET, UNTIL),
        (sent_by(JOINER), OTHER_TICKET, UNTIL),
        (sent_by(JOINER), TICKET, UNTIL + 1),
    ],
    ids=["another peer", "gossip", "unexpected", "late"],
)
def test_what_does_not_count_is_nothing_and_nobodys_fault(
    incoming: Incoming, ticket: bytes, height: int
) -> None:
    taker = desk()
    for index in range(PARTS):
        assert taker.take(incoming, part(index, ticket, data=bytes(PART_BYTES)), height) == []
        assert taker.take(incoming, part(index, ticket), height) == []
    assert taker.satisfied(TICKET) is taker.satisfied(OTHER_TICKET) is None


@given(st.integers(0, PART_BYTES - 1), st.integers(1, 255))
def test_one_wrong_byte_is_blamed(place: int, change: int) -> None:
    wrong = bytearray(part_of(JOINER))
    wrong[place] ^= change
    taker = desk()
    with pytest.raises(InvalidProof, match="again and again"):
        taker.take(sent_by(JOINER), part(0, data=bytes(wrong)), 1)
    assert word(taker.take(sent_by(JOINER), part(1), 1)) == 0b10


def test_a_nonce_that_proves_nothing_is_blamed_and_one_of_another_ticket_too() -> None:
    taker = desk()
    wrong = next(nonce for nonce in range(NONCE + 1, NONCE + 99) if nonce != proved(TICKET, nonce))
    with pytest.raises(InvalidProof, match="zero bits"):
        taker.take(sent_by(JOINER), part(0, nonce=wrong), 1)
    taker.take(sent_by(JOINER), part(0), 1)
    with pytest.raises(InvalidProof, match="zero bits"):
        taker.take(sent_by(JOINER), part(1, nonce=wrong), 1)


def test_an_operator_that_found_another_nonce_meanwhile_goes_on_with_it() -> None:
    other = proved(TICKET, NONCE + 1)
    taker = desk()
    for index in range(PARTS):
        taker.take(sent_by(JOINER), part(index, nonce=NONCE if index < 2 else other), 1)
    assert taker.satisfied(TICKET) == other != NONCE


def test_being_expected_is_said_once_and_what_has_come_stays() -> None:
    taker = ProofDesk(NETWORK, BITS)
    assert word(taker.expect(TICKET, JOINER, UNTIL)) == 0
    taker.take(sent_by(JOINER), part(0), 1)
    assert taker.expect(TICKET, JOINER, UNTIL + 5) == []
    assert word(taker.take(sent_by(JOINER), part(2), 1)) == 0b101


def test_tickets_are_dropped_below_a_height_and_when_they_have_ended() -> None:
    taker = desk()
    taker.expect(OTHER_TICKET, JOINER, UNTIL + 1)
    for ticket in (TICKET, OTHER_TICKET):
        for index in range(PARTS):
            taker.take(sent_by(JOINER), part(index, ticket, proved(ticket)), UNTIL)
    taker.drop_below(UNTIL)
    assert taker.satisfied(TICKET) == NONCE
    taker.drop_below(UNTIL + 1)
    assert taker.satisfied(TICKET) is None
    assert taker.satisfied(OTHER_TICKET) == proved(OTHER_TICKET)
    taker.forget(OTHER_TICKET)
    taker.forget(OTHER_TICKET)
    assert taker.satisfied(OTHER_TICKET) is None


def test_so_many_tickets_are_expected_and_no_more_until_one_ends() -> None:
    taker = ProofDesk(NETWORK, BITS)
    tickets = [number.to_bytes(32, "big") for number in range(PROOFS_MAX + 1)]
    for ticket in tickets[:-1]:
        assert word(taker.expect(ticket, JOINER, UNTIL)) == 0
    assert taker.expect(tickets[-1], JOINER, UNTIL) == []
    assert taker.take(sent_by(JOINER), part(0, tickets[-1], proved(tickets[-1])), 1) == []
    taker.forget(tickets[0])
    assert word(taker.expect(tickets[-1], JOINER, UNTIL)) == 0


# The sender.


def sender() -> ProofSender:
    giver = ProofSender(NETWORK, JOINER, TICKET)
    assert giver.proved(NONCE, 0) == []
    return giver


def held(parts: int, ticket: bytes = TICKET) -> ProofHeld:
    return ProofHeld(network=NETWORK, ticket=ticket, parts=parts)


def indexes(sends: list[Send]) -> list[int]:
    return [decode(send.data[1:], ProofPart).index for send in sends]


def test_a_member_that_speaks_is_sent_part_after_part() -> None:
    giver = sender()
    (member,) = members = MEMBERS[:1]
    assert giver.tick(members, 0) == []
    assert indexes(giver.hear(member, held(0b0000), 1)) == [0]
    assert giver.tick(members, 2) == []
    assert indexes(giver.hear(member, held(0b0001), 3)) == [1]
    assert indexes(giver.hear(member, held(0b1011), 4)) == [2]
    assert giver.waiting == 1
    assert giver.hear(member, held(ALL_PARTS), 5) == []
    assert giver.waiting == 0
    assert giver.tick(members, 10**9) == []


def test_words_that_come_while_the_proof_is_mined_are_not_lost() -> None:
    giver = ProofSender(NETWORK, JOINER, TICKET)
    members = MEMBERS[:3]
    assert giver.tick(members, 0) == []
    assert giver.hear(members[1], held(0), 1) == []
    assert giver.tick(members, 3 * PATIENCE_MILLISECONDS) == []
    proved_at = 3 * PATIENCE_MILLISECONDS + 1
    (send,) = giver.proved(NONCE, proved_at)
    assert (send.peer, send.data) == (members[1], pack_plain(part(0)))
    assert giver.tick(members, proved_at + PATIENCE_MILLISECONDS - 1) == []
    assert [send.peer for send in giver.tick(members, proved_at + PATIENCE_MILLISECONDS)] == [members[0]]


def test_a_member_that_forgot_is_sent_everything_again_but_not_for_ever() -> None:
    giver = sender()
    (member,) = members = MEMBERS[:1]
    giver.tick(members, 0)
    sends = [len(giver.hear(member, held(0), 0)) for _ in range(PARTS_TO_ONE_MAX + 9)]
    assert sends == [1] * PARTS_TO_ONE_MAX + [0] * 9


def test_a_silent_member_is_tried_after_a_while_and_again_when_it_stays_silent() -> None:
    giver = sender()
    members = MEMBERS[:1]
    assert giver.tick(members, 5) == []
    assert giver.tick(members, 5 + PATIENCE_MILLISECONDS - 1) == []
    first = 5 + PATIENCE_MILLISECONDS
    assert indexes(giver.tick(members, first)) == [0]
    assert giver.tick(members, first + REPEAT_MILLISECONDS - 1) == []
    assert indexes(giver.tick(members, first + REPEAT_MILLISECONDS)) == [0]


def test_those_who_were_sent_nothing_come_first_and_silent_ones_hold_nobody_up_for_long() -> None:
    giver = sender()
    members = MEMBERS[:10]
    order = []
    now = 0
    giver.tick(members, now)
    for now in range(PATIENCE_MILLISECONDS, PATIENCE_MILLISECONDS + 6 * REPEAT_MILLISECONDS, 100):
        sends = giver.tick(members, now)
        assert len(sends) <= PARTS_UNDER_WAY_MAX
        order += [send.peer for send in sends]
    assert order[:10] == members
    assert max(Counter(order).values()) <= 2


def test_members_that_take_parts_and_never_answer_cost_each_other_member_one_wait_at_most() -> None:
    giver = sender()
    members = MEMBERS[:20]
    dumb = set(members[:7])
    now = 0
    giver.tick(members, now)
    sends = [send for key in members for send in giver.hear(key, held(0), now)]
    has = dict.fromkeys(members, 0)
    while min(parts for key, parts in has.items() if key not in dumb) != ALL_PARTS:
        now += 100
        answers, sends = sends, giver.tick(members, now)
        for send in answers:
            if send.peer not in dumb:
                has[send.peer] |= 1 << indexes([send])[0]
                sends += giver.hear(send.peer, held(has[send.peer]), now)
    assert now < 7 * REPEAT_MILLISECONDS // PARTS_UNDER_WAY_MAX + REPEAT_MILLISECONDS


def test_strangers_former_members_and_words_of_other_tickets_are_not_heard() -> None:
    giver = sender()
    giver.tick([*MEMBERS[:2], JOINER], 0)
    assert giver.waiting == 2
    assert giver.hear(MEMBERS[5], held(0), 1) == []
    assert giver.hear(MEMBERS[0], held(0, OTHER_TICKET), 1) == []
    assert giver.hear(JOINER, held(0), 1) == []
    giver.tick(MEMBERS[:1], 1)
    assert giver.hear(MEMBERS[1], held(0), 1) == []
    assert giver.waiting == 1


# Both together.


class World:
    """One joiner and its members on a network that delays, reorders and loses messages."""

    def __init__(self, members: int, chance: Callable[[], int]) -> None:
        self.chance = chance
        self.sender = sender()
        self.desks = {key: ProofDesk(NETWORK, BITS) for key in MEMBERS[:members]}
        self.now = 0
        self.on_the_way: list[tuple[int, int, OperatorKey, Send]] = []
        self.numbers = count()
        self.parts: Counter[tuple[OperatorKey, int]] = Counter()

    def carry(self, author: OperatorKey, sends: list[Send]) -> None:
        for send in sends:
            if author == JOINER:
                self.parts[send.peer, decode(send.data[1:], ProofPart).index] += 1
            delay = self.chance()
            if delay < 400:
                heapq.heappush(self.on_the_way, (self.now + delay, next(self.numbers), author, send))

    def run(self, until: int) -> None:
        """Go on until a time, or until nothing more is to be done."""
        while self.now < until and (self.sender.waiting or self.on_the_way or not self.now):
            self.carry(JOINER, self.sender.tick(list(self.desks), self.now))
            while self.on_the_way and self.on_the_way[0][0] <= self.now:
                _, _, author, send = heapq.heappop(self.on_the_way)
                self.deliver(author, send)
            self.now += 50

    def deliver(self, author: OperatorKey, send: Send) -> None:
        if send.peer == JOINER:
            word = decode(send.data[1:], ProofHeld)
            self.carry(JOINER, self.sender.hear(author, word, self.now))
        else:
            incoming = Incoming(author, b"\x7f\x00\x00\x01", "", send.data)
            sends = self.desks[send.peer].take(incoming, decode(send.data[1:], ProofPart), 1)
            self.carry(send.peer, sends)

    def expect(self, key: OperatorKey) -> None:
        self.carry(key, self.desks[key].expect(TICKET, JOINER, UNTIL))


@given(st.integers(1, 24), st.randoms(use_true_random=False))
def test_without_losses_every_member_is_sent_each_part_once(members: int, chance: Random) -> None:
    world = World(members, lambda: chance.randrange(300))
    world.run(50)
    for key in world.desks:
        world.expect(key)
    world.run(60_000)
    assert {desk.satisfied(TICKET) for desk in world.desks.values()} == {NONCE}
    assert world.sender.waiting == 0
    assert list(world.parts.values()) == [1] * (PARTS * members)


@given(st.integers(1, 12), st.randoms(use_true_random=False))
def test_every_member_gets_the_proof_though_messages_are_lost_and_members_come_late(
    members: int, chance: Random
) -> None:
    world = World(members, lambda: chance.randrange(500))  # a fifth is lost
    for key in world.desks:
        world.run(world.now + chance.randrange(3) * 1_000)
        world.expect(key)
    world.run(world.now + 400_000)
    assert {desk.satisfied(TICKET) for desk in world.desks.values()} == {NONCE}
    assert world.sender.waiting == 0


def test_what_the_desk_sends_is_plain() -> None:
    (send,) = ProofDesk(NETWORK, BITS).expect(TICKET, JOINER, UNTIL)
    assert send.data == pack_plain(held(0))
    assert replace(held(0), parts=3) == held(3)
