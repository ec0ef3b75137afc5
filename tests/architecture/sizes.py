"""Functions fit on a screen, files on a few; a long one has a seam that was not looked for."""

import ast
from pathlib import Path

from tests.architecture.source import PACKAGES, modules

FUNCTION_LINES_MAX = 60
FILE_LINES_MAX = 500


def size_breaches(root: Path) -> list[str]:
    """Return functions and files, tests included, that are longer than the limits."""
    found: list[str] = []
    for module in modules(root, *PACKAGES, "tests"):
        lines = len(module.text.splitlines())
        if lines > FILE_LINES_MAX:
            found.append(f"{module.at(1)}: {lines} lines, at most {FILE_LINES_MAX}")
        for node in ast.walk(module.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length > FUNCTION_LINES_MAX:
                    found.append(f"{module.at(node.lineno)}: {node.name} has {length} lines")
    return found
