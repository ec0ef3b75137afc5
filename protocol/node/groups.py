"""All groups of the network at one node: each one's chain is followed, and one holds our own seat.

Answers for: a certified block reaches its group's machine whatever the order in which blocks come; one
that rests on what is not here waits for it; and which group is ours. What becomes of a block in its chain
is `group`'s business, what the node lacks `catch_up`'s. Spec: `spec/node.md`.
"""

from collections.abc import Callable, Sequence

from protocol.chain.view import ChainView
from protocol.crypto import Signer
from protocol.errors import NotYetKnown, ProtocolError
from protocol.genesis import Genesis, network_id
from protocol.group.absorption import absorbed
from protocol.group.data_block import (
    CertifiedBlock,
    DataBlock,
    Kind,
    decode_block,
    decode_certified,
)
from protocol.group.data_chain import DataChain
from protocol.group.elsewhere import NotHeld
from protocol.group.name import sibling
from protocol.group.quorum import JointElectorate
from protocol.group.regions import overlap
from protocol.group.succession import children, united
from protocol.group.vote import GROUP_ELECTORATE, EquivocationProof, Statement
from protocol.group.vote_guard import VoteGuard
from protocol.node.accusations import Accusations
from protocol.node.effects import Effect
from protocol.node.forwarding import Forwarding
from protocol.node.group import GroupMachine, MayAffirm
from protocol.node.live_groups import LiveGroups
from protocol.node.proposals import Candidates
from protocol.node.records import Records
from protocol.node.stored_block import PrunedBlock
from protocol.node.waiting import Waiting
from protocol.units import Hash32

CLOSING = frozenset({Kind.SPLIT, Kind.MERGE, Kind.ABSORB, Kind.LINK})
"""Kinds of blocks that may end a chain, or make a union last."""
MOVING = CLOSING | frozenset({Kind.EVIDENCE, Kind.RELOCATE, Kind.ADMIT, Kind.REMOVE})
"""Kinds of blocks after which a seat may be elsewhere."""


class Groups(LiveGroups):
    """All groups, and what happens to them."""

    def __init__(
        self,
        genesis: Genesis,
        signer: Signer,
        chain: ChainView,
        records: Records,
        guard: VoteGuard,
        forwarding: Forwarding,
    ) -> None:
        """Take up every group's chain where the records end."""
        super().__init__(signer.operator_key, records, chain, genesis.parameters.challenge_failures)
        self.affirmed_by: list[MayAffirm] = []
        """What a voter asks besides the rules before it prevotes a block, by those who can tell."""
        self._signer = signer
        self._chain = chain
        self._records = records
        self._guard = guard
        self._forwarding = forwarding
        self._burial = genesis.parameters.burial
        self._accusations = Accusations(network_id(genesis), records)
        self._waiting = Waiting()
        self._decided: list[DataBlock] = []
        self._has_moved = True
        self._over: list[GroupMachine] = []
        """Of groups that were absorbed: what else they certified counts for nothing, but may be named."""
        self._replace((), [self._begin(DataChain.from_genesis(genesis))])
        self._load()

    @property
    def held(self) -> int:
        """How many certified blocks are here, those that wait or are held back included."""
        return len(self.archive) + len(self._waiting.proven()) + sum(machine.held for machine in self)

    @property
    def lacks(self) -> bool:
        """Whether a block is here that rests on one which is not."""
        return self._waiting.lacks

    def wants(self) -> list[tuple[str, int]]:
        """Return (prefix, height) of the next block of each chain that may go on."""
        there = self._waiting.proven()
        machines = [*self, *self._unions.values(), *(self._over if self.lacks else ())]
        places = {one.state.prefix: one.held_height + 1 for one in reversed(machines) if one.wants_more}
        return [place for place in sorted(places.items()) if place not in there]

    # What happens.

    def restore(self, now: int) -> list[Effect]:
        """Take back what was said and heard about what is not decided yet."""
        effects = [effect for machine in self._voting() for effect in machine.restore(now)]
        return effects + self._go_on(now)

    def _voting(self) -> tuple[GroupMachine, ...]:
        """Return the machines of what is decided by votes: of the groups, and of unions to come."""
        return (*self, *self._unions.values())

    def _contradicted(self) -> list[GroupMachine]:
        """Return the machines whose chain ours contradicts."""
        return [machine for machine in self._voting() if machine.contradicted]

    def moved(self) -> None:
        """What could be decided moved: there may be more to propose, and to accept."""
        for machine in self._ours():
            machine.moved()

    def _ours(self) -> tuple[GroupMachine, ...]:
        """Return the machines in which we may have a vote: of our group, and of the union that it joins."""
        own = self.own
        union = self._unions.get(own.state.prefix[:-1]) if own.state.prefix else None
        return (own,) if union is None else (own, union)

    def connected(self, height: int, now: int) -> list[Effect]:
        """A block joined our chain."""
        self._has_moved = True
        effects = [effect for machine in self._voting() for effect in machine.connected(height)]
        for certified in self._waiting.freed_at(height):
            effects += self._take_waiting(certified)
        return effects + self._go_on(now)

    def disconnected(self) -> None:
        """A block left our chain."""
        self._has_moved = True
        for machine in self._voting():
            machine.disconnected()

    def receive(self, envelope: bytes, statement: Statement, now: int) -> list[Effect]:
        """Take a statement about a group's next block."""
        prefix = statement.electorate.removeprefix(GROUP_ELECTORATE)
        machine = self._live.get(prefix) or self._unions.get(prefix)
        return [] if machine is None else machine.receive(envelope, statement, now) + self._go_on(now)

    def tick(self, now: int, *, votes: bool = True) -> list[Effect]:
        """Try again what could not be taken before, let timeouts pass."""
        self.archive.written()
        effects = [effect for machine in self._contradicted() for effect in machine.agree()]
        if self._has_moved:
            self._has_moved = False
            effects += self._take_left_over(now)
        effects += self._go_on(now)
        if votes:  # nobody has a vote in two groups, but in the union that his own is about to become
            for machine in self._ours():
                effects += machine.tick(now)
        return effects + self._go_on(now)

    def accuse(self, proof: EquivocationProof) -> list[Effect]:
        """Keep a proof that a member of our group contradicted himself until it stands in a block."""
        return self.own.accuse(proof)

    def offer(self, candidates: Callable[[], Candidates], now: int) -> list[Effect]:
        """Propose in our own group what comes next, and in the union that it is about to become."""
        own, *unions = self._ours()
        effects = own.offer(candidates, now)
        for machine in unions:
            effects += machine.offer(Candidates, now)
        return effects + self._go_on(now)

    def take_block(self, data: bytes, now: int) -> list[Effect]:
        """Take a certified block of any group; raises `ProtocolError` when it is none."""
        return self._take(decode_certified(data)) + self._go_on(now)

    def take_decided(self) -> list[DataBlock]:
        """Hand out the blocks of all groups applied since the last call, oldest first."""
        decided, self._decided = self._decided, []
        return decided

    # Inside.

    def _begin(self, state: DataChain, *after: tuple[str, int]) -> GroupMachine:
        """Let a chain begin after these places; it is not that of a live group yet."""
        self.archive.lives.begin(state, after)
        return GroupMachine(
            state,
            self._signer,
            self._chain,
            self._records,
            self._guard,
            self.archive,
            self._accusations,
            self._forwarding,
            self.affirmed_by,
        )

    def _load(self) -> None:
        """Take up after the last applied blocks, checking every one again that can be checked.

        Raises `ValueError` for a record that is damaged.
        """
        for order, stored in self.archive.stored():
            machine = self._machine(decode_block(stored.block))
            if machine is not None and machine.load(stored, order):
                self._succeed(machine)
            elif isinstance(stored, PrunedBlock):
                raise ValueError(f"the record lacks blocks before its pruned block number {order}")
            else:
                self.archive.leave(order, stored)
        self.archive.take_new()

    def _machine(self, block: DataBlock) -> GroupMachine | None:
        """Return the machine of the chain in which a block may stand, or that of its group, or None."""
        prefix = block.prefix
        there = (self._live.get(prefix), self._unions.get(prefix))
        found = [one for one in there if one is not None]
        found += [one for one in self._over if one.state.prefix == prefix]
        following = (one for one in found if one.state.head == block.previous)
        return next(following, found[0] if found else None)

    def _machine_with(self, block: DataBlock) -> GroupMachine:
        """Return the machine of the chain that has applied a block."""
        life = self.archive.lives.at(block.prefix, block.height)
        assert life is not None
        for machine in (*self._voting(), *self._over):
            if machine.state.prefix == block.prefix and life.start <= machine.state.height <= life.end:
                return machine
        raise AssertionError(f"nobody has applied block {block.height} of group {block.prefix!r}")

    def _succeed(self, machine: GroupMachine) -> list[GroupMachine]:
        """Let begin what comes after a block that a chain has applied; return the machines of that."""
        state = machine.state
        if machine in self._over:
            return self._go_on_void(state)
        if state.prefix in self._unions:
            return self._make_last(machine)
        if state.closed_by is Kind.SPLIT:
            begun = [self._begin(child, (state.prefix, state.height)) for child in children(state)]
            return self._replace((state.prefix,), begun)
        if state.closed_by is Kind.ABSORB:
            return self._absorb(state)
        return self._unite(state) if state.closed_by is Kind.MERGE else []

    def _go_on_void(self, state: DataChain) -> list[GroupMachine]:
        """Follow the halves of an absorbed group as well, if it has split: they count for nothing either."""
        if state.closed_by is Kind.SPLIT:
            halves = [self._begin(child, (state.prefix, state.height)) for child in children(state)]
            for half in halves:
                half.end()
            self._over += halves
        return []

    def _unite(self, state: DataChain) -> list[GroupMachine]:
        """Let a union begin, if both siblings have ended; they stay until each has certified two links.

        What either has certified since its MERGE block changes nothing in it.
        """
        beside = self._live.get(sibling(state.prefix))
        is_there = state.prefix[:-1] in self._unions
        if is_there or beside is None or beside.state.closed_by is not Kind.MERGE:
            return []
        zero, one = sorted((state, beside.state), key=lambda one: one.prefix)
        union = self._begin(united(zero, one), (zero.prefix, zero.ended_at), (one.prefix, one.ended_at))
        self._unions[union.state.prefix] = union
        return [union]

    def _make_last(self, union: GroupMachine) -> list[GroupMachine]:
        """Let a union take the place of its halves once it is bound."""
        if isinstance(union.state.electorate, JointElectorate):
            return []
        prefix = union.state.prefix
        del self._unions[prefix]
        return self._replace((prefix + "0", prefix + "1"), [union])

    def _absorb(self, taker: DataChain) -> list[GroupMachine]:
        """Let the whole go on after a group has absorbed its sibling, and whatever that went on as end."""
        assert taker.summons is not None
        place = taker.summons.prefix, taker.summons.height
        stopped = self.archive.state_at(*place)
        assert stopped is not None
        whole = self._begin(absorbed(taker, stopped), (taker.prefix, taker.height), place)
        ended = [prefix for prefix in self._live if prefix.startswith(whole.state.prefix)]
        self._over += [self._live[prefix] for prefix in ended if prefix != taker.prefix]
        for prefix in [prefix for prefix in self._unions if prefix.startswith(whole.state.prefix)]:
            self._unions.pop(prefix).end()
        return self._replace(ended, [whole])

    def _replace(self, ended: Sequence[str], begun: list[GroupMachine]) -> list[GroupMachine]:
        """Let live groups end, and others be live in their place."""
        self.archive.lives.change(ended, [machine.state for machine in begun])
        for prefix in ended:
            self._live.pop(prefix).end()
        live = {**self._live, **{machine.state.prefix: machine for machine in begun}}
        self._live = dict(sorted(live.items()))
        self._own = None
        return begun

    def _take(self, certified: CertifiedBlock) -> list[Effect]:
        """Hand a block to its group, or let it wait for what it rests on."""
        block = decode_block(certified.block)
        if self.archive.block_hash(block.prefix, block.height) is not None:
            return []
        machine = self._machine(block)
        if machine is None or block.height > machine.held_height + 1:
            self._waiting.hold(certified, Hash32(block.previous), is_proven=False)
            return []
        try:
            return machine.take(certified)
        except NotHeld as error:
            self._waiting.hold(certified, error.block_hash, is_proven=True)
        except NotYetKnown:
            if block.stamp_height + self._burial > self._chain.tip()[0]:
                self._waiting.hold(certified, block.stamp_height + self._burial, is_proven=True)
        return []

    def _take_waiting(self, certified: CertifiedBlock) -> list[Effect]:
        """Take a block that has waited: nobody is blamed any more if it is none."""
        try:
            return self._take(certified)
        except ProtocolError:
            return []

    def _take_left_over(self, now: int) -> list[Effect]:
        """Take up what the record holds above the chains' heads, as far as our chain reaches."""
        effects: list[Effect] = []
        for machine in self._voting():
            height = machine.state.height
            while (
                certified := self.archive.left_over(machine.state.prefix, machine.held_height + 1)
            ) is not None:
                before = machine.held_height
                effects += self._take_waiting(certified)
                if machine.held_height == before:
                    break
            if machine.state.height != height:
                effects += machine.restore(now)  # what was said before the stop about the block after those
        return effects

    def _go_on(self, now: int) -> list[Effect]:
        """Let what was applied bring in what has waited for it."""
        effects: list[Effect] = []
        while new := self.archive.take_new():
            for hashed, block in new:
                effects += self._on_applied(hashed, block, now)
                if overlap(block.prefix, self.own.state.prefix):
                    self.own.moved()
                elif block.kind is not Kind.LINK:
                    self.own.stir()
        return effects

    def _on_applied(self, hashed: Hash32, block: DataBlock, now: int) -> list[Effect]:
        self._decided.append(block)
        effects: list[Effect] = []
        begun = self._succeed(self._machine_with(block)) if block.kind in CLOSING else []
        for machine in begun:
            effects += machine.open(now)
            self._has_moved = True
        if block.kind in MOVING:
            self._own = None
            effects += self._accusations.forget(self.is_member)
        for there in (hashed, *(machine.state.head for machine in begun)):
            for certified in self._waiting.freed_by(there):
                effects += self._take_waiting(certified)
        return effects
