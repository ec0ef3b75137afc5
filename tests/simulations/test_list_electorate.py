"""Who votes on a list: keys of their own, machines among the first to propose, and few enough who lie."""

import random
from dataclasses import replace
from typing import Any

import pytest

from protocol.codec import encode
from protocol.codec import replace as changed
from protocol.errors import ProtocolError
from protocol.group.certificate import Certificate
from protocol.group.vote import LIST_ELECTORATE, Phase, Slot, value_hash, vote_body
from protocol.payout.list_header import decode_header
from simulations.list_electorate import VERSIONS, Election, hold_election
from simulations.list_options import Dishonesty, ListOptions
from simulations.list_source import CHALLENGES, PERIOD


def election(dishonesty: Dishonesty = Dishonesty.SILENT, **changes: Any) -> Election:
    options = ListOptions(dishonesty=dishonesty, voters=200)
    return hold_election(4, replace(options, **changes), random.Random(7))


def certificate(held: Election, value: bytes, count: int) -> Certificate:
    slot = Slot(held.network, LIST_ELECTORATE, PERIOD, 0, Phase.PRECOMMIT)
    hashed = value_hash(value)
    signed = sorted(
        (one.operator_key, one.sign(vote_body(slot, hashed, one.operator_key))[:64])
        for one in held.signers[:count]
    )
    return Certificate(
        electorate=LIST_ELECTORATE, height=PERIOD, round=0, block_hash=hashed, signatures=tuple(signed)
    )


@pytest.mark.parametrize(("percent", "count"), [(1, 2), (10, 20), (30, 60), (33, 66), (100, 66)])
def test_the_dishonest_are_less_than_a_third(percent: int, count: int) -> None:
    held = election(dishonest_percent=percent)
    assert len(held.dishonest) == count and 3 * count < 200
    assert election(Dishonesty.NONE).dishonest == frozenset()


def test_everybody_honest_is_a_machine_or_follows_one() -> None:
    held = election(machines=16)
    followers = [one for group in held.followers.values() for one in group]
    everybody = [*held.machines, *followers, *held.dishonest]
    assert sorted(everybody) == list(range(200)) and len(held.machines) == 16
    sizes = {len(group) for group in held.followers.values()}
    assert max(sizes) - min(sizes) <= 1


def test_the_first_honest_proposers_are_machines() -> None:
    held = election(machines=16)
    honest = [number for number in held.order if number not in held.dishonest]
    assert tuple(honest[:8]) == held.machines[:8]
    assert sorted(held.order) == list(range(200))


def test_more_machines_than_honest_voters_are_all_of_them() -> None:
    held = election(voters=5, machines=16)
    assert len(held.dishonest) == 1 and len(held.machines) == 4


def test_the_right_lists_pay_everybody_for_every_challenge_and_differ_in_a_head() -> None:
    held = election(Dishonesty.NONE)
    headers = [decode_header(value) for value in held.values]
    assert len(headers) == VERSIONS == len(set(held.values))
    assert {len(one.heads) for one in headers} == {16}
    assert {len(one.blocks) for one in headers} == {16 * CHALLENGES}
    assert {one.responses for one in headers} == {200 * CHALLENGES}
    assert len({one.heads[1:] for one in headers}) == 1
    assert len({one.prefix for one in next(iter(held.lists.values())).members}) == 16


def test_only_the_right_lists_are_valid() -> None:
    held = election(Dishonesty.NONE)
    assert all(held.is_valid(value) for value in held.values)
    header = decode_header(held.values[0])
    for wrong in (
        changed(header, responses=header.responses + 1),
        changed(header, blocks=header.blocks[1:]),
        changed(header, period=PERIOD + 1),
    ):
        assert not held.is_valid(encode(wrong))


def test_a_wallet_takes_what_two_thirds_have_signed_and_nothing_else() -> None:
    held = election(Dishonesty.NONE)
    held.check_file(held.values[1], certificate(held, held.values[1], 134))
    for value, made in (
        (held.values[1], certificate(held, held.values[1], 133)),
        (held.values[0], certificate(held, held.values[1], 134)),
    ):
        with pytest.raises(ProtocolError):
            held.check_file(value, made)
