"""Half of the voters frozen, the miner among them: nothing is certified; thawed: everything that waits is.

Four real daemons. Frozen processes keep their connections, answer nothing, and wake up with an old chain.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from protocol.parameters import DEVNET
from tests.support.live_network import LiveNetwork, check_safety, live_network
from zenp2p.api.errors import NotFound
from zenp2p.devnet.foundry import standard_posts

pytestmark = pytest.mark.functional

FROZEN = ("honest-1", "honest-4")
"""The miner is one: the others go on with the standby's blocks, and it wakes up with an old chain."""
AWAKE = ("honest-2", "honest-3")
VERDICTS_SECONDS = 120
SETTLE_BLOCKS = 2
"""What was decided just before the freeze may still arrive."""


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveNetwork]:
    with live_network(tmp_path_factory.mktemp("partition"), standard_posts()[:4]) as network:
        network.wait_until("data_height", 1, VERDICTS_SECONDS)
        yield network


def due(height: int) -> int:
    """Return the last challenge that can be judged at a height."""
    return (height - DEVNET.response_window - DEVNET.burial) // DEVNET.challenge_every


def is_judged(network: LiveNetwork, name: str, seq: int) -> bool:
    try:
        return bool(network.call(name, "challenge.show", seq=seq)["state"] == "judged")
    except NotFound:
        return False  # a node that was asleep may not have come so far


def half_frozen(network: LiveNetwork, challenges: int) -> None:
    """Freeze two of four until so many challenges are due; what they judge must not be certified."""
    network.freeze(*FROZEN)
    height = network.said(AWAKE[0], "height")
    network.wait_until("height", height + SETTLE_BLOCKS, VERDICTS_SECONDS, AWAKE)
    before = {name: network.said(name, "data_height") for name in AWAKE}
    last = due(height) + challenges
    reached = last * DEVNET.challenge_every + DEVNET.response_window + DEVNET.burial + SETTLE_BLOCKS
    network.wait_until("height", reached, VERDICTS_SECONDS, AWAKE)
    for name in AWAKE:
        assert network.said(name, "data_height") == before[name], f"{name} certified without a quorum"
        assert not is_judged(network, name, last)


def healed(network: LiveNetwork, scratch: Path) -> None:
    """Thaw, and see that every challenge that was due is judged, the same everywhere."""
    network.thaw(*FROZEN)
    last = due(network.said(AWAKE[0], "height"))
    seqs = range(1, last + 1)
    network.wait_until("height", last * DEVNET.challenge_every, VERDICTS_SECONDS)
    network.wait(
        f"all challenges up to {last} are judged everywhere",
        lambda: all(is_judged(network, name, seq) for name in network.names for seq in seqs),
        VERDICTS_SECONDS,
    )
    network.wait_agreed(VERDICTS_SECONDS)
    for seq in seqs:
        shown = [network.call(name, "challenge.show", seq=seq) for name in network.names]
        assert shown[0]["state"] == "judged" and shown == shown[:1] * len(shown), f"challenge {seq}"
    check_safety(network, scratch)


def check_all_are_valid_again(network: LiveNetwork) -> None:
    """The first challenge that opens from now on finds everybody there.

    Those that were open while half of the judges slept need not: two of four are more than may fail.
    """
    seq = network.said(AWAKE[0], "height") // DEVNET.challenge_every + 1
    network.wait_until("height", seq * DEVNET.challenge_every, VERDICTS_SECONDS)
    network.wait(f"verdicts of {seq}", lambda: is_judged(network, AWAKE[0], seq), VERDICTS_SECONDS)
    verdicts = network.call(AWAKE[0], "challenge.show", seq=seq)["verdicts"]
    assert {one["verdict"] for one in verdicts.values()} == {"VALID"}
    assert len(verdicts) == len(network.names)


def test_without_a_quorum_nothing_is_certified_and_later_everything_is(
    network: LiveNetwork, tmp_path: Path
) -> None:
    half_frozen(network, challenges=1)
    healed(network, tmp_path)
    check_all_are_valid_again(network)


@pytest.mark.nightly
@pytest.mark.parametrize("challenges", [2, 4, 6, 6])
def test_again_and_for_longer(network: LiveNetwork, tmp_path: Path, challenges: int) -> None:
    """Longer than the liveness watch of connections, so that these are lost and made again."""
    half_frozen(network, challenges)
    healed(network, tmp_path)
    check_all_are_valid_again(network)
