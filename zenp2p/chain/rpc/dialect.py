"""How each kind and age of node wants to be asked, as a table, and which kind ours is.

Answers for: every call whose name, arguments or answer differ within the family is built
here from data, so that nobody else knows one node from another. A node is recognised by
the name and version that it gives itself; a stranger of the family gets the nearest
dialect by what it can do, and says so; anything else is refused. What addresses hold is
read by `address_answers`. Spec: `spec/external_chain.md`.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from protocol.chain.address import ZEN_MAINNET, ZEN_TESTNET, AddressKind, encode_address
from protocol.chain.encoding import display_hash
from protocol.chain.transaction import OutPoint
from protocol.errors import RequestError
from zenp2p.chain.rpc.amounts import amount_text
from zenp2p.chain.rpc.answers import Call
from zenp2p.chain.rpc.client import NodeClient
from zenp2p.chain.rpc.errors import BadAnswer, ForeignNode, NodeRefusal, printable


class AddressQuery(Enum):
    """How a node is asked what addresses hold."""

    SCAN = "scantxoutset"
    """Reads all unspent outputs, one scan at a time; the tip only."""
    INDEX = "getaddressutxos"
    """Looks into an index that is off unless its owner turned it on."""
    NONE = "none"


class FeeGuard(Enum):
    """What the second argument of sendrawtransaction is."""

    MAX_FEE_RATE = "maxfeerate"
    """A number of coins for 1,000 bytes; 0 for no limit."""
    ALLOW_HIGH_FEES = "allowhighfees"
    """A boolean."""


@dataclass(frozen=True, slots=True)
class Prevout:
    """An output to be signed for. `redeem_script` is empty unless it is a script hash's."""

    outpoint: OutPoint
    script: bytes
    amount: int
    redeem_script: bytes = b""


@dataclass(frozen=True, slots=True)
class Dialect:
    """What one kind of node says differently from its relatives. Hashes in calls are as they are shown."""

    name: str
    agents: tuple[str, ...]
    """The names that such nodes give themselves."""
    since: tuple[int, ...]
    """The first version that speaks so."""
    sign_method: str
    wallet_sign_method: str
    keys_first: bool
    """Whether the keys come before the outputs to be signed for."""
    prevout_amounts: bool
    data_outputs: bool
    """Whether it makes OP_RETURN outputs; if not, outputs are one object of addresses."""
    fee_guard: FeeGuard
    raw_block: int | bool
    """The argument that asks for a block's bytes."""
    address_query: AddressQuery
    lists_indexes: bool
    """Has getindexinfo."""
    certificates: bool
    """Blocks may hold certificates behind their transactions."""
    replay_tail: bool
    """Outputs name a block without which they are void."""

    def block_call(self, block_hash: str) -> Call:
        """Ask for a block's bytes."""
        return "getblock", (block_hash, self.raw_block)

    def transaction_call(self, txid: str, *, verbose: bool = False) -> Call:
        """Ask for a transaction: its bytes, or an object. The number, not the boolean, is known to all."""
        return "getrawtransaction", (txid, int(verbose))

    def create_call(
        self, inputs: Sequence[OutPoint], outputs: Sequence[tuple[str, int]], payload: bytes | None = None
    ) -> Call:
        """Ask for an unsigned transaction that pays zatoshi to addresses (text).

        Raises `RequestError` for an address that stands twice, which every node refuses, and for a
        payload where the node makes no such output.
        """
        spent = [{"txid": display_hash(each.txid), "vout": each.index} for each in inputs]
        paid = {address: amount_text(amount) for address, amount in outputs}
        if len(paid) != len(outputs):
            raise RequestError("an address stands twice in one transaction: its amounts must be added up")
        if not self.data_outputs:
            if payload is not None:
                raise RequestError(f"a node of the kind {self.name} makes no data outputs")
            return "createrawtransaction", (spent, paid)
        listed: list[Mapping[str, str]] = [{address: amount} for address, amount in paid.items()]
        if payload is not None:
            listed.append({"data": payload.hex()})
        return "createrawtransaction", (spent, listed)

    def sign_call(self, raw: str, prevouts: Sequence[Prevout], keys: Sequence[str]) -> Call:
        """Ask for signatures by keys (wallet import format) for the outputs named."""
        spent = [self._spent(each) for each in prevouts]
        if self.keys_first:
            return self.sign_method, (raw, list(keys), spent, "ALL")
        return self.sign_method, (raw, spent, list(keys), "ALL")

    def wallet_sign_call(self, raw: str) -> Call:
        """Ask for the signatures that the node's own wallet can make."""
        return self.wallet_sign_method, (raw,)

    def send_call(self, raw: str, *, any_fee: bool = False) -> Call:
        """Hand over a signed transaction; `any_fee` turns off the node's guard against absurd fees."""
        if not any_fee:
            return "sendrawtransaction", (raw,)
        return "sendrawtransaction", (raw, 0 if self.fee_guard is FeeGuard.MAX_FEE_RATE else True)

    def address_call(self, addresses: Sequence[str]) -> Call:
        """Ask for what is unspent at addresses; raises `RequestError` when the node cannot say.

        `address_answers.parse_unspent` reads the answer.
        """
        if self.address_query is AddressQuery.SCAN:
            return "scantxoutset", ("start", [f"addr({address})" for address in addresses])
        if self.address_query is AddressQuery.INDEX:
            return "getaddressutxos", ({"addresses": list(addresses), "chainInfo": True},)
        raise RequestError(f"this node ({self.name}) does not know what addresses hold: its index is off")

    def balance_call(self, addresses: Sequence[str]) -> Call:
        """Ask for the sum of what is unspent at addresses; raises `RequestError` when the node cannot say."""
        if self.address_query is AddressQuery.INDEX:
            return "getaddressbalance", ({"addresses": list(addresses)},)
        return self.address_call(addresses)

    def _spent(self, prevout: Prevout) -> dict[str, Any]:
        spent: dict[str, Any] = {
            "txid": display_hash(prevout.outpoint.txid),
            "vout": prevout.outpoint.index,
            "scriptPubKey": prevout.script.hex(),
        }
        if prevout.redeem_script:
            spent["redeemScript"] = prevout.redeem_script.hex()
        if self.prevout_amounts:
            spent["amount"] = amount_text(prevout.amount)
        return spent


BITCOIND = Dialect(
    name="bitcoind",
    agents=("Satoshi",),
    since=(0, 19),
    sign_method="signrawtransactionwithkey",
    wallet_sign_method="signrawtransactionwithwallet",
    keys_first=True,
    prevout_amounts=True,
    data_outputs=True,
    fee_guard=FeeGuard.MAX_FEE_RATE,
    raw_block=0,
    address_query=AddressQuery.SCAN,
    lists_indexes=True,
    certificates=False,
    replay_tail=False,
)
"""0.19 up to now."""
BITCOIND_17 = replace(
    BITCOIND,
    name="bitcoind-0.17",
    since=(0, 17),
    fee_guard=FeeGuard.ALLOW_HIGH_FEES,
    lists_indexes=False,
)
LITECOIND = replace(BITCOIND, name="litecoind", agents=("LitecoinCore",))
LITECOIND_17 = replace(BITCOIND_17, name="litecoind-0.17", agents=("LitecoinCore",))
ZEND_3 = Dialect(
    name="zend-3",
    agents=("zen", "zenai"),
    since=(3,),
    sign_method="signrawtransaction",
    wallet_sign_method="signrawtransaction",
    keys_first=False,
    prevout_amounts=False,
    data_outputs=False,
    fee_guard=FeeGuard.ALLOW_HIGH_FEES,
    raw_block=False,
    address_query=AddressQuery.INDEX,
    lists_indexes=False,
    certificates=True,
    replay_tail=True,
)
"""3.0 up to 6.0; from 6.0 on its own chain has a height after which it makes no transactions (-40)."""
ZEND_2 = replace(ZEND_3, name="zend-2", since=(0,), certificates=False)
"""Up to 2.0.x: getblock takes the boolean only; an address index in builds of its own ("zenai")."""

DIALECTS = (BITCOIND, BITCOIND_17, LITECOIND, LITECOIND_17, ZEND_3, ZEND_2)
"""Newest first within a kind."""

_AGENT = re.compile(r"/([^/:()]{1,40}):([0-9][^/() ]{0,30})")
_NUMBER = re.compile(r"\d{1,9}")


@dataclass(frozen=True, slots=True)
class NodeIdentity:
    """What a node is, as it said when it was asked."""

    dialect: Dialect
    """As this node speaks it: where its address index is off, `address_query` is NONE."""
    agent: str
    """The name that it gives itself, empty where it gives none."""
    version: str
    """As `0.21.2.1`."""
    chain: str
    """As the node calls it: main, test, regtest, …"""
    pruned: bool
    txindex: bool | None
    """Whether it finds any transaction by its id; None when it does not say."""
    is_nearest: bool
    """The node is a stranger, and the dialect is the nearest one, found by what it can do."""

    def __str__(self) -> str:
        who = f"{self.agent or 'a node without a name'} {self.version} on {self.chain}".replace("  ", " ")
        how = f"unknown, asked as {self.dialect.name}" if self.is_nearest else f"dialect {self.dialect.name}"
        index = {True: "with", False: "without", None: "perhaps without"}[self.txindex]
        pruned = ", pruned" if self.pruned else ""
        addresses = self.dialect.address_query.value
        return f"{who} ({how}, {index} txindex{pruned}, address query: {addresses})"


async def learn_node(client: NodeClient) -> NodeIdentity:
    """Ask a node what it is.

    Raises `ForeignNode` for one that is not of the family, `NodeError` when it does not answer.
    """
    agent, version = await _named(client)
    info = await _chain_info(client)
    dialect = dialect_of(agent, version)
    is_nearest = dialect is None
    if dialect is None:
        dialect = await _by_ability(client, info, f"{agent} {version}".strip())
    if dialect.address_query is AddressQuery.INDEX and not await _has_address_index(client, info):
        dialect = replace(dialect, address_query=AddressQuery.NONE)
    return NodeIdentity(
        dialect=dialect,
        agent=agent,
        version=version,
        chain=printable(str(info["chain"]))[:40],
        pruned=info.get("pruned") is True,
        txindex=await _has_txindex(client, dialect),
        is_nearest=is_nearest,
    )


async def _optional(client: NodeClient, method: str, *params: Any) -> Any:
    """Return a method's result, None where the node refuses."""
    try:
        return await client.call(method, *params)
    except NodeRefusal:
        return None


async def _named(client: NodeClient) -> tuple[str, str]:
    """Return the node's name for itself and its version, as far as it says."""
    network = await _optional(client, "getnetworkinfo")
    if isinstance(network, dict):
        found = _AGENT.match(printable(str(network.get("subversion", ""))))
        if found is not None:
            return found[1], found[2]
    info = network if isinstance(network, dict) else await _optional(client, "getinfo")
    number = info.get("version") if isinstance(info, dict) else None
    if type(number) is not int or number < 0:
        return "", ""
    return "", f"{number // 1_000_000}.{number // 10_000 % 100}.{number // 100 % 100}"


async def _chain_info(client: NodeClient) -> dict[str, Any]:
    try:
        info = await client.call("getblockchaininfo")
    except NodeRefusal as refusal:
        raise _foreign(client, f"it refuses getblockchaininfo ({refusal.code})") from None
    if not isinstance(info, dict) or not isinstance(info.get("chain"), str):
        raise BadAnswer("getblockchaininfo was not answered with a chain")
    return info


def dialect_of(agent: str, version: str) -> Dialect | None:
    """Return the dialect of the newest age of this kind that the version has reached."""
    numbers = tuple(int(part) for part in _NUMBER.findall(version))
    return next((each for each in DIALECTS if agent in each.agents and numbers >= each.since), None)


async def _by_ability(client: NodeClient, info: Mapping[str, Any], who: str) -> Dialect:
    """Return the dialect nearest to what a stranger can do; raises `ForeignNode`."""
    if await _knows(client, "signrawtransactionwithkey"):
        return BITCOIND
    is_zcash_like = "valuePools" in info or "commitments" in info
    if not is_zcash_like or not await _knows(client, "signrawtransaction"):
        raise _foreign(client, f"{who or 'it'} speaks none of the known dialects")
    return ZEND_3 if await _knows(client, "getscinfo") else ZEND_2


async def _knows(client: NodeClient, method: str) -> bool:
    """Whether the node has a method: called without what it needs, it answers with its help."""
    try:
        await client.call(method)
    except NodeRefusal as refusal:
        return not refusal.is_unknown_method
    return True


async def _has_address_index(client: NodeClient, info: Mapping[str, Any]) -> bool:
    """Whether the node answers for an address; where the index is off it refuses, in words of its age."""
    prefixes = ZEN_MAINNET if info["chain"] == "main" else ZEN_TESTNET
    nobody = encode_address(bytes([AddressKind.P2PKH]) + bytes(20), prefixes)
    return isinstance(await _optional(client, "getaddressbalance", {"addresses": [nobody]}), dict)


async def _has_txindex(client: NodeClient, dialect: Dialect) -> bool | None:
    """Whether every transaction can be asked for, by what the node says or by asking for an old one."""
    if dialect.address_query is AddressQuery.INDEX:
        return True  # the one index needs the other
    if dialect.lists_indexes:
        indexes = await _optional(client, "getindexinfo")
        if isinstance(indexes, dict):
            return "txindex" in indexes
    first = await _optional(client, "getblockhash", 1)
    block = await _optional(client, "getblock", first) if isinstance(first, str) else None
    if not isinstance(block, dict) or not isinstance(block.get("tx"), list) or not block["tx"]:
        return None
    found = await _optional(client, *_flat(dialect.transaction_call(str(block["tx"][0]))))
    return False if found is None else None  # without the index, one with unspent outputs is found too


def _flat(call: Call) -> tuple[Any, ...]:
    method, params = call
    return (method, *params)


def _foreign(client: NodeClient, reason: str) -> ForeignNode:
    return ForeignNode(f"what answers at {client.settings.place} is no node of the zend family: {reason}")
