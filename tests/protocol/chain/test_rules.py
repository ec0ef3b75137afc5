"""A chain's numbers: the subsidy schedule, the nodes' share, the presets."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.chain.rules import (
    DEVNET,
    LITECOIN_REGTEST,
    ZEN_MAINNET,
    ZEN_TESTNET,
    ChainFamily,
    ChainRules,
    block_subsidy,
    node_reward,
)
from protocol.codec import decode, encode, replace
from protocol.errors import MalformedMessage
from protocol.units import COIN
from tests.support.chain_data import read_json
from tests.support.vectors import check_vectors

PRESETS = [ZEN_MAINNET, ZEN_TESTNET, LITECOIN_REGTEST, DEVNET]
ZCASH_SLOW_START = replace(ZEN_MAINNET, slow_start=20_000)


@pytest.mark.parametrize("rules", PRESETS)
def test_presets_stand_in_the_genesis_file(rules: ChainRules) -> None:
    assert decode(encode(rules), ChainRules) == rules


def test_subsidies_of_zen() -> None:
    assert [block_subsidy(ZEN_MAINNET, height) for height in (0, 1, 2, 840_000, 840_001, 1_680_001)] == [
        0,
        1_250_000_000,
        1_250_000_000,
        1_250_000_000,
        625_000_000,
        312_500_000,
    ]
    assert node_reward(ZEN_MAINNET, 1) == 43_750_000
    assert node_reward(ZEN_MAINNET, 840_001) == 21_875_000


def test_zcashs_slow_start_rises_to_the_same_sum() -> None:
    """It leaves out the middle step, and the halvings are shifted by half of its length."""
    assert block_subsidy(ZCASH_SLOW_START, 1) == 62_500
    assert block_subsidy(ZCASH_SLOW_START, 9_999) == 62_500 * 9_999
    assert block_subsidy(ZCASH_SLOW_START, 10_000) == 62_500 * 10_001
    assert block_subsidy(ZCASH_SLOW_START, 19_999) == block_subsidy(ZCASH_SLOW_START, 20_000) == 1_250_000_000
    assert block_subsidy(ZCASH_SLOW_START, 849_999) == 1_250_000_000
    assert block_subsidy(ZCASH_SLOW_START, 850_000) == 625_000_000
    slow = sum(block_subsidy(ZCASH_SLOW_START, height) for height in range(20_000))
    assert slow == 1_250_000_000 * 10_000


def test_the_share_of_the_real_zcash_and_zen_coinbases() -> None:
    """A regtest block of zend: 60 % to the miner, 20, 10 and 10 % to the funds, and its fees on top."""
    block = read_json("horizen/block-with-certificates-expanded.json")
    regtest = replace(ZEN_TESTNET, halving_interval=2_000, slow_start=0)
    subsidy = block_subsidy(regtest, block["height"])
    outputs = [output["valueZat"] for output in block["tx"][0]["vout"]]
    assert outputs[1:] == [subsidy * 20 // 100, subsidy // 10, subsidy // 10]
    assert 0 <= outputs[0] - subsidy * 60 // 100 < COIN // 100


@given(st.sampled_from(PRESETS), st.integers(-5, 2**40))
def test_every_height_has_a_subsidy(rules: ChainRules, height: int) -> None:
    subsidy, reward = block_subsidy(rules, height), node_reward(rules, height)
    assert 0 <= reward <= subsidy <= rules.initial_subsidy
    assert reward == subsidy * 35 // 1_000
    assert block_subsidy(rules, height + 1) <= subsidy or height <= 0


@pytest.mark.parametrize("rules", PRESETS)
def test_never_more_than_all_money(rules: ChainRules) -> None:
    first = block_subsidy(rules, rules.halving_interval)
    assert sum((first >> n) * rules.halving_interval for n in range(64)) <= rules.money_max
    assert block_subsidy(rules, rules.halving_interval * 64 + rules.slow_start) == 0


def test_relations() -> None:
    broken: list[dict[str, Any]] = [{"halving_interval": 0}, {"node_reward_thousandths": 1_001}]
    for fields in broken:
        with pytest.raises((ValueError, MalformedMessage)):
            decode(encode(replace(DEVNET, **fields)), ChainRules)


def test_an_unknown_family_is_refused() -> None:
    raw = encode(replace(DEVNET, name=""))
    assert raw[:4] == b"\x9f\xa0\x00\x00"
    with pytest.raises(MalformedMessage):
        decode(raw[:2] + b"\x03" + raw[3:], ChainRules)
    assert decode(raw[:2] + b"\x02" + raw[3:], ChainRules).family is ChainFamily.ZEN


def test_vectors() -> None:
    heights = (0, 1, 2, 4_032, 839_999, 840_000, 840_001, 1_680_001, 2_520_001, 26_880_001, 60_000_000)
    produced = {
        rules.name: {
            "encoded": encode(rules).hex(),
            "subsidies": [[h, block_subsidy(rules, h), node_reward(rules, h)] for h in heights],
        }
        for rules in PRESETS
    }
    check_vectors("chain", "rules", produced)
