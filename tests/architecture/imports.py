"""Who may import whom: the table of the architecture as data, and the check that reads it.

Everything that the table does not allow is refused, so a new library or a new
arrow has to be entered here on purpose. Typing-only and function-level imports count:
an arrow is an arrow.
"""

import sys
from pathlib import Path

from tests.architecture.source import PACKAGES, Import, Module, modules, within

PURE_STDLIB = frozenset(
    {
        "__future__",
        "abc",
        "base64",
        "binascii",
        "bisect",
        "collections",
        "contextlib",
        "copy",
        "dataclasses",
        "enum",
        "functools",
        "hashlib",
        "heapq",
        "hmac",
        "ipaddress",
        "itertools",
        "json",
        "math",
        "operator",
        "re",
        "string",
        "struct",
        "textwrap",
        "types",
        "typing",
        "unicodedata",
    }
)
"""What `protocol` may use of the standard library: no clock, socket, disk, randomness or logging."""

INTEGER_MATH = frozenset({"comb", "factorial", "gcd", "isqrt", "lcm", "perm", "prod"})
"""The names of `math` that can stay within integers."""

OWN_ARROWS = {
    "protocol": ("protocol",),
    "zenp2p": ("protocol", "zenp2p"),
    "simulations": ("protocol", "simulations"),
    "cli": ("protocol", "zenp2p", "cli"),
}

LIBRARIES: dict[str, dict[str, tuple[str, ...]]] = {
    "protocol": {
        "nacl": ("protocol.crypto",),
        "coincurve": ("protocol.crypto",),
        "ecdsa": ("protocol.crypto",),
        "msgspec": ("protocol.codec",),
        "msgpack": ("protocol.codec",),
    },
    "zenp2p": {
        "trio": ("zenp2p",),
        "libp2p": ("zenp2p.network",),
        "multiaddr": ("zenp2p.network",),
        "google": ("zenp2p.network",),
        "plyvel": ("zenp2p.store",),
        "msgspec": ("zenp2p.config", "zenp2p.settings", "zenp2p.api"),
        "h11": ("zenp2p.api",),
        "httpx": ("zenp2p.chain.rpc",),
        "zmq": ("zenp2p.chain.rpc",),
    },
    "simulations": {"numpy": ("simulations.models",), "numba": ("simulations.models",)},
    "cli": {"click": ("cli",), "rich": ("cli",), "trio": ("cli.client",), "httpx": ("cli.client",)},
}
"""Package -> library -> the only modules of that package (with all under them) that import it."""

EXCEPTIONS = {("cli.commands.simulate", "simulations"), ("cli.commands.devnet", "zenp2p.devnet")}
"""Arrows that one module alone may draw."""

CLI_RULES = (
    "protocol.errors",
    "protocol.units",
    "protocol.parameters",
    "protocol.payout.light",
    "protocol.payout.list_search",
    "protocol.tracking.challenge",
)
"""The modules of `protocol` whose functions the command line calls; of the others it takes types only."""


def import_breaches(root: Path) -> list[str]:
    """Return every import that the table does not allow, as `path:line: what`."""
    found: list[str] = []
    for module in modules(root):
        for imported in module.imports:
            reason = _breach(module, imported)
            if reason:
                found.append(f"{module.at(imported.line)}: {reason}")
    return found


def _breach(module: Module, imported: Import) -> str:
    package = module.name.partition(".")[0]
    if imported.root in PACKAGES:
        return _own_breach(module, imported, package)
    if imported.root == "tests":
        return f"{module.name} imports tests"
    if imported.root in sys.stdlib_module_names:
        return _stdlib_breach(module, imported, package)
    allowed = LIBRARIES[package].get(imported.root, ())
    if any(within(module.name, prefix) for prefix in allowed):
        return ""
    return f"{module.name} imports {imported.root}, which is for {', '.join(allowed) or 'nobody there'}"


def _own_breach(module: Module, imported: Import, package: str) -> str:
    target = f"{imported.module}.{imported.name}" if imported.name else imported.module
    if any(module.name == source and within(target, goal) for source, goal in EXCEPTIONS):
        return ""
    if imported.root not in OWN_ARROWS[package]:
        return f"{package} may not import {imported.root}"
    if within(target, "zenp2p.devnet") and not within(module.name, "zenp2p.devnet"):
        return f"{module.name} imports {target}: nothing but the devnet command knows the devnet"
    if imported.name in {library for libraries in LIBRARIES.values() for library in libraries}:
        return f"{module.name} borrows {imported.name} from {imported.module}"
    if package == "cli" and imported.root == "protocol" and not _is_for_cli(imported, target):
        return f"the command line takes {target} from protocol: types and {', '.join(CLI_RULES)} only"
    return ""


def _is_for_cli(imported: Import, target: str) -> bool:
    is_type = imported.name[:1].isupper()
    return is_type or any(within(target, rules) or target == rules for rules in CLI_RULES)


def _stdlib_breach(module: Module, imported: Import, package: str) -> str:
    if package != "protocol":
        return ""
    if imported.root not in PURE_STDLIB:
        return f"protocol may not import {imported.module}"
    if imported.root == "math" and imported.name not in INTEGER_MATH:
        return f"of math, protocol imports integer functions by name, not {imported.name or 'math itself'}"
    return ""


HEAVY = frozenset(
    {
        "libp2p",
        "multiaddr",
        "trio",
        "plyvel",
        "h11",
        "httpx",
        "numpy",
        "numba",
        "nacl",
        "coincurve",
    }
)
"""What `zenp2p --help` must not pay for."""


def heavy_at_start(root: Path, entry: str) -> list[str]:
    """Return the ways by which importing `entry` imports a heavy library, function-level imports left out."""
    by_name = {module.name: module for module in modules(root)}
    if entry not in by_name:
        return [f"there is no module {entry}"]
    found: list[str] = []
    waiting, seen = [(entry, entry)], {entry}
    while waiting:
        name, way = waiting.pop()
        for imported in by_name[name].imports:
            if imported.inside_function or imported.typing_only:
                continue
            if imported.root in HEAVY:
                found.append(f"{way} -> {imported.module}")
            for target in _executed(imported, by_name) - seen:
                seen.add(target)
                waiting.append((target, f"{way} -> {target}"))
    return found


def _executed(imported: Import, by_name: dict[str, Module]) -> set[str]:
    """Return the project's modules that this import runs: the target and every package above it."""
    parts = imported.module.split(".")
    names = {".".join(parts[:length]) for length in range(1, len(parts) + 1)}
    return {name for name in (*names, f"{imported.module}.{imported.name}") if name in by_name}
