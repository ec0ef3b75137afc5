"""RPC methods about the node itself: how it is doing, where its seat is, and what needs somebody.

Answers for: the truth of this node alone, from its own machine and chain. Challenges are
`challenge_methods`', groups `group_methods`'. Chain hashes are in display order. Spec: `spec/rpc.md`.
"""

from collections.abc import Iterator
from dataclasses import asdict

from protocol.node.messages import PLAIN, SIGNED
from zenp2p.api.context import Context, display
from zenp2p.api.errors import InvalidParams
from zenp2p.api.methods import Methods, NoParams, Params, program_version
from zenp2p.api.network_view import NetworkView
from zenp2p.api.seat_view import OwnSeat, SeatView
from zenp2p.api.seat_words import SeatWords
from zenp2p.api.summons_view import SummonsView


class EnvelopeParams(Params, frozen=True):
    """A registration (signed) or deregistration (plain) in hex, as made by a wallet."""

    envelope: str
    deregistration: bool = False


class NodeMethods:
    """The handlers, over one daemon's parts."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._node = context.node
        self._view = NetworkView(context.node)
        self._seat = SeatView(context, self._view)
        self._words = SeatWords(context.node, self._view)
        self._summonses = SummonsView(context.node)

    def register(self, methods: Methods) -> None:
        """Add them to the register."""
        methods.add("node.status", NoParams, self.status, "How the node is doing, and what is wrong.")
        methods.add("registration.submit", EnvelopeParams, self.submit, "Hand in a (de)registration.")

    async def status(self, params: NoParams) -> object:
        """Everything in one object; `problems` names what needs somebody, `state` sums it up."""
        node = self._node
        height, tip = node.chain.tip()
        registration = self._view.registration(node.operator_key)
        own = self._seat.now()
        problems = list(self._problems(own, is_registered=registration is not None))
        return {
            "version": program_version(),
            "state": "ok" if not problems else "degraded",
            "problems": problems,
            "network": node.genesis.name,
            "network_id": node.network.hex(),
            "operator": node.operator_key.hex(),
            "stake_address": self._context.address(registration.stake_address) if registration else "",
            "registered": registration is not None,
            **self._seat.describe(own),
            "doing": self._words.doing(own),
            "peers": len(self._context.network.peers()),
            "height": height,
            "tip": display(tip),
            "chain": asdict(self._context.chain.condition()),
            "groups": len(node.groups),
            "stopped_groups": self._view.stopped(),
            "data_blocks": node.groups.held,
            "data_blocks_pruned": node.groups.archive.pruned,
            "data_height": node.group.state.height,
            "data_head": node.group.state.head.hex(),
            "next_period": node.lister.period,
            "registrations_waiting": len(tuple(node.registrar.waiting())),
        }

    def _problems(self, own: OwnSeat, *, is_registered: bool) -> Iterator[str]:
        node = self._node
        yield from self._context.problems()
        if not is_registered:
            yield "not registered: no challenge can be VALID until a registration is certified"
        if not self._context.network.peers():
            yield "no peers: check the peers in the configuration and the firewall"
        if node.contradicted:
            yield "certified data contradict our own chain: this node no longer votes; see the log"
        if node.group.stranded or node.lister.stranded:
            yield "certified data rest on chain blocks that another branch has replaced; see the log"
        yield from self._others()
        yield from self._summonses.problems(node.group.state.prefix)
        yield from self._words.problems(own)

    def _others(self) -> Iterator[str]:
        """Yield what is wrong with other groups' data here."""
        others = [machine for machine in self._node.groups if machine is not self._node.group]
        names = ", ".join(machine.state.prefix for machine in others if machine.contradicted)
        if names:
            yield f"certified data of group {names} contradict our own chain: look at it, and at the log"

    async def submit(self, params: EnvelopeParams) -> object:
        """Check, keep and gossip a registration; it is in force when its block is certified."""
        try:
            data = bytes.fromhex(params.envelope)
        except ValueError:
            raise InvalidParams("envelope: not hexadecimal") from None
        await self._context.submit(bytes((PLAIN if params.deregistration else SIGNED,)) + data)
        return {"accepted": True}
