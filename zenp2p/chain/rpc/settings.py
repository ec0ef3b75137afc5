"""What the configuration says of the node beside the daemon, checked.

Answers for: the node is asked on this machine only (its passwords go over the wire as
they are), and its password stands in a file of its own that others cannot read, never
in the configuration or on a command line. Spec: `spec/config.md`, `spec/external_chain.md`.
"""

from pathlib import Path

from protocol.errors import RequestError
from zenp2p.chain.rpc.client import NodeSettings
from zenp2p.config import ConfigError, node_place
from zenp2p.data_directory import MissingFile, check_private
from zenp2p.settings import ChainSettings

PASSWORD_BYTES_MAX = 1_000


def node_settings(settings: ChainSettings) -> NodeSettings:
    """Return how the node is asked; raises `ConfigError`, `MissingFile`, `WrongMode`."""
    host, port = node_place("chain.node", settings.node)
    if bool(settings.node_cookie) == bool(settings.node_user):
        raise ConfigError("chain.node wants either chain.node_cookie or chain.node_user with a password file")
    if bool(settings.node_user) != bool(settings.node_password_file):
        raise ConfigError("chain.node_user and chain.node_password_file go together")
    password = _password(Path(settings.node_password_file)) if settings.node_user else ""
    cookie = Path(settings.node_cookie) if settings.node_cookie else None
    try:
        return NodeSettings(host, port, cookie, settings.node_user, password)
    except RequestError as error:
        raise ConfigError(f"chain.node: {error}") from None


def _password(path: Path) -> str:
    check_private(path)
    try:
        with path.open("rb") as file:
            data = file.read(PASSWORD_BYTES_MAX + 1)
        password = data.decode().removesuffix("\n")
    except OSError as error:
        raise MissingFile(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"chain.node_password_file: {path} holds no text") from None
    if not password or len(data) > PASSWORD_BYTES_MAX or not password.isprintable():
        raise ConfigError(f"chain.node_password_file: {path} holds no password of one line")
    return password
