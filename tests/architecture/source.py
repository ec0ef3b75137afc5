"""Reads a source tree without importing it: what every check of the architecture starts from.

A check is a function over a root folder that returns its findings, one line each,
empty when all is well; so each can be tried on a planted breach.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("protocol", "zenp2p", "simulations", "cli")

TYPE_CHECKING_NAMES = {"TYPE_CHECKING", "typing.TYPE_CHECKING"}


@dataclass(frozen=True)
class Import:
    """One imported name: `from module import name`, or `import module` with an empty name."""

    module: str
    name: str
    line: int
    typing_only: bool
    inside_function: bool

    @property
    def root(self) -> str:
        return self.module.partition(".")[0]


@dataclass(frozen=True)
class Module:
    """A parsed Python file; `name` is its dotted name, `zenp2p.api` for `zenp2p/api/__init__.py`."""

    root: Path
    path: Path

    @cached_property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, str(self.path))

    @cached_property
    def name(self) -> str:
        parts = self.path.relative_to(self.root).with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    @property
    def package(self) -> str:
        return self.name if self.path.name == "__init__.py" else self.name.rpartition(".")[0]

    @cached_property
    def imports(self) -> tuple[Import, ...]:
        return tuple(_imports(self, self.tree, typing_only=False, inside_function=False))

    def at(self, line: int) -> str:
        return f"{self.path.relative_to(self.root).as_posix()}:{line}"


def modules(root: Path, *packages: str) -> list[Module]:
    """Return the modules of the given packages (all four when none is named), sorted by path."""
    folders = [root / package for package in packages or PACKAGES]
    paths = [path for folder in folders for path in sorted(folder.rglob("*.py"))]
    return [_read(root, path, path.stat().st_mtime_ns) for path in paths]


@cache
def _read(root: Path, path: Path, changed_ns: int) -> Module:
    """Return the module; parsed once for all checks, again when the file has changed."""
    return Module(root, path)


def within(name: str, prefix: str) -> bool:
    """Whether the dotted `name` is `prefix` or lies under it."""
    return name == prefix or name.startswith(f"{prefix}.")


def _imports(module: Module, node: ast.AST, *, typing_only: bool, inside_function: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            for alias in child.names:
                yield Import(alias.name, "", child.lineno, typing_only, inside_function)
        elif isinstance(child, ast.ImportFrom):
            source = _absolute(module, child)
            for alias in child.names:
                yield Import(source, alias.name, child.lineno, typing_only, inside_function)
        elif isinstance(child, ast.Call) and (target := _dynamic_target(child)):
            yield Import(target, "", child.lineno, typing_only, inside_function)
        if isinstance(child, ast.If) and ast.unparse(child.test) in TYPE_CHECKING_NAMES:
            for part in child.body:
                wrapped = ast.Module([part], [])
                yield from _imports(module, wrapped, typing_only=True, inside_function=inside_function)
            rest = ast.Module(child.orelse, [])
            yield from _imports(module, rest, typing_only=typing_only, inside_function=inside_function)
        else:
            inside = inside_function or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from _imports(module, child, typing_only=typing_only, inside_function=inside)


def _absolute(module: Module, node: ast.ImportFrom) -> str:
    if node.level == 0:
        return node.module or ""
    parts = module.package.split(".")
    base = ".".join(parts[: len(parts) - node.level + 1])
    return f"{base}.{node.module}" if node.module else base


def _dynamic_target(call: ast.Call) -> str:
    """Return the module of `import_module("x")` or `__import__("x")`, else nothing."""
    name = ast.unparse(call.func).rpartition(".")[2]
    if name not in {"import_module", "__import__"} or not call.args:
        return ""
    first = call.args[0]
    return first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else ""
