"""The whole main job on a real node's chain: founded, announced, judged, certified, paid, verified.

One devnet, started once. Three of its newcomers know no peer: whoever is judged was found on the chain.
"""

import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from protocol.chain.rules import LITECOIN_REGTEST, block_subsidy
from protocol.genesis import decode_genesis, period_heights
from tests.support.devnet import Devnet, processes_in, running_devnet

pytestmark = pytest.mark.functional

VERDICTS = {"dead": "NO_RESPONSE", "lazy": "WRONG_ANSWER", "understaked": "STAKE_TOO_LOW"}
ANNOUNCED = ("dead", "lazy", "duplicate")
CARRIED = 7


@pytest.fixture(scope="module")
def devnet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Devnet]:
    with running_devnet(tmp_path_factory.mktemp("litecoin"), "--chain", "litecoind") as devnet:
        yield devnet


@pytest.fixture
def report(devnet: Devnet) -> dict[str, Any]:
    return devnet.report


def test_the_report_names_the_chain(report: dict[str, Any]) -> None:
    assert set(report["chain"]) == {"kind", "version", "dialect"}
    assert (report["chain"]["kind"], report["chain"]["dialect"]) == ("litecoind", "litecoind")
    assert report["chain"]["version"].startswith("0.")


def test_everybody_is_judged_as_on_any_chain(report: dict[str, Any]) -> None:
    roles = {node["operator"]: node["role"] for node in report["nodes"]}
    assert len(report["challenges"]) == 3
    for challenge in report["challenges"]:
        by_role = {roles[operator]: verdict for operator, verdict in challenge["verdicts"].items()}
        assert {role: by_role[role] for role in VERDICTS} == VERDICTS
        assert Counter(challenge["verdicts"].values()) == {"VALID": 4, "DUPLICATE_IP": 1} | dict.fromkeys(
            VERDICTS.values(), 1
        )


def test_the_period_is_paid_from_the_subsidies_of_its_heights(report: dict[str, Any]) -> None:
    genesis = decode_genesis(Path(report["payout"]["genesis_file"]).read_bytes())
    first, last = period_heights(genesis, report["payout"]["period"])
    pool = sum(block_subsidy(LITECOIN_REGTEST, height) * 35 // 1_000 for height in range(first, last + 1))
    assert first < 150 <= last, "the subsidy halves within the period"
    assert report["payout"]["pool"] == pool + CARRIED
    assert report["payment"]["confirmed"] and report["payment"]["paid_total"] == pool
    assert report["payout"]["carried"] == CARRIED
    assert report["verify"]["exit_code"] == 0


def test_newcomers_that_know_nobody_were_found_on_the_chain(devnet: Devnet) -> None:
    for name in ANNOUNCED:
        settings = tomllib.loads((devnet.data_dir(name) / "zenp2p.toml").read_text())
        assert settings["network"]["peers"] == []
    status = devnet.ask("duplicate", "status")
    assert status["registered"] and status["peers"] >= 4
    assert status["chain"]["state"] == "ok"
    of_sharing = [text for text in status["problems"] if "DUPLICATE_IP" in text or "ticket" in text]
    assert status["problems"] == of_sharing, "two on one address share neither pay nor a group"


def test_the_end_leaves_no_node_behind(devnet: Devnet) -> None:
    code, _ = devnet.stop()
    assert code == 0
    assert processes_in(devnet.folder) == []
