"""The index on blocks with sidechain certificates: numbered after the transactions, undone exactly."""

from protocol.chain.block import Block, BlockHeader, block_hash, merkle_root
from protocol.chain.rules import ZEN_TESTNET, HeaderLayout
from protocol.chain.script import address_script, push_number
from protocol.chain.sidechain import UNRIPE
from protocol.chain.transaction import COINBASE_INDEX, OutPoint, Transaction, TxInput, TxOutput
from zenp2p.chain.file_source import FileSource, FileView
from zenp2p.chain.index import ChainIndex
from zenp2p.store import MemoryStore

ALICE, BOB, CAROL = (b"\x00" + letter * 20 for letter in (b"a", b"b", b"c"))
HEAD = bytes(32 + 12 + 4 + 16)
NO_PARTS = bytes(4)


def coinbase(height: int, amount: int) -> Transaction:
    script = push_number(height) + b"\x00"
    return Transaction(
        1, (TxInput(OutPoint(bytes(32), COINBASE_INDEX), script),), (TxOutput(amount, address_script(ALICE)),)
    )


def chain() -> list[Block]:
    """Three blocks: coins of alice; a sidechain transaction and a certificate; a transfer spent onwards."""
    first = coinbase(1, 100)
    crossing = Transaction(
        -4, (TxInput(OutPoint(first.txid, 0)),), (TxOutput(60, address_script(ALICE)),), sidechain=NO_PARTS
    )
    outputs = (
        TxOutput(50, address_script(ALICE)),
        TxOutput(30, UNRIPE + BOB[1:]),
        TxOutput(7, UNRIPE + BOB[1:]),
    )
    certificate = Transaction(-5, (TxInput(OutPoint(crossing.txid, 0)),), outputs, sidechain=HEAD, backward=2)
    onwards = Transaction(
        1, (TxInput(OutPoint(certificate.txid, 1)),), (TxOutput(29, address_script(CAROL)),)
    )
    blocks: list[Block] = []
    for transactions, certificates in (
        ((first,), ()),
        ((coinbase(2, 100), crossing), (certificate,)),
        ((coinbase(3, 100), onwards), ()),
    ):
        previous = block_hash(blocks[-1].header) if blocks else bytes(32)
        root = merkle_root([tx.txid for tx in (*transactions, *certificates)])
        header = BlockHeader(
            layout=HeaderLayout.EQUIHASH,
            version=3,
            previous=previous,
            merkle_root=root,
            reserved=bytes(32),
            time=len(blocks),
            bits=0x2007_FFFF,
        )
        blocks.append(Block(header, transactions, certificates))
    return blocks


def indexed(blocks: list[Block]) -> tuple[ChainIndex, MemoryStore]:
    store = MemoryStore()
    index = ChainIndex(store, ZEN_TESTNET, 1)
    for block in blocks:
        index.connect(block_hash(block.header), block.raw)
    return index, store


def test_certificates_are_numbered_after_their_blocks_transactions() -> None:
    blocks = chain()
    index, _ = indexed(blocks)
    entries = [tx for block in blocks for tx in block.entries]
    assert [index.transaction(at) for at in range(6)] == [tx.raw for tx in entries]
    assert [tx.version for tx in entries] == [1, 1, -4, -5, 1, 1]
    assert [index.transaction_count(height) for height in (1, 2, 3)] == [1, 4, 6]
    certificate = index.transaction_by_id(entries[3].txid)
    assert certificate is not None and (certificate.ordinal, certificate.height) == (3, 2)


def test_backward_transfers_are_nobodys_until_they_are_spent_onwards() -> None:
    blocks = chain()
    index, _ = indexed(blocks)
    assert [index.balance(BOB, height) for height in (2, 3)] == [0, 0]
    assert [index.balance(ALICE, height) for height in (1, 2, 3)] == [100, 150, 250]
    assert index.balance(CAROL, 3) == 29
    transfer = OutPoint(blocks[1].entries[2].txid, 1)
    output, spending = index.output(transfer), index.spender(transfer)
    assert output is not None and (output.amount, output.address, output.coinbase) == (30, None, False)
    assert spending is not None and spending.txid == blocks[2].transactions[1].txid
    assert index.spender(OutPoint(transfer.txid, 2)) is None and index.unspent(BOB) == ()


def test_disconnecting_is_the_exact_opposite() -> None:
    blocks = chain()
    index, store = indexed(blocks)
    for left in (2, 1):
        index.disconnect()
        kept, fresh = (
            {key: value for key, value in each.iterate(b"i") if key[:2] not in (b"iE", b"iH")}
            for each in (store, indexed(blocks[:left])[1])
        )
        assert kept == fresh


def test_a_file_of_such_blocks_counts_them_too() -> None:
    blocks = chain()
    source = FileSource([block.raw for block in blocks])
    assert (source.rules, source.mismatched, source.unlinked) == (ZEN_TESTNET, (), ())
    view = FileView(source, 3)
    assert [view.transaction_count(height) for height in (1, 2, 3)] == [1, 4, 6]
    assert view.balance(BOB, 3) == 0 and view.balance(ALICE, 3) == 250
