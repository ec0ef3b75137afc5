"""A real node beside the local network: litecoind on a regtest chain of its own.

Answers for: the program that Debian's package installs (not the wrapper in the path,
which writes into the home directory), a configuration that keeps it on loopback and
alone, and its life as a process: started, waited for, stopped, killed, by its own id
only. What is asked of it goes through `litecoin_client`; coins are `coins`' business.
Spec: `spec/devnet.md`.
"""

import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from protocol.errors import ZenError
from zenp2p.chain.rpc.errors import NodeBusy, NodeUnreachable, NodeWarmingUp
from zenp2p.devnet.interrupts import kept_back
from zenp2p.devnet.litecoin_client import LitecoinClient

PROGRAM = Path("/usr/lib/litecoin/litecoind")
INSTALL_LINE = "apt-get install --no-install-recommends litecoind"
START_SECONDS = 60
"""Until a started node must answer."""
START_ATTEMPTS_MAX = 3
"""A free port may be taken by somebody else before the node takes it."""
STOP_SECONDS = 20
"""Until a node that was asked to stop is killed."""
POLL_SECONDS = 0.05
IDLE_SECONDS = 5
"""After which the node closes a connection; before it ends it waits for this."""
OUTPUT_CHARACTERS_SHOWN = 400

_CONFIGURATION = """\
{extra}regtest=1
server=1
daemon=0
disablewallet=1
txindex={txindex}
dnsseed=0
dns=0
discover=0
upnp=0
dbcache=16
maxmempool=50
rpcthreads=4
rpcworkqueue=64
rpcservertimeout={idle}
# From height 432 on no block without a peg-in could be mined.
vbparams=mweb:-2:-2
[regtest]
listen=0
connect=0
rpcport={port}
rpcbind=127.0.0.1
rpcallowip=127.0.0.1
"""


class LitecoindMissing(ZenError):
    """The program is not installed."""


class LitecoindFailed(ZenError):
    """The node ended by itself, or does not come up."""


class Litecoind:
    """One node in one folder; started again there, it has the same chain."""

    def __init__(
        self,
        folder: Path,
        *,
        port: int = 0,
        txindex: bool = True,
        extra: Sequence[str] = (),
        program: Path = PROGRAM,
    ) -> None:
        """Make the folder if it is new; nothing runs yet.

        `port` is that of its RPC, 0: any free one, another at every start. `extra` are lines of its
        configuration; a first line wins over a later one. Raises `LitecoindMissing`.
        """
        if not program.is_file():
            raise LitecoindMissing(f"there is no {program}; as root: {INSTALL_LINE}")
        self.folder = folder
        self._program = program
        self._port = port
        self._txindex = txindex
        self._extra = tuple(extra)
        self._process: subprocess.Popen[bytes] | None = None
        self._client: LitecoinClient | None = None
        folder.mkdir(parents=True, mode=0o700, exist_ok=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def cookie(self) -> Path:
        """The file that lets in whoever can read it; another content at every start."""
        return self.folder / "regtest" / ".cookie"

    @property
    def client(self) -> LitecoinClient:
        """The way to the running node."""
        if self._client is None:
            raise NodeUnreachable("litecoind does not run")
        return self._client

    @property
    def port(self) -> int:
        """Where its RPC listens."""
        return self.client.port

    @property
    def pid(self) -> int:
        """The running process's id."""
        if self._process is None:
            raise NodeUnreachable("litecoind does not run")
        return self._process.pid

    def start(self, port: int = 0) -> None:
        """Start the node at its own or the given port and wait until it answers; raises `LitecoindFailed`."""
        if self._process is not None:
            raise LitecoindFailed("litecoind runs already")
        port = port or self._port
        attempts = 1 if port else START_ATTEMPTS_MAX
        for attempt in range(1, attempts + 1):
            self._launch(port or _free_port())
            try:
                self._wait()
                return
            except LitecoindFailed:
                self.kill()
                if attempt == attempts:
                    raise

    def check(self, seconds: float = 0.0) -> None:
        """Raise `LitecoindFailed` when the node ended by itself, or does so within some seconds."""
        if self._process is None:
            return
        try:
            code = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return
        raise LitecoindFailed(f"litecoind ended with exit code {code}: {self._said()}")

    def stop(self, seconds: float = STOP_SECONDS) -> None:
        """Ask the node to stop, and kill it when it does not; nothing happens when it does not run."""
        if self._process is None:
            return
        if self._client is not None:
            self._client.close()  # the node waits for open connections until they have been idle
        self._process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        self.kill()

    def kill(self) -> None:
        """End the node at once, as a failing machine would: blocks that it had not written yet are gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        if self._client is not None:
            self._client.close()
        self._process = self._client = None

    def _launch(self, port: int) -> None:
        self.cookie.unlink(missing_ok=True)
        extra = "".join(f"{line}\n" for line in self._extra)
        text = _CONFIGURATION.format(txindex=int(self._txindex), port=port, idle=IDLE_SECONDS, extra=extra)
        (self.folder / "litecoin.conf").write_text(text)
        with (self.folder / "output").open("ab") as output, kept_back():
            self._process = subprocess.Popen(
                (str(self._program), f"-datadir={self.folder}"),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._client = LitecoinClient(port, self.cookie)

    def _wait(self) -> None:
        """Wait until the node answers."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            self.check()
            try:
                self.client.height()
                return
            except (NodeUnreachable, NodeWarmingUp, NodeBusy):
                time.sleep(POLL_SECONDS)
        raise LitecoindFailed(f"litecoind does not answer after {START_SECONDS} seconds: {self._said()}")

    def _said(self) -> str:
        """Return the end of what the node printed, in one line."""
        text = (self.folder / "output").read_text(errors="replace")
        return " ".join(text[-OUTPUT_CHARACTERS_SHOWN:].split())


def _free_port() -> int:
    with socket.socket(socket.AF_INET) as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
