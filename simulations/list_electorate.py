"""The voters of a network's next payout list, and what they vote on.

Answers for: real keys, the list as the rules of `protocol.payout` make it, in versions that differ by how
far their proposers had read, and less than a third that is dishonest. Spec: `spec/simulation.md`.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from dataclasses import replace as replace_fields

from protocol.codec import encode
from protocol.crypto import Signer
from protocol.errors import ProtocolError
from protocol.genesis import Genesis, encode_genesis
from protocol.group.certificate import Certificate
from protocol.group.membership import genesis_membership
from protocol.group.proposer import proposer_order
from protocol.group.quorum import Electorate
from protocol.group.vote import LIST_ELECTORATE
from protocol.payout.light import trust_from_genesis, verify_list
from protocol.payout.list_certificate import compact_certificate
from protocol.payout.list_file import encode_list_file
from protocol.payout.payout_list import PayoutList, check_list, first_state, propose_list
from protocol.units import OperatorKey
from simulations.chain import View
from simulations.list_options import Dishonesty, ListOptions
from simulations.list_source import PERIOD, Judgements, founded, grown, signer_of

VERSIONS = 3
"""Of the list: each is right, and no two voters need propose the same."""


@dataclass(frozen=True, slots=True)
class Election:
    """Who votes on what. Voters are known by their numbers, from 0 on."""

    genesis: Genesis
    chain: View
    source: Judgements
    network: bytes
    signers: tuple[Signer, ...]
    electorate: Electorate
    order: tuple[int, ...]
    """Who proposes, round after round."""
    dishonest: frozenset[int]
    machines: tuple[int, ...]
    lists: dict[bytes, PayoutList]
    """The right lists, by the bytes that are voted on."""
    _judged: dict[bytes, bool] = field(default_factory=dict)

    @property
    def values(self) -> tuple[bytes, ...]:
        """What is voted on: the headers of the right lists."""
        return tuple(self.lists)

    @property
    def followers(self) -> dict[int, tuple[int, ...]]:
        """By machine who says what it says: all honest voters that are no machines."""
        others = [
            number
            for number in range(len(self.signers))
            if number not in self.dishonest and number not in self.machines
        ]
        return {machine: tuple(others[at :: len(self.machines)]) for at, machine in enumerate(self.machines)}

    def is_valid(self, value: bytes) -> bool:
        """Whether the blocks and the chain, which everybody holds, give this very list; computed once."""
        known = self._judged.get(value)
        if known is None:
            known = self._judged[value] = self._recompute(value)
        return known

    def _recompute(self, value: bytes) -> bool:
        try:
            check_list(value, self.genesis, first_state(self.genesis), self.source, self.chain)
        except ProtocolError:
            return False
        return True

    def file(self, value: bytes, certificate: Certificate) -> bytes:
        """Return the list file of a certified list."""
        ours = self.lists[value]
        compact = compact_certificate(certificate, self.electorate)
        return encode_list_file(ours.header, ours.entries, ours.members, compact)

    def check_file(self, value: bytes, certificate: Certificate) -> None:
        """Let a wallet verify a list from its file and the genesis file; raises `ProtocolError`."""
        verify_list(self.file(value, certificate), trust_from_genesis(encode_genesis(self.genesis)))

    def key(self, number: int) -> OperatorKey:
        """Return a voter's key."""
        return self.signers[number].operator_key


def hold_election(seed: int, options: ListOptions, rng: random.Random) -> Election:
    """Return the voters of a run; the first honest proposers are among the machines."""
    chain = grown()
    start = chain.block_hash(0)
    assert start is not None
    signers = tuple(signer_of(number) for number in range(options.voters))
    genesis = founded(seed, signers, start)
    state = first_state(genesis)
    groups = max(1, options.voters // options.voters_a_group)
    source = Judgements.of(genesis, chain, 1 << (groups - 1).bit_length(), VERSIONS - 1)
    electorate = genesis_membership(genesis).voters()
    numbers: dict[bytes, int] = {one.operator_key: number for number, one in enumerate(signers)}
    order = tuple(numbers[key] for key in proposer_order(state.network, LIST_ELECTORATE, electorate, PERIOD))
    dishonest = _dishonest(options, rng)
    read = [replace_fields(source, read=version) for version in range(VERSIONS)]
    lists = [propose_list(genesis, state, one, chain) for one in read]
    return Election(
        genesis=genesis,
        chain=chain,
        source=source,
        network=state.network,
        signers=signers,
        electorate=electorate,
        order=order,
        dishonest=dishonest,
        machines=_machines(options, order, dishonest, rng),
        lists={encode(one.header): one for one in lists},
    )


def _dishonest(options: ListOptions, rng: random.Random) -> frozenset[int]:
    """Draw as many as may be dishonest; all founders are of one age."""
    if options.dishonesty is Dishonesty.NONE:
        return frozenset()
    count = min(options.voters * options.dishonest_percent // 100, (options.voters - 1) // 3)
    return frozenset(rng.sample(range(options.voters), count))


def _machines(
    options: ListOptions, order: Sequence[int], dishonest: frozenset[int], rng: random.Random
) -> tuple[int, ...]:
    """Return who is a machine: half of them the first honest ones to propose, the others drawn."""
    honest = [number for number in order if number not in dishonest]
    first = honest[: (options.machines + 1) // 2]
    rest = honest[len(first) :]
    return (*first, *rng.sample(rest, min(options.machines - len(first), len(rest))))
