"""`protocol` is pure: same inputs, same bytes, on every machine."""

from pathlib import Path

import pytest

from tests.architecture.ordering import unordered_iterations
from tests.architecture.planting import plant
from tests.architecture.purity import purity_breaches
from tests.architecture.source import ROOT


def test_protocol_is_pure() -> None:
    assert purity_breaches(ROOT) == []


def test_protocol_walks_no_set() -> None:
    assert unordered_iterations(ROOT) == []


@pytest.mark.parametrize(
    "code",
    [
        "x = 1.0",
        "x = 1e8",
        "x = 2j",
        "x = 3 / 2",
        "x /= 2",
        "x = float(y)",
        "def f(x: float) -> None: ...",
        "x = operator.truediv(3, 2)",
        "x = hash(y)",
        "x = sorted(y, key=hash)",
        "x = id(y)",
        "open('file')",
        "print(x)",
        "def f(hash): ...\nx = hash(1)",
        "try:\n    f()\nexcept Exception:\n    pass",
        "try:\n    f()\nexcept (ValueError, BaseException) as e:\n    pass",
        "try:\n    f()\nexcept:\n    pass",
    ],
)
def test_a_planted_impurity_is_seen(tmp_path: Path, code: str) -> None:
    assert len(purity_breaches(plant(tmp_path, {"protocol/a.py": code}))) == 1


@pytest.mark.parametrize(
    "code",
    [
        "x = 3 // 2",
        "x = divmod(3, 2)",
        "def f(hash: bytes) -> bytes:\n    return hash",
        "def f() -> None:\n    id = 3\n    g(id)",
        "class A:\n    hash: bytes",
        "x = y.hash",
        "try:\n    f()\nexcept ValueError:\n    pass",
    ],
)
def test_pure_code_is_no_breach(tmp_path: Path, code: str) -> None:
    assert purity_breaches(plant(tmp_path, {"protocol/a.py": code})) == []


def test_only_protocol_has_to_be_pure(tmp_path: Path) -> None:
    plant(tmp_path, {"zenp2p/a.py": "x = hash(1.5)\nfor y in {1, 2}: ..."})
    assert purity_breaches(tmp_path) == unordered_iterations(tmp_path) == []


@pytest.mark.parametrize(
    "code",
    [
        "for x in {1, 2}: ...",
        "for x in set(y): ...",
        "for x in frozenset(y): ...",
        "x = [a for a in {1, 2}]",
        "x = {a: 1 for a in set(y)}",
        "x = b''.join(a for a in set(y))",
        "x = [a for b in y for a in {b}]",
        "x = list({1, 2})",
        "x = tuple(set(y))",
        "x = b''.join({b'a', b'b'})",
        "x = next(iter({1, 2}))",
        "x = [*{1, 2}]",
        "x = {1, 2}.pop()",
        "for x in {1} | y: ...",
        "for x in set(y).union(z): ...",
        "for x in y.keys() & z.keys(): ...",
        "for x in {a for a in y}: ...",
        "x = sorted({1, 2}, key=f)",
        "x = min(set(y), key=f)",
        "def f(y: frozenset[int]) -> None:\n    for x in y: ...",
        "def f(y: 'int', z: set[int] | None) -> None:\n    x = tuple(z)",
        "def f() -> None:\n    y = set()\n    for x in y: ...",
        "y = {1, 2}\ndef f() -> None:\n    for x in y: ...",
        "class A:\n    members: frozenset[int]\n    def f(self) -> None:\n        return list(self.members)",
        "class A:\n    def f(self):\n        self._y: set[int] = set()\n        for x in self._y: ...",
        "x = dict.fromkeys({1, 2})",
        "def f(y: set[int]):\n    yield from y",
    ],
)
def test_a_planted_walk_over_a_set_is_seen(tmp_path: Path, code: str) -> None:
    assert len(unordered_iterations(plant(tmp_path, {"protocol/a.py": code}))) == 1


def test_a_set_of_another_module_is_known(tmp_path: Path) -> None:
    plant(
        tmp_path, {"protocol/a.py": "class A:\n    names: set[int]", "protocol/b.py": "for x in a.names: ..."}
    )
    assert len(unordered_iterations(tmp_path)) == 1


@pytest.mark.parametrize(
    "code",
    [
        "for x in sorted({1, 2}): ...",
        "x = sum(a for a in set(y))",
        "x = any(a in z for a in {1, 2})",
        "x = sorted(a.b for a in set(y))",
        "x = {f(a) for a in {1, 2}}",
        "x = frozenset(a for a in set(y))",
        "x = len(set(y)) == len(y)",
        "x = a in {1, 2}",
        "x = min({1, 2})",
        "for x in (1, 2): ...",
        "for x in y.keys(): ...",
        "for x in y | z: ...",
        "def f(y: tuple[set[int], ...]) -> None:\n    for x in y: ...",
        "def f(y: set[int]) -> None: ...\ndef g(y: list[int]) -> None:\n    for x in y: ...",
        "class A:\n    y: set[int]\nclass B:\n    y: list[int]\nfor x in b.y: ...",
        "y = [1]\ny.pop()",
    ],
)
def test_ordered_code_is_no_breach(tmp_path: Path, code: str) -> None:
    assert unordered_iterations(plant(tmp_path, {"protocol/a.py": code})) == []
