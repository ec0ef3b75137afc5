"""All groups of the network at one node: each one's chain is followed, and one holds our own seat.

Answers for: a certified block reaches its group's machine whatever the order in which blocks come; one
that rests on what is not here waits for it; and which group is ours. What becomes of a block in its chain
is `group`'s business, what the node lacks `catch_up`'s. Spec: `spec/node.md`.
"""

from collections.abc import Callable

from protocol.chain.view import ChainView
from protocol.crypto import Signer
from protocol.errors import NotYetKnown, ProtocolError
from protocol.genesis import Genesis, network_id
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

CLOSING = frozenset({Kind.SPLIT, Kind.MERGE})
"""Kinds of blocks that end a chain."""
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
        super().__init__(signer.operator_key, records, genesis.parameters.challenge_failures)
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
        self._begin(DataChain.from_genesis(genesis))
        self._load()

    @property
    def held(self) -> int:
        """How many certified blocks are here, those that wait or are held back included."""
        return len(self.archive) + len(self._waiting.proven()) + sum(machine.held for machine in self)

    def wants(self) -> list[tuple[str, int]]:
        """Return (prefix, height) of the next block of each chain that may go on."""
        there = self._waiting.proven()
        places = [(one.state.prefix, one.held_height + 1) for one in self if one.wants_more]
        return [place for place in places if place not in there]

    # What happens.

    def restore(self, now: int) -> list[Effect]:
        """Take back what was said and heard about what is not decided yet."""
        effects = [effect for machine in self for effect in machine.restore(now)]
        return effects + self._go_on(now)

    def moved(self) -> None:
        """What could be decided moved: there may be more to propose, and to accept."""
        self.own.moved()

    def connected(self, height: int, now: int) -> list[Effect]:
        """A block joined our chain."""
        self._has_moved = True
        effects = [effect for machine in self for effect in machine.connected(height)]
        for certified in self._waiting.freed_at(height):
            effects += self._take_waiting(certified)
        return effects + self._go_on(now)

    def disconnected(self) -> None:
        """A block left our chain."""
        self._has_moved = True
        for machine in self:
            machine.disconnected()

    def receive(self, envelope: bytes, statement: Statement, now: int) -> list[Effect]:
        """Take a statement about a group's next block."""
        machine = self._live.get(statement.electorate.removeprefix(GROUP_ELECTORATE))
        return [] if machine is None else machine.receive(envelope, statement, now) + self._go_on(now)

    def tick(self, now: int, *, votes: bool = True) -> list[Effect]:
        """Try again what could not be taken before, let timeouts pass."""
        self.archive.written()
        effects: list[Effect] = []
        for machine in self:
            effects += machine.agree()
        if self._has_moved:
            self._has_moved = False
            effects += self._take_left_over(now)
        effects += self._go_on(now)
        if votes:  # nobody has a vote in two groups
            effects += self.own.tick(now)
        return effects + self._go_on(now)

    def accuse(self, proof: EquivocationProof) -> list[Effect]:
        """Keep a proof that a member of our group contradicted himself until it stands in a block."""
        return self.own.accuse(proof)

    def offer(self, candidates: Callable[[], Candidates], now: int) -> list[Effect]:
        """Propose in our own group what comes next."""
        return self.own.offer(candidates, now) + self._go_on(now)

    def take_block(self, data: bytes, now: int) -> list[Effect]:
        """Take a certified block of any group; raises `ProtocolError` when it is none."""
        return self._take(decode_certified(data)) + self._go_on(now)

    def take_decided(self) -> list[DataBlock]:
        """Hand out the blocks of all groups applied since the last call, oldest first."""
        decided, self._decided = self._decided, []
        return decided

    # Inside.

    def _begin(self, state: DataChain, *after: str) -> GroupMachine:
        """Let a chain begin, in the place of those after which it comes."""
        self.archive.lives.begin(state, after)
        machine = GroupMachine(
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
        self._live = dict(sorted({**self._live, state.prefix: machine}.items()))
        self._own = self._members = None
        return machine

    def _load(self) -> None:
        """Take up after the last applied blocks, checking every one again that can be checked.

        Raises `ValueError` for a record that is damaged.
        """
        for order, stored in self.archive.stored():
            machine = self._live.get(decode_block(stored.block).prefix)
            if machine is not None and machine.load(stored, order):
                self._succeed(machine)
            elif isinstance(stored, PrunedBlock):
                raise ValueError(f"the record lacks blocks before its pruned block number {order}")
            else:
                self.archive.leave(order, stored)
        self.archive.take_new()

    def _succeed(self, ended: GroupMachine) -> list[GroupMachine]:
        """Let begin what comes after a chain, if it has ended; return the machines of that."""
        state = ended.state
        if state.closed_by is Kind.SPLIT:
            return self._replace((state.prefix,), children(state))
        beside = self._live.get(sibling(state.prefix)) if state.closed_by is Kind.MERGE else None
        if beside is None or beside.state.closed_by is not Kind.MERGE:
            return []
        zero, one = sorted((state, beside.state), key=lambda one: one.prefix)
        return self._replace((zero.prefix, one.prefix), (united(zero, one),))

    def _replace(self, ended: tuple[str, ...], begun: tuple[DataChain, ...]) -> list[GroupMachine]:
        machines = [self._begin(state, *ended) for state in begun]
        for prefix in ended:
            self.archive.lives.end(prefix)
            del self._live[prefix]
        return machines

    def _take(self, certified: CertifiedBlock) -> list[Effect]:
        """Hand a block to its group, or let it wait for what it rests on."""
        block = decode_block(certified.block)
        if self.archive.block_hash(block.prefix, block.height) is not None:
            return []
        machine = self._live.get(block.prefix)
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
        for machine in self:
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
            self.own.moved()
        return effects

    def _on_applied(self, hashed: Hash32, block: DataBlock, now: int) -> list[Effect]:
        self._decided.append(block)
        effects: list[Effect] = []
        ended = self._live.get(block.prefix) if block.kind in CLOSING else None
        begun = self._succeed(ended) if ended is not None else []
        for machine in begun:
            effects += machine.open(now)
            self._has_moved = True
        if block.kind in MOVING:
            self._own = self._members = None
            effects += self._accusations.forget(self.members)
        for there in (hashed, *(machine.state.head for machine in begun)):
            for certified in self._waiting.freed_by(there):
                effects += self._take_waiting(certified)
        return effects
