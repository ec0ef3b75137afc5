"""One name for each setting everywhere, the more special place wins, and no typing error passes."""

import re
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zenp2p.config import (
    NOT_SETTINGS,
    ConfigError,
    Loaded,
    dump_config,
    load_config,
    parse_peer,
)
from zenp2p.data_directory import MissingFile
from zenp2p.exit_codes import ExitCode, exit_code
from zenp2p.settings import SETTINGS, Config

ROOT = Path(__file__).resolve().parents[2]
KEY = "ab" * 32


def _load(
    path: Path, file: str = "", environment: Mapping[str, str] | None = None, **overrides: str
) -> Loaded:
    (path / "file.toml").write_text(file)
    given = {key.replace("__", "."): text for key, text in overrides.items()}
    return load_config(path / "file.toml", environment or {}, given)


def test_more_special_place_wins(tmp_path: Path) -> None:
    environment = {"ZENP2P_RPC_PORT": "2"}
    assert _load(tmp_path).config.rpc.port == 18_231
    assert _load(tmp_path, "[rpc]\nport = 1").config.rpc.port == 1
    assert _load(tmp_path, "[rpc]\nport = 1", environment).config.rpc.port == 2
    loaded = _load(tmp_path, "[rpc]\nport = 1", environment, rpc__port="3")
    assert loaded.config.rpc.port == 3 and loaded.sources["rpc.port"] == "command line"


def test_sources_are_told_for_every_setting(tmp_path: Path) -> None:
    loaded = _load(tmp_path, "free_mib_min = 9", {"ZENP2P_CHAIN_MINE": "true"})
    assert set(loaded.sources) == set(SETTINGS)
    assert loaded.sources["free_mib_min"] == str(tmp_path / "file.toml")
    assert loaded.sources["chain.mine"] == "environment ZENP2P_CHAIN_MINE"
    assert loaded.sources["rpc.port"] == "default"
    assert loaded.config.chain.mine is True and loaded.config.free_mib_min == 9


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("[rpc]\nprot = 1", "unknown setting 'rpc.prot' in .*; is rpc.port meant?"),
        ("[rcp]\nport = 1", "unknown section 'rcp' in .*; is rpc meant?"),
        ("[rcp]", "unknown section 'rcp'"),
        ("rpc = 1", "unknown setting 'rpc'"),
        ("datadir = 'x'", "unknown setting 'datadir' in .*; is data_dir meant?"),
        ("[rpc]\nport = '1'", "rpc.port .*Expected `int`, got `str`"),
        ("[rpc]\nport = true", "rpc.port .*Expected `int`, got `bool`"),
        ("[rpc]\nport = 65536", "rpc.port .*65535"),
        ("[chain]\nmine = 1", "chain.mine .*Expected `bool`, got `int`"),
        ("[network]\npeers = 'x'", "network.peers .*Expected `array`, got `str`"),
        ("[log]\nlevel = 'loud'", "log.level .*'loud'"),
        ("[rpc]\nhost = '0.0.0.0'", "rpc.host: '0.0.0.0' is no loopback address"),
        ("[rpc]\nhost = 'localhost'", "rpc.host: 'localhost' is no loopback address"),
        (
            "[chain]\nnode = '127.0.0.1:18231'",
            "rpc.port: 18231 is chain.node's, where the chain node listens",
        ),
        ("[rpc]\nhost = '::1'\nport = 5\n[chain]\nnode = '[::1]:5'", "rpc.port: 5 is chain.node's"),
        ("[chain]\nnode = '10.1.2.3:5'", "chain.node: 10.1.2.3 is another machine"),
        ("[chain]\nnode = 'localhost:5'", "chain.node: 'localhost:5' is not <loopback ip>:<port>"),
        ("[chain]\nnode = '127.0.0.1'", "chain.node: '127.0.0.1' is not"),
        ("[chain]\nnode = '127.0.0.1:65536'", "chain.node: '127.0.0.1:65536' is not"),
        ("[chain]\nnode_zmq = '127.0.0.1:5'", "chain.node_zmq: '127.0.0.1:5' is not tcp://"),
        ("[chain]\nnode_zmq = 'tcp://10.1.2.3:5'", "chain.node_zmq: 10.1.2.3 is another machine"),
        ("[network]\nip = ''", "network.ip: '' is no IPv4 or IPv6 address"),
        ("[network]\nip = 'node.example'", "network.ip: 'node.example'"),
        ("[network]\npeers = ['x']", "network.peers: 'x' is not"),
        ("[rpc", "is no TOML file"),
        ("a = " + "[" * 5_000, "is no TOML file"),
        ("#" * 2_000_000, "more than"),
    ],
)
def test_wrong_file_is_refused_naming_the_setting(tmp_path: Path, file: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        _load(tmp_path, file)
    assert "\n" not in str(caught.value)
    assert exit_code(caught.value) is ExitCode.CONFIG


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"ZENP2P_RPC_PROT": "1"}, "unknown variable 'ZENP2P_RPC_PROT' .*is ZENP2P_RPC_PORT meant?"),
        ({"ZENP2P_RPC_PORT": "x"}, "rpc.port .ZENP2P_RPC_PORT.: 'x' is no value"),
        ({"ZENP2P_RPC_PORT": ""}, "rpc.port"),
        ({"ZENP2P_RPC_PORT": "1, 2"}, "rpc.port"),
        ({"ZENP2P_CHAIN_MINE": "yes"}, "chain.mine"),
        ({"ZENP2P_RPC_PORT": "1\nx = 2"}, "cannot be printed"),
        ({"ZENP2P_DATA_DIR": "\udcff"}, "cannot be printed"),
        ({"ZENP2P_NETWORK_PEERS": '["a", 1]'}, "network.peers .*Expected `str`"),
    ],
)
def test_wrong_variable_is_refused(tmp_path: Path, environment: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        _load(tmp_path, "", environment)


def test_wrong_override_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unknown setting 'rpc.prot' in command line; is rpc.port meant?"):
        _load(tmp_path, "", {}, rpc__prot="1")


def test_variables_of_others_and_of_the_tests_are_left_alone(tmp_path: Path) -> None:
    assert _load(tmp_path, "", {"HOME": "/h", "ZENP2P_CHAIN_DATA": "x"}) == _load(tmp_path)


def test_every_variable_with_our_prefix_in_the_repository_is_known() -> None:
    """Else a variable that a script or test sets would stop the daemon that it starts."""
    known = {setting.variable for setting in SETTINGS.values()} | NOT_SETTINGS
    files = [path for name in ("scripts", "tests", "simulations") for path in (ROOT / name).rglob("*")]
    found: set[str] = set()
    for path in [*files, ROOT / "Makefile"]:
        if path.is_file() and path.name != Path(__file__).name and path.suffix in ("", ".py", ".sh"):
            found |= set(re.findall(r"\bZENP2P_[A-Z_]+\b", path.read_text()))
    assert found and found <= known


def test_paths_are_absolute_and_relative_to_where_they_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert _load(tmp_path, "data_dir = 'node'").config.data_dir == str(tmp_path / "node")
    assert _load(tmp_path, "", {"ZENP2P_DATA_DIR": "node"}).config.data_dir == str(tmp_path / "here" / "node")
    monkeypatch.setenv("HOME", "/the/home")
    assert _load(tmp_path, "", {"ZENP2P_DATA_DIR": "~/node"}).config.data_dir == "/the/home/node"
    assert _load(tmp_path, "data_dir = '/a'").config.genesis == "/a/genesis"
    assert _load(tmp_path, "genesis = 'g'").config.genesis == str(tmp_path / "g")


def test_file_in_the_data_directory_is_found(tmp_path: Path) -> None:
    (tmp_path / "zenp2p.toml").write_text("[rpc]\nport = 7")
    assert load_config(None, {"ZENP2P_DATA_DIR": str(tmp_path)}).config.rpc.port == 7
    assert load_config(None, {}, {"data_dir": str(tmp_path)}).config.rpc.port == 7
    assert load_config(None, {"ZENP2P_CONFIG": str(tmp_path / "zenp2p.toml")}).config.rpc.port == 7


def test_file_in_the_usual_data_directory_cannot_name_another_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".zenp2p").mkdir()
    (tmp_path / ".zenp2p" / "zenp2p.toml").write_text("data_dir = '/elsewhere'")
    with pytest.raises(ConfigError, match="names another one: /elsewhere"):
        load_config(None, {})
    assert load_config(None, {"ZENP2P_DATA_DIR": "/third"}).config.data_dir == "/third"


def test_named_file_must_be_there(tmp_path: Path) -> None:
    for file, environment in ((tmp_path / "none", {}), (None, {"ZENP2P_CONFIG": str(tmp_path / "none")})):
        with pytest.raises(MissingFile, match="none: No such file"):
            load_config(file, environment)


texts = st.text(st.characters(categories=["L", "N", "P", "S", "Zs"]), min_size=1, max_size=12)


@given(
    port=st.integers(0, 65_535),
    mine=st.booleans(),
    address=texts.filter(str.isprintable),
    peers=st.lists(st.integers(1, 65_535), max_size=3),
)
def test_what_is_dumped_loads_as_the_same(
    tmp_path_factory: pytest.TempPathFactory, port: int, mine: bool, address: str, peers: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("config")
    listed = msgspec.json.encode([f"{KEY}@[::1]:{peer}" for peer in peers]).decode()
    overrides = {"rpc__port": str(port), "chain__mine": str(mine).lower(), "network__peers": listed}
    loaded = _load(folder, "", {}, chain__miner_address=address, **overrides)
    (folder / "dump.toml").write_text(dump_config(loaded))
    again = load_config(folder / "dump.toml", {})
    assert again.config == loaded.config
    assert loaded.config.chain.miner_address == address and len(loaded.config.network.peers) == len(peers)


def test_dump_escapes_what_toml_must_not_hold(tmp_path: Path) -> None:
    loaded = _load(tmp_path, 'log.file = "a\\u007f\\u0001\\"\\\\b"')
    (tmp_path / "dump.toml").write_text(dump_config(loaded))
    assert load_config(tmp_path / "dump.toml", {}).config == loaded.config


def test_every_setting_is_explained() -> None:
    assert all(setting.description for setting in SETTINGS.values())
    assert len({setting.variable for setting in SETTINGS.values()}) == len(SETTINGS)


def test_configuration_does_not_change() -> None:
    with pytest.raises(AttributeError):
        Config().data_dir = "x"  # type: ignore[misc]


def test_peer_is_key_address_and_port() -> None:
    assert parse_peer(f"{KEY}@127.0.0.1:80") == (bytes.fromhex(KEY), b"\x7f\0\0\x01", 80)
    assert parse_peer(f"{KEY}@[::1]:80")[1] == bytes(15) + b"\x01"
    for text in (KEY, f"{KEY}@127.0.0.1", f"{KEY}@127.0.0.1:0", f"{KEY[2:]}@127.0.0.1:1", f"{KEY}@name:1"):
        with pytest.raises(ConfigError):
            parse_peer(text)
    with pytest.raises(ConfigError):
        parse_peer(f"{KEY}@127.0.0.1:70000")


def test_the_chain_node_may_have_the_same_port_elsewhere(tmp_path: Path) -> None:
    for node in ("127.0.0.2:18231", "[::1]:18231", "127.0.0.1:18232"):
        assert _load(tmp_path, f"[chain]\nnode = '{node}'").config.chain.node == node
    free = "[rpc]\nport = 0\n[chain]\nnode = '127.0.0.1:18231'"
    assert _load(tmp_path, free).config.rpc.port == 0
