"""`zenp2p chain notify|compare`: a hint that any chain node can give, and a check with an exit code."""

import json
from typing import Any

import pytest

from cli.commands import chain_node
from tests.support.command import Run, runner
from zenp2p.api.errors import Refused

OUTPUT = {"txid": "ab" * 32, "index": 3, "amount": 150_000_000}
EQUAL: dict[str, Any] = {
    "height": 7,
    "balance": 250_000_000,
    "node_balance": 250_000_000,
    "outputs": 2,
    "node_outputs": 2,
    "only_ours": [],
    "only_node": [],
    "equal": True,
}
DIFFERENT = {**EQUAL, "balance": 100_000_000, "outputs": 1, "only_node": [OUTPUT], "equal": False}


class Node:
    """A daemon that has one answer to each method."""

    def __init__(self) -> None:
        self.answer = EQUAL
        self.asked: list[object] = []

    def call(self, method: str, params: object = None) -> Any:
        self.asked.append((method, params))
        return {"height": 7} if method == "chain.notify" else self.answer


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch) -> Node:
    node = Node()
    monkeypatch.setattr(chain_node, "connect", lambda context: node)
    return node


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(capsys)


def test_a_hint(node: Node, run: Run) -> None:
    assert run("chain", "notify").out.split() == ["height", "7"]
    assert json.loads(run("chain", "notify", "--json").out) == {"height": 7}
    assert node.asked == [("chain.notify", None)] * 2


def test_of_one_mind(node: Node, run: Run) -> None:
    ended = run("chain", "compare", "t1")
    rows = dict(line.rsplit(maxsplit=1) for line in ended.out.splitlines())
    assert (ended.code, rows["balance"], rows["node balance"]) == (0, "2.50000000", "2.50000000")
    assert json.loads(run("chain", "compare", "t1", "--json").out) == EQUAL
    assert node.asked == [("chain.compare", {"address": "t1"})] * 2


def test_a_difference_is_shown_and_ends_in_an_exit_code(node: Node, run: Run) -> None:
    node.answer = DIFFERENT
    ended = run("chain", "compare", "t1")
    assert (ended.code, ended.err) == (65, "")
    assert ended.out.endswith(f"only node  {'ab' * 32}:3  1.50000000\n")
    ended = run("chain", "compare", "t1", "--json")
    assert (ended.code, json.loads(ended.out)) == (65, DIFFERENT)


def test_a_refusal_is_one_line(node: Node, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(method: str, params: object = None) -> Any:
        raise Refused("this network has a chain of its own")

    monkeypatch.setattr(node, "call", refuse)
    ended = run("chain", "compare", "t1")
    assert (ended.code, ended.out, ended.err.count("\n")) == (64, "", 1)
