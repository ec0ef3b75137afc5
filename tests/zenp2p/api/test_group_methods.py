"""What a node says of the groups."""

from typing import Any

import msgspec
import pytest

from protocol.group.age import AGE_MAX
from tests.support.halves import Halves
from zenp2p.api.errors import NotFound
from zenp2p.api.group_methods import EVENTS_MAX, shown_events


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
