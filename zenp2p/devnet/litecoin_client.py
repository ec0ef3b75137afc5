"""The blocking way to a node on this machine, for the launcher and for tests.

Answers for: the few calls with which somebody plays the world around the chain: mining,
sending, making reorganisations. With the standard library's client and one connection;
not to be shared between threads. The daemon's own way to a node is
`zenp2p.chain.rpc.client`. Spec: `spec/devnet.md`.
"""

import base64
import http.client
import time
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any

from zenp2p.chain.rpc.answers import Call, encode_request, parse_answers
from zenp2p.chain.rpc.errors import NodeDenied, NodeRefusal, NodeUnreachable

TIMEOUT_SECONDS = 60.0
REUSED_SECONDS = 2.0
"""An older connection is replaced before the node closes it."""
MINED_AT_ONCE_MAX = 100
"""Blocks that one call mines, so that each call stays short."""


class LitecoinClient:
    """Asks the node whose cookie lies in a file, on loopback. Hashes are as they are shown."""

    def __init__(self, port: int, cookie: Path, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self.port = port
        self.cookie = cookie
        self._numbers = count(1)
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_seconds)
        self._used = time.monotonic()

    def close(self) -> None:
        """Close the connection; the next call opens another."""
        self._connection.close()

    def call(self, method: str, *params: Any) -> Any:
        """Return the result of one method, with every decimal as `Decimal`; raises `NodeError`."""
        (answer,) = self._ask([(method, params)], as_batch=False)
        if isinstance(answer, NodeRefusal):
            raise answer
        return answer

    def batch(self, calls: Sequence[Call]) -> list[Any]:
        """Return each call's result, in one request; raises the first `NodeRefusal`."""
        answers = self._ask(calls, as_batch=True) if calls else []
        for answer in answers:
            if isinstance(answer, NodeRefusal):
                raise answer
        return answers

    def mine(self, blocks: int, address: str) -> list[str]:
        """Mine blocks that pay to an address, and return their hashes."""
        hashes: list[str] = []
        for start in range(0, blocks, MINED_AT_ONCE_MAX):
            part = min(MINED_AT_ONCE_MAX, blocks - start)
            hashes += self.call("generatetoaddress", part, address)
        return hashes

    def invalidate(self, block_hash: str) -> None:
        """Have the node take a block, and all on top of it, for invalid."""
        self.call("invalidateblock", block_hash)

    def reconsider(self, block_hash: str) -> None:
        """Take `invalidate` back."""
        self.call("reconsiderblock", block_hash)

    def height(self) -> int:
        """Return the height of the active chain's last block."""
        return int(self.call("getblockcount"))

    def block_hash(self, height: int) -> str:
        """Return the hash of the active chain's block at `height`."""
        return str(self.call("getblockhash", height))

    def raw_block(self, block_hash: str) -> bytes:
        """Return a block's bytes."""
        return bytes.fromhex(self.call("getblock", block_hash, 0))

    def send(self, raw: bytes) -> str:
        """Hand a transaction to the node, whatever its fee, and return its id."""
        return str(self.call("sendrawtransaction", raw.hex(), 0))

    def set_time(self, seconds: int) -> None:
        """Set the node's clock; 0 gives it back its own."""
        self.call("setmocktime", seconds)

    def _ask(self, calls: Sequence[Call], *, as_batch: bool) -> list[Any]:
        numbered = {next(self._numbers): call for call in calls}
        status, data = self._post(encode_request(numbered, as_batch=as_batch))
        if status in (401, 403):
            raise NodeDenied(f"the node does not accept the cookie {self.cookie} (HTTP {status})")
        return parse_answers(status, data, list(numbered), as_batch=as_batch)

    def _post(self, body: bytes) -> tuple[int, bytes]:
        if time.monotonic() - self._used > REUSED_SECONDS:
            self._connection.close()
        headers = {"content-type": "application/json", "authorization": self._authorization()}
        try:
            self._connection.request("POST", "/", body, headers)
            response = self._connection.getresponse()
            data = response.read()
            self._used = time.monotonic()
            return response.status, data
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise NodeUnreachable(f"no node answers at 127.0.0.1:{self.port} ({reason})") from None

    def _authorization(self) -> str:
        try:
            cookie = self.cookie.read_bytes()
        except OSError as error:
            raise NodeUnreachable(f"the cookie {self.cookie} cannot be read: {error.strerror}") from None
        return "Basic " + base64.b64encode(cookie).decode()
