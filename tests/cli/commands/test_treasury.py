"""`zenp2p treasury`: files from paymaster to paymaster, keys from files, clear refusals."""

import json
from pathlib import Path

import pytest

from cli.commands import treasury as treasury_commands
from cli.main import cli
from cli.output import run_command
from protocol.codec import replace
from protocol.genesis import encode_genesis
from protocol.payout.light import encode_trust, trust_from_list, verify_list
from protocol.payout.list_header import list_hash
from protocol.payout.payment_file import PaymentFile, decode_payment_file, encode_payment_file
from protocol.units import COIN, format_amount
from tests.support.ledger_node import LedgerNode
from tests.support.payout_world import PAYMASTERS, devnet_world
from tests.support.treasury_ledger import TreasuryLedger
from zenp2p.identity import write_secret

WORLD = devnet_world()
FILE = WORLD.certified(WORLD.list())


class Desk:
    """One folder with everything that paymasters have, and a node behind them."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.capsys = capsys
        self.node = LedgerNode(TreasuryLedger(WORLD.genesis))
        self.node.ledger.fund(COIN)
        self.node.ledger.fund(2 * COIN)
        (folder / "genesis").write_bytes(encode_genesis(WORLD.genesis))
        (folder / "list").write_bytes(FILE)
        for number, secret in enumerate(PAYMASTERS[:3], start=1):
            write_secret(folder / f"key-{number}", secret)

    def path(self, name: str) -> str:
        return str(self.folder / name)

    def run(self, command: str, *arguments: str) -> tuple[int, str, str]:
        words = ["treasury", command, *arguments, "--trust", self.path("genesis")]
        code = run_command("zenp2p", lambda: cli.main(words, "zenp2p", standalone_mode=False))
        return code, *self.capsys.readouterr()

    def json(self, command: str, *arguments: str) -> dict[str, object]:
        code, out, err = self.run(command, *arguments, "--json")
        assert (code, err, out.count("\n")) == (0, "", 1)
        result: dict[str, object] = json.loads(out)
        return result

    def build(self, name: str = "payment") -> dict[str, object]:
        return self.json("build", self.path("list"), "--out", self.path(name))

    def sign(self, number: int, name: str = "payment") -> dict[str, object]:
        return self.json(
            "sign",
            self.path(name),
            "--list",
            self.path("list"),
            "--key",
            self.path(f"key-{number}"),
            "--out",
            self.path(f"signed-{number}"),
        )

    def refused(self, code: int, sentence: str, command: str, *arguments: str) -> None:
        found, out, err = self.run(command, *arguments)
        assert (found, out) == (code, "")
        assert sentence in err and err.count("\n") == 1 and "Traceback" not in err


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Desk:
    desk = Desk(tmp_path, capsys)
    monkeypatch.setattr(treasury_commands, "connect", lambda context: desk.node)
    return desk


def test_the_whole_way(desk: Desk) -> None:
    built = desk.build()
    assert (built["paid"], built["chunk"], built["chunks"], built["entries"]) == (1_050_000_000, 0, 1, 4)
    assert built["list_hash"] == list_hash(WORLD.list().header).hex()
    assert (desk.sign(1)["signers"], desk.sign(3)["signers"]) == (1, 1)
    files = desk.path("signed-3"), desk.path("signed-1")
    combined = desk.json("combine", *files, "--out", desk.path("full"))
    assert (combined["signers"], combined["required"]) == (2, 2)
    inspected = desk.json("inspect", desk.path("full"), "--list", desk.path("list"))
    assert inspected == {**built, "file": desk.path("full"), "signers": 2}
    sent = desk.json("broadcast", desk.path("full"), "--list", desk.path("list"))
    assert [tx.txid[::-1].hex() for tx in desk.node.pool] == [sent["txid"]]
    desk.node.mine()
    desk.refused(64, "wholly paid already", "build", desk.path("list"), "--out", desk.path("again"))
    again = desk.json("broadcast", desk.path("full"), "--list", desk.path("list"))
    assert again == {"txid": sent["txid"], "state": "mined", "height": desk.node.ledger.tip_height}


def test_lines_for_people(desk: Desk) -> None:
    code, out, _ = desk.run("build", desk.path("list"), "--out", desk.path("payment"))
    rows = dict(line.split(maxsplit=1) for line in out.splitlines())
    assert (code, rows["paid"], rows["inputs_total"]) == (0, "10.50000000", "1003.00000000")


def test_signing_one_after_the_other(desk: Desk) -> None:
    desk.build()
    desk.sign(2)
    signed = desk.json(
        *("sign", desk.path("signed-2"), "--list", desk.path("list")),
        *("--key", desk.path("key-1"), "--out", desk.path("both")),
    )
    assert signed["signers"] == 2
    assert "txid" in desk.json("broadcast", desk.path("both"), "--list", desk.path("list"))


def test_written_files_are_private_and_never_written_over(desk: Desk) -> None:
    desk.build()
    assert (desk.folder / "payment").stat().st_mode & 0o777 == 0o600
    before = (desk.folder / "payment").read_bytes()
    desk.refused(73, "is not written over", "build", desk.path("list"), "--out", desk.path("payment"))
    assert (desk.folder / "payment").read_bytes() == before


def sign_with(desk: Desk, key: str) -> tuple[str, ...]:
    return (
        *("sign", desk.path("payment"), "--list", desk.path("list")),
        *("--key", desk.path(key), "--out", desk.path("signed")),
    )


def test_keys_come_from_private_files_only(desk: Desk) -> None:
    desk.build()
    (desk.folder / "key-1").chmod(0o640)
    desk.refused(77, "run: chmod 600", *sign_with(desk, "key-1"))
    desk.refused(66, "key-9", *sign_with(desk, "key-9"))
    write_secret(desk.folder / "stranger", bytes(31) + b"\x07")
    desk.refused(64, "none of the treasury's", *sign_with(desk, "stranger"))
    assert not (desk.folder / "signed").exists()


def test_partial_repeated_and_foreign_signatures(desk: Desk) -> None:
    desk.build()
    desk.sign(1)
    one, combined = desk.path("signed-1"), ("--out", desk.path("x"))
    desk.refused(64, "signed by 1 paymasters, 2 must sign", "broadcast", one, "--list", desk.path("list"))
    desk.refused(64, "key 1 of 5 has signed in two of the files", "combine", one, one, *combined)
    file = decode_payment_file((desk.folder / "signed-1").read_bytes(), WORLD.genesis)
    stolen = replace(file.signatures[0], public_key=WORLD.genesis.treasury.public_keys[1])
    write(desk, "stolen", replace(file, signatures=(stolen,)))
    desk.refused(65, "key 2 of 5 has not signed input 0", "combine", desk.path("stolen"), *combined)
    write(desk, "twice", replace(file, signatures=file.signatures * 2))
    desk.refused(65, "key 1 of 5 has signed twice", "combine", desk.path("twice"), *combined)
    desk.sign(2)
    other = decode_payment_file((desk.folder / "signed-2").read_bytes(), WORLD.genesis)
    write(desk, "turned", replace(file, signatures=(*other.signatures, *file.signatures)))
    desk.refused(65, "out of order", "combine", desk.path("turned"), *combined)
    assert not (desk.folder / "x").exists()


def write(desk: Desk, name: str, file: PaymentFile) -> None:
    (desk.folder / name).write_bytes(encode_payment_file(file))


def test_a_changed_payment_is_not_signed(desk: Desk) -> None:
    desk.build()
    good = (desk.folder / "payment").read_bytes()
    for at in range(0, len(good), 13):
        (desk.folder / "payment").write_bytes(good[:at] + bytes([good[at] ^ 0x04]) + good[at + 1 :])
        desk.refused(65, "zenp2p: ", *sign_with(desk, "key-1"))
    assert not (desk.folder / "signed").exists()


def test_a_payment_is_not_judged_without_its_list(desk: Desk) -> None:
    desk.build()
    desk.refused(65, "together with its list", "inspect", desk.path("payment"))


def test_a_fee_above_the_bound_is_not_built(desk: Desk) -> None:
    arguments = ("build", desk.path("list"), "--out", desk.path("payment"), "--fee-rate", "100001")
    desk.refused(65, "the fee is", *arguments)
    assert not (desk.folder / "payment").exists()


def test_a_damaged_list_is_not_paid(desk: Desk) -> None:
    (desk.folder / "list").write_bytes(FILE[:-1] + bytes([FILE[-1] ^ 1]))
    desk.refused(65, "a precommit is not valid", "build", desk.path("list"), "--out", desk.path("payment"))
    (desk.folder / "list").unlink()
    desk.refused(66, "No such file", "build", desk.path("list"), "--out", desk.path("payment"))


def test_gathering(desk: Desk) -> None:
    built = desk.json("gather", "--out", desk.path("gathered"))
    assert (built["inputs"], built["paid"], built["chunk"], built["list_hash"]) == (2, 0, None, None)
    for number in (1, 2):
        desk.json(
            *("sign", desk.path("gathered"), "--key", desk.path(f"key-{number}")),
            *("--out", desk.path(f"gathered-{number}")),
        )
    files = desk.path("gathered-1"), desk.path("gathered-2")
    desk.json("combine", *files, "--out", desk.path("full"))
    assert "txid" in desk.json("broadcast", desk.path("full"))


def test_no_command_takes_a_key_on_the_command_line() -> None:
    for command in treasury_commands.treasury.commands.values():
        for parameter in command.params:
            assert "secret" not in (parameter.name or "") and "seed" not in (parameter.name or "")
            if parameter.name == "key":
                assert parameter.type.name == "path"


def test_status_for_programs(desk: Desk) -> None:
    before = desk.json("status", desk.path("list"))
    assert before["balance"] == {
        "total": 1_003 * COIN,
        "spendable": 1_003 * COIN,
        "waiting": 0,
        "outputs": 3,
    }
    paying = before["list"]
    assert isinstance(paying, dict)
    assert (paying["to_pay"], paying["paid"], paying["shortfall"]) == (1_050_000_000, 0, 0)
    assert paying["needed"] == paying["to_pay"] + paying["fees"] + paying["reserve"] + 10_000
    assert [chunk["state"] for chunk in paying["chunks"]] == ["next"] and paying["payable"]
    dearer = desk.json("status", desk.path("list"), "--fee-rate", "2000")["list"]
    assert isinstance(dearer, dict) and 2 * paying["fees"] - 1 <= dearer["fees"] <= 2 * paying["fees"]
    assert desk.json("status") == {**before, "list": None}


def test_status_for_people(desk: Desk) -> None:
    desk.node.deposits.append(
        {
            "txid": "ab" * 32,
            "index": 1,
            "amount": 2 * COIN,
            "height": 500,
            "confirmations": 1,
            "buried": False,
            "spent_by": None,
        }
    )
    code, out, err = desk.run("status", desk.path("list"))
    assert (code, err) == (0, "")
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert "spendable 1003.00000000" in lines and "shortfall 0.00000000" in lines and "payable yes" in lines
    assert f"deposit 2.00000000 height 500 not buried yet {'ab' * 32}:1" in lines
    assert "chunk 0 4 entries 10.50000000 next" in lines


def test_an_under_funded_list_waits(desk: Desk) -> None:
    desk.node = LedgerNode(TreasuryLedger(WORLD.genesis, baton_amount=COIN))
    paying = desk.json("status", desk.path("list"))["list"]
    assert isinstance(paying, dict) and not paying["payable"]
    sentence = f"short of {format_amount(paying['shortfall'])}: the list's one payment takes"
    desk.refused(64, sentence, "build", desk.path("list"), "--out", desk.path("payment"))
    assert not (desk.folder / "payment").exists()


def test_broadcast_again_is_no_error(desk: Desk) -> None:
    desk.build()
    for number in (1, 2):
        desk.sign(number)
    desk.json("combine", desk.path("signed-1"), desk.path("signed-2"), "--out", desk.path("full"))
    words = ("broadcast", desk.path("full"), "--list", desk.path("list"))
    states = [desk.json(*words)["state"], desk.json(*words)["state"]]
    desk.node.mine()
    last = desk.json(*words)
    assert [*states, last["state"]] == ["sent", "waiting", "mined"] and last["height"] == 501
    desk.refused(65, "is for list", "broadcast", desk.path("full"))


def test_the_genesis_file_is_the_one_that_the_node_runs_on(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where the configuration names one outside of the data directory, that one is trusted."""
    monkeypatch.setenv("ZENP2P_DATA_DIR", desk.path("data"))
    monkeypatch.setenv("ZENP2P_GENESIS", desk.path("genesis"))
    words = ["treasury", "build", desk.path("list"), "--out", desk.path("payment")]
    assert run_command("zenp2p", lambda: cli.main(words, "zenp2p", standalone_mode=False)) == 0
    assert "10.50000000" in capsys.readouterr().out


def test_status_tells_of_a_chain_that_is_not_ok(desk: Desk) -> None:
    desk.node.state, desk.node.problem = "behind", "the chain node lacks blocks"
    code, out, _ = desk.run("status", desk.path("list"))
    assert code == 0 and "! the chain node lacks blocks: all of this may be old" in out
    shown = desk.json("status", desk.path("list"))
    assert shown["chain"] == {"state": "behind", "problem": "the chain node lacks blocks"}
    desk.refused(75, "the chain is behind", "build", desk.path("list"), "--out", desk.path("payment"))
    assert not (desk.folder / "payment").exists()


def test_a_trust_file_stands_for_the_lists_before(desk: Desk) -> None:
    """The second list needs no first one beside it; to pay the first takes a trust point before it."""
    world = devnet_world()
    first = verify_list(FILE, world.trust)
    world.state = world.list().state
    for seq in (6, 7, 8):
        world.judge(seq)
    world.bury(2)
    (desk.folder / "genesis").write_bytes(encode_trust(trust_from_list(first)))
    (desk.folder / "second").write_bytes(world.certified(world.list()))
    told = desk.json("status", desk.path("second"))["list"]
    assert isinstance(told, dict) and told["period"] == 2
    desk.refused(64, "the list of period 1 is the trust point itself", "status", desk.path("list"))
