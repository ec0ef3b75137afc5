"""A bounded memory forgets the oldest."""

from zenp2p.chain.embedded.remembered import Remembered


def test_the_oldest_is_forgotten_first() -> None:
    memory = Remembered(2)
    for value in (b"a", b"b", b"a", b"c"):
        memory.add(value)
    assert b"a" not in memory and b"b" in memory and b"c" in memory
    assert len(memory) == 2


def test_what_is_no_value_is_not_remembered() -> None:
    memory = Remembered(1)
    assert b"" not in memory and None not in memory and len(memory) == 0
