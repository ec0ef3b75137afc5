"""The network benchmark says what it says it says."""

import pytest

from tests.benchmarks.network import NODES, Result, Tally, report, run_once


def test_the_figures_are_those_of_the_runs() -> None:
    ours = Result(cpu=1.0, wanted=1000, delays=[number / 1e5 for number in range(1000)])
    stock = Result(cpu=4.0, wanted=1000, delays=[1.0] * 800)
    figures = report(ours, stock, 100.0, 300)
    assert figures["cpu_ratio_to_stock"] == pytest.approx(0.2)  # 1 ms beside 5 ms a delivery
    assert figures["delivered"] == 1.0 and figures["stock_delivered"] == 0.8
    assert figures["p50_ms"] == 5.0 and figures["p99_ms"] == 9.9


def test_a_node_counts_what_others_sent() -> None:
    tally = Tally(index=2)
    for sender in range(NODES):
        tally.take(bytes([sender]) + (0).to_bytes(8, "big") + b"rest")
    assert len(tally.delays) == NODES - 1 and min(tally.delays) > 0


@pytest.mark.functional
def test_five_processes_deliver_everything() -> None:
    result = run_once("ours", rate=20.0, size=300, seconds=1.0)
    assert result.wanted == 20 * (NODES - 1)
    assert result.delivered == 1.0
    assert result.cpu > 0
