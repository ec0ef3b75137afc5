"""What a node says of the groups."""

from typing import Any

import msgspec
import pytest

from protocol.chain.address import encode_address
from protocol.chain.rules import DEVNET
from protocol.chain.transaction import with_script_sig
from protocol.group.age import AGE_MAX
from protocol.group.summons import encode_life, encode_summons, summons_of, term
from protocol.units import Hash32
from tests.support.halves import PARAMETERS, Halves
from tests.support.operators import Operator
from tests.support.parted import SIGNATURE
from zenp2p.api.errors import NotFound
from zenp2p.api.group_methods import EVENTS_MAX, shown_events

TERM = term(PARAMETERS)


def shown(network: Halves, **params: Any) -> Any:
    return network.ask(network.founders[0], "group.show", params)


def test_all_groups_are_shown_with_their_members() -> None:
    network = Halves()
    network.mine_to(12)
    answer = shown(network)
    assert (answer["operator"], answer["height"]) == (network.founders[0].key.hex(), 12)
    for each, prefix in zip(answer["groups"], ("0", "1"), strict=True):
        state = network[network.founders[0]].node.groups[prefix].state
        assert (each["prefix"], each["height"], each["head"]) == (prefix, state.height, state.head.hex())
        assert (each["condition"], each["unjudged"], each["link"], each["link_due"]) == ("runs", [], 1, False)
        assert (each["voters"], each["age_total"], each["ages"], each["removed"]) == (3, 3, {"1": 3}, [])
        assert [one["operator"] for one in each["members"]] == [one.key.hex() for one in network.of(prefix)]
        for one in each["members"]:
            assert (one["age"], one["voter"], one["joined"], one["returning_age"]) == (1, True, 0, None)
            assert (one["events"], one["events_until_move"], one["is_next"]) == (0, 2, False)
    assert answer["moves"] == answer["departures"] == []


def test_one_group_is_shown_and_the_members_may_be_left_out() -> None:
    network = Halves()
    network.mine_to(12)
    (only,) = shown(network, prefix="1", members=False)["groups"]
    assert only["prefix"] == "1" and only["members_count"] == 3 and "members" not in only
    for none in ("", "01", "10"):
        with pytest.raises(NotFound, match="no live group"):
            shown(network, prefix=none)


@pytest.mark.parametrize("params", [{"prefix": "2"}, {"prefix": "0 "}, {"moves": -1}, {"moves": 1_025}])
def test_parameters_have_bounds(params: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        shown(Halves(), **params)


def test_a_stopped_group_shows_what_it_has_not_judged() -> None:
    network = Halves()
    network.mine_to(12)
    network.cut = {one.key for one in network.of("1")[:2]}
    network.mine_to(24)
    groups = network.ask(network.of("0")[0], "group.show")["groups"]
    assert [each["condition"] for each in groups] == ["runs", "stopped"]
    assert groups[1]["unjudged"] == [
        {"seq": seq, "parts": ["1"], "judged_at": seq * 4 + 3} for seq in (3, 4, 5)
    ]
    assert groups[0]["quiet"] == 1 and groups[1]["quiet"] == 13


@pytest.mark.parametrize(("age", "events"), [(0, 1), (1, 2), (52, 1 << 52), (53, None), (AGE_MAX, None)])
def test_a_stay_that_no_reader_of_json_can_count_has_no_number(age: int, events: int | None) -> None:
    assert shown_events(age) == events
    assert events is None or events <= EVENTS_MAX


class TestSummonses:
    """A group that stops, or is cut off, as both sides are told of it."""

    def summoned(self) -> tuple[Halves, int]:
        """1 is cut off from 0, which has summoned it and had that mined; return the height."""
        network = Halves()
        network.mine_to(12)
        ours = {one.key for one in network.of("0")}
        network.drops = lambda sender, to, _: (sender in ours) != (to in ours)
        network.mine_to(network.chain.tip()[0] + 2 * TERM)
        (open_,) = self.ask(network, "0")["summonses"]
        (problem,) = self.problems(network, "0", "has summoned")
        assert open_["mined"] is None and "zenp2p group absorb" in problem
        signer = next(one for one in network.of("0") if address(one) in open_["stakes"])
        return network, mine_mark(network, bytes.fromhex(open_["payload"]), signer)

    def ask(self, network: Halves, prefix: str) -> Any:
        return network.ask(network.of(prefix)[0], "group.summonses")

    def problems(self, network: Halves, prefix: str, word: str) -> list[str]:
        status = network.ask(network.of(prefix)[0], "node.status")
        return [one for one in status["problems"] if word in one]

    def test_who_is_summoned_is_told_what_to_do_until_when(self) -> None:
        network, mined = self.summoned()
        (open_,) = self.ask(network, "0")["summonses"]
        assert (open_["prefix"], open_["by"], open_["mined"], open_["due"]) == ("1", "0", mined, mined + TERM)
        assert not self.problems(network, "0", "has summoned")
        (called,) = self.ask(network, "1")["called"]
        assert (called["prefix"], called["mined"], called["due"]) == ("1", mined, mined + TERM)
        assert called["data_height"] == open_["data_height"]
        assert sorted(called["stakes"]) == sorted(address(one) for one in network.of("1"))
        (problem,) = self.problems(network, "1", "is summoned")
        assert f"up to block {mined + TERM}" in problem and "zenp2p group cancel" in problem

    def test_an_answer_ends_it(self) -> None:
        network, _ = self.summoned()
        (called,) = self.ask(network, "1")["called"]
        signer = next(one for one in network.of("1") if address(one) in called["stakes"])
        mine_mark(network, bytes.fromhex(called["payload"]), signer)
        assert self.ask(network, "1")["called"] == [] and not self.problems(network, "1", "is summoned")
        network.mine_to(network.chain.tip()[0] + TERM + 4)
        assert [each["prefix"] for each in shown(network)["groups"]] == ["0", "1"]

    def test_a_group_with_nothing_later_shows_the_summons_itself(self) -> None:
        network = Halves()
        network.mine_to(12)
        state = network[network.of("1")[0]].node.groups["1"].state
        block = Hash32(bytes(range(32)))
        forged = encode_summons(summons_of("1", state.height, state.head, block))
        network.cut = {one.key for one in network.of("0")}
        mine_mark(network, forged, network.founders[0])
        (called,) = network.ask(
            next(one for one in network.founders if one.key not in network.cut), "group.summonses"
        )["called"]
        assert called["payload"] == encode_life(block).hex()


def address(one: Operator) -> str:
    return encode_address(one.stake_address, DEVNET.prefixes)


def mine_mark(network: Halves, payload: bytes, signer: Operator) -> int:
    tx = network.chain.spend(signer.stake_address, [], payload)
    return network.mine_with(with_script_sig(tx, 0, SIGNATURE))
