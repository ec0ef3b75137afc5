"""What many nodes of one run compute from the same bytes is computed once.

Answers for: pure functions of `protocol` are asked once for each distinct argument, and what they returned
serves every node; so hundreds of node machines run on one core. Now and then an answer is computed again and
compared: sharing may hide no difference between two nodes. Refusals are never remembered.
`protocol` does not know. Which block follows which is `shared_chains`' business. Spec: `spec/simulation.md`.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from types import ModuleType
from typing import Any

from protocol.chain.view import ChainView
from protocol.group import data_block, verdict_block, vote
from protocol.group import state as group_state
from protocol.group.kinds import partition, registers
from protocol.group.membership import Membership
from protocol.group.state import GroupState
from protocol.group.verdict_block import Judging
from protocol.node import judge, live_groups, registrar, routing
from protocol.node.archive import Archive
from protocol.payout import payout_list
from protocol.payout.claims import VerdictRecord
from protocol.payout.list_header import Head
from protocol.payout.payout_list import ListState
from protocol.tracking import answer_key, observation
from protocol.tracking.challenge import Challenge
from protocol.tracking.registration_book import RegistrationBook
from simulations.patching import replaced
from simulations.shared_chains import SharedChains, place_of, shared_chains
from simulations.signatures import remembered_signatures

REMEMBERED_MAX = 1 << 14
"""Answers of one function that are remembered, and as many again of the older ones."""
REMEMBERED_BYTES = 1 << 24
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
        self.young: dict[Hashable, Any] = {}
        """The latest ones."""
        self._old: dict[Hashable, Any] = {}
        self._bytes = 0

    def get(self, place: Hashable) -> Any:
        """Return the answer, or None."""
        found = self.young.get(place)
        if found is None:
            found = self._old.get(place)
            if found is not None:
                self.put(place, found)
        return found

    def put(self, place: Hashable, answer: Any) -> None:
        """Remember an answer, which is not None."""
        if isinstance(place, bytes) and len(place) >= LONG:
            self._bytes += len(place)
        if len(self.young) >= REMEMBERED_MAX or self._bytes > REMEMBERED_BYTES:
            self._old, self.young, self._bytes = self.young, {}, 0
        self.young[place] = answer


def once(really: Callable[..., Any], key: Key) -> Callable[..., Any]:
    """Return a function that asks `really` once for each key of the arguments; None is no answer.

    The arguments are kept with the answer, so a key may be made of the identities of some of them.
    """
    memory = Memory()
    served = 0

    def shared(*arguments: Any, **named: Any) -> Any:
        nonlocal served
        place = key(*arguments, **named)
        found = memory.young.get(place) or memory.get(place)
        if found is None:
            answer = really(*arguments, **named)
            memory.put(place, (answer, arguments, named))
            return answer
        served += 1
        if served % COMPARED_EVERY == 0 and really(*arguments, **named) != found[0]:
            raise SharedDiffers(f"{getattr(really, '__name__', really)} of {place!r:.100}")
        return found[0]

    return shared


# What makes the difference to each function.


def _bytes(data: bytes) -> Hashable:
    return data


def _envelope(envelope: bytes, network: bytes, *_: object) -> Hashable:
    return envelope


def _answer(challenge: Challenge, operator_key: bytes, chain: ChainView, _: object) -> Hashable:
    return challenge.anchor_hash, operator_key, chain.block_hash(challenge.anchor_height)


def _height(book: RegistrationBook, height: int) -> Hashable:
    return id(book), height


def _identity(value: object) -> Hashable:
    return id(value)


def _applied(book: RegistrationBook, entries: Sequence[object], stamp_height: int) -> Hashable:
    return id(book), tuple(map(id, entries)), stamp_height


def _draw(anchor_hash: bytes, operator_key: bytes) -> Hashable:
    return anchor_hash, operator_key


def _target(membership: Membership, target: bytes) -> Hashable:
    return id(membership), target


def _region(state: GroupState, seq: int) -> Hashable:
    return place_of(state), seq


def _place(state: GroupState, *_: object) -> Hashable:
    return place_of(state)


def _judging(state: GroupState, challenge: Challenge, book: RegistrationBook | None = None) -> Hashable:
    return place_of(state), challenge.anchor_hash, id(state.book if book is None else book)


def _derived(
    judging: Judging,
    observations: Iterable[object],
    receipts: Iterable[object],
    responses: Iterable[bytes],
    chain: ChainView,
) -> Hashable:
    anchor = chain.block_hash(judging.challenge.anchor_height)
    is_closed = chain.tip()[0] >= judging.challenge.judged_at
    said = tuple(map(id, observations)), tuple(map(id, receipts)), tuple(responses)
    return id(judging), said, anchor, is_closed


def _list(
    genesis: object, state: ListState, heads: tuple[Head, ...], used: Sequence[VerdictRecord], *rest: object
) -> Hashable:
    return state.previous, heads, tuple(record.block_hash for record in used), rest[-1]


def _stood(archive: object, hashed: bytes, *_: object) -> Hashable:
    return hashed


SHARED: tuple[tuple[ModuleType | type, str, Key], ...] = (
    (routing, "unpack", _bytes),
    (routing, "_decode_statement", _bytes),
    (routing, "_decode_message", _bytes),
    (data_block, "_decode_block", _bytes),
    (data_block, "_decode_payload", _bytes),
    (data_block, "_decode_certified", _bytes),
    (data_block, "value_hash", _bytes),
    (vote, "_decode_statement", _bytes),
    (judge, "read_receipts", _identity),
    (judge, "check_receipt", _envelope),
    (verdict_block, "check_receipt", _envelope),
    (verdict_block, "check_observation", _envelope),
    (verdict_block, "_derive", _derived),
    (registrar, "check_registration", _envelope),
    (registrar, "check_deregistration", _envelope),
    (answer_key, "expected_answer", _answer),
    (registers, "read_entries", _identity),
    (live_groups, "read_entries", _identity),
    (group_state, "challenge_draw", _draw),
    (observation, "challenge_draw", _draw),
    (RegistrationBook, "apply_all", _applied),
    (RegistrationBook, "in_force", _height),
    (RegistrationBook, "contested", _height),
    (RegistrationBook, "judged", _height),
    (GroupState, "unjudged", _region),
    (GroupState, "judging", _judging),
    (partition, "halves", _place),
    (Membership, "nearest_voters", _target),
    (payout_list, "_make_list", _list),
    (Archive, "_stand", _stood),
)
"""Where a pure function stands, under which name, and what of its arguments makes the difference."""


@contextmanager
def shared_work() -> Iterator[SharedChains]:
    """Within this context every node profits from what another one has computed."""
    with ExitStack() as stack:
        stack.enter_context(remembered_signatures())
        for owner, name, key in SHARED:
            stack.enter_context(replaced(owner, name, once(getattr(owner, name), key)))
        yield stack.enter_context(shared_chains())
