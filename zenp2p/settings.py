"""What settings there are: each with one name, one type, one default and one description.

Answers for: the sections as typed values, and the table of all settings that is read from them. Where values
come from, and what of them makes sense, is left to `config`; what the settings do to those who read them.
Spec: `spec/config.md`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args, get_type_hints

import msgspec
from msgspec import Meta

PREFIX = "ZENP2P_"
"""How the environment variable of each begins."""
PEERS_MAX = 1_000

Port = Annotated[int, Meta(ge=0, le=0xFFFF)]
"""0 lets the system choose."""
PathText = Annotated[str, Meta(extra={"path": True})]
"""A path; relative to the file's folder in the file, to the current folder elsewhere; `~` is the home."""


class NetworkSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How other nodes reach us, and we them."""

    ip: Annotated[str, Meta(description="address to listen on and to dial from")] = "127.0.0.1"
    port: Annotated[Port, Meta(description="port to listen on; 0: any free one")] = 18_230
    announce_ip: Annotated[str, Meta(description="address that others reach us at; empty: the same")] = ""
    announce_port: Annotated[Port, Meta(description="port that others reach us at; 0: the same")] = 0
    peers: Annotated[
        tuple[str, ...],
        Meta(max_length=PEERS_MAX, description="nodes to dial first: <operator key in hex>@<ip>:<port>"),
    ] = ()


class ChainSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where the chain comes from."""

    mine: Annotated[bool, Meta(description="make blocks (embedded chain only)")] = False
    mine_after_silence: Annotated[
        int, Meta(ge=0, description="block times without a block before we begin; 0: at once")
    ] = 0
    miner_address: Annotated[str, Meta(description="address (text) that mined blocks pay")] = ""
    node: Annotated[
        str,
        Meta(description="JSON-RPC of the node of an external chain: <loopback ip>:<port>"),
    ] = ""
    node_cookie: Annotated[PathText, Meta(description="the chain node's cookie file")] = ""
    node_user: Annotated[str, Meta(description="the chain node's rpcuser, where there is no cookie")] = ""
    node_password_file: Annotated[
        PathText, Meta(description="file (mode 0600) with the chain node's rpcpassword")
    ] = ""
    node_zmq: Annotated[
        str, Meta(description="the chain node's zmqpubhashblock: tcp://<loopback ip>:<port>; empty: none")
    ] = ""


class RpcSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """JSON-RPC for our own user."""

    host: Annotated[str, Meta(description="loopback address to listen on")] = "127.0.0.1"
    port: Annotated[Port, Meta(description="port to listen on; 0: any free one")] = 18_231


class LogSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is written down."""

    level: Annotated[
        Literal["debug", "info", "warning", "error"], Meta(description="debug, info, warning or error")
    ] = "info"
    file: Annotated[PathText, Meta(description="log file; empty: standard error")] = ""


class StoreSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is kept of the groups' data chains."""

    prune: Annotated[
        bool, Meta(description="drop the proofs of old blocks; no: newcomers can verify from genesis with us")
    ] = False


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The whole configuration, valid."""

    data_dir: Annotated[PathText, Meta(description="folder of keys, votes, database and log")] = "~/.zenp2p"
    genesis: Annotated[PathText, Meta(description="the network's genesis file; empty: data_dir/genesis")] = ""
    free_mib_min: Annotated[
        int, Meta(ge=1, description="free disk space (MiB) below which nothing more is written")
    ] = 256
    join_groups: Annotated[
        bool, Meta(description="ask for a place in a group, and vote there; no: answer challenges only")
    ] = True
    network: NetworkSettings = NetworkSettings()
    chain: ChainSettings = ChainSettings()
    store: StoreSettings = StoreSettings()
    rpc: RpcSettings = RpcSettings()
    log: LogSettings = LogSettings()


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting as the structs above declare it."""

    key: str
    """`section.name`, or the bare name of what stands above all sections."""
    kind: Any
    default: Any
    description: str
    is_path: bool

    @property
    def variable(self) -> str:
        """Its environment variable."""
        return PREFIX + self.key.replace(".", "_").upper()


def _settings() -> Iterator[Setting]:
    """Yield what the structs declare: first what stands above all sections."""
    yield from _settings_of(Config, "")
    for section, kind in get_type_hints(Config).items():
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            yield from _settings_of(kind, f"{section}.")


def _settings_of(kind: type[msgspec.Struct], prefix: str) -> Iterator[Setting]:
    hints = get_type_hints(kind, include_extras=True)
    for field in msgspec.structs.fields(kind):
        metas = [meta for meta in get_args(hints[field.name])[1:] if isinstance(meta, Meta)]
        if isinstance(field.default, msgspec.Struct):
            continue
        description = "".join(meta.description or "" for meta in metas)
        is_path = any(meta.extra == {"path": True} for meta in metas)
        yield Setting(f"{prefix}{field.name}", hints[field.name], field.default, description, is_path)


SETTINGS = {setting.key: setting for setting in _settings()}
"""Every setting by its key, in the order of the structs."""
