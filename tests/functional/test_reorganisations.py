"""The chain is exchanged under a running network, at every stage of a challenge's way to its payment.

Four real daemons beside a real node. One story, told in order: each test takes up the chain where
the one before left it. For each case it is seen what became of the challenge, on every node, and at
the end that nothing was lost and nothing paid twice.

`python -m tests.functional.test_reorganisations` tells the same story once and prints, case by case,
what became of everything, as one JSON object.
"""

import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from protocol.parameters import DEVNET
from tests.support.reorganised import STEP_SECONDS, ReorganisedNetwork, answer, reorganised_network

pytestmark = pytest.mark.functional

EVERY, WINDOW, BURIAL = DEVNET.challenge_every, DEVNET.response_window, DEVNET.burial
ALL_VALID = {f"honest-{number}": "VALID" for number in range(1, 5)}
BAD_DATA = 65


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReorganisedNetwork]:
    with reorganised_network(tmp_path_factory.mktemp("reorganised")) as network:
        yield network


@pytest.fixture
def first(network: ReorganisedNetwork) -> int:
    """The number of the first challenge."""
    return network.founded.genesis.first_challenge_height // EVERY


def judge(network: ReorganisedNetwork, seq: int) -> dict[str, str]:
    """Mine until a challenge that is answered is judged; returns the verdicts."""
    network.mine(seq * EVERY + WINDOW + BURIAL)
    return network.outcome(seq)


def test_before_a_challenge_opens(network: ReorganisedNetwork, first: int) -> None:
    """Its anchor is not mined yet: it opens once, with the anchor of the new branch."""
    network.mine(first * EVERY - 2)
    network.reorganise(3)
    network.mine(first * EVERY)
    network.wait_answered(first)
    anchor = network.client.block_hash(first * EVERY)
    assert {each["anchor_hash"] for each in network.wait_state(first, "open")} == {anchor}
    assert judge(network, first) == ALL_VALID
    assert network.events("challenge.void") == []
    network.tell(
        "before the challenge opens", challenge=first, anchor=anchor, verdicts=network.outcome(first)
    )


def test_while_it_is_open(network: ReorganisedNetwork, first: int) -> None:
    """Its anchor is exchanged: the old one is void for everybody, the new one is answered and judged."""
    seq = first + 1
    network.mine(seq * EVERY + 1)
    network.wait_answered(seq)
    stale = network.reorganise(2)
    network.wait_answered(seq)
    assert len(network.events("challenge.void", seq=seq)) == len(network.live.names)
    shown = network.wait_state(seq, "open")
    assert all(each["anchor_hash"] not in stale for each in shown)
    assert judge(network, seq) == ALL_VALID
    network.tell(
        "while it is open",
        challenge=seq,
        lost_anchor=stale[0],
        void_for=len(network.live.names),
        anchor=shown[0]["anchor_hash"],
        verdicts=network.outcome(seq),
    )


def test_after_its_verdict(network: ReorganisedNetwork, first: int) -> None:
    """Above the burial nothing moves: the verdict stands, and its block is not decided again."""
    seq = first + 2
    network.mine(seq * EVERY)
    network.wait_answered(seq)
    assert judge(network, seq) == ALL_VALID
    before = network.wait_state(seq, "judged")[0]
    network.reorganise(BURIAL)
    assert network.wait_state(seq, "judged")[0] == before
    assert network.events("data_chain.contradiction") == []
    network.tell("after its verdict", challenge=seq, state=before["state"], verdicts=network.outcome(seq))


def test_after_the_list(network: ReorganisedNetwork) -> None:
    """The list is certified: it stays what it is."""
    period = network.period
    last = (period + 1) * DEVNET.period_blocks - 1
    network.mine(last + BURIAL)
    before = network.wait_list(period)
    assert before["responses"] == 3 * len(ALL_VALID)
    network.reorganise(BURIAL)
    assert network.wait_list(period) == before
    assert network.events("list.contradiction") == []
    network.tell("after the list", list_hash=before["list_hash"], responses=before["responses"])


def test_after_the_payment(network: ReorganisedNetwork) -> None:
    """The payment goes with its block: the same file brings it back, no other version stands beside it."""
    period = network.period
    paid = network.pay(period)
    lists = network.list_file(period)
    dearer = network.founded.folder / "payments" / "dearer"
    answer(network.treasury("build", lists, "--fee-rate", 2_000, "--out", dearer))
    network.mine(network.height + 1)
    expected = {entry["address"]: entry["amount"] for entry in network.wait_list(period)["entries"]}
    assert network.received() == expected
    network.reorganise(1, empty=True)
    assert not any(network.received().values())
    assert answer(network.broadcast_again(period))["state"] in ("sent", "waiting")
    network.mine(network.height + 1)
    sent = answer(network.broadcast_again(period))
    assert (sent["txid"], sent["state"]) == (paid.txid, "mined")
    late = network.treasury("inspect", dearer, "--list", lists)
    assert (late.code, late.out) == (BAD_DATA, "") and "paid already" in late.err
    assert network.received() == expected
    network.tell(
        "after the payment",
        txid=sent["txid"],
        state=sent["state"],
        received=sum(network.received().values()),
        owed=sum(network.owed(period).values()),
    )


# Deeper than the burial: what was certified rests on blocks that nobody has any more.


def test_deep_after_the_verdict(network: ReorganisedNetwork, first: int) -> None:
    """Its anchor is gone with its verdicts: void for everybody, and not judged a second time."""
    seq = first + 3
    network.mine(seq * EVERY)
    network.wait_answered(seq)
    assert judge(network, seq) == ALL_VALID
    network.mine((seq + 1) * EVERY - 1)
    network.reorganise(EVERY)
    shown = network.wait_state(seq, "void")
    assert {each["reason"] for each in shown} == {"its anchor left the chain, and its verdicts with it"}
    assert len(network.events("challenge.void", seq=seq)) >= len(network.live.names)
    network.tell("after its verdict", challenge=seq, state=shown[0]["state"], reason=shown[0]["reason"])
    network.kill_and_start("honest-4")  # which checks what it holds against a chain that is another one
    network.wait_answered(seq + 1)
    assert judge(network, seq + 1) == ALL_VALID
    assert network.contradicted() == []


def test_deep_before_the_list(network: ReorganisedNetwork, first: int) -> None:
    """The list goes without the void challenge once nobody can bring it any more; its pool is what it was."""
    period = network.period + 1
    last = (period + 1) * DEVNET.period_blocks - 1
    for seq in range(first + 5, (last + BURIAL + EVERY) // EVERY + 1):
        network.mine(seq * EVERY)
        network.wait_answered(seq)
    network.mine(last + BURIAL + EVERY)
    made = network.wait_list(period)
    assert made["responses"] == 2 * len(ALL_VALID)
    assert made["pool"] == made["paid_total"] + made["carried"]
    network.tell(
        "after its verdict, at the list",
        list_hash=made["list_hash"],
        responses=made["responses"],
        pool=made["pool"],
        paid_total=made["paid_total"],
        carried=made["carried"],
    )


def test_deep_after_the_list(network: ReorganisedNetwork) -> None:
    """The period's last block is gone: the list is certified all the same, and is paid."""
    period = network.period + 1
    before = network.wait_list(period)
    last = (period + 1) * DEVNET.period_blocks - 1
    stale = network.reorganise(network.height - last + 2)
    assert len(stale) > BURIAL
    assert network.wait_list(period) == before
    network.live.wait(
        "everybody says that the list is stranded",
        lambda: len({line["node"] for line in network.events("list.stranded", period=period)}) == 4,
        STEP_SECONDS,
    )
    network.tell("after the list", list_hash=before["list_hash"], state="certified, stranded")


def test_deep_after_the_payment(network: ReorganisedNetwork) -> None:
    """A payment that is buried and gone is mined again, and no more than once."""
    period = network.period + 1
    network.pay(period)
    network.mine(network.height + BURIAL + 2)
    expected = network.owed(period - 1, period)
    assert network.received() == expected
    network.reorganise(BURIAL + 2, empty=True)
    assert network.received() == network.owed(period - 1)
    assert answer(network.broadcast_again(period))["state"] in ("sent", "waiting")
    network.mine(network.height + 1)
    assert answer(network.broadcast_again(period))["state"] == "mined"
    assert network.received() == expected
    # Nothing waits that could pay once more.
    network.mine(network.height + 2)
    assert network.received() == expected
    network.tell(
        "after the payment",
        state="mined again",
        received=sum(network.received().values()),
        owed=sum(network.owed(period - 1, period).values()),
    )


def test_who_comes_later_takes_it_all_on_the_certificates_word(network: ReorganisedNetwork) -> None:
    """A node without records: the chain that it follows never had what it now takes from its peers."""
    name, period = "honest-3", network.period + 1
    head = network.live.status("honest-1")
    assert head is not None
    network.forget_and_start(name)
    network.live.wait_until("data_height", head["data_height"], STEP_SECONDS, [name])
    assert network.wait_list(period)["list_hash"]
    assert network.live.wait_agreed(STEP_SECONDS)


def test_the_network_goes_on(network: ReorganisedNetwork) -> None:
    """After all of it: a challenge opens, everybody answers, everybody is VALID."""
    seq = network.height // EVERY + 1
    network.mine(seq * EVERY)
    network.wait_answered(seq)
    assert judge(network, seq) == ALL_VALID
    assert network.contradicted() == []


CASES: tuple[Callable[..., None], ...] = (
    test_before_a_challenge_opens,
    test_while_it_is_open,
    test_after_its_verdict,
    test_after_the_list,
    test_after_the_payment,
    test_deep_after_the_verdict,
    test_deep_before_the_list,
    test_deep_after_the_list,
    test_deep_after_the_payment,
    test_who_comes_later_takes_it_all_on_the_certificates_word,
    test_the_network_goes_on,
)


def tell_story() -> None:
    """Run every case once, in order, and print what became of everything."""
    with tempfile.TemporaryDirectory() as folder, reorganised_network(Path(folder)) as network:
        first = network.founded.genesis.first_challenge_height // EVERY
        for case in CASES:
            print(case.__name__, file=sys.stderr)
            wants_first = "first" in case.__code__.co_varnames[: case.__code__.co_argcount]
            case(network, first) if wants_first else case(network)
        received, owed = network.received(), network.owed(network.period, network.period + 1)
        paid = {"received": sum(received.values()), "owed": sum(owed.values()), "as_owed": received == owed}
        print(json.dumps({"cases": network.told, **paid, "contradicted": network.contradicted()}))


if __name__ == "__main__":
    tell_story()
