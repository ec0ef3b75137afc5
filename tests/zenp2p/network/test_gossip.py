"""Which messages have been seen."""

import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from zenp2p.network.gossip import SeenMessages


@given(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 30)), max_size=60))
def test_seen_messages_agree_with_a_naive_model(steps: list[tuple[int, int]]) -> None:
    async def main() -> None:
        seen = SeenMessages(ttl=100.0, most=1000)
        naive: dict[int, float] = {}
        for number, wait in steps:
            await trio.sleep(wait)
            known = naive.get(number, -1.0) > trio.current_time()
            assert seen.has(bytes([number])) is known
            assert seen.add(bytes([number])) is not known
            if not known:
                naive[number] = trio.current_time() + 100
            assert seen.length() <= 9

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


async def test_at_most_so_many_are_remembered_and_the_oldest_goes_first() -> None:
    seen = SeenMessages(ttl=100.0, most=3)
    for number in range(5):
        assert seen.add(bytes([number]))
    assert [seen.has(bytes([number])) for number in range(5)] == [False, False, True, True, True]
    assert seen.length() == 3


async def test_no_thread_is_left() -> None:
    import threading

    before = threading.active_count()
    SeenMessages(1.0, 1)
    assert threading.active_count() == before
