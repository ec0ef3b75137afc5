"""A stand-in for zend, which no package brings: its RPC on loopback over blocks that a test hands in.

It answers what zend answers otherwise than litecoind, and can be what a node should not be:
starting, busy, stopped, pruned, on another branch, on another chain. It stands where the real
node cannot be had, and only there: everything that litecoind can show is tried on litecoind.
"""

import base64
import json
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from protocol.chain.rules import ZEN_TESTNET, ChainRules
from tests.support.scripted_server import Reply, serving
from tests.support.zend_calls import ZendLedger
from tests.support.zend_json import encode
from tests.support.zend_signing import ZendError
from zenp2p.chain.rpc.client import NodeSettings

USER, PASSWORD = "zend", "stand-in"
OnBlock = Callable[[bytes], None]


class ZendStandIn:
    """One node. Blocks are raw; what is told to it while it runs holds for the next question."""

    def __init__(
        self,
        blocks: Sequence[bytes],
        *,
        rules: ChainRules = ZEN_TESTNET,
        version: str = "5.0.7",
        agent: str = "zen",
        chain: str = "regtest",
        address_index: bool = False,
        txindex: bool = False,
        cookie: Path | None = None,
    ) -> None:
        """`cookie` names the file that it writes at every start; without one it has a user and a password."""
        self.ledger = ZendLedger(rules, version, agent, chain, address_index, txindex or address_index)
        self.asked: list[str] = []
        """The methods that were asked for, in order."""
        self._cookie = cookie
        self._secret = f"{USER}:{PASSWORD}"
        self._starts = 0
        self._warming_up = ""
        self._busy = 0
        self._port = 0
        self._lock = threading.RLock()
        self._running = ExitStack()
        self.on_block: OnBlock | None = None
        """Called with the hash of each new tip: for a publisher."""
        self.become(blocks)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def settings(self) -> NodeSettings:
        """What a daemon needs to know of it."""
        if self._cookie is not None:
            return NodeSettings("127.0.0.1", self._port, cookie=self._cookie)
        return NodeSettings("127.0.0.1", self._port, user=USER, password=PASSWORD)

    @property
    def height(self) -> int:
        """Of its last block."""
        return len(self.ledger.active) - 1

    def start(self) -> None:
        """Listen, after the first time at the same port, with another cookie."""
        self._starts += 1
        if self._cookie is not None:
            self._secret = f"__cookie__:{self._starts:064x}"
            self._cookie.write_text(self._secret)
        self._port = self._running.enter_context(serving(self._reply, self._port)).port

    def stop(self) -> None:
        """Hang up on everybody and listen no more."""
        self._running.close()

    def connect(self, blocks: Sequence[bytes]) -> None:
        """Put blocks on top."""
        with self._lock:
            for raw in blocks:
                self.ledger.connect(raw)
        if self.on_block is not None and blocks:
            self.on_block(self._tip())

    def reorganise(self, depth: int, blocks: Sequence[bytes]) -> None:
        """Take the last `depth` blocks back and put others on; what the old ones held waits again."""
        with self._lock:
            stale = self.ledger.active[len(self.ledger.active) - depth :]
            del self.ledger.active[len(self.ledger.active) - depth :]
            for block in stale:
                self.ledger.waiting |= {tx.txid: tx for tx in block.transactions[1:]}
            self.connect(blocks)

    def become(self, blocks: Sequence[bytes]) -> None:
        """Have another chain altogether, from its first block on."""
        with self._lock:
            self.ledger.active.clear()
            self.ledger.known.clear()
            self.connect(blocks)

    def prune(self, below: int) -> None:
        """Throw away the blocks below a height."""
        self.ledger.pruned_below = below

    def warm_up(self, message: str) -> None:
        """Answer every question with −28 and these words; with none, be ready."""
        self._warming_up = message

    def be_busy(self, requests: int) -> None:
        """Have no time for so many requests."""
        self._busy = requests

    def waiting(self) -> list[bytes]:
        """Return the transactions that were handed in and are not mined."""
        with self._lock:
            return [tx.raw for tx in self.ledger.waiting.values()]

    def _tip(self) -> bytes:
        return bytes.fromhex(self.ledger.rpc_getbestblockhash())[::-1]

    def _reply(self, authorization: str, body: bytes) -> Reply:
        if authorization != "Basic " + base64.b64encode(self._secret.encode()).decode():
            return Reply(401)
        with self._lock:
            if self._busy:
                self._busy -= 1
                return Reply(500, b"Work queue depth exceeded")
            request = json.loads(body)
            if isinstance(request, list):
                return Reply(200, encode([self._one(each)[1] for each in request]))
            status, answer = self._one(request)
            return Reply(status, encode(answer))

    def _one(self, request: Any) -> tuple[int, Any]:
        """Return the status that a single call has, and the answer."""
        method, params = request["method"], request["params"]
        self.asked.append(method)
        answer: dict[str, Any] = {"result": None, "error": None, "id": request["id"]}
        try:
            if self._warming_up:
                raise ZendError(-28, self._warming_up)
            answer["result"] = self.ledger.answer(method, params)
        except ZendError as error:
            answer["error"] = {"code": error.code, "message": error.message}
            return 404 if error.code == -32601 else 500, answer
        return 200, answer
