"""The trace: what happened, and in which order, is in its hash."""

from simulations.trace import HEARD_BYTES, LARGE_BYTES, MARKS_MAX, Trace


def digest_of(*heard: tuple[int, int, int, bytes], noted: bytes = b"") -> bytes:
    """Return the hash of a run in which these messages were heard, and something else happened after them."""
    trace = Trace()
    for time, sender, receiver, data in heard:
        trace.heard(time, sender, receiver, trace.mark(data))
    if noted:
        trace.note(9, "block", 0, noted)
    return trace.digest()


def test_every_part_of_a_message_counts_and_the_order() -> None:
    one, other = (1, 2, 3, b"a"), (1, 2, 4, b"a")
    runs = [
        (one,),
        (other,),
        (one, other),
        (other, one),
        ((2, 2, 3, b"a"),),
        ((1, 3, 3, b"a"),),
        ((1, 2, 3, b"b"),),
    ]
    digests = {digest_of(*run) for run in runs} | {digest_of(one, noted=b"x"), digest_of(noted=b"x")}
    assert len(digests) == len(runs) + 2
    assert digest_of(one, other, noted=b"x") == digest_of(one, other, noted=b"x")


def test_what_is_gathered_is_not_lost_when_it_is_much() -> None:
    many = [(number, 1, 2, b"a") for number in range(HEARD_BYTES // 16)]
    assert digest_of(*many) != digest_of(*many[1:])
    assert digest_of(*many) != digest_of(*many[:-1])


def test_large_messages_have_marks_of_their_own_however_many_there_are() -> None:
    trace = Trace()
    large = [bytes([number]) * LARGE_BYTES for number in range(MARKS_MAX + 3)]
    marks = [trace.mark(data) for data in large]
    assert len(set(marks)) == len(large) and [trace.mark(data) for data in large] == marks
