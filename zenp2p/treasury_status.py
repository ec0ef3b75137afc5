"""How the treasury is and what a list still takes, for the treasurer and the paymasters.

Answers for: one reading of one's own node, in which balance, baton, chunks and deposits
belong together, and the shortfall is the very sum that `Paymaster.build` waits for. How the sums
come about is `protocol.payout.need`'s, how they are shown the command's. Spec: `spec/payment.md`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from protocol.chain.encoding import display_hash
from protocol.errors import InvalidPayment
from protocol.genesis import Genesis
from protocol.payout.light import VerifiedList
from protocol.payout.need import Need, Purse, compute_need, make_purse
from protocol.payout.payment import FEE_RATE_DEFAULT, Chunk, Coin, next_chunk, split_chunks
from protocol.payout.treasury import BatonTrail
from protocol.units import Zatoshi
from zenp2p.treasury_reader import OK, ChainState, Client, TreasuryReader

DUST = 5_460
"""Zatoshi below which some node of the family relays no output: litecoind's rule, the highest known."""


@dataclass(frozen=True, slots=True)
class Balance:
    """The treasury's unspent outputs: their number, and what they hold in zatoshi."""

    outputs: int
    spendable: Zatoshi
    """The baton, and what is buried (and mature)."""
    waiting: Zatoshi
    """Mined, and not buried or not mature."""


@dataclass(frozen=True, slots=True)
class ChunkState:
    """One payment of a list: "mined" (with its transaction), "next" or "waiting"."""

    number: int
    entries: int
    amount: Zatoshi
    state: str
    txid: str | None = None
    height: int | None = None
    depth: int | None = None


@dataclass(frozen=True, slots=True)
class ListStatus:
    """How far a list is paid."""

    verified: VerifiedList
    chunks: tuple[ChunkState, ...]
    need: Need
    payable: bool
    """Whether `build` builds the next payment now."""
    covered_when_buried: bool
    """Whether nothing lacks as soon as everything that is mined is buried."""
    below_dust: int
    """Entries so small that some nodes relay no payment of them."""
    problem: str
    """Why no chunk of it can come next; empty when one can, or when all are mined."""


@dataclass(frozen=True, slots=True)
class TreasuryStatus:
    """The treasury at one height, and how the chain was: unless it is ok, all of it may be old."""

    chain: ChainState
    address: str
    height: int
    baton: Coin
    balance: Balance
    deposits: tuple[dict[str, Any], ...]
    list: ListStatus | None


def read_status(
    genesis: Genesis, client: Client, verified: VerifiedList | None, fee_rate: int = FEE_RATE_DEFAULT
) -> TreasuryStatus:
    """Return how the treasury is, and how far a list is paid.

    Raises `InvalidPayment` when the paymasters have ended the baton, `NotReady` when the chain never rests.
    """
    node = TreasuryReader(genesis, client)

    def read() -> TreasuryStatus:
        return _read(genesis, node, verified, fee_rate)

    return node.settled(read) if node.state().state == OK else read()


def _read(
    genesis: Genesis, node: TreasuryReader, verified: VerifiedList | None, fee_rate: int
) -> TreasuryStatus:
    state = node.state()
    trail, height = node.trail(), node.tip_height()
    baton, coins = node.coin(trail.baton), tuple(node.unspent())
    purse = make_purse(baton, coins, genesis, height)
    everything = Purse(baton.amount, tuple(sorted(_beside(baton, coins), reverse=True)))
    outputs = 1 + len(everything.coins)
    balance = Balance(outputs, purse.total, Zatoshi(everything.total - purse.total))
    paying = None
    if verified is not None:
        tail = node.tail(height)
        chunks, problem = _chunks(verified, trail, node)
        rest = [chunk for chunk, state in zip(split_chunks(verified), chunks, strict=True) if not state.txid]
        need, later = (
            compute_need(rest, genesis, money, fee_rate=fee_rate, tail=tail) for money in (purse, everything)
        )
        paying = ListStatus(
            verified=verified,
            chunks=chunks,
            need=need,
            payable=state.state == OK and not problem and _is_payable(rest, genesis, purse, fee_rate, tail),
            covered_when_buried=not later.shortfall,
            below_dust=sum(entry.amount < DUST for chunk in rest for entry in chunk.entries),
            problem=problem,
        )
    return TreasuryStatus(state, node.address, height, baton, balance, tuple(node.deposits()), paying)


def _beside(baton: Coin, coins: Sequence[Coin]) -> list[int]:
    return [coin.amount for coin in coins if coin.outpoint != baton.outpoint]


def _is_payable(rest: Sequence[Chunk], genesis: Genesis, purse: Purse, fee_rate: int, tail: bytes) -> bool:
    """Whether the next payment can be built: the first only with the whole list, a later one by itself."""
    first = rest[:1]
    asked = rest if first and first[0].mark.chunk == 0 else first
    return bool(asked) and not compute_need(asked, genesis, purse, fee_rate=fee_rate, tail=tail).shortfall


def _chunks(
    verified: VerifiedList, trail: BatonTrail, node: TreasuryReader
) -> tuple[tuple[ChunkState, ...], str]:
    """Return each chunk's state, and what keeps the next one from being paid."""
    try:
        following, problem = next_chunk(verified, trail), ""
    except InvalidPayment as error:
        following, problem = None, str(error)
    paid = {payment.mark.chunk: payment.transaction for payment in trail.chunks_of(verified.list_hash)}
    states = []
    for chunk in split_chunks(verified):
        transaction = paid.get(chunk.mark.chunk)
        mined = node.mined(transaction.txid) if transaction is not None else None
        word = "mined" if transaction is not None else "next" if chunk == following else "waiting"
        states.append(
            ChunkState(
                number=chunk.mark.chunk,
                entries=len(chunk.entries),
                amount=chunk.total,
                state=word,
                txid=display_hash(transaction.txid) if transaction is not None else None,
                height=mined.height if mined is not None else None,
                depth=mined.depth if mined is not None else None,
            )
        )
    return tuple(states), problem
