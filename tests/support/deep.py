"""A few nodes whose chain is replaced deeper than its burial, for everybody at once."""

from protocol.codec import replace
from protocol.parameters import MINIMAL, Parameters
from protocol.units import Hash32, OperatorKey
from tests.support.chain_view import MemoryChain
from tests.support.founding import founded_by
from tests.support.node_cluster import Cluster
from tests.support.operators import Operator, operator

FOUNDERS = tuple(operator(number) for number in range(4))
NEWCOMER = operator(9)
WIDE: Parameters = replace(MINIMAL, preset="wide", response_window=3, silence=1_000)
"""Challenge 2 opens at 8, closes at 11, is judged at 12. Burial 1: two replaced blocks are too many."""


class Deep(Cluster):
    """Four founders and a bystander that is cut off; chains are exchanged by hand."""

    def __init__(self, parameters: Parameters = WIDE) -> None:
        super().__init__(FOUNDERS, others=[NEWCOMER], genesis=founded_by(FOUNDERS, parameters=parameters))
        self.cut = {NEWCOMER.key}
        self._fell_asleep: dict[OperatorKey, MemoryChain] = {}

    def switch(self, other: MemoryChain, *, ran: int = 1_000) -> None:
        """Let everybody follow another chain: back to what both have, and up again."""
        height = self.chain.tip()[0]
        shared = max(at for at in range(height + 1) if self.chain.block_hash(at) == other.block_hash(at))
        gone = [(at, self.chain.block_hash(at) or b"") for at in range(height, shared, -1)]
        if gone:
            self.chain.disconnect(len(gone))
        for peer in self._there():
            for at, block_hash in gone:
                self.carry(peer, peer.node.disconnect(at, block_hash))
            peer.seen = shared
        for block in other.blocks[shared + 1 :]:
            self.chain._connect(*block)
            self._connect(self.chain.tip()[0])
        self.run(ran)

    def replace(self, depth: int, *, salt: bytes = b"deep") -> MemoryChain:
        """Replace so many blocks by as many others and one more; return the chain that lost."""
        lost, other = self.chain.copy(), self.chain.copy()
        other.disconnect(depth)
        other.mine_to(lost.tip()[0] + 1, salt=salt)
        self.switch(other)
        return lost

    def sleep(self, one: Operator) -> None:
        """Let a node neither hear nor be heard, its chain standing still."""
        self.cut.add(one.key)
        self._fell_asleep[one.key] = self.chain.copy()

    def wake(self) -> None:
        """Let whoever sleeps follow the chain from where it stood."""
        for key, before in self._fell_asleep.items():
            peer = self.peers[key]
            top, now = before.tip()[0], self.chain.tip()[0]
            same = [at for at in range(top + 1) if before.block_hash(at) == self.chain.block_hash(at)]
            for at in range(top, same[-1], -1):
                self.carry(peer, peer.node.disconnect(at, before.block_hash(at) or b""))
            self.cut.discard(key)
            for at in range(same[-1] + 1, now + 1):
                self.carry(peer, peer.node.connect(at, self.chain.block_hash(at) or b""))
            peer.seen = now
        self._fell_asleep.clear()
        self.run(1_000)

    def newcomer_comes(self) -> None:
        """Let the bystander follow the chain and ask for everything."""
        self.heal()
        self.run(6_000)

    def news(self, one: Operator, event: str) -> list[dict[str, object]]:
        """Return the fields of a node's announcements of one kind."""
        return [dict(announced.fields) for announced in self[one].events(event)]

    def anchor(self, seq: int) -> Hash32:
        """Return the hash of a challenge's anchor on the present chain."""
        found = self.chain.block_hash(seq * self.genesis.parameters.challenge_every)
        assert found is not None
        return found
