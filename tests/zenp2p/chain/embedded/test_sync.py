"""Exchanging the chain: honest nodes converge whatever happens, others cost themselves their connection."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from protocol.chain.block import Block, block_hash, encode_header
from protocol.chain.script import address_script
from protocol.chain.transaction import OutPoint, Transaction, TxInput, TxOutput
from protocol.node.effects import Punish, Send
from protocol.units import COIN, NetworkId, OperatorKey
from tests.support import embedded_chain as made
from tests.support.chain_nodes import NETWORK, ChainNetwork, ChainNode
from zenp2p.chain.embedded.messages import (
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
from zenp2p.chain.embedded.peers import (
    HEADERS_ASKED_PER_SECOND,
    REPLY_MILLISECONDS,
    REQUESTS_PER_SECOND,
    SERVED_BYTES_PER_SECOND,
    STRIKES_MAX,
)
from zenp2p.chain.embedded.sync import OFFER_MILLISECONDS, OFFERS_MAX, PUSHED_DEPTH_MAX, Action

NOW = made.START * 1_000 + 1_000_000
STRANGER = OperatorKey(b"s" * 32)
OTHERS = [OperatorKey(bytes([number]) * 32) for number in range(10)]


def network(count: int, **options: object) -> ChainNetwork:
    """Return so many nodes of one chain."""
    definition = made.definition()
    names = [f"node {number}" for number in range(count)]
    return ChainNetwork([ChainNode(definition, name) for name in names], **options)  # type: ignore[arg-type]


def lone_node() -> tuple[ChainNode, made.Branch]:
    """Return a node, and a branch of three blocks that it has."""
    definition = made.definition()
    node = ChainNode(definition, "lone")
    branch = made.Branch(definition)
    branch.grow(3)
    made.feed(node.chain, branch.blocks)
    return node, branch


def said(actions: Sequence[Action], to: OperatorKey = STRANGER) -> list[ChainMessage]:
    """Return the messages sent to a peer."""
    return [unpack(each.data) for each in actions if isinstance(each, Send) and each.peer == to]


def punished(actions: Sequence[Action]) -> list[str]:
    """Return the reasons for which a peer is punished."""
    return [each.reason for each in actions if isinstance(each, Punish)]


def greeted(node: ChainNode, now: int = NOW, peer: OperatorKey = STRANGER) -> list[ChainMessage]:
    """Connect a peer and return what it is asked."""
    return said(node.sync.tick(now, [peer]), peer)


def headers(blocks: Sequence[Block]) -> Headers:
    """Return a reply with the blocks' headers."""
    return Headers(network=NETWORK, headers=tuple(encode_header(block.header) for block in blocks))


def pushed(block: Block) -> NewBlock:
    """Return the announcement of a block, whole."""
    return NewBlock(network=NETWORK, header=block.raw[:80], block=block.raw)


def tell(
    node: ChainNode, message: ChainMessage, now: int = NOW, peer: OperatorKey = STRANGER
) -> list[Action]:
    """Hand a message of a peer to the node."""
    return node.sync.receive(peer, pack(message), now)


class TestConvergence:
    """Honest nodes end on one tip."""

    def test_a_mined_block_reaches_everybody(self) -> None:
        net = network(4)
        net.tick()
        net.mine(net.nodes[0])
        assert len(net.tips()) == 1 and net.nodes[3].chain.tip()[0] == 1

    def test_what_was_checked_is_handed_on_at_once(self) -> None:
        """Along a line of nodes a block and a payment reach the last one without anybody's clock ticking."""
        net = network(4)
        keys = [node.key for node in net.nodes]
        net.cut = {frozenset((one, other)) for at, one in enumerate(keys) for other in keys[at + 2 :]}
        net.tick()
        net.mine(net.nodes[0])
        assert len(net.tips()) == 1
        coin = made.allocation(net.nodes[0].chain.definition)
        payment = made.pay("alice", [coin], [(made.address_of("bob"), 1_000 * COIN)])
        net.carry_out(net.nodes[3], net.nodes[3].sync.submit_transaction(payment.raw))
        net.deliver()
        assert payment.txid in net.nodes[0].pool

    def test_a_newcomer_gets_the_whole_chain_by_headers(self) -> None:
        net = network(2)
        late = net.nodes[1]
        net.cut.add(frozenset((net.nodes[0].key, late.key)))
        for _ in range(50):
            net.mine(net.nodes[0])
        net.cut.clear()
        net.tick()
        for _ in range(3):
            net.tick()
        assert late.chain.tip() == net.nodes[0].chain.tip()
        assert net.punished == []

    def test_partitioned_nodes_agree_on_the_longer_branch(self) -> None:
        net = network(4)
        net.tick()
        left, right = net.nodes[:2], net.nodes[2:]
        net.cut = {frozenset((one.key, other.key)) for one in left for other in right}
        for _ in range(5):
            net.mine(net.nodes[0])
        for _ in range(8):
            net.mine(net.nodes[2])
        longer = net.nodes[2].chain.tip()
        net.cut.clear()
        for _ in range(10):
            net.tick()
        assert {node.chain.tip() for node in net.nodes} == {longer}
        assert net.punished == []

    def test_two_miners_at_once_settle_with_the_next_block(self) -> None:
        net = network(3)
        net.tick()
        net.cut.add(frozenset((net.nodes[0].key, net.nodes[1].key)))
        net.mine(net.nodes[0])
        net.now_ms -= 1_000
        net.mine(net.nodes[1])
        net.cut.clear()
        net.tick()
        net.mine(net.nodes[2])
        net.tick()
        assert len(net.tips()) == 1

    @pytest.mark.parametrize("seed", range(5))
    def test_lost_messages_delay_and_do_not_divide(self, seed: int) -> None:
        """With a third of all messages lost, comparing chains still brings everybody together."""
        net = network(3, seed=seed, loss=0.33)
        for number in range(20):
            net.mine(net.nodes[number % 3])
            net.tick()
        net.loss = 0.0
        for _ in range(20):
            net.tick()
        assert len({node.chain.tip_record.work for node in net.nodes}) == 1
        net.mine(net.nodes[0])  # of equal branches each node keeps the one it saw first
        for _ in range(20):
            net.tick()
        assert len(net.tips()) == 1

    def test_a_payment_reaches_every_pool_and_is_mined_elsewhere(self) -> None:
        net = network(3)
        net.tick()
        definition = net.nodes[0].chain.definition
        payment = made.pay("alice", [made.allocation(definition)], [(made.address_of("bob"), 1_000 * COIN)])
        net.carry_out(net.nodes[0], net.nodes[0].sync.submit_transaction(payment.raw))
        net.deliver()
        assert all(payment.txid in node.pool for node in net.nodes)
        net.mine(net.nodes[2])
        assert all(len(node.pool) == 0 for node in net.nodes)
        raw = net.nodes[0].chain.block(net.nodes[0].chain.tip()[1])
        assert raw is not None and payment.raw in raw

    def test_a_newcomer_gets_the_pool_too(self) -> None:
        net = network(2)
        net.cut.add(frozenset(node.key for node in net.nodes))
        definition = net.nodes[0].chain.definition
        payment = made.pay("alice", [made.allocation(definition)], [(made.address_of("bob"), 1_000 * COIN)])
        net.carry_out(net.nodes[0], net.nodes[0].sync.submit_transaction(payment.raw))
        net.tick()
        net.cut.clear()
        net.tick()
        assert payment.txid in net.nodes[1].pool

    def test_large_blocks_are_announced_by_header_and_fetched(self) -> None:
        net = network(2)
        net.tick()
        definition = net.nodes[0].chain.definition
        outputs = [(made.address_of(f"payee {number}"), COIN // 10) for number in range(2_500)]
        change = 1_000 * COIN - 250 * COIN
        payment = made.pay(
            "alice", [made.allocation(definition)], [*outputs, (made.address_of("alice"), change)]
        )
        net.carry_out(net.nodes[0], net.nodes[0].sync.submit_transaction(payment.raw))
        net.deliver()
        net.mine(net.nodes[0])
        raw = net.nodes[0].chain.block(net.nodes[0].chain.tip()[1])
        assert raw is not None and len(raw) > PUSHED_BLOCK_MAX
        assert len(net.tips()) == 1

    def test_quiet_nodes_say_little(self) -> None:
        """Nodes that agree exchange one comparison every few seconds, nothing else."""
        net = network(3)
        net.mine(net.nodes[0])
        for _ in range(10):
            net.tick()
        before = net.sent
        for _ in range(30):
            net.tick()
        assert net.sent - before <= 3 * 30


class TestFaults:
    """What a peer does wrong costs that peer, and only when it is its fault."""

    def test_garbage_and_foreign_networks_are_punished(self) -> None:
        node, _ = lone_node()
        for data in (b"\x03garbage", b"\x02", b"", b"\x03" + b"\x91" * 1_000):
            assert len(punished(ChainNode(node.chain.definition, "n").sync.receive(STRANGER, data, NOW))) == 1
        foreign = PoolRequest(network=NetworkId(b"x" * 32), known=())
        assert "another network" in punished(tell(node, foreign))[0]

    def test_a_punished_peer_is_not_listened_to_any_more(self) -> None:
        node, _ = lone_node()
        node.sync.receive(STRANGER, b"\x03garbage", NOW)
        assert tell(node, PoolRequest(network=NETWORK, known=())) == []
        assert all(each.peer != STRANGER for each in node.sync.tick(NOW, [STRANGER]))

    def test_an_invalid_block_is_punished_and_nothing_changes(self) -> None:
        node, branch = lone_node()
        branch.grow(1, fees=1)  # creates a zatoshi too much
        before = node.chain.tip()
        assert "subsidy and fees" in punished(tell(node, pushed(branch.blocks[-1])))[0]
        assert node.chain.tip() == before

    def test_a_block_with_too_little_work_is_punished(self) -> None:
        node, branch = lone_node()
        header = replace(made.make_block(branch.chain, branch.blocks[-1], 4).header, nonce=0)
        while int.from_bytes(block_hash(header), "little") <= branch.chain.target:
            header = replace(header, nonce=header.nonce + 1)
        actions = tell(node, NewBlock(network=NETWORK, header=encode_header(header), block=b""))
        assert "target" in punished(actions)[0]

    def test_headers_that_do_not_link_are_punished(self) -> None:
        node, branch = lone_node()
        greeted(node)
        branch.grow(3)
        assert "follow no block" in punished(tell(node, headers(branch.blocks[5:])))[0]

    def test_a_false_signature_is_punished_and_an_unknown_coin_is_not(self) -> None:
        node, _ = lone_node()
        coin = made.allocation(node.chain.definition)
        thief = Transaction(
            1,
            (TxInput(coin[0], b"\x01\x01\x01\x02"),),
            (TxOutput(1, address_script(made.TREASURY)),),
        )
        unknown = made.pay("alice", [(OutPoint(b"u" * 32, 0), coin[1])], [(made.TREASURY, 1)])
        assert tell(node, NewTransaction(network=NETWORK, transaction=unknown.raw)) == []
        assert len(punished(tell(node, NewTransaction(network=NETWORK, transaction=thief.raw)))) == 1

    def test_a_conflict_is_dropped_without_blame(self) -> None:
        node, _ = lone_node()
        coin = made.allocation(node.chain.definition)
        first = made.pay("alice", [coin], [(made.TREASURY, 5)])
        second = made.pay("alice", [coin], [(made.TREASURY, 6)])
        tell(node, NewTransaction(network=NETWORK, transaction=first.raw))
        assert tell(node, NewTransaction(network=NETWORK, transaction=second.raw)) == []
        assert first.txid in node.pool and second.txid not in node.pool

    def test_another_block_than_asked_for_is_punished(self) -> None:
        node, branch = lone_node()
        greeted(node)
        branch.grow(2)
        (request,) = said(tell(node, headers(branch.blocks[4:])))
        assert isinstance(request, BlocksRequest) and request.hashes[0] == block_hash(branch.blocks[4].header)
        wrong = Blocks(network=NETWORK, blocks=(branch.blocks[5].raw,))
        assert "asked for" in punished(tell(node, wrong))[0]

    def test_a_peer_that_never_answers_is_given_up(self) -> None:
        node, _ = lone_node()
        greeted(node)
        now, reasons = NOW, []
        for _ in range(STRIKES_MAX + 1):
            now += REPLY_MILLISECONDS
            reasons += punished(node.sync.tick(now, [STRANGER]))
        assert reasons == ["does not answer requests for headers"]

    def test_a_clock_set_back_does_not_wait_for_ever(self) -> None:
        node, _ = lone_node()
        greeted(node)
        reasons = []
        for step in range(1, STRIKES_MAX + 2):
            reasons += punished(node.sync.tick(NOW - 10_000_000 * step, [STRANGER]))
        assert len(reasons) == 1

    def test_offering_headers_without_the_blocks_is_given_up(self) -> None:
        """Blocks that are offered and then missing cost the connection, even when headers come in between."""
        node, branch = lone_node()
        branch.grow(2)
        greeted(node)
        now, reasons = NOW, []
        for _ in range(STRIKES_MAX):
            tell(node, headers(branch.blocks[4:]), now)
            reasons += punished(tell(node, Blocks(network=NETWORK, blocks=()), now))
            now += REPLY_MILLISECONDS - 1
            node.sync.tick(now, [STRANGER])
        assert reasons == ["does not hand over the blocks it offers"]

    def test_unasked_replies_are_ignored(self) -> None:
        node, branch = lone_node()
        branch.grow(1)
        assert tell(node, headers(branch.blocks[4:])) == []
        assert tell(node, Blocks(network=NETWORK, blocks=(branch.blocks[4].raw,))) == []
        assert node.chain.tip()[0] == 3

    def test_a_block_from_the_future_waits_and_nobody_is_blamed(self) -> None:
        node, branch = lone_node()
        block = made.make_block(branch.chain, branch.blocks[-1], 4, spacing=1_000_000)
        early = (block.header.time - 3) * 1_000
        assert tell(node, pushed(block), early) == []
        assert node.chain.tip()[0] == 3
        tell(node, pushed(block), early + 1_000)
        assert node.chain.tip()[0] == 4

    def test_headers_from_the_future_are_cut_off_and_the_rest_is_taken(self) -> None:
        node, branch = lone_node()
        branch.grow(1)
        late = made.make_block(branch.chain, branch.blocks[-1], 5, spacing=10_000_000)
        greeted(node)
        (request,) = said(tell(node, headers([branch.blocks[4], late])))
        assert isinstance(request, BlocksRequest) and len(request.hashes) == 1


class TestLimits:
    """Every count in an exchange has its limit."""

    def test_requests_above_the_allowance_are_not_served(self) -> None:
        node, _ = lone_node()
        request = HeadersRequest(network=NETWORK, locator=(node.chain.block_hash(0) or b"",))
        replies = [tell(node, request) for _ in range(REQUESTS_PER_SECOND + 5)]
        assert sum(bool(each) for each in replies) == REQUESTS_PER_SECOND
        assert said(tell(node, request, NOW + 1_000))

    def test_bytes_above_the_allowance_are_not_served(self) -> None:
        """Whoever asks for large blocks faster than it could check them waits."""
        alice, bob = made.address_of("alice"), made.address_of("bob")
        definition = made.definition([(alice, COIN)] * 9)
        node, branch = ChainNode(definition, "lone"), made.Branch(definition)
        coins = [made.allocation(definition, 2 + number) for number in range(9)]
        branch.grow(
            1, [made.pay("alice", [coin], [(bob, 1)] * 2_700) for coin in coins], fees=9 * (COIN - 2_700)
        )
        made.feed(node.chain, branch.blocks)
        request = BlocksRequest(network=NETWORK, hashes=(branch.tip,))
        served = [bool(tell(node, request)) for _ in range(8)]
        size = len(branch.blocks[1].raw)
        assert size > 800_000
        assert served == [True] * (SERVED_BYTES_PER_SECOND // size) + [False] * (
            8 - SERVED_BYTES_PER_SECOND // size
        )
        assert said(tell(node, request, NOW + 1_000))

    def test_unknown_parents_ask_for_headers_a_few_times_a_second(self) -> None:
        node, branch = lone_node()
        greeted(node)
        branch.grow(2)
        asked = 0
        for _ in range(20):
            tell(node, headers([]))
            asked += len(said(tell(node, pushed(branch.blocks[5]))))
        assert asked == HEADERS_ASKED_PER_SECOND - 1

    def test_a_reply_stays_within_one_message(self) -> None:
        node, branch = lone_node()
        hashes = tuple(block_hash(block.header) for block in branch.blocks[1:])
        (reply,) = said(tell(node, BlocksRequest(network=NETWORK, hashes=(*hashes, b"u" * 32, hashes[0]))))
        assert isinstance(reply, Blocks) and len(reply.blocks) == 3

    def test_an_old_block_that_is_pushed_is_not_stored(self) -> None:
        node, branch = lone_node()
        old = branch.fork(1)
        old.grow(1, salt=7)
        branch.grow(PUSHED_DEPTH_MAX)
        made.feed(node.chain, branch.blocks)
        assert tell(node, pushed(old.blocks[2])) == []
        assert node.chain.record(block_hash(old.blocks[2].header)) is None

    def test_slow_offers_give_way(self) -> None:
        """Peers that hold every place with branches they never hand over do not shut others out."""
        node, branch = lone_node()
        rivals = []
        for number in range(OFFERS_MAX + 1):
            rival = branch.fork(3)
            rival.grow(2, salt=number + 1)
            rivals.append(rival)
        peers = OTHERS[: OFFERS_MAX + 1]
        node.sync.tick(NOW, peers)
        for peer, rival in zip(peers, rivals, strict=True):
            tell(node, headers(rival.blocks[4:]), NOW, peer)
        late, now = peers[-1], NOW + OFFER_MILLISECONDS
        node.sync.tick(now, peers)
        while not any(isinstance(each, HeadersRequest) for each in greeted_again(node, now, peers, late)):
            now += 1_000
            assert now < NOW + 3 * OFFER_MILLISECONDS
        (request, *_) = said(tell(node, headers(rivals[-1].blocks[4:]), now, late), late)
        assert isinstance(request, BlocksRequest)

    def test_a_second_peer_is_asked_when_the_first_is_slow(self) -> None:
        node, branch = lone_node()
        branch.grow(2)
        node.sync.tick(NOW, OTHERS[:2])
        offered = headers(branch.blocks[4:])
        assert said(tell(node, offered, NOW, OTHERS[0]), OTHERS[0])
        assert said(tell(node, offered, NOW, OTHERS[1]), OTHERS[1]) == []
        later = [
            m
            for m in said(node.sync.tick(NOW + 1_500, OTHERS[:2]), OTHERS[1])
            if isinstance(m, BlocksRequest)
        ]
        assert len(later) == 1


def greeted_again(
    node: ChainNode, now: int, peers: list[OperatorKey], peer: OperatorKey
) -> list[ChainMessage]:
    """Let a second pass and return what one of the peers is asked."""
    return said(node.sync.tick(now, peers), peer)
