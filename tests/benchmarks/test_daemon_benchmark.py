"""The daemon's benchmark runs and says something of everything."""

import pytest

from tests.benchmarks import daemon
from zenp2p.devnet.processes import Usage


def test_processor_time_is_a_percentage_of_a_core() -> None:
    assert daemon._percent(Usage(100.0, 1.5), Usage(100.0, 1.75), 5.0) == pytest.approx(5.0)


@pytest.mark.functional
@pytest.mark.nightly
def test_every_figure_is_there() -> None:
    figures = daemon.run(2.0)
    assert all(value > 0 for value in figures.values()), figures
    assert {
        "idle_cpu_percent",
        "start_to_first_peer_seconds",
        "following_cpu_percent",
        "mining_cpu_percent",
        "peak_rss_mb",
        "stop_seconds",
    } <= figures.keys()
