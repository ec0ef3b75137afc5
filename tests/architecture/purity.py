"""What `protocol` must not contain besides imports: floats, ambient builtins, handlers of every error.

Two nodes that compute a rule must get the same bytes. A float rounds, `hash()` is
salted per process (the order of sets has a check of its own, `ordering`).
"""

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.architecture.source import Module, modules

AMBIENT = frozenset(
    {"hash", "id", "open", "print", "input", "eval", "exec", "compile", "breakpoint", "globals", "__import__"}
)
"""Builtins whose result or effect lies outside the arguments."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


def purity_breaches(root: Path) -> list[str]:
    """Return every breach in `protocol`, as `path:line: what`."""
    return [
        f"{module.at(line)}: {what}"
        for module in modules(root, "protocol")
        for line, what in (*_floats(module), *_ambient(module), *_broad_handlers(module))
    ]


def _floats(module: Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, float | complex):
            yield node.lineno, f"float {node.value}"
        elif isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div):
            yield node.lineno, "true division"
        elif isinstance(node, ast.Name) and node.id in {"float", "complex"}:
            yield node.lineno, f"the type {node.id}"
        elif isinstance(node, ast.Attribute) and node.attr == "truediv":
            yield node.lineno, "true division"


def _ambient(module: Module) -> Iterator[tuple[int, str]]:
    """Yield uses of ambient builtins, where the name is not a parameter or variable of the function."""

    def visit(node: ast.AST, own: frozenset[str]) -> Iterator[tuple[int, str]]:
        if isinstance(node, Function | ast.Lambda):
            own = own | _bound_in(node)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in AMBIENT - own:
            yield node.lineno, f"{node.id} reaches outside the arguments"
        for child in ast.iter_child_nodes(node):
            yield from visit(child, own)

    yield from visit(module.tree, frozenset())


def _bound_in(function: Function | ast.Lambda) -> frozenset[str]:
    bound = {node.arg for node in ast.walk(function.args) if isinstance(node, ast.arg)}
    stored = {
        node.id
        for node in ast.walk(function)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }
    return frozenset(bound | stored)


def _broad_handlers(module: Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ExceptHandler) and _is_broad(node):
            yield node.lineno, "catches every error, our own bugs included"


def _is_broad(handler: ast.ExceptHandler) -> bool:
    if handler.type is None:
        return True
    names = {node.id for node in ast.walk(handler.type) if isinstance(node, ast.Name)}
    return bool(names & {"Exception", "BaseException"})
