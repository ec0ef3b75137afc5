"""What a wallet does with the files that a command names: read the trust point, follow the lists, keep it.

Answers for: lists between are found in a folder whatever their files are called, and the trust point
that a wallet keeps never goes back, also when two commands keep it at once. What is right is
`protocol.payout.light`'s to say. Spec: `spec/wallet.md`.
"""

import errno
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.files import read_file

if TYPE_CHECKING:
    from protocol.payout.light import KnownList, TrustPoint, Verified, VerifiedList
    from protocol.payout.list_header import ListHeader

Command = Callable[..., Any]
FILE = click.Path(path_type=Path)
FOLDER_FILES_MAX = 100_000
"""Files of a folder that are looked at."""

folder_option = click.option(
    "--chain-of-lists",
    "folder",
    type=FILE,
    metavar="DIR",
    help="A folder of list and address files, whatever their names: the lists before LIST are found there.",
)


def trust_option(required: bool) -> Callable[[Command], Command]:
    """Return the option that says what lists are verified against."""
    default = "" if required else " (default: the node's own genesis file)"
    text = f"The network's genesis file, or a trust file that was kept{default}."
    return click.option("--trust", required=required, type=FILE, metavar="TRUST", help=text)


@dataclass(frozen=True, slots=True)
class Followed:
    """The list at which a command ends, and those that were verified on the way to it, oldest first."""

    trust: "TrustPoint"
    """Where the way began."""
    between: tuple["Verified", ...]
    last: "Verified | KnownList"

    @property
    def after(self) -> "TrustPoint":
        """The trust point at the end."""
        from protocol.payout.light import KnownList, trust_from_list

        return self.trust if isinstance(self.last, KnownList) else trust_from_list(self.last)

    def headers(self) -> "list[ListHeader]":
        """Return the header of the last list before the way began, if any, and of those on it."""
        from protocol.payout.light import KnownList

        before = [self.trust.last] if self.trust.last is not None else []
        on_the_way = [one.header for one in self.between]
        return before + on_the_way + ([] if isinstance(self.last, KnownList) else [self.last.header])


def read_trust(trust: Path, kept: Path | None = None) -> "TrustPoint":
    """Return the trust point of a genesis or trust file, or the one that is kept, whichever is later."""
    from protocol.payout.light import TRUST_FILE_SIZE_MAX, later_trust, trust_from_file

    point = trust_from_file(read_file(trust, TRUST_FILE_SIZE_MAX))
    if kept is None or not kept.exists():
        return point
    return later_trust(trust_from_file(read_file(kept, TRUST_FILE_SIZE_MAX)), point)


def keep_trust(path: Path, trust: "TrustPoint") -> None:
    """Write the trust point to a file, unless it stands there or a later one does; raises `OSError`.

    Raises a `ProtocolError` when the file is no trust point of this network's lists.
    """
    from protocol.payout.light import TRUST_FILE_SIZE_MAX, encode_trust, later_trust, trust_from_file
    from zenp2p.durable_file import write_durably

    if path.exists():
        kept = trust_from_file(read_file(path, TRUST_FILE_SIZE_MAX))
        if later_trust(kept, trust) is kept:
            return
    write_durably(path, encode_trust(trust))


def follow(files: Sequence[Path], folder: Path | None, trust: "TrustPoint") -> Followed:
    """Return the last of consecutive list files, verified with all between it and the trust point.

    Raises a `ProtocolError`, or `OSError` when a file or a list is missing.
    """
    from protocol.payout.light import trust_from_list, verify_again, verify_lists
    from protocol.payout.list_file import LIST_FILE_SIZE_MAX

    contents = [read_file(path, LIST_FILE_SIZE_MAX) for path in files]
    period = _period(contents[0], trust)
    if trust.last is not None and period == trust.last.period and len(contents) == 1:
        return Followed(trust, (), verify_again(contents[0], trust))
    verified = list(_between(folder, period, trust))
    point = trust_from_list(verified[-1]) if verified else trust
    verified += verify_lists(contents, point)
    return Followed(trust, tuple(verified[:-1]), verified[-1])


def whole_list(followed: Followed) -> "VerifiedList":
    """Return the list at the end; raises `RequestError` unless it was verified from a list file."""
    from protocol.errors import RequestError
    from protocol.payout.light import KnownList, VerifiedList

    if isinstance(followed.last, KnownList):
        raise RequestError(
            f"the list of period {followed.last.header.period} is the trust point itself: "
            "name the one before it, or the genesis file"
        )
    if not isinstance(followed.last, VerifiedList):
        raise RequestError("an address file does not hold the whole list: name the list file")
    return followed.last


def _period(data: bytes, trust: "TrustPoint") -> int:
    """Return of which period a file says it is; of whatever is no list, the next one."""
    from protocol.payout.list_search import period_of

    period = period_of(data, trust.terms.network)
    return trust.terms.period if period is None else period


def _between(folder: Path | None, period: int, trust: "TrustPoint") -> "Iterator[Verified]":
    """Yield the lists from the trust point to the one before `period`, found in a folder."""
    from protocol.payout.list_file import LIST_FILE_SIZE_MAX
    from protocol.payout.list_search import find_lists

    if folder is None or trust.terms.period >= period:
        return
    paths = _paths_by_period(folder, trust)

    def candidates(wanted: int) -> Iterator[tuple[str, bytes]]:
        if wanted not in paths:
            raise FileNotFoundError(errno.ENOENT, f"holds no list of period {wanted}", str(folder))
        return ((str(path), read_file(path, LIST_FILE_SIZE_MAX)) for path in paths[wanted])

    yield from find_lists(period, candidates, trust)


def _paths_by_period(folder: Path, trust: "TrustPoint") -> dict[int, list[Path]]:
    """Return the folder's list and address files of the network by the period that they say they are of."""
    from protocol.payout.list_search import START_SIZE, period_of

    found: dict[int, list[Path]] = {}
    for path in sorted(folder.iterdir())[:FOLDER_FILES_MAX]:
        if path.is_file():
            period = period_of(read_file(path, START_SIZE), trust.terms.network)
            if period is not None:
                found.setdefault(period, []).append(path)
    return found
