"""Announcements on a real node: its wallet signs what we build, it relays that, our index follows it."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest

from protocol.chain.address import decode_address
from protocol.codec import replace
from protocol.parameters import DEVNET
from protocol.tracking.announced import Sighting
from protocol.tracking.announcement import Announcement
from protocol.units import COIN
from tests.support.announcing import announce
from tests.support.announcing_node import founded
from tests.support.index_node import IndexNode
from tests.support.litecoind import RULES, LitecoinNode, litecoin_node
from tests.support.litecoind_source import follow, open_index
from zenp2p.announcing import Announcer
from zenp2p.chain.rpc.dialect import LITECOIND
from zenp2p.store import MemoryStore

SMALL = COIN // 100
DEPTH = 3


@pytest.fixture(scope="module")
def node() -> Iterator[LitecoinNode]:
    with litecoin_node(extra=("acceptnonstdtxn=0", "disablewallet=0")) as node:
        yield node


class Beside(IndexNode):
    """Our RPC beside the node: the index of its chain, and its own pool."""

    def __init__(self, node: LitecoinNode) -> None:
        self.node = node
        self.index = open_index(MemoryStore())
        super().__init__(self.index, RULES)
        follow(node.client, self.index)

    def call(self, method: str, params: Mapping[str, Any] | Sequence[Any] | None = None) -> Any:
        if method == "node.status":
            return {"chain": {"dialect": LITECOIND.name}}
        if method == "chain.broadcast" and isinstance(params, Mapping):
            return {"txid": self.node.client.send(bytes.fromhex(params["transaction"])), "state": "sent"}
        return super().call(method, params)

    def sightings(self) -> tuple[Sighting, ...]:
        """What the chain announces now."""
        follow(self.node.client, self.index)
        return self.index.announcements.page()


class Owner:
    """A stake in the node's own wallet."""

    def __init__(self, node: LitecoinNode) -> None:
        if not node.client.call("listwallets"):
            node.client.call("createwallet", "stakes")
        self.node = node
        self.address: str = node.client.call("getnewaddress", "", "legacy")
        stake = decode_address(self.address, RULES.prefixes)
        node.fund(stake, DEVNET.stake, SMALL)
        node.mine()
        self.beside = Beside(node)
        self.announcer = Announcer(replace(founded(), chain=RULES), self.beside)

    def announce(self, announcement: Announcement) -> dict[str, object]:
        """Build, have the wallet run the line that we show, send its answer, mine."""
        follow(self.node.client, self.beside.index)
        draft = self.announcer.build(announcement, self.address)
        (line,) = self.announcer.spender.sign_lines(draft.transaction)
        program, method, raw = line.split()
        assert program == "litecoin-cli"
        sent = self.announcer.send(json.dumps(self.node.client.call(method, raw), indent=2))
        self.node.mine()
        return sent


@pytest.mark.parametrize(
    "said",
    [
        announce(1, ip=b"\x08\x08\x08\x08"),
        announce(1, ip=bytes.fromhex("2a0104f8000000000000000000000001")),
        announce(1, fqdn="a.io"),
        announce(1, fqdn="a" * 37 + ".org"),
    ],
    ids=["IPv4", "IPv6", "short name", "80 bytes"],
)
def test_a_real_wallet_signs_it_and_a_real_node_relays_it(node: LitecoinNode, said: Announcement) -> None:
    owner = Owner(node)
    sent = owner.announce(said)
    assert sent["signed"] == [owner.address]
    found = owner.beside.sightings()[-1]
    assert (found.announcement, found.height) == (said, node.client.height())
    shown = node.client.call("getrawtransaction", sent["txid"], True)
    assert shown["vout"][0]["scriptPubKey"]["type"] == "nulldata"


def test_a_stale_block_takes_its_announcement_along(node: LitecoinNode) -> None:
    owner = Owner(node)
    owner.announce(announce(1, port=1))
    before = owner.beside.sightings()
    owner.announce(announce(1, port=2))
    node.mine(DEPTH - 1)
    stake = decode_address(owner.address, RULES.prefixes)
    counting = owner.beside.index.announcements.counting
    assert [one.announcement.port for one in owner.beside.sightings()[-2:]] == [1, 2]
    node.replace(DEPTH)
    assert owner.beside.sightings() == before
    claim = counting(stake, DEVNET)
    assert claim is not None and claim.sighting.announcement.port == 1
    node.mine()  # it waited in the node's pool, and comes back later
    assert owner.beside.sightings()[-1].announcement.port == 2
