"""Our own seat: asking for a place, proving our work, and following our tickets from group to group.

Answers for: what we do next follows from the blocks alone, so a restart goes on where they end. A seat is
ours in one group at a time; who takes whom in is decided by the groups (`admissions`). Spec:
`spec/relocation.md`.
"""

from dataclasses import dataclass
from enum import Enum

from protocol.chain.view import ChainView
from protocol.crypto import Signer
from protocol.genesis import Genesis, network_id
from protocol.group.data_block import Move
from protocol.group.entropy import is_fresh, is_name_open
from protocol.group.join_request import build_join_request
from protocol.group.name import home_draw
from protocol.node.effects import Announce, Effect, Mine, News, Publish, Send
from protocol.node.messages import ProofHeld, group_topic, pack_signed
from protocol.node.proofs import ProofSender
from protocol.node.surroundings import Surroundings
from protocol.node.tickets import Ticket
from protocol.tracking.verdict import Reason
from protocol.units import Hash32, OperatorKey

REQUEST_MILLISECONDS = 4_000
"""How often a request for a place is repeated while nothing has come of it."""


class Seat(Enum):
    """Where our seat is."""

    MEMBER = "member"
    UNDER_WAY = "under way"
    """A ticket leads to another group."""
    ENDED = "ended"
    """A ticket ended, and the group that sent us has still to take us back."""
    LEFT = "left"
    """Removed from a group, which takes us back when we ask."""
    HOME = "home"
    """Never a member: our home group sends us on when we ask."""


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """Our seat, and the prefix of the group that holds it or, under way, will hold it."""

    seat: Seat
    prefix: str
    ticket: Ticket | None = None


class Mover:
    """Moves our own seat."""

    def __init__(
        self, genesis: Genesis, signer: Signer, chain: ChainView, around: Surroundings, *, joins: bool = True
    ) -> None:
        """With `joins` false we never ask for a place; founders are members all the same."""
        self._network = network_id(genesis)
        self._parameters = genesis.parameters
        self._signer = signer
        self._chain = chain
        self._around = around
        self.joins = joins
        """Whether we ask for a place."""
        self._sender: ProofSender | None = None
        self._request_at = 0

    @property
    def proof(self) -> ProofSender | None:
        """What hands our join proof over, while we are under way."""
        return self._sender

    def whereabouts(self) -> Whereabouts:
        """Return where our seat is."""
        me, around = self._signer.operator_key, self._around
        own = around.own()
        if own is not None:
            return Whereabouts(Seat.MEMBER, own.prefix)
        ticket = around.tickets.of(me)
        if ticket is not None:
            return Whereabouts(Seat.UNDER_WAY, around.covering(ticket.name).prefix, ticket)
        left = around.that_left(me)
        if left is not None:
            return Whereabouts(Seat.LEFT, left.prefix)
        home = around.covering(home_draw(me))
        ending = around.tickets.ending_of(me)
        if ending is not None:
            return Whereabouts(Seat.ENDED, home.prefix, ending.ticket)
        return Whereabouts(Seat.HOME, home.prefix)

    def tick(self, now: int) -> list[Effect]:
        """Do what our seat asks for."""
        here = self.whereabouts()
        if here.seat is Seat.UNDER_WAY and here.ticket is not None:
            return self._travel(here.ticket, now)
        self._sender = None
        if here.seat is Seat.MEMBER or not self.joins:
            return []
        return self._ask(here, now)

    def _travel(self, ticket: Ticket, now: int) -> list[Effect]:
        """Prove our work for a ticket, and hand the proof to each member of the group that it leads to."""
        me = self._signer.operator_key
        effects: list[Effect] = []
        if self._sender is None or self._sender.ticket != ticket.ticket:
            self._sender = ProofSender(self._network, me, ticket.ticket)
            news: News = {"why": ticket.why.name, "age": ticket.age, "ticket": ticket.ticket.hex()}
            effects.append(Announce("seat.under_way", news))
            effects.append(Mine(ticket.ticket, me, self._parameters.join_proof_bits))
        members = self._around.covering(ticket.name).membership.members
        return effects + [*self._sender.tick([OperatorKey(one.operator_key) for one in members], now)]

    def mined(self, ticket: Hash32, nonce: int, now: int) -> list[Effect]:
        """Our proof was found."""
        if self._sender is None or ticket != self._sender.ticket:
            return []
        found = Announce("join_proof.found", {"ticket": ticket.hex(), "nonce": nonce})
        return [found, *self._sender.proved(nonce, now)]

    def on_held(self, peer: OperatorKey, word: ProofHeld, now: int) -> list[Effect]:
        """A member says what it holds of our proof."""
        return [*self._sender.hear(peer, word, now)] if self._sender is not None else []

    def _ask(self, here: Whereabouts, now: int) -> list[Effect]:
        """Ask the group that holds our seat, as long as our last verdict is worth it.

        Each voter is asked directly too: we may have no connection to anybody on their topic.
        """
        found = self._around.last_verdicts.last(self._signer.operator_key)
        stamp = self._chain.tip()[0] - self._parameters.burial
        if now < self._request_at or found is None or found.reason is not Reason.VALID:
            return []
        if not is_fresh(found.seq, stamp, self._parameters) or not _may_help(here, found.seq):
            return []
        if here.seat is Seat.LEFT and not is_name_open(found.seq, stamp, self._parameters):
            return []
        self._request_at = now + REQUEST_MILLISECONDS
        envelope = build_join_request(self._signer, self._network, found.seq, found.block_hash)
        packed, group = pack_signed(envelope), self._around.live(here.prefix)
        sends = [Send(OperatorKey(voter.operator_key), packed) for voter in group.electorate.voters]
        return [Publish(group_topic(self._network, here.prefix), packed), *sends]


def _may_help(here: Whereabouts, seq: int) -> bool:
    """Whether it is any use to ask: a group takes back unasked whom it sent away, and home gives one ticket a
    challenge.
    """
    ticket = here.ticket
    return ticket is None or (ticket.why is Move.JOIN and ticket.seq < seq)
