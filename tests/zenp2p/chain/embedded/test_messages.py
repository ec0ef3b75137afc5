"""Messages of the chain exchange: one encoding each, every count bounded."""

from collections.abc import Callable

import pytest

from protocol.codec import MESSAGE_SIZE_MAX, decode, encode
from protocol.errors import MalformedMessage
from zenp2p.chain.embedded import messages as m

N = b"n" * 32
LARGEST: list[Callable[[], m.ChainMessage]] = [
    lambda: m.HeadersRequest(network=N, locator=(bytes(32),) * m.LOCATOR_MAX),
    lambda: m.Headers(network=N, headers=(bytes(80),) * m.HEADERS_MAX),
    lambda: m.BlocksRequest(network=N, hashes=(bytes(32),) * m.BLOCKS_MAX),
    lambda: m.Blocks(network=N, blocks=(bytes(m.BLOCKS_BYTES_MAX // m.BLOCKS_MAX),) * m.BLOCKS_MAX),
    lambda: m.Blocks(network=N, blocks=(bytes(m.BLOCKS_BYTES_MAX),)),
    lambda: m.NewBlock(network=N, header=bytes(80), block=bytes(m.PUSHED_BLOCK_MAX)),
    lambda: m.NewBlock(network=N, header=bytes(80), block=b""),
    lambda: m.NewTransaction(network=N, transaction=bytes(m.TRANSACTION_BYTES_MAX)),
    lambda: m.PoolRequest(network=N, known=(bytes(32),) * m.POOL_IDS_MAX),
    lambda: m.PoolRequest(network=N, known=()),
]


@pytest.mark.parametrize("make", LARGEST)
def test_the_largest_of_each_fits_and_comes_back(make: Callable[[], m.ChainMessage]) -> None:
    message = make()
    data = m.pack(message)
    assert len(data) <= MESSAGE_SIZE_MAX
    assert m.unpack(data) == message


@pytest.mark.parametrize(
    "message",
    [
        m.HeadersRequest(network=N, locator=(bytes(32),) * (m.LOCATOR_MAX + 1)),
        m.HeadersRequest(network=N, locator=()),
        m.Headers(network=N, headers=(bytes(80),) * (m.HEADERS_MAX + 1)),
        m.Headers(network=N, headers=(bytes(79),)),
        m.BlocksRequest(network=N, hashes=(bytes(32),) * (m.BLOCKS_MAX + 1)),
        m.BlocksRequest(network=N, hashes=()),
        m.Blocks(network=N, blocks=(bytes(80),)),
        m.Blocks(network=N, blocks=(bytes(81),) * (m.BLOCKS_MAX + 1)),
        m.NewTransaction(network=N, transaction=b""),
        m.NewTransaction(network=N, transaction=bytes(m.TRANSACTION_BYTES_MAX + 1)),
        m.PoolRequest(network=N, known=(bytes(32),) * (m.POOL_IDS_MAX + 1)),
        m.PoolRequest(network=b"short", known=()),
    ],
    ids=lambda message: f"{type(message).__name__} {len(encode(message))}",
)
def test_one_more_than_the_limit_is_refused(message: m.ChainMessage) -> None:
    with pytest.raises(MalformedMessage):
        m.unpack(m.pack(message))


def test_an_announced_block_is_the_headers() -> None:
    with pytest.raises(ValueError, match="not the header's"):
        m.NewBlock(network=N, header=bytes(80), block=b"\x01" + bytes(99))


def test_another_kind_byte_or_tag_is_refused() -> None:
    data = m.pack(m.PoolRequest(network=N, known=()))
    for bad in (b"", data[1:], b"\x02" + data[1:], data + b"\x00", data.replace(b"pool?", b"poll?")):
        with pytest.raises(MalformedMessage):
            m.unpack(bad)


def test_a_message_is_not_read_as_another_kind() -> None:
    with pytest.raises(MalformedMessage):
        decode(encode(m.Headers(network=N, headers=())), m.Blocks)
