"""Reports on members of our group: which are kept, and what follows from them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from protocol.codec import replace
from protocol.errors import InvalidBlock, InvalidSignature, NotAMember, NotYetKnown, ProtocolError
from protocol.group.data_block import Removal, RemovePayload, decode_block, decode_payload
from protocol.node.resends import Resends
from protocol.node.watch import Watch
from protocol.units import Hash32, OperatorKey
from tests.support.forwarding_network import Network
from tests.support.operators import Operator


@dataclass
class Scene:
    """Two groups in which a member of group 0 was to forward at least three blocks."""

    network: Network
    member: Operator
    turns: list[Hash32]

    def resends(self, one: Operator | None = None) -> Resends:
        """What a node of group 0 keeps, still nothing; it has not heard the member."""
        peer = self.network[one or self.network.of("0")[1]]
        genesis, chain, groups = self.network.genesis, self.network.chain, peer.node.groups
        watch = Watch(genesis, peer.operator.signer, chain, groups)
        return Resends(genesis, peer.operator.key, chain, groups, watch)

    def give(self, resends: Resends, turns: list[Hash32], senders: list[Operator]) -> None:
        for hashed in turns:
            for one in senders:
                resends.take(*self.network.report(one, hashed))

    def made(self, resends: Resends) -> list[RemovePayload]:
        """The removals that would be proposed."""
        groups = self.network[self.network.of("0")[1]].node.groups
        state = groups.own.state
        found = []
        for make in resends.removals():
            payload = decode_payload(decode_block(make(state, self.network.chain, groups.archive)))
            assert isinstance(payload, RemovePayload)
            found.append(payload)
        return found


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    network = Network()
    member = network.of("0")[0]

    def turns() -> list[Hash32]:
        return [hashed for hashed in network.forwards if network.order(hashed)[0] == member.key]

    network.run_until(lambda: len(turns()) >= 3)
    yield Scene(network, member, turns())


def test_a_quorum_on_two_blocks_makes_a_removal(scene: Scene) -> None:
    resends, voters = scene.resends(), scene.network.of("1")
    scene.give(resends, scene.turns[:2], voters[:3])
    assert scene.made(resends) == []
    scene.give(resends, scene.turns[:1], voters[3:4])
    assert scene.made(resends) == []
    scene.give(resends, scene.turns[1:2], voters[3:4])
    (payload,) = scene.made(resends)
    assert (payload.operator_key, payload.reason) == (scene.member.key, Removal.FORWARDING)
    assert len(payload.proofs) == 2 * 4 + 1


def test_any_two_of_more_blocks_will_do(scene: Scene) -> None:
    resends = scene.resends()
    scene.give(resends, scene.turns[:3], scene.network.of("1"))
    assert len(scene.made(resends)) == 3


def test_each_voter_counts_once_for_a_block(scene: Scene) -> None:
    resends, (one, *_) = scene.resends(), scene.network.of("1")
    for _ in range(5):
        scene.give(resends, scene.turns[:2], [one])
    other = scene.network.any.groups["1"].state.height - 1
    earlier = scene.network.any.groups.archive.block_hash("1", other)
    assert earlier is not None
    resends.take(*scene.network.report(one, scene.turns[0], group_block=earlier))
    kept = [missed.by_group for missed in resends._missed.values()]
    assert [len(by_group) for by_group in kept] == [1, 1]
    assert all(len(envelopes) == 1 for by_group in kept for envelopes in by_group.values())


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda scene: {"height": 10_000}, InvalidBlock),
        (lambda scene: {"block_hash": bytes(32)}, NotYetKnown),
        (lambda scene: {"member": scene.network.of("0")[1].key}, InvalidBlock),
        (lambda scene: {"group_block": bytes(32)}, NotYetKnown),
        (lambda scene: {"group_block": scene.turns[0]}, InvalidBlock),
        (lambda scene: {"sender_prefix": "10"}, InvalidBlock),
        (lambda scene: {"prefix": "00"}, NotAMember),
        (lambda scene: {"sender": scene.network.of("0")[2].key}, InvalidBlock),
        (lambda scene: {"sender": scene.network.of("1")[2].key}, InvalidSignature),
    ],
)
def test_what_does_not_count_is_not_kept(
    scene: Scene, change: Callable[[Scene], dict[str, Any]], error: type[ProtocolError]
) -> None:
    resends = scene.resends()
    with pytest.raises(error):
        resends.take(*scene.network.report(scene.network.of("1")[0], scene.turns[0], **change(scene)))
    assert resends._missed == {}


def test_who_has_no_vote_in_the_group_keeps_nothing(scene: Scene) -> None:
    resends = scene.resends(scene.network.of("1")[1])
    with pytest.raises(NotAMember):
        resends.take(*scene.network.report(scene.network.of("1")[0], scene.turns[0]))


def test_what_can_count_no_more_is_dropped(scene: Scene) -> None:
    resends = scene.resends()
    scene.give(resends, scene.turns[:2], scene.network.of("1"))
    resends.look()
    assert len(resends._missed) == 0  # the prefix was not known before
    scene.give(resends, scene.turns[:2], scene.network.of("1"))
    resends.look()
    assert len(resends._missed) == 2
    first = resends._missed[scene.turns[0]]
    first.stamp_height -= 1_000
    resends.look()
    assert list(resends._missed) == [scene.turns[1]]
    resends._missed[scene.turns[1]].member = OperatorKey(scene.network.of("1")[0].key)
    resends.look()
    assert resends._missed == {}


def test_a_removal_is_not_affirmed_of_a_member_that_was_heard(scene: Scene) -> None:
    resends = scene.resends()
    scene.give(resends, scene.turns[:2], scene.network.of("1"))
    (payload,) = scene.made(resends)
    state, block = scene.network.any.groups["0"].state, scene.network.standing(scene.turns[0]).block
    assert resends.may_affirm(state, block, payload)
    silent = replace(payload, reason=Removal.SILENT)
    resends._watch.heard(scene.turns[1], scene.network.standing(scene.turns[1]).block, scene.member.key, 0)
    assert not resends.may_affirm(state, block, payload)
    assert resends.may_affirm(state, block, silent)


def test_without_a_vote_between_nothing_is_proposed(scene: Scene) -> None:
    resends = scene.resends()
    scene.give(resends, scene.turns[:2], scene.network.of("1"))
    first, second = (scene.network.standing(hashed).block.height for hashed in scene.turns[:2])
    assert resends._presence(OperatorKey(scene.member.key), first, second) is not None
    assert resends._presence(OperatorKey(scene.member.key), second, second) is None
    assert resends._presence(OperatorKey(scene.network.of("1")[0].key), first, second) is None
