"""The duty to forward among node machines of two groups: who neglects it goes, and nobody else."""

from itertools import product

from protocol.group.data_block import block_hash, decode_block, decode_certified
from protocol.node.messages import Forward, group_topic, pack_signed
from protocol.units import Hash32, OperatorKey
from tests.support.forwarding_network import PARAMETERS, Network
from tests.support.operators import Operator


def missed_by(network: Network, one: Operator) -> set[bytes]:
    """The blocks of which it was reported that a member did not forward them."""
    return {said.block_hash for said in network.reports if said.member == one.key}


def test_who_never_forwards_is_removed_after_two_blocks_and_nobody_else() -> None:
    network = Network()
    lazy = network.of("0")[0]
    network.unheard = lambda forward: forward.sender == lazy.key
    network.run_until(lambda: network.is_removed(lazy))
    assert {said.member for said in network.reports} == {lazy.key}
    assert len(missed := missed_by(network, lazy)) == 2
    assert all(network.order(Hash32(hashed))[0] == lazy.key for hashed in missed)
    assert {said.sender for said in network.reports} == {one.key for one in network.of("1")}
    state = network.any.groups["0"].state
    assert state.left[lazy.key].age == 4 and len(state.membership) == 4


def test_where_everybody_forwards_each_block_is_told_once_by_its_forwarder() -> None:
    network = Network()
    network.mine(6 * PARAMETERS.challenge_every)
    assert network.reports == []
    assert len(network.forwards) > 10
    for hashed, told in network.forwards.items():
        assert told == [network.order(hashed)[0]]


def test_nobody_is_removed_for_one_lost_message() -> None:
    network = Network()
    lost: dict[bytes, bytes] = {}

    def is_first(forward: Forward) -> bool:
        """The first block that is a node's to forward, to whomever it goes."""
        body = decode_certified(forward.certified).block
        members = network.any.groups[decode_block(body).prefix].state.membership
        is_due = members.nearest_voters(block_hash(body))[0] == forward.sender
        return is_due and lost.setdefault(forward.sender, body) == body

    network.unheard = is_first
    network.run_until(lambda: len(lost) == len(network.founders))
    network.mine(2 * PARAMETERS.challenge_every)
    assert all(len(missed_by(network, one)) == 1 for one in network.founders)
    assert network.any.groups.members_count == len(network.founders)


def test_a_node_that_is_down_for_long_is_not_removed_for_what_it_could_not_forward() -> None:
    network = Network()
    down = network.of("0")[1]
    network.cut = {down.key}
    network.run_until(lambda: len(missed_by(network, down)) >= 2)
    network.mine(2)
    network.heal()
    network.run_until(lambda: any(told[0] == down.key for told in network.forwards.values()))
    network.mine(2)
    assert network.any.groups.is_member(down.key)


def test_a_forwarder_that_is_slower_than_the_others_tells_all_the_same_and_is_not_reported() -> None:
    network = Network()
    slow = network.of("0")[2]
    heard = network.drops

    def lose_votes(sender: OperatorKey, to: OperatorKey, data: bytes) -> bool:
        """It sees nothing being decided in its group."""
        return heard(sender, to, data) or (to == slow.key and b"\xa4vote" in data[:80])

    network.drops = lose_votes
    network.run_until(lambda: sum(told[-1] == slow.key for told in network.forwards.values()) >= 2)
    for hashed, told in network.forwards.items():
        order = network.order(hashed)
        assert told == ([*order[:2][::-1]] if order[0] == slow.key else [order[0]])
    network.mine(4)
    assert network.reports == []


def slander(network: Network, liars: list[Operator], victim: Operator) -> None:
    """Let liars say against a member what they can, to everybody of its group."""
    topic = group_topic(network.any.network, "0")
    turns = [hashed for hashed in network.forwards if network.order(hashed)[0] == victim.key]
    for liar, hashed, one in product(liars, turns, network.of("0")):
        _, envelope = network.report(liar, hashed)
        network.deliver(one, liar, pack_signed(envelope), topic)
    network.settle()


def run_with(network: Network, liars: list[Operator]) -> Operator:
    """Let a member of group 0 do its duty twice, and liars speak against it."""
    victim = network.of("0")[0]

    def has_told() -> list[Hash32]:
        return [hashed for hashed, told in network.forwards.items() if told == [victim.key]]

    network.run_until(lambda: len(has_told()) >= 2)
    slander(network, liars, victim)
    network.mine(2 * PARAMETERS.challenge_every)
    return victim


def test_liars_below_a_third_of_a_group_remove_nobody() -> None:
    network = Network()
    liar = network.of("1")[0]
    victim = run_with(network, [liar])
    assert network.any.groups.is_member(victim.key)
    resends = network[victim].node.resends
    assert any(missed.said_by(liar.key) for missed in resends._missed.values())  # it was heard
    assert resends.removals() == ()


def test_not_even_a_whole_group_of_liars_removes_whom_its_own_group_has_heard() -> None:
    network = Network()
    victim = run_with(network, network.of("1"))
    assert network[victim].node.resends.removals()
    assert network.any.groups.is_member(victim.key)
