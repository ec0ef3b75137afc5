"""One node's groups over a store, without the rest of the node: it takes blocks as they are handed to it."""

from collections.abc import Iterable, Sequence
from typing import Protocol

from protocol.chain.view import ChainView
from protocol.genesis import Genesis, network_id
from protocol.group.vote_guard import VoteGuard
from protocol.node.archive import Archive
from protocol.node.effects import Effect, Persist
from protocol.node.forwarding import Forwarding
from protocol.node.groups import Groups
from tests.support.operators import operator
from zenp2p.store import MemoryStore

STRANGER = operator(9_999)


class World(Protocol):
    """Where the blocks are made."""

    @property
    def genesis(self) -> Genesis: ...

    @property
    def chain(self) -> ChainView: ...


class HeldGroups:
    """The groups of a world as somebody holds them who is in none."""

    def __init__(self, world: World, store: MemoryStore | None = None) -> None:
        self.store = store or MemoryStore()
        parameters = world.genesis.parameters
        forwarding = Forwarding(network_id(world.genesis), STRANGER.key, "everybody", world.chain, parameters)
        self.groups = Groups(world.genesis, STRANGER.signer, world.chain, self.store, VoteGuard(), forwarding)

    @property
    def archive(self) -> Archive:
        """What is decided."""
        return self.groups.archive

    def take(self, blocks: Iterable[bytes]) -> None:
        """Take certified blocks, each written before the next."""
        for data in blocks:
            self.write(self.groups.take_block(data, 0))
        self.groups.tick(0)

    def write(self, effects: Sequence[Effect]) -> None:
        """Write what must be written."""
        batch = [(effect.key, effect.value) for effect in effects if isinstance(effect, Persist)]
        self.store.write(batch, sync=True)
