"""The chain and its index under any tree of blocks, in any order, against a replay from scratch."""

from dataclasses import dataclass, replace

import pytest
from hypothesis import HealthCheck, event, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from protocol.chain.block import Block, block_hash
from protocol.chain.script import script_address
from protocol.chain.transaction import OutPoint, Transaction, TxOutput
from protocol.errors import InvalidChainData
from protocol.units import Hash32, Height, Zatoshi
from tests.support import embedded_chain as made
from tests.support.chain_model import EVENTS_MAX, Replay, active_blocks, check_chain, check_index, check_node
from zenp2p.chain.embedded.chain import EmbeddedChain, UnknownParent
from zenp2p.chain.follower import Follower
from zenp2p.chain.index import ChainIndex
from zenp2p.chain.source import Connected, Disconnected
from zenp2p.store import MemoryStore

OWNERS = ("alice", "bob", "carol", "miner")
NAMES = {made.address_of(name): name for name in OWNERS}
RECENT = 6
"""Forks begin among so many of the last blocks made: deeper ones are as likely as shallow ones."""
BACK, COUNT = st.integers(0, RECENT - 1), st.integers(1, 3)
DRAWS = st.lists(st.tuples(st.integers(0, 99), st.integers(1, 99)), max_size=2)
AT_ONCE = st.sampled_from((True, True, True, False))
"""Whether a block is delivered when it is made; else it comes later, out of order."""


@dataclass(eq=False)
class Made:
    """A block of the tree: where it stands, and whether its whole branch keeps the rules."""

    block: Block
    height: int
    parent: "Made | None"
    valid: bool
    delivered: bool = False

    @property
    def branch(self) -> list[Block]:
        """The blocks from the first one to this one."""
        return [*(self.parent.branch if self.parent else []), self.block]


class Reorganisations(RuleBasedStateMachine):
    """Makes blocks on any block, good and bad, and delivers them in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.definition = made.definition()
        self.store = MemoryStore()
        self.tree = [Made(self.definition.genesis, 0, None, valid=True, delivered=True)]
        self.best = self.tree[0]
        self.followed: list[Hash32] = []
        self.salt = 0
        self.open()

    def open(self) -> None:
        """Open chain and index as a start of the node does."""
        self.chain = EmbeddedChain(self.definition, self.store)
        self.index = ChainIndex(self.store, self.definition.rules)
        self.follower = Follower(self.chain, self.index)

    @rule(back=BACK, count=COUNT, draws=DRAWS, at_once=AT_ONCE)
    def make(self, back: int, count: int, draws: list[tuple[int, int]], at_once: bool) -> None:
        """Make some good blocks on one of the last ones, with payments of coins of the branch."""
        parent = self._recent(back)
        for _ in range(count):
            payments, fees = self._payments(parent, draws) if parent.valid else ([], 0)
            parent = self._add(parent, payments, fees, valid=parent.valid, at_once=at_once)

    @rule(back=BACK, on_top=COUNT, kind=st.sampled_from(("greed", "theft", "nothing")), at_once=AT_ONCE)
    def make_bad(self, back: int, on_top: int, kind: str, at_once: bool) -> None:
        """Make a block that creates too much, has a wrong signature, or spends nothing; and some on it."""
        coin, script = made.allocation(self.definition)
        if kind == "nothing":
            coin = OutPoint(b"?" * 32, 7)
        stolen = made.pay("alice", [(coin, script)], [(made.address_of("bob"), 5)])
        if kind == "theft":
            stolen = replace(stolen, outputs=(TxOutput(6, stolen.outputs[0].script),))
        payments = [] if kind == "greed" else [stolen]
        parent = self._recent(back)
        parent = self._add(parent, payments, 1 if kind == "greed" else 0, valid=False, at_once=at_once)
        for _ in range(on_top):
            parent = self._add(parent, [], 0, valid=False, at_once=at_once)

    @precondition(lambda self: any(not each.delivered for each in self.tree))
    @rule(choice=st.integers(0, 1_000))
    def deliver(self, choice: int) -> None:
        """Give the node one of the blocks that it has not yet."""
        waiting = [each for each in self.tree if not each.delivered]
        self._deliver(waiting[choice % len(waiting)])

    @rule(steps=st.integers(1, 8))
    def follow(self, steps: int) -> None:
        """Let the index take some steps."""
        for step in self.follower.follow(steps):
            if isinstance(step, Connected):
                self.followed.append(step.block_hash)
            else:
                assert isinstance(step, Disconnected)
                assert self.followed.pop() == step.block_hash
            assert step.height == len(self.followed) - isinstance(step, Connected)

    @rule()
    def restart(self) -> None:
        """Start the node anew from its store."""
        self.open()

    @invariant()
    def invariant_most_work_is_active(self) -> None:
        """The active tip is the first seen of the highest valid blocks that were delivered."""
        assert self.chain.tip() == (self.best.height, block_hash(self.best.block.header))

    @invariant()
    def invariant_coins_are_those_of_the_active_blocks(self) -> None:
        """Disconnecting undoes exactly what connecting did."""
        check_chain(self.chain, self.store)

    @invariant()
    def invariant_index_is_that_of_its_blocks(self) -> None:
        """Wherever the index stands, it says what a replay of the blocks up to there says."""
        if self.followed:
            known = {block_hash(each.block.header): each.block for each in self.tree}
            check_index(self.index, [known[each] for each in self.followed])

    def teardown(self) -> None:
        """At the end the index catches up, and a node that saw the active blocks alone holds the same."""
        for _ in self.follower.follow(EVENTS_MAX):
            pass
        check_node(self.chain, self.index, self.store)
        assert self.index.tip() == self.chain.tip()

    def _payments(self, parent: Made, draws: list[tuple[int, int]]) -> tuple[list[Transaction], int]:
        """Spend coins of the branch, the later ones perhaps made by the earlier ones."""
        fees, found = 0, list[Transaction]()
        replay = Replay(parent.branch)
        height = parent.height + 1
        mature = {
            point: coin
            for point, coin in replay.coins.items()
            if script_address(coin.script) in NAMES
            and (not coin.coinbase or not coin.height or height - coin.height >= 3)
        }
        free = sorted(mature, key=lambda point: (point.txid, point.index))
        for choice, share in draws:
            if not free:
                break
            point = free.pop(choice % len(free))
            coin = mature[point]
            owner = NAMES[script_address(coin.script) or b""]
            paid = coin.amount * share // 100
            fee = min(coin.amount - paid, choice)
            outputs = [
                (made.address_of(OWNERS[choice % 4]), paid),
                (made.address_of(owner), coin.amount - paid - fee),
            ]
            tx = made.pay(owner, [(point, coin.script)], outputs)
            fees += fee
            found.append(tx)
            child = OutPoint(tx.txid, 0)
            mature[child] = type(coin)(Zatoshi(paid), tx.outputs[0].script, Height(height), False)
            free.append(child)
        return found, fees

    def _recent(self, back: int) -> Made:
        return self.tree[max(0, len(self.tree) - 1 - back)]

    def _add(
        self, parent: Made, payments: list[Transaction], fees: int, *, valid: bool, at_once: bool
    ) -> Made:
        self.salt += 1
        block = made.make_block(
            self.definition, parent.block, parent.height + 1, payments, fees=fees, salt=self.salt
        )
        found = Made(block, parent.height + 1, parent, valid)
        self.tree.append(found)
        if at_once and parent in self.tree:
            self._deliver(found)
        return found

    def _deliver(self, chosen: Made) -> None:
        assert chosen.parent is not None
        if not chosen.parent.delivered:
            with pytest.raises(UnknownParent):
                self.chain.add_block(chosen.block.raw, made.far_future())
            return
        before, tip = self.chain.tip(), self.best
        better = chosen.height > tip.height  # all blocks are of equal work
        try:
            self.chain.add_block(chosen.block.raw, made.far_future())
        except InvalidChainData:
            assert not chosen.valid
            assert self.chain.tip() == before
            event("invalid block refused" if chosen.parent is tip else "invalid branch given up")
        else:
            assert chosen.valid or not better
            if better and chosen.parent is not tip:
                event("reorganised")
        chosen.delivered = self.chain.record(block_hash(chosen.block.header)) is not None
        if not chosen.delivered:
            self.tree = [each for each in self.tree if chosen not in _line(each)]
        elif better and chosen.valid:
            self.best = chosen


def _line(block: Made | None) -> list[Made]:
    """Return the block and all before it."""
    found = []
    while block is not None:
        found.append(block)
        block = block.parent
    return found


TestReorganisations = Reorganisations.TestCase
TestReorganisations.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


def test_the_model_itself_is_not_blind() -> None:
    """The replay sees a coin too many, a wrong balance, and a missing block."""
    definition = made.definition()
    store = MemoryStore()
    chain = EmbeddedChain(definition, store)
    branch = made.Branch(definition)
    branch.grow(3)
    made.feed(chain, branch.blocks)
    index = ChainIndex(store, definition.rules)
    for _ in Follower(chain, index).follow(EVENTS_MAX):
        pass
    check_node(chain, index, store)
    with pytest.raises(AssertionError):
        check_index(index, branch.blocks[:3])
    key, value = next(iter(store.iterate(b"co")))
    store.write([(key, None)], sync=False)
    with pytest.raises(AssertionError):
        check_chain(chain, store)
    store.write([(key, value), (b"co" + b"x" * 36, value)], sync=False)
    with pytest.raises(AssertionError):
        check_chain(chain, store)
    assert len(active_blocks(chain)) == 4
