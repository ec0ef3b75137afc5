"""Publishes new blocks as zend does over ZeroMQ, and waits until somebody listens."""

import struct
from collections.abc import Sequence
from types import TracebackType
from typing import Self

import zmq

SUBSCRIBED = b"\x01"
WAIT_MILLISECONDS = 20_000


class Publisher:
    """A publishing socket on loopback; sends what it is told to, also what no node would."""

    def __init__(self, endpoint: str = "tcp://127.0.0.1:*") -> None:
        self._context = zmq.Context()
        # An XPUB is a PUB that also hears who subscribes.
        self._socket = self._context.socket(zmq.XPUB)
        self._socket.set(zmq.LINGER, 0)
        self._socket.set(zmq.XPUB_VERBOSE, 1)
        self._socket.bind(endpoint)
        bound = self._socket.get(zmq.LAST_ENDPOINT)
        assert isinstance(bound, bytes)
        self.endpoint = bound.decode().rstrip("\0")
        self._number = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End it; whoever listened is cut off."""
        self._socket.close()
        self._context.term()

    def wait_for_listener(self) -> bytes:
        """Block until somebody subscribes, and return the topic."""
        while self._socket.poll(WAIT_MILLISECONDS):
            message = self._socket.recv()
            if message[:1] == SUBSCRIBED:
                return message[1:]
        raise TimeoutError(f"nobody listens at {self.endpoint}")

    def hash_block(self, block_hash: bytes) -> None:
        """Publish a block's hash (computed order) as a node does: reversed, with a number."""
        self.send([b"hashblock", block_hash[::-1], struct.pack("<I", self._number)])
        self._number += 1

    def send(self, frames: Sequence[bytes]) -> None:
        """Publish any frames."""
        self._socket.send_multipart(list(frames))
