"""A treasury on a real node's chain: paymasters, each with an index of its own over that node.

Everything between a paymaster's tool and litecoind is the daemon's own: the RPC methods, the index, the
follower, the handing in. Only the blocks, which the daemon fetches on its loop, are fetched here at once.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from protocol.chain.address import encode_address
from protocol.chain.encoding import parse_display_hash
from protocol.chain.rules import LITECOIN_REGTEST
from protocol.chain.transaction import OutPoint
from protocol.codec import replace
from protocol.crypto import secp256k1_public_key, sha256
from protocol.genesis import Baton, Genesis, Treasury
from protocol.payout.light import VerifiedList
from protocol.payout.payment_file import decode_payment_file, finish_payment
from protocol.payout.treasury import redeem_script, treasury_address
from tests.support.litecoind import LitecoinNode
from tests.support.litecoind_source import LitecoindSource
from tests.support.method_node import MethodNode
from tests.support.payout_world import World, make_genesis, valid, verified_first
from zenp2p.chain.broadcast import Broadcast
from zenp2p.chain.follower import Follower
from zenp2p.chain.index import ChainIndex
from zenp2p.chain.rpc.amounts import to_zatoshi
from zenp2p.chain.rpc.service import RpcService
from zenp2p.devnet.litecoin_client import LitecoinClient
from zenp2p.paymaster import Paymaster, Sent, combine_files
from zenp2p.store import MemoryStore

PAYMASTERS = 5
EVENTS_MAX = 10_000


class NodeView:
    """One paymaster's own node: an index of its own, followed before every question. Fulfils `Client`."""

    def __init__(self, node: LitecoinNode, genesis: Genesis) -> None:
        self._node, self._genesis, self._store = node, genesis, MemoryStore()
        self.index = ChainIndex(self._store, genesis.chain, first_coins=False)
        self.connect()
        self.rpc = MethodNode(genesis, self.index, self._broadcast)
        self.before_call: Callable[[str], None] = lambda method: None
        """Called before each question with the method's name; what it raises kills the tool there."""
        self.after_call: Callable[[str], None] = lambda method: None
        """Called when the answer is there and has not reached the tool."""

    def call(self, method: str, params: Mapping[str, Any] | Sequence[Any] | None = None) -> Any:
        """Answer as the daemon would."""
        self.before_call(method)
        self.follow()
        try:
            return self.rpc.call(method, params)
        finally:
            self.after_call(method)

    def connect(self) -> None:
        """Find the node where it runs now, after a restart."""
        process = self._node.process
        self._client = LitecoinClient(process.port, process.cookie)
        self._follower = Follower(LitecoindSource(self._client), self.index)

    def close(self) -> None:
        """Close the connection to the node."""
        self._client.close()

    def follow(self) -> None:
        """Bring the index to the node's chain."""
        for _ in self._follower.follow(EVENTS_MAX):
            pass

    async def _broadcast(self, raw: bytes) -> Broadcast:
        """Hand it in as the daemon does, by a service of this one question's loop."""
        service = RpcService(self._genesis, self._store, self._node.settings)
        async with service._client:
            return await service.broadcast(raw)


@dataclass
class LitecoindTreasury:
    """The treasury of one network on a node's chain, with five keys and a list to pay."""

    node: LitecoinNode
    name: str
    """Gives the keys, so that every test has a treasury of its own on the one chain."""
    baton_amount: int
    addresses: int = 4
    subsidy: int = LITECOIN_REGTEST.initial_subsidy
    secrets: tuple[bytes, ...] = field(init=False)
    genesis: Genesis = field(init=False)
    world: World = field(init=False)
    verified: VerifiedList = field(init=False)
    desk: NodeView = field(init=False)
    """The first paymaster's node."""
    _views: list[NodeView] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.secrets = tuple(sha256(f"{self.name} {number}".encode()) for number in range(PAYMASTERS))
        keys = tuple(secp256k1_public_key(secret) for secret in self.secrets)
        treasury = Treasury(required=2, public_keys=keys)
        txid = self.node.fund(treasury_address(treasury), self.baton_amount)
        self.node.mine()
        self.genesis = replace(
            make_genesis(),
            name=self.name,
            chain=replace(LITECOIN_REGTEST, initial_subsidy=self.subsidy),
            start=parse_display_hash(self.node.client.block_hash(0)),
            treasury=treasury,
            baton=Baton(txid=parse_display_hash(txid), index=0),
        )
        self.world = World(genesis=self.genesis)
        names = (f"{self.name} operator {number}" for number in range(self.addresses))
        operators = sorted(sha256(name.encode()) for name in names)
        for seq in (3, 4, 5):
            self.world.judge(seq, [valid(key) for key in operators])
        self.world.bury(1)
        self.verified = verified_first(self.world)
        self.desk = self.view()

    def close(self) -> None:
        """Leave the node: it waits for open connections when it is to end."""
        for view in self._views:
            view.close()

    @property
    def address(self) -> bytes:
        """The treasury's 21-byte address."""
        return treasury_address(self.genesis.treasury)

    @property
    def redeem_script(self) -> bytes:
        """What the paymasters' signatures must fulfil."""
        return redeem_script(self.genesis.treasury)

    def view(self) -> NodeView:
        """Return another paymaster's node."""
        self._views.append(NodeView(self.node, self.genesis))
        return self._views[-1]

    def paymaster(self, view: NodeView | None = None) -> Paymaster:
        """Return the tool of a paymaster with a node of its own, the first one's unless told otherwise."""
        return Paymaster(self.genesis, view or self.desk)

    def signed(self, signers: Sequence[int] = (1, 3), fee_rate: int = 1_000) -> bytes:
        """Return the next payment, built by the first paymaster and signed by some."""
        paymaster = self.paymaster()
        file = paymaster.build(self.verified, fee_rate)
        files = [paymaster.sign(file, self.verified, self.secrets[number]) for number in signers]
        return combine_files(files, self.genesis)

    def send(self, file: bytes, view: NodeView | None = None) -> Sent:
        """Broadcast a file."""
        return self.paymaster(view).broadcast(file, self.verified)

    def deposit(self, *amounts: int) -> list[OutPoint]:
        """Have the treasurer pay in, in one transaction that is not mined yet."""
        txid = parse_display_hash(self.node.fund(self.address, *amounts))
        return [OutPoint(txid, index) for index in range(len(amounts))]

    def raw(self, file: bytes) -> bytes:
        """Return the bytes that a fully signed file sends."""
        return finish_payment(decode_payment_file(file, self.genesis), self.genesis).raw

    def restart_node(self) -> None:
        """Start the node anew on the same chain: what waited is forgotten if it was told to."""
        self.close()
        self.node.process.stop()
        self.node.process.start()
        for view in self._views:
            view.connect()

    def held(self, addresses: Sequence[bytes]) -> dict[bytes, int]:
        """Return what the node itself finds at each address, by a scan of all unspent outputs."""
        texts = {encode_address(address, LITECOIN_REGTEST.prefixes): address for address in addresses}
        scan = self.node.client.call("scantxoutset", "start", [f"addr({text})" for text in texts])
        found = dict.fromkeys(addresses, 0)
        for output in scan["unspents"]:
            text = output["desc"].removeprefix("addr(").partition(")")[0]
            found[texts[text]] += to_zatoshi(output["amount"])
        return found

    def check_paid(self) -> None:
        """Every entry has its amount, by the node's own count, and not a zatoshi more."""
        wanted = {entry.address: entry.amount for entry in self.verified.entries}
        assert self.held(list(wanted)) == wanted

    def paid_chunks(self) -> list[int]:
        """Return the chunks that stand along the baton on the chain as it is now."""
        return [paid["chunk"] for paid in self.desk.call("treasury.baton")["paid"]]
