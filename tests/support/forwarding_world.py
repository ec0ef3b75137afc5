"""Two groups in which a member has not forwarded its blocks, and what the others can say of it."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from dataclasses import replace as dataclass_replace
from itertools import count

from protocol.codec import replace
from protocol.group.data_block import Removal
from protocol.group.data_chain import DataChain
from protocol.group.elsewhere import Standing
from protocol.group.kinds.forwards import forwarder
from protocol.group.kinds.links import with_members
from protocol.group.movemaker import build_remove
from protocol.group.resend import Resend, build_resend
from protocol.group.state import without
from protocol.group.vote import Phase, Slot, vote_body
from tests.support.groups_world import Groups
from tests.support.operators import Operator

BLOCKS_MAX = 64


@dataclass
class Forwards(Groups):
    """Groups 0 and 1. `lazy` was to forward the `missed` blocks of group 0, the last two of those in it."""

    depth: int = 1
    lazy: Operator = field(init=False)
    missed: tuple[Standing, Standing] = field(init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.split()
        self._registrations = iter(self.strangers("0", BLOCKS_MAX))
        self.register("1", self.strangers("1", 1)[0].envelope(network=self.network))
        turns: dict[bytes, Standing] = {}
        for _ in count():
            standing = self.block()
            key = forwarder(standing)
            assert key is not None
            if key in turns:
                self.lazy = next(one for one in self.founders if one.key == key)
                self.missed = turns[key], standing
                return
            turns[key] = standing

    def block(self) -> Standing:
        """Let group 0 certify one block more."""
        self.register("0", next(self._registrations).envelope(network=self.network))
        return self.standings[self.state.head]

    def nearest_to(self, one: Operator) -> Standing:
        """Let group 0 go on until a block is one member's to forward."""
        while forwarder(standing := self.block()) != one.key:
            pass
        return standing

    def come_back(self, one: Operator) -> None:
        """Let a removed member be a voter again, as it is when it has returned; with the link."""
        state, member = self.at("0"), self.past["0", self.missed[1].block.height].membership.get(one.key)
        assert member is not None
        back = replace(member, joined=state.link + 1)
        state = dataclass_replace(state, left=without(state.left, one.key))
        after = with_members(state, state.membership.put(back))
        assert isinstance(after, DataChain)
        self.states["0"] = after
        self.link("0")

    def resend(self, sender: Operator, missed: Standing) -> Resend:
        return Resend(
            network=self.network,
            prefix="0",
            height=missed.block.height,
            block_hash=missed.block_hash,
            member=forwarder(missed) or b"",
            sender_prefix="1",
            sender=sender.key,
            group_block=self.states["1"].head,
        )

    def report(self, sender: Operator, missed: Standing) -> bytes:
        return build_resend(sender.signer, self.resend(sender, missed))

    def reports(
        self, senders: Iterable[Operator] | None = None, missed: Iterable[Standing] | None = None
    ) -> list[bytes]:
        """What these (or all of group 1) say about the missed blocks."""
        chosen = self.voters("1") if senders is None else list(senders)
        blocks = self.missed if missed is None else missed
        return [self.report(one, block) for block in blocks for one in chosen]

    def vote(self, one: Operator, height: int, prefix: str = "0") -> bytes:
        """A vote of a member, for nothing."""
        slot = Slot(self.network, f"group:{prefix}", height, 0, Phase.PREVOTE)
        return one.signer.sign(vote_body(slot, b"", one.key))

    @property
    def presence(self) -> bytes:
        """A vote that shows that the lazy member was there for the second block."""
        return self.vote(self.lazy, self.missed[1].block.height)

    def removal(self, proofs: Iterable[bytes], one: Operator | None = None) -> bytes:
        """The block with which group 0 removes the lazy member, or another one; raises where it may not."""
        key = (one or self.lazy).key
        return build_remove(self.at("0"), self.chain, self, key, Removal.FORWARDING, proofs)
