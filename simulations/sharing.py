"""What many nodes of one run compute from the same bytes is computed once.

Answers for: pure functions of `protocol` are asked once for each distinct argument, and what they returned
serves every node; so hundreds of node machines run on one core. Now and then an answer is computed again and
compared: sharing may hide no difference between two nodes. Refusals are never remembered.
`protocol` does not know. Which block follows which is `shared_chains`' business. Spec: `spec/simulation.md`.
"""

from collections.abc import Callable, Hashable, Iterator
from contextlib import ExitStack, contextmanager
from types import ModuleType
from typing import Any

from protocol.chain.view import ChainView
from protocol.group import data_block, vote
from protocol.node import machine
from protocol.tracking import answer_key, observation, registration, response
from protocol.tracking.challenge import Challenge
from simulations.patching import replaced
from simulations.shared_chains import SharedChains, shared_chains
from simulations.signatures import remembered_signatures

REMEMBERED_MAX = 1 << 16
"""Answers of one function that are remembered."""
REMEMBERED_BYTES = 1 << 26
"""Of long messages: bytes of arguments of one function that are remembered."""
LONG = 1 << 12
"""Bytes of an argument from which on its length is counted."""
COMPARED_EVERY = 1 << 12
"""Of the answers that were remembered, one in so many is computed again."""

Key = Callable[..., Hashable]


class SharedDiffers(AssertionError):
    """What one node computed is not what another one would have."""


class Memory:
    """The answers of one function: the latest ones, and those before them."""

    def __init__(self) -> None:
        self._young: dict[Hashable, Any] = {}
        self._old: dict[Hashable, Any] = {}
        self._bytes = 0

    def get(self, place: Hashable) -> Any:
        """Return the answer, or None."""
        found = self._young.get(place)
        if found is None:
            found = self._old.get(place)
            if found is not None:
                self._keep(place, found)
        return found

    def put(self, place: Hashable, answer: Any) -> None:
        """Remember an answer, which is not None."""
        self._keep(place, answer)

    def _keep(self, place: Hashable, answer: Any) -> None:
        if isinstance(place, bytes) and len(place) >= LONG:
            self._bytes += len(place)
        if len(self._young) >= REMEMBERED_MAX or self._bytes > REMEMBERED_BYTES:
            self._old, self._young, self._bytes = self._young, {}, 0
        self._young[place] = answer


def once(really: Callable[..., Any], key: Key) -> Callable[..., Any]:
    """Return a function that asks `really` once for each key of the arguments; None is no answer."""
    memory = Memory()
    served = 0

    def shared(*arguments: Any, **named: Any) -> Any:
        nonlocal served
        place = key(*arguments, **named)
        found = memory.get(place)
        if found is None:
            found = really(*arguments, **named)
            memory.put(place, found)
            return found
        served += 1
        if served % COMPARED_EVERY == 0 and really(*arguments, **named) != found:
            raise SharedDiffers(f"{getattr(really, '__name__', really)} of {place!r:.100}")
        return found

    return shared


def _bytes(data: bytes) -> Hashable:
    return data


def _answer(challenge: Challenge, operator_key: bytes, chain: ChainView, _: object) -> Hashable:
    return challenge.anchor_hash, operator_key, chain.block_hash(challenge.anchor_height)


SHARED: tuple[tuple[ModuleType, str, Key], ...] = (
    (machine, "unpack", _bytes),
    (machine, "_decode_statement", _bytes),
    (machine, "_decode_message", _bytes),
    (data_block, "_decode_block", _bytes),
    (data_block, "_decode_payload", _bytes),
    (data_block, "_decode_certified", _bytes),
    (data_block, "value_hash", _bytes),
    (vote, "_decode_statement", _bytes),
    (response, "_decode_receipt", _bytes),
    (observation, "_decode_observation", _bytes),
    (registration, "_decode_registration", _bytes),
    (answer_key, "expected_answer", _answer),
)
"""Where a pure function stands, under which name, and what of its arguments makes the difference."""


@contextmanager
def shared_work() -> Iterator[SharedChains]:
    """Within this context every node profits from what another one has computed."""
    with ExitStack() as stack:
        stack.enter_context(remembered_signatures())
        for module, name, key in SHARED:
            stack.enter_context(replaced(module, name, once(getattr(module, name), key)))
        yield stack.enter_context(shared_chains())
