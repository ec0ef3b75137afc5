"""Chunks, their order along the baton, and the transaction of each."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.chain.script import address_script, replay_tail, script_address
from protocol.chain.transaction import OutPoint, Transaction, TxInput, TxOutput
from protocol.codec import replace as replace_fields
from protocol.errors import InvalidPayment, RequestError
from protocol.payout.light import VerifiedList
from protocol.payout.payment import (
    CHANGE_MIN,
    ENTRIES_MAX,
    FEE_RATE_MAX,
    GATHERED_MAX,
    INPUTS_MAX,
    OUTPUTS_MAX,
    PAYMENT_SIZE_MAX,
    Chunk,
    build_gathering,
    build_payment,
    chunk_count,
    fee_of,
    next_chunk,
    payment_outputs,
    signed_size,
    split_chunks,
)
from protocol.payout.treasury import PaymentMark, payment_mark_script, recognise_payment, treasury_address
from protocol.units import COIN
from tests.support.payout_world import (
    TREASURY,
    devnet_world,
    hash_of,
    many_entries_world,
    verified_first,
    verified_next,
)
from tests.support.treasury_ledger import TreasuryLedger

DEVNET = verified_first(devnet_world())
LARGE = verified_first(many_entries_world(2 * ENTRIES_MAX + 4))
OWN = address_script(treasury_address(TREASURY))


def build(ledger: TreasuryLedger, chunk: Chunk, fee_rate: int = 1_000) -> Transaction:
    return build_payment(
        chunk,
        ledger.genesis,
        ledger.baton(),
        ledger.unspent(),
        tip_height=ledger.tip_height,
        fee_rate=fee_rate,
    )


def fee(ledger: TreasuryLedger, transaction: Transaction) -> int:
    held = sum(ledger.outputs[spent.previous][0].amount for spent in transaction.inputs)
    return held - sum(output.amount for output in transaction.outputs)


@pytest.mark.parametrize("verified", [DEVNET, LARGE])
def test_chunks_pay_every_entry_exactly_once(verified: VerifiedList) -> None:
    chunks = split_chunks(verified)
    assert tuple(entry for chunk in chunks for entry in chunk.entries) == verified.entries
    assert [chunk.mark for chunk in chunks] == [
        PaymentMark(verified.list_hash, number) for number in range(len(chunks))
    ]
    assert sum(chunk.total for chunk in chunks) == verified.header.paid_total
    assert chunk_count(verified.header) == len(chunks)
    assert all(0 < len(chunk.entries) <= ENTRIES_MAX for chunk in chunks)


@given(st.integers(0, 5_000))
def test_so_many_chunks_as_needed(count: int) -> None:
    header = replace_fields(DEVNET.header, entries_count=count)
    assert (chunk_count(header) - 1) * ENTRIES_MAX < count <= chunk_count(header) * ENTRIES_MAX or not count


def test_a_list_that_is_worth_nothing_is_not_paid() -> None:
    worthless = replace(DEVNET, header=replace_fields(DEVNET.header, per_response=0))
    assert split_chunks(worthless) == ()
    assert next_chunk(worthless, TreasuryLedger(DEVNET.genesis).trail()) is None


def test_the_devnet_payment() -> None:
    ledger = TreasuryLedger(DEVNET.genesis)
    chunk = next_chunk(DEVNET, ledger.trail())
    assert chunk is not None
    transaction = build(ledger, chunk)
    mark, change, *rest = transaction.outputs
    assert [spent.previous for spent in transaction.inputs] == [ledger.trail().baton]
    assert recognise_payment(transaction) == PaymentMark(DEVNET.list_hash, 0)
    assert (mark.amount, change.script) == (0, OWN)
    assert [(script_address(o.script), o.amount) for o in rest] == [
        (entry.address, entry.amount) for entry in DEVNET.entries
    ]
    assert fee(ledger, transaction) == fee_of(transaction, ledger.genesis, 1_000)
    assert change.amount == 1_000 * COIN - DEVNET.header.paid_total - fee(ledger, transaction)


def test_chunks_are_paid_one_after_the_other_along_the_baton() -> None:
    ledger = TreasuryLedger(LARGE.genesis)
    for number in range(3):
        chunk = next_chunk(LARGE, ledger.trail())
        assert chunk is not None and chunk.mark.chunk == number
        ledger.mine(build(ledger, chunk))
        assert ledger.trail().baton.index == 1
    assert next_chunk(LARGE, ledger.trail()) is None
    paid = sum(output.amount for tx in ledger.spenders.values() for output in tx.outputs[2:])
    assert paid == LARGE.header.paid_total


def test_two_versions_of_a_payment_conflict() -> None:
    """A chunk rebuilt with a higher fee spends the same baton, so only one of the two can be mined."""
    ledger = TreasuryLedger(DEVNET.genesis)
    (chunk,) = split_chunks(DEVNET)
    one, two = build(ledger, chunk), build(ledger, chunk, fee_rate=50_000)
    assert one.txid != two.txid and one.inputs[0] == two.inputs[0]
    assert fee(ledger, two) == 50 * fee(ledger, one)


def test_a_chunk_that_left_the_chain_is_due_again() -> None:
    ledger = TreasuryLedger(DEVNET.genesis)
    (chunk,) = split_chunks(DEVNET)
    ledger.mine(build(ledger, chunk))
    assert next_chunk(DEVNET, ledger.trail()) is None
    ledger.spenders.clear()
    assert next_chunk(DEVNET, ledger.trail()) == chunk


def test_the_list_before_is_paid_first() -> None:
    world = devnet_world()
    first = verified_first(world)
    world.state = world.list().state
    for seq in (6, 7, 8):
        world.judge(seq)
    world.bury(2)
    second = verified_next(world, first)
    ledger = TreasuryLedger(world.genesis)
    with pytest.raises(
        InvalidPayment, match="the list of period 1 comes first: 0 of its 1 payments are mined"
    ):
        next_chunk(second, ledger.trail())
    ledger.mine(build(ledger, split_chunks(first)[0]))
    chunk = next_chunk(second, ledger.trail())
    assert chunk == split_chunks(second)[0]
    ledger.mine(build(ledger, chunk))
    assert next_chunk(second, ledger.trail()) is None


def paid_with(ledger: TreasuryLedger, chunk: int, *outputs: TxOutput) -> None:
    """Let the paymasters sign something that carries a chunk's mark."""
    mark = TxOutput(0, payment_mark_script(PaymentMark(DEVNET.list_hash, chunk)))
    ledger.mine(Transaction(1, (TxInput(ledger.trail().baton),), (mark, ledger.own_output(1_000), *outputs)))


def test_a_marked_transaction_that_pays_something_else_is_told() -> None:
    ledger = TreasuryLedger(DEVNET.genesis)
    paid_with(ledger, 0, TxOutput(1, address_script(DEVNET.entries[0].address)))
    with pytest.raises(InvalidPayment, match="mark of chunk 0 and does not pay its entries"):
        next_chunk(DEVNET, ledger.trail())


def test_marks_out_of_order_and_one_too_many_are_told() -> None:
    ledger = TreasuryLedger(DEVNET.genesis)
    paid_with(ledger, 1)
    with pytest.raises(InvalidPayment, match="chunk 1 was paid where chunk 0 came next"):
        next_chunk(DEVNET, ledger.trail())
    ledger = TreasuryLedger(DEVNET.genesis)
    ledger.mine(build(ledger, split_chunks(DEVNET)[0]))
    paid_with(ledger, 0)
    with pytest.raises(InvalidPayment, match="2 payments along the baton carry this list's mark, it has 1"):
        next_chunk(DEVNET, ledger.trail())


def test_further_outputs_are_gathered_the_largest_first() -> None:
    ledger = TreasuryLedger(DEVNET.genesis)
    coins = [ledger.fund(COIN * (number + 1)) for number in range(60)]
    transaction = build(ledger, split_chunks(DEVNET)[0])
    assert len(transaction.inputs) == INPUTS_MAX
    assert [spent.previous for spent in transaction.inputs[1:]] == coins[:10:-1]


def test_unburied_outputs_and_dust_are_left_alone() -> None:
    ledger = TreasuryLedger(DEVNET.genesis, tip_height=500)
    ledger.fund(COIN, height=401, name="too young for a coinbase")
    ledger.fund(300, name="costs more than it holds")
    young = ledger.coin(ledger.fund(COIN))
    unmined = replace(young, height=None)
    (chunk,) = split_chunks(DEVNET)
    coins = [coin for coin in ledger.unspent() if coin != young]
    transaction = build_payment(
        chunk, ledger.genesis, ledger.baton(), [*coins, unmined], tip_height=ledger.tip_height
    )
    assert len(transaction.inputs) == 1
    ripe = ledger.fund(COIN, height=400)
    assert {spent.previous for spent in build(ledger, chunk).inputs[1:]} == {young.outpoint, ripe}


def test_the_baton_need_not_be_buried() -> None:
    ledger = TreasuryLedger(LARGE.genesis)
    first, second, _ = split_chunks(LARGE)
    ledger.mine(build(ledger, first))
    assert ledger.baton().height == ledger.tip_height
    assert build(ledger, second).inputs[0].previous == ledger.trail().baton


def test_an_empty_treasury_is_told_what_it_lacks() -> None:
    (chunk,) = split_chunks(DEVNET)
    needed = chunk.total + fee_of(build(TreasuryLedger(DEVNET.genesis), chunk), DEVNET.genesis, 1_000)
    enough = TreasuryLedger(DEVNET.genesis, baton_amount=needed + CHANGE_MIN)
    assert build(enough, chunk).outputs[1].amount == CHANGE_MIN
    poor = TreasuryLedger(DEVNET.genesis, baton_amount=needed + CHANGE_MIN - 1)
    with pytest.raises(RequestError, match="1 spendable outputs hold 10.5001"):
        build(poor, chunk)


@pytest.mark.parametrize("tail", [b"", replay_tail(hash_of(b"block"), 1_800_000)])
def test_a_full_chunk_stays_below_the_limits(tail: bytes) -> None:
    """998 entries and 50 inputs, with or without replay tails: below 1,000 outputs and 100,000 bytes."""
    ledger = TreasuryLedger(LARGE.genesis)
    for _ in range(60):
        ledger.fund(COIN)
    chunk = split_chunks(LARGE)[0]
    transaction = build_payment(
        chunk, ledger.genesis, ledger.baton(), ledger.unspent(), tip_height=ledger.tip_height, tail=tail
    )
    assert len(transaction.outputs) == OUTPUTS_MAX
    assert len(transaction.inputs) == INPUTS_MAX
    assert signed_size(transaction, ledger.genesis) < PAYMENT_SIZE_MAX


def test_a_treasury_of_many_keys_takes_fewer_inputs() -> None:
    treasury = replace_fields(TREASURY, required=5)
    genesis = replace_fields(LARGE.genesis, treasury=treasury)
    ledger = TreasuryLedger(genesis)
    for _ in range(60):
        ledger.fund(COIN)
    tail = replay_tail(hash_of(b"block"), 1_800_000)
    transaction = build_payment(
        split_chunks(LARGE)[0], genesis, ledger.baton(), ledger.unspent(), tip_height=500, tail=tail
    )
    assert 30 < len(transaction.inputs) < INPUTS_MAX
    assert signed_size(transaction, genesis) < PAYMENT_SIZE_MAX


def test_the_change_is_the_first_output_to_the_treasury_whoever_is_paid() -> None:
    """Even if a list paid the treasury's own address, the baton would stay the change."""
    entry = replace_fields(DEVNET.entries[0], address=treasury_address(TREASURY))
    chunk = Chunk(PaymentMark(DEVNET.list_hash, 0), (entry,))
    outputs = payment_outputs(chunk, DEVNET.genesis, 77)
    assert next(output for output in outputs if output.script == OWN).amount == 77


def test_gathering_takes_small_outputs_and_leaves_the_baton() -> None:
    ledger = TreasuryLedger(DEVNET.genesis)
    coins = [ledger.fund(COIN * (number + 1)) for number in range(5)]
    transaction = build_gathering(
        ledger.genesis, ledger.trail().baton, ledger.unspent(), tip_height=ledger.tip_height
    )
    assert [spent.previous for spent in transaction.inputs] == coins
    (output,) = transaction.outputs
    assert output.script == OWN
    assert output.amount == 15 * COIN - fee_of(transaction, ledger.genesis, 1_000)


def test_gathering_stays_below_the_limits() -> None:
    ledger = TreasuryLedger(DEVNET.genesis)
    for _ in range(400):
        ledger.fund(COIN // 2)
    transaction = build_gathering(
        ledger.genesis,
        ledger.trail().baton,
        ledger.unspent(),
        tip_height=ledger.tip_height,
        fee_rate=FEE_RATE_MAX,
    )
    assert len(transaction.inputs) == GATHERED_MAX
    assert signed_size(transaction, ledger.genesis) < PAYMENT_SIZE_MAX


def test_nothing_to_gather_is_told() -> None:
    ledger = TreasuryLedger(DEVNET.genesis)
    ledger.fund(COIN)
    with pytest.raises(RequestError, match="1 spendable outputs of the treasury beside the baton"):
        build_gathering(ledger.genesis, ledger.trail().baton, ledger.unspent(), tip_height=500)
    dusty = TreasuryLedger(DEVNET.genesis)
    for _ in range(2):
        dusty.fund(400)
    with pytest.raises(RequestError, match="would leave only"):
        build_gathering(dusty.genesis, dusty.trail().baton, dusty.unspent(), tip_height=500)


def test_a_baton_unknown_to_the_list_of_coins_is_never_added_twice() -> None:
    ledger = TreasuryLedger(DEVNET.genesis)
    (chunk,) = split_chunks(DEVNET)
    transaction = build(ledger, chunk)
    assert ledger.baton() in ledger.unspent()
    assert len({spent.previous for spent in transaction.inputs}) == len(transaction.inputs) == 1
    assert OutPoint(ledger.genesis.baton.txid, 0) == transaction.inputs[0].previous


def narrow(size_max: int) -> TreasuryLedger:
    """Return a ledger on a chain whose transactions have at most so many bytes."""
    chain = replace_fields(DEVNET.genesis.chain, transaction_size_max=size_max)
    return TreasuryLedger(replace_fields(DEVNET.genesis, chain=chain))


def test_outputs_that_leave_no_room_for_an_input_are_told() -> None:
    (chunk,) = split_chunks(DEVNET)
    size = signed_size(build(TreasuryLedger(DEVNET.genesis), chunk), DEVNET.genesis)
    # The count of inputs is allowed for with the three bytes that more than 252 take.
    assert signed_size(build(narrow(size + 2), chunk), DEVNET.genesis) == size
    with pytest.raises(RequestError, match="6 outputs leave no room for an input"):
        build(narrow(size + 1), chunk)


def gathered(*amounts: int, fee_rate: int = 1_000) -> Transaction:
    ledger = TreasuryLedger(DEVNET.genesis)
    for amount in amounts:
        ledger.fund(amount)
    return build_gathering(
        ledger.genesis, ledger.trail().baton, ledger.unspent(), tip_height=500, fee_rate=fee_rate
    )


def test_a_gathering_leaves_an_output_that_is_just_relayed() -> None:
    paid = fee_of(gathered(COIN, COIN), DEVNET.genesis, 1_000)
    assert gathered(CHANGE_MIN, paid).outputs[0].amount == CHANGE_MIN
    with pytest.raises(RequestError, match="would leave only 0.00009999"):
        gathered(CHANGE_MIN, paid - 1)


def test_a_coin_must_hold_more_than_spending_it_costs() -> None:
    two, three = gathered(COIN, COIN), gathered(COIN, COIN, COIN)
    cost = signed_size(three, DEVNET.genesis) - signed_size(two, DEVNET.genesis)
    assert len(gathered(COIN, COIN, cost + 1).inputs) == 3
    assert len(gathered(COIN, COIN, cost).inputs) == 2
