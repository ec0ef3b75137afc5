"""How much disk a year of a large network's data chains takes, whole and pruned, and how long it is to read.

Real blocks of two groups of G + 1 voters, which judge those that fall to them, take in newcomers, move them
on, and let somebody go. Each kind is measured as it is stored, and as it is checked and applied anew. A year
of 5,000 nodes in 250 groups is added up by how often a group makes each kind (`A_CHALLENGE`). Weeks of such
blocks go into a real `LevelStore`, each pruned when two more are there: `disk_whole` and `disk_pruned` are
the bytes of its files for each byte of records (nothing is compressed).

    python -m tests.benchmarks.storage --json
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from dataclasses import replace as replace_state
from pathlib import Path
from typing import Any

from protocol.codec import encode, replace
from protocol.crypto import sha3_256
from protocol.group.data_block import CertifiedBlock, Removal, block_hash, decode_block, decode_certified
from protocol.group.membership import Membership
from protocol.group.relocation import is_ticket
from protocol.node.archive import PRUNED_AT_ONCE, Archive
from protocol.node.pruning import BLOCKS_KEPT, COMPACTED_BLOCKS, LISTS_KEPT
from protocol.node.records import block_key
from protocol.node.stored_block import PrunedBlock, decode_stored, pruned
from protocol.parameters import DEVNET, ZEN
from protocol.tracking.registration_book import RegistrationBook
from tests.support.moves_world import JOINERS, Moves
from tests.support.operators import Operator
from zenp2p.store import LevelStore, MemoryStore

NODES, GROUPS = 5_000, 250
SECONDS_A_YEAR = 365.25 * 86_400
CHALLENGE_SECONDS = ZEN.block_seconds * ZEN.challenge_every
CHALLENGES_A_YEAR = SECONDS_A_YEAR / CHALLENGE_SECONDS
CHALLENGES_A_PERIOD = ZEN.period_blocks // ZEN.challenge_every
FIRST_HEIGHT = 1 << 16
"""From here on heights have the length that they have on a real chain."""
REPLACED = NODES / GROUPS / CHALLENGES_A_YEAR
"""Of a group's operators between two challenges, when each is replaced by another once a year."""
A_CHALLENGE: Mapping[str, float] = {
    "VERDICT": 1,
    "RELOCATE": 1 + REPLACED,
    "ADMIT": 1 + REPLACED,
    "LINK": 2 + 2 * REPLACED,
    "REMOVE": REPLACED,
    "REGISTER": 2 * REPLACED,
}
"""Blocks of each kind that a group makes between two challenges: after every verdict somebody moves to
another group, which is as often as can be, and operators come and go."""
WEEKS = 4
REMEMBERED = 10_000
"""Blocks by which memory is measured."""


@dataclass
class Chains(Moves):
    """Groups whose blocks a quorum signs that is no larger than it must be, as a node has when it decides."""

    found: dict[str, list["Found"]] = field(init=False, default_factory=dict)

    def certified(self, body: bytes, signers: Sequence[Operator] | None = None) -> CertifiedBlock:
        electorate = self.state.electorate
        voters = [one for one in self.everybody if one.key in electorate]
        counts = range(1, len(voters) + 1)
        least = next(n for n in counts if electorate.is_final([one.key for one in voters[:n]]))
        return super().certified(body, voters[:least])

    def advance(self, body: bytes) -> None:
        """Let the block's group certify it, and measure it."""
        before = self.at(decode_block(body).prefix)
        super().advance(body)
        data = self.blocks[-1]
        one = Found(data, encode(pruned(decode_certified(data))))

        def check() -> None:
            before.forget_checks()
            before.apply(decode_certified(data), self.chain, self)

        def resume() -> None:
            stored = decode_stored(one.pruned)
            assert isinstance(stored, PrunedBlock)
            before.resume(decode_block(stored.block), block_hash(body), self.chain, self)

        one.check_seconds, one.resume_seconds = seconds(check), seconds(resume)
        self.found.setdefault(decode_block(body).kind.name, []).append(one)


@dataclass
class Found:
    """One block as it is stored, and what it costs."""

    whole: bytes
    pruned: bytes
    check_seconds: float = 0.0
    """To check it, certificate and all, and to apply it."""
    resume_seconds: float = 0.0
    """To apply it when it is pruned."""


def seconds(act: Callable[[], object]) -> float:
    """Return the processor time of one call: the shortest of three."""
    taken = []
    for _ in range(3):
        began = time.process_time()
        act()
        taken.append(time.process_time() - began)
    return min(taken)


def story(group_size: int) -> Chains:
    """Return two groups that have made blocks of every kind of `A_CHALLENGE`."""
    parameters = replace(DEVNET, group_size=group_size, join_proof_bits=2)
    chains = Chains(
        halves=(group_size + 1, group_size + 1), parameters=parameters, age=4, tip=FIRST_HEIGHT + 14
    )
    for one in JOINERS[:2]:
        seq = chains.chain.tip()[0] // parameters.challenge_every + 1
        chains.newcomer(one, seq)
        chains.hold(seq + 1)
        move = chains.relocate(chains.seated(one.key))
        if is_ticket(chains.standings[move].block, chains.moved(move)):
            chains.admit(move)
    chains.remove(chains.founders[0], Removal.SILENT)
    chains.strike_off(JOINERS[0])
    return chains


def choosing_ms(chains: Chains, nodes: int, groups: int) -> float:
    """Return how long it takes a group of many to find whom it judges, of all who are registered."""
    one = chains.registered(JOINERS[0], 1)
    entries = [
        replace(one, operator_key=sha3_256(b"operator", name), stake_address=b"\x00" + sha3_256(name)[:20])
        for name in (number.to_bytes(4, "big") for number in range(nodes))
    ]
    prefix = "0" * (groups.bit_length() - 1)
    book = RegistrationBook.empty(chains.parameters).apply_all(entries, 1)
    state = replace_state(chains.states["0"], prefix=prefix, book=book, judged={})
    challenge = chains.challenge(chains.chain.tip()[0] // chains.parameters.challenge_every)
    assert 0 < len(state.judging(challenge).registrations) < nodes
    return seconds(lambda: state.judging(challenge)) * 1_000


def memory_bytes(chains: Chains) -> float:
    """Return what a node keeps in memory of each block, if every second one changes the members."""
    state, archive = chains.states["0"], Archive(MemoryStore(), chains.chain, 1)
    archive.lives.begin(state)
    tracemalloc.start()
    for number in range(REMEMBERED):
        state = replace_state(state, height=state.height + 1, head=sha3_256(number.to_bytes(4, "big")))
        if number % 2:
            first, *others = state.membership.members
            state = replace_state(state, membership=Membership.of([replace(first, joined=number), *others]))
        archive.lives.extend(state, number)
        archive._places[state.head] = (state.prefix, state.height)
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return held / REMEMBERED


def blocks(found: Mapping[str, Sequence[Found]]) -> dict[str, dict[str, float]]:
    """Return of each kind the sizes and times of its blocks, in the middle."""
    return {
        kind: {
            "bytes": round(statistics.mean(len(one.whole) for one in found[kind])),
            "pruned_bytes": round(statistics.mean(len(one.pruned) for one in found[kind])),
            "check_ms": round(statistics.median(one.check_seconds for one in found[kind]) * 1_000, 3),
            "pruned_ms": round(statistics.median(one.resume_seconds for one in found[kind]) * 1_000, 3),
            "a_challenge": round(often, 3),
        }
        for kind, often in A_CHALLENGE.items()
    }


def a_challenge(of_kinds: Mapping[str, Mapping[str, float]], what: str) -> float:
    """Return what all blocks of a group between two challenges come to."""
    return sum(of_kinds[kind][what] * often for kind, often in A_CHALLENGE.items())


def a_year(of_kinds: Mapping[str, Mapping[str, float]], groups: int) -> dict[str, float]:
    """Return what a year is, by the arithmetic of `A_CHALLENGE`."""
    times = CHALLENGES_A_YEAR * groups
    blocks_a_challenge = sum(A_CHALLENGE.values())
    kept = max(LISTS_KEPT * CHALLENGES_A_PERIOD, BLOCKS_KEPT / blocks_a_challenge)
    whole, bare = a_challenge(of_kinds, "bytes"), a_challenge(of_kinds, "pruned_bytes")
    return {
        "blocks": round(times * blocks_a_challenge),
        "whole_gib": round(times * whole / 2**30, 3),
        "pruned_gib": round(times * bare / 2**30, 3),
        "kept_whole_days": round(kept * CHALLENGE_SECONDS / 86_400, 1),
        "kept_whole_gib": round(groups * kept * whole / 2**30, 3),
        "catch_up_hours": round(times * a_challenge(of_kinds, "check_ms") / 3_600_000, 3),
        "start_whole_minutes": round(times * a_challenge(of_kinds, "check_ms") / 60_000, 2),
        "start_pruned_minutes": round(times * a_challenge(of_kinds, "pruned_ms") / 60_000, 2),
    }


# On the disk.


class Disk:
    """A store that takes weeks of blocks as a node writes them."""

    def __init__(self, folder: Path, of_kinds: Mapping[str, Sequence[Found]], groups: int) -> None:
        self._store = LevelStore(folder / "db")
        self._folder = folder / "db"
        self._groups = groups
        kinds = [kind for kind, often in A_CHALLENGE.items() for _ in range(round(often))]
        self._kinds = [of_kinds[kind][0] for kind in kinds]
        self._week = CHALLENGES_A_PERIOD * groups * len(self._kinds)
        self.weeks = 0
        self.bytes = 0
        """Of the records that it holds."""

    def write_week(self) -> None:
        """Write a week's blocks, each group's of a challenge in one batch."""
        number = self.weeks * self._week
        for _ in range(CHALLENGES_A_PERIOD * self._groups):
            batch = [(block_key(number + at), one.whole) for at, one in enumerate(self._kinds)]
            self._store.write(batch, sync=False)
            number += len(batch)
            self.bytes += sum(len(key) + len(value) for key, value in batch)
        self.weeks += 1

    def prune_week(self, week: int) -> float:
        """Prune a week's blocks as a node does, and give their space back; return the seconds."""
        began = time.monotonic()
        first = week * self._week
        for number in range(first, first + self._week, PRUNED_AT_ONCE):
            batch = []
            for at in range(number, min(number + PRUNED_AT_ONCE, first + self._week)):
                data = self._store.get(block_key(at))
                assert data is not None
                batch.append((block_key(at), encode(pruned(decode_certified(data)))))
                self.bytes += len(batch[-1][1]) - len(data)
            self._store.write(batch, sync=False)
        for number in range(first, first + self._week, COMPACTED_BLOCKS):
            self._store.compact(block_key(number), block_key(number + COMPACTED_BLOCKS))
        return time.monotonic() - began

    def ratio(self) -> float:
        """Return what the files take, for each byte of records."""
        return round(sum(file.stat().st_size for file in self._folder.iterdir()) / self.bytes, 3)

    def close(self) -> None:
        """Release the files."""
        self._store.close()


def on_disk(of_kinds: Mapping[str, Sequence[Found]], groups: int, weeks: int) -> dict[str, float]:
    """Return what files take of a store that is never pruned, and of one that is, every week."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "whole").mkdir()
        (Path(folder) / "pruned").mkdir()
        whole, other = (Disk(Path(folder) / name, of_kinds, groups) for name in ("whole", "pruned"))
        spent = []
        for week in range(weeks):
            whole.write_week()
            other.write_week()
            if week >= LISTS_KEPT:
                spent.append(other.prune_week(week - LISTS_KEPT))
        other.write_week()
        whole.close()
        other.close()
        return {
            "disk_whole": whole.ratio(),
            "disk_pruned": other.ratio(),
            "prune_week_seconds": round(statistics.median(spent), 2),
        }


def run(groups: int = GROUPS, group_size: int = ZEN.group_size, weeks: int = WEEKS) -> dict[str, Any]:
    """Return all figures."""
    print(f"a year of {groups} groups of {group_size}", file=sys.stderr, flush=True)
    chains = story(group_size)
    found, of_kinds = chains.found, blocks(chains.found)
    choosing = choosing_ms(chains, groups * group_size, groups)
    of_kinds["VERDICT"]["check_ms"] = round(of_kinds["VERDICT"]["check_ms"] + choosing, 3)
    link = found["LINK"][-1]
    signatures = len(decode_certified(link.whole).certificate.signatures)
    return {
        "nodes": groups * group_size,
        "groups": groups,
        "signatures": signatures,
        "choosing_ms": round(choosing, 3),
        "kinds": of_kinds,
        "year": a_year(of_kinds, groups),
        "memory_bytes_a_block": round(memory_bytes(chains)),
        "certificates_per_second": round(1_000 / of_kinds["LINK"]["check_ms"]),
        **on_disk(found, groups, weeks),
    }


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--groups", type=int, default=GROUPS)
    parser.add_argument("--weeks", type=int, default=WEEKS)
    options = parser.parse_args()
    figures = run(options.groups, weeks=options.weeks)
    print(json.dumps(figures) if options.json else figures)


if __name__ == "__main__":
    main()
