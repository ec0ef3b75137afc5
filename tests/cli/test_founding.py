"""A network founded and joined by commands alone: keys, registrations, genesis file, data directories."""

import json
from pathlib import Path
from typing import Any

import pytest

from protocol.chain.address import decode_address
from protocol.chain.rules import DEVNET, ChainFamily, HeaderLayout
from protocol.chain.signed_message import encode_signature, sign_message
from protocol.genesis import decode_genesis, network_id
from protocol.payout.treasury import treasury_address
from protocol.tracking.registration import check_registration
from tests.support.command import Run, runner
from zenp2p.genesis_description import genesis_from_file
from zenp2p.identity import read_secret
from zenp2p.vote_file import VoteFile

DESCRIPTION = """
name = "test"
preset = "devnet"
chain = "devnet"
first_challenge_height = 24
carried = 7

[parameters]
samples = 3

[treasury]
required = 1
public_keys = ["{treasury}"]

[start]
time = 1700000000
bits = 0x1f0fffff
minimum_spacing = 1
treasury_share = 100
allocations = [["{stake}", 4200000000]]

[[members]]
operator_key = "{operator}"
age = 4
registration = "{registration}"
"""


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(capsys)


def _json(run: Run, *arguments: object) -> dict[str, Any]:
    ended = run(*arguments, "--json")
    assert (ended.code, ended.err) == (0, "") and ended.out.count("\n") == 1
    answer: dict[str, Any] = json.loads(ended.out)
    return answer


@pytest.fixture
def founder(run: Run, tmp_path: Path) -> dict[str, str]:
    """A data directory with keys, and the description of its network without a registration."""
    place = ("--data-dir", tmp_path / "founder")
    operator = _json(run, "zenp2pd", "init", *place)["operator"]
    stake = _json(run, "keys", "new", "stake", "--chain", "devnet", *place)
    treasury = _json(run, "keys", "new", "treasury", *place)
    texts = {"operator": operator, "stake": stake["address"], "treasury": treasury["public_key"]}
    (tmp_path / "network.toml").write_text(DESCRIPTION.format(**texts, registration=""))
    return texts


def _finish(run: Run, tmp_path: Path, founder: dict[str, str]) -> dict[str, Any]:
    """Register the founder and write the genesis file."""
    registered = _json(
        run,
        *("keys", "register", "--founding", tmp_path / "network.toml"),
        *("--stake-address", founder["stake"], "--stake-key", tmp_path / "founder" / "keys" / "stake.key"),
        *("--data-dir", tmp_path / "founder"),
    )
    description = DESCRIPTION.format(**founder, registration=registered["registration"])
    (tmp_path / "network.toml").write_text(description)
    return _json(run, "genesis", "new", tmp_path / "network.toml", "--out", tmp_path / "genesis")


def test_network_is_founded_by_commands_alone(run: Run, tmp_path: Path, founder: dict[str, str]) -> None:
    before = _json(run, "genesis", "new", tmp_path / "network.toml")
    assert before["registered_members"] == 0 and before["file"] is None
    refused = run("genesis", "new", tmp_path / "network.toml", "--out", tmp_path / "genesis")
    assert refused.code == 64 and before["founding_id"] in refused.err and not (tmp_path / "genesis").exists()

    made = _finish(run, tmp_path, founder)
    assert made["founding_id"] == before["founding_id"] and made["registered_members"] == 1
    genesis = decode_genesis((tmp_path / "genesis").read_bytes())
    assert network_id(genesis).hex() == made["network_id"] and genesis.parameters.samples == 3
    shown = _json(run, "genesis", "show", tmp_path / "genesis")
    assert shown == {name: value for name, value in made.items() if name != "file"}
    assert run("genesis", "new", tmp_path / "network.toml", "--out", tmp_path / "genesis").code == 73


def test_network_on_an_external_chain_names_its_first_block(
    run: Run, tmp_path: Path, founder: dict[str, str]
) -> None:
    text = (tmp_path / "network.toml").read_text()
    start, members = text.index("[start]"), text.index("[[members]]")
    baton = f'[baton]\ntxid = "{"ab" * 32}"\nindex = 1\n\n'
    named = f'first_block = "{"00" * 31}07"\n' + text[:start] + baton + text[members:]
    (tmp_path / "network.toml").write_text(named)
    made = _json(run, "genesis", "new", tmp_path / "network.toml")
    assert (made["embedded_chain"], made["first_block"]) == (False, "00" * 31 + "07")
    treasury = decode_address(made["treasury_address"], DEVNET.prefixes)
    assert treasury == treasury_address(genesis_from_file(tmp_path / "network.toml").treasury)
    (tmp_path / "network.toml").write_text(named.replace("07", "7"))
    ended = run("genesis", "new", tmp_path / "network.toml")
    assert ended.code == 65 and "first_block" in ended.err


def test_a_chain_without_a_preset_is_described_by_what_differs(
    run: Run, tmp_path: Path, founder: dict[str, str]
) -> None:
    """Zen's regtest: other subsidies, and Litecoin's prefixes to see that they are taken."""
    text = (tmp_path / "network.toml").read_text()
    start, members = text.index("[start]"), text.index("[[members]]")
    rules = (
        '[chain_rules]\nname = "zen-regtest"\nhalving_interval = 2000\nslow_start = 0\nfamily = "zen"\n'
        'header_layout = "equihash"\np2pkh = "6f"\np2sh = "3a"\nreplay_tail_depth = 300\n'
    )
    baton = f'[baton]\ntxid = "{"ab" * 32}"\nindex = 1\n\n'
    first = f'first_block = "{"07" * 32}"\n'
    (tmp_path / "network.toml").write_text(
        first
        + text[:start].replace('chain = "devnet"', 'chain = "zen-testnet"')
        + rules
        + baton
        + text[members:]
    )
    genesis = genesis_from_file(tmp_path / "network.toml")
    wanted = (HeaderLayout.EQUIHASH, ChainFamily.ZEN, 2_000, 300, b"\x6f", b"\x3a", b"\xef")
    chain, prefixes = genesis.chain, genesis.chain.prefixes
    assert wanted == (
        chain.header_layout,
        chain.family,
        chain.halving_interval,
        chain.replay_tail_depth,
        prefixes.p2pkh,
        prefixes.p2sh,
        prefixes.secret_key,
    )
    for old, new, said in (
        ('family = "zen"', 'family = "dash"', "family 'dash' is none of bitcoin, zcash, zen"),
        ("slow_start", "slow_strat", "unknown entry 'slow_strat' in chain_rules"),
        ('"6f"', '"6g"', "chain_rules.p2pkh"),
        ('p2sh = "3a"', 'p2sh = "6f"', "same version bytes"),
        ("halving_interval = 2000", "halving_interval = 0", "halve"),
    ):
        broken = tmp_path / "broken.toml"
        broken.write_text((tmp_path / "network.toml").read_text().replace(old, new))
        ended = run("genesis", "new", broken)
        assert (ended.code, ended.err.count("\n")) == (65, 1) and said in ended.err, ended


def test_node_joins_with_a_signature_made_in_a_wallet(
    run: Run, tmp_path: Path, founder: dict[str, str]
) -> None:
    _finish(run, tmp_path, founder)
    place = ("--data-dir", tmp_path / "node")
    made = _json(run, "zenp2pd", "init", "--genesis", tmp_path / "genesis", "--set", "rpc.port=0", *place)
    assert set(made["made"]) == {"data directory", "genesis", "configuration", "operator key", "vote file"}
    stake = _json(run, "keys", "new", "stake", *place)
    wish = ("keys", "register", "--stake-address", stake["address"], "--ip", "127.0.0.9", "--port", 7, *place)
    asked = _json(run, *wish)
    genesis = decode_genesis((tmp_path / "genesis").read_bytes())
    secret = read_secret(tmp_path / "node" / "keys" / "stake.key")
    signature = encode_signature(sign_message(asked["text"], secret, genesis.chain.message_magic))
    answer = _json(run, *wish, "--signature", signature)
    envelope = (tmp_path / "node" / "registration").read_bytes()
    assert envelope.hex() == answer["registration"]
    entry = check_registration(envelope, network_id(genesis), genesis.chain, genesis.parameters)
    assert entry.operator_key.hex() == made["operator"] and (entry.ip, entry.port) == (b"\x7f\0\0\x09", 7)
    assert run(*wish, "--signature", signature).code == 73, "nothing is written over"


def test_registration_that_the_network_would_refuse_is_not_written(
    run: Run, tmp_path: Path, founder: dict[str, str]
) -> None:
    _finish(run, tmp_path, founder)
    place = ("--data-dir", tmp_path / "founder")
    assert run("zenp2pd", "init", "--genesis", tmp_path / "genesis", *place).code == 0
    other = _json(run, "keys", "new", "other", *place)
    wish = ("keys", "register", "--stake-address", founder["stake"], *place)
    key = ("--stake-key", tmp_path / "founder" / "keys" / "other.key")
    for arguments, said in (
        ((*wish, *key), "would refuse"),
        ((*wish, "--signature", "x"), "not a signature"),
        ((*wish, "--signature", encode_signature(sign_message("x", bytes(31) + b"\1", "x"))), "would refuse"),
        ((*wish, "--ip", "224.0.0.1", *key), ""),
        ((*wish, "--ip", "nowhere", *key), "cannot be registered"),
        ((*wish, "--fqdn", "UPPER", "--tls-port", 1, *key), "cannot be registered"),
        (("keys", "register", "--stake-address", other["public_key"], *place, *key), ""),
    ):
        ended = run(*arguments)
        assert ended.code == 64 and said in ended.err and ended.err.count("\n") == 1
    assert run(*wish, *key, "--signature", "x").code == 2
    assert not (tmp_path / "founder" / "registration").exists()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("carried = 7", "carreid = 7", "unknown entry 'carreid' in the description"),
        ("samples = 3", "sampels = 3", "unknown entry 'sampels' in parameters"),
        ('name = "test"', "", "name is missing"),
        ('name = "test"', "name = 5", "name"),
        ('preset = "devnet"', 'preset = "none"', "preset 'none' is none of"),
        ('chain = "devnet"', 'chain = "bitcoin"', "chain 'bitcoin' is none of"),
        ("required = 1", "required = 2", "2 of 1 keys"),
        ("required = 1", 'required = "1"', ""),
        ("age = 4", "age = 0", "age"),
        ("age = 4", "age = 256", ""),
        ("carried = 7", "carried = -1", ""),
        ("first_challenge_height = 24", "first_challenge_height = 25", "multiple"),
        ("4200000000", '"much"', ""),
        ("[treasury]", "[tresury]", "unknown entry 'tresury'"),
        ("time = 1700000000", "time = 2000-01-01", ""),
        ("allocations = [[", "allocations = [5, [", ""),
        ('allocations = [["', 'allocations = [["x', "network.toml: "),
        ("[start]", "[start", "is no TOML file"),
        ('name = "test"', f'name = "test"\nfirst_block = "{"00" * 32}"', "either [start]"),
    ],
)
def test_wrong_description_is_refused_in_one_line(
    run: Run, tmp_path: Path, founder: dict[str, str], old: str, new: str, said: str
) -> None:
    text = (tmp_path / "network.toml").read_text()
    assert old in text
    (tmp_path / "network.toml").write_text(text.replace(old, new))
    ended = run("genesis", "new", tmp_path / "network.toml")
    assert ended.code == 65 and said in ended.err and ended.err.count("\n") == 1


def test_registration_of_another_network_is_refused(
    run: Run, tmp_path: Path, founder: dict[str, str]
) -> None:
    _finish(run, tmp_path, founder)
    text = (tmp_path / "network.toml").read_text()
    (tmp_path / "network.toml").write_text(text.replace("carried = 7", "carried = 8"))
    ended = run("genesis", "new", tmp_path / "network.toml")
    assert ended.code == 65 and "its registration is not valid here" in ended.err


def test_what_is_no_genesis_file(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"\x00" * 100)
    assert run("genesis", "show", tmp_path / "file").code == 65
    assert run("genesis", "show", tmp_path / "none").code == 66
    assert run("genesis", "new", tmp_path / "none").code == 66


def test_init_keeps_what_is_there(run: Run, tmp_path: Path, founder: dict[str, str]) -> None:
    _finish(run, tmp_path, founder)
    place = ("--data-dir", tmp_path / "founder")
    genesis = ("--genesis", tmp_path / "genesis")
    assert _json(run, "zenp2pd", "init", *genesis, *place)["made"] == ["genesis"]
    again = _json(run, "zenp2pd", "init", *genesis, *place)
    assert again["made"] == [] and again["operator"] == founder["operator"]
    other = tmp_path / "other"
    other.write_bytes((tmp_path / "genesis").read_bytes().replace(b"test", b"tset", 1))
    assert run("zenp2pd", "init", "--genesis", other, *place).code == 73
    assert run("zenp2pd", "init", "--genesis", tmp_path / "network.toml", *place).code == 65
    assert _json(run, "zenp2pd", "init", "--set", "rpc.port=0", *place)["made"] == ["configuration"]
    assert run("zenp2pd", "init", "--set", "rpc.port=1", *place).code == 73


def test_init_does_not_make_a_vote_file_for_an_old_key(
    run: Run, tmp_path: Path, founder: dict[str, str]
) -> None:
    votes = tmp_path / "founder" / "votes"
    file = VoteFile(votes)
    assert file.complete
    file.close()
    votes.unlink()
    assert _json(run, "zenp2pd", "init", "--data-dir", tmp_path / "founder")["made"] == []
    assert not votes.exists(), "the daemon makes an incomplete one, and listens first"


def test_init_refuses_what_others_can_read(run: Run, tmp_path: Path, founder: dict[str, str]) -> None:
    (tmp_path / "founder").chmod(0o755)
    ended = run("zenp2pd", "init", "--data-dir", tmp_path / "founder")
    assert ended.code == 77 and f"chmod 700 {tmp_path / 'founder'}" in ended.err
