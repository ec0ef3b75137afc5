"""What the machines of moving see of all groups."""

from protocol.node.hand_over import HandOver
from protocol.node.seating import AroundGroups
from tests.support.halves import Halves


def test_what_a_chain_begins_with_is_no_block_that_could_be_handed_over() -> None:
    """Who came back to a young group was asked for it by some, had nothing to send, and never rejoined."""
    network = Halves()
    network.mine_to(12)
    one = network.of("0")[0]
    groups = network[one].node.groups
    around = AroundGroups(groups, one.key)
    assert groups.archive.block_hash("0", 1) == around.block_hash("", 1), "the SPLIT block"
    assert around.block_hash("0", 1) is None
    for height in (2, 3):
        assert around.block_hash("0", height) == groups.archive.block_hash("0", height) is not None
    hand_over = HandOver(network[one].node.network, one.key, around)
    for number, other in enumerate(network.founders):
        hand_over._begin(other.key, "0", 2 + number % 2)
        assert hand_over._asked[other.key].height in (2, 3)


def test_who_had_to_go_for_a_shared_address_is_no_member_for_anybody_any_more() -> None:
    """No block of its own says so: it went on being asked for blocks as one of the members."""
    network = Halves()
    network.mine_to(12)
    one, other = network.of("0")[:2]
    network.submit(one, other.envelope(2, network=network[one].node.network, ip=one.ip))
    for _ in range(40):
        states = [machine.state for machine in network[one].node.groups]
        gone = next((key for state in states for key in state.left), None)
        if gone is not None:
            break
        network.mine()
    assert gone in (one.key, other.key)
    network.run(1_000)
    for peer in network.peers.values():
        assert not peer.node.groups.is_member(gone)
