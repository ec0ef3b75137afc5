"""The registry of vector generators: (topic, case) and the function that makes its contents.

A generator is registered by `@vectors(topic, case)` in a module named in `MODULES`. It
returns what JSON can hold, bytes as hex strings. `python -m tests.vectors` writes the
files, `test_registered.py` compares them: one source, two products.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Any

Generator = Callable[[], Any]

MODULES = (
    "tests.vectors.challenge_cases",
    "tests.vectors.registration_cases",
    "tests.vectors.response_cases",
    "tests.vectors.diversity_cases",
    "tests.vectors.verdict_cases",
    "tests.vectors.group_cases",
    "tests.vectors.forwarding_cases",
    "tests.vectors.partition_cases",
    "tests.vectors.node_cases",
    "tests.vectors.absorb_cases",
    "tests.vectors.join_proof_cases",
    "tests.vectors.moves_cases",
    "tests.vectors.embedded_chain_cases",
    "tests.vectors.announcement_cases",
    "tests.vectors.wallet_cases",
)

_generators: dict[tuple[str, str], Generator] = {}


def vectors(topic: str, case: str) -> Callable[[Generator], Generator]:
    """Register the generator of `tests/vectors/<topic>/<case>.json`."""

    def register(generator: Generator) -> Generator:
        known = _generators.setdefault((topic, case), generator)
        assert known is generator, f"{topic}/{case} has two generators"
        return generator

    return register


def generators() -> dict[tuple[str, str], Generator]:
    """Return all registered generators, sorted by topic and case."""
    for module in MODULES:
        import_module(module)
    return dict(sorted(_generators.items()))
