"""What a dishonest member says: its node machine runs, but what leaves it is bent.

Answers for: everything that somebody with one valid key can do to the others' agreement. A *loud* one makes
two statements in one slot, told to different halves, and votes out of nowhere, until it is expelled. A
*sly* one makes only one, so that nothing convicts it, but a wrong one or only to some. Both forget locks,
lie in observations and receipts, fall silent and send garbage. Neither has another key.
Spec: `spec/simulation.md`.
"""

import random
from collections.abc import Sequence

from protocol.codec import encode, replace
from protocol.crypto import Signer, sha3_256
from protocol.errors import MalformedMessage
from protocol.group.data_block import decode_block
from protocol.group.vote import NIL, Phase, Proposal, Slot, Vote
from protocol.node.messages import Receipts, pack_plain, pack_signed
from protocol.tracking.observation import Observation, Sighting
from protocol.tracking.response import Receipt
from protocol.units import OperatorKey
from simulations.founding import Party
from simulations.host import Host
from simulations.network import Network
from simulations.reading import read_receipts, read_signed
from simulations.trace import FaultCounts

TWICE_PROBABILITY = 0.5
"""Of a vote, proposal or observation: tell the others something else (loud), or all of them (sly)."""
SLY_PROBABILITY = 0.5
"""Of a dishonest member, for the whole run."""
STRAY_PROBABILITY = 0.1
"""Of a vote: cast another one in some other round."""
SILENCE_PROBABILITY = 0.1
GARBAGE_PROBABILITY = 0.02
ROUNDS_AHEAD_MAX = 5
GARBAGE_SIZE_MAX = 400


Bendable = Vote | Proposal | Observation


class ClosedMouth:
    """Belongs to a member that does nothing: its machine runs, and nothing leaves it."""

    def publish(self, topic: str, data: bytes) -> None:
        """Say nothing."""

    def send(self, key: OperatorKey, data: bytes) -> None:
        """Say nothing."""


class ForkedMouth:
    """Stands between a dishonest node machine and the network."""

    def __init__(
        self,
        host: Host,
        every: int,
        friends: Sequence[Party],
        rng: random.Random,
        counts: FaultCounts,
        *,
        sly: bool | None = None,
    ) -> None:
        """Vouch for `friends` in challenges `every` blocks apart; sly or loud, or as chance has it."""
        self._host = host
        self._every = every
        self._friends = {friend.key: friend for friend in friends}
        self._rng = rng
        self._counts = counts
        self._signer: Signer = host.party.signer
        self._hashes: list[bytes] = [NIL]
        self._sly = rng.random() < SLY_PROBABILITY if sly is None else sly
        self._versions: dict[Slot | tuple[int, bytes], bytes] = {}
        """What a sly one says in a slot or challenge, for good."""

    @property
    def _network(self) -> Network:
        return self._host.network

    def publish(self, topic: str, data: bytes) -> None:
        """Gossip something, to some."""
        if self._rng.random() < GARBAGE_PROBABILITY:
            self._network.publish(self._host.number, topic, self._garbage(data))
        if self._rng.random() < SILENCE_PROBABILITY:
            return
        said, shown = read_signed(data), read_receipts(data)
        if shown is not None and self._rng.random() < TWICE_PROBABILITY:
            self._network.publish(self._host.number, topic, self._spoil(shown))
        elif not isinstance(said, Vote | Proposal | Observation) or said.signer != self._host.key:
            self._network.publish(self._host.number, topic, data)
        elif self._sly:
            self._say_one_thing(said, topic, data)
        else:
            self._say_two_things(said, topic, data)

    def _say_two_things(self, said: Bendable, topic: str, data: bytes) -> None:
        """Tell some one thing and some another."""
        forged = data
        if self._rng.random() < TWICE_PROBABILITY:
            forged = self._forge(said)
        for number in self._others(topic):
            told = data if self._rng.random() < 0.5 else forged
            self._network.transmit(self._host.number, number, topic, told)
        if isinstance(said, Vote) and self._rng.random() < STRAY_PROBABILITY:
            self._stray(said, topic)

    def _say_one_thing(self, said: Bendable, topic: str, data: bytes) -> None:
        """Tell everybody, or only some, the same thing, right or wrong."""
        place = (said.seq, said.anchor_hash) if isinstance(said, Observation) else said.slot
        if place not in self._versions:
            bends = self._rng.random() < TWICE_PROBABILITY
            self._versions[place] = self._forge(said) if bends else data
        some = self._rng.random() < TWICE_PROBABILITY
        for number in self._others(topic):
            if not some or self._rng.random() < 0.5:
                self._network.transmit(self._host.number, number, topic, self._versions[place])

    def _others(self, topic: str) -> list[int]:
        """Return the numbers of all others who hear a topic."""
        return [number for number in self._network.listeners(topic) if number != self._host.number]

    def _forge(self, said: Bendable) -> bytes:
        """Return another statement for the same slot, signed."""
        if not isinstance(said, Observation):
            self._counts.byzantine_votes += 1
        return pack_signed(self._signer.sign(encode(self._other(said))))

    def send(self, key: OperatorKey, data: bytes) -> None:
        """Hand something to one peer."""
        if self._rng.random() < GARBAGE_PROBABILITY:
            self._network.send(self._host.number, key, self._garbage(data))
        if self._rng.random() < SILENCE_PROBABILITY:
            return
        said = read_signed(data)
        if isinstance(said, Receipt) and self._rng.random() < TWICE_PROBABILITY:
            early = replace(said, height=said.seq * self._every)
            data = pack_signed(self._signer.sign(encode(early)))
        self._network.send(self._host.number, key, data)

    def _other(self, said: Bendable) -> Bendable:
        match said:
            case Vote():
                return self._other_vote(said)
            case Proposal():
                return self._other_proposal(said)
            case Observation():
                return self._other_observation(said)

    def _other_vote(self, vote: Vote) -> Vote:
        self._learn(vote.block_hash)
        others = [known for known in self._hashes if known != vote.block_hash]
        return replace(vote, block_hash=self._rng.choice(others) if others else sha3_256(b"nothing"))

    def _other_proposal(self, proposal: Proposal) -> Proposal:
        """Return a proposal without its lock, of a block that may be as valid as the other."""
        value = self._older_block(proposal.value)
        self._learn(sha3_256(proposal.value))
        self._learn(sha3_256(value))
        return replace(proposal, valid_round=0, proof=(), value=value)

    def _older_block(self, value: bytes) -> bytes:
        """Return the same block under an earlier stamp; anything else with its last byte changed."""
        try:
            block = decode_block(value)
        except MalformedMessage:
            return value[:-1] + bytes([value[-1] ^ 1]) if value else b"\0"
        stamp = max(0, block.stamp_height - 1)
        stamp_hash = self._host.view.block_hash(stamp)
        return encode(replace(block, stamp_height=stamp, stamp_hash=stamp_hash or block.stamp_hash))

    def _other_observation(self, observation: Observation) -> Observation:
        """Deny everybody but friends."""
        seen = {sighting.operator_key: sighting for sighting in observation.sightings}
        anchor = observation.seq * self._every
        made_up = [
            Sighting(
                operator_key=key,
                response_hash=seen[key].response_hash,
                received_height=anchor,
                reached=True,
                ip=self._friends[key].ip,
                fast=True,
                tls_valid=False,
            )
            for key in sorted(self._friends)
            if key in seen and seen[key].response_hash
        ]
        return replace(observation, sightings=tuple(made_up))

    def _stray(self, vote: Vote, topic: str) -> None:
        """Vote in another round, for whatever."""
        self._counts.byzantine_votes += 1
        round_ = vote.round + self._rng.randint(1, ROUNDS_AHEAD_MAX)
        phase = self._rng.choice((Phase.PREVOTE, Phase.PRECOMMIT))
        stray = replace(vote, round=round_, phase=phase, block_hash=self._rng.choice(self._hashes))
        data = pack_signed(self._signer.sign(encode(stray)))
        self._network.publish(self._host.number, topic, data)

    def _spoil(self, shown: Receipts) -> bytes:
        """Show before each receipt the same one with a bit turned."""
        spoilt = (envelope[:-1] + bytes([envelope[-1] ^ 1]) for envelope in shown.envelopes)
        pairs = tuple(each for pair in zip(spoilt, shown.envelopes, strict=True) for each in pair)
        return pack_plain(replace(shown, envelopes=pairs))

    def _learn(self, block_hash: bytes) -> None:
        if block_hash not in self._hashes:
            self._hashes.append(block_hash)
            del self._hashes[1:-4]

    def _garbage(self, data: bytes) -> bytes:
        """Return bytes of no use: noise, a message cut short, or one with a bit turned."""
        kind = self._rng.randrange(3)
        if kind == 0:
            return self._rng.randbytes(self._rng.randint(0, GARBAGE_SIZE_MAX))
        if kind == 1:
            return data[: self._rng.randrange(len(data))]
        place = self._rng.randrange(len(data))
        return data[:place] + bytes([data[place] ^ 1 << self._rng.randrange(8)]) + data[place + 1 :]
