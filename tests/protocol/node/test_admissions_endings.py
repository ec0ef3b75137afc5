"""How a voter ends the tickets that lead to its group, and whom it takes back: on the blocks it holds."""

from collections.abc import Iterator

import pytest

from protocol.errors import NotAMember, ProtocolError
from protocol.group.data_block import (
    AdmitPayload,
    ExpirePayload,
    Payload,
    Refusal,
    RefusePayload,
    RelocatePayload,
    decode_block,
    decode_payload,
)
from protocol.group.join_request import build_join_request, check_join_request
from protocol.group.movemaker import build_return
from protocol.node.admissions import Admissions
from protocol.node.effects import Incoming, Send
from protocol.node.messages import PARTS, ProofPart
from protocol.node.proofs import part_of
from protocol.node.proposals import Make
from protocol.units import Hash32
from tests.support.moves_world import JOINERS, Moves
from tests.support.operators import Operator
from tests.support.seats import Seen, asking, large_source

NEW = JOINERS[0]
SEQ = 2


class Voter:
    """The admissions of one voter of a group, that holds all blocks so far."""

    def __init__(self, world: Moves, prefix: str) -> None:
        self.me = world.voters(prefix)[-1]
        self.world = world
        self.admissions = Admissions(world.genesis, self.me.key, world.chain, Seen(world, self.me))
        self.expects = [effect for effect in self.admissions.look() if isinstance(effect, Send)]

    def payloads(self, makes: Iterator[Make]) -> list[Payload]:
        """What can be made of what it would propose."""
        found: list[Payload] = []
        for make in makes:
            try:
                state = self.world.at(self.world.seated(self.me.key))
                body = make(state, self.world.chain, self.world)
                found.append(decode_payload(decode_block(body)))
            except ProtocolError:
                continue
        return found

    def endings(self) -> list[Payload]:
        return self.payloads(self.admissions.endings())

    def prove(self, ticket: Hash32, holder: Operator) -> int:
        """Hand the whole proof over, and return its nonce."""
        nonce, network = self.world.nonce(ticket), self.world.network
        for index in range(PARTS):
            part = ProofPart(
                network=network, ticket=ticket, nonce=nonce, index=index, data=part_of(holder.key)
            )
            self.admissions.on_part(Incoming(holder.key, holder.ip, "", b""), part)
        return nonce


def ask(voter: Voter, world: Moves, one: Operator = NEW, seq: int = SEQ) -> None:
    envelope = build_join_request(one.signer, world.network, seq, world.verdict_on(one, seq))
    voter.admissions.on_request(check_join_request(envelope, world.network), envelope)


def test_an_open_ticket_is_admitted_by_who_has_its_proof_and_then_expires() -> None:
    world = asking()
    ticket = world.join(NEW, SEQ)
    target = world.fitting(world.moved(ticket).name)
    voter = Voter(world, target)
    assert [effect.peer for effect in voter.expects] == [NEW.key]
    world.bury(world.standings[ticket].block.stamp_height + 1)
    assert voter.endings() == []
    nonce = voter.prove(ticket, NEW)
    (admit,) = voter.endings()
    assert isinstance(admit, AdmitPayload) and (admit.ticket, admit.nonce) == (ticket, nonce)
    assert voter.admissions.may_affirm(admit)
    assert not Voter(world, target).admissions.may_affirm(admit), "it saw no proof"
    sent = world.standings[ticket].block
    world.bury(sent.stamp_height + world.parameters.relocation_pending + 1)
    assert voter.endings() == [ExpirePayload(ticket=ticket)]
    other = Voter(world, "1" if target == "0" else "0")
    assert other.endings() == [] and not other.expects


def test_who_has_a_members_place_is_sent_nowhere_and_refused_if_it_is() -> None:
    seen = set()
    for salt in range(9):
        world = Moves()
        world.chain.mine(salt=bytes([salt]))
        rival = world.voters("0")[0]
        world.enrol(NEW, ip=rival.ip)
        world.hold(SEQ, silent=world.founders)
        home = Voter(world, world.home(NEW))
        ask(home, world)
        would_go = bool(home.payloads(home.admissions.moves()))
        ticket = world.join(NEW, SEQ)
        world.bury(world.standings[ticket].block.stamp_height + 1)
        target = world.fitting(world.moved(ticket).name)
        refused = Voter(world, target).endings()
        shares = rival.key in world.states[target].membership
        assert would_go is not shares
        assert refused == ([RefusePayload(ticket=ticket, reason=Refusal.SAME_IP)] if shares else [])
        seen.add(shares)
    assert seen == {True, False}


def test_home_is_asked_again_with_the_end_of_the_ticket_and_a_later_verdict() -> None:
    world = asking()
    end = world.expire(world.join(NEW, SEQ))
    home = Voter(world, world.home(NEW))
    ask(home, world)
    assert not home.payloads(home.admissions.moves()), "one ticket a challenge"
    world.hold(5)
    home = Voter(world, world.home(NEW))
    ask(home, world, seq=5)
    (join,) = home.payloads(home.admissions.moves())
    assert isinstance(join, RelocatePayload) and (join.seq, join.ending) == (5, end)


def test_the_group_that_sent_a_member_takes_it_back_unasked() -> None:
    world, one, ticket = large_source()
    world.expire(ticket)
    (back,) = Voter(world, "0").endings()
    assert isinstance(back, AdmitPayload) and back.operator_key == one.key and back.ending
    assert Voter(world, "1").endings() == []


def test_who_was_removed_is_taken_in_when_it_asks_by_a_verdict_after_that() -> None:
    world = Moves(age=4)
    one = world.voters("0")[0]
    world.hold(1)
    world.remove(one)
    world.hold(SEQ)
    voter = Voter(world, "0")
    assert voter.endings() == []
    ask(voter, world, one)
    (back,) = voter.endings()
    assert isinstance(back, AdmitPayload) and (back.operator_key, back.age) == (one.key, 0)
    assert back.verdict == world.verdict_on(one, SEQ)
    with pytest.raises(NotAMember, match="no seat here"):
        ask(Voter(world, "1"), world, one)
    world.settle(build_return(world.at("0"), world.chain, world, one.key, back.verdict))
    again = Voter(world, "0")
    assert again.endings() == [] and not again.payloads(again.admissions.moves()), "nothing handed over"


def test_who_is_in_no_group_proposes_nothing() -> None:
    world = asking()
    world.join(NEW, SEQ)
    stranger = Admissions(world.genesis, NEW.key, world.chain, Seen(world, NEW))
    assert not stranger.look()
    assert not list(stranger.endings()) and not list(stranger.removals()) and not list(stranger.moves())
