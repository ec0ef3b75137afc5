"""The live groups at one node, as others ask for them: which is ours, who is a member, what is registered.

Answers for: one machine for each live group, and the questions that are about all of them or about our own;
for judges and operators it is the `GroupView`. What happens to the groups is `groups`' business, one
group's chain `group`'s. Spec: `spec/node.md`, `spec/membership.md`.
"""

from collections.abc import Iterator, Mapping

from protocol.chain.view import ChainView
from protocol.group.data_block import RegisterPayload
from protocol.group.kinds.registers import read_entries
from protocol.group.name import NAME_BITS, bits, home_draw
from protocol.group.quorum import Electorate
from protocol.node.archive import Archive
from protocol.node.group import GroupMachine
from protocol.node.proposals import untaken
from protocol.node.records import Records
from protocol.tracking.registration import Registration
from protocol.tracking.registration_book import RegistrationBook
from protocol.units import Hash32, OperatorKey


class LiveGroups:
    """The machines of the live groups, by prefix."""

    def __init__(self, me: OperatorKey, records: Records, chain: ChainView, verdicts_kept: int) -> None:
        """Hold nothing yet; of each operator the verdicts of so many challenges are kept at hand."""
        self.archive = Archive(records, chain, verdicts_kept)
        self._me = me
        self._live: dict[str, GroupMachine] = {}
        """Sorted."""
        self._unions: dict[str, GroupMachine] = {}
        """Of unions that are not there before each half has certified their first blocks."""
        self._own: GroupMachine | None = None
        self._book: RegistrationBook | None = None
        self._book_of: tuple[RegistrationBook | None, int] = (None, 0)
        """Of which book of our group's, and of how many REGISTER blocks of all groups, that was made."""
        self._book_with: dict[Hash32, None] = {}
        """Which of them it holds besides."""

    def __iter__(self) -> Iterator[GroupMachine]:
        return iter(tuple(self._live.values()))

    def __len__(self) -> int:
        return len(self._live)

    def __getitem__(self, prefix: str) -> GroupMachine:
        return self._live[prefix]

    def get(self, prefix: str) -> GroupMachine | None:
        """Return the machine of a live group, or None."""
        return self._live.get(prefix)

    def covering(self, name: bytes) -> GroupMachine:
        """Return the machine of the live group to which a 32-byte name falls."""
        text = bits(name, NAME_BITS)
        return next(self._live[text[:end]] for end in range(NAME_BITS) if text[:end] in self._live)

    @property
    def own(self) -> GroupMachine:
        """The machine of the group that holds our seat; of our home while we never had another."""
        if self._own is None:
            self._own = self._find_seat()
        return self._own

    def _find_seat(self) -> GroupMachine:
        me = self._me
        for machine in self:
            if me in machine.state.membership:
                return machine
        for machine in self:
            if me in machine.state.left:
                return machine
        senders = [machine for machine in self if me in machine.state.away]
        if senders:
            return max(senders, key=lambda machine: self.archive.order(machine.state.away[me].ticket))
        return self.covering(home_draw(me))

    @property
    def members_count(self) -> int:
        """How many members all groups have."""
        return sum(len(machine.state.membership) for machine in self._live.values())

    def is_member(self, key: bytes) -> bool:
        """Whether somebody is a member of any group."""
        return any(key in machine.state.membership for machine in self._live.values())

    def topics(self) -> tuple[str, ...]:
        """Return the topics of the group in which we are a member, and of what it is about to become."""
        ours = (self.own.topic,) if self._me in self.own.state.membership else ()
        return (*ours, *(one.topic for one in self._unions.values() if one.votes))

    def stamps_from(self, height: int) -> bool:
        """Whether our group's last block stamps a block of our chain at or above this chain height."""
        return self.own.stamps_from(height)

    @property
    def book(self) -> RegistrationBook:
        """What all REGISTER blocks say that are here, of every group, taken up by our own or not."""
        state = self.own.state
        if self._book is None or self._book_of[0] is not state.book:
            self._book, self._book_with = state.book, {}
        if self._book_of != (state.book, self.archive.registers_count):
            self._book_of = state.book, self.archive.registers_count
            for hashed in untaken(state, self.archive):
                standing = self.archive.standing(hashed) if hashed not in self._book_with else None
                if standing is not None and isinstance(standing.payload, RegisterPayload):
                    entries = read_entries(standing.payload)
                    self._book = self._book.apply_all(entries, standing.block.stamp_height)
                    self._book_with[hashed] = None
        return self._book

    # What judges and operators ask.

    @property
    def our_prefix(self) -> str:
        """The prefix of our group."""
        return self.own.state.prefix

    @property
    def electorate(self) -> Electorate:
        """The voters of our group, that certify its next block."""
        return self.own.state.electorate

    def judges(self, draw: bytes) -> Electorate:
        """Return the voters of the group to which a draw falls."""
        return self.covering(draw).state.electorate

    def topic_of(self, draw: bytes) -> str:
        """Return the topic of that group."""
        return self.covering(draw).topic

    def registrations(self, anchor_height: int) -> Mapping[OperatorKey, Registration]:
        """Return the registrations of everybody who is judged at an anchor, by whatever group."""
        return self.book.judged(anchor_height)

    def is_judged(self, seq: int) -> bool:
        """Whether our group has judged a challenge, for all operators that fall to it."""
        return self.own.is_judged(seq)

    def judged_anchor(self, seq: int) -> Hash32 | None:
        """Return the hash of the anchor with which our group judged a challenge, or None before that."""
        return self.own.judged_anchor(seq)
