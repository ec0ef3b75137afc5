"""One real devnet, from nothing to two payments: what it reports, what it answers, what it refuses.

Eight daemons as processes, the real command line, real TCP on loopback addresses. The network is
started once; every test looks at the same one. The last test ends it.
"""

import json
import os
import shlex
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from protocol.genesis import decode_genesis, network_id
from protocol.parameters import DEVNET
from tests.support.command import Run, runner
from tests.support.devnet import Devnet, one_line, refusal, run, running_devnet, wait_for
from tests.support.forged_lists import FORGERIES, changed_copies, forged
from zenp2p.identity import new_secret, write_secret

pytestmark = pytest.mark.functional

ROLES = ["honest"] * 4 + ["dead", "lazy", "understaked", "duplicate"]
VERDICTS = {"dead": "NO_RESPONSE", "lazy": "WRONG_ANSWER", "understaked": "STAKE_TOO_LOW"}
NODE_REWARD = 43_750_000
"""3.5 % of 12.5 coins."""
CARRIED = 7
REFUSED, BAD_DATA, NO_INPUT = 64, 65, 66
BYTES_CHANGED = 40
NEXT_LIST_SECONDS_MAX = 120
MINED_SECONDS_MAX = 60


@pytest.fixture(scope="module")
def devnet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Devnet]:
    with running_devnet(tmp_path_factory.mktemp("devnet")) as devnet:
        yield devnet


@pytest.fixture
def report(devnet: Devnet) -> dict[str, Any]:
    return devnet.report


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(capsys)


def files(report: dict[str, Any]) -> tuple[Path, Path]:
    """Return the list file and the genesis file."""
    return Path(report["payout"]["list_file"]), Path(report["payout"]["genesis_file"])


# The report.


def test_the_report_has_everything(report: dict[str, Any]) -> None:
    shapes = {
        "": (
            report,
            "network_id chain nodes challenges payout payment verify seconds "
            "peak_rss_mb_per_node cpu_seconds_per_node",
        ),
        "chain": (report["chain"], "kind version dialect"),
        "nodes": (report["nodes"][0], "name role operator stake_address ip"),
        "challenges": (report["challenges"][0], "seq anchor_height anchor_hash verdicts"),
        "payout": (
            report["payout"],
            "period list_hash pool carried entries certificate list_file genesis_file",
        ),
        "entries": (report["payout"]["entries"][0], "address responses amount"),
        "certificate": (report["payout"]["certificate"], "members signers age_total age_signed"),
        "payment": (report["payment"], "txids confirmed paid_total"),
        "verify": (report["verify"], "command exit_code"),
    }
    for place, (value, keys) in shapes.items():
        assert set(keys.split()) <= set(value), place
    names = {node["name"] for node in report["nodes"]}
    assert [node["role"] for node in report["nodes"]] == ROLES
    assert set(report["peak_rss_mb_per_node"]) == set(report["cpu_seconds_per_node"]) == names
    assert all(used > 0 for used in report["cpu_seconds_per_node"].values())
    assert all(0 < used < 300 for used in report["peak_rss_mb_per_node"].values())


def test_every_node_is_itself(report: dict[str, Any]) -> None:
    nodes = report["nodes"]
    for key in ("name", "operator", "stake_address", "rpc"):
        assert len({node[key] for node in nodes}) == len(ROLES), key
    assert all(len(bytes.fromhex(node["operator"])) == 32 for node in nodes)
    addresses = Counter(node["ip"] for node in nodes)
    assert sorted(addresses.values()) == [1] * 6 + [2]
    assert "127.0.0.1" not in addresses
    shared = addresses.most_common(1)[0][0]
    assert [node["role"] for node in nodes if node["ip"] == shared] == ["honest", "duplicate"]


def test_each_role_gets_its_verdict_in_three_challenges(report: dict[str, Any]) -> None:
    roles = {node["operator"]: node["role"] for node in report["nodes"]}
    assert [one["seq"] for one in report["challenges"]] == [3, 4, 5]
    for one in report["challenges"]:
        assert one["anchor_height"] == one["seq"] * DEVNET.challenge_every
        assert one["verdicts"].keys() == roles.keys()
        for operator, role in roles.items():
            if role in VERDICTS:
                assert one["verdicts"][operator] == VERDICTS[role], (role, one["seq"])


def test_exactly_one_of_two_on_an_address_is_valid_and_always_the_same(
    devnet: Devnet, report: dict[str, Any]
) -> None:
    duplicate = devnet.node("duplicate")
    pair = [node["operator"] for node in report["nodes"] if node["ip"] == duplicate["ip"]]
    seen = [tuple(one["verdicts"][operator] for operator in pair) for one in report["challenges"]]
    assert sorted(seen[0]) == ["DUPLICATE_IP", "VALID"]
    assert len(set(seen)) == 1
    alone = [
        node["operator"]
        for node in report["nodes"]
        if node["role"] == "honest" and node["operator"] not in pair
    ]
    assert len(alone) == 3
    assert {one["verdicts"][operator] for one in report["challenges"] for operator in alone} == {"VALID"}


def test_amounts_are_the_pool_less_what_is_carried(report: dict[str, Any]) -> None:
    payout = report["payout"]
    amounts = [entry["amount"] for entry in payout["entries"]]
    responses = [entry["responses"] for entry in payout["entries"]]
    assert payout["pool"] == DEVNET.period_blocks * NODE_REWARD + CARRIED
    assert sum(amounts) == payout["pool"] - payout["carried"]
    assert payout["carried"] == payout["pool"] % sum(responses) == CARRIED
    assert amounts == [count * (payout["pool"] // sum(responses)) for count in responses]


def test_an_entry_counts_the_valid_verdicts(report: dict[str, Any]) -> None:
    stakes = {node["operator"]: node["stake_address"] for node in report["nodes"]}
    valid = Counter(
        stakes[operator]
        for one in report["challenges"]
        for operator, verdict in one["verdicts"].items()
        if verdict == "VALID"
    )
    assert {entry["address"]: entry["responses"] for entry in report["payout"]["entries"]} == valid
    assert len(report["payout"]["entries"]) == 4


def test_the_certificate_is_above_final(report: dict[str, Any]) -> None:
    certificate = report["payout"]["certificate"]
    assert certificate["members"] == 4
    assert 3 * certificate["signers"] > 2 * certificate["members"]
    assert 3 * certificate["age_signed"] > 2 * certificate["age_total"]


def test_the_payment_is_mined_and_right(devnet: Devnet, report: dict[str, Any]) -> None:
    payment = report["payment"]
    assert payment["confirmed"] is True
    assert payment["paid_total"] == sum(entry["amount"] for entry in report["payout"]["entries"])
    (txid,) = payment["txids"]
    for name in ("honest-1", "honest-4", "duplicate"):  # nobody has to believe the node that sent it
        found = json.loads(rpc(devnet, name, "chain.transaction", {"txid": txid, "decode": True}))
        assert found["confirmations"] > 0
        assert (found["payment"]["period"], found["payment"]["on_baton"]) == (
            report["payout"]["period"],
            True,
        )
        block = json.loads(rpc(devnet, name, "chain.block", {"hash": found["block"]}))
        assert [payment["txid"] for payment in block["payments"]] == [txid] and txid in block["txids"]
    for entry in report["payout"]["entries"]:
        coins = json.loads(rpc(devnet, "honest-3", "chain.unspent", {"address": entry["address"]}))
        assert entry["amount"] in [coin["amount"] for coin in coins if coin["txid"] == txid]
        known = json.loads(rpc(devnet, "honest-3", "chain.address", {"address": entry["address"]}))
        stakes = {node["stake_address"]: node["operator"] for node in report["nodes"]}
        assert known["stake"]["operator"] == stakes[entry["address"]]
        assert txid in [payout["txid"] for payout in known["payouts"]]


# The list, from files alone.


def test_the_printed_command_verifies_the_list_where_nothing_else_is(
    devnet: Devnet, report: dict[str, Any], tmp_path: Path
) -> None:
    command = report["verify"]["command"]
    assert f"  {command}\n" in devnet.printed.replace("\r\n", "\n")
    assert report["verify"]["exit_code"] == 0
    environment = {key: value for key, value in os.environ.items() if not key.startswith("ZENP2P_")}
    done = subprocess.run(
        shlex.split(command), cwd=tmp_path, env=environment | {"HOME": str(tmp_path)}, capture_output=True
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert report["payout"]["list_hash"].encode() in done.stdout
    list_file, genesis_file = files(report)
    assert list_file.is_absolute() and genesis_file.is_absolute()
    assert network_id(decode_genesis(genesis_file.read_bytes())).hex() == report["network_id"]


def test_what_a_wallet_is_told_is_what_was_reported(cli: Run, report: dict[str, Any]) -> None:
    list_file, genesis_file = files(report)
    entry = report["payout"]["entries"][0]
    ended = cli(
        "payout", "verify", list_file, "--trust", genesis_file, "--address", entry["address"], "--json"
    )
    told = json.loads(one_line(ended.out))
    for key in ("list_hash", "pool", "carried", "period"):
        assert told[key] == report["payout"][key]
    for key in ("signers", "age_signed", "age_total"):
        assert told[key] == report["payout"]["certificate"][key]
    assert told["entry"] == entry


def test_the_chain_shows_the_payment_that_was_reported(
    devnet: Devnet, report: dict[str, Any], tmp_path: Path
) -> None:
    """From files first, then by the record of a running node; the trust point is kept for the next list."""
    list_file, genesis_file = files(report)
    address = report["payout"]["entries"][0]["address"]
    kept = tmp_path / "wallet"
    words = ("payout", "verify", list_file, "--trust", genesis_file, "--remember", kept, "--chain")
    for _ in range(2):  # the second time it is the list verified last
        told = devnet.ask("honest-2", *words, "--address", address)
        assert [one["txid"] for one in told["chain"]["mined"]] == report["payment"]["txids"]
        assert told["chain"]["stranded"] is False and told["entry"]["payment"] == told["chain"]["mined"][0]
    small = tmp_path / "address-file"
    proven = ("payout", "prove", list_file, "--trust", genesis_file, "--address", address, "--out", small)
    assert run("zenp2p", *proven).code == 0
    told = devnet.ask("honest-3", "payout", "verify", small, "--trust", kept, "--chain", "--address", address)
    assert told["entry"]["amount"] == report["payout"]["entries"][0]["amount"]


def check_changed_copies(cli: Run, report: dict[str, Any], folder: Path, count: int | None) -> None:
    list_file, genesis_file = files(report)
    data = list_file.read_bytes()
    copy = folder / "copy"
    for place, changed in changed_copies(data, count or len(data)):
        copy.write_bytes(changed)
        ended = cli("payout", "verify", copy, "--trust", genesis_file)
        assert ended.code == BAD_DATA, f"byte {place}: {ended}"
        assert ended.out == "" and one_line(ended.err).startswith("zenp2p: "), f"byte {place}: {ended}"


def test_a_list_with_a_changed_byte_is_refused(cli: Run, report: dict[str, Any], tmp_path: Path) -> None:
    check_changed_copies(cli, report, tmp_path, BYTES_CHANGED)


@pytest.mark.nightly
def test_a_list_with_any_byte_changed_is_refused(cli: Run, report: dict[str, Any], tmp_path: Path) -> None:
    check_changed_copies(cli, report, tmp_path, None)


def test_a_genesis_with_a_changed_byte_is_another_network(
    cli: Run, report: dict[str, Any], tmp_path: Path
) -> None:
    list_file, genesis_file = files(report)
    for place, changed in changed_copies(genesis_file.read_bytes(), BYTES_CHANGED // 4):
        (tmp_path / "genesis").write_bytes(changed)
        ended = cli("payout", "verify", list_file, "--trust", tmp_path / "genesis")
        assert ended.code == BAD_DATA, f"byte {place}: {ended}"
        assert ended.out == "" and one_line(ended.err), f"byte {place}: {ended}"


def test_other_wrong_files_as_processes(report: dict[str, Any], tmp_path: Path) -> None:
    list_file, genesis_file = files(report)
    data = list_file.read_bytes()
    verify = ("zenp2p", "payout", "verify")
    (tmp_path / "cut").write_bytes(data[:-1])
    said = refusal(run(*verify, "cut", "--trust", genesis_file, cwd=tmp_path), BAD_DATA)
    assert "truncated" in said
    (tmp_path / "longer").write_bytes(data + b"\0")
    refusal(run(*verify, "longer", "--trust", genesis_file, cwd=tmp_path), BAD_DATA)
    said = refusal(run(*verify, "nowhere", "--trust", genesis_file, cwd=tmp_path), NO_INPUT)
    assert "nowhere" in said
    said = refusal(run(*verify, list_file, "--trust", "nowhere", cwd=tmp_path), NO_INPUT)
    assert "nowhere" in said


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forged_list_is_refused(cli: Run, report: dict[str, Any], tmp_path: Path, name: str) -> None:
    list_file, genesis_file = files(report)
    (tmp_path / "forged").write_bytes(forged(list_file.read_bytes(), name))
    ended = cli("payout", "verify", tmp_path / "forged", "--trust", genesis_file)
    assert (ended.code, ended.out) == (BAD_DATA, "")
    assert FORGERIES[name][1] in one_line(ended.err), ended


# What the running nodes answer.


def rpc(devnet: Devnet, name: str, method: str, params: dict[str, Any] | None = None) -> str:
    """Return the one line that `zenp2p rpc` prints."""
    words = [json.dumps(params)] if params else []
    ended = run("zenp2p", "rpc", method, *words, "--data-dir", devnet.data_dir(name))
    assert (ended.code, ended.err) == (0, ""), ended
    return one_line(ended.out)


def test_status(devnet: Devnet, report: dict[str, Any]) -> None:
    for node in report["nodes"][0], devnet.node("understaked"):
        status = devnet.ask(node["name"], "status")
        assert status["network_id"] == report["network_id"]
        assert status["operator"] == node["operator"]
        assert status["stake_address"] == node["stake_address"]
        assert status["registered"] is True
        assert status["peers"] >= 4
        assert status["height"] >= 48
        assert status["voter"] is (node["role"] == "honest")
        if node["role"] == "honest":
            assert (status["state"], status["problems"]) == ("ok", [])
        else:
            assert any("STAKE_TOO_LOW" in problem for problem in status["problems"])
    people = run("zenp2p", "status", "--data-dir", devnet.data_dir("honest-2"))
    assert people.code == 0 and "next period" in people.out
    assert "chain kind" in people.out and "{" not in people.out


def test_the_current_challenge(devnet: Devnet) -> None:
    current = devnet.ask("honest-1", "challenge", "current")
    assert current["opens"] == current["anchor_height"] == current["seq"] * DEVNET.challenge_every
    assert current["closes"] == current["opens"] + DEVNET.response_window
    assert 0 <= current["due_seconds"] <= DEVNET.response_window * DEVNET.block_seconds
    assert len(current["txids"]) == DEVNET.samples
    found = json.loads(rpc(devnet, "honest-2", "chain.transaction", {"txid": current["txids"][0]}))
    assert found["height"] <= current["anchor_height"]


def test_everybody_shows_the_same_verdicts(devnet: Devnet, report: dict[str, Any]) -> None:
    (reported,) = [one for one in report["challenges"] if one["seq"] == 4]
    for name in ("honest-4", "dead", "duplicate"):
        shown = devnet.ask(name, "challenge", "show", 4)
        assert shown["state"] == "judged"
        assert shown["anchor_hash"] == reported["anchor_hash"]
        assert {key: one["verdict"] for key, one in shown["verdicts"].items()} == reported["verdicts"]
    ended = run("zenp2p", "challenge", "show", 9_999, "--json", "--data-dir", devnet.data_dir("dead"))
    assert "9999" in refusal(ended, NO_INPUT)


def test_why(devnet: Devnet) -> None:
    why = devnet.ask("understaked", "why", 4)
    assert why["verdict"] == "STAKE_TOO_LOW" and "stake" in why["reason"]
    judges = {receipt["judge"] for receipt in why["receipts"]}
    assert len(judges) == len(why["receipts"]) >= 3
    assert all(32 <= receipt["height"] < 36 for receipt in why["receipts"])
    of_dead = devnet.ask("dead", "why", 4)
    assert (of_dead["seq"], of_dead["operator"]) == (4, devnet.node("dead")["operator"])
    assert (of_dead["verdict"], of_dead["receipts"]) == ("NO_RESPONSE", [])
    assert of_dead["reason"] == devnet.ask("dead", "why", 5)["reason"]


def test_the_lazy_node_has_no_chain_of_its_own(devnet: Devnet) -> None:
    assert json.loads(rpc(devnet, "lazy", "chain.tip"))["height"] == 0


def test_lists_and_exports_are_the_same_on_every_node(
    devnet: Devnet, report: dict[str, Any], tmp_path: Path
) -> None:
    payout = report["payout"]
    first = devnet.ask("honest-2", "payout", "list")["lists"][0]
    assert (first["period"], first["list_hash"]) == (payout["period"], payout["list_hash"])
    shown = devnet.ask("honest-3", "payout", "show", payout["period"])
    assert shown["entries"] == payout["entries"]
    assert shown["paid_total"] + shown["carried"] == payout["pool"]
    list_file, genesis_file = files(report)
    out = tmp_path / "exported"
    assert devnet.ask("duplicate", "payout", "export", payout["period"], "--out", out)["file"] == str(out)
    # Another node may hold the signatures of another quorum; the list is the same.
    told = run("zenp2p", "payout", "verify", out, "--trust", genesis_file, "--json")
    assert json.loads(one_line(told.out))["list_hash"] == payout["list_hash"]
    said = refusal(run("zenp2p", "payout", "export", 77, "--data-dir", devnet.data_dir("dead")), NO_INPUT)
    assert "77" in said


def test_any_method(devnet: Devnet, report: dict[str, Any]) -> None:
    names = {method["name"] for method in json.loads(rpc(devnet, "dead", "rpc.methods"))}
    assert {"node.status", "challenge.show", "payout.export", "chain.broadcast", "treasury.baton"} <= names
    paid = json.loads(rpc(devnet, "honest-4", "treasury.baton"))["paid"]
    assert paid[0]["txid"] == report["payment"]["txids"][0]
    assert paid[0]["list_hash"] == report["payout"]["list_hash"]
    ended = run("zenp2p", "rpc", "no.method", "--data-dir", devnet.data_dir("dead"))
    assert "no.method" in refusal(ended, REFUSED)


# The next period: paymasters that do wrong, and the payment that follows on the first one's change.


@pytest.fixture(scope="module")
def second_list(devnet: Devnet) -> Path:
    """The list of the next period, exported from another node than the first one was."""
    period = devnet.report["payout"]["period"] + 1
    path = devnet.folder / f"second-list-{period}"

    def export() -> Path | None:
        directory = devnet.data_dir("honest-4")
        ended = run("zenp2p", "payout", "export", period, "--out", path, "--data-dir", directory)
        return path if ended.code == 0 else None

    found: Path = wait_for(f"a list of period {period}", export, NEXT_LIST_SECONDS_MAX)
    return found


class Paymasters:
    """The steps of the second payment, each by the real command on a node of its own."""

    def __init__(self, devnet: Devnet, second_list: Path, folder: Path) -> None:
        first, genesis = files(devnet.report)
        self.devnet = devnet
        self.folder = folder
        self.trust = ("--trust", genesis)
        self.lists = ("--list", first, "--list", second_list)
        self.built = folder / "built"
        devnet.ask("honest-2", "treasury", "build", first, second_list, *self.trust, "--out", self.built)

    def key(self, number: int) -> Path:
        return self.devnet.folder / "paymasters" / f"paymaster-{number}.key"

    def sign_words(self, file: Path, key: Path, out: Path) -> tuple[object, ...]:
        return ("treasury", "sign", file, *self.lists, "--key", key, *self.trust, "--out", out)

    def sign(self, key: Path, out: str) -> Path:
        self.devnet.ask("honest-3", *self.sign_words(self.built, key, self.folder / out))
        return self.folder / out

    def refused(self, file: Path, key: Path, code: int) -> str:
        """Return why signing was refused; nothing must have been written."""
        out = self.folder / "never"
        node = self.devnet.data_dir("honest-3")
        said = refusal(run("zenp2p", *self.sign_words(file, key, out), "--data-dir", node), code)
        assert not out.exists()
        return said


@pytest.fixture(scope="module")
def paymasters(devnet: Devnet, second_list: Path, tmp_path_factory: pytest.TempPathFactory) -> Paymasters:
    return Paymasters(devnet, second_list, tmp_path_factory.mktemp("payments"))


def test_a_foreign_key_signs_nothing(paymasters: Paymasters, tmp_path: Path) -> None:
    foreign = tmp_path / "foreign.key"
    write_secret(foreign, new_secret())
    assert "none of the treasury's" in paymasters.refused(paymasters.built, foreign, REFUSED)


def test_a_changed_payment_is_not_signed(paymasters: Paymasters, tmp_path: Path) -> None:
    data = paymasters.built.read_bytes()
    script = data.index(b"\x76\xa9\x14")  # the first payee's script
    changed = bytearray(data)
    changed[script + 3] ^= 1
    (tmp_path / "changed").write_bytes(changed)
    said = paymasters.refused(tmp_path / "changed", paymasters.key(1), BAD_DATA)
    assert "does not pay to whom the list says" in said


def test_one_signature_does_not_pay(paymasters: Paymasters) -> None:
    signed = paymasters.sign(paymasters.key(1), "signed-alone")
    node = paymasters.devnet.data_dir("honest-3")
    words = ("treasury", "broadcast", signed, *paymasters.lists, *paymasters.trust)
    ended = run("zenp2p", *words, "--data-dir", node)
    assert ended.code in (REFUSED, BAD_DATA)
    assert one_line(ended.err)


def test_the_second_list_is_paid_from_the_change_of_the_first(devnet: Devnet, paymasters: Paymasters) -> None:
    parts = [paymasters.sign(paymasters.key(number), f"signed-{number}") for number in (3, 2)]
    combined = paymasters.folder / "combined"
    done = run("zenp2p", "treasury", "combine", *parts, *paymasters.trust, "--out", combined, "--json")
    assert json.loads(one_line(done.out))["signers"] == 2
    sent = devnet.ask("honest-4", "treasury", "broadcast", combined, *paymasters.lists, *paymasters.trust)

    def paid() -> Any:
        trail = json.loads(rpc(devnet, "honest-1", "treasury.baton"))["paid"]
        return trail if len(trail) == 2 else None

    trail = wait_for("the second payment is mined", paid, MINED_SECONDS_MAX)
    assert [chunk["txid"] for chunk in trail] == [*devnet.report["payment"]["txids"], sent["txid"]]
    first = bytes.fromhex(trail[0]["txid"])[::-1]
    asked = {"txid": trail[1]["txid"]}
    second = json.loads(rpc(devnet, "honest-1", "chain.transaction", asked))["transaction"]
    assert first in bytes.fromhex(second)  # it spends an output of the first


def test_a_signal_ends_everything(devnet: Devnet) -> None:
    """The last test on this network: it stops it."""
    children = devnet.children()
    assert len(children) == len(ROLES)
    code, seconds = devnet.stop()
    assert code == 0
    assert seconds < 10
    assert not [pid for pid in children if Path(f"/proc/{pid}").exists()]
    for node in devnet.report["nodes"]:
        directory = devnet.data_dir(node["name"])
        assert not (directory / "rpc.cookie").exists() and not (directory / "rpc.address").exists()
        assert (directory / "output").read_bytes() == b"", f"{node['name']} has printed something"
    assert all(file.exists() for file in files(devnet.report))
