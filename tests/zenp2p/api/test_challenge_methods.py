"""What a node says of its challenges: over several groups, and before and after a deep reorganisation."""

from typing import Any

import pytest

from protocol.node import pruning
from protocol.node.voids import Why
from protocol.payout.list_file import decode_list_file
from protocol.tracking.challenge import challenge_draw
from tests.support.deep import FOUNDERS, Deep
from tests.support.halves import Halves, call, node_methods
from tests.support.operators import Operator
from zenp2p.api import listing
from zenp2p.api.context import display
from zenp2p.api.errors import NotFound

ONE = FOUNDERS[0]
METHODS = ("challenge.show", "challenge.why")


def show(network: Deep, seq: int = 2) -> Any:
    return call(node_methods(network[ONE].node), "challenge.show", {"seq": seq})


def why(network: Deep, seq: int = 2) -> Any:
    return call(node_methods(network[ONE].node), "challenge.why", {"seq": seq})


class TestReorganised:
    """One group, whose chain was replaced deeper than the burial."""

    def test_while_it_is_open_the_new_anchor_is_shown_and_the_lost_one_named(self) -> None:
        network = Deep()
        network.mine_to(9)
        old = network.anchor(2)
        assert (show(network)["state"], show(network)["lost"]) == ("open", [])
        network.replace(2)
        shown = show(network)
        assert (shown["state"], shown["anchor_hash"]) == ("open", display(network.anchor(2)))
        assert shown["lost"] == [{"anchor_hash": display(old), "reason": Why.LEFT.value}]
        told = why(network)
        assert (told["verdict"], told["reason"]) == (None, "not judged yet: can be from height 12 on")

    def test_after_its_close_it_is_void(self) -> None:
        network = Deep()
        network.mine_to(11)
        network.replace(4)
        shown = show(network)
        assert (shown["state"], shown["reason"]) == ("void", Why.CLOSED_BEFORE.value)
        assert shown["anchor_hash"] == display(network.anchor(2)) and "verdicts" not in shown
        assert why(network) == {
            "seq": 2,
            "operator": ONE.key.hex(),
            "verdict": None,
            "reason": f"void: {Why.CLOSED_BEFORE.value}",
            "receipts": [],
        }

    @pytest.mark.parametrize("seq", [-1, 0, 1, 4, 7])
    def test_what_is_before_the_first_one_or_above_the_tip_is_not_known(self, seq: int) -> None:
        network = Deep()
        network.mine_to(11)
        for ask in (show, why):
            with pytest.raises(NotFound):
                ask(network, seq)

    def test_whether_its_anchor_is_active_is_told_on_every_branch(self) -> None:
        """`chain.block` knows the anchor exactly while it is."""
        network = Deep()
        network.mine_to(9)
        assert show(network)["anchor_active"] is True, "open"
        network.mine_to(13)
        judged = show(network)
        assert judged["state"] == "judged" and judged["anchor_active"] is True
        first = network.replace(7)
        assert show(network)["anchor_active"] is False
        first.mine_to(16, salt=b"back")
        network.switch(first)
        assert show(network) == judged, "its branch came back"

    def test_an_anchor_above_the_tip_is_not_active(self) -> None:
        """The chain is on its way to another branch, and holds nothing at that height for the moment."""
        network = Deep()
        network.mine_to(13)
        height = show(network)["anchor_height"]
        network.chain.disconnect(13 - height + 1)
        assert network.chain.tip()[0] == height - 1
        shown = show(network)
        assert (shown["state"], shown["anchor_active"]) == ("judged", False)

    def test_after_its_verdict_it_is_void_and_the_verdicts_are_still_there(self) -> None:
        network = Deep()
        network.mine_to(13)
        assert (show(network)["state"], why(network)["verdict"]) == ("judged", "VALID")
        judged = show(network)
        network.replace(7)
        shown = show(network)
        assert shown == {**judged, "anchor_active": False, "state": "void", "reason": Why.LEFT_JUDGED.value}
        told = why(network)
        assert (told["reason"], told["list"]) == (f"void: {Why.LEFT_JUDGED.value}", None)


def judges_of(network: Halves, one: Operator, seq: int) -> str:
    """The prefix of the group that judges an operator."""
    anchor = network.chain.block_hash(seq * network.genesis.parameters.challenge_every)
    assert anchor is not None
    return network[one].node.groups.covering(challenge_draw(anchor, one.key)).state.prefix


class TestGroups:
    """Two groups of three: each judges those whose draws fall to it."""

    def test_a_challenge_is_judged_when_every_region_is(self) -> None:
        network = Halves()
        network.mine_to(19)
        for seq in (2, 3, 4):
            shown = network.ask(network.founders[0], "challenge.show", {"seq": seq})
            assert (shown["state"], shown["unjudged"]) == ("judged", [])
            assert [(one["prefix"], one["parts"]) for one in shown["blocks"]] == [("0", ["0"]), ("1", ["1"])]
            assert list(shown["verdicts"]) == [one.key.hex() for one in network.founders]
            assert sum(one["verdicts"] for one in shown["blocks"]) == len(network.founders)
            assert {verdict["verdict"] for verdict in shown["verdicts"].values()} == {"VALID"}

    def test_everybody_is_told_of_its_own_judges(self) -> None:
        network = Halves()
        network.mine_to(19)
        groups = set()
        for one in network.founders:
            told = network.ask(one, "challenge.why", {"seq": 4})
            prefix = judges_of(network, one, 4)
            groups.add(prefix)
            assert (told["verdict"], told["group"], told["block"]["prefix"]) == ("VALID", prefix, prefix)
            assert [judge["judge"] for judge in told["judges"]] == [
                judge.key.hex() for judge in network.of(prefix)
            ]
            others = [judge for judge in told["judges"] if judge["judge"] != one.key.hex()]
            assert all(judge["observed"] and judge["reached"] and judge["fast"] for judge in others)
            assert {judge["response"] for judge in others} == {16}
            receipts = {each["judge"]: each["height"] for each in told["receipts"]}
            assert receipts == {judge["judge"]: 16 for judge in others}
        assert groups == {"0", "1"}, "the draws have to tell something"

    def test_the_group_that_has_still_to_judge_is_named(self) -> None:
        network = Halves()
        network.mine_to(12)
        present, absent = network.of("0"), network.of("1")[:2]
        network.cut = {one.key for one in absent}
        network.mine_to(40)
        shown = network.ask(present[0], "challenge.show", {"seq": 4})
        assert (shown["state"], shown["unjudged"]) == ("partly judged", ["1"])
        assert [one["prefix"] for one in shown["blocks"]] == ["0"]
        seen = set()
        for one in present:
            for seq in (4, 5, 6, 7):
                told = network.ask(one, "challenge.why", {"seq": seq})
                prefix = judges_of(network, one, seq)
                seen.add(prefix)
                assert told["group"] == prefix
                if prefix == "1":
                    due = seq * 4 + 3
                    assert told["reason"] == f"not judged yet: is due since height {due}"
                    assert (told["verdict"], told["group_condition"]) == (None, "stopped")
        assert seen == {"0", "1"}

    def test_the_newest_challenge_names_the_group_that_judges_us(self) -> None:
        network = Halves()
        network.mine_to(16)
        for one in network.founders:
            told = network.ask(one, "challenge.current")
            assert (told["seq"], told["group"]) == (4, judges_of(network, one, 4))


def test_of_a_pruned_challenge_the_verdicts_stay_and_our_receipts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pruning, "BLOCKS_KEPT", 1)
    network, whole = Halves(), Halves()
    one = network.founders[0]
    network.pruning = frozenset([one])
    network.restart(one)
    for each in (network, whole):
        each.mine_to(40)
    status = network.ask(one, "node.status")
    assert 0 < status["data_blocks_pruned"] < status["data_blocks"]
    assert whole.ask(one, "node.status")["data_blocks_pruned"] == 0
    shown, told = ([each.ask(one, name, {"seq": 2}) for each in (network, whole)] for name in METHODS)
    assert shown[0] == shown[1]
    assert told[0] == {**told[1], "judges": []} != told[1] and told[0]["receipts"]


class TestListing:
    """Whether a VALID verdict is paid."""

    def test_it_waits_and_is_paid_and_then_only_the_block_is_known(self) -> None:
        network = Halves()
        one = network.founders[0]
        network.mine_to(12)
        assert self.of(network, one, 2) == {"period": 1, "state": listing.WAITS}
        network.mine_to(20)
        assert network[one].node.lister.period == 2
        assert self.of(network, one, 2) == {"period": 1, "state": listing.PAID}
        network.mine_to(28)
        assert network[one].node.lister.period == 3
        assert self.of(network, one, 2) == {"period": 1, "state": listing.NAMED}
        file = decode_list_file(network[one].node.lister.file(1) or b"")
        assert file.header.responses == 12

    def of(self, network: Halves, one: Operator, seq: int) -> Any:
        return network.ask(one, "challenge.why", {"seq": seq})["list"]
