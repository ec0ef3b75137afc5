"""Real blocks, transactions and vectors of other projects, which are not part of this repository.

They are looked for in the folder that `ZENP2P_CHAIN_DATA` names, else in `../shared/chain-data`
beside the repository. Where they are missing a test is skipped; in CI it fails, since a check that
silently does not run is none.
"""

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest

ENVIRONMENT = "ZENP2P_CHAIN_DATA"
_DEFAULT = Path(__file__).resolve().parents[3] / "shared" / "chain-data"


def chain_data_path(name: str) -> Path:
    """Return the path of a file like `horizen/forks.json`; skips the test, or in CI fails it, if missing."""
    folder = Path(os.environ.get(ENVIRONMENT) or _DEFAULT)
    path = folder / name
    if not path.is_file():
        reason = f"chain data {name} not found in {folder}: set {ENVIRONMENT}"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return path


def read_text(name: str) -> str:
    """Return the text of a file, unpacked when its name ends in `.gz`."""
    path = chain_data_path(name)
    if path.suffix == ".gz":
        return gzip.decompress(path.read_bytes()).decode()
    return path.read_text()


def read_json(name: str) -> Any:
    """Return the parsed JSON of a file."""
    return json.loads(read_text(name))


def read_hex_lines(name: str) -> list[bytes]:
    """Return the blocks of a file that holds one in hexadecimal on each line."""
    return [bytes.fromhex(line) for line in read_text(name).split()]


def read_cases(name: str) -> list[list[Any]]:
    """Return the rows of a vector file without its comments, which are rows of one text."""
    return [row for row in read_json(name) if len(row) > 1]
