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
from protocol.group.entropy import is_fresh
from protocol.group.join_request import build_join_request
from protocol.group.name import home_draw
from protocol.node.effects import Announce, Effect, Mine, Publish
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
        self._joins = joins
        self._mining: Hash32 | None = None
        self._sender: ProofSender | None = None
        self._request_at = 0

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
        self._mining = self._sender = None
        if here.seat is Seat.MEMBER or not self._joins:
            return []
        return self._ask(here.prefix, now)

    def _travel(self, ticket: Ticket, now: int) -> list[Effect]:
        """Prove our work for a ticket, and hand the proof to each member of the group that it leads to."""
        me = self._signer.operator_key
        if self._mining != ticket.ticket:
            self._mining, self._sender = ticket.ticket, None
            news = Announce("seat.under_way", {"why": ticket.why.name, "age": ticket.age})
            return [news, Mine(ticket.ticket, me, self._parameters.join_proof_bits)]
        if self._sender is None:
            return []
        members = self._around.covering(ticket.name).membership.members
        return [*self._sender.tick([OperatorKey(member.operator_key) for member in members], now)]

    def mined(self, ticket: Hash32, nonce: int) -> list[Effect]:
        """Our proof was found."""
        if ticket != self._mining:
            return []
        self._sender = ProofSender(self._network, self._signer.operator_key, ticket, nonce)
        return [Announce("join_proof.found", {"ticket": ticket.hex(), "nonce": nonce})]

    def on_held(self, peer: OperatorKey, word: ProofHeld, now: int) -> list[Effect]:
        """A member says what it holds of our proof."""
        return [*self._sender.hear(peer, word, now)] if self._sender is not None else []

    def _ask(self, prefix: str, now: int) -> list[Effect]:
        """Ask the group that holds our seat, as long as our last verdict is worth it."""
        me = self._signer.operator_key
        found = self._around.last_verdicts.last(me)
        stamp = self._chain.tip()[0] - self._parameters.burial
        if now < self._request_at or found is None or found.reason is not Reason.VALID:
            return []
        if not is_fresh(found.seq, stamp, self._parameters):
            return []
        self._request_at = now + REQUEST_MILLISECONDS
        envelope = build_join_request(self._signer, self._network, found.seq, found.block_hash)
        return [Publish(group_topic(self._network, prefix), pack_signed(envelope))]
