"""A sibling that has stopped, as one node sees to it; and our own group, when it is summoned.

Answers for: what is proposed and voted for while it is open which of two siblings goes on without the other
is asked of `protocol.group.standoff`, with everything that this node holds; and whoever could give our
group's sign of life hears of a summons, loudly. Marks are put on the chain by people. Spec: `spec/absorb.md`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from protocol.chain.view import ChainView
from protocol.errors import StaleMessage
from protocol.group.absorbmaker import build_drop, build_rejoin, build_summons, build_take
from protocol.group.data_block import DataBlock, Payload
from protocol.group.data_chain import DataChain
from protocol.group.doubt import certain_heads, stands_open
from protocol.group.elsewhere import Elsewhere, Standing
from protocol.group.name import sibling
from protocol.group.standoff import may_drop, objection, objection_to_heads
from protocol.group.state import GroupState
from protocol.group.summons import Summons, read_summons, signs_of_life, term
from protocol.group.vote_guard import VoteGuard
from protocol.node.archive import Archive
from protocol.node.effects import Announce, Effect
from protocol.node.groups import Groups
from protocol.node.proposals import Make
from protocol.payout.list_header import Head
from protocol.units import Hash32


class HeldGroups:
    """All groups' data chains, and our own votes; fulfils `protocol.group.doubt.Held`."""

    def __init__(self, groups: Groups, guard: VoteGuard, network: bytes) -> None:
        self._groups = groups
        self._archive = groups.archive
        self._guard = guard
        self._network = network

    def groups(self) -> Mapping[str, GroupState]:
        """Return the states of the live groups."""
        return {machine.state.prefix: machine.state for machine in self._groups}

    def state_at(self, prefix: str, height: int) -> GroupState | None:
        """Return a group's state at a height."""
        return self._archive.state_at(prefix, height)

    def block_hash(self, prefix: str, height: int) -> Hash32 | None:
        """Return the hash at which a group's data chain stood at a height."""
        return self._archive.block_hash(prefix, height)

    def last(self, prefix: str, height: int) -> GroupState | None:
        """Return the last state of the stretch in which a height lies."""
        life = self._archive.lives.at(prefix, height)
        return None if life is None else life.state

    def behind(self, prefix: str, height: int) -> Mapping[str, int]:
        """Return by prefix up to what height blocks are behind a place."""
        return self._archive.lives.behind(prefix, height)

    def standing(self, block_hash: bytes) -> Standing | None:
        """Return a block of any group."""
        return self._archive.standing(block_hash)

    def registers(self, prefix: str, after: int, until: int | None = None) -> Sequence[Standing]:
        """Return REGISTER blocks of a group."""
        return self._archive.registers(prefix, after, until)

    def has_voted(self, electorate: str, height: int) -> bool:
        """Whether we have ever voted for a block there."""
        return self._guard.has_voted(self._network, electorate, height)


@dataclass(frozen=True, slots=True)
class Called:
    """A summons on our chain of a group that we hold."""

    prefix: str
    summons: Summons
    height: int
    """Of the chain block that holds it."""
    due: int
    """The last chain height at which a sign of life is in time."""


class CertainSource:
    """What a proposer reads for a list; fulfils `ListSource`."""

    def __init__(self, archive: Archive, absorbing: "Absorbing") -> None:
        self.heads = absorbing.heads
        self.reach, self.block_hash, self.members = archive.reach, archive.block_hash, archive.members
        self.verdict_records, self.voids = archive.verdict_records, archive.voids


class Absorbing:
    """Proposes ABSORB blocks, says what we do not vote for, and tells of summonses."""

    def __init__(self, groups: Groups, guard: VoteGuard, chain: ChainView, network: bytes) -> None:
        self.held = HeldGroups(groups, guard, network)
        self._groups = groups
        self._chain = chain
        groups.affirmed_by.append(self._may_affirm)

    def _may_affirm(self, state: DataChain, block: DataBlock, payload: Payload) -> bool:
        return not objection(block, payload, self._chain, self.held)

    def may_build_on(self, heads: Sequence[Head]) -> bool:
        """Whether we vote for a list of these heads: none of them may turn out void."""
        places = [(head.prefix, head.height) for head in heads]
        return not objection_to_heads(places, self._buried, self._chain, self.held)

    def heads(self) -> tuple[Head, ...]:
        """Return the groups' heads as far as none may turn out void: those of the list that we propose."""
        found = []
        for prefix, height in certain_heads(self._buried, self._chain, self.held):
            hashed = self.held.block_hash(prefix, height)
            assert hashed is not None
            found.append(Head(prefix=prefix, height=height, block_hash=hashed))
        return tuple(found)

    @property
    def _buried(self) -> int:
        return self._chain.tip()[0] - self._groups.own.state.genesis.parameters.burial

    def candidates(self) -> tuple[Make, ...]:
        """Return what our group may decide about its sibling."""
        return (self._drop, build_take, self._summon, self._rejoin)

    def _drop(self, state: DataChain, chain: ChainView, elsewhere: Elsewhere) -> bytes:
        if not may_drop(state.prefix, chain, self.held):
            raise StaleMessage("something may still come of the summons")
        return build_drop(state, chain)

    def _summon(self, state: DataChain, chain: ChainView, elsewhere: Elsewhere) -> bytes:
        beside = self._groups.get(sibling(state.prefix)) if state.prefix else None
        if beside is None:
            raise StaleMessage("no sibling")
        return build_summons(state, chain, beside.state)

    def _rejoin(self, state: DataChain, chain: ChainView, elsewhere: Elsewhere) -> bytes:
        beside = self._groups.get(sibling(state.prefix[:-1])) if len(state.prefix) > 1 else None
        if beside is None:
            raise StaleMessage("no group beside the one whose half we are")
        return build_rejoin(state, chain, elsewhere, beside.state)

    def connected(self, height: int) -> list[Effect]:
        """Tell of the summonses in a chain block that name a group of ours."""
        return [
            Announce(
                "group.summoned",
                {
                    "prefix": one.prefix,
                    "height": one.height,
                    "due": one.due,
                    "data_height": one.summons.height,
                },
            )
            for one in self._called(height, height)
        ]

    def unanswered(self) -> tuple[Called, ...]:
        """Return the summonses that may still be answered, and are not, oldest first."""
        tip = self._chain.tip()[0]
        first = max(0, tip - self._term)
        return tuple(one for one in self._called(first, tip) if not self._is_answered(one))

    @property
    def _term(self) -> int:
        return term(self._groups.own.state.genesis.parameters)

    def _called(self, first: int, last: int) -> Iterator[Called]:
        for mark in self._chain.marks(first, last):
            summons = read_summons(mark)
            if summons is None:
                continue
            for machine in self._groups:
                prefix = machine.state.prefix[: summons.bits]
                is_ours = len(prefix) == summons.bits and int(prefix[-1]) == summons.last_bit
                if is_ours and stands_open(prefix, summons, self.held):
                    yield Called(prefix, summons, mark.height, mark.height + self._term)
                    break

    def _is_answered(self, called: Called) -> bool:
        stopped = self.held.state_at(called.prefix, called.summons.height)
        marks = self._chain.marks(called.height, called.due)
        return stopped is not None and bool(signs_of_life(marks, stopped, self.held))
