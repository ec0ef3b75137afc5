"""The daemon: one process that joins store, chain, network, node machine and RPC.

Answers for: what is opened in which order, what stops when something fails, and a clean
end. Everything else is left to the parts. A wrapper (the local network's misbehaving
roles) may hand in another node; nothing here knows about roles. Spec: `spec/daemon.md`.
"""

import gc
import logging
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

import trio

from protocol.crypto import Signer
from protocol.errors import ProtocolError
from protocol.genesis import BadGenesis, Genesis, decode_genesis
from protocol.group.vote_guard import VoteGuard
from protocol.node.effects import Announce
from protocol.node.machine import Node
from protocol.node.messages import pack_signed
from protocol.node.records import decode_slot
from protocol.units import Hash32, OperatorKey
from zenp2p.announced import Announced
from zenp2p.api.announcement_methods import AnnouncementMethods
from zenp2p.api.chain_links import ChainLinks
from zenp2p.api.chain_node_methods import ChainNodeMethods
from zenp2p.api.challenge_methods import ChallengeMethods
from zenp2p.api.context import Context
from zenp2p.api.explorer_methods import ExplorerMethods
from zenp2p.api.group_methods import GroupMethods
from zenp2p.api.methods import Methods
from zenp2p.api.node_methods import NodeMethods
from zenp2p.api.payout_methods import PayoutMethods
from zenp2p.api.server import RpcServer
from zenp2p.api.treasury_methods import TreasuryMethods
from zenp2p.chain.embedded.messages import CHAIN
from zenp2p.chain.opening import open_chain
from zenp2p.chain.service import ChainService
from zenp2p.chain.source import ChainEvent, Connected
from zenp2p.config import parse_peer
from zenp2p.data_directory import DataDirectory, MissingFile
from zenp2p.driver import PROBE_PROTOCOL, Driver
from zenp2p.identity import load_operator, read_secret
from zenp2p.lock import DirectoryLock
from zenp2p.logs import quiet_libraries
from zenp2p.network.host import open_network
from zenp2p.ports import Endpoint, Network
from zenp2p.settings import Config
from zenp2p.store import LevelStore, StoreReadOnly
from zenp2p.tls_check import TlsCheck
from zenp2p.vote_file import PRUNE_BYTES, VoteFile

log = logging.getLogger(__name__)

TICK_SECONDS = 0.1
REGISTRATION_SECONDS = 5
"""How often our own registration is handed in until it is in force or refused for good."""
VOTES_SECONDS = 30
CLOCK_SECONDS = 5
CLOCK_JUMP_SECONDS = 2
ALARMS = frozenset(
    {
        "data_chain.contradiction",
        "data_chain.stranded",
        "list.contradiction",
        "list.stranded",
        "vote.withheld",
        "key.elsewhere",
    }
)
"""News that somebody must look at."""

MakeNode = Callable[..., Node]


@dataclass(frozen=True, slots=True)
class Opened:
    """What a daemon holds open, besides sockets."""

    config: Config
    directory: DataDirectory
    genesis: Genesis
    signer: Signer
    seed: bytes
    store: LevelStore
    vote_file: VoteFile
    chain: ChainService


def open_all(config: Config, stack: ExitStack) -> Opened:
    """Lock the data directory and open everything in it; raises what the parts raise."""
    directory = DataDirectory(Path(config.data_dir))
    directory.check()
    stack.enter_context(DirectoryLock(directory.lock))
    signer = load_operator(directory.operator_seed)
    genesis = _read_genesis(Path(config.genesis) if config.genesis else directory.genesis)
    vote_file = VoteFile(directory.votes)
    stack.callback(vote_file.close)
    store = LevelStore(directory.database, free_bytes_min=config.free_mib_min << 20)
    stack.callback(store.close)
    seed = read_secret(directory.operator_seed)
    chain = open_chain(genesis, store, config.chain)
    return Opened(config, directory, genesis, signer, seed, store, vote_file, chain)


def run_daemon(config: Config, make_node: MakeNode = Node, *, with_chain: bool = True) -> None:
    """Run until SIGINT or SIGTERM; raises what keeps it from starting.

    `make_node` builds the node machine; without a chain nothing is exchanged or mined.
    """
    quiet_libraries()
    with ExitStack() as stack:
        opened = open_all(config, stack)
        # What is imported stays: collections need not walk it, least of all the last one, which would
        # take most of the time between a signal and the end of the process.
        gc.freeze()
        trio.run(_main, opened, make_node, with_chain)


async def _main(opened: Opened, make_node: MakeNode, with_chain: bool) -> None:
    """Run until a signal; then the daemon is closed in order, while the network's tasks still run."""
    async with trio.open_nursery() as nursery:
        with trio.CancelScope() as running:
            nursery.start_soon(_stop_on_signal, running)
            async with Daemon.start(opened, make_node, nursery, with_chain=with_chain):
                await trio.sleep_forever()
        nursery.cancel_scope.cancel()


async def _stop_on_signal(scope: trio.CancelScope) -> None:
    """End the scope at the first signal; a second one ends the process at once, as a kill would."""
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for number in signals:
            log.info("stopping", extra={"signal": number})
            scope.cancel()
            return


class Daemon:
    """A running daemon: the parts, and the tasks between them."""

    def __init__(
        self,
        opened: Opened,
        node: Node,
        guard: VoteGuard,
        network: Network,
        nursery: trio.Nursery,
        *,
        with_chain: bool,
    ) -> None:
        self.opened = opened
        self._with_chain = with_chain
        self.node = node
        self.network = network
        check_tls = TlsCheck(pack_ip(opened.config.network.ip)).is_valid
        self.driver = Driver(
            node, guard, opened.store, opened.vote_file, network, nursery, self._announce, check_tls
        )

        configured = [parse_peer(text)[0] for text in opened.config.network.peers]
        self.announced = Announced(opened.genesis.parameters, opened.chain.index, network, configured)
        self.halted = ""
        """Why nothing is written any more; empty while all is well."""
        rpc = opened.config.rpc
        self.rpc = RpcServer(self._methods(), opened.directory, rpc.host, rpc.port)

    def _methods(self) -> Methods:
        context = Context(
            self.node,
            self.opened.chain,
            self.network,
            self._submit,
            self._problems,
            self.driver.proof_trials,
        )
        links = ChainLinks(self.node, self.opened.chain.index)
        methods = Methods()
        ChainNodeMethods(context).register(methods)
        NodeMethods(context).register(methods)
        ChallengeMethods(context).register(methods)
        GroupMethods(context).register(methods)
        PayoutMethods(context, links).register(methods)
        TreasuryMethods(context).register(methods)
        ExplorerMethods(context, links).register(methods)
        AnnouncementMethods(context).register(methods)
        return methods

    async def _submit(self, packed: bytes) -> None:
        await self.driver.step(lambda node: node.submit(packed))

    @classmethod
    @asynccontextmanager
    async def start(
        cls, opened: Opened, make_node: MakeNode, nursery: trio.Nursery, *, with_chain: bool
    ) -> AsyncIterator["Daemon"]:
        """Open the network and start every task; at the end everything is closed in order."""
        settings = opened.config.network
        listen = Endpoint(pack_ip(settings.ip), settings.port)
        guard = VoteGuard(
            [(decode_slot(slot), Hash32(content)) for slot, content in opened.vote_file.load()],
            complete=opened.vote_file.complete,
        )
        await opened.chain.prepare()
        node = make_node(
            opened.genesis,
            opened.signer,
            opened.chain.index,
            opened.store,
            guard,
            joins=opened.config.join_groups,
            prunes=opened.config.store.prune,
        )
        async with open_network(opened.seed, listen, nursery) as network, trio.open_nursery() as tasks:
            daemon = cls(opened, node, guard, network, tasks, with_chain=with_chain)
            for text in settings.peers:
                key, ip, port = parse_peer(text)
                network.learn(key, Endpoint(ip, port))
            network.serve(PROBE_PROTOCOL, daemon._answer_probe)
            await daemon.driver.step(lambda node: node.start(daemon_ms()))
            await tasks.start(daemon.rpc.serve)
            tasks.start_soon(daemon._work)
            tasks.start_soon(daemon._watch_clock)
            tasks.start_soon(daemon.announced.run, lambda: node.groups.book)
            log.info("started", extra={"operator": node.operator_key.hex(), "network": node.network.hex()})
            yield daemon
            tasks.cancel_scope.cancel()

    async def _work(self) -> None:
        """Run everything that writes; when the disk takes no more, stop it and let RPC go on reading.

        What the machine decided in the step that could not be written was never sent.
        """
        try:
            async with trio.open_nursery() as work:
                work.start_soon(self._receive)
                work.start_soon(self._tick)
                work.start_soon(self._hand_in_registration)
                work.start_soon(self._tend_votes)
                if self._with_chain:
                    work.start_soon(self._run_chain)
        except* StoreReadOnly:
            self.halted = self.opened.store.read_only_reason or "the disk took no more"
            log.error("read-only: make room on the disk and restart", extra={"reason": self.halted})

    def _problems(self) -> list[str]:
        """Return what somebody should look at, besides what the node machine knows."""
        problems = [f"read-only: {self.halted}"] if self.halted else []
        if self._with_chain and (chain := self.opened.chain.condition().problem):
            problems.append(chain)
        if not self.opened.vote_file.complete:
            problems.append("the vote file was damaged: this node only listens until old votes cannot matter")
        return problems

    async def _receive(self) -> None:
        """Share incoming messages out between the chain and the node machine."""
        async for batch in self.network.received:
            mine = []
            for item in batch:
                if item.data[:1] == bytes((CHAIN,)) and not item.topic:
                    if self._with_chain:
                        await self.opened.chain.take(item.peer, item.data)
                else:
                    mine.append(item)
            if mine:
                await self.driver.receive(mine)

    async def _tick(self) -> None:
        while True:
            now = daemon_ms()
            await self.driver.step(lambda node, now=now: node.tick(now))  # type: ignore[misc]
            await trio.sleep(TICK_SECONDS)

    async def _run_chain(self) -> None:
        await self.opened.chain.run(self.network, self._on_chain)

    async def _on_chain(self, event: ChainEvent) -> None:
        self.announced.moved(event)
        if isinstance(event, Connected):
            await self.driver.step(lambda node: node.connect(event.height, event.block_hash))
        else:
            await self.driver.step(lambda node: node.disconnect(event.height, event.block_hash))

    async def _answer_probe(self, peer: OperatorKey, ip: bytes, data: bytes) -> bytes:
        return self.node.answer_probe(peer, data)

    async def _hand_in_registration(self) -> None:
        """Hand our registration in until the data chain has taken it up, or refuses it for good.

        It may be made while we run: whoever starts first and registers then need not start anew.
        """
        path = self.opened.directory.registration
        while not path.exists():
            await trio.sleep(REGISTRATION_SECONDS)
        packed = pack_signed(path.read_bytes())
        while True:
            try:
                await self.driver.step(lambda node: node.submit(packed))
            except ProtocolError as error:
                log.info("registration done", extra={"reason": str(error)})
                return
            await trio.sleep(REGISTRATION_SECONDS)

    async def _tend_votes(self) -> None:
        """Keep the vote file small, and whole again once nothing forgotten can matter."""
        file = self.opened.vote_file
        while True:
            await trio.sleep(VOTES_SECONDS)
            healed = not file.complete and self.node.may_vote()
            if file.size > PRUNE_BYTES or healed:
                await self.driver.rewrite_votes(complete=file.complete or healed)

    async def _watch_clock(self) -> None:
        """Say so when the wall clock jumps: blocks are timed by it."""
        offset = time.time() - time.monotonic()
        while True:
            await trio.sleep(CLOCK_SECONDS)
            jumped = time.time() - time.monotonic() - offset
            if abs(jumped) > CLOCK_JUMP_SECONDS:
                offset += jumped
                log.error("the clock jumped: check its synchronisation", extra={"seconds": round(jumped)})

    def _announce(self, news: Announce) -> None:
        level = logging.ERROR if news.event in ALARMS else logging.INFO
        if news.event == "message.refused":
            level = logging.DEBUG
        log.log(level, news.event, extra=dict(news.fields))


def _read_genesis(path: Path) -> Genesis:
    try:
        return decode_genesis(path.read_bytes())
    except BadGenesis as error:
        raise BadGenesis(f"{path}: {error}") from None
    except OSError as error:
        raise MissingFile(f"there is no genesis file at {path}: {error.strerror}") from None


def daemon_ms() -> int:
    """Return milliseconds of a clock that never goes back."""
    return time.monotonic_ns() // 1_000_000


def pack_ip(text: str) -> bytes:
    """Return the packed form of an IP address that the configuration has checked."""
    return ip_address(text).packed
