"""Each rule of the embedded chain, by a block or transaction that breaks just that one."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from protocol.chain.block import Block, block_hash, merkle_root
from protocol.chain.multisig import combine_signatures, sign_input, sign_p2pkh_input
from protocol.chain.script import address_script, multisig_script, null_data, push_data, replay_tail
from protocol.chain.transaction import OutPoint, Transaction, TxInput, TxOutput, with_script_sig
from protocol.errors import InvalidChainData
from protocol.units import COIN
from tests.support import embedded_chain as made
from zenp2p.chain.embedded.chain import EmbeddedChain
from zenp2p.chain.embedded.coinbase import build_coinbase
from zenp2p.chain.embedded.definition import coinbase_transaction
from zenp2p.chain.embedded.validation import FUTURE_SECONDS_MAX, EarlyBlock

ALICE, BOB = made.address_of("alice"), made.address_of("bob")


class Bench:
    """A chain of two blocks, and what the third may be."""

    def __init__(self, maturity: int = 3) -> None:
        self.definition = made.definition(maturity=maturity)
        self.branch = made.Branch(self.definition)
        self.branch.grow(2)
        self.chain = made.opened(self.definition)
        made.feed(self.chain, self.branch.blocks)
        self.coin = made.allocation(self.definition)

    def block(self, *transactions: Transaction, fees: int = 0, coinbase: Transaction | None = None) -> Block:
        """Return the third block."""
        tip = self.branch.blocks[-1]
        return made.make_block(self.definition, tip, 3, transactions, fees=fees, coinbase=coinbase)

    def add(self, block: Block) -> EmbeddedChain:
        """Add a block to the chain."""
        self.chain.add_block(block.raw, made.far_future())
        return self.chain

    def refused(self, block: Block, reason: str) -> None:
        """Assert that the block is refused for the reason, and that the chain stays as it was."""
        before = self.chain.tip()
        with pytest.raises(InvalidChainData, match=reason):
            self.add(block)
        assert self.chain.tip() == before

    def remade(self, **changes: object) -> Block:
        """Return the third block with other fields in its header, mined again."""
        block = self.block()
        return made.mined(self.definition, replace(block, header=replace(block.header, **changes)))  # type: ignore[arg-type]


@pytest.fixture
def bench() -> Bench:
    """A fresh chain."""
    return Bench()


def unsigned(inputs: Sequence[OutPoint], outputs: Sequence[TxOutput]) -> Transaction:
    """Return a transaction without signatures."""
    return Transaction(1, tuple(map(TxInput, inputs)), tuple(outputs))


class TestHeaders:
    """Version, target, time, work."""

    def test_a_good_block_is_accepted(self, bench: Bench) -> None:
        assert bench.add(bench.block()).tip()[0] == 3

    def test_other_versions_are_refused(self, bench: Bench) -> None:
        bench.refused(bench.remade(version=1), "version 1")

    def test_an_easier_target_is_refused(self, bench: Bench) -> None:
        bench.refused(bench.remade(bits=0x2100_FFFF), "bits")

    def test_a_harder_target_is_refused_too(self, bench: Bench) -> None:
        bench.refused(bench.remade(bits=0x2000_FFFF), "bits")

    def test_less_than_the_minimum_spacing_is_refused(self, bench: Bench) -> None:
        parent = bench.branch.blocks[-1].header.time
        bench.refused(bench.remade(time=parent), "1 s after its parent's")
        bench.refused(bench.remade(time=parent - 100), "1 s after its parent's")

    def test_a_hash_above_the_target_is_refused(self, bench: Bench) -> None:
        block = bench.block()
        while int.from_bytes(block_hash(block.header), "little") <= bench.definition.target:
            block = replace(block, header=replace(block.header, nonce=block.header.nonce + 1))
        bench.refused(block, "target")

    def test_a_block_from_the_future_is_early_not_invalid(self, bench: Bench) -> None:
        block = bench.block()
        now = block.header.time - FUTURE_SECONDS_MAX - 1
        with pytest.raises(EarlyBlock):
            bench.chain.add_block(block.raw, now)
        bench.chain.add_block(block.raw, now + 1)
        assert bench.chain.tip()[0] == 3


class TestForm:
    """What a block must be without looking at coins."""

    def test_trailing_bytes_are_refused(self, bench: Bench) -> None:
        with pytest.raises(InvalidChainData):
            bench.chain.add_block(bench.block().raw + b"\x00", made.far_future())

    def test_a_block_above_the_size_is_refused(self, bench: Bench) -> None:
        with pytest.raises(InvalidChainData, match="at most"):
            bench.chain.add_block(bytes(1_000_001), made.far_future())

    def test_a_wrong_merkle_root_is_refused(self, bench: Bench) -> None:
        bench.refused(bench.remade(merkle_root=bytes(32)), "Merkle root")

    def test_a_wrong_height_is_refused(self, bench: Bench) -> None:
        bench.refused(bench.block(coinbase=build_coinbase(bench.definition, 4, 0, BOB, 0)), "states height 4")

    def test_the_first_transaction_is_a_coinbase(self, bench: Bench) -> None:
        payment = made.pay("alice", [bench.coin], [(BOB, COIN)])
        bench.refused(bench.block(coinbase=payment), "first transaction must be its coinbase")

    def test_there_is_one_coinbase(self, bench: Bench) -> None:
        bench.refused(bench.block(build_coinbase(bench.definition, 3, 0, BOB, 9)), "one coinbase only")

    def test_a_transaction_of_64_bytes_is_refused(self, bench: Bench) -> None:
        """It could be two hashes of the tree, and the tree's list of transactions another one."""
        spent = TxInput(bench.coin[0], b"")
        filled = Transaction(1, (spent,), (TxOutput(0, null_data(b"\x00\x00")),))
        assert len(filled.raw) == 64
        bench.refused(bench.block(filled), "64 bytes")

    def test_other_transactions_under_an_honest_header_do_not_spoil_it(self, bench: Bench) -> None:
        """A forged body costs the forger; the real block is still welcome."""
        payment = made.pay("alice", [bench.coin], [(BOB, 1_000 * COIN)])
        real = bench.block(payment)
        doubled = replace(real, transactions=(*real.transactions, payment))
        for forged in (
            replace(real, transactions=real.transactions[:1]),
            replace(real, transactions=(payment, *real.transactions)),
            doubled,
        ):
            bench.refused(forged, "Merkle|doubled")
        assert bench.add(real).tip()[1] == block_hash(real.header)

    def test_a_list_doubled_at_its_end_is_refused(self, bench: Bench) -> None:
        """The same root, another block (CVE-2012-2459), and the real one is still welcome."""
        payment = made.pay("alice", [bench.coin], [(BOB, 400 * COIN), (ALICE, 600 * COIN)])
        child = made.pay("bob", [(OutPoint(payment.txid, 0), address_script(BOB))], [(ALICE, 400 * COIN)])
        real = bench.block(payment, child)
        doubled = replace(real, transactions=(*real.transactions, child))
        ids = [tx.txid for tx in real.transactions]
        assert merkle_root(ids) == real.header.merkle_root
        bench.refused(doubled, "doubled")
        assert bench.add(real).tip()[1] == block_hash(real.header)


BREACHES: dict[str, tuple[Callable[[Bench], Transaction], str]] = {
    "version 2": (
        lambda b: Transaction(2, (TxInput(b.coin[0]),), (TxOutput(1, address_script(BOB)),)),
        "version 2",
    ),
    "no outputs": (lambda b: unsigned([b.coin[0]], []), "without inputs or without outputs"),
    "one output spent twice": (
        lambda b: unsigned([b.coin[0]] * 2, [TxOutput(1, address_script(BOB))]),
        "spends one output twice",
    ),
    "more than all money": (
        lambda b: unsigned([b.coin[0]], [TxOutput(21_000_001 * COIN, address_script(BOB))]),
        "out of range",
    ),
    "an output to a bare key": (
        lambda b: unsigned([b.coin[0]], [TxOutput(1, push_data(made.TREASURY_KEYS[0]) + b"\xac")]),
        "kind pubkey",
    ),
    "an output to a bare multisig": (
        lambda b: unsigned([b.coin[0]], [TxOutput(1, multisig_script(1, made.TREASURY_KEYS))]),
        "kind multisig",
    ),
    "an output that anyone can spend": (
        lambda b: unsigned([b.coin[0]], [TxOutput(1, b"\x51")]),
        "kind nonstandard",
    ),
    "an output with a replay tail": (
        lambda b: unsigned([b.coin[0]], [TxOutput(1, address_script(BOB) + replay_tail(bytes(32), 1))]),
        "could never be spent",
    ),
    "money in an OP_RETURN": (
        lambda b: unsigned([b.coin[0]], [TxOutput(1, null_data(b"lost"))]),
        "would be lost",
    ),
    "an unknown output": (
        lambda b: made.pay("alice", [(OutPoint(b"u" * 32, 0), b.coin[1])], [(BOB, 1)]),
        "does not exist",
    ),
    "an output that is not there": (
        lambda b: made.pay("alice", [(OutPoint(b.coin[0].txid, 99), b.coin[1])], [(BOB, 1)]),
        "does not exist",
    ),
    "more out than in": (lambda b: made.pay("alice", [b.coin], [(BOB, 1_001 * COIN)]), "more than it spends"),
    "somebody else's coin": (lambda b: stolen(b), "public key is not the output's"),
    "a changed amount": (lambda b: changed(b), "signature does not hold"),
    "an immature coinbase": (
        lambda b: made.pay("miner", [b.branch.coinbase_output(1)], [(BOB, COIN)]),
        "needs 3 blocks on top",
    ),
    "a lock time not reached": (lambda b: locked(b, 3), "lock time 3 is not reached"),
}


def stolen(bench: Bench) -> Transaction:
    """Bob signs for a coin of alice."""
    tx = unsigned([bench.coin[0]], [TxOutput(1, address_script(BOB))])
    own = sign_p2pkh_input(tx, 0, address_script(BOB), made.secret_of("bob"))
    return with_script_sig(tx, 0, own)


def changed(bench: Bench) -> Transaction:
    """The amount is another one than was signed."""
    tx = made.pay("alice", [bench.coin], [(BOB, 5)])
    return replace(tx, outputs=(TxOutput(6, address_script(BOB)),))


def locked(bench: Bench, lock_time: int) -> Transaction:
    """A transaction that may be mined above the height `lock_time` only."""
    coin, script = bench.coin
    tx = Transaction(
        1, (TxInput(coin, sequence=0),), (TxOutput(1_000 * COIN, address_script(BOB)),), lock_time
    )
    return with_script_sig(tx, 0, sign_p2pkh_input(tx, 0, script, made.secret_of("alice")))


class TestTransactions:
    """Each rule of a transaction, alone and against the coins it spends."""

    @pytest.mark.parametrize("breach", BREACHES)
    def test_a_breach_is_refused(self, bench: Bench, breach: str) -> None:
        build, reason = BREACHES[breach]
        bench.refused(bench.block(build(bench)), reason)

    def test_a_lock_time_that_is_reached_is_fine(self, bench: Bench) -> None:
        assert bench.add(bench.block(locked(bench, 2))).tip()[0] == 3

    def test_a_lock_time_in_seconds_is_read_against_the_blocks_time(self, bench: Bench) -> None:
        time = bench.branch.blocks[-1].header.time + 1
        bench.refused(bench.block(locked(bench, time)), "not reached")
        assert bench.add(bench.block(locked(bench, time - 1))).tip()[0] == 3

    def test_a_final_sequence_ignores_the_lock_time(self, bench: Bench) -> None:
        tx = made.pay("alice", [bench.coin], [(BOB, 1_000 * COIN)], lock_time=1_000)
        assert bench.add(bench.block(tx)).tip()[0] == 3

    def test_a_coinbase_is_spent_when_it_is_mature(self) -> None:
        bench = Bench(maturity=2)
        tx = made.pay("miner", [bench.branch.coinbase_output(1)], [(BOB, 1_206_250_000)])
        assert bench.add(bench.block(tx)).tip()[0] == 3

    def test_a_coin_is_spent_once_in_a_block(self, bench: Bench) -> None:
        one = made.pay("alice", [bench.coin], [(BOB, 1_000 * COIN)])
        two = made.pay("alice", [bench.coin], [(ALICE, 1_000 * COIN)])
        bench.refused(bench.block(one, two), "spent already")

    def test_a_coin_is_spent_once_in_the_chain(self, bench: Bench) -> None:
        bench.branch.grow(1, [made.pay("alice", [bench.coin], [(BOB, 1_000 * COIN)])])
        made.feed(bench.chain, bench.branch.blocks)
        again = made.pay("alice", [bench.coin], [(ALICE, 1_000 * COIN)])
        block = made.make_block(bench.definition, bench.branch.blocks[-1], 4, [again])
        bench.refused(block, "spent already")

    def test_a_child_after_its_parent_is_fine_and_before_it_is_not(self, bench: Bench) -> None:
        parent = made.pay("alice", [bench.coin], [(BOB, 1_000 * COIN)])
        child = made.pay("bob", [(OutPoint(parent.txid, 0), address_script(BOB))], [(ALICE, 1_000 * COIN)])
        bench.refused(bench.block(child, parent), "does not exist")
        assert bench.add(bench.block(parent, child)).tip()[0] == 3


class TestCoinbase:
    """Exactly the subsidy and the fees, exactly the treasury's share."""

    def test_the_shares(self, bench: Bench) -> None:
        outputs = bench.block(fees=7).transactions[0].outputs
        assert [output.amount for output in outputs] == [1_206_250_007, 43_750_000]
        assert outputs[1].script == address_script(made.TREASURY)

    @pytest.mark.parametrize("fees", [-1, 1])
    def test_a_zatoshi_more_or_less_is_refused(self, bench: Bench, fees: int) -> None:
        bench.refused(bench.block(fees=fees), "subsidy and fees are 1250000000")

    def test_fees_are_the_miners(self, bench: Bench) -> None:
        tx = made.pay("alice", [bench.coin], [(BOB, 1_000 * COIN - 9)])
        bench.refused(bench.block(tx), "subsidy and fees are 1250000009")
        assert bench.add(bench.block(tx, fees=9)).tip()[0] == 3

    @pytest.mark.parametrize(
        "outputs",
        [
            [(BOB, 1_250_000_000)],
            [(made.TREASURY, 43_750_000), (BOB, 1_206_250_000)],
            [(BOB, 1_206_250_001), (made.TREASURY, 43_749_999)],
            [(BOB, 1_206_249_999), (made.TREASURY, 43_750_001)],
            [(BOB, 1_206_250_000), (BOB, 43_750_000)],
        ],
    )
    def test_the_treasury_gets_its_share_in_its_place(
        self, bench: Bench, outputs: list[tuple[bytes, int]]
    ) -> None:
        made_of = tuple(TxOutput(amount, address_script(address)) for address, amount in outputs)
        bench.refused(
            bench.block(coinbase=coinbase_transaction(3, b"extra", made_of)), "does not pay the treasury"
        )

    def test_the_miners_part_may_be_divided(self, bench: Bench) -> None:
        parts = ((BOB, 1_000_000_000), (made.TREASURY, 43_750_000), (ALICE, 206_250_000))
        outputs = tuple(TxOutput(amount, address_script(address)) for address, amount in parts)
        assert bench.add(bench.block(coinbase=coinbase_transaction(3, b"x", outputs))).tip()[0] == 3

    def test_without_a_share_there_is_no_treasury_output(self) -> None:
        definition = made.definition(share=0)
        branch = made.Branch(definition)
        branch.grow(1)
        assert len(branch.blocks[1].transactions[0].outputs) == 1
        chain = made.opened(definition)
        made.feed(chain, branch.blocks)
        assert chain.tip()[0] == 1


class TestTreasury:
    """What the treasury holds is spent by two of five keys, and by nobody else."""

    def spend(self, bench: Bench, signers: Sequence[int]) -> Transaction:
        """Return a payment of the treasury's allocation, signed by these key holders."""
        coin, _ = made.allocation(bench.definition, 1)
        tx = unsigned([coin], [TxOutput(100 * COIN, address_script(BOB))])
        secrets = [made.secret_of(f"paymaster {number}") for number in signers]
        signatures = [sign_input(tx, 0, made.REDEEM_SCRIPT, secret) for secret in secrets]
        return with_script_sig(tx, 0, combine_signatures(tx, 0, made.REDEEM_SCRIPT, signatures))

    def test_two_of_five_may(self, bench: Bench) -> None:
        assert bench.add(bench.block(self.spend(bench, (1, 4)))).tip()[0] == 3

    def test_one_alone_may_not(self, bench: Bench) -> None:
        tx = self.spend(bench, (0, 3))
        halved = with_script_sig(tx, 0, tx.inputs[0].script_sig[:1] + push_data(made.REDEEM_SCRIPT))
        bench.refused(bench.block(halved), "pushes that its output asks for")

    def test_signatures_for_another_payment_do_not_hold(self, bench: Bench) -> None:
        tx = self.spend(bench, (0, 3))
        other = replace(tx, outputs=(TxOutput(100 * COIN, address_script(ALICE)),))
        bench.refused(bench.block(other), "foreign, repeated or out of order")


def test_a_witness_is_refused_and_the_block_without_it_is_still_welcome(bench: Bench) -> None:
    """The header does not cover a witness: a block with one added must not spoil the real one."""
    block = bench.block(
        made.pay("alice", [bench.coin], [(BOB, bench.definition.genesis.transactions[0].outputs[0].amount)])
    )
    for at, tx in enumerate(block.transactions):
        added = replace(tx, witness=((b"\x01",),))
        transactions = (*block.transactions[:at], added, *block.transactions[at + 1 :])
        assert merkle_root([each.txid for each in transactions]) == block.header.merkle_root
        bench.refused(Block(block.header, transactions), "witness")
    assert bench.add(block).tip()[1] == block_hash(block.header)
