"""The repository speaks of zenp2p alone: no path of somebody's machine, no word of how it was written.

The words are written here in pieces, since this file is tracked too.
"""

import re
import subprocess
from pathlib import Path

MACHINE_PATH = re.compile(r"(?<![\w.$}~/-])/(?:wor" + "k|roo" + "t|tm" + r"p|hom" + r"e)(?=/|\b)(?!-)")
WORDS = re.compile(
    "|".join(
        [
            r"\bsub-?age" + r"nts?\b",
            r"\bcoding age" + r"nts?\b",
            r"\bclau" + r"de\b",
            r"\banthro" + r"pic\b",
            r"\bchat" + r"gpt\b",
            r"\bcopi" + r"lot\b",
            r"\blanguage mo" + r"dels?\b",
            r"\bco-autho" + r"red-by\b",
            r"\bDEVELO" + r"PERS\.md\b",
            r"\bshared/(?:rese" + r"arch|des" + r"ign|se" + r"eds|ho" + r"oks)\b",
            r"\b00[0-3]_(?:…|\.\.\.|[0-9a-f]{16})",
            r"\bissu" + r"e #?\d+\b",
        ]
    ),
    re.IGNORECASE,
)


def tracked_files(root: Path) -> list[Path]:
    """Return the files that git tracks under `root` and that are there."""
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z"]
    listed = subprocess.run(command, cwd=root, check=True, capture_output=True).stdout
    files = [root / name for name in listed.decode().split("\0") if name]
    return [file for file in files if file.is_file()]


def strange_words(root: Path) -> list[str]:
    """Return each line of a tracked file, or its name, that holds a machine path or a strange word."""
    found: list[str] = []
    for file in tracked_files(root):
        name = file.relative_to(root).as_posix()
        lines = file.read_bytes().decode("utf-8", "replace").splitlines()
        for number, line in enumerate([name, *lines]):
            for pattern in (MACHINE_PATH, WORDS):
                if match := pattern.search(line):
                    found.append(f"{name}:{number}: {match.group()}")
    return found
