"""The configuration: one TOML file, the environment, the command line.

Answers for: every setting has the same name in all three places; the more special place wins
(command line, then environment, then file, then default); what is unknown, of the wrong type or
makes no sense is an error that names the setting and the place. What settings there are is
`settings`, what they do is left to those who read them. Spec: `spec/config.md`.
"""

import difflib
import os
import tomllib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import msgspec

from protocol.errors import RequestError, ZenError
from protocol.units import OperatorKey
from zenp2p.data_directory import DataDirectory, MissingFile
from zenp2p.loopback import parse_loopback
from zenp2p.settings import PREFIX, SETTINGS, Config, Setting

CONFIG_VARIABLE = "ZENP2P_CONFIG"
NOT_SETTINGS = frozenset(
    {CONFIG_VARIABLE, "ZENP2P_CHAIN_DATA", "ZENP2P_WRITE_TRANSCRIPTS", "ZENP2P_WRITE_VECTORS"}
)
"""Variables with our prefix that mean something else (all but the first to the tests)."""
FILE_BYTES_MAX = 1 << 20


class ConfigError(ZenError):
    """A setting that is unknown, of the wrong type, or makes no sense with the others."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration and where each of its values came from (`key` -> place)."""

    config: Config
    sources: Mapping[str, str]


def load_config(
    file: Path | None = None,
    environment: Mapping[str, str] | None = None,
    overrides: Mapping[str, str] | None = None,
) -> Loaded:
    """Return the configuration from all places.

    `file` is a named file (else `ZENP2P_CONFIG`, else `zenp2p.toml` in the data directory if
    it is there); `environment` is the process's own by default; `overrides` are the command
    line's `key -> text`. Raises `ConfigError`, `MissingFile`.
    """
    environment = os.environ if environment is None else environment
    special = _from_environment(environment) | _from_command_line(overrides or {})
    path = _config_file(file, environment, special)
    values = ({} if path is None else _from_file(path)) | special
    config = _build(values)
    if path is not None and path == _usual_file(special) and path.parent != Path(config.data_dir):
        raise ConfigError(f"{path} lies in the data directory and names another one: {config.data_dir}")
    return Loaded(config, {key: values[key][1] if key in values else "default" for key in SETTINGS})


def dump_config(loaded: Loaded, keys: Collection[str] | None = None) -> str:
    """Return the configuration as a TOML file, each value with its meaning and its source.

    With `keys` only those settings, to be kept as a file, without their sources.
    """
    lines: list[str] = []
    section = ""
    for key, setting in SETTINGS.items():
        if keys is not None and key not in keys:
            continue
        head, _, name = key.rpartition(".")
        if head != section:
            lines += ["", f"[{head}]"]
            section = head
        value = getattr(getattr(loaded.config, head) if head else loaded.config, name)
        source = f"  # {loaded.sources[key]}" if keys is None else ""
        lines += [f"# {setting.description}", f"{name} = {_toml(value)}{source}"]
    return "\n".join(lines).lstrip("\n") + "\n"


Values = dict[str, tuple[Any, str]]
"""key -> (checked value, place)"""


def _config_file(file: Path | None, environment: Mapping[str, str], special: Values) -> Path | None:
    named = file or (Path(environment[CONFIG_VARIABLE]) if environment.get(CONFIG_VARIABLE) else None)
    if named is not None:
        return named.absolute()
    usual = _usual_file(special)
    return usual if usual.exists() else None


def _usual_file(special: Values) -> Path:
    default = _path(SETTINGS["data_dir"].default, Path.cwd())
    return DataDirectory(Path(special.get("data_dir", (default, ""))[0])).config


def _from_file(path: Path) -> Values:
    try:
        with path.open("rb") as file:
            data = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise MissingFile(f"{path}: {error.strerror}") from None
    if len(data) > FILE_BYTES_MAX:
        raise ConfigError(f"{path} has more than {FILE_BYTES_MAX} bytes")
    try:
        tables = tomllib.loads(data.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{path} is no TOML file: {error}") from None
    values: Values = {}
    for key, value in _flat(tables, f"{path}"):
        setting = _setting(key, f"{path}")
        values[setting.key] = (_checked(setting, value, f"{path}", path.parent), f"{path}")
    return values


def _flat(tables: Mapping[str, Any], place: str) -> Iterator[tuple[str, Any]]:
    """Yield key and value of two levels of tables; an empty section must be a known one too."""
    sections = {key.rpartition(".")[0] for key in SETTINGS} - {""}
    for head, table in tables.items():
        if isinstance(table, dict):
            if head not in sections:
                raise _unknown(head, place, sections, "section")
            yield from ((f"{head}.{name}", value) for name, value in table.items())
        else:
            yield head, table


def _from_environment(environment: Mapping[str, str]) -> Values:
    by_variable = {setting.variable: setting for setting in SETTINGS.values()}
    values: Values = {}
    for variable, text in environment.items():
        if not variable.startswith(PREFIX) or variable in NOT_SETTINGS:
            continue
        if variable not in by_variable:
            raise _unknown(variable, "the environment", by_variable, "variable")
        setting = by_variable[variable]
        values[setting.key] = (_from_text(setting, text, variable), f"environment {variable}")
    return values


def _from_command_line(overrides: Mapping[str, str]) -> Values:
    place = "command line"
    return {
        setting.key: (_from_text(setting, text, place), place)
        for setting, text in ((_setting(key, place), text) for key, text in overrides.items())
    }


def _setting(key: str, place: str) -> Setting:
    if key not in SETTINGS:
        raise _unknown(key, place, SETTINGS, "setting")
    return SETTINGS[key]


def _from_text(setting: Setting, text: str, place: str) -> Any:
    """Read a value given as bare text: what is not a string is written as in the file."""
    if not text.isprintable():
        raise ConfigError(f"{setting.key} ({place}): {text!r} has characters that cannot be printed")
    if isinstance(setting.default, str):
        return _checked(setting, text, place, Path.cwd())
    try:
        tables = tomllib.loads(f"value = {text}")
    except (tomllib.TOMLDecodeError, RecursionError):
        tables = {}
    if set(tables) != {"value"}:
        raise ConfigError(f"{setting.key} ({place}): {text!r} is no value for it")
    return _checked(setting, tables["value"], place, Path.cwd())


def _checked(setting: Setting, value: Any, place: str, folder: Path) -> Any:
    try:
        checked = msgspec.convert(value, setting.kind)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{setting.key} ({place}): {error}") from None
    return _path(checked, folder) if setting.is_path and checked else checked


def _path(text: str, folder: Path) -> str:
    """Return an absolute path, so that it means the same whatever the current folder becomes."""
    try:
        return str((folder / Path(text).expanduser()).absolute())
    except RuntimeError:
        raise ConfigError(f"there is no home folder for {text!r}") from None


def _build(values: Values) -> Config:
    """Fill the structs: checked values over defaults."""
    tables: dict[str, dict[str, Any]] = {}
    for key, setting in SETTINGS.items():
        section, _, name = key.rpartition(".")
        default = (
            _path(setting.default, Path.cwd()) if setting.is_path and setting.default else setting.default
        )
        tables.setdefault(section, {})[name] = values[key][0] if key in values else default
    config = msgspec.convert(tables.pop("") | tables, Config)
    if not config.genesis:
        genesis = DataDirectory(Path(config.data_dir)).genesis
        config = msgspec.structs.replace(config, genesis=str(genesis))
    _check_addresses(config)
    return config


def parse_peer(text: str) -> tuple[OperatorKey, bytes, int]:
    """Return operator key, packed address and port of `<hex>@<ip>:<port>`; raises `ConfigError`."""
    key, _, place = text.partition("@")
    ip, _, port = place.rpartition(":")
    try:
        if len(key) != 64 or not (port.isascii() and port.isdigit() and 0 < int(port) <= 0xFFFF):
            raise ValueError(text)
        return OperatorKey(bytes.fromhex(key)), ip_address(ip.strip("[]")).packed, int(port)
    except ValueError:
        raise ConfigError(f"network.peers: {text!r} is not <operator key in hex>@<ip>:<port>") from None


def _check_addresses(config: Config) -> None:
    """Raise `ConfigError` for what is no address, and for an RPC that others could reach."""
    for key, text in (("network.ip", config.network.ip), ("network.announce_ip", config.network.announce_ip)):
        try:
            if text or key == "network.ip":
                ip_address(text)
        except ValueError:
            raise ConfigError(f"{key}: {text!r} is no IPv4 or IPv6 address") from None
    for text in config.network.peers:
        parse_peer(text)
    check_loopback(config.rpc.host)
    if config.chain.node_zmq:
        scheme, _, place = config.chain.node_zmq.partition("://")
        if scheme != "tcp":
            raise ConfigError(f"chain.node_zmq: {config.chain.node_zmq!r} is not tcp://<loopback ip>:<port>")
        node_place("chain.node_zmq", place)
    if config.chain.node:
        _check_ports(config)


def _check_ports(config: Config) -> None:
    """Raise `ConfigError` where daemon and chain node would share a port: zend's test net has our own."""
    host, port = node_place("chain.node", config.chain.node)
    if (ip_address(host), port) == (ip_address(config.rpc.host), config.rpc.port):
        raise ConfigError(
            f"rpc.port: {port} is chain.node's, where the chain node listens; give the daemon another port"
        )


def node_place(key: str, place: str) -> tuple[str, int]:
    """Return address and port of the chain's node, which is on this machine; raises `ConfigError`."""
    try:
        return parse_loopback(place)
    except RequestError as error:
        raise ConfigError(f"{key}: {error}") from None


def check_loopback(host: str) -> None:
    """Raise `ConfigError` unless `host` is a literal loopback address.

    A name is refused too: what it resolves to is not ours to decide.
    """
    try:
        if ip_address(host).is_loopback:
            return
    except ValueError:
        pass
    raise ConfigError(f"rpc.host: {host!r} is no loopback address; RPC is for this machine only")


def _unknown(name: str, place: str, known: "Mapping[str, Any] | set[str]", what: str) -> ConfigError:
    near = difflib.get_close_matches(name, sorted(known), n=1)
    hint = f"; is {near[0]} meant?" if near else ""
    return ConfigError(f"unknown {what} {name!r} in {place}{hint}")


def _toml(value: Any) -> str:
    """Write a value of the kinds that settings have."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        text = msgspec.json.encode(value).decode()
        return text.replace("\x7f", "\\u007f")
    return "[" + ", ".join(_toml(item) for item in value) + "]"
