"""The first block is a function of the genesis file, and impossible chains do not exist."""

from typing import Any

import pytest

from protocol.chain.block import coinbase_height
from protocol.chain.rules import ZEN_MAINNET
from protocol.chain.script import script_address
from protocol.codec import replace
from protocol.errors import RequestError
from protocol.genesis import Baton, ChainStart, Genesis, GenesisMember, Treasury
from protocol.parameters import DEVNET
from protocol.units import COIN
from tests.support import embedded_chain as made
from zenp2p.chain.embedded.definition import ChainDefinition, define_chain, genesis_block


def genesis_file(start: ChainStart | bytes) -> Genesis:
    """Return a genesis file with one member."""
    return Genesis(
        name="test",
        parameters=DEVNET,
        chain=made.RULES,
        start=start,
        treasury=Treasury(required=2, public_keys=made.TREASURY_KEYS),
        baton=Baton(txid=bytes(32), index=1),
        first_challenge_height=8,
        carried=0,
        members=(GenesisMember(operator_key=bytes(32), age=1, registration=b""),),
    )


def test_the_first_block_pays_the_allocations_in_order() -> None:
    definition = made.definition([(made.address_of("bob"), 42 * COIN)])
    (coinbase,) = definition.genesis.transactions
    paid = [(script_address(output.script), output.amount) for output in coinbase.outputs]
    assert paid == list(definition.start.allocations)
    assert coinbase_height(definition.genesis) == 0


def test_the_first_block_is_a_pure_function() -> None:
    one, other = made.definition(), made.definition([(made.address_of("bob"), 1)])
    assert genesis_block(one.rules, one.start).raw == one.genesis.raw
    assert one.genesis_hash == made.definition().genesis_hash != other.genesis_hash


def test_without_allocations_there_is_still_a_block() -> None:
    start = replace(made.definition().start, allocations=())
    chain = made.opened(ChainDefinition(made.RULES, start, made.TREASURY))
    assert chain.tip()[0] == 0


def test_a_genesis_file_defines_the_chain_and_the_treasury() -> None:
    definition = made.definition()
    assert define_chain(genesis_file(definition.start)) == definition


def test_a_network_on_an_external_chain_has_no_chain_of_its_own() -> None:
    with pytest.raises(RequestError, match="external chain"):
        define_chain(genesis_file(bytes(32)))


@pytest.mark.parametrize(
    ("rules", "reason"),
    [
        ({"family": ZEN_MAINNET.family}, "Bitcoin family"),
        ({"header_layout": ZEN_MAINNET.header_layout}, "80-byte headers"),
        ({"block_size_max": 1_000_001}, "at most 1000000 bytes"),
        ({"block_size_max": 100_000}, "room for the largest transaction"),
        ({"replay_tail_depth": 1}, "replay tail"),
        ({"money_max": 1_099 * COIN}, "money that may exist"),
    ],
)
def test_rules_that_cannot_be_kept_are_refused(rules: dict[str, Any], reason: str) -> None:
    with pytest.raises(RequestError, match=reason):
        ChainDefinition(replace(made.RULES, **rules), made.definition().start, made.TREASURY)


@pytest.mark.parametrize(
    ("start", "reason"),
    [
        ({"time": 0}, "start time"),
        ({"time": 1 << 32}, "start time"),
        ({"treasury_share": 1_001}, "treasury share"),
        ({"bits": 0}, "no target"),
        ({"bits": 0x2101_0000}, "no target"),
        ({"allocations": ((b"\x05" + bytes(20), 1),)}, "not an address"),
    ],
)
def test_beginnings_that_make_no_chain_are_refused(start: dict[str, Any], reason: str) -> None:
    with pytest.raises(RequestError, match=reason):
        ChainDefinition(made.RULES, replace(made.definition().start, **start), made.TREASURY)
