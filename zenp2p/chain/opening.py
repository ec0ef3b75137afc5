"""Opens the chain that a network runs on: its own, or that of a node beside the daemon.

Answers for: the genesis file says which kind it is, and settings that do not go with it
are refused by name. What each kind does is left to its service. Spec: `spec/config.md`,
`spec/external_chain.md`.
"""

from protocol.chain.address import decode_address
from protocol.errors import RequestError
from protocol.genesis import Genesis
from zenp2p.chain.embedded.service import EmbeddedService, Mining
from zenp2p.chain.service import ChainService
from zenp2p.config import ConfigError
from zenp2p.ports import Store
from zenp2p.settings import ChainSettings


def open_chain(genesis: Genesis, store: Store, settings: ChainSettings) -> ChainService:
    """Return the chain of `genesis` with its index in `store`.

    Raises `ConfigError` for settings that do not go with it, `StoreError` for a store of another chain.
    """
    if isinstance(genesis.start, bytes):
        if settings.mine:
            raise ConfigError(
                "chain.mine: this network runs on an external chain, whose miners make its blocks"
            )
        if not settings.node:
            raise ConfigError(
                f"chain.node: network {genesis.name} runs on an external chain; name its node's JSON-RPC"
            )
        # Only who runs beside a node pays for its client.
        from zenp2p.chain.rpc.service import RpcService
        from zenp2p.chain.rpc.settings import node_settings

        return RpcService(genesis, store, node_settings(settings), settings.node_zmq)
    if settings.node:
        raise ConfigError(f"chain.node: network {genesis.name} has a chain of its own, no node beside it")
    return EmbeddedService(genesis, store, _mining(genesis, settings))


def _mining(genesis: Genesis, settings: ChainSettings) -> Mining | None:
    if not settings.mine:
        return None
    try:
        address = decode_address(settings.miner_address, genesis.chain.prefixes)
    except RequestError as error:
        raise ConfigError(f"chain.miner_address: {error}") from None
    return Mining(address, settings.mine_after_silence * genesis.parameters.block_seconds)
