"""`zenp2p payout verify` and `prove` as a wallet uses them: week after week, with files and a trust point."""

import json
from pathlib import Path
from typing import Any

import pytest

from cli.commands import payout as payout_commands
from cli.main import cli
from cli.output import run_command
from protocol.chain.address import encode_address
from protocol.chain.encoding import display_hash
from protocol.genesis import encode_genesis
from protocol.payout.light import encode_trust, trust_from_file, trust_from_list, verify_list
from protocol.payout.payment import build_payment, split_chunks
from tests.support.ledger_node import LedgerNode
from tests.support.payout_world import hash_of, make_genesis
from tests.support.treasury_ledger import TreasuryLedger
from tests.support.vectors import load_vectors
from tests.support.wallet_network import WalletStory, stake

STORY = WalletStory()
FIRST = STORY.trusts[0].terms.period
LISTS = len(STORY.files)
PAID, UNPAID = (encode_address(stake(n), STORY.genesis.chain.prefixes) for n in (2, 4))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with the genesis file, all lists, and things that are none."""
    (tmp_path / "genesis").write_bytes(encode_genesis(STORY.genesis))
    lists = tmp_path / "lists"
    lists.mkdir()
    for number, data in enumerate(STORY.files):
        (lists / f"{hash_of(data).hex()[:4]}.bin").write_bytes(data)
        (tmp_path / f"list-{number}").write_bytes(data)
    (lists / "notes").write_text("no list")
    (lists / "folder").mkdir()
    (lists / "half").write_bytes(STORY.files[1][:900])
    return tmp_path


class Wallet:
    """Runs the commands on one folder."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capsys = capsys

    def path(self, name: str) -> str:
        return str(self.folder / name)

    def run(self, *arguments: str) -> tuple[int, str, str]:
        code = run_command("zenp2p", lambda: cli.main(list(arguments), "zenp2p", standalone_mode=False))
        return code, *self._capsys.readouterr()

    def verify(self, *arguments: str, trust: str = "genesis") -> dict[str, object]:
        """Return what is said of a list that passes."""
        code, out, err = self.run("payout", "verify", *arguments, "--trust", self.path(trust), "--json")
        assert (code, err, out.count("\n")) == (0, "", 1)
        told: dict[str, object] = json.loads(out)
        return told

    def refused(self, *arguments: str, trust: str = "genesis", code: int = 65) -> str:
        """Return the one line that is said of a list that does not."""
        ended, out, err = self.run("payout", "verify", *arguments, "--trust", self.path(trust))
        assert (ended, out, err.count("\n")) == (code, "", 1)
        return err


@pytest.fixture
def wallet(folder: Path, capsys: pytest.CaptureFixture[str]) -> Wallet:
    return Wallet(folder, capsys)


def test_the_lists_between_are_found_in_a_folder(wallet: Wallet) -> None:
    lists = wallet.path("lists")
    for number in range(LISTS):
        told = wallet.verify(wallet.path(f"list-{number}"), "--chain-of-lists", lists)
        assert told["period"] == FIRST + number
        assert told["list_hash"] == STORY.trusts[number + 1].terms.previous.hex()


def test_consecutive_lists_can_be_named(wallet: Wallet) -> None:
    files = [wallet.path(f"list-{number}") for number in range(LISTS)]
    assert wallet.verify(*files)["period"] == FIRST + LISTS - 1
    assert wallet.verify(*files[2:], "--chain-of-lists", wallet.path("lists"))["period"] == FIRST + LISTS - 1
    assert f"is of period {FIRST + 2}: period {FIRST + 1} comes next" in wallet.refused(files[0], files[2])


def test_a_list_between_is_missing(wallet: Wallet) -> None:
    last, lists = wallet.path("list-3"), wallet.path("lists")
    assert f"period {FIRST + 3}: period {FIRST} comes next" in wallet.refused(last)
    (name,) = (
        path
        for path in (wallet.folder / "lists").iterdir()
        if path.is_file() and path.read_bytes() == STORY.files[2]
    )
    name.unlink()
    said = wallet.refused(last, "--chain-of-lists", lists, code=66)
    assert f"{lists}: holds no list of period {FIRST + 2}" in said
    assert "nowhere" in wallet.refused(last, "--chain-of-lists", wallet.path("nowhere"), code=66)


def test_a_list_between_is_wrong(wallet: Wallet) -> None:
    lists = wallet.folder / "lists"
    for path in lists.iterdir():
        if path.is_file() and path.read_bytes() == STORY.files[1]:
            path.unlink()
    said = wallet.refused(wallet.path("list-2"), "--chain-of-lists", str(lists))
    assert f"{lists / 'half'}: not a list file" in said


def test_two_histories_are_an_alarm(wallet: Wallet) -> None:
    other = STORY.lists[1].with_header(last_hash=hash_of(b"another branch"))
    (wallet.folder / "lists" / "fork").write_bytes(other.signed(STORY.signers[1], STORY.trusts[1]))
    said = wallet.refused(wallet.path("list-2"), "--chain-of-lists", wallet.path("lists"))
    assert f"two different lists of period {FIRST + 1} are certified" in said


def test_the_trust_point_is_remembered(wallet: Wallet) -> None:
    """Week after week the same command; the lists before are not needed any more, and not accepted."""
    remember = ("--remember", wallet.path("kept"))
    for number in range(LISTS):
        told = wallet.verify(wallet.path(f"list-{number}"), *remember)
        assert told["period"] == FIRST + number
        assert trust_from_file((wallet.folder / "kept").read_bytes()) == STORY.trusts[number + 1]
    said = wallet.refused(wallet.path("list-1"), *remember)
    assert (
        f"is of period {FIRST + 1}, which is behind the trust point: period {FIRST + LISTS} comes next"
        in said
    )
    assert trust_from_file((wallet.folder / "kept").read_bytes()) == STORY.trusts[LISTS]


def test_a_trust_file_is_a_trust_point(wallet: Wallet) -> None:
    (wallet.folder / "kept").write_bytes(encode_trust(STORY.trusts[2]))
    assert wallet.verify(wallet.path("list-2"), trust="kept")["period"] == FIRST + 2
    told = wallet.verify(wallet.path("list-3"), "--chain-of-lists", wallet.path("lists"), trust="kept")
    assert told["period"] == FIRST + 3
    assert "behind the trust point" in wallet.refused(wallet.path("list-0"), trust="kept")


def test_the_last_list_can_be_looked_at_again(wallet: Wallet) -> None:
    remember = ("--remember", wallet.path("kept"))
    wallet.verify(wallet.path("list-0"), *remember)
    told = wallet.verify(wallet.path("list-0"), *remember, "--address", PAID)
    line = STORY.lists[0].entries
    amount = next(entry.amount for entry in line if entry.address == stake(2))
    assert told["entry"] == {"address": PAID, "responses": 3, "amount": amount}
    assert told["signers"] is None and told["period"] == FIRST
    other = STORY.lists[0].with_header(last_hash=hash_of(b"another branch"))
    (wallet.folder / "fork").write_bytes(other.signed(STORY.signers[0], STORY.trusts[0]))
    assert "not of the list that was verified last" in wallet.refused(wallet.path("fork"), *remember)


def test_nothing_is_remembered_of_what_is_refused(wallet: Wallet) -> None:
    wallet.refused(wallet.path("list-1"), "--remember", wallet.path("kept"))
    few = STORY.lists[0].signed(STORY.signers[0][:4], STORY.trusts[0])
    (wallet.folder / "few").write_bytes(few)
    wallet.refused(wallet.path("few"), "--remember", wallet.path("kept"))
    wallet.refused(wallet.path("list-0"), "--remember", wallet.path("kept"), "--address", "nobody", code=64)
    assert not (wallet.folder / "kept").exists()


def test_a_kept_file_that_is_none(wallet: Wallet) -> None:
    kept = wallet.folder / "kept"
    for data, sentence in (
        (b"", "not a genesis file"),
        (encode_trust(STORY.trusts[1])[:-1], "not a trust file"),
        (encode_genesis(make_genesis()), "of two networks"),
    ):
        kept.write_bytes(data)
        assert sentence in wallet.refused(wallet.path("list-0"), "--remember", str(kept))
        assert kept.read_bytes() == data


def test_an_address_file_is_proven_and_verified(wallet: Wallet) -> None:
    for number in range(LISTS):
        arguments = ("--trust", wallet.path("genesis"), "--chain-of-lists", wallet.path("lists"))
        made = wallet.run(
            "payout",
            "prove",
            wallet.path(f"list-{number}"),
            *arguments,
            "--address",
            PAID,
            "-o",
            wallet.path(f"a-{number}"),
            "--json",
        )
        told = json.loads(made[1])
        assert (made[0], told["period"]) == (0, FIRST + number)
        assert told["bytes"] == (wallet.folder / f"a-{number}").stat().st_size
    remember = ("--remember", wallet.path("kept"))
    for number in range(LISTS):
        whole = wallet.verify(
            wallet.path(f"list-{number}"), "--chain-of-lists", wallet.path("lists"), "--address", PAID
        )
        small = wallet.verify(wallet.path(f"a-{number}"), *remember, "--address", PAID)
        assert {**whole, "signers": 0, "age_signed": 0} == {**small, "signers": 0, "age_signed": 0}
    said = wallet.refused(wallet.path("a-3"), *remember, "--address", "nobody", code=64)
    assert "checksum" in said


def test_an_address_without_a_line(wallet: Wallet) -> None:
    trust = ("--trust", wallet.path("genesis"))
    made = wallet.run(
        "payout", "prove", wallet.path("list-0"), *trust, "--address", PAID, "-o", wallet.path("paid")
    )
    assert made == (0, f"{wallet.path('paid')}\n", "")
    stranger = encode_address(bytes(21), STORY.genesis.chain.prefixes)
    both = ("--address", stranger, "--address", UNPAID)
    assert (
        wallet.run("payout", "prove", wallet.path("list-0"), *trust, *both, "-o", wallet.path("none"))[0] == 0
    )
    entry = wallet.verify(wallet.path("none"), "--address", stranger)["entry"]
    assert entry == {"address": stranger, "responses": 0, "amount": 0}
    code, out, _ = wallet.run("payout", "verify", wallet.path("none"), *trust, "--address", stranger)
    assert code == 0 and out.splitlines()[-1].split() == ["amount", "nothing"]
    said = wallet.refused(wallet.path("paid"), "--address", UNPAID, code=64)
    assert f"does not show what {UNPAID} gets" in said


def test_what_cannot_be_proven(wallet: Wallet) -> None:
    prove = (
        "payout",
        "prove",
        wallet.path("list-0"),
        "--trust",
        wallet.path("genesis"),
        "-o",
        wallet.path("out"),
    )
    assert wallet.run(*prove, "--address", "nobody")[0] == 64
    assert wallet.run(*prove)[0] == 2
    assert wallet.run(*prove, "--address", PAID)[0] == 0
    code, _, err = wallet.run(*prove, "--address", PAID)
    assert code == 73 and "is not written over" in err
    again = [*prove]
    again[2] = wallet.path("out")
    again[-1] = wallet.path("other")
    code, _, err = wallet.run(*again, "--address", PAID)
    assert code == 64 and "name the list file" in err
    again[2] = wallet.path("list-1")
    assert wallet.run(*again, "--address", PAID)[0] == 65
    assert not (wallet.folder / "other").exists()


REFUSED = load_vectors("wallet", "refused")
LAST_AGAIN = {"the list before again", "the last list once more", "address file: of an older list"}
"""True files of the list that was verified last: the command shows them again."""
TAMPERED = [case for case in REFUSED["cases"] if case["name"] not in LAST_AGAIN]


@pytest.mark.parametrize("case", TAMPERED, ids=lambda case: case["name"])
def test_every_tampered_file_is_refused_in_one_line(wallet: Wallet, case: dict[str, Any]) -> None:
    """By a trust file, and after the lists before it were remembered."""
    trust = trust_from_file(bytes.fromhex(REFUSED["genesis"]))
    for file in REFUSED["files"][: case["after"]]:
        trust = trust_from_list(verify_list(bytes.fromhex(file), trust))
    (wallet.folder / "trust").write_bytes(encode_trust(trust))
    (wallet.folder / "tampered").write_bytes(bytes.fromhex(case["file"]))
    assert wallet.refused(wallet.path("tampered"), trust="trust") == f"zenp2p: {case['why']}\n"
    wallet.refused(wallet.path("tampered"), "--remember", wallet.path("trust"))
    assert (wallet.folder / "trust").read_bytes() == encode_trust(trust)


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch) -> LedgerNode:
    """Return a node beside which nothing is paid yet."""
    node = LedgerNode(TreasuryLedger(STORY.genesis))
    monkeypatch.setattr(payout_commands, "connect", lambda context: node)
    return node


def pay(node: LedgerNode, place: int) -> str:
    """Mine the payment of a list of the story; return its id as wallets show it."""
    (chunk,) = split_chunks(verify_list(STORY.files[place], STORY.trusts[place]))
    payment = build_payment(chunk, STORY.genesis, node.ledger.baton(), (), tip_height=500)
    node.ledger.mine(payment)
    return display_hash(payment.txid)


def test_the_chain_shows_what_is_paid(wallet: Wallet, node: LedgerNode) -> None:
    first = (wallet.path("list-0"), "--chain", "--address", PAID)
    told = wallet.verify(*first)
    assert told["chain"] == {"height": 500, "stranded": True, "chunks": 1, "mined": []}
    assert isinstance(told["entry"], dict) and told["entry"]["payment"] is None
    txid = pay(node, 0)
    payment = {"chunk": 0, "txid": txid, "height": 501, "confirmations": 1}
    told = wallet.verify(*first)
    assert told["chain"] == {"height": 501, "stranded": True, "chunks": 1, "mined": [payment]}
    assert isinstance(told["entry"], dict) and told["entry"]["payment"] == payment
    code, out, _ = wallet.run("payout", "verify", *first, "--trust", wallet.path("genesis"))
    assert code == 0 and "1 of 1 mined" in out and f"{txid} in block 501" in out
    last = (wallet.path("list-3"), "--chain-of-lists", wallet.path("lists"), "--chain", "--address", PAID)
    code, out, _ = wallet.run("payout", "verify", *last, "--trust", wallet.path("genesis"))
    assert code == 0 and "0 of 0 mined" in out and out.splitlines()[-1].split() == ["amount", "nothing"]


def test_a_chain_with_another_history_is_told(wallet: Wallet, node: LedgerNode) -> None:
    """Old voters' keys made a list; the chain has paid another one."""
    pay(node, 0)
    pay(node, 1)
    other = STORY.lists[1].with_header(last_hash=hash_of(b"another branch"))
    (wallet.folder / "fork").write_bytes(other.signed(STORY.signers[1], STORY.trusts[1]))
    remember = ("--remember", wallet.path("kept"))
    assert wallet.verify(wallet.path("list-0"), "--chain", *remember)["period"] == FIRST
    said = wallet.refused(wallet.path("fork"), "--chain", *remember)
    assert "payment 1 along the baton pays chunk 0 of list" in said
    assert trust_from_file((wallet.folder / "kept").read_bytes()) == STORY.trusts[1]
    assert wallet.verify(wallet.path("list-1"), "--chain", *remember)["period"] == FIRST + 1
    again = wallet.verify(wallet.path("list-1"), "--chain", *remember)
    assert isinstance(again["chain"], dict) and len(again["chain"]["mined"]) == 1


def test_without_a_daemon_the_chain_cannot_be_asked(wallet: Wallet) -> None:
    nowhere = ("--chain", "--data-dir", wallet.path("no-daemon"))
    assert wallet.refused(wallet.path("list-0"), *nowhere, code=69)
