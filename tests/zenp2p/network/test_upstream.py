"""What we replace in libp2p is what we read: a new version cannot change it unnoticed."""

import ast
import hashlib
import importlib.metadata
import inspect
from pathlib import Path
from types import FunctionType

import libp2p
import pytest
from libp2p.host.basic_host import BasicHost
from libp2p.network.swarm import Swarm
from libp2p.pubsub.gossipsub import GossipSub
from libp2p.pubsub.mcache import MessageCache
from libp2p.pubsub.pubsub import Pubsub

from zenp2p.network import contained_host, gossip, router, switch, upstream

BASES = (Pubsub, GossipSub, Swarm, BasicHost, MessageCache)


def libp2p_method(name: str) -> FunctionType:
    """Return libp2p's method of a dotted name such as `pubsub.pubsub.Pubsub._handle_new_peer`."""
    module, owner, method = name.rsplit(".", 2)
    found = vars(getattr(importlib.import_module(f"libp2p.{module}"), owner))[method]
    assert isinstance(found, FunctionType)
    return found


def source_hash(source: str) -> str:
    return hashlib.sha256(source.encode()).hexdigest()[:16]


READ = upstream.REPLACED | upstream.OVERRIDDEN


@pytest.mark.parametrize("name", READ)
def test_the_method_that_we_stand_in_for_is_the_one_that_was_read(name: str) -> None:
    assert source_hash(inspect.getsource(libp2p_method(name))) == READ[name], (
        f"libp2p's {name} has changed: read it, decide whether ours still does its work, then note its hash"
    )


def test_a_changed_method_would_be_noticed() -> None:
    for name in READ:
        source = inspect.getsource(libp2p_method(name))
        assert source_hash(source.replace("self", "this", 1)) != READ[name]


def test_the_pinned_version_is_installed() -> None:
    assert importlib.metadata.version("libp2p") == "0.8.1"


def test_no_method_is_overridden_without_being_noted_and_private_ones_only_in_one_place() -> None:
    ours = {
        value
        for module in (contained_host, gossip, router, switch, upstream)
        for value in vars(module).values()
        if inspect.isclass(value) and issubclass(value, BASES) and value.__module__ == module.__name__
    }
    private = {name for one in ours for name in overridden(one) if name.rsplit(".", 1)[1].startswith("_")}
    assert len(ours) == 7
    assert {name for one in ours for name in overridden(one)} == set(READ)
    assert private == set(upstream.REPLACED)
    assert private == {
        name for one in (upstream.PatchedPubsub, upstream.PatchedGossipSub) for name in overridden(one)
    }


def overridden(ours: type) -> set[str]:
    """Return the methods of libp2p that a class of ours defines anew, by their dotted names."""
    return {
        f"{base.__module__.removeprefix('libp2p.')}.{base.__qualname__}.{name}"
        for base in BASES
        if issubclass(ours, base)
        for name, value in vars(ours).items()
        if inspect.isfunction(value) and name != "__init__" and inspect.isfunction(vars(base).get(name))
    }


def test_nothing_is_assigned_to_libp2ps_classes_or_modules() -> None:
    """No monkeypatching: our modules assign to no attribute of anything imported from libp2p."""
    folder = Path(upstream.__file__).parent
    for path in folder.glob("*.py"):
        assert not patches_of(ast.parse(path.read_text())), path.name
    assert patches_of(ast.parse("import libp2p.pubsub.pubsub as P\nP.Pubsub.push_msg = None"))
    assert patches_of(ast.parse("from libp2p.pubsub.pubsub import Pubsub\nsetattr(Pubsub, 'x', 1)"))


def patches_of(tree: ast.Module) -> list[str]:
    """Return the statements that change something imported from libp2p."""
    imported = {
        (alias.asname or alias.name).split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
        if (getattr(node, "module", None) or alias.name).split(".")[0] == libp2p.__name__
    }
    found = []
    for node in ast.walk(tree):
        targets = node.targets if isinstance(node, ast.Assign) else []
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "setattr":
            targets = node.args[:1]
        for target in targets:
            root = target
            while isinstance(root, ast.Attribute):
                root = root.value
            if isinstance(root, ast.Name) and root.id in imported:
                found.append(ast.unparse(node))
    return found
