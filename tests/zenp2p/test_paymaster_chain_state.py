"""A paymaster's tool beside a node that is not where its chain is, or moves while it is read."""

import random
from collections.abc import Callable
from typing import Any

import pytest

from protocol.errors import RequestError
from protocol.payout.light import VerifiedList
from protocol.units import COIN
from tests.support.ledger_node import LedgerNode
from tests.support.payout_world import PAYMASTERS, devnet_world, many_entries_world, verified_first
from tests.support.treasury_ledger import TreasuryLedger
from zenp2p.api.errors import NotReady
from zenp2p.chain.rpc.condition import ADVICE, NodeState
from zenp2p.exit_codes import ExitCode, exit_code
from zenp2p.paymaster import Paymaster, combine_files
from zenp2p.treasury_reader import READINGS_MAX, TreasuryReader
from zenp2p.treasury_status import read_status

VERIFIED = verified_first(devnet_world())
GENESIS = VERIFIED.genesis
ELSEWHERE = [state for state in NodeState if state is not NodeState.OK]


def node_with(verified: VerifiedList = VERIFIED) -> LedgerNode:
    ledger = TreasuryLedger(verified.genesis)
    for number in range(3):
        ledger.fund(COIN * (number + 1))
    return LedgerNode(ledger)


def signed(node: LedgerNode, fee_rate: int = 1_000) -> bytes:
    paymaster = Paymaster(GENESIS, node)
    file = paymaster.build(VERIFIED, fee_rate)
    return combine_files([paymaster.sign(file, VERIFIED, key) for key in PAYMASTERS[:2]], GENESIS)


def steps(node: LedgerNode) -> dict[str, Callable[[], object]]:
    """Everything that rests on what the node says of outputs."""
    paymaster, file = Paymaster(GENESIS, node), signed(node)
    gathering = paymaster.gather()
    return {
        "build": lambda: paymaster.build(VERIFIED),
        "gather": paymaster.gather,
        "inspect": lambda: paymaster.inspect(file, VERIFIED),
        "sign": lambda: paymaster.sign(file, VERIFIED, PAYMASTERS[3]),
        "sign a gathering": lambda: paymaster.sign(gathering, None, PAYMASTERS[3]),
        "broadcast": lambda: paymaster.broadcast(file, VERIFIED),
    }


@pytest.mark.parametrize("state", ELSEWHERE)
def test_nothing_is_built_signed_or_sent_beside_a_chain_that_is_not_ok(state: NodeState) -> None:
    node = node_with()
    for name, step in steps(node).items():
        node.state, node.problem = state.value, ADVICE[state]
        with pytest.raises(NotReady) as caught:
            step()
        said = str(caught.value)
        assert ADVICE[state] in said and "nothing is built, signed or sent" in said, name
        assert "\n" not in said and exit_code(caught.value) is ExitCode.TRY_LATER
        node.state, node.problem = "ok", ""
        step()


@pytest.mark.parametrize("state", ELSEWHERE)
def test_a_payment_is_not_called_mined_on_a_node_that_lags(state: NodeState) -> None:
    """Its index stands still: a reorganisation may have taken the payment off meanwhile."""
    node = node_with()
    file = signed(node)
    Paymaster(GENESIS, node).broadcast(file, VERIFIED)
    node.mine()
    node.state, node.problem = state.value, ADVICE[state]
    with pytest.raises(NotReady):
        Paymaster(GENESIS, node).broadcast(file, VERIFIED)


def test_status_says_what_the_chain_lacks_and_promises_nothing() -> None:
    node = node_with()
    node.state, node.problem = "behind", ADVICE[NodeState.BEHIND]
    found = read_status(GENESIS, node, VERIFIED)
    assert (found.chain.state, found.chain.problem) == ("behind", ADVICE[NodeState.BEHIND])
    assert found.list is not None and not found.list.payable
    node.state, node.problem = "ok", ""
    found = read_status(GENESIS, node, VERIFIED)
    assert found.list is not None and found.list.payable and found.chain.state == "ok"


def test_an_index_that_is_below_its_node_is_waited_for() -> None:
    """The node's next block is on its way: not a reason to refuse, nor to take the old for the new."""
    node = node_with()
    node.lag = 1
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        node.lag = 0

    assert TreasuryReader(GENESIS, node, pause).settled(lambda: "read") == "read"
    assert len(pauses) == 1


def test_an_index_that_stays_below_is_given_up() -> None:
    node = node_with()
    node.lag = 3
    pauses: list[float] = []
    with pytest.raises(NotReady, match="try again"):
        TreasuryReader(GENESIS, node, pauses.append).settled(lambda: pytest.fail("read in between"))
    assert len(pauses) == READINGS_MAX


@pytest.mark.parametrize("seed", range(40))
def test_whatever_is_read_is_of_one_block(seed: int) -> None:
    """A payment is mined between any two questions: the status is of before or of after, not of between."""
    rng = random.Random(seed)
    large = verified_first(many_entries_world(1_200))
    node = node_with(large)
    paymaster = Paymaster(large.genesis, node)
    file = paymaster.build(large)
    both = combine_files([paymaster.sign(file, large, key) for key in PAYMASTERS[:2]], large.genesis)
    paymaster.broadcast(both, large)
    before = read_status(large.genesis, node, large)
    moment, asked, ask = rng.randrange(14), 0, node.call

    def call(method: str, params: Any = None) -> Any:
        nonlocal asked
        if asked == moment:
            node.mine()
        asked += 1
        return ask(method, params)

    node.call = call  # type: ignore[method-assign]
    between = read_status(large.genesis, node, large)
    node.call = ask  # type: ignore[method-assign]
    node.mine()
    assert between in (before, read_status(large.genesis, node, large))


def test_a_verdict_on_a_chain_that_moves_is_made_anew() -> None:
    """The baton moves on between two questions: the error tells of the chain as it is, not of a mixture."""
    node = node_with()
    other = signed(node, 5_000)
    Paymaster(GENESIS, node).broadcast(signed(node), VERIFIED)
    ask = node.call

    def call(method: str, params: Any = None) -> Any:
        if method == "chain.unspent":
            node.mine()
        return ask(method, params)

    node.call = call  # type: ignore[method-assign]
    with pytest.raises(RequestError, match="wholly paid already"):
        Paymaster(GENESIS, node).build(VERIFIED)
    assert not node.pool and other
