"""Two siblings that may lose sight of each other: voters who vote by what their own side holds, and liars.

All see one chain. A voter is on one side at a time, asleep, or a liar who signs whatever it is asked to; an
honest one never signs two blocks of one place.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache

from protocol.chain.script import push_data
from protocol.chain.transaction import Transaction, with_script_sig
from protocol.codec import replace
from protocol.crypto import SIGNATURE_SIZE
from protocol.errors import ProtocolError
from protocol.genesis import Genesis, network_id
from protocol.group.absorbmaker import build_drop, build_rejoin, build_summons, build_take, summons_payload
from protocol.group.blockmaker import build_evidence, build_link, build_merge, build_register, build_split
from protocol.group.certificate import Certificate
from protocol.group.data_block import CertifiedBlock, block_hash, decode_block, decode_payload
from protocol.group.data_chain import DataChain
from protocol.group.membership import genesis_membership
from protocol.group.name import matches, sibling
from protocol.group.standoff import objection
from protocol.group.summons import encode_life, term
from protocol.group.vote import EquivocationProof, Phase, Slot, equivocation_proof, vote_body
from protocol.parameters import DEVNET
from protocol.tracking.registration import registration_home
from protocol.units import Hash32
from tests.support.chain_view import MemoryChain
from tests.support.founding import founded_by
from tests.support.operators import Operator, operator, staked_chain
from tests.support.side import Side

FOUNDERS = 11
LEAST = 4
"""Voters in each group at least: one of four may lie."""
TWO = ("0", "1")
THREE = ("00", "01", "1")
"""The groups of a network in which 0 has split, if they do not know yet what stops 1."""
ATTEMPTS_MAX = 1_000
SIGNATURE = push_data(b"\x30" * 70 + b"\x01") + push_data(b"\x02" * 33)
"""Stands for a signature over all outputs: chains of tests check none."""
PARAMETERS = replace(DEVNET, group_size=2, silence=4)
TERM = term(PARAMETERS)


@cache
def founding(groups: tuple[str, ...]) -> tuple[Genesis, tuple[Operator, ...]]:
    """Return a genesis whose founders fall to all of these groups, enough to each."""
    count = FOUNDERS * len(groups) // len(TWO)
    for attempt in range(ATTEMPTS_MAX):
        founders = tuple(
            sorted(map(operator, range(attempt * count, (attempt + 1) * count)), key=lambda one: one.key)
        )
        genesis = founded_by(founders, parameters=PARAMETERS)
        names = [member.name for member in genesis_membership(genesis).members]
        if all(sum(matches(prefix, name) for name in names) >= LEAST for prefix in groups):
            return genesis, founders
    raise AssertionError("no founders whose names fall so evenly")


class Eyes:
    """What one voter holds, and remembers of its own votes; fulfils `Held`."""

    def __init__(self, side: Side, one: Operator, voted: set[tuple[Operator, str, int]]) -> None:
        self.groups, self.state_at = side.groups, side.state_at
        self.last, self.behind = side.last, side.behind
        self.standing, self.registers, self.block_hash = side.standing, side.registers, side.block_hash
        self._one, self._voted = one, voted

    def has_voted(self, electorate: str, height: int) -> bool:
        return (self._one, electorate, height) in self._voted


@dataclass
class World:
    """A network that has split, seen from two sides."""

    groups: tuple[str, ...] = TWO
    """Those into which it has split: two, or of these one again."""
    genesis: Genesis = field(init=False)
    founders: tuple[Operator, ...] = field(init=False)
    chain: MemoryChain = field(init=False)
    near: Side = field(init=False)
    far: Side = field(init=False)
    asleep: set[Operator] = field(default_factory=set)
    liars: set[Operator] = field(default_factory=set)
    where: dict[Operator, Side] = field(default_factory=dict)
    certified: dict[Hash32, CertifiedBlock] = field(default_factory=dict)
    voted: set[tuple[Operator, str, int]] = field(default_factory=set)
    """Where an honest voter has voted for a block, certified or not."""
    _signed: dict[tuple[Operator, str, int], Hash32] = field(default_factory=dict)
    _strangers: int = 20_000

    def __post_init__(self) -> None:
        self.genesis, self.founders = founding(self.groups)
        self.chain = staked_chain(self.founders, 10)
        self.near = self.far = Side(self.genesis, self.chain)
        self.where = {one: self.near for one in self.founders}
        shorter = {one[:end] for one in self.groups for end in range(len(one))}
        for prefix in sorted(shorter):
            assert self.split(prefix) and self.link(prefix + "0") and self.link(prefix + "1")

    def part(self) -> None:
        """Cut the siblings off from each other: 0, or its halves, are near, 1 is far."""
        self.far = self.near.copy()
        for one in self.voters("1"):
            self.where[one] = self.far

    def heal(self) -> None:
        """Let both sides hear of everything."""
        for side in (self.near, self.far):
            rest = side.take_all(self.certified.values())
            assert not rest, [decode_block(one.block) for one in rest]

    def voters(self, prefix: str, side: Side | None = None) -> list[Operator]:
        electorate = (side or self.near).live[prefix].electorate
        return [one for one in self.founders if one.key in electorate]

    # Data chains.

    def make(
        self, prefix: str, build: Callable[[DataChain, MemoryChain], bytes], side: Side | None = None
    ) -> bool:
        """Let the group's voters on a side vote for the block that would be proposed there, if any."""
        side = side or self.near
        state = side.live.get(prefix) or side.unions.get(prefix)
        if state is None:
            return False
        try:
            body = build(state, self.chain)
        except ProtocolError:
            return False
        return self.vote(state, body, side)

    def vote(self, state: DataChain, body: bytes, side: Side) -> bool:
        """Let voters vote for a block; whether it is certified, and so known on this side."""
        signers = [
            one
            for one in self.founders
            if one.key in state.electorate and self._votes(one, state, body, side)
        ]
        if not state.electorate.is_final([one.key for one in signers]):
            return False
        self._signed.update(
            ((one, state.electorate_name, state.height + 1), block_hash(body)) for one in signers
        )
        certified = CertifiedBlock(block=body, certificate=self._certificate(state, body, signers))
        self.certified[block_hash(body)] = certified
        side.take(certified)
        return True

    def register(self, prefix: str, side: Side | None = None) -> bool:
        """Let a group certify a block like any other."""
        return self.make(prefix, lambda state, chain: self._register(state, chain), side)

    def summon(self, prefix: str, side: Side | None = None) -> bool:
        beside = prefix[:-1] + ("1" if prefix[-1] == "0" else "0")
        stopped = (side or self.near).live.get(beside)
        if stopped is None:
            return False
        return self.make(prefix, lambda state, chain: build_summons(state, chain, stopped), side)

    def absorb(self, prefix: str, side: Side | None = None) -> bool:
        held = side or self.near
        return self.make(prefix, lambda state, chain: build_take(state, chain, held), side)

    def drop(self, prefix: str, side: Side | None = None) -> bool:
        return self.make(prefix, build_drop, side)

    def link(self, prefix: str, side: Side | None = None) -> bool:
        """Let a group make the link that is due; both with which a union begins."""
        return self.make(prefix, build_link, side) | self.make(prefix, build_link, side)

    def split(self, prefix: str, side: Side | None = None) -> bool:
        return self.make(prefix, build_split, side)

    def merge(self, prefix: str, side: Side | None = None) -> bool:
        """Let a group end because its sibling has, or one beside a group whose half it is."""
        held = side or self.near
        asking = (held.live.get(sibling(prefix[:bits])) for bits in range(len(prefix), 0, -1))
        beside = next((one for one in asking if one is not None and one.is_closed), None)
        merged = None if beside is None else held.standing((beside.ending or beside).head)
        return merged is not None and self.make(
            prefix, lambda state, chain: build_merge(state, chain, merged), side
        )

    def rejoin(self, prefix: str, side: Side | None = None) -> bool:
        """Let a half end because a group has stopped beside the one whose half it is."""
        held = side or self.near
        stopped = held.live.get(sibling(prefix[:-1])) if len(prefix) > 1 else None
        return stopped is not None and self.make(
            prefix, lambda state, chain: build_rejoin(state, chain, held, stopped), side
        )

    def contradiction(self, one: Operator) -> EquivocationProof:
        """Proof that a founder voted for two things in one slot."""
        slot = Slot(network_id(self.genesis), "group:", 1, 0, Phase.PREVOTE)
        votes = [one.signer.sign(vote_body(slot, bytes([number]) * 32, one.key)) for number in (1, 2)]
        proof = equivocation_proof(*votes)
        assert proof is not None
        return proof

    # The chain.

    def mine(self, count: int = 1) -> None:
        self.chain.mine_to(self.chain.tip()[0] + count)

    def mine_mark(self, payload: bytes, signer: Operator) -> int:
        """Mine a mark that a stake has signed; return the height."""
        return self.chain.mine(self.signed(payload, signer))

    def signed(self, payload: bytes, signer: Operator) -> Transaction:
        return with_script_sig(self.chain.spend(signer.stake_address, [], payload), 0, SIGNATURE)

    def mine_summons(self, prefix: str, side: Side | None = None) -> int:
        """Let a voter of a group put its open summons on the chain."""
        held = side or self.near
        opened = held.live[prefix].summons
        assert opened is not None
        return self.mine_mark(summons_payload(opened), self.voters(prefix, held)[0])

    def show_life(self, prefix: str, side: Side | None = None) -> int:
        """Let a voter of a group show its head on the chain."""
        held = side or self.near
        return self.mine_mark(encode_life(held.live[prefix].head), self.voters(prefix, held)[0])

    # Inside.

    def _votes(self, one: Operator, state: DataChain, body: bytes, side: Side) -> bool:
        if one in self.liars:
            return True
        if one in self.asleep or self.where[one] is not side:
            return False
        place = one, state.electorate_name, state.height + 1
        hashed = block_hash(body)
        if self._signed.get(place, hashed) != hashed:
            return False
        try:
            block = state.check_block(body, self.chain, side)
        except ProtocolError:
            return False
        if objection(block, decode_payload(block), self.chain, Eyes(side, one, self.voted)):
            return False
        self.voted.add((one, state.electorate_name, block.height))
        return True

    def _certificate(self, state: DataChain, body: bytes, signers: Sequence[Operator]) -> Certificate:
        height, digest = state.height + 1, block_hash(body)
        slot = Slot(network_id(self.genesis), state.electorate_name, height, 0, Phase.PRECOMMIT)
        signatures = sorted((one.key, self._signature(one, slot, digest)) for one in signers)
        return Certificate(
            electorate=state.electorate_name,
            height=height,
            round=0,
            block_hash=digest,
            signatures=tuple(signatures),
        )

    @staticmethod
    def _signature(one: Operator, slot: Slot, digest: Hash32) -> bytes:
        return one.signer.sign(vote_body(slot, digest, one.key))[:SIGNATURE_SIZE]

    def _register(self, state: DataChain, chain: MemoryChain) -> bytes:
        while True:
            self._strangers += 1
            stranger = operator(self._strangers)
            if matches(state.prefix, registration_home(stranger.stake_address)):
                envelope = stranger.envelope(network=network_id(self.genesis))
                return build_register(state, chain, [envelope], [])


def waiting() -> World:
    """Return a world whose group 0 was too small, has ended with MERGE, and waits for 1."""
    world = World()
    proofs = [world.contradiction(one) for one in world.voters("0")[1:]]
    assert world.make("0", lambda state, chain: build_evidence(state, chain, proofs))
    assert world.link("0")
    assert world.make("0", build_merge)
    return world


def summoned(world: World) -> int:
    """Let 0 summon 1, which has stopped, and put it on the chain; return the height."""
    world.mine(TERM)
    assert world.summon("0")
    return world.mine_summons("0")


def take_due(world: World, mined: int) -> None:
    """Let the chain grow until nothing but a sign of life keeps 0 from taking over."""
    world.mine(mined + TERM + world.genesis.parameters.burial - world.chain.tip()[0])


def heads(side: Side) -> Iterable[tuple[str, int, Hash32]]:
    """Return where a side's groups stand."""
    return sorted((prefix, state.height, state.head) for prefix, state in side.live.items())
