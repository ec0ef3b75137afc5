"""A real node's chain for the index, synchronously: every question is asked over JSON-RPC at once.

For tests and benchmarks, which have no loop to wait in; what the daemon uses is another part.
Amounts in answers are `Decimal`, never floats.
"""

import base64
import http.client
import json
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from protocol.chain.encoding import display_hash, parse_display_hash
from protocol.units import COIN, Hash32, Height

TIMEOUT_SECONDS = 60
PREVIOUS = slice(4, 36)
"""Where a raw block names the one before it."""


class NodeError(Exception):
    """What the node answers instead of a result."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


class NodeRpc:
    """One kept-alive connection to a node of the Bitcoin family."""

    def __init__(self, port: int, cookie: Path) -> None:
        """`cookie` is the node's cookie file."""
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_SECONDS)
        credentials = base64.b64encode(cookie.read_bytes().strip()).decode()
        self._headers = {"authorization": f"Basic {credentials}", "content-type": "application/json"}

    def call(self, method: str, *params: Any) -> Any:
        """Return the result of one method; raises `NodeError`."""
        answer = self.post(json.dumps({"id": 0, "method": method, "params": params}).encode())
        return _result(answer)

    def batch(self, requests: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Return the results of (method, parameter, …), in order; raises `NodeError` if one failed."""
        body = [
            {"id": number, "method": method, "params": params}
            for number, (method, *params) in enumerate(requests)
        ]
        answers = self.post(json.dumps(body).encode())
        return [_result(answer) for answer in sorted(answers, key=lambda answer: answer["id"])]

    def post(self, body: bytes) -> Any:
        """Send a body and return the parsed answer."""
        self._connection.request("POST", "/", body, self._headers)
        return json.loads(self._connection.getresponse().read(), parse_float=Decimal)

    def close(self) -> None:
        """End the connection."""
        self._connection.close()


def _result(answer: Any) -> Any:
    if answer["error"] is not None:
        raise NodeError(answer["error"]["code"], answer["error"]["message"])
    return answer["result"]


def zatoshi(coins: Decimal) -> int:
    """Return an amount of the node in zatoshi; it has at most eight decimals."""
    whole = coins * COIN
    assert whole == int(whole), coins
    return int(whole)


class LitecoindSource:
    """Fulfils `zenp2p.chain.source.ChainSource`."""

    def __init__(self, rpc: NodeRpc) -> None:
        self._rpc = rpc
        self._fetched: tuple[Hash32, bytes] | None = None

    @property
    def first_height(self) -> Height:
        """The whole chain."""
        return Height(0)

    def tip(self) -> tuple[Height, Hash32]:
        """Return the node's best block."""
        info = self._rpc.call("getblockchaininfo")
        return Height(info["blocks"]), parse_display_hash(info["bestblockhash"])

    def block_hash(self, height: int) -> Hash32 | None:
        """Ask for the hash at a height."""
        try:
            return parse_display_hash(self._rpc.call("getblockhash", height))
        except NodeError as error:
            if error.code == -8:  # out of range
                return None
            raise

    def parent(self, block_hash: Hash32) -> Hash32 | None:
        """Return what the block names; it is kept, for it is asked for next."""
        raw = self.block(block_hash)
        previous = raw[PREVIOUS] if raw is not None else bytes(32)
        return Hash32(previous) if any(previous) else None

    def block(self, block_hash: Hash32) -> bytes | None:
        """Return the raw block, None for one that the node does not know."""
        if self._fetched is None or self._fetched[0] != block_hash:
            try:
                raw = bytes.fromhex(self._rpc.call("getblock", display_hash(block_hash), 0))
            except NodeError as error:
                if error.code == -5:  # not found
                    return None
                raise
            self._fetched = block_hash, raw
        return self._fetched[1]
