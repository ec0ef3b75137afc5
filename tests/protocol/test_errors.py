"""Two families of errors, and every error in exactly one of them."""

import inspect

import pytest

from protocol import errors
from protocol.errors import ProtocolError, RequestError, ZenError

ALL = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if kind.__module__ == errors.__name__]


def test_every_error_of_the_module_is_one_of_ours() -> None:
    assert len(ALL) >= 10
    assert all(issubclass(kind, ZenError) for kind in ALL)


@pytest.mark.parametrize("kind", [kind for kind in ALL if kind is not ZenError])
def test_an_error_is_the_peers_or_the_users(kind: type[Exception]) -> None:
    assert issubclass(kind, ProtocolError) != issubclass(kind, RequestError)


@pytest.mark.parametrize("kind", ALL)
def test_an_error_says_what_it_means(kind: type[Exception]) -> None:
    assert inspect.getdoc(kind) not in (None, "", inspect.getdoc(Exception))
    assert str(kind("seen 3, wanted 2")) == "seen 3, wanted 2"


def test_our_own_bugs_are_in_neither_family() -> None:
    """So that catching a family never hides a `KeyError` of ours."""
    for bug in (KeyError, ValueError, TypeError, AssertionError, AttributeError, OSError):
        assert not issubclass(bug, ZenError)
        assert not any(issubclass(kind, bug) for kind in ALL)
