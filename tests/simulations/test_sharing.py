"""Sharing between nodes: it saves work and changes nothing, and it hides no difference."""

import pytest

from protocol.group import data_block, data_chain, vote
from protocol.group.data_chain import DataChain
from simulations import sharing
from simulations.cluster import Cluster, Outcome
from simulations.options import Options
from simulations.sharing import LONG, SharedDiffers, once, shared_work
from simulations.signatures import remembered_signatures

OPTIONS = Options(nodes=5)


def outcome(seed: int, *, shared: bool) -> Outcome:
    """Run a seed under all faults."""
    with shared_work() if shared else remembered_signatures():
        return Cluster(seed, OPTIONS).run()


@pytest.mark.parametrize("seed", range(3))
def test_a_run_is_the_same_to_the_byte_with_and_without_it(seed: int) -> None:
    assert outcome(seed, shared=True) == outcome(seed, shared=False)


def test_everything_is_in_its_place_again_afterwards() -> None:
    def places() -> list[object]:
        shared = [vars(module)[name] for module, name, _ in sharing.SHARED]
        chains = [vars(DataChain)["_examine"], vars(DataChain)["from_genesis"], vars(data_chain)["_after"]]
        return shared + chains

    before = places()
    with pytest.raises(KeyError), shared_work():
        assert all(one is not other for one, other in zip(before, places(), strict=True))
        raise KeyError
    assert places() == before and data_block.block_hash(b"body") == vote.value_hash(b"body")


def test_a_function_is_asked_once_for_each_argument_and_refusals_are_not_remembered() -> None:
    asked: list[bytes] = []

    def length(data: bytes) -> int:
        asked.append(data)
        if not data:
            raise ValueError("nothing")
        return len(data)

    shared = once(length, lambda data: data)
    for _ in range(3):
        assert [shared(b"a"), shared(b"bc")] == [1, 2]
        with pytest.raises(ValueError, match="nothing"):
            shared(b"")
    assert asked == [b"a", b"bc", b"", b"", b""]


def test_what_is_asked_for_again_and_again_stays_and_the_rest_is_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sharing, "REMEMBERED_MAX", 4)
    monkeypatch.setattr(sharing, "REMEMBERED_BYTES", 3 * LONG)
    asked: list[bytes] = []

    def length(data: bytes) -> int:
        asked.append(data)
        return len(data)

    shared = once(length, lambda data: data)
    for number in range(100):
        shared(b"often")
        shared(number.to_bytes(2, "big") * (LONG if number % 3 == 0 else 1))
    assert asked.count(b"often") == 1
    shared(bytes(2))
    assert asked.count(bytes(2)) == 1 and len(asked) == 102  # number 0 was a long one


def test_an_answer_that_changes_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharing, "COMPARED_EVERY", 5)
    answers = iter(range(100))
    shared = once(lambda data: next(answers), lambda data: data)
    with pytest.raises(SharedDiffers):
        for _ in range(10):
            assert shared(b"same") == 0
