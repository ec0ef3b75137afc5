"""`zenp2p group absorb`, `cancel`, `send`: marks by a voter's stake, signed by its owner alone."""

import json
from pathlib import Path
from typing import Any

import pytest

from cli.commands import group as group_commands
from protocol.chain.address import encode_address
from protocol.chain.mark import only_data
from protocol.chain.multisig import sign_p2pkh_input
from protocol.chain.script import address_script
from protocol.chain.transaction import decode_transaction, with_script_sig
from protocol.genesis import encode_genesis
from protocol.group.summons import encode_life, encode_summons, summons_of
from protocol.units import Hash32
from tests.support import embedded_chain as made
from tests.support.announcing_node import AnnouncingNode, founded
from tests.support.command import Ended, Run, runner
from zenp2p.data_directory import DataDirectory
from zenp2p.identity import create_operator, write_secret

OK, REFUSED, BAD_DATA = 0, 64, 65
SUMMONS = encode_summons(summons_of("1", 7, Hash32(bytes(32)), Hash32(b"b" * 32)))
LIFE = encode_life(b"c" * 32)


def address(name: str) -> str:
    return encode_address(made.address_of(name), made.RULES.prefixes)


def summoned(prefix: str, payload: bytes, **more: object) -> dict[str, Any]:
    """What the node says of a summons, by which bob's stake may sign."""
    return {
        "prefix": prefix,
        "data_height": 7,
        "due": 99,
        "payload": payload.hex(),
        "stakes": [address("bob"), address("bare")],
        **more,
    }


class SummoningNode(AnnouncingNode):
    """A node that tells of summonses."""

    def __init__(self) -> None:
        super().__init__()
        self.summonses: dict[str, list[dict[str, Any]]] = {"summonses": [], "called": []}

    def call(self, method: str, params: Any = None) -> Any:
        return self.summonses if method == "group.summonses" else super().call(method, params)


class Desk:
    """An operator's data directory, the stake owners' keys beside it, and a node behind them."""

    def __init__(self, folder: Path, run: Run) -> None:
        self.folder = folder
        self._run = run
        self.node = SummoningNode()
        directory = DataDirectory(folder / "node")
        directory.create()
        create_operator(directory.operator_seed)
        directory.genesis.write_bytes(encode_genesis(founded()))
        directory.config.write_text(
            f'data_dir = "{directory.path}"\n[network]\nip = "127.0.0.9"\nport = 9033\n'
        )
        write_secret(folder / "bob.key", made.secret_of("bob"))

    def run(self, *words: object) -> Ended:
        return self._run("group", *words, "--data-dir", self.folder / "node")

    def json(self, *words: object) -> dict[str, Any]:
        ended = self.run(*words, "--json")
        assert (ended.code, ended.err) == (OK, ""), ended
        answer: dict[str, Any] = json.loads(ended.out)
        return answer

    def build(self, command: str, *words: object, name: str = "bob") -> dict[str, Any]:
        out = self.folder / f"{command}.hex"
        return self.json(command, *words, "--stake-address", address(name), "--out", out)

    def refused(self, sentence: str, *words: object, code: int = REFUSED) -> None:
        ended = self.run(*words)
        assert (ended.code, ended.out) == (code, "")
        assert sentence in ended.err and ended.err.count("\n") == 1 and "Traceback" not in ended.err


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Desk:
    desk = Desk(tmp_path, runner(capsys))
    monkeypatch.setattr(group_commands, "connect", lambda context: desk.node)
    return desk


@pytest.mark.parametrize(
    ("command", "kind", "payload", "says"),
    [("absorb", "summonses", SUMMONS, "summons"), ("cancel", "called", LIFE, "sign of life")],
)
def test_the_whole_way_with_a_wallet(desk: Desk, command: str, kind: str, payload: bytes, says: str) -> None:
    desk.node.summonses[kind] = [summoned("1", payload, by="0")]
    built = desk.build(command)
    tx = decode_transaction(bytes.fromhex(built["transaction"]), made.RULES.family)
    assert only_data(tx) == payload and (built["group"], built["signed"]) == ("1", False)
    desk.refused("not signed yet", "send", built["file"])
    script = address_script(made.address_of("bob"))
    signed = with_script_sig(tx, 0, sign_p2pkh_input(tx, 0, script, made.secret_of("bob")))
    sent = desk.json("send", signed.raw.hex())
    assert (sent["state"], sent["mark"], sent["signed"]) == ("sent", says, [address("bob")])
    assert desk.json("send", signed.raw.hex())["state"] == "waiting"
    desk.node.mine()
    (mark,) = desk.node.index.marks(0, 9)
    assert (mark.payload, mark.signed) == (payload, (made.address_of("bob"),))


def test_a_key_file_signs_at_once(desk: Desk) -> None:
    desk.node.summonses["called"] = [summoned("1", LIFE)]
    built = desk.build("cancel", "--stake-key", desk.folder / "bob.key")
    assert built["signed"] and not built["sign_with"]
    assert desk.json("send", built["file"])["state"] == "sent"


def test_who_has_nothing_to_say_or_no_word_in_it(desk: Desk) -> None:
    for command, reason in (("absorb", "no group has summoned"), ("cancel", "no group is summoned")):
        words = (command, "--out", desk.folder / "out", "--stake-address")
        desk.refused(reason, *words, address("bob"))
        desk.node.summonses = {"summonses": [summoned("1", SUMMONS)], "called": [summoned("1", LIFE)]}
        desk.refused("stake of no voter", *words, address("poor"))
        desk.refused("less than the stake", *words, address("bare"))
        desk.node.summonses = {"summonses": [], "called": []}


def test_of_several_groups_one_is_meant(desk: Desk) -> None:
    desk.node.summonses["called"] = [summoned("1", LIFE), summoned("01", encode_life(b"d" * 32))]
    out = desk.folder / "out"
    desk.refused("say which group is meant: 01, 1", "cancel", "--stake-address", address("bob"), "--out", out)
    built = desk.build("cancel", "01")
    assert built["group"] == "01" and (b"d" * 32).hex() in built["transaction"]
    desk.refused("no group is summoned", "cancel", "00", "--stake-address", address("bob"), "--out", out)


def test_what_is_no_mark_is_not_sent(desk: Desk) -> None:
    tx = decode_transaction(bytes.fromhex(desk_payment(desk)), made.RULES.family)
    desk.refused("neither a summons nor a sign of life", "send", tx.raw.hex())
    (desk.folder / "text").write_text("no transaction")
    desk.refused("neither a transaction in hex", "send", desk.folder / "text")


def desk_payment(desk: Desk) -> str:
    """A transaction that pays somebody, and says nothing."""
    point = desk.node.coin(1)
    paid = made.pay("bob", [(point, address_script(made.address_of("bob")))], [(made.address_of("poor"), 5)])
    return paid.raw.hex()
