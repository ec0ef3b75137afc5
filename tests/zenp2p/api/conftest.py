"""One RPC server over real HTTP, and its client."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio

from tests.support.rpc import some_methods
from zenp2p.api.client import RpcClient
from zenp2p.api.server import RpcServer
from zenp2p.data_directory import DataDirectory


@pytest.fixture
def directory(tmp_path: Path) -> DataDirectory:
    directory = DataDirectory(tmp_path / "node")
    directory.create()
    return directory


@pytest.fixture
async def rpc(directory: DataDirectory, nursery: trio.Nursery) -> AsyncIterator[RpcServer]:
    rpc = RpcServer(some_methods(), directory, "127.0.0.1", 0)
    await nursery.start(rpc.serve)
    yield rpc
    nursery.cancel_scope.cancel()


@pytest.fixture
def client(directory: DataDirectory, rpc: RpcServer) -> RpcClient:
    return RpcClient(directory.path, 5)
