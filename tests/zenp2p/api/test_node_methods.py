"""What a node says of its challenges before and after its chain was replaced deeper than the burial."""

from types import SimpleNamespace
from typing import Any

import pytest
import trio

from protocol.node.voids import Why
from tests.support.deep import FOUNDERS, Deep
from zenp2p.api.context import Context, display
from zenp2p.api.errors import NotFound
from zenp2p.api.methods import NoParams
from zenp2p.api.node_methods import NodeMethods, SeqParams
from zenp2p.chain.service import ChainCondition

ONE = FOUNDERS[0]


def methods(network: Deep) -> NodeMethods:
    """Return the first founder's methods."""
    nothing: Any = None
    peers: Any = SimpleNamespace(peers=lambda: [FOUNDERS[1].key])
    chain: Any = SimpleNamespace(condition=lambda: ChainCondition("memory", "1", "", "", "ok", "", None))
    return NodeMethods(Context(network[ONE].node, chain, peers, nothing, list))


def show(network: Deep, seq: int = 2) -> Any:
    return trio.run(methods(network).show, SeqParams(seq=seq))


def why(network: Deep, seq: int = 2) -> Any:
    return trio.run(methods(network).why, SeqParams(seq=seq))


def status(network: Deep) -> Any:
    return trio.run(methods(network).status, NoParams())


def test_while_it_is_open_the_new_anchor_is_shown_and_the_lost_one_named() -> None:
    network = Deep()
    network.mine_to(9)
    old = network.anchor(2)
    assert (show(network)["state"], show(network)["lost"]) == ("open", [])
    network.replace(2)
    shown = show(network)
    assert (shown["state"], shown["anchor_hash"]) == ("open", display(network.anchor(2)))
    assert shown["lost"] == [{"anchor_hash": display(old), "reason": Why.LEFT.value}]
    assert why(network)["reason"] == "not judged yet"


def test_after_its_close_it_is_void() -> None:
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
    with pytest.raises(NotFound):
        show(network, 7)


def test_whether_its_anchor_is_active_is_told_on_every_branch() -> None:
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


def test_an_anchor_above_the_tip_is_not_active() -> None:
    """The chain is on its way to another branch, and holds nothing at that height for the moment."""
    network = Deep()
    network.mine_to(13)
    height = show(network)["anchor_height"]
    network.chain.disconnect(13 - height + 1)
    assert network.chain.tip()[0] == height - 1
    shown = show(network)
    assert (shown["state"], shown["anchor_active"]) == ("judged", False)


def test_after_its_verdict_it_is_void_and_the_verdicts_are_still_there() -> None:
    network = Deep()
    network.mine_to(13)
    assert (show(network)["state"], why(network)["verdict"], status(network)["state"]) == (
        "judged",
        "VALID",
        "ok",
    )
    judged = show(network)
    network.replace(7)
    shown = show(network)
    assert shown == {**judged, "anchor_active": False, "state": "void", "reason": Why.LEFT_JUDGED.value}
    assert why(network)["reason"] == f"void: {Why.LEFT_JUDGED.value}"
    (problem,) = status(network)["problems"]
    assert "another branch" in problem
    network.mine_to(18)
    assert status(network)["problems"] == []
