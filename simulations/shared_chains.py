"""One state of each data chain for all nodes: a block is checked and applied once.

Answers for: nodes that stand at the same place of a data chain have the same frozen value there, and a block
that one of them found good is good for all that hold what it names and have buried what it stamps. What a
node lacks it is told as by the rules themselves. Spec: `spec/simulation.md`, `spec/data_chain.md`.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from protocol.chain.view import ChainView
from protocol.genesis import Genesis
from protocol.group import data_chain
from protocol.group.certificate import Certificate, check_certifies
from protocol.group.data_block import DataBlock, Payload
from protocol.group.data_chain import DataChain
from protocol.group.elsewhere import Around, Elsewhere, Standing
from protocol.group.quorum import Electorate
from protocol.group.state import GroupState
from protocol.units import Hash32
from simulations.patching import replaced

COMPARED_EVERY = 1 << 9
"""Of the blocks that were found good before, one in so many is checked, and applied, again."""

Place = tuple[str, int, bytes]
"""A data chain's prefix, height and head."""


class StatesDiffer(AssertionError):
    """Two nodes make different states of the same blocks."""


class Listener:
    """Hands on what is asked of the blocks of other groups, and notes which were named."""

    def __init__(self, elsewhere: Elsewhere) -> None:
        self._elsewhere = elsewhere
        self.named: list[bytes] = []
        self.places: list[tuple[str, int]] = []
        """Of which states were asked for."""

    def standing(self, block_hash: bytes) -> Standing | None:
        """Return the block with this hash, or None when it is not held."""
        found = self._elsewhere.standing(block_hash)
        if found is not None:
            self.named.append(block_hash)
        return found

    def registers(self, prefix: str, after: int, until: int | None = None) -> Sequence[Standing]:
        """Return REGISTER blocks of a prefix, in their order."""
        return self._elsewhere.registers(prefix, after, until)

    def state_at(self, prefix: str, height: int) -> GroupState | None:
        """Return a group's state at a height, or None when it is not held."""
        found = self._elsewhere.state_at(prefix, height)
        if found is not None:
            self.places.append((prefix, height))
        return found


@dataclass(frozen=True, slots=True)
class Found:
    """A block that some node found good on a chain that has what it stamps."""

    block: DataBlock
    payload: Payload
    named: tuple[bytes, ...]
    places: tuple[tuple[str, int], ...] = ()

    def holds(self, state: DataChain, chain: ChainView, elsewhere: Elsewhere) -> bool:
        """Whether another node would find the same: it has buried the stamp, and holds what is named."""
        stamp = self.block.stamp_height
        if stamp + state.genesis.parameters.burial > chain.tip()[0]:
            return False
        if chain.block_hash(stamp) != self.block.stamp_hash:
            return False
        if any(elsewhere.state_at(*place) is None for place in self.places):
            return False
        return all(elsewhere.standing(one) is not None for one in self.named)


class SharedChains:
    """What stands in the place of the rules' own functions."""

    def __init__(self) -> None:
        self._really_examine = DataChain._examine
        self._really_after = data_chain._after
        self._really_certifies = check_certifies
        self._really_from_genesis = DataChain.from_genesis
        self.states: dict[Place, DataChain] = {}
        """Every state from which somebody went on, or came to."""
        self._found: dict[tuple[Place, bytes], Found] = {}
        self._after: dict[tuple[Place, Hash32, bool], DataChain] = {}
        self._certified: dict[tuple[int, int], tuple[Certificate, Electorate]] = {}
        self._first: dict[int, tuple[Genesis, DataChain]] = {}
        self._served = 0

    def from_genesis(self, genesis: Genesis) -> DataChain:
        """Return the one state before the first block."""
        known = self._first.get(id(genesis))
        if known is None:
            known = self._first[id(genesis)] = genesis, self._really_from_genesis(genesis)
        return known[1]

    def check_certifies(
        self, certificate: Certificate, network: bytes, electorate: Electorate, **place: Any
    ) -> None:
        """Raise unless a certificate certifies its block; a certificate is looked at once."""
        key = id(certificate), id(electorate)
        if key in self._certified and certificate.block_hash == place["block_hash"]:
            return
        self._really_certifies(certificate, network, electorate, **place)
        self._certified[key] = certificate, electorate

    def examine(
        self,
        state: DataChain,
        body: bytes,
        chain: ChainView,
        elsewhere: Elsewhere,
        *,
        on_its_word: bool = False,
    ) -> tuple[DataBlock, Payload, bool]:
        """Return a block without a fault, from memory where another node has found it so."""
        key = place_of(state), body
        known = self._found.get(key)
        if known is not None and known.holds(state, chain, elsewhere):
            self._served += 1
            if self._served % COMPARED_EVERY:
                return known.block, known.payload, False
        state.forget_checks()  # they are of any node's chain, and not of this one's
        listener = Listener(elsewhere)
        block, payload, is_stranded = self._really_examine(
            state, body, chain, listener, on_its_word=on_its_word
        )
        if not is_stranded:
            named, places = dict.fromkeys(listener.named), dict.fromkeys(listener.places)
            self._found[key] = Found(block, payload, tuple(named), tuple(places))
        return block, payload, is_stranded

    def after(
        self, state: DataChain, block: DataBlock, payload: Payload, hashed: Hash32, around: Around
    ) -> DataChain:
        """Return the one state after a block."""
        key = place_of(state), hashed, around.is_stranded
        known = self._after.get(key)
        if known is None:
            known = self._after[key] = self._really_after(state, block, payload, hashed, around)
            self.states.setdefault(key[0], state)
            self.states[place_of(known)] = known
        elif self._served % COMPARED_EVERY == 0 and known != self._really_after(
            state, block, payload, hashed, around
        ):
            raise StatesDiffer(f"after block {block.height} of group {block.prefix!r}")
        return known


def place_of(state: GroupState) -> Place:
    """Return the place of a state: there is one value for it."""
    return state.prefix, state.height, state.head


@contextmanager
def shared_chains() -> Iterator[SharedChains]:
    """Within this context the nodes' data chains are the same values."""
    shared = SharedChains()

    def examine(state: DataChain, *arguments: Any, **named: Any) -> Any:
        return shared.examine(state, *arguments, **named)

    with ExitStack() as stack:
        stack.enter_context(replaced(DataChain, "_examine", examine))
        stack.enter_context(replaced(DataChain, "from_genesis", shared.from_genesis))
        stack.enter_context(replaced(data_chain, "_after", shared.after))
        stack.enter_context(replaced(data_chain, "check_certifies", shared.check_certifies))
        yield shared
