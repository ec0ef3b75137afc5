"""A wallet takes from the project what verification takes, and nothing of nodes, consensus or a disk."""

import subprocess
import sys

import pytest

from tests.architecture.source import ROOT

NEEDED = {
    "protocol": "codec crypto errors genesis merkle parameters units",
    "protocol.chain": "address rules signature",
    "protocol.group": "age certificate membership name quorum regions vote",
    "protocol.payout": "address_file formula light list_certificate list_file list_header trust",
}
"""Package -> the modules of it that verification takes."""
LIBRARIES = {"msgspec", "nacl", "coincurve", "ecdsa"}
"""Of `protocol`'s libraries; the last two come with `protocol.crypto`."""


def loaded(module: str) -> set[str]:
    """Return what a fresh interpreter has loaded after importing one module."""
    code = f"import sys, {module}; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("module", "more"), [("light", set()), ("list_search", {"protocol.payout.list_search"})]
)
def test_a_wallet_loads_what_verification_takes(module: str, more: set[str]) -> None:
    modules = loaded(f"protocol.payout.{module}")
    wanted = {f"{package}.{name}" for package, names in NEEDED.items() for name in names.split()} | more
    own = {name for name in modules if name.partition(".")[0] in ("protocol", "zenp2p", "cli", "simulations")}
    assert own - wanted == {"protocol", "protocol.chain", "protocol.group", "protocol.payout"}
    assert wanted <= own
    assert modules >= LIBRARIES
    assert not modules & {"trio", "libp2p", "plyvel", "click", "h11", "httpx", "socket"}
