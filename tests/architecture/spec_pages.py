"""The spec and the code name each other: what one names, the other has.

Pages name code as a dotted path in backticks, from `protocol`, `zenp2p`, `simulations` or
`cli` down to a function, class, constant or method. Decision records are history and are not read.
"""

import ast
import re
from pathlib import Path

from tests.architecture.source import PACKAGES, modules

CODE_NAME = re.compile(rf"`((?:{'|'.join(PACKAGES)})(?:\.\w+)+)(?:\([^`]*\))?`")
FILE_SUFFIXES = {"md", "json", "toml", "py", "log"}
VECTOR_FOLDER = re.compile(r"\btests/vectors/(\w+)")
LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")
SPEC_PAGE = re.compile(r"\bspec/[\w/-]+\.md\b")


def unknown_code_names(root: Path) -> list[str]:
    """Return the code names on spec pages that stand for nothing."""
    definitions = {module.name: module.tree for module in modules(root)}
    return [
        f"{page.relative_to(root)}: there is no {name}"
        for page in rule_pages(root)
        for name in CODE_NAME.findall(page.read_text(encoding="utf-8"))
        if name.rpartition(".")[2] not in FILE_SUFFIXES and not _is_defined(name, definitions)
    ]


def missing_vector_folders(root: Path) -> list[str]:
    """Return vector folders that a page names and that are empty or absent, and those that no page names."""
    found: list[str] = []
    named: set[str] = set()
    for page in rule_pages(root):
        topics = sorted(set(VECTOR_FOLDER.findall(page.read_text(encoding="utf-8"))))
        named.update(topics)
        for topic in topics:
            if not any((root / "tests" / "vectors" / topic).glob("**/*.json")):
                found.append(f"{page.relative_to(root)}: no vectors in tests/vectors/{topic}")
    present = {
        folder.name for folder in (root / "tests" / "vectors").glob("*") if any(folder.rglob("*.json"))
    }
    return found + [
        f"tests/vectors/{topic}: no spec page says what these are" for topic in sorted(present - named)
    ]


def missing_pages(root: Path) -> list[str]:
    """Return the spec pages that code or other pages point at and that do not exist."""
    texts = [(module.path, module.text) for module in modules(root)]
    texts += [(page, page.read_text(encoding="utf-8")) for page in rule_pages(root)]
    return [
        f"{path.relative_to(root)}: there is no {page}"
        for path, text in texts
        for page in sorted(set(SPEC_PAGE.findall(text)))
        if not (root / page).is_file()
    ]


def broken_links(root: Path) -> list[str]:
    """Return the relative links of the documents (decision records included) that lead nowhere."""
    return [
        f"{page.relative_to(root)}: {target}"
        for page in [*sorted(root.glob("*.md")), *sorted((root / "spec").rglob("*.md"))]
        for target in _links(page)
        if not (page.parent / target).exists()
    ]


def unlisted_pages(root: Path) -> list[str]:
    """Return the spec pages that the overview does not lead to."""
    overview = root / "spec" / "overview.md"
    listed = {(overview.parent / target).resolve() for target in _links(overview)}
    return [
        str(page.relative_to(root))
        for page in rule_pages(root)
        if page != overview and page.resolve() not in listed
    ]


def _links(page: Path) -> list[str]:
    return [target for target in LINK.findall(page.read_text(encoding="utf-8")) if "://" not in target]


def rule_pages(root: Path) -> list[Path]:
    """Return the pages of the spec without its decision records."""
    decisions = root / "spec" / "decisions"
    return [page for page in sorted((root / "spec").rglob("*.md")) if decisions not in page.parents]


def _is_defined(name: str, definitions: dict[str, ast.Module]) -> bool:
    """Whether `name` is a module, or something defined at the top of one, or a member of a class there."""
    module, inner = name, list[str]()
    while module not in definitions:
        module, _, last = module.rpartition(".")
        if not module:
            return False
        inner.insert(0, last)
    scope: ast.AST = definitions[module]
    for part in inner:
        found = next((node for node in ast.iter_child_nodes(scope) if part in _defined_names(node)), None)
        if found is None:
            return False
        scope = found
    return True


def _defined_names(node: ast.AST) -> set[str]:
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return {name}
        case ast.Assign(targets=targets):
            return {target.id for target in targets if isinstance(target, ast.Name)}
        case ast.AnnAssign(target=ast.Name(id=name)):
            return {name}
    return set()
