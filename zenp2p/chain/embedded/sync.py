"""Exchanging the embedded chain with peers, without any I/O: messages in, messages out.

Answers for: headers first, blocks only of a branch whose headers show more work than
ours, one request at a time to each peer, and everything new handed on only after it
was checked here: so whoever hands on something invalid is at fault itself, and loses
its connection. That is why nothing of this travels by gossip, which is handed on
unread. The caller carries the actions out, in order. Shapes of messages are
`messages`', answering requests is `serving`'s, limits of a peer `peers`'.
Spec: `spec/embedded_chain.md`.
"""

from collections.abc import Sequence

from protocol.chain.block import decode_header
from protocol.chain.rules import HeaderLayout
from protocol.crypto import sha256d
from protocol.errors import InvalidChainData, NotYetKnown, ProtocolError, WrongNetwork
from protocol.node.effects import Punish, Send
from protocol.units import Hash32, NetworkId, OperatorKey
from zenp2p.chain.embedded.chain import EmbeddedChain, UnknownParent
from zenp2p.chain.embedded.mempool import Mempool, Refused
from zenp2p.chain.embedded.messages import (
    BLOCKS_MAX,
    HEADERS_MAX,
    LOCATOR_MAX,
    POOL_IDS_MAX,
    PUSHED_BLOCK_MAX,
    Blocks,
    BlocksRequest,
    ChainMessage,
    Headers,
    HeadersRequest,
    NewBlock,
    NewTransaction,
    PoolRequest,
    pack,
    unpack,
)
from zenp2p.chain.embedded.peers import STRIKES_MAX, Offer, Peer
from zenp2p.chain.embedded.records import HeaderRecord
from zenp2p.chain.embedded.serving import Request, answer

PEERS_MAX = 512
"""Peers that are remembered; messages of further ones are dropped."""
OFFERS_MAX = 4
"""Branches that are fetched at once; further offers are asked for again later."""
OFFER_MILLISECONDS = 60_000
"""Time after which a branch that is still being fetched gives way to another peer's offer."""
COMPARE_MILLISECONDS = 3_000
"""How often one peer, each in turn, is asked what it has that we have not."""
PUSHED_DEPTH_MAX = 100
"""A pushed block this far below our tip is dropped: an old branch comes by its headers, or not at all."""

Action = Send | Punish


class ChainSync:
    """One node's exchange of chain and pool. Times are milliseconds since 1970, of the wall clock."""

    def __init__(self, network: NetworkId, chain: EmbeddedChain, pool: Mempool) -> None:
        self._network = network
        self._chain = chain
        self._pool = pool
        self._peers: dict[OperatorKey, Peer] = {}
        self._turn = 0
        self._compared = 0

    def receive(self, key: OperatorKey, data: bytes, now_ms: int) -> list[Action]:
        """Take one direct message of a peer; what breaks a rule comes back as `Punish`."""
        peer = self._peer(key)
        if peer is None or peer.banned:
            return []
        before = self._chain.tip_record
        try:
            message = unpack(data)
            if message.network != self._network:
                raise WrongNetwork("a message of another network's chain")
            actions = self._handle(peer, message, now_ms)
        except NotYetKnown:  # ahead of our clock or of our blocks: it comes again when chains are compared
            actions = []
        except ProtocolError as error:
            actions = [self._ban(peer, str(error)), *self._fetch_all(now_ms)]
        if self._chain.tip_record != before and peer.offer is None:
            actions += self._announce()
        return actions

    def tick(self, now_ms: int, connected: Sequence[OperatorKey]) -> list[Action]:
        """Greet new peers, give up on late ones, and compare chains with one peer now and then."""
        actions: list[Action] = []
        there = frozenset(connected)
        for key in [key for key in self._peers if key not in there]:
            del self._peers[key]
        for key in connected:
            if key not in self._peers and (peer := self._peer(key)) is not None:
                actions += self._compare(peer, now_ms)
        for peer in list(self._peers.values()):
            actions += self._give_up_late(peer, now_ms)
        if not 0 <= now_ms - self._compared < COMPARE_MILLISECONDS:
            self._compared = now_ms
            actions += self._compare_next(now_ms)
        return actions + self._fetch_all(now_ms)

    def submit_block(self, raw: bytes, now_ms: int) -> list[Action]:
        """Add a block of our own miner; raises `InvalidChainData` when it is none."""
        return self._announce() if self._add(raw, now_ms) else []

    def submit_transaction(self, raw: bytes) -> list[Action]:
        """Take a transaction of our own user; raises `InvalidChainData`, `Refused` for policy."""
        entry = self._pool.accept(raw)
        return [] if entry is None else self._relay(entry.txid, raw)

    def _handle(self, peer: Peer, message: ChainMessage, now_ms: int) -> list[Action]:
        match message:
            case Headers():
                return self._take_headers(peer, message, now_ms)
            case Blocks():
                return self._take_blocks(peer, message, now_ms)
            case NewBlock() if peer.pushes.take(now_ms):
                return self._take_new_block(peer, message, now_ms)
            case NewTransaction() if peer.pushes.take(now_ms):
                return self._take_transaction(peer, message)
            case HeadersRequest() | BlocksRequest() | PoolRequest() if peer.requests.take(now_ms):
                return self._serve(peer, message, now_ms)
            case _:  # more than this peer may ask or push in a second
                return []

    def _serve(self, peer: Peer, request: Request, now_ms: int) -> list[Action]:
        replies = answer(request, self._network, self._chain, self._pool)
        sends = [self._send(peer, reply) for reply in replies]
        if not peer.served.take(now_ms, sum(len(send.data) for send in sends)):
            return []
        return [*sends]

    def _take_headers(self, peer: Peer, message: Headers, now_ms: int) -> list[Action]:
        """Check offered headers and fetch their blocks once they show more work than we have."""
        if not peer.headers:
            return []
        peer.headers.clear()
        if not message.headers:
            peer.strikes = 0
        if peer.offer is None and message.headers:
            if not self._has_room(now_ms):
                return []
            peer.offer = Offer(now_ms)
        for raw in message.headers:
            if (peer.offer is not None and peer.offer.full) or not self._take_header(peer, raw, now_ms):
                break
        else:
            if peer.offer is not None:
                peer.offer.complete = len(message.headers) < HEADERS_MAX
        return self._fetch(peer, now_ms)

    def _has_room(self, now_ms: int) -> bool:
        """Whether one more branch may be fetched; an old offer gives way, its peer gets another turn."""
        offering = [peer for peer in self._peers.values() if peer.offer is not None]
        if len(offering) < OFFERS_MAX:
            return True
        for peer in offering:
            if peer.offer is not None and not 0 <= now_ms - peer.offer.since < OFFER_MILLISECONDS:
                peer.offer = None
                return True
        return False

    def _take_header(self, peer: Peer, raw: bytes, now_ms: int) -> bool:
        """Add a header to the peer's offer; False when it lies ahead of our clock, and so do the rest."""
        header, block_hash = decode_header(raw, HeaderLayout.BITCOIN), sha256d(raw)
        offer = peer.offer or Offer(now_ms)
        last = offer.last
        if last is None or last.block_hash != header.previous:  # the peer changed over to another branch
            last = self._chain.record(header.previous)
            offer = peer.offer = Offer(offer.since)
        if last is None:
            raise InvalidChainData("headers that follow no block asked about")
        peer.known.add(block_hash)
        stored = self._chain.record(block_hash)
        try:
            record = stored or self._chain.check_on(last, header, now_ms // 1_000)
        except NotYetKnown:
            offer.complete = True
            return False
        if record.invalid:
            raise InvalidChainData("headers of a branch that is known to be invalid")
        offer.append(record, stored=stored is not None)
        return True

    def _take_blocks(self, peer: Peer, message: Blocks, now_ms: int) -> list[Action]:
        if not peer.blocks:
            return []
        peer.blocks.clear()
        expected, peer.expected = peer.expected, ()
        if not 0 < len(message.blocks) <= len(expected):
            return [*self._strike(peer, "does not hand over the blocks it offers"), *self._fetch_all(now_ms)]
        peer.strikes = 0
        for wanted, raw in zip(expected, message.blocks, strict=False):
            if sha256d(raw[:80]) != wanted:
                raise InvalidChainData("another block than was asked for")
            self._add(raw, now_ms)
        return self._fetch_all(now_ms)

    def _take_new_block(self, peer: Peer, message: NewBlock, now_ms: int) -> list[Action]:
        block_hash = sha256d(message.header)
        peer.known.add(block_hash)
        if self._chain.record(block_hash) is not None:
            return []
        header = decode_header(message.header, HeaderLayout.BITCOIN)
        try:
            record = self._chain.check_child(header, now_ms // 1_000)
        except UnknownParent:
            return self._request_headers(peer, now_ms)
        if record.height + PUSHED_DEPTH_MAX < self._chain.tip_record.height:
            return []
        if not message.block:
            return self._request_blocks(peer, [block_hash], now_ms)
        self._add(message.block, now_ms)
        return []

    def _take_transaction(self, peer: Peer, message: NewTransaction) -> list[Action]:
        txid = sha256d(message.transaction)
        peer.known.add(txid)
        try:
            entry = self._pool.accept(message.transaction)
        except Refused:
            return []
        return [] if entry is None else self._relay(entry.txid, message.transaction)

    def _add(self, raw: bytes, now_ms: int) -> bool:
        """Add a block to the chain, let the pool follow, and say whether the tip changed."""
        change = self._chain.add_block(raw, now_ms // 1_000)
        self._pool.apply(change)
        return bool(change)

    def _fetch_all(self, now_ms: int) -> list[Action]:
        return [action for peer in list(self._peers.values()) for action in self._fetch(peer, now_ms)]

    def _fetch(self, peer: Peer, now_ms: int) -> list[Action]:
        """Ask a peer for the next part of its offer: headers until they show more work, then blocks."""
        offer = peer.offer
        if offer is None or peer.headers or peer.blocks:
            return []
        wanted = offer.wanted(lambda each: self._chain.record(each) is not None, BLOCKS_MAX)
        if not wanted or not self._is_better(offer.last):
            if not offer.complete and not offer.full:
                return self._request_headers(peer, now_ms)
            if not wanted:
                peer.strikes = 0
            peer.offer = None
            return self._announce()
        return self._request_blocks(peer, wanted, now_ms)

    def _is_better(self, record: HeaderRecord | None) -> bool:
        return record is not None and record.work > self._chain.tip_record.work

    def _request_headers(self, peer: Peer, now_ms: int) -> list[Action]:
        if peer.headers or not peer.asked.take(now_ms):
            return []
        peer.headers.begin(now_ms)
        last = peer.offer.last if peer.offer is not None else None
        start = () if last is None else (last.block_hash,)
        locator = (*start, *self._chain.locator())[:LOCATOR_MAX]
        return [self._send(peer, HeadersRequest(network=self._network, locator=locator))]

    def _request_blocks(self, peer: Peer, wanted: Sequence[Hash32], now_ms: int) -> list[Action]:
        """Ask for blocks, unless another peer was asked for the first of them a moment ago."""
        others = [other for other in self._peers.values() if other.expected and wanted[0] in other.expected]
        if peer.blocks or any(other.blocks.fresh(now_ms) for other in others):
            return []
        peer.blocks.begin(now_ms)
        peer.expected = tuple(wanted)
        return [self._send(peer, BlocksRequest(network=self._network, hashes=peer.expected))]

    def _compare_next(self, now_ms: int) -> list[Action]:
        peers = list(self._peers.values())
        if not peers:
            return []
        self._turn = (self._turn + 1) % len(peers)
        return self._compare(peers[self._turn], now_ms)

    def _compare(self, peer: Peer, now_ms: int) -> list[Action]:
        """Ask a peer what it has beyond our tip and our pool."""
        if peer.banned:
            return []
        known = tuple(entry.txid for entry in self._pool)[:POOL_IDS_MAX]
        pool = self._send(peer, PoolRequest(network=self._network, known=known))
        return [*self._request_headers(peer, now_ms), pool]

    def _announce(self) -> list[Action]:
        """Tell the tip to every peer that is not known to have it."""
        tip = self._chain.tip_record.block_hash
        if all(tip in peer.known for peer in self._peers.values()):
            return []
        raw = self._chain.block(tip) or b""
        block = raw if len(raw) <= PUSHED_BLOCK_MAX else b""
        return self._push(tip, NewBlock(network=self._network, header=raw[:80], block=block))

    def _relay(self, txid: Hash32, raw: bytes) -> list[Action]:
        return self._push(txid, NewTransaction(network=self._network, transaction=raw))

    def _push(self, known_by: Hash32, message: NewBlock | NewTransaction) -> list[Action]:
        data = pack(message)
        actions: list[Action] = []
        for peer in self._peers.values():
            if known_by not in peer.known and not peer.banned:
                peer.known.add(known_by)
                actions.append(Send(peer.key, data))
        return actions

    def _give_up_late(self, peer: Peer, now_ms: int) -> list[Action]:
        if peer.blocks.overdue(now_ms):
            peer.blocks.clear()
            peer.expected = ()
            return self._strike(peer, "does not answer requests for blocks")
        if peer.headers.overdue(now_ms):
            peer.headers.clear()
            return self._strike(peer, "does not answer requests for headers")
        return []

    def _strike(self, peer: Peer, reason: str) -> list[Action]:
        peer.offer = None
        peer.strikes += 1
        return [self._ban(peer, reason)] if peer.strikes >= STRIKES_MAX else []

    def _ban(self, peer: Peer, reason: str) -> Punish:
        peer.banned = True
        peer.offer = None
        peer.expected = ()
        peer.headers.clear()
        peer.blocks.clear()
        return Punish(peer.key, reason)

    def _peer(self, key: OperatorKey) -> Peer | None:
        peer = self._peers.get(key)
        if peer is None and len(self._peers) < PEERS_MAX:
            peer = self._peers[key] = Peer(key)
        return peer

    def _send(self, peer: Peer, message: ChainMessage) -> Send:
        return Send(peer.key, pack(message))
