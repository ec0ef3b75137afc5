"""The explorer's benchmark runs beside a real node; how large its figures are is no test's business."""

import pytest

from tests.benchmarks import index


@pytest.mark.functional
def test_every_figure_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (
        ("SINGLE", 5),
        ("BATCHES", 1),
        ("ADDRESSES", 3),
        ("OWNERS", 20),
        ("OWNERS_AT_ONCE", 20),
        ("CROWD", 1_000),
    ):
        monkeypatch.setattr(index, name, value)
    figures = index.run(rounds=1, blocks=6, transactions=3)
    kinds = ("transactions", "batched_transactions", "addresses")
    assert set(figures) == {
        "blocks",
        "build_blocks_per_second",
        "fetch_blocks_per_second",
        "build_ratio",
        "transactions_asked",
        *(f"{who}_{kind}_per_second" for who in ("our", "node") for kind in kinds),
        "our_histories_per_second",
        "transaction_ratio",
        "transaction_batch_ratio",
        "address_ratio",
        "half_rss_mb",
        "full_rss_mb",
        "memory_growth_mb",
    }
    assert all(value > 0 for name, value in figures.items() if name != "memory_growth_mb")
