"""The node's data directory: where each file lies, and that nobody else can read it.

Answers for: one place names every path, what is made is made with modes 0700 and
0600, and what is wider is refused with the line to run. What stands in the files is
left to their modules. Spec: `spec/config.md`.
"""

import shlex
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from protocol.errors import RequestError, ZenError

FOLDER_MODE = 0o700
FILE_MODE = 0o600
OTHERS = 0o077
"""The permission bits that must be off."""


class WrongMode(ZenError):
    """Somebody else could read or change a file that is ours alone."""


class CannotCreate(ZenError):
    """A file or folder could not be made, or is there already and must not be replaced."""


class MissingFile(RequestError):
    """A file that our user named, or that an earlier step should have made, is not there."""


@dataclass(frozen=True, slots=True)
class DataDirectory:
    """The layout below one folder."""

    path: Path

    @property
    def config(self) -> Path:
        """The configuration file that is read when no other is named."""
        return self.path / "zenp2p.toml"

    @property
    def genesis(self) -> Path:
        """The network's genesis file."""
        return self.path / "genesis"

    @property
    def keys(self) -> Path:
        """The folder of secret keys: what `keys backup` saves."""
        return self.path / "keys"

    @property
    def operator_seed(self) -> Path:
        """The seed of the operator's Ed25519 key."""
        return self.keys / "operator.seed"

    @property
    def database(self) -> Path:
        """LevelDB's folder; its head file lies beside it."""
        return self.path / "db"

    @property
    def votes(self) -> Path:
        """The vote file."""
        return self.path / "votes"

    @property
    def registration(self) -> Path:
        """The registration that the daemon hands in until it is in force, if there is one."""
        return self.path / "registration"

    @property
    def lock(self) -> Path:
        """The lock that one daemon holds."""
        return self.path / "lock"

    @property
    def cookie(self) -> Path:
        """The RPC password, new at each start."""
        return self.path / "rpc.cookie"

    @property
    def rpc_address(self) -> Path:
        """Where the running daemon's RPC listens, `host:port`."""
        return self.path / "rpc.address"

    @property
    def log(self) -> Path:
        """The log, when it goes to a file."""
        return self.path / "zenp2pd.log"

    def create(self) -> None:
        """Make the folders; leave what is there. Raises `CannotCreate`, `WrongMode`."""
        for folder in (self.path, self.keys):
            try:
                folder.mkdir(mode=FOLDER_MODE, parents=folder == self.path, exist_ok=True)
            except OSError as error:
                raise CannotCreate(f"{folder} cannot be made: {error.strerror}") from None
        self.check()

    def check(self) -> None:
        """Raise `MissingFile` or `WrongMode` unless folders and files are there and ours alone."""
        for folder in (self.path, self.keys):
            if not folder.is_dir():
                raise MissingFile(f"there is no data directory at {self.path}; run: zenp2pd init")
        check_private(*self._private())

    def _private(self) -> Iterator[Path]:
        """Yield what must be ours alone; configuration and genesis are no secrets."""
        yield from (self.path, self.keys)
        public = (self.keys, self.config, self.genesis)
        for folder in (self.path, self.keys):
            yield from sorted(path for path in folder.iterdir() if path not in public)


def check_private(*paths: Path) -> None:
    """Raise `WrongMode` when others can read or change one of `paths`; it gives the line to run.

    Decided by the mode bits, not by trying: root may read everything. Raises `MissingFile`.
    """
    wrong: dict[int, list[Path]] = {}
    for path in paths:
        try:
            mode = path.stat().st_mode
        except OSError as error:
            raise MissingFile(f"{path}: {error.strerror}") from None
        if mode & OTHERS:
            wrong.setdefault(FOLDER_MODE if stat.S_ISDIR(mode) else FILE_MODE, []).append(path)
    if wrong:
        first = next(iter(wrong.values()))[0]
        mode = stat.S_IMODE(first.stat().st_mode)
        lines = [f"chmod {bits:o} {shlex.join(map(str, found))}" for bits, found in sorted(wrong.items())]
        raise WrongMode(f"{first} is open to others (mode {mode:04o}); run: {' && '.join(lines)}")
