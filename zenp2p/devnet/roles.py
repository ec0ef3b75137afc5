"""The misbehaving roles of a local network: real daemons with a node that cheats.

Answers for: what each cheat does, and nothing more; everything else of such a node is
the real daemon. The understaked and the duplicate need no code: their stake and their
address are the fault. Nothing outside this folder imports this. Spec: `spec/devnet.md`.

Run as `python -m zenp2p.devnet.roles ROLE DATA_DIR`.
"""

import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from protocol.chain.view import ChainView
from protocol.codec import decode, encode, replace
from protocol.crypto import SIGNATURE_SIZE, Signer, envelope_body
from protocol.errors import StaleMessage
from protocol.genesis import Genesis
from protocol.group.vote_guard import VoteGuard
from protocol.node.effects import Effect, Incoming, Publish, Send, Subscribe
from protocol.node.machine import Node
from protocol.node.messages import SIGNED, pack_signed
from protocol.node.records import Records
from protocol.node.routing import RESPONSE_HEAD
from protocol.tracking.registration import Registration
from protocol.tracking.response import Response, decode_response
from protocol.units import OperatorKey
from zenp2p.config import load_config
from zenp2p.daemon import run_daemon
from zenp2p.data_directory import DataDirectory
from zenp2p.logs import configure_logging


def is_response(data: bytes) -> bool:
    """Whether a network message is a signed response."""
    return data[:1] == bytes((SIGNED,)) and data.startswith(RESPONSE_HEAD, 1 + SIGNATURE_SIZE)


def without_responses(effects: Sequence[Effect]) -> list[Effect]:
    """Return the effects without any response on its way out."""
    return [e for e in effects if not (isinstance(e, Publish | Send) and is_response(e.data))]


class DeadNode(Node):
    """Registered, follows everything, answers nothing."""

    def receive(self, batch: Sequence[Incoming]) -> list[Effect]:
        return without_responses(super().receive(batch))

    def tick(self, now_ms: int) -> list[Effect]:
        return without_responses(super().tick(now_ms))

    def connect(self, height: int, block_hash: bytes) -> list[Effect]:
        return without_responses(super().connect(height, block_hash))

    def answer_probe(self, peer: OperatorKey, data: bytes) -> bytes:
        raise StaleMessage("nobody answers here")


class LazyNode(Node):
    """Keeps no chain: whatever answer it hears first in a challenge, it sends as its own.

    It repeats it whenever its author does, as every node does: so it lacks nothing but an answer.
    """

    def __init__(
        self,
        own: Registration,
        genesis: Genesis,
        signer: Signer,
        chain: ChainView,
        records: Records,
        guard: VoteGuard,
        *,
        joins: bool,
        prunes: bool,
    ) -> None:
        super().__init__(genesis, signer, chain, records, guard, joins=joins, prunes=prunes)
        self._own = own
        self._signer = signer
        self._copied, self._source = -1, b""

    def start(self, now_ms: int) -> list[Effect]:
        """Listen where its judges do: there the answers of others can be heard."""
        return [*super().start(now_ms), Subscribe(self.group.topic)]

    def receive(self, batch: Sequence[Incoming]) -> list[Effect]:
        effects = super().receive(batch)
        for incoming in batch:
            if is_response(incoming.data):
                effects += self._copy(decode_response(incoming.data[1 + SIGNATURE_SIZE :]))
        return effects

    def _copy(self, heard: Response) -> list[Effect]:
        first = heard.seq > self._copied and heard.operator_key != self.operator_key
        again = (heard.seq, heard.operator_key) == (self._copied, self._source)
        if not first and not again:
            return []
        self._copied, self._source = heard.seq, heard.operator_key
        own = replace(
            heard,
            operator_key=self.operator_key,
            node_address=self._own.node_address,
            stake_address=self._own.stake_address,
            ip=self._own.ip,
            port=self._own.port,
        )
        packed = pack_signed(self._signer.sign(encode(own)))
        judges = (OperatorKey(voter.operator_key) for voter in self.group.electorate.voters)
        return [Publish(self.group.topic, packed), *(Send(judge, packed) for judge in judges)]


def run_dead(directory: DataDirectory) -> None:
    """Run a daemon that never answers."""
    run_daemon(load_config(directory.config).config, DeadNode)


def run_lazy(directory: DataDirectory) -> None:
    """Run a daemon that copies answers and has no chain but the first block."""
    own = decode(envelope_body(directory.registration.read_bytes()), Registration)
    run_daemon(load_config(directory.config).config, partial(LazyNode, own), with_chain=False)


ROLES: dict[str, Callable[[DataDirectory], None]] = {"dead": run_dead, "lazy": run_lazy}


def main(arguments: Sequence[str]) -> None:
    """Run `ROLE DATA_DIR`."""
    role, path = arguments
    directory = DataDirectory(Path(path))
    configure_logging("info", directory.log)
    ROLES[role](directory)


if __name__ == "__main__":
    main(sys.argv[1:])
