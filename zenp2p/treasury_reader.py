"""What one's own node says of the treasury: the only source that a paymaster's tool has.

Answers for: every fact about the chain comes from this node over RPC (previous outputs,
who spent the baton, the treasury's coins page by page), as the values that the rules take; facts
that belong together are of one block, and of a chain that is where its node is. What follows from
them is left to `paymaster` and `treasury_status`. Spec: `spec/payment.md`.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from protocol.chain.address import encode_address
from protocol.chain.encoding import display_hash, parse_display_hash
from protocol.chain.script import replay_tail
from protocol.chain.transaction import OutPoint, Transaction, decode_transaction
from protocol.errors import RequestError, ZenError
from protocol.genesis import Genesis
from protocol.payout.inspection import Prevout
from protocol.payout.payment import Coin
from protocol.payout.treasury import BatonTrail, follow_baton, treasury_address
from zenp2p.api.errors import NotFound, NotReady

PAGE = 1_000
"""Unspent outputs asked for at once: what a node answers at most."""
PAGES_MAX = 10_000
READINGS_MAX = 20
"""How often the chain is read anew when it moved meanwhile."""
PAUSE_SECONDS = 0.25
OK = "ok"

Read = TypeVar("Read")


class Client(Protocol):
    """The way to one's own node: `zenp2p.api.client.RpcClient`."""

    def call(self, method: str, params: Mapping[str, Any] | Sequence[Any] | None = None) -> Any:
        """Return the result of one method, or raise the error that the daemon answers."""


@dataclass(frozen=True, slots=True)
class Mined:
    """Where a transaction stands in the chain. `depth` counts its own block."""

    height: int
    depth: int
    transaction: Transaction


@dataclass(frozen=True, slots=True)
class ChainState:
    """How the node's chain is, as `chain.state` answers it; `problem` is empty while it is ok."""

    state: str
    problem: str
    index_hash: str
    """The last block that the answers are as of."""
    is_level: bool
    """Whether that is as high as the chain's own side."""


class TreasuryReader:
    """Asks one node about one network's treasury. Amounts are zatoshi."""

    def __init__(self, genesis: Genesis, client: Client, pause: Callable[[float], None] = time.sleep) -> None:
        self._genesis = genesis
        self._client = client
        self._pause = pause

    def state(self) -> ChainState:
        """Return how the node's chain is."""
        said = self._client.call("chain.state")
        height, top = said["index_height"], said["height"]
        return ChainState(said["state"], said["problem"], said["index_hash"], top is None or height >= top)

    def settled(self, read: Callable[[], Read]) -> Read:
        """Return what `read` finds while the chain stands still, so that all of it is of one block.

        Raises what `read` raises, and `NotReady` while the chain is in any state but ok: what the node
        says of spent outputs may be old then.
        """
        for _ in range(READINGS_MAX):
            before = self._standing()
            if before.is_level:
                outcome = _outcome(read)
                if self._standing() == before:
                    return outcome()
            self._pause(PAUSE_SECONDS)
        raise NotReady("our node's chain moved each time that we read it: try again")

    def _standing(self) -> ChainState:
        found = self.state()
        if found.state != OK:
            raise NotReady(
                f"the chain is {found.state}: {found.problem}; what our node says of spent outputs may be "
                "old, so nothing is built, signed or sent"
            )
        return found

    @property
    def address(self) -> str:
        """The treasury's address in text."""
        return encode_address(treasury_address(self._genesis.treasury), self._genesis.chain.prefixes)

    def tip_height(self) -> int:
        """Return the height of the node's last block."""
        height: int = self._client.call("chain.tip")["height"]
        return height

    def trail(self) -> BatonTrail:
        """Return where the baton lies; raises `InvalidPayment` when the paymasters have ended it."""
        return follow_baton(self._genesis, self._spender)

    def prevout(self, outpoint: OutPoint) -> Prevout | None:
        """Return a mined output, or None."""
        found = self._output(outpoint)
        if found is None:
            return None
        script, spender = bytes.fromhex(found["script"]), found["spent_by"]
        return Prevout(
            found["amount"], script, found["height"], parse_display_hash(spender) if spender else None
        )

    def coin(self, outpoint: OutPoint) -> Coin:
        """Return the baton as a coin; raises `RequestError` when it has left the chain meanwhile."""
        found = self._output(outpoint)
        if found is None:
            raise RequestError("the baton left our node's chain just now: try again")
        return Coin(outpoint, found["amount"], found["height"])

    def unspent(self) -> Iterator[Coin]:
        """Return all unspent outputs of the treasury, the baton among them."""
        after = ""
        for _ in range(PAGES_MAX):
            page = self._client.call(
                "chain.unspent", {"address": self.address, "after": after, "limit": PAGE}
            )
            if not page:
                return
            for coin in page:
                outpoint = OutPoint(parse_display_hash(coin["txid"]), coin["index"])
                yield Coin(outpoint, coin["amount"], coin["height"])
            after = f"{page[-1]['txid']}:{page[-1]['index']}"
        raise RequestError(f"the treasury has more than {PAGE * PAGES_MAX} unspent outputs: gather some")

    def mined(self, txid: bytes) -> Mined | None:
        """Return a mined transaction, or None."""
        try:
            found = self._client.call("chain.transaction", {"txid": display_hash(txid)})
        except NotFound:
            return None
        raw = bytes.fromhex(found["transaction"])
        return Mined(
            found["height"], found["confirmations"], decode_transaction(raw, self._genesis.chain.family)
        )

    def deposits(self) -> list[dict[str, Any]]:
        """Return what others paid the treasury lately, the newest first, as `treasury.deposits` answers."""
        found: list[dict[str, Any]] = self._client.call("treasury.deposits")
        return found

    def broadcast(self, transaction: Transaction) -> str:
        """Hand in a transaction and return its state; raises what the node refuses it with."""
        sent = self._client.call("chain.broadcast", {"transaction": transaction.raw.hex()})
        state: str = sent["state"]
        return state

    def tail(self, tip_height: int) -> bytes:
        """Return the replay tail that outputs built now carry; empty where the chain has none."""
        depth = self._genesis.chain.replay_tail_depth
        if not depth:
            return b""
        height = max(tip_height - depth, 0)
        return replay_tail(self.block_hash(height), height)

    def block_hash(self, height: int) -> bytes:
        """Return the hash of the active chain's block at a height."""
        return parse_display_hash(self._client.call("chain.block_hash", {"height": height})["hash"])

    def _spender(self, outpoint: OutPoint) -> Transaction | None:
        """Return the mined transaction that spends an output."""
        found = self._output(outpoint)
        if found is None:
            place = f"{display_hash(outpoint.txid)}:{outpoint.index}"
            raise RequestError(f"our node does not know {place}, where the baton should lie")
        if found["spent_by"] is None:
            return None
        mined = self.mined(parse_display_hash(found["spent_by"]))
        if mined is None:
            raise RequestError("the chain changed just now: try again")
        return mined.transaction

    def _output(self, outpoint: OutPoint) -> dict[str, Any] | None:
        """Return what the node knows of a mined output, or None."""
        try:
            found: dict[str, Any] = self._client.call(
                "chain.output", {"txid": display_hash(outpoint.txid), "index": outpoint.index}
            )
        except NotFound:
            return None
        return found


def _outcome(read: Callable[[], Read]) -> Callable[[], Read]:
    """Read now; the result, or the error that a chain in motion may have caused, is had by a call."""
    try:
        found = read()
    except ZenError as error:
        failed = error

        def fail() -> Read:
            raise failed

        return fail
    return lambda: found
