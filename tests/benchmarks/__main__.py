"""Runs every benchmark of this folder in a process of its own, one after the other: `make bench`."""

import subprocess
import sys
from pathlib import Path


def names() -> list[str]:
    """Return the benchmarks: the modules here that can be run by themselves."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    return [
        file.stem
        for file in files
        if file.stem != "__main__" and '__name__ == "__main__"' in file.read_text()
    ]


def main() -> int:
    """Run the benchmarks that were named, or all of them; return how many failed."""
    wanted = sys.argv[1:] or names()
    failed = 0
    for name in wanted:
        print(f"== {name}", flush=True)
        failed += subprocess.run([sys.executable, "-m", f"tests.benchmarks.{name}", "--json"]).returncode != 0
    return failed


if __name__ == "__main__":
    sys.exit(main())
