"""Catching up: certified blocks and lists that this node lacks, asked of somebody who has them.

Answers for: gossip may lose anything, so nodes say how far they are, and whoever is
behind asks for the ranges that it lacks of all groups' chains, at a bounded rate. Nothing is believed for
having been sent: blocks and lists prove themselves by certificates, and a status is a hint
that anybody may forge, so those who are asked take turns and no liar is asked twice while
somebody else was not. Spec: `spec/node.md`.
"""

from collections.abc import Callable

from protocol.codec import Wire
from protocol.genesis import Genesis, network_id
from protocol.group.name import distance
from protocol.node.effects import Effect, Publish, Send
from protocol.node.groups import Groups
from protocol.node.lister import Lister
from protocol.node.messages import (
    BLOCKS_BYTES_MAX,
    BLOCKS_MAX,
    FILE_BYTES_MAX,
    WANTS_MAX,
    Blocks,
    BlocksRequest,
    ListAnswer,
    ListRequest,
    Status,
    Want,
    pack_plain,
)
from protocol.units import OperatorKey

REQUEST_MILLISECONDS = 500
"""At most one request of each kind in this time."""
ANSWER_MILLISECONDS = 250
"""At most one answer of each kind to one peer in this time."""
ANSWERED_MAX = 1_024
"""Answers of which it is remembered when they were given; the oldest is forgotten first."""
NEIGHBOURS_MAX = 16
"""Peers that are no members and may be asked all the same: those who handed statuses over last."""
SPEAKERS = 8
"""Members whose turn it is at one time, more or less, to say where they are: everybody hears everybody."""


class Turns:
    """Whom to ask next for one kind of thing: of those who may have it, whom we asked longest ago."""

    def __init__(self, me: bytes = bytes(32)) -> None:
        self._me = me
        self._claims: dict[OperatorKey, int] = {}
        self._asked: dict[OperatorKey, int] = {}
        self._next_at = 0
        self._turn = 0

    def claim(self, peer: OperatorKey, place: int, beyond: int = -1) -> None:
        """Note how far `peer` says it is, or somebody else says of it, if that is `beyond` a place."""
        if place > beyond:
            self._claims[peer] = place
        else:
            self.drop(peer)

    def drop(self, peer: OperatorKey) -> None:
        """Note that `peer` can hand over nothing of what we lack."""
        self._claims.pop(peer, None)

    def hurry(self) -> None:
        """Let the next request go at once."""
        self._next_at = 0

    def is_due(self, now: int) -> bool:
        """Whether somebody may have what we lack, and it is time to ask."""
        return bool(self._claims) and now >= self._next_at

    def next(self, beyond: int, now: int, may_ask: Callable[[OperatorKey], bool]) -> OperatorKey | None:
        """Return whom to ask now for what lies beyond a place, or None; forgets whom not to ask."""
        if not self.is_due(now):
            return None
        self._claims = {
            peer: place for peer, place in self._claims.items() if place > beyond and may_ask(peer)
        }
        self._asked = {peer: turn for peer, turn in self._asked.items() if may_ask(peer)}
        if not self._claims:
            return None
        self._next_at = now + REQUEST_MILLISECONDS
        self._turn += 1
        chosen = min(self._claims, key=lambda peer: (self._asked.get(peer, 0), distance(peer, self._me)))
        self._asked[chosen] = self._turn
        return chosen


class CatchUp:
    """Tells where we are, asks for what we lack, and answers those who ask."""

    def __init__(self, genesis: Genesis, me: OperatorKey, groups: Groups, lister: Lister, topic: str) -> None:
        self._network = network_id(genesis)
        self._me = me
        self._groups = groups
        self._lister = lister
        self._topic = topic
        self._blocks, self._lists = Turns(me), Turns(me)
        self._neighbours: dict[OperatorKey, None] = {}
        self._answered: dict[tuple[type[Wire], OperatorKey], int] = {}

    def is_our_turn(self, turn: int) -> bool:
        """Whether it is on us to say what all should hear: so many do at a time however many there are."""
        share = self._groups.members_count // SPEAKERS + 1
        return (turn + int.from_bytes(self._me[:4], "big")) % share == 0

    def tell(self) -> list[Effect]:
        """Say how far we are."""
        status = Status(
            network=self._network,
            sender=self._me,
            heads=self._groups.archive.lives.digest(),
            blocks=self._groups.held,
            pruned=self._groups.archive.pruned,
            lists=self._lister.period,
        )
        return [Publish(self._topic, pack_plain(status))]

    def on_status(self, status: Status, neighbour: OperatorKey, now: int) -> list[Effect]:
        """Note what a member says it has, and that the neighbour who handed it over may have it.

        Of somebody who has pruned more blocks than we hold, we lack one that it cannot hand over.
        """
        held, period = self._groups.held, self._lister.period
        blocks = status.blocks
        may_differ = blocks == held or self._groups.lacks
        if may_differ and status.heads != self._groups.archive.lives.digest():
            blocks = max(blocks, held) + 1  # each of us has what the other lacks
        if blocks > held or status.lists > period:
            self._remember(neighbour)
        for peer in (OperatorKey(status.sender), neighbour):
            if self._may_ask(peer):
                if status.pruned <= held:
                    self._blocks.claim(peer, blocks, held)
                elif peer == status.sender:
                    self._blocks.drop(peer)
                self._lists.claim(peer, status.lists, period)
        return self.ask(now)

    def _remember(self, neighbour: OperatorKey) -> None:
        self._neighbours.pop(neighbour, None)
        self._neighbours[neighbour] = None
        while len(self._neighbours) > NEIGHBOURS_MAX:
            del self._neighbours[next(iter(self._neighbours))]

    def _may_ask(self, peer: OperatorKey) -> bool:
        return peer != self._me and (peer in self._neighbours or self._groups.is_member(peer))

    def ask(self, now: int) -> list[Effect]:
        """Ask for what we lack, each time somebody else."""
        effects: list[Effect] = []
        is_due = self._blocks.is_due(now)
        peer = self._blocks.next(self._groups.held, now, self._may_ask) if is_due else None
        wants = self._groups.wants()[:WANTS_MAX] if peer is not None else []
        if peer is not None and wants:
            chains = tuple(Want(prefix=prefix, first=first) for prefix, first in wants)
            effects.append(Send(peer, pack_plain(BlocksRequest(network=self._network, wants=chains))))
        period = self._lister.period
        peer = None if self._lister.contradicted else self._lists.next(period, now, self._may_ask)
        if peer is not None:
            effects.append(Send(peer, pack_plain(ListRequest(network=self._network, period=period))))
        return effects

    def on_blocks(self, taken: int) -> None:
        """Note how many blocks of an answer were taken: who gets on asks again at once."""
        if taken:
            self._blocks.hurry()

    def may_answer(self, request: Wire, peer: OperatorKey, now: int) -> bool:
        """Whether a request of this kind may cost us an answer now; then it is counted."""
        place = (type(request), peer)
        before = self._answered.get(place)
        if before is not None and now < before + ANSWER_MILLISECONDS:
            return False
        self._answered.pop(place, None)
        self._answered[place] = now
        while len(self._answered) > ANSWERED_MAX:
            del self._answered[next(iter(self._answered))]
        return True

    def on_blocks_request(self, request: BlocksRequest, peer: OperatorKey, now: int) -> list[Effect]:
        """Answer with certified blocks of the chains that are asked for, as many as fit."""
        if not self.may_answer(request, peer, now):
            return []
        blocks: list[bytes] = []
        size = 0
        places = {want.prefix: want.first for want in request.wants}
        for block in self._groups.archive.following(places.items(), BLOCKS_MAX):
            if len(blocks) == BLOCKS_MAX or (blocks and size + len(block) > BLOCKS_BYTES_MAX):
                break
            size += len(block)
            blocks.append(block)
        if not blocks:
            return []
        return [Send(peer, pack_plain(Blocks(network=self._network, blocks=tuple(blocks))))]

    def on_list_request(self, request: ListRequest, peer: OperatorKey, now: int) -> list[Effect]:
        """Answer with the list file of one period."""
        file = self._lister.file(request.period) if self.may_answer(request, peer, now) else None
        if file is None or len(file) > FILE_BYTES_MAX:
            return []
        return [Send(peer, pack_plain(ListAnswer(network=self._network, file=file)))]
