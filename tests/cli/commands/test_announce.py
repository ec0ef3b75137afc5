"""`zenp2p announce`: built from the node's coins, signed by the owner alone, checked before it is sent."""

import json
from pathlib import Path
from typing import Any

import pytest

from cli.commands import announce as announce_commands
from protocol.chain.address import encode_address
from protocol.chain.multisig import sign_p2pkh_input
from protocol.chain.script import address_script
from protocol.chain.transaction import Transaction, decode_transaction, with_script_sig
from protocol.genesis import encode_genesis
from protocol.parameters import DEVNET
from protocol.tracking.announcement import recognise_announcement
from tests.support import embedded_chain as made
from tests.support.announcing_node import SMALL, AnnouncingNode, founded
from tests.support.command import Ended, Run, runner
from zenp2p.chain.rpc.dialect import BITCOIND_17, LITECOIND, ZEND_3
from zenp2p.data_directory import DataDirectory
from zenp2p.identity import create_operator, write_secret

OK, USAGE, REFUSED, BAD_DATA, NO_INPUT, CANNOT_CREATE, PERMISSION = 0, 2, 64, 65, 66, 73, 77


def address(name: str) -> str:
    return encode_address(made.address_of(name), made.RULES.prefixes)


class Desk:
    """One operator's data directory, the stake owner's key beside it, and a node behind them."""

    def __init__(self, folder: Path, run: Run) -> None:
        self.folder = folder
        self._run = run
        self.node = AnnouncingNode()
        directory = DataDirectory(folder / "node")
        directory.create()
        self.operator = create_operator(directory.operator_seed).operator_key
        directory.genesis.write_bytes(encode_genesis(founded()))
        directory.config.write_text(
            f'data_dir = "{directory.path}"\n[network]\nip = "127.0.0.9"\nport = 9033\n'
        )
        for name in ("bob", "poor"):
            write_secret(folder / f"{name}.key", made.secret_of(name))

    def run(self, *words: object) -> Ended:
        return self._run("announce", *words, "--data-dir", self.folder / "node")

    def json(self, *words: object) -> dict[str, Any]:
        ended = self.run(*words, "--json")
        assert (ended.code, ended.err, ended.out.count("\n")) == (OK, "", 1), ended
        answer: dict[str, Any] = json.loads(ended.out)
        return answer

    def build(self, *words: object, name: str = "bob", out: str = "announcement") -> dict[str, Any]:
        return self.json("build", "--stake-address", address(name), "--out", self.folder / out, *words)

    def refused(self, code: int, sentence: str, *words: object) -> None:
        ended = self.run(*words)
        assert (ended.code, ended.out) == (code, "")
        assert sentence in ended.err and ended.err.count("\n") == 1 and "Traceback" not in ended.err

    def wallet(self, built: dict[str, Any], name: str = "bob") -> str:
        """What the owner's wallet makes of the transaction."""
        tx = decode_transaction(bytes.fromhex(built["transaction"]), made.RULES.family)
        script = address_script(made.address_of(name))
        return with_script_sig(tx, 0, sign_p2pkh_input(tx, 0, script, made.secret_of(name))).raw.hex()


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Desk:
    desk = Desk(tmp_path, runner(capsys))
    monkeypatch.setattr(announce_commands, "connect", lambda context: desk.node)
    return desk


def read(built: dict[str, Any]) -> Transaction:
    return decode_transaction(bytes.fromhex(built["transaction"]), made.RULES.family)


def test_the_whole_way_with_a_wallet(desk: Desk) -> None:
    built = desk.build()
    tx = read(built)
    assert (built["operator"], built["endpoint"], built["signed"]) == (
        desk.operator.hex(),
        "127.0.0.9:9033",
        False,
    )
    assert [item.previous for item in tx.inputs] == [desk.node.coin(1)]  # the small coin, not the stake
    assert built["fee"] + built["change"] == SMALL and tx.outputs[1].amount == built["change"]
    assert tx.outputs[1].script == address_script(made.address_of("bob"))
    assert (desk.folder / "announcement").read_text() == built["transaction"] + "\n"
    raw = built["transaction"]
    assert built["sign_with"] == [f"signrawtransactionwithwallet {raw}", f"signrawtransaction {raw}"]
    sent = desk.json("send", desk.wallet(built))
    assert (sent["state"], sent["signed"], sent["paid"]) == ("sent", [address("bob")], [])
    assert desk.json("send", desk.wallet(built))["state"] == "waiting"
    desk.node.mine()
    (shown,) = desk.json("show")["announcements"]
    assert (shown["txid"], shown["operator"], shown["ip"]) == (sent["txid"], desk.operator.hex(), "127.0.0.9")
    assert [tie["counts"] for tie in shown["stakes"]] == [True]


@pytest.mark.parametrize(
    ("dialect", "line"),
    [
        (LITECOIND.name, "litecoin-cli signrawtransactionwithwallet "),
        (BITCOIND_17.name, "bitcoin-cli signrawtransactionwithwallet "),
        (ZEND_3.name, "zen-cli signrawtransaction "),
    ],
)
def test_the_line_to_sign_is_the_node_s_own(desk: Desk, dialect: str, line: str) -> None:
    desk.node.dialect = dialect
    built = desk.build()
    assert built["sign_with"] == [line + built["transaction"]]


def test_a_wallet_s_json_is_read_from_a_file(desk: Desk) -> None:
    signed = {"hex": desk.wallet(desk.build()), "complete": True}
    (desk.folder / "answer").write_text(json.dumps(signed, indent=2))
    assert desk.json("send", desk.folder / "answer")["state"] == "sent"


def test_with_the_stake_s_key(desk: Desk) -> None:
    built = desk.build("--stake-key", desk.folder / "bob.key", "--fqdn", "node.example.org", "--port", 7)
    assert (built["signed"], built["sign_with"], built["endpoint"]) == (True, [], "node.example.org:7")
    assert desk.json("send", desk.folder / "announcement")["state"] == "sent"
    announcement = recognise_announcement(read(built))
    assert announcement is not None and announcement.fqdn == "node.example.org"


def test_lines_for_people(desk: Desk) -> None:
    ended = desk.run("build", "--stake-address", address("bob"), "--out", desk.folder / "a", "--ip", "::1")
    assert ended.code == OK and "[::1]:9033" in ended.out
    assert "\nsignrawtransactionwithwallet " in ended.out and "\nsignrawtransaction " in ended.out
    built = desk.build("--stake-key", desk.folder / "bob.key")
    desk.run("send", built["transaction"])
    desk.node.mine()
    lines = desk.run("show").out.splitlines()
    assert lines[0].split()[1:] == ["height", "1", desk.operator.hex(), "127.0.0.9", "9033"]
    assert lines[1].split() == ["signed", address("bob"), "42.09999721", "counts"]


def test_what_could_not_count_is_not_built(desk: Desk) -> None:
    out = ("--out", desk.folder / "never")

    def build(name: str) -> tuple[object, ...]:
        return ("build", *out, "--stake-address", address(name))

    desk.refused(REFUSED, "pay it something first", *build("poor"))
    desk.refused(REFUSED, "pay it something first", *build("bare"))
    desk.refused(REFUSED, "pay it something first", *build("nobody"))
    desk.refused(REFUSED, "cannot be announced", *build("bob"), "--fqdn", "localhost")
    desk.refused(REFUSED, "cannot be announced", *build("bob"), "--ip", "somewhere")
    desk.refused(REFUSED, "41 characters", *build("bob"), "--fqdn", f"{'a' * 50}.org")
    desk.refused(REFUSED, "not routable", *build("bob"), "--ip", "255.255.255.255")
    desk.refused(REFUSED, "fee rate", *build("bob"), "--fee-rate", 100_001)
    desk.refused(USAGE, "not both", *build("bob"), "--ip", "127.0.0.1", "--fqdn", "a.example.org")
    desk.refused(REFUSED, "stake can lie", "build", *out, "--stake-address", treasury())
    assert not (desk.folder / "never").exists()


def treasury() -> str:
    return encode_address(made.TREASURY, made.RULES.prefixes)


def test_keys_and_files(desk: Desk) -> None:
    desk.refused(
        REFUSED,
        "P2PKH output of this key",
        *("build", "--stake-address", address("bob"), "--out", desk.folder / "a"),
        *("--stake-key", desk.folder / "poor.key"),
    )
    (desk.folder / "bob.key").chmod(0o644)
    desk.refused(
        PERMISSION,
        "chmod 600",
        *("build", "--stake-address", address("bob"), "--out", desk.folder / "a"),
        *("--stake-key", desk.folder / "bob.key"),
    )
    desk.build()
    words = ("build", "--stake-address", address("bob"), "--out", desk.folder / "announcement")
    desk.refused(CANNOT_CREATE, "not written over", *words)
    desk.refused(NO_INPUT, "No such file", "send", desk.folder / "nothing")


def test_what_is_sent_is_checked(desk: Desk) -> None:
    built = desk.build()
    desk.refused(REFUSED, "not signed yet", "send", desk.folder / "announcement")
    plain = made.pay("bob", [made.allocation(desk.node.branch.chain, 3)], [(made.address_of("poor"), 1)])
    desk.refused(REFUSED, "announces nothing", "send", plain.raw.hex())
    (desk.folder / "text").write_text("not hex")
    desk.refused(REFUSED, "neither a transaction in hex", "send", desk.folder / "text")
    (desk.folder / "text").write_text('{"complete": false}')
    desk.refused(REFUSED, "neither a transaction in hex", "send", desk.folder / "text")
    desk.refused(BAD_DATA, "", "send", desk.wallet(built)[:-2])
    forged = _with_another_port(desk.wallet(built))
    desk.refused(BAD_DATA, "signature does not hold", "send", forged)
    assert len(desk.node.pool) == 0


def _with_another_port(signed: str) -> str:
    """The announcement changed after it was signed."""
    return signed.replace("2349" + "7f000009", "2350" + "7f000009")


def test_the_stake_stays_whole(desk: Desk) -> None:
    desk.json("send", desk.build("--stake-key", desk.folder / "bob.key")["file"])
    desk.node.mine()
    assert desk.node.call("chain.address", {"address": address("bob")})["balance"] >= DEVNET.stake
