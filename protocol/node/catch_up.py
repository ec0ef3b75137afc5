"""Catching up: certified blocks and lists that this node lacks, asked of somebody who has them.

Answers for: gossip may lose anything, so nodes say how far they are, and whoever is
behind asks for the range that it lacks, at a bounded rate. Nothing is believed for
having been sent: blocks and lists prove themselves by certificates.
Spec: `spec/node.md`.
"""

from protocol.genesis import Genesis, network_id
from protocol.node.effects import Effect, Publish, Send
from protocol.node.group import GroupMachine
from protocol.node.lister import Lister
from protocol.node.messages import (
    BLOCKS_BYTES_MAX,
    BLOCKS_MAX,
    Blocks,
    BlocksRequest,
    ListAnswer,
    ListRequest,
    Status,
    pack_plain,
)
from protocol.units import OperatorKey

REQUEST_MILLISECONDS = 500
"""At most one request of each kind in this time."""


class CatchUp:
    """Tells where we are, asks for what we lack, and answers those who ask."""

    def __init__(
        self, genesis: Genesis, me: OperatorKey, group: GroupMachine, lister: Lister, topic: str
    ) -> None:
        self._network = network_id(genesis)
        self._me = me
        self._group = group
        self._lister = lister
        self._topic = topic
        self._blocks_asked = -REQUEST_MILLISECONDS
        self._list_asked = -REQUEST_MILLISECONDS

    def tell(self) -> list[Effect]:
        """Say how far we are."""
        state = self._group.state
        status = Status(
            network=self._network,
            sender=self._me,
            data_height=state.height,
            data_head=state.head,
            lists=self._lister.period,
        )
        return [Publish(self._topic, pack_plain(status))]

    def on_status(self, status: Status, now: int) -> list[Effect]:
        """Ask the sender for what it has and we lack."""
        effects: list[Effect] = []
        peer = OperatorKey(status.sender)
        height = self._group.state.height
        if status.data_height > height and now - self._blocks_asked >= REQUEST_MILLISECONDS:
            self._blocks_asked = now
            effects.append(Send(peer, pack_plain(BlocksRequest(network=self._network, first=height + 1))))
        if status.lists > self._lister.period and now - self._list_asked >= REQUEST_MILLISECONDS:
            self._list_asked = now
            request = ListRequest(network=self._network, period=self._lister.period)
            effects.append(Send(peer, pack_plain(request)))
        return effects

    def on_blocks_request(self, request: BlocksRequest, peer: OperatorKey) -> list[Effect]:
        """Answer with consecutive certified blocks, as many as fit."""
        blocks: list[bytes] = []
        size = 0
        while len(blocks) < BLOCKS_MAX:
            block = self._group.certified(request.first + len(blocks))
            if block is None or (blocks and size + len(block) > BLOCKS_BYTES_MAX):
                break
            size += len(block)
            blocks.append(block)
        if not blocks:
            return []
        return [Send(peer, pack_plain(Blocks(network=self._network, blocks=tuple(blocks))))]

    def on_list_request(self, request: ListRequest, peer: OperatorKey) -> list[Effect]:
        """Answer with the list file of one period."""
        file = self._lister.file(request.period)
        if file is None:
            return []
        return [Send(peer, pack_plain(ListAnswer(network=self._network, file=file)))]
