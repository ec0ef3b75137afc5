"""Test vectors: `tests/vectors/<topic>/<case>.json`, read by the tests and written by them on demand.

`ZENP2P_WRITE_VECTORS=1 pytest …` writes what the code produces instead of comparing it;
the difference is then reviewed like any other change. It is refused in CI.
"""

import json
import os
from pathlib import Path
from typing import Any

VECTORS = Path(__file__).resolve().parents[1] / "vectors"
WRITE = "ZENP2P_WRITE_VECTORS"


def load_vectors(topic: str, case: str) -> Any:
    """Return the parsed vector file; bytes are hex strings in it."""
    return json.loads((VECTORS / topic / f"{case}.json").read_text())


def write_vectors(topic: str, case: str, produced: Any) -> Path:
    """Write a vector file and return its path."""
    path = VECTORS / topic / f"{case}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(produced, indent=1, ensure_ascii=False) + "\n")
    return path


def check_vectors(topic: str, case: str, produced: Any) -> None:
    """Assert that the code still produces what the vector file says."""
    if os.environ.get(WRITE):
        assert not os.environ.get("CI"), f"{WRITE} has no place in CI"
        write_vectors(topic, case, produced)
    assert load_vectors(topic, case) == json.loads(json.dumps(produced))
