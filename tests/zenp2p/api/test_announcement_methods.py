"""`chain.announcements`: what the chain holds, in pages, and why it counts or not."""

from typing import Any

import pytest

from protocol.chain.address import encode_address
from protocol.chain.encoding import display_hash
from protocol.chain.transaction import decode_transaction
from protocol.tracking.announcement import encode_announcement
from tests.support import embedded_chain as made
from tests.support.announcing import announce, carrying
from tests.support.announcing_node import AnnouncingNode
from tests.support.operators import operator
from zenp2p.api.errors import InvalidParams


def address(name: str) -> str:
    return encode_address(made.address_of(name), made.RULES.prefixes)


@pytest.fixture
def node() -> AnnouncingNode:
    """Poor announces and pays bob, bob announces, then poor again, at a host name."""
    node = AnnouncingNode()
    for number, owner, coin, fqdn in (
        (1, "poor", 2, ""),
        (2, "bob", 1, ""),
        (3, "poor", 4, "node.example.org"),
    ):
        payload = encode_announcement(announce(number, fqdn=fqdn, ip=bytes((10, 0, 0, number))))
        spent = made.allocation(node.branch.chain, 2 + coin)
        tx = carrying([payload], [spent], owner, [made.address_of("poor"), made.address_of("bob")])
        node.call("chain.broadcast", {"transaction": tx.raw.hex()})
        node.mine()
    return node


def told(answer: list[dict[str, Any]]) -> list[str]:
    return [each["ip"] or each["fqdn"] for each in answer]


def test_everything_about_one(node: AnnouncingNode) -> None:
    _, second, third = node.call("chain.announcements")
    mined = node.index.transaction(second["number"])
    assert second == {
        "number": second["number"],
        "height": 2,
        "txid": display_hash(decode_transaction(mined, made.RULES.family).txid),
        "operator": operator(2).key.hex(),
        "ip": "10.0.0.2",
        "fqdn": None,
        "port": 9033,
        "usable": True,
        "stakes": [
            {"address": address("bob"), "tie": "signed", "balance": 4_200_003_000, "counts": True},
            {"address": address("poor"), "tie": "paid", "balance": 3_000, "counts": False},
        ],
    }
    assert (third["ip"], third["fqdn"]) == (None, "node.example.org")


def test_pages(node: AnnouncingNode) -> None:
    whole = node.call("chain.announcements")
    assert told(whole) == ["10.0.0.1", "10.0.0.2", "node.example.org"]
    first = node.call("chain.announcements", {"limit": 2})
    assert first + node.call("chain.announcements", {"first": first[-1]["number"] + 1}) == whole


def test_of_a_stake_what_counts_most_comes_first(node: AnnouncingNode) -> None:
    found = node.call("chain.announcements", {"stake_address": address("bob")})
    assert told(found) == ["10.0.0.2", "node.example.org", "10.0.0.1"]
    counts = [tie["counts"] for each in found for tie in each["stakes"] if tie["address"] == address("bob")]
    assert counts == [True, False, False]
    assert node.call("chain.announcements", {"stake_address": address("nobody")}) == []


def test_of_an_operator(node: AnnouncingNode) -> None:
    assert told(node.call("chain.announcements", {"operator": operator(3).key.hex()})) == ["node.example.org"]
    assert node.call("chain.announcements", {"operator": operator(4).key.hex()}) == []


@pytest.mark.parametrize(
    "params",
    [
        {"first": -1},
        {"limit": 0},
        {"limit": 1_001},
        {"operator": "ab"},
        {"operator": "Z" * 64},
        {"stake_address": "x", "first": 1},
        {"stake_address": "x", "operator": "0" * 64},
    ],
)
def test_parameters_are_checked(node: AnnouncingNode, params: dict[str, Any]) -> None:
    with pytest.raises(InvalidParams):
        node.call("chain.announcements", params)
