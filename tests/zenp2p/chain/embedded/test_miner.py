"""Mining: in slices, never ahead of its time, on the newest tip."""

from protocol.chain.block import block_hash, compact_target, parse_block
from protocol.chain.rules import block_subsidy
from protocol.units import COIN
from tests.support import embedded_chain as made
from zenp2p.chain.embedded.chain import EmbeddedChain
from zenp2p.chain.embedded.mempool import Mempool
from zenp2p.chain.embedded.miner import (
    BLOCK_ROOM,
    NONCES,
    TEMPLATE_SECONDS_MAX,
    Miner,
    build_template,
    search,
)

HARD_BITS = 0x1F0F_FFFF
"""One hash in about 4,000 will do."""
BOB = made.address_of("bob")


def mining(bits: int = made.EASY_BITS) -> tuple[Miner, Mempool, EmbeddedChain]:
    """Return a miner, its pool and its chain."""
    chain = made.opened(made.definition(bits=bits))
    pool = Mempool(chain)
    return Miner(chain, pool, BOB), pool, chain


def test_a_mined_block_is_valid_and_pays_the_miner() -> None:
    miner, _, chain = mining()
    raw = miner.mine(made.START + 1, 1_000)
    assert raw is not None
    chain.add_block(raw, made.START + 1)
    block = parse_block(raw, made.RULES)
    assert chain.tip() == (1, block_hash(block.header))
    subsidy = block_subsidy(made.RULES, 1)
    assert block.transactions[0].outputs[0].amount == subsidy - subsidy * 35 // 1_000


def test_nothing_is_mined_before_the_minimum_spacing() -> None:
    miner, _, _ = mining()
    assert miner.mine(made.START, 1_000) is None
    assert miner.mine(made.START + 1, 1_000) is not None


def test_a_second_miner_takes_over_after_silence() -> None:
    miner, _, _ = mining()
    assert miner.mine(made.START + 4, 1_000, silence=5) is None
    assert miner.mine(made.START + 5, 1_000, silence=5) is not None


def test_who_has_taken_over_goes_on_until_another_mines() -> None:
    standby, _, chain = mining()
    first = Miner(chain, Mempool(chain), made.address_of("carol"))

    def add(raw: bytes | None, now: int) -> None:
        assert raw is not None
        chain.add_block(raw, now)

    assert standby.due(silence=5) == made.START + 5
    add(standby.mine(made.START + 5, 1_000, silence=5), made.START + 5)
    assert standby.due(silence=5) == made.START + 6
    add(standby.mine(made.START + 6, 1_000, silence=5), made.START + 6)
    add(first.mine(made.START + 7, 1_000), made.START + 7)
    assert standby.due(silence=5) == made.START + 12
    assert standby.mine(made.START + 11, 1_000, silence=5) is None
    assert standby.mine(made.START + 12, 1_000, silence=5) is not None


def test_a_search_in_slices_finds_the_same_nonce_as_one_search() -> None:
    _, pool, chain = mining(HARD_BITS)
    template = build_template(chain, pool, BOB, made.START + 1)
    target = compact_target(HARD_BITS)
    whole = search(template.header, target, 0, 1 << 20)
    slices = (search(template.header, target, first, 500) for first in range(0, 1 << 20, 500))
    assert whole is not None and whole > 500
    assert next(found for found in slices if found is not None) == whole
    miner, _, chain = mining(HARD_BITS)
    tries = 1
    while (raw := miner.mine(made.START + 1, 500)) is None:
        tries += 1
    assert tries == whole // 500 + 1
    chain.add_block(raw, made.START + 1)


def test_a_new_tip_or_a_new_payment_or_an_old_time_begins_anew() -> None:
    miner, pool, chain = mining(0x1C00_FFFF)
    now = made.START + 1
    seen = set()
    miner.mine(now, 1)
    seen.add(miner._current(now).header.merkle_root)
    payment = made.pay("alice", [made.allocation(chain.definition)], [(BOB, 1_000 * COIN)])
    pool.accept(payment.raw)
    template = miner._current(now)
    seen.add(template.header.merkle_root)
    assert payment in template.transactions and len(seen) == 2
    assert miner._current(now + TEMPLATE_SECONDS_MAX) is template
    assert miner._current(now + TEMPLATE_SECONDS_MAX + 1).header.time == now + TEMPLATE_SECONDS_MAX + 1


def test_when_every_nonce_was_tried_the_coinbase_changes() -> None:
    miner, _, _ = mining(0x0300_0001)
    now = made.START + 1
    miner.mine(now, 1)
    first = miner._current(now).transactions[0].txid
    miner._nonce = NONCES - 1
    assert miner.mine(now, 10) is None
    assert miner._current(now).transactions[0].txid != first
    assert miner._nonce == 0


def test_a_block_takes_what_fits() -> None:
    """The room that is kept free suffices for header, count and coinbase."""
    outputs = [(BOB, 1)] * 2_700
    allocations = [(made.address_of("alice"), COIN)] * 12
    chain = made.opened(made.definition(allocations))
    pool = Mempool(chain)
    for number in range(12):
        coin = made.allocation(chain.definition, 2 + number)
        pool.accept(made.pay("alice", [coin], outputs).raw)
    assert sum(entry.size for entry in pool) > made.RULES.block_size_max
    template = build_template(chain, pool, BOB, made.START + 1)
    size = len(template.raw)
    assert made.RULES.block_size_max - 100_000 < size <= made.RULES.block_size_max
    assert size - sum(len(tx.raw) for tx in template.transactions[1:]) <= BLOCK_ROOM
    chain.add_block(made.mined(chain.definition, template).raw, made.START + 1)
    assert chain.tip()[0] == 1
