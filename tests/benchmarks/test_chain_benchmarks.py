"""The chain's benchmarks run and give their figures; how large these are is no test's business."""

from tests.benchmarks import chain, challenge


def test_the_chain_benchmark_gives_its_figures() -> None:
    figures = chain.run(rounds=1, blocks=3, empty_blocks=3, count=100)
    assert set(figures) == {
        "blocks_per_second",
        "transactions_per_second",
        "indexed_blocks_per_second",
        "indexed_transactions_per_second",
        "empty_blocks_per_second",
        "empty_indexed_blocks_per_second",
        "signature_share",
        "lookups_per_second",
        "bare_lookups_per_second",
        "lookup_ratio",
        "balances_per_second",
    }
    assert all(value > 0 for value in figures.values())


def test_the_challenge_benchmark_gives_its_figures() -> None:
    figures = challenge.run(rounds=1, long=110, network=60)
    kinds = ("short_per_second", "long_per_second", "ratio", "lookup_ratio", "ratio_beyond_lookups")
    names = {f"{who}_{kind}" for who in ("group", "network") for kind in kinds}
    assert set(figures) == names | {"short_blocks", "long_blocks"}
