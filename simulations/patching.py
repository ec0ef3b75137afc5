"""Putting something else in the place of a function or method of `protocol` for a while.

Answers for: what was there stands there again afterwards, whatever happened in between. What is put there
is `plants`', `signatures`' and `sharing`'s business. Spec: `spec/simulation.md`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType


@contextmanager
def replaced(owner: type | ModuleType, name: str, other: object) -> Iterator[None]:
    """Let `other` be what `owner` has under a name; raises `AttributeError` when it has nothing there."""
    if not hasattr(owner, name):
        raise AttributeError(f"{owner.__name__} has no {name}")
    really = vars(owner).get(name)  # a method that is inherited stands in no owner of its own
    setattr(owner, name, other)
    try:
        yield
    finally:
        if really is None:
            delattr(owner, name)
        else:
            setattr(owner, name, really)
