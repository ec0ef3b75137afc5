"""An external node's chain in the daemon: looked at, fetched, indexed, followed.

Answers for: the index goes where the node's active chain goes, through reorganisations of
any depth; while the node is not to be had, or is not on our chain, the index stays where
it is and `condition` says why; transactions of our own user are handed to it. Reading the
chain is `source`'s, hints that a block came are `hints`', what a state means for the
operator `condition`'s. Fulfils `zenp2p.chain.service.ChainService`.
Spec: `spec/external_chain.md`.
"""

import logging

import trio

from protocol.chain.encoding import display_hash
from protocol.chain.transaction import Transaction, decode_transaction
from protocol.errors import InvalidChainData, RequestError
from protocol.genesis import Genesis
from protocol.units import Hash32, OperatorKey
from zenp2p.chain.broadcast import Broadcast, BroadcastRefused, BroadcastState, Refusal, read_refusal
from zenp2p.chain.follower import Follower
from zenp2p.chain.index import ChainIndex
from zenp2p.chain.rpc.address_answers import parse_unspent
from zenp2p.chain.rpc.client import NodeClient, NodeSettings
from zenp2p.chain.rpc.condition import NodeCondition, NodeState, condition_of
from zenp2p.chain.rpc.dialect import NodeIdentity, learn_node
from zenp2p.chain.rpc.errors import BadAnswer, NodeError, NodeRefusal, NodeUnreachable
from zenp2p.chain.rpc.hints import listen
from zenp2p.chain.rpc.pool import find_spender
from zenp2p.chain.rpc.source import NodeChain, NodeTip, Part
from zenp2p.chain.rpc.window import Window
from zenp2p.chain.service import ChainCondition, OnEvent, UnspentThere
from zenp2p.ports import Network, Store, StoreError

log = logging.getLogger(__name__)

POLLS_PER_BLOCK = 20
"""How often the node is asked within one intended block time, between the two bounds below."""
POLL_SECONDS_MIN, POLL_SECONDS_MAX = 0.25, 5.0
PAUSE_SECONDS_MIN = 0.05
"""Between two looks, however many hints come."""
RETRY_SECONDS_MAX = 30.0
"""Between two looks at a node that is not to be had; doubled from the usual pause."""
PREPARE_SECONDS = 60
"""How long a first start waits for a node, whatever it does."""


class RpcService:
    """The chain of one node, with its index."""

    def __init__(self, genesis: Genesis, store: Store, settings: NodeSettings, zmq: str = "") -> None:
        """Open the index; raises `StoreError` when it is of another chain."""
        if not isinstance(genesis.start, bytes):
            raise AssertionError("a network with a chain of its own has no node beside it")
        self.index = ChainIndex(store, genesis.chain, first_coins=False)
        if self.index.head is not None and self.index.block_hash(0) != genesis.start:
            raise StoreError("the store holds another chain than the genesis file names")
        self._rules = genesis.chain
        self._client = NodeClient(settings)
        self._zmq = zmq
        self._node = NodeChain(self._client, self.index, genesis.start)
        spacing = genesis.parameters.block_seconds / POLLS_PER_BLOCK
        self._poll_seconds = min(max(spacing, POLL_SECONDS_MIN), POLL_SECONDS_MAX)
        self._identity: NodeIdentity | None = None
        self._said = ""
        """What the log says of the node."""
        self._tip: NodeTip | None = None
        self._condition = NodeCondition(NodeState.CONNECTING)
        self._hint = trio.Event()

    def condition(self) -> ChainCondition:
        """Return how the node is."""
        known = self._identity
        return ChainCondition(
            kind="external",
            version=known.version if known else "",
            dialect=known.dialect.name if known else "",
            node=str(known) if known else "",
            state=self._condition.state.value,
            problem=self._condition.problem,
            height=self._tip.height if self._tip else None,
        )

    def notify(self) -> None:
        """Look at the node at once."""
        self._hint.set()

    async def take(self, peer: OperatorKey, data: bytes) -> None:
        """Ignore what a peer says about the chain: our node has peers of its own."""

    async def prepare(self) -> None:
        """Fetch the first block into an empty index; raises `NodeError` when there is no node to ask."""
        if self.index.head is not None:
            return
        place = self._client.settings.place
        last: NodeError = NodeUnreachable(f"the node at {place} does not answer within {PREPARE_SECONDS} s")
        with trio.move_on_after(PREPARE_SECONDS):
            while True:
                try:
                    return await self._begin()
                except NodeError as error:
                    if condition_of(error).state not in (NodeState.WARMING_UP, NodeState.BUSY):
                        raise
                    last = error
                    await trio.sleep(self._poll_seconds)
        raise last

    async def _begin(self) -> None:
        identity, tip = await self._learn(), await self._node.look()
        part = await self._node.fetch(0, tip, identity.dialect)
        window = Window(self.index, self._rules, -1)
        window.add(part.hashes[:1], part.blocks[:1])
        if Follower(window, self.index).advance() is None:
            raise BadAnswer("the node does not give its first block")

    async def run(self, network: Network, on_event: OnEvent) -> None:
        """Follow the node until cancelled."""
        async with self._client, trio.open_nursery() as nursery:
            nursery.start_soon(listen, self._zmq, self.notify)
            await self._poll(on_event)

    async def broadcast(self, raw: bytes) -> Broadcast:
        """Hand a transaction to the node; the same one again is no error.

        Raises `InvalidChainData` for what is none, `BroadcastRefused` with the node's own words, `NodeError`.
        """
        transaction = decode_transaction(raw, self._rules.family)
        txid = transaction.txid
        if self.index.transaction_by_id(txid) is not None:
            return Broadcast(txid, BroadcastState.MINED)
        identity = self._identity or await self._learn()
        waits = await self._waits(txid)
        method, params = identity.dialect.send_call(raw.hex())
        try:
            await self._client.call(method, *params)
        except NodeRefusal as error:
            meaning = read_refusal(error.code, error.message)
            if not isinstance(meaning, Refusal):
                return Broadcast(txid, meaning)
            by = await self._in_the_way(transaction) if meaning is Refusal.CONFLICT else None
            raise BroadcastRefused(error.message, meaning, by) from None
        return Broadcast(txid, BroadcastState.WAITING if waits else BroadcastState.SENT)

    async def _in_the_way(self, transaction: Transaction) -> Hash32 | None:
        """Return who spends its outputs already; that the node does not say so takes no refusal back."""
        spent = [item.previous for item in transaction.inputs]
        try:
            return await find_spender(self._client, spent, self._rules.family)
        except (NodeError, RequestError):
            return None

    async def _waits(self, txid: Hash32) -> bool:
        """Whether the node's pool has the transaction; its pool needs no index, its blocks would."""
        pool = await self._client.call("getrawmempool")
        return isinstance(pool, list) and display_hash(txid) in pool

    async def unspent_there(self, address: str) -> UnspentThere:
        """Ask the node what is unspent at an address; raises `RequestError` when its index is off."""
        dialect = (self._identity or await self._learn()).dialect
        method, params = dialect.address_call([address])
        return parse_unspent(dialect.address_query, await self._client.call(method, *params))

    async def _poll(self, on_event: OnEvent) -> None:
        wait = self._poll_seconds
        while True:
            self._hint = trio.Event()
            try:
                await self._look(on_event)
                wait = self._poll_seconds
            except (NodeError, InvalidChainData) as error:
                self._identity = None  # whatever answers next may be another one
                self._become(condition_of(error))
                wait = min(wait * 2, RETRY_SECONDS_MAX)
            await trio.sleep(PAUSE_SECONDS_MIN)
            with trio.move_on_after(wait):
                await self._hint.wait()

    async def _look(self, on_event: OnEvent) -> None:
        """Go once to where the node's chain is."""
        identity = self._identity or await self._learn()
        self._tip = tip = await self._node.look()
        if tip.block_hash != self.index.tip()[1]:
            fork = await self._node.fork(tip)
            if await self._node.has_less_work(fork, tip):
                return self._become(self._lighter(fork, tip))
            await self._catch_up(fork, tip, identity, on_event)
        self._become(self._state(tip))

    def _state(self, tip: NodeTip) -> NodeCondition:
        height, block_hash = self.index.tip()
        if tip.height < height:
            return NodeCondition(NodeState.BEHIND, f"it is at {tip.height}, our index at {height}")
        if tip.is_syncing:
            return NodeCondition(NodeState.SYNCING, f"it is at {tip.height} of {tip.headers}")
        if tip.block_hash != block_hash:
            return NodeCondition(NodeState.INDEXING, f"at {height} of {tip.height}")
        return NodeCondition(NodeState.OK)

    def _lighter(self, fork: int, tip: NodeTip) -> NodeCondition:
        ours = f"our index at {self.index.tip()[0]}"
        detail = f"it is at {tip.height} of a branch with less work from {fork + 1} on, {ours}"
        return NodeCondition(NodeState.BEHIND, detail)

    async def _catch_up(self, fork: int, tip: NodeTip, identity: NodeIdentity, on_event: OnEvent) -> None:
        """Follow the node's branch from `fork` to `tip`, the next part being fetched while one is indexed."""
        part = await self._node.fetch(fork + 1, tip, identity.dialect)
        while part.blocks:
            window = Window(self.index, self._rules, fork)
            for named, raw in zip(part.hashes, part.blocks, strict=True):
                window.add([named], [raw])
                await trio.lowlevel.checkpoint()
            reached = window.next_height - 1
            if reached == fork:
                return  # the node changed its branch meanwhile: the next look finds out
            if tip.height - reached > 0:
                state = NodeState.SYNCING if tip.is_syncing else NodeState.INDEXING
                self._become(NodeCondition(state, f"our index is at {reached} of {tip.height}"))
            part = await self._advance(window, tip, identity, on_event)
            if self.index.tip()[0] != reached:
                return
            fork = reached

    async def _advance(self, window: Window, tip: NodeTip, identity: NodeIdentity, on_event: OnEvent) -> Part:
        """Follow one part and return the next one; of two failures the chain's is raised."""
        following = window.next_height
        fetched: list[Part] = []
        failed: list[NodeError | InvalidChainData] = []

        async def fetch() -> None:
            try:
                fetched.append(await self._node.fetch(following, tip, identity.dialect))
            except NodeError as error:
                failed.append(error)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(fetch)
            try:
                await self._follow(window, on_event)
            except InvalidChainData as error:
                failed.insert(0, error)
                nursery.cancel_scope.cancel()
        if failed:
            raise failed[0]
        return fetched[0]

    async def _follow(self, window: Window, on_event: OnEvent) -> None:
        follower = Follower(window, self.index)
        while (event := follower.advance()) is not None:
            await on_event(event)
            await trio.lowlevel.checkpoint()

    async def _learn(self) -> NodeIdentity:
        """Ask the node what it is, and say so when it is another one than before."""
        identity = await learn_node(self._client)
        self._identity = identity
        if str(identity) != self._said:
            self._said = str(identity)
            log.info("chain node", extra={"node": self._said})
        return identity

    def _become(self, condition: NodeCondition) -> None:
        """Note the node's condition; a change of state is said once."""
        if condition.state is not self._condition.state:
            level = logging.WARNING if condition.problem else logging.INFO
            log.log(level, "chain node is %s", condition.state.value, extra={"detail": condition.detail})
        self._condition = condition
