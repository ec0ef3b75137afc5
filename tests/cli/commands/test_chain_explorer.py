"""`zenp2p chain`: the node's answers as JSON and for people, pages with the way to the next one."""

import json
from typing import Any

import pytest

from cli import output
from cli.commands import chain_explorer
from tests.support import embedded_chain as made
from tests.support.command import Run, runner
from tests.zenp2p.api.test_chain_links import Linked, text
from tests.zenp2p.api.test_explorer_methods import BOB, node_of
from tests.zenp2p.chain.test_index import busy_branch


class Client:
    """The node behind the commands."""

    def __init__(self, call: Any) -> None:
        self.call = call


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    branch, _, _ = busy_branch()
    node = node_of(branch)
    monkeypatch.setattr(chain_explorer, "connect", lambda context: node)
    return runner(capsys)


def last_words(run: Run, *words: object) -> str:
    ended = run("chain", *words)
    assert ended.code == 0, ended
    return ended.err.strip()


@pytest.mark.parametrize(
    "words",
    [
        ("tip",),
        ("block", "2"),
        ("address", BOB),
        ("address", BOB, "--height", "3"),
        ("history", BOB),
        ("unspent", BOB),
    ],
)
def test_json_is_one_object_with_what_the_node_says(run: Run, words: tuple[str, ...]) -> None:
    ended = run("chain", *words, "--json")
    assert (ended.code, ended.err, ended.out.count("\n")) == (0, "", 1)
    assert isinstance(json.loads(ended.out), dict)


def test_a_block_by_height_and_by_hash(run: Run) -> None:
    by_height = json.loads(run("chain", "block", "2", "--json").out)
    assert json.loads(run("chain", "block", by_height["hash"], "--json").out) == by_height
    shown = run("chain", "block", "2").out
    assert by_height["hash"] in shown and all(txid in shown for txid in by_height["txids"])


def test_a_transaction_for_people_has_coins_and_owners(run: Run) -> None:
    txid = json.loads(run("chain", "block", "2", "--json").out)["txids"][1]
    found = json.loads(run("chain", "transaction", txid, "--json").out)
    shown = run("chain", "transaction", txid).out
    assert f"300.00000000  {BOB}  spent by {found['outputs'][0]['spent_by']}" in shown
    assert "in        1000.00000000" in shown and found["transaction"] not in shown
    coinbase = json.loads(run("chain", "block", "3", "--json").out)["txids"][0]
    assert "new coins" in run("chain", "transaction", coinbase).out


def test_a_page_says_how_to_go_on_and_the_last_one_does_not(run: Run) -> None:
    assert last_words(run, "history", BOB, "--limit", 1) == "more: --before 1"
    assert last_words(run, "history", BOB, "--before", 1, "--limit", 1) == ""
    assert last_words(run, "history", BOB, "--first", 0, "--limit", 1) == "more: --first 1"
    assert last_words(run, "history", BOB, "--first", 1) == ""
    assert last_words(run, "block", 2, "--limit", 1) == "more: --first 1"
    assert last_words(run, "block", 2, "--first", 1) == ""
    assert "-100.00000000" in run("chain", "history", BOB).out


def test_unspent_outputs_page_by_page(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    node = node_of(made.Branch(made.definition([(made.address_of("bob"), 1)] * 3)))
    monkeypatch.setattr(chain_explorer, "connect", lambda context: node)
    run = runner(capsys)
    words: list[str] = []
    lines: list[str] = []
    for _ in range(3):
        ended = run("chain", "unspent", BOB, "--limit", 2, *words)
        lines += ended.out.splitlines()
        if not ended.err:
            break
        words = ended.err.split()[1:]
    assert len(set(lines)) == 3 == len(lines)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("block", "9"), 66),
        (("block", "nonsense"), 64),
        (("transaction", "00" * 32), 66),
        (("transaction", "xyz"), 64),
        (("address", "nobody"), 64),
        (("unspent", BOB, "--after", "x"), 64),
        (("history", BOB, "--limit", "0"), 2),
        (("history", BOB, "--first", "0", "--before", "1"), 64),
    ],
)
def test_a_mistake_is_one_line(run: Run, words: tuple[str, ...], code: int) -> None:
    ended = run("chain", *words)
    assert (ended.code, ended.out, ended.err.count("\n")) == (code, "", 1)


@pytest.mark.parametrize("wide", [False, True])
def test_a_narrow_terminal_shows_every_hash_whole(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, wide: bool
) -> None:
    linked = Linked()
    txid = linked.pay()
    client, stake = Client(linked.rpc.call), text(linked.stake)
    monkeypatch.setattr(chain_explorer, "connect", lambda context: client)
    run = runner(capsys)
    for words in (
        ("transaction", txid),
        ("block", "27"),
        ("history", stake),
        ("unspent", stake),
        ("address", stake),
    ):
        monkeypatch.setattr(output, "terminal_columns", lambda: None)
        whole = run("chain", *words).out
        monkeypatch.setattr(output, "terminal_columns", lambda: 300 if wide else 80)
        shown = run("chain", *words).out
        assert max(map(len, whole.splitlines())) > 80 and txid in shown
        assert shown == whole if wide else max(map(len, shown.splitlines())) <= 80
        assert sorted(shown.split()) == sorted(whole.split()), "nothing is lost"


def test_what_was_not_asked_for_has_no_row(run: Run) -> None:
    txid = json.loads(run("chain", "block", "2", "--json").out)["txids"][1]
    assert "asked by" not in run("chain", "transaction", txid).out


def test_what_things_mean_is_shown(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    linked = Linked()
    txid = linked.pay()
    client = Client(linked.rpc.call)
    monkeypatch.setattr(chain_explorer, "connect", lambda context: client)
    run = runner(capsys)
    assert "payment: list_hash" in run("chain", "transaction", txid).out
    assert "on_baton True" in run("chain", "transaction", txid).out
    assert f"payment: txid {txid}" in run("chain", "block", 27).out
    assert "anchors" in run("chain", "block", 24).out and "challenge 3" in run("chain", "block", 24).out
    shown = run("chain", "address", text(linked.stake)).out
    assert "stake: operator 0707" in shown and f"chunk 0 txid {txid}" in shown
    assert run("chain", "history", text(linked.stake)).out.rstrip().endswith("payment")
