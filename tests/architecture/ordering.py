"""No rule in `protocol` walks a set: its order differs from process to process.

A set expression is a literal, a comprehension, a call of `set` or `frozenset`, a
set method or operator on one of these, or a name, parameter or attribute that is
annotated or assigned so. Walking one is allowed where the order is lost again at
once: in a set comprehension, or inside `sorted`, `sum`, `len`, `min`, `max`, `any`,
`all`, `set`, `frozenset` without a key (elements with equal keys keep the set's order).
"""

import ast
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from tests.architecture.source import Module, modules

SET_CALLS = {"set", "frozenset"}
SET_METHODS = {"union", "intersection", "difference", "symmetric_difference"}
SET_TYPES = {"set", "frozenset", "Set", "AbstractSet", "MutableSet"}
ORDER_LOST = {"sorted", "sum", "len", "min", "max", "any", "all", "set", "frozenset"}
ORDER_KEPT = {
    "list",
    "tuple",
    "enumerate",
    "zip",
    "map",
    "filter",
    "iter",
    "next",
    "reversed",
    "join",
    "extend",
    "fromkeys",
}

Scope = dict[str, bool]
"""Name -> whether it holds a set."""
IsSet = Callable[[ast.expr, Scope], bool]
Found = Iterator[tuple[int, str]]


def unordered_iterations(root: Path) -> list[str]:
    """Return every place in `protocol` where the order of a set can reach a result."""
    found = modules(root, "protocol")
    attributes = _set_attributes(module.tree for module in found)
    return [
        f"{module.at(line)}: walks the set {what}"
        for module in found
        for line, what in _Walker(module, attributes).found()
    ]


class _Walker:
    """Goes through one module with the names and attributes that are known to hold sets."""

    def __init__(self, module: Module, attributes: Scope) -> None:
        self._tree = module.tree
        self._attributes = attributes

    def found(self) -> Found:
        yield from self._visit(self._tree, _names_in(self._tree, self._is_set))

    def _visit(self, node: ast.AST, scope: Scope, *, order_lost: bool = False) -> Found:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            scope = scope | _names_in(node, self._is_set)
        for walked in [] if order_lost else _walked(node):
            if self._is_set(walked, scope):
                yield walked.lineno, ast.unparse(walked)
        loses = isinstance(node, ast.Call) and _called(node) in ORDER_LOST and not node.keywords
        for child in ast.iter_child_nodes(node):
            yield from self._visit(child, scope, order_lost=loses)

    def _is_set(self, node: ast.expr, scope: Scope) -> bool:
        match node:
            case ast.Set() | ast.SetComp():
                return True
            case ast.Name():
                return scope.get(node.id, False)
            case ast.Attribute():
                return self._attributes.get(node.attr, False)
            case ast.BinOp(op=ast.BitOr() | ast.BitAnd() | ast.Sub() | ast.BitXor()):
                return self._is_set_or_keys(node.left, scope) or self._is_set_or_keys(node.right, scope)
            case ast.IfExp():
                return self._is_set(node.body, scope) or self._is_set(node.orelse, scope)
            case ast.Call(func=ast.Name(id=name)):
                return name in SET_CALLS
            case ast.Call(func=ast.Attribute(value=owner, attr=attr)):
                return attr in SET_METHODS | {"copy"} and self._is_set(owner, scope)
        return False

    def _is_set_or_keys(self, node: ast.expr, scope: Scope) -> bool:
        return self._is_set(node, scope) or (
            isinstance(node, ast.Call) and _called(node) in {"keys", "items"}
        )


def _walked(node: ast.AST) -> list[ast.expr]:
    """Return the expressions whose order `node` follows."""
    match node:
        case ast.For() | ast.AsyncFor():
            return [node.iter]
        case ast.ListComp() | ast.GeneratorExp() | ast.DictComp():
            return [generator.iter for generator in node.generators]
        case ast.Call() if _called(node) in ORDER_KEPT or (_called(node) in ORDER_LOST and node.keywords):
            return list(node.args)
        case ast.Call(func=ast.Attribute(value=owner, attr="pop"), args=[]):
            return [owner]
        case ast.Starred() | ast.YieldFrom():
            return [node.value]
    return []


def _called(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def _is_set_type(annotation: ast.expr | None) -> bool:
    """Whether the annotation names a set type at its top (`set[X]`, `frozenset[X] | None`)."""
    match annotation:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name in SET_TYPES
        case ast.Subscript(value=outer):
            return _is_set_type(outer)
        case ast.BinOp(op=ast.BitOr(), left=left, right=right):
            return _is_set_type(left) or _is_set_type(right)
    return False


def _own_nodes(scope: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes of a scope without those of the functions and classes inside it."""
    for child in ast.iter_child_nodes(scope):
        yield child
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            yield from _own_nodes(child)


def _names_in(scope: ast.AST, is_set: IsSet) -> Scope:
    """Return the names that the scope binds, each with whether it holds a set."""
    names: Scope = {}
    for node in _own_nodes(scope):
        if isinstance(node, ast.arguments):
            for argument in ast.walk(node):
                if isinstance(argument, ast.arg):
                    names[argument.arg] = _is_set_type(argument.annotation)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names[node.target.id] = _is_set_type(node.annotation)
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    names[target.id] = names.get(target.id, False) or is_set(node.value, names)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.setdefault(node.id, False)
    return names


def _set_attributes(trees: Iterable[ast.AST]) -> Scope:
    """Return the annotated attributes of all classes, true for those that are sets wherever they occur."""
    attributes: Scope = {}
    for tree in trees:
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                for part in ast.walk(node):
                    if isinstance(part, ast.AnnAssign):
                        name = ast.unparse(part.target).removeprefix("self.")
                        attributes[name] = attributes.get(name, True) and _is_set_type(part.annotation)
    return attributes
