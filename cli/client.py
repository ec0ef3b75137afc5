"""How a command reaches the daemon: the client for the data directory that its options name."""

from pathlib import Path

import click

from cli.options import load
from zenp2p.api.client import RpcClient

__all__ = ["RpcClient", "connect"]


def connect(context: click.Context) -> RpcClient:
    """Return the client for the daemon that `--data-dir`, the environment or the file names."""
    return RpcClient(Path(load(context).config.data_dir))
