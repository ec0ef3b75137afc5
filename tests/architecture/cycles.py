"""No import cycle between modules: a knot is free to prevent only at the start.

An import inside a function counts (it is how cycles are usually hidden), one under
`TYPE_CHECKING` does not.
"""

from pathlib import Path

from tests.architecture.source import Import, modules

Graph = dict[str, set[str]]


def import_cycles(root: Path) -> list[str]:
    """Return each group of modules that import each other in a circle."""
    return [" <-> ".join(group) for group in knots(import_graph(root))]


def import_graph(root: Path) -> Graph:
    """Return for each module the modules of the project that it names in an import."""
    found = modules(root)
    names = {module.name for module in found}
    return {
        module.name: {
            target
            for imported in module.imports
            if not imported.typing_only and (target := _target(imported, names))
        }
        for module in found
    }


def knots(graph: Graph) -> list[list[str]]:
    """Return the strongly connected parts of two or more nodes, and nodes that point at themselves."""
    reach = {node: _reachable(graph, node) for node in graph}
    groups = {
        tuple(sorted(other for other in reach[node] if node in reach.get(other, ())))
        for node in graph
        if node in reach[node]
    }
    return [list(group) for group in sorted(groups)]


def _reachable(graph: Graph, start: str) -> set[str]:
    seen: set[str] = set()
    waiting = list(graph[start])
    while waiting:
        node = waiting.pop()
        if node not in seen:
            seen.add(node)
            waiting.extend(graph.get(node, ()))
    return seen


def _target(imported: Import, names: set[str]) -> str:
    """Return the module meant: `from a import b` is `a.b` where that is a module, else `a`."""
    full = f"{imported.module}.{imported.name}"
    if imported.name and full in names:
        return full
    return imported.module if imported.module in names else ""
