"""What one's own node says of lists that were verified from files: which of their payments are mined.

Answers for: one reading, as of one block of a chain that is where its node is. Whether the record agrees
with the lists is `protocol.payout.paid_record`'s to say. Spec: `spec/wallet.md`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from protocol.chain.encoding import display_hash
from protocol.errors import RequestError
from protocol.genesis import Genesis, network_id
from protocol.payout.address_file import Line
from protocol.payout.list_header import ListHeader
from protocol.payout.paid_record import check_paid, check_record
from protocol.payout.payment import ENTRIES_MAX, chunk_count
from zenp2p.api.errors import NotFound
from zenp2p.treasury_reader import Client, TreasuryReader


@dataclass(frozen=True, slots=True)
class MinedChunk:
    """A mined payment of a list: its number, and its transaction. `depth` counts its own block."""

    number: int
    txid: str
    height: int
    depth: int


@dataclass(frozen=True, slots=True)
class ChainRecord:
    """How far the chain has paid a list, at a height."""

    height: int
    stranded: bool | None
    """Whether the list rests on a block that is not on this chain; None while the chain is below it."""
    chunks: int
    mined: tuple[MinedChunk, ...]

    def payment_of(self, line: Line) -> MinedChunk | None:
        """Return the mined payment that pays a line, or None."""
        wanted = line.index // ENTRIES_MAX
        return next((chunk for chunk in self.mined if chunk.number == wanted), None)


def read_record(
    genesis: Genesis, client: Client, lists: Sequence[ListHeader], lines: Iterable[Line], *, complete: bool
) -> ChainRecord:
    """Return how far the chain has paid the last of consecutive verified lists, of which `lines` are known.

    `complete` says that the first of the lists is the network's first. Raises `InvalidPayment` when the
    chain's record contradicts them, `RequestError` when the node is of another network, `NotReady` while its
    chain is in any state but ok.
    """
    said = client.call("node.status")["network_id"]
    if said != network_id(genesis).hex():
        raise RequestError(f"the running node is of network {said[:16]}, the list is of another")
    node, header, shown = TreasuryReader(genesis, client), lists[-1], tuple(lines)

    def read() -> ChainRecord:
        paid = check_record(lists, node.trail(), complete=complete)
        for chunk in paid:
            check_paid(header, shown, chunk)
        mined = tuple(_mined(node, chunk.mark.chunk, chunk.transaction.txid) for chunk in paid)
        return ChainRecord(node.tip_height(), _is_stranded(node, header), chunk_count(header), mined)

    return node.settled(read)


def _mined(node: TreasuryReader, number: int, txid: bytes) -> MinedChunk:
    found = node.mined(txid)
    if found is None:
        raise RequestError("the chain changed just now: try again")
    return MinedChunk(number, display_hash(txid), found.height, found.depth)


def _is_stranded(node: TreasuryReader, header: ListHeader) -> bool | None:
    """Return whether the chain's block at the list's last height is another one, None above the tip."""
    try:
        return node.block_hash(header.last_height) != header.last_hash
    except NotFound:
        return None
