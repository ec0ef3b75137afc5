"""The simulated miner: branches are short enough, and payments are mined once."""

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
