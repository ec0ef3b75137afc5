"""What a judge holds of one challenge, and what of it is written."""

from collections.abc import Iterator

import pytest

from protocol.errors import InvalidSignature, NotAMember, StaleMessage
from protocol.node.effects import Persist
from protocol.node.open_challenge import OpenChallenge
from protocol.tracking.answer_key import AnswerKey
from tests.support.court import Court
from tests.support.operators import NETWORK

HEIGHT = 17


class Written(dict[bytes, bytes]):
    """Records in memory."""

    def iterate(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        return iter(sorted((key, value) for key, value in self.items() if key.startswith(prefix)))


def test_a_response_that_came_before_its_registration_is_written_when_it_comes_again() -> None:
    court = Court()
    late = court.members[0]
    response = court.right(late)
    others = {key: entry for key, entry in court.registrations.items() if key != late.key}
    opened = OpenChallenge(NETWORK, AnswerKey(court.challenge, others, court.chain, court.parameters))
    with pytest.raises(NotAMember):
        opened.keep_response(response, HEIGHT, late.key)
    opened.update(court.answers())
    kept = opened.keep_response(response, HEIGHT + 1, late.key)
    assert isinstance(kept, Persist) and kept.value is not None
    assert kept.value.endswith(response) and opened.keep_response(response, HEIGHT + 1, late.key) is None
    again = OpenChallenge(NETWORK, court.answers())
    again.restore(Written({kept.key: kept.value}))
    held, before = again.builder.held(late.key), opened.builder.held(late.key)
    assert held == before and held is not None and held.height == HEIGHT


def test_a_response_is_written_once() -> None:
    court = Court()
    one = court.members[0]
    opened = OpenChallenge(NETWORK, court.answers())
    assert opened.keep_response(court.right(one), HEIGHT, one.key) is not None
    assert opened.keep_response(court.right(one), HEIGHT, one.key) is None
    assert opened.keep_response(court.wrong(one), HEIGHT, one.key) is None


def test_what_a_restart_read_is_not_written_again() -> None:
    court = Court()
    one = court.members[0]
    opened = OpenChallenge(NETWORK, court.answers())
    kept = opened.keep_response(court.right(one), HEIGHT, one.key)
    assert kept is not None and kept.value is not None
    again = OpenChallenge(NETWORK, court.answers())
    again.restore(Written({kept.key: kept.value}))
    assert again.keep_response(court.right(one), HEIGHT, one.key) is None


def test_what_a_receipt_would_speak_of_is_written_even_if_something_else_came() -> None:
    court = Court()
    one = court.members[0]
    opened = OpenChallenge(NETWORK, court.answers())
    with pytest.raises(StaleMessage):
        opened.keep_response(court.old(one), HEIGHT, one.key)
    kept = opened.keep_response(court.wrong(one), HEIGHT, one.key)
    held = opened.builder.held(one.key)
    assert kept is not None and kept.value is not None and held is not None
    assert kept.value.endswith(held.envelope)


def test_whatever_an_observation_names_can_be_written_with_it() -> None:
    court = Court()
    one, other = court.members[:2]
    opened = OpenChallenge(NETWORK, court.answers())
    kept = opened.keep_response(court.right(one), HEIGHT, one.key)
    for flawed in (court.old(other), court.badly_signed(other)):
        with pytest.raises((StaleMessage, InvalidSignature)):
            opened.keep_response(flawed, HEIGHT, other.key)
    rest = opened.write_rest()
    assert kept is not None and len(rest) == 1
    assert opened.write_rest() == []
    again = OpenChallenge(NETWORK, court.answers())
    again.restore(Written({write.key: write.value or b"" for write in (kept, *rest)}))
    judge = court.members[2].key
    assert again.builder.build(judge) == opened.builder.build(judge)
    assert again.builder.envelopes() == opened.builder.envelopes() and again.write_rest() == []


def test_what_a_receipt_speaks_of_is_written_durably() -> None:
    court = Court()
    one = court.members[0]
    opened = OpenChallenge(NETWORK, court.answers())
    kept = opened.keep_response(court.right(one), HEIGHT, one.key)
    held = opened.builder.held(one.key)
    assert kept is not None and not kept.durable and held is not None
    again = opened.write_durably(held)
    assert again.durable and (again.key, again.value) == (kept.key, kept.value)
