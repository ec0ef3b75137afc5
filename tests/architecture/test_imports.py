"""The arrows between packages and libraries point one way, and `--help` pays for none of the heavy ones."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.imports import HEAVY, heavy_at_start, import_breaches
from tests.architecture.planting import plant
from tests.architecture.source import ROOT


def test_every_import_is_in_the_table() -> None:
    assert import_breaches(ROOT) == []


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("protocol/a.py", "import time"),
        ("protocol/a.py", "import random"),
        ("protocol/a.py", "import secrets"),
        ("protocol/a.py", "import os.path"),
        ("protocol/a.py", "import socket"),
        ("protocol/a.py", "from logging import getLogger"),
        ("protocol/a.py", "from datetime import datetime"),
        ("protocol/a.py", "from pathlib import Path"),
        ("protocol/a.py", "from math import sqrt"),
        ("protocol/a.py", "import math"),
        ("protocol/a.py", "def f() -> None:\n    import threading"),
        ("protocol/a.py", "if TYPE_CHECKING:\n    import asyncio"),
        ("protocol/a.py", "try:\n    import ssl\nexcept ImportError:\n    pass"),
        ("protocol/a.py", "importlib.import_module('socket')"),
        ("protocol/a.py", "__import__('time')"),
        ("protocol/a.py", "import trio"),
        ("protocol/a.py", "import click"),
        ("protocol/a.py", "import nacl"),
        ("protocol/a.py", "from nacl.bindings import crypto_sign"),
        ("protocol/chain/crypto.py", "import coincurve"),
        ("protocol/codec.py", "import ecdsa"),
        ("protocol/a.py", "import msgspec"),
        ("protocol/crypto.py", "import msgpack"),
        ("protocol/a.py", "from protocol.codec import msgspec"),
        ("protocol/a.py", "from .codec import msgspec"),
        ("protocol/a.py", "import requests"),
        ("protocol/a.py", "from zenp2p import store"),
        ("protocol/chain/a.py", "from ... import zenp2p"),
        ("protocol/a.py", "import simulations.cluster"),
        ("protocol/a.py", "import cli"),
        ("protocol/a.py", "from tests.support import vectors"),
        ("zenp2p/a.py", "import libp2p"),
        ("zenp2p/a.py", "from multiaddr import Multiaddr"),
        ("zenp2p/networking.py", "import libp2p"),
        ("zenp2p/index.py", "import plyvel"),
        ("zenp2p/network/a.py", "import plyvel"),
        ("zenp2p/a.py", "import nacl.bindings"),
        ("zenp2p/store.py", "import msgspec"),
        ("zenp2p/a.py", "import msgpack"),
        ("zenp2p/daemon.py", "import h11"),
        ("zenp2p/daemon.py", "from starlette.routing import Route"),
        ("zenp2p/a.py", "import httpx"),
        ("zenp2p/a.py", "import click"),
        ("zenp2p/devnet/a.py", "import rich.table"),
        ("zenp2p/a.py", "import cli.main"),
        ("zenp2p/a.py", "import simulations"),
        ("zenp2p/a.py", "from zenp2p.devnet import roles"),
        ("zenp2p/a.py", "from zenp2p import devnet"),
        ("zenp2p/daemon.py", "def f() -> None:\n    import zenp2p.devnet.roles"),
        ("simulations/a.py", "import trio"),
        ("simulations/a.py", "import numpy"),
        ("simulations/a.py", "import zenp2p.driver"),
        ("simulations/a.py", "import cli"),
        ("cli/main.py", "import libp2p"),
        ("cli/main.py", "import trio"),
        ("cli/main.py", "import simulations"),
        ("cli/commands/devnet.py", "import simulations"),
        ("cli/commands/status.py", "from zenp2p.devnet import launcher"),
        ("cli/main.py", "from protocol.payout.formula import compute_amounts"),
        ("cli/main.py", "import protocol.crypto"),
        ("cli/main.py", "from protocol import codec"),
    ],
)
def test_a_planted_import_is_seen(tmp_path: Path, path: str, line: str) -> None:
    assert len(import_breaches(plant(tmp_path, {path: line}))) == 1


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("protocol/a.py", "from math import isqrt"),
        ("protocol/a.py", "import hashlib"),
        ("protocol/a.py", "from protocol.chain import script"),
        ("protocol/crypto.py", "from nacl import bindings"),
        ("protocol/codec.py", "import msgspec, msgpack"),
        ("zenp2p/network/host.py", "import libp2p.host"),
        ("zenp2p/store.py", "import plyvel, trio, os, time"),
        ("zenp2p/api/server.py", "import h11, msgspec"),
        ("zenp2p/devnet/launcher.py", "from zenp2p.devnet import roles"),
        ("cli/commands/devnet.py", "from zenp2p.devnet import launcher"),
        ("cli/commands/simulate.py", "import simulations.cluster"),
        ("cli/main.py", "import click, rich, os"),
        ("cli/main.py", "from protocol.payout.light import verify_list"),
        ("cli/main.py", "from protocol.payout.formula import Amounts"),
        ("simulations/a.py", "from protocol.node import Node"),
    ],
)
def test_an_allowed_import_is_no_breach(tmp_path: Path, path: str, line: str) -> None:
    assert import_breaches(plant(tmp_path, {path: line})) == []


@pytest.mark.parametrize("entry", ["cli.main", "cli.daemon"])
def test_the_command_line_starts_light(entry: str) -> None:
    assert heavy_at_start(ROOT, entry) == []


def test_importing_the_command_line_loads_nothing_heavy() -> None:
    """The same, seen from inside: what third parties import for themselves counts too."""
    code = f"import sys, cli.main; print(sorted(set(sys.modules) & {set(HEAVY)!r}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "files",
    [
        {"cli/main.py": "import libp2p"},
        {"cli/main.py": "import cli.commands.a", "cli/commands/a.py": "import trio"},
        {
            "cli/main.py": "from zenp2p.api import client",
            "zenp2p/api/__init__.py": "import h11",
            "zenp2p/api/client.py": "",
        },
        {
            "cli/main.py": "if True:\n    from zenp2p.network import host",
            "zenp2p/network/host.py": "import libp2p",
        },
        {"cli/other.py": ""},
    ],
)
def test_a_planted_heavy_start_is_seen(tmp_path: Path, files: dict[str, str]) -> None:
    assert heavy_at_start(plant(tmp_path, files), "cli.main") != []


def test_a_lazy_import_is_light(tmp_path: Path) -> None:
    plant(tmp_path, {"cli/main.py": "def f():\n    import cli.run", "cli/run.py": "import trio"})
    assert heavy_at_start(tmp_path, "cli.main") == []
