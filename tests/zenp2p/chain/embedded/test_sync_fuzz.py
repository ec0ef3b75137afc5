"""Whatever bytes peers send, the exchange raises nothing, stays within its limits, and stays right."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from protocol.chain.block import Block, block_hash
from protocol.codec import MESSAGE_SIZE_MAX
from protocol.node.effects import Punish, Send
from protocol.units import OperatorKey
from tests.support import embedded_chain as made
from tests.support.chain_model import check_chain
from tests.support.chain_nodes import NETWORK, ChainNode
from zenp2p.chain.embedded import messages as m
from zenp2p.chain.embedded.definition import ChainDefinition

PEERS = [OperatorKey(bytes([number]) * 32) for number in range(1, 4)]
START_MS = made.START * 1_000 + 100_000


def branches() -> tuple[ChainDefinition, list[Block]]:
    """Return blocks of two branches and one that is invalid."""
    definition = made.definition()
    one = made.Branch(definition)
    one.grow(4)
    two = one.fork(1)
    two.grow(5, salt=1)
    bad = made.make_block(definition, one.blocks[-1], 5, fees=3)
    return definition, [*one.blocks, *two.blocks[2:], bad]


DEFINITION, BLOCKS = branches()
HASHES = st.sampled_from([block_hash(block.header) for block in BLOCKS]) | st.binary(min_size=32, max_size=32)
RAWS = st.sampled_from([block.raw for block in BLOCKS])
HEADERS = st.sampled_from([block.raw[:80] for block in BLOCKS]) | st.binary(min_size=80, max_size=80)
PAYMENT = made.pay("alice", [made.allocation(DEFINITION)], [(made.address_of("bob"), 5)]).raw
NETWORKS = st.sampled_from([bytes(NETWORK)] * 9 + [b"x" * 32])


def lists(values: st.SearchStrategy[bytes], least: int, most: int) -> st.SearchStrategy[tuple[bytes, ...]]:
    """Tuples of values."""
    return st.lists(values, min_size=least, max_size=most).map(tuple)


MESSAGES: st.SearchStrategy[m.ChainMessage] = st.one_of(
    st.builds(m.HeadersRequest, network=NETWORKS, locator=lists(HASHES, 1, 5)),
    st.builds(m.Headers, network=NETWORKS, headers=lists(HEADERS, 0, 6)),
    st.integers(0, len(BLOCKS)).map(
        lambda at: m.Headers(network=NETWORK, headers=tuple(block.raw[:80] for block in BLOCKS[1:at]))
    ),
    st.builds(m.BlocksRequest, network=NETWORKS, hashes=lists(HASHES, 1, 5)),
    st.builds(m.Blocks, network=NETWORKS, blocks=lists(RAWS | st.binary(min_size=81, max_size=200), 0, 5)),
    RAWS.map(lambda raw: m.NewBlock(network=NETWORK, header=raw[:80], block=raw)),
    st.builds(m.NewBlock, network=NETWORKS, header=HEADERS, block=st.just(b"")),
    st.builds(
        m.NewTransaction, network=NETWORKS, transaction=st.binary(min_size=1, max_size=99) | st.just(PAYMENT)
    ),
    st.builds(m.PoolRequest, network=NETWORKS, known=lists(HASHES, 0, 3)),
)


@st.composite
def spoilt(draw: st.DrawFn) -> bytes:
    """A message with some bytes changed, cut off or added."""
    data = bytearray(m.pack(draw(MESSAGES)))
    for at, value in draw(st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=3)):
        data[at % len(data)] = value
    return bytes(data[: draw(st.integers(0, 500))]) + draw(st.binary(max_size=5))


STEPS = st.tuples(
    st.sampled_from(PEERS), MESSAGES.map(m.pack) | spoilt() | st.binary(max_size=50), st.integers(0, 4_000)
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(STEPS, max_size=30))
def test_any_messages_in_any_order(steps: list[tuple[OperatorKey, bytes, int]]) -> None:
    node = ChainNode(DEFINITION, "fuzzed")
    now, banned = START_MS, set[OperatorKey]()
    node.sync.tick(now, PEERS)
    for peer, data, pause in steps:
        now += pause
        actions = [*node.sync.receive(peer, data, now), *node.sync.tick(now, PEERS)]
        for action in actions:
            assert action.peer in PEERS
            match action:
                case Punish():
                    assert action.peer not in banned and action.reason
                    banned.add(action.peer)
                case Send():
                    assert action.peer not in banned
                    assert len(action.data) <= MESSAGE_SIZE_MAX
                    m.unpack(action.data)
        assert sum(1 for each in node.sync._peers.values() if each.offer is not None) <= 4
    best = max((block for block in BLOCKS[:-1] if node.chain.record(block_hash(block.header))), key=height_of)
    assert node.chain.tip()[0] == height_of(best)
    assert node.chain.record(block_hash(BLOCKS[-1].header)) is None
    check_chain(node.chain, node.store)


def height_of(block: Block) -> int:
    """Return the height of one of the blocks: they are a second apart."""
    return block.header.time - made.START
