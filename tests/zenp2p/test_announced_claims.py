"""Claims are gathered in bounded pieces: what is new at once, everything in turn, what is gone no more."""

import pytest

from protocol.parameters import DEVNET
from tests.support import embedded_chain as made
from tests.support.announcing import announce, purses
from zenp2p import announced_claims
from zenp2p.announced_claims import RememberedClaims
from zenp2p.chain.index import ChainIndex
from zenp2p.store import MemoryStore

OWNERS = ("bob", "carol", "dave", "eve")


class Scene:
    """A chain with four stakes, followed."""

    def __init__(self) -> None:
        self.branch, self.purses = purses(*OWNERS)
        self.index = ChainIndex(MemoryStore(), made.RULES)
        self.index.connect(self.branch.tip, self.branch.blocks[0].raw)
        self.claims = RememberedClaims(self.index, DEVNET)

    def say(self, *owners: str, port: int = 1) -> None:
        """Mine an announcement of each owner, in one block."""
        saying = [self.purses[owner].announce(announce(1, port=port)) for owner in owners]
        self.branch.grow(1, saying)
        self.claims.moved(self.index.connect(self.branch.tip, self.branch.blocks[-1].raw))

    def unsay(self) -> None:
        """Take the last block back."""
        self.branch = self.branch.fork(len(self.branch.blocks) - 2)
        self.claims.moved(self.index.disconnect())

    def ports(self, claims: RememberedClaims | None = None) -> list[int]:
        """Refresh; return the ports that are remembered."""
        claims = claims or self.claims
        claims.refresh()
        return sorted(claim.sighting.announcement.port for claim in claims.all())


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_what_is_new_comes_before_its_turn(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(announced_claims, "STAKES_AT_ONCE", 1)
    for port, owner in enumerate(OWNERS, 1):
        scene.say(owner, port=port)
        assert scene.ports() == list(range(1, port + 1))


def test_what_is_new_on_another_branch_too(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.say("bob", port=1)
    scene.say("carol", port=2)
    assert scene.ports() == [1, 2]
    monkeypatch.setattr(RememberedClaims, "_take_turn", lambda _: set())  # only what is new
    scene.unsay()
    scene.unsay()
    scene.say("dave", port=3)
    assert 3 in scene.ports()


def test_a_crowded_block_comes_in_pieces(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(announced_claims, "NEW_AT_ONCE", 1)
    monkeypatch.setattr(RememberedClaims, "_take_turn", lambda _: set())
    scene.say(*OWNERS)
    assert [len(scene.ports()) for _ in range(5)] == [1, 2, 3, 4, 4]


def test_old_ones_come_in_turn_and_stale_ones_go(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(announced_claims, "STAKES_AT_ONCE", 2)
    scene.say("bob", "carol")
    scene.say("dave", "eve")
    later = RememberedClaims(scene.index, DEVNET)
    assert [len(scene.ports(later)) for _ in range(2)] == [2, 4]
    scene.unsay()
    for _ in range(3):
        scene.ports(later)
    assert len(later.all()) == 2


def test_who_signs_pushes_out_who_is_paid(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(announced_claims, "CLAIMS_MAX", 2)
    paid = [scene.purses["bob"].announce(announce(2), name) for name in ("carol", "dave")]
    stake = made.pay("bob", [made.allocation(scene.branch.chain, 2)], [(made.address_of("nobody"), 1)])
    scene.branch.grow(1, [stake, *paid])
    scene.claims.moved(scene.index.connect(scene.branch.tip, scene.branch.blocks[-1].raw))
    scene.ports()
    assert [claim.signed for claim in scene.claims.all()] == [False, False]
    scene.say("eve")
    scene.ports()
    assert sorted(claim.signed for claim in scene.claims.all()) == [False, True]
    scene.say("carol")
    scene.say("dave")
    scene.ports()
    assert [claim.signed for claim in scene.claims.all()] == [True, True]  # and no room for a third
