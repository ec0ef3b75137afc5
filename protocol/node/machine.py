"""The node machine: one sans-IO object per daemon.

Answers for: which machine sees which input, and what follows from all of them together. It only composes:
who takes which message is `routing`, challenges are `tracker`, waiting registrations `registrar`, the data
chains `groups`, lists `lister`, catching up `catch_up`; none of them knows another's insides. It knows no
clock (ticks are handed in), no socket, no disk and no randomness. Spec: `spec/node.md`.
"""

from collections.abc import Sequence

from protocol.chain.view import ChainView
from protocol.crypto import Signer
from protocol.genesis import Genesis, network_id
from protocol.group.data_block import (
    DataBlock,
    Kind,
    RegisterPayload,
    RelocatePayload,
    VerdictPayload,
    decode_payload,
)
from protocol.group.name import matches
from protocol.group.regions import overlap
from protocol.group.vote import LIST_ELECTORATE
from protocol.group.vote_guard import VoteGuard
from protocol.node.absorbing import Absorbing
from protocol.node.catch_up import CatchUp
from protocol.node.effects import (
    Announce,
    Effect,
    Incoming,
    ProbeResult,
    Publish,
    Subscribe,
    Unsubscribe,
)
from protocol.node.forwarding import Forwarding
from protocol.node.group import GroupMachine
from protocol.node.groups import Groups
from protocol.node.kept_peers import KeptPeers
from protocol.node.lister import Lister
from protocol.node.messages import (
    network_topic,
)
from protocol.node.proposals import Candidates
from protocol.node.pruning import Pruner
from protocol.node.records import Records
from protocol.node.registrar import Registrar
from protocol.node.resends import Resends
from protocol.node.routing import Parts, Routing
from protocol.node.seating import Seating
from protocol.node.tracker import Tracker
from protocol.node.watch import Watch
from protocol.units import Hash32, OperatorKey

REPEAT_MILLISECONDS = 2_000
"""How often a node says where it is and repeats what is still waiting, where blocks come fast."""
REPEATS_A_BLOCK = 5
"""How often it does so while a block is mined, where that takes longer: nothing waits for less."""
DECIDED_AT_ONCE_MAX = 64
"""Blocks that one input can lead to (a group of one decides as it proposes); the next input goes on."""


class Node:
    """One node. Every method takes an input and returns what the shell must do, in order."""

    def __init__(
        self,
        genesis: Genesis,
        signer: Signer,
        chain: ChainView,
        records: Records,
        guard: VoteGuard,
        *,
        joins: bool = True,
        prunes: bool = False,
    ) -> None:
        """Restore the machine from its records; `start` must follow before any other input.

        With `joins` false it never asks for a place in a group. With `prunes` it gives up what proves old
        blocks to others; what an earlier start has given up is gone either way.
        """
        self.genesis = genesis
        self.network = network_id(genesis)
        self.operator_key: OperatorKey = signer.operator_key
        self.chain = chain
        self._guard = guard
        self._now = 0
        block_milliseconds = 1_000 * genesis.parameters.block_seconds
        self._repeat_every = max(REPEAT_MILLISECONDS, block_milliseconds // REPEATS_A_BLOCK)
        self._repeat_at = 0
        self._everybody = everybody = network_topic(self.network)
        self._topics: tuple[str, ...] = ()
        """Those that the shell was told of."""
        self._has_moved = True
        """Whether the chain or our group went on since we last looked with whom we decide."""
        self._is_stirred = False
        """Whether another group did: what that means for us can wait for a round."""
        self._look_at = 0
        self.registrar = Registrar(genesis, everybody, records)
        self.forwarding = Forwarding(self.network, self.operator_key, everybody, chain, genesis.parameters)
        self.groups = Groups(genesis, signer, chain, records, guard, self.forwarding)
        self.watch = Watch(genesis, signer, chain, self.groups)
        self.resends = Resends(genesis, self.operator_key, chain, self.groups, self.watch)
        self.groups.affirmed_by.append(self.resends.may_affirm)
        self.seating = Seating(genesis, signer, chain, self.groups, joins=joins)
        self.tracker = Tracker(genesis, signer, chain, records)
        self.kept_peers = KeptPeers(self.operator_key, self.groups, self.seating.mover, self.tracker)
        self.absorbing = Absorbing(self.groups, guard, chain, self.network)
        self.lister = Lister(genesis, chain, self.groups, signer, guard, records, everybody, self.absorbing)
        self._pruner = Pruner(self.groups, self.lister) if prunes else None
        self.catch_up = CatchUp(genesis, self.operator_key, self.groups, self.lister, everybody)
        self._parts = Parts(
            registrar=self.registrar,
            forwarding=self.forwarding,
            groups=self.groups,
            watch=self.watch,
            resends=self.resends,
            seating=self.seating,
            tracker=self.tracker,
            lister=self.lister,
            catch_up=self.catch_up,
        )
        self._routing = Routing(self.network, everybody, self._parts)

    # Inputs.

    def start(self, now_ms: int) -> list[Effect]:
        """Take up where the records end."""
        self._now = now_ms
        effects = self._change_topics()
        effects += self.groups.restore(now_ms) + self.lister.restore(now_ms)
        effects += self.tracker.restore(self.groups)
        effects += self.seating.look()
        return self._settle(effects)

    @property
    def group(self) -> GroupMachine:
        """The machine of the group that holds our seat; of our home while we never had another."""
        return self.groups.own

    @property
    def topics(self) -> tuple[str, ...]:
        """The topics that we take part in: of the group in which we are a member, and of everybody."""
        return (*self.groups.topics(), self._everybody)

    def receive(self, batch: Sequence[Incoming]) -> list[Effect]:
        """Take a batch of messages."""
        return self._settle(self._routing.take(batch, self._now))

    def tick(self, now_ms: int) -> list[Effect]:
        """Let time pass; milliseconds of any clock that never goes back."""
        self._now = max(self._now, now_ms)
        effects = [] if self._pruner is None else self._pruner.tick()
        if self._now >= self._repeat_at:
            self._repeat_at = self._now + self._repeat_every
            is_our_turn = self.catch_up.is_our_turn(self._now // self._repeat_every)
            effects += self.catch_up.tell() if is_our_turn else []
            effects += self.registrar.repeat(all_of_them=is_our_turn) + self.tracker.repeat(self.groups)
        effects += self.tracker.tick(self.groups, self._now) + self.watch.due(self._now)
        self.resends.look()
        effects += self.groups.tick(self._now, votes=not self.lister.contradicted)
        effects += self.lister.tick(self._now, votes=not self.group.contradicted)
        effects += self.seating.tick(self._now)
        if self._is_stirred and self._now >= self._look_at:
            self._look_at = self._now + self.genesis.parameters.round_milliseconds
            self._is_stirred, self._has_moved = False, True
            effects += self.seating.look()
        return self._settle(effects) + self.catch_up.ask(self._now)

    def connect(self, height: int, block_hash: bytes) -> list[Effect]:
        """A block joined the active chain; the chain view holds it already."""
        effects = self.tracker.connect(height, self.groups)
        effects += self.groups.connected(height, self._now) + self.lister.connected(height)
        effects += self.absorbing.connected(height)
        effects += self.seating.look()
        self._has_moved = True
        return self._settle(effects)

    def disconnect(self, height: int, block_hash: bytes) -> list[Effect]:
        """A block left the active chain."""
        effects = self.tracker.disconnect(height, block_hash, self.groups)
        self._has_moved = True
        self.groups.disconnected()
        self.lister.moved()
        return self._settle(effects)

    def probed(self, result: ProbeResult) -> list[Effect]:
        """A dial-back ended."""
        return self._settle(self.tracker.probed(result))

    def mined(self, ticket: Hash32, nonce: int) -> list[Effect]:
        """The join proof of a ticket of ours was found."""
        return self.seating.mined(ticket, nonce, self._now)

    def submit(self, packed: bytes) -> list[Effect]:
        """Take a registration or deregistration of our own user; raises `ProtocolError` with the reason."""
        effects = self.registrar.take(packed, self.groups.book, own=True)
        self.groups.moved()
        return self._settle([*effects, Publish(self._everybody, packed)])

    def answer_probe(self, peer: OperatorKey, data: bytes) -> bytes:
        """Answer a judge's dial-back; raises `ProtocolError`."""
        return self.tracker.answer_probe(peer, data, self.groups)

    @property
    def contradicted(self) -> bool:
        """Whether our group or the network certified what our own chain contradicts: then we do not vote."""
        return self._parts.contradicted

    def may_vote(self) -> bool:
        """Whether nothing said before this start can be forgotten any more, in any electorate."""
        silent = self._guard.is_silent
        return not (
            silent(self.network, self.group.state.electorate_name, self.group.state.height + 1)
            or silent(self.network, LIST_ELECTORATE, self.lister.period)
        )

    # What follows.

    def _settle(self, before: list[Effect]) -> list[Effect]:
        """Let decided blocks reach those whom they concern, and offer what can be decided next.

        `before` are the effects of the input so far. Where those listen with whom we decide is said first.
        """
        effects = list(before)
        for proof in self.lister.take_accusations():
            effects += self.groups.accuse(proof)
        for _ in range(DECIDED_AT_ONCE_MAX):
            if not self.contradicted:
                effects += self.groups.offer(self._candidates, self._now)
            decided = self.groups.take_decided()
            if not decided:
                break
            for block in decided:
                effects += self._on_decided(block)
            if any(map(self._concerns_us, decided)):
                self._has_moved = True
                effects += self.seating.look()
            else:
                self._is_stirred = self._is_stirred or any(one.kind is not Kind.LINK for one in decided)
        has_moved, self._has_moved = self._has_moved, False
        if not has_moved:
            return effects + self.forwarding.due(self._now)
        looked = self.kept_peers.look(self.chain.tip()[0])
        return looked + effects + self.forwarding.due(self._now) + self._change_topics()

    def _concerns_us(self, block: DataBlock) -> bool:
        """Whether a decided block is our group's, or sends somebody there: that can wait for no tick."""
        ours = self.group.state.prefix
        payload = decode_payload(block)
        leads_here = isinstance(payload, RelocatePayload) and matches(ours, payload.name)
        return leads_here or overlap(block.prefix, ours)

    def _change_topics(self) -> list[Effect]:
        """Come into the topics that are ours now, and leave those that are no more."""
        before, self._topics = self._topics, self.topics
        left: list[Effect] = [Unsubscribe(topic) for topic in before if topic not in self._topics]
        return [Subscribe(topic) for topic in self._topics if topic not in before] + left

    def _candidates(self) -> Candidates:
        """Return what the next block could be made of."""
        registrations, deregistrations = self.registrar.offer(self.group.state.book, self.group.state.prefix)
        admissions = self.seating.admissions
        return Candidates(
            self.tracker.judged(self.groups, self._now),
            registrations,
            deregistrations,
            endings=admissions.endings(),
            removals=(make for of in (self.resends, admissions) for make in of.removals()),
            moves=admissions.moves(),
            absorbing=self.absorbing.candidates(),
        )

    def _on_decided(self, block: DataBlock) -> list[Effect]:
        """Tell everybody whom a decided block of any group concerns."""
        self.lister.moved()
        effects = self.tracker.regroup(self.groups)
        payload = decode_payload(block)
        if isinstance(payload, VerdictPayload):
            news = {"seq": payload.seq, "operators": len(payload.verdicts)}
            effects += [*self.tracker.on_verdicts(payload.seq, self.groups), Announce("verdicts", news)]
        if isinstance(payload, RegisterPayload):
            effects += self.registrar.settle(self.groups.book)
            effects += self.tracker.on_registrations(block.stamp_height, self.groups)
        return effects
