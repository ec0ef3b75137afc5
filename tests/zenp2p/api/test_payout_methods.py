"""What a node says of lists over several groups."""

from collections.abc import Sequence
from typing import Any

import pytest

from protocol.node.records import list_key
from protocol.payout.list_file import decode_list_file
from tests.support.halves import Halves


def test_a_list_names_the_heads_of_all_groups_and_their_blocks() -> None:
    network = Halves()
    network.mine_to(20)
    one = network.founders[0]
    shown = network.ask(one, "payout.show", {"period": 1})
    header = decode_list_file(network[one].node.lister.file(1) or b"").header
    assert [head["prefix"] for head in shown["heads"]] == ["0", "1"]
    assert [(head["height"], head["hash"]) for head in shown["heads"]] == [
        (head.height, head.block_hash.hex()) for head in header.heads
    ]
    named = {
        block["hash"]
        for seq in (2, 3)
        for block in network.ask(one, "challenge.show", {"seq": seq})["blocks"]
    }
    assert set(shown["blocks"]) == named and len(named) == 4
    assert shown["responses"] == 12 and shown["members"] == 6
    assert set(shown["certificate"]["signers"]) <= {each.key.hex() for each in network.founders}


def test_who_asks_while_a_list_is_being_written_gets_those_before(monkeypatch: pytest.MonkeyPatch) -> None:
    network = Halves()
    one = network.founders[0]
    said: list[list[dict[str, Any]]] = []
    store = network[one].store
    write = store.write

    def write_meanwhile(writes: Sequence[tuple[bytes, bytes]], **how: Any) -> None:
        keys = [key for key, _ in writes]
        said.extend(network.ask(one, "payout.list") for period in (1, 2) if list_key(period) in keys)
        write(writes, **how)

    monkeypatch.setattr(store, "write", write_meanwhile)
    network.mine_to(30)
    assert [[each["period"] for each in lists] for lists in said] == [[], [1]]
    assert [each["period"] for each in network.ask(one, "payout.list")] == [1, 2]
