"""A real daemon that is never told where members listen: who wants to talk to it must find it, or be found.

Genesis files name the founders' endpoints, so that a newcomer has somebody to dial; years later those may all
have moved. Run as `python -m tests.support.deaf_node DATA_DIR`.
"""

import sys
from pathlib import Path
from typing import Any

from protocol.node.machine import Node
from zenp2p.config import load_config
from zenp2p.daemon import run_daemon
from zenp2p.data_directory import DataDirectory
from zenp2p.logs import configure_logging


class DeafNode(Node):
    """Everything of a node, but that it learns endpoints from registrations."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.kept_peers.look = lambda height: []  # type: ignore[method-assign]


if __name__ == "__main__":
    directory = DataDirectory(Path(sys.argv[1]))
    configure_logging("info", directory.log)
    run_daemon(load_config(directory.config).config, DeafNode)
