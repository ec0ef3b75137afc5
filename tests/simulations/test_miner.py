"""The simulated miner: branches are short enough, and payments are mined once."""

from simulations.chain import extend
from simulations.cluster import Cluster
from simulations.founding import PARAMETERS
from simulations.options import Fault, Options


def test_a_reorganisation_never_reaches_what_is_buried() -> None:
    cluster = Cluster(3, Options(faults=frozenset({Fault.REORGANISATIONS}), reorganisation_probability=0.7))
    buried: dict[int, bytes] = {}
    depths: set[int] = set()
    for _ in range(300):
        before = cluster.miner.tip
        cluster.miner._mine()
        tip = cluster.miner.tip
        shared = next(block for block in before.branch() if block in list(tip.branch()))
        depths.add(before.height - shared.height)
        assert tip.height == before.height + 1
        for block in tip.branch():
            if block.height <= tip.height - PARAMETERS.burial:
                assert buried.setdefault(block.height, block.hash) == block.hash
        if tip.height > 60:
            break
    assert depths == set(range(PARAMETERS.burial + 1))
    assert cluster.counts.reorganisations > 10


def test_a_block_takes_one_of_two_versions_of_a_payment() -> None:
    cluster = Cluster(0, Options(faults=frozenset()))
    assert not cluster.run().pending
    (first, *_) = [
        tx for block in reversed(list(cluster.miner.tip.branch())) for tx in block.transactions[1:]
    ]
    spending = next(block for block in cluster.miner.tip.branch() if first in block.transactions)
    assert spending.parent is not None
    cluster.miner.pool = [first, first]
    assert [tx for tx in cluster.miner._block(spending.parent).transactions[1:]] == [first]
    assert not cluster.miner._block(spending).transactions[1:]


def test_a_deep_reorganisation_replaces_what_was_buried_and_may_bring_a_lost_branch_back() -> None:
    cluster = Cluster(3, Options(faults=frozenset({Fault.DEEP_REORGANISATIONS}), deep_probability=0.5))
    depths, lost, back = set[int](), list[bytes](), 0
    while cluster.miner.tip.height < 60:
        before = cluster.miner.tip
        cluster.miner._mine()
        tip = cluster.miner.tip
        branch = list(tip.branch())
        shared = next(block for block in before.branch() if block in branch)
        assert tip.height == before.height + 1
        if shared is not before:
            depths.add(before.height - shared.height)
            back += any(block.hash in lost for block in branch)
            lost.append(before.hash)
    assert max(depths) > PARAMETERS.burial and cluster.counts.deep_reorganisations == len(lost) and back


def test_without_that_fault_and_after_the_healing_no_chance_is_spent_on_it() -> None:
    cluster = Cluster(3, Options(faults=frozenset()))
    state = cluster.miner._rng.getstate()
    assert not cluster.miner._strikes_deep() and cluster.miner._rng.getstate() == state
    deep = Cluster(3, Options(faults=frozenset({Fault.DEEP_REORGANISATIONS}), deep_probability=1))
    deep.miner.tip = extend(extend(extend(extend(extend(deep.miner.tip, ()), ()), ()), ()), ())
    assert deep.miner._strikes_deep()
    deep.miner.healed = True
    assert not deep.miner._strikes_deep()
