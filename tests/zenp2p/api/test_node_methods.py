"""What a node says of itself."""

from typing import Any

from tests.support.deep import FOUNDERS, Deep
from tests.support.halves import Halves, call, node_methods

ONE = FOUNDERS[0]


def status(network: Deep) -> Any:
    return call(node_methods(network[ONE].node), "node.status")


def test_data_that_rest_on_a_lost_branch_are_a_problem_until_the_next_block() -> None:
    network = Deep()
    network.mine_to(13)
    assert (status(network)["state"], status(network)["problems"]) == ("ok", [])
    network.replace(7)
    (problem,) = status(network)["problems"]
    assert "another branch" in problem
    network.mine_to(18)
    assert status(network)["problems"] == []


def test_a_member_is_told_its_group_its_age_and_how_long_it_stays() -> None:
    network = Halves()
    network.mine_to(19)
    for prefix in ("0", "1"):
        for one in network.of(prefix):
            told = network.ask(one, "node.status")
            assert (told["state"], told["problems"]) == ("ok", [])
            assert (told["seat"], told["group"], told["groups"]) == ("member", prefix, 2)
            assert (told["member"], told["voter"], told["age"]) == (True, True, 1)
            assert (told["events"], told["events_until_move"], told["is_next"]) == (0, 2, False)
            assert told["doing"] == "moves after 2 more counted changes of the members"
            assert told["last_verdict"] == {"seq": 4, "verdict": "VALID"} and told["failures"] == 0
            assert told["stopped_groups"] == [] and told["group_condition"] == "runs"


def test_who_is_in_a_group_that_has_stopped_is_told_what_it_owes() -> None:
    network = Halves()
    network.mine_to(12)
    left = network.of("1")[2]
    network.cut = {one.key for one in network.of("1")[:2]}
    network.mine_to(40)
    (problem,) = network.ask(left, "node.status")["problems"]
    assert problem.startswith("group 1 has stopped: nothing for 29 chain blocks, ")
    assert "7 challenges (3 to 9) without verdicts" in problem
    elsewhere = network.ask(network.of("0")[0], "node.status")
    assert elsewhere["stopped_groups"] == ["1"]
    assert elsewhere["problems"] == ["our group has summoned 1: have that mined: zenp2p group absorb"]


def test_what_the_shell_complains_of_comes_first() -> None:
    network = Halves()
    network.mine_to(12)
    methods = node_methods(network[network.founders[0]].node, ("read-only: the disk is full",))
    told = call(methods, "node.status")
    assert (told["state"], told["problems"]) == ("degraded", ["read-only: the disk is full"])
