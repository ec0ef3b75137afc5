"""One state for all nodes: and yet each node is told what it lacks."""

from dataclasses import dataclass, field

import pytest

from protocol.errors import NotYetKnown, Stranded
from protocol.group import data_chain
from protocol.group.blockmaker import build_register
from protocol.group.data_block import DataBlock, Payload, block_hash, decode_payload
from protocol.group.data_chain import NOWHERE, DataChain
from protocol.group.elsewhere import Around, Standing
from protocol.units import Hash32
from simulations.chain import SimulatedBlock, View, extend
from simulations.founding import found
from simulations.shared_chains import Found, Listener, StatesDiffer, shared_chains

FOUNDING = found(0, 4)


@dataclass
class Place:
    """A state, and a block that may follow it on a chain of height 3."""

    state: DataChain
    blocks: list[SimulatedBlock] = field(default_factory=list)
    body: bytes = b""

    def __post_init__(self) -> None:
        self.blocks = [FOUNDING.first_block]
        for _ in range(3):
            self.blocks.append(extend(self.blocks[-1], ()))
        entry = FOUNDING.late.registration(FOUNDING.network)
        self.body = build_register(self.state, self.view(3), [entry], [])

    def view(self, height: int) -> View:
        return View(self.blocks[height])


def place() -> Place:
    return Place(DataChain.from_genesis(FOUNDING.genesis))


def test_a_block_is_checked_once_and_yet_by_each_chain() -> None:
    with shared_chains():
        here = place()
        block = here.state.check_block(here.body, here.view(3))
        assert here.state.check_block(here.body, here.view(3)) is block
        with pytest.raises(NotYetKnown, match="buried"):
            here.state.check_block(here.body, here.view(2))
        other = extend(here.blocks[0], (), salt=b"other")
        for _ in range(2):
            other = extend(other, ())
        with pytest.raises(Stranded):
            here.state.check_block(here.body, View(other))
        assert here.state.check_block(here.body, here.view(3)) is block


def test_all_nodes_have_the_same_states() -> None:
    with shared_chains():
        here, there = place(), place()
        assert here.state is there.state
        block = here.state.check_block(here.body, here.view(3))
        arguments = (block, decode_payload(block), block_hash(here.body), Around(here.view(3), NOWHERE))
        after = data_chain._after(here.state, *arguments)
        assert after.height == 1 and data_chain._after(there.state, *arguments) is after
    assert place().state is not place().state


def test_states_that_differ_are_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    with shared_chains() as shared:
        here = place()
        block = here.state.check_block(here.body, here.view(3))
        arguments = (block, decode_payload(block), block_hash(here.body), Around(here.view(3), NOWHERE))
        data_chain._after(here.state, *arguments)
        monkeypatch.setattr(shared, "_really_after", lambda *_: here.state)
        with pytest.raises(StatesDiffer):
            data_chain._after(here.state, *arguments)


class Held:
    """Holds some blocks of other groups, whatever they are."""

    def __init__(self, *hashes: bytes) -> None:
        self.hashes = hashes

    def standing(self, block_hash: bytes) -> Standing | None:
        block, payload = BLOCK
        return (
            Standing(Hash32(block_hash), block, payload, place().state.membership)
            if block_hash in self.hashes
            else None
        )

    def registers(self, prefix: str, after: int, until: int | None = None) -> tuple[Standing, ...]:
        return ()

    def state_at(self, prefix: str, height: int) -> DataChain | None:
        here = place().state
        return here if (here.prefix, here.height) == (prefix, height) else None


def _block() -> tuple[DataBlock, Payload]:
    here = place()
    block = here.state.check_block(here.body, here.view(3))
    return block, decode_payload(block)


BLOCK = _block()


def test_what_a_block_names_is_noted_and_must_be_held() -> None:
    one, other = b"\x01" * 32, b"\x02" * 32
    listener = Listener(Held(one))
    assert listener.standing(one) is not None and listener.standing(other) is None
    assert listener.named == [one] and listener.registers("0", 1) == ()
    here = place()
    good = Found(*BLOCK, named=(one,))
    assert good.holds(here.state, here.view(3), Held(one, other))
    assert not good.holds(here.state, here.view(3), Held(other))
    assert not good.holds(here.state, here.view(2), Held(one))
