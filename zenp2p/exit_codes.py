"""Exit codes, and which error ends in which.

Answers for: a script can tell "your file is bad" from "try again later". The numbers
are those of sysexits.h. The table goes by name, so that a command need not import a
daemon to learn how it failed. Spec: `spec/cli.md`.
"""

from enum import IntEnum


class ExitCode(IntEnum):
    """What a process of ours exits with."""

    OK = 0
    BUG = 1
    """Our own fault; the traceback is in the log."""
    USAGE = 2
    """The command line makes no sense (click's own number)."""
    REFUSED = 64
    """Well said, but impossible here."""
    BAD_DATA = 65
    """A file or message that breaks a rule."""
    NO_INPUT = 66
    """A named file is missing or unreadable."""
    UNAVAILABLE = 69
    """The daemon, a peer or a port is not to be had."""
    DAEMON_BUG = 70
    """The daemon met a bug of ours, or answered what no daemon of ours answers."""
    IO_ERROR = 74
    """The disk failed, or the store does not hold what it should."""
    CANNOT_CREATE = 73
    """An output file cannot be made, or is there already."""
    TRY_LATER = 75
    """Somebody else holds it now."""
    PERMISSION = 77
    """Wrong file modes, or the daemon refused us."""
    CONFIG = 78
    """The configuration is wrong."""


CODE_BY_ERROR = {
    "protocol.errors.RequestError": ExitCode.REFUSED,
    "protocol.errors.ProtocolError": ExitCode.BAD_DATA,
    "protocol.genesis.BadGenesis": ExitCode.BAD_DATA,
    "zenp2p.chain.broadcast.BroadcastRefused": ExitCode.BAD_DATA,
    "zenp2p.ports.StoreError": ExitCode.IO_ERROR,
    "zenp2p.ports.TransportError": ExitCode.UNAVAILABLE,
    "zenp2p.config.ConfigError": ExitCode.CONFIG,
    "zenp2p.lock.DirectoryInUse": ExitCode.TRY_LATER,
    "zenp2p.data_directory.WrongMode": ExitCode.PERMISSION,
    "zenp2p.data_directory.CannotCreate": ExitCode.CANNOT_CREATE,
    "zenp2p.data_directory.MissingFile": ExitCode.NO_INPUT,
    "zenp2p.identity.BadKeyFile": ExitCode.BAD_DATA,
    "zenp2p.key_backup.BadBackup": ExitCode.BAD_DATA,
    "zenp2p.genesis_description.BadDescription": ExitCode.BAD_DATA,
    "zenp2p.api.client.DaemonUnreachable": ExitCode.UNAVAILABLE,
    "zenp2p.api.server.CannotListen": ExitCode.UNAVAILABLE,
    "zenp2p.api.client.AccessDenied": ExitCode.PERMISSION,
    "zenp2p.api.errors.RpcError": ExitCode.DAEMON_BUG,
    "zenp2p.api.errors.MethodNotFound": ExitCode.REFUSED,
    "zenp2p.api.errors.InvalidParams": ExitCode.REFUSED,
    "zenp2p.api.errors.Refused": ExitCode.REFUSED,
    "zenp2p.api.errors.NotFound": ExitCode.NO_INPUT,
    "zenp2p.api.errors.NotReady": ExitCode.TRY_LATER,
    "zenp2p.api.errors.ReadOnly": ExitCode.IO_ERROR,
    "zenp2p.api.errors.BadData": ExitCode.BAD_DATA,
    "zenp2p.api.errors.Unavailable": ExitCode.UNAVAILABLE,
    "zenp2p.chain.rpc.errors.NodeError": ExitCode.REFUSED,
    "zenp2p.chain.rpc.errors.NodeUnreachable": ExitCode.UNAVAILABLE,
    "zenp2p.chain.rpc.errors.NodeDenied": ExitCode.PERMISSION,
    "zenp2p.chain.rpc.errors.NodeWarmingUp": ExitCode.TRY_LATER,
    "zenp2p.chain.rpc.errors.NodeBusy": ExitCode.TRY_LATER,
    "zenp2p.chain.rpc.errors.ForeignNode": ExitCode.CONFIG,
    "zenp2p.chain.rpc.source.ForeignChain": ExitCode.CONFIG,
    "zenp2p.chain.rpc.source.PrunedNode": ExitCode.CONFIG,
    "zenp2p.chain.rpc.errors.BadAnswer": ExitCode.BAD_DATA,
    "zenp2p.devnet.processes.DaemonDied": ExitCode.UNAVAILABLE,
    "zenp2p.devnet.litecoind.LitecoindMissing": ExitCode.UNAVAILABLE,
    "zenp2p.devnet.litecoind.LitecoindFailed": ExitCode.UNAVAILABLE,
    "zenp2p.devnet.paymasters.PaymentFailed": ExitCode.DAEMON_BUG,
    "builtins.FileExistsError": ExitCode.CANNOT_CREATE,
    "builtins.FileNotFoundError": ExitCode.NO_INPUT,
    "builtins.IsADirectoryError": ExitCode.NO_INPUT,
    "builtins.PermissionError": ExitCode.PERMISSION,
    "builtins.ConnectionError": ExitCode.UNAVAILABLE,
    "builtins.OSError": ExitCode.IO_ERROR,
}
"""Qualified class name -> code; of an error's classes the most special one decides."""


def exit_code(error: BaseException) -> ExitCode:
    """Return the code of `error`; whatever the table does not know is our own bug.

    Of several errors in a group (trio raises those) the first decides, unless one is a bug.
    """
    codes = [_code(leaf) for leaf in leaves(error)]
    return ExitCode.BUG if ExitCode.BUG in codes else codes[0]


def leaves(error: BaseException) -> list[BaseException]:
    """Return the errors in a group, those of groups within it too; an error itself when it is none."""
    if not isinstance(error, BaseExceptionGroup):
        return [error]
    return [leaf for inner in error.exceptions for leaf in leaves(inner)]


def _code(error: BaseException) -> ExitCode:
    for kind in type(error).__mro__:
        code = CODE_BY_ERROR.get(f"{kind.__module__}.{kind.__qualname__}")
        if code is not None:
            return code
    return ExitCode.BUG


def is_expected(error: BaseException) -> bool:
    """Whether `error` is somebody's mistake or the world's, to be told in one line."""
    return exit_code(error) is not ExitCode.BUG
