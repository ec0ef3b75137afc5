"""`python -m tests.vectors [TOPIC …]` writes the vector files of these topics, or of all registered ones.

The difference is then reviewed like any other change.
"""

import sys

from tests.support.vectors import write_vectors
from tests.vectors.registry import generators


def main(topics: list[str]) -> int:
    """Write the files; 64 when a topic has no generator."""
    known = generators()
    unknown = sorted(set(topics) - {topic for topic, _ in known})
    if unknown:
        print(f"no generators for: {', '.join(unknown)}", file=sys.stderr)
        return 64
    for (topic, case), generator in known.items():
        if not topics or topic in topics:
            print(write_vectors(topic, case, generator()))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
