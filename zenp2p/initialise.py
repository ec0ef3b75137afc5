"""Making a data directory: folders, operator key, vote file, genesis, settings.

Answers for: `zenp2pd init` may be run again at any time; it makes what is missing and
changes nothing that is there. An empty vote file that counts as complete is made only
together with a new key, since only a key that has never signed has never voted. Spec:
`spec/config.md`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from protocol.crypto import Signer
from protocol.genesis import GENESIS_SIZE_MAX, decode_genesis
from protocol.units import OperatorKey
from zenp2p.config import Loaded, dump_config
from zenp2p.data_directory import CannotCreate, DataDirectory, MissingFile
from zenp2p.durable_file import write_durably
from zenp2p.identity import create_operator, load_operator
from zenp2p.lock import DirectoryLock
from zenp2p.vote_file import VoteFile


@dataclass(frozen=True, slots=True)
class Initialised:
    """What there is now, what of it was made, and what is left to do."""

    directory: DataDirectory
    operator_key: OperatorKey
    made: tuple[str, ...]
    next_steps: tuple[str, ...]


def initialise(loaded: Loaded, genesis: Path | None) -> Initialised:
    """Make what is missing in the data directory that the configuration names.

    `genesis` is copied in; settings from the command line are written to a new configuration
    file. Raises `DirectoryInUse`, `MissingFile`, `RequestError` (no genesis file), `CannotCreate`
    (another genesis or configuration file is there), `WrongMode`.
    """
    directory = DataDirectory(Path(loaded.config.data_dir))
    new = not directory.path.exists()
    directory.create()
    with DirectoryLock(directory.lock):
        made = ["data directory"] if new else []
        if genesis is not None:
            made += _copy_genesis(genesis, directory.genesis)
        made += _write_settings(loaded, directory.config)
        signer, made_key = _operator(directory)
        made += made_key
    steps = tuple(_next_steps(loaded, directory))
    return Initialised(directory, signer.operator_key, tuple(made), steps)


def _operator(directory: DataDirectory) -> tuple[Signer, list[str]]:
    """Return the operator's signer, made with its vote file when there is no key.

    The vote file comes first: a crash in between leaves no key without one.
    """
    if directory.operator_seed.exists():
        return load_operator(directory.operator_seed), []
    made = ["operator key"]
    if not directory.votes.exists():
        VoteFile.create(directory.votes).close()
        made.append("vote file")
    return create_operator(directory.operator_seed), made


def _copy_genesis(source: Path, target: Path) -> list[str]:
    try:
        with source.open("rb") as file:
            data = file.read(GENESIS_SIZE_MAX + 1)
    except OSError as error:
        raise MissingFile(f"{source}: {error.strerror}") from None
    decode_genesis(data)
    if target.exists():
        if target.read_bytes() == data:
            return []
        raise CannotCreate(f"{target} is there already and is another genesis file")
    write_durably(target, data, overwrite=False)
    return ["genesis"]


def _write_settings(loaded: Loaded, target: Path) -> list[str]:
    """Keep what was given on the command line for the daemon's next start."""
    keys = {key for key, source in loaded.sources.items() if source == "command line"} - {"data_dir"}
    if not keys:
        return []
    if target.exists():
        raise CannotCreate(f"{target} is there already; change the settings in it")
    write_durably(target, dump_config(loaded, keys).encode(), overwrite=False)
    return ["configuration"]


def _next_steps(loaded: Loaded, directory: DataDirectory) -> Iterator[str]:
    """Yield what is reachable from outside, what is missing to earn, what to back up."""
    network = loaded.config.network
    place = f"{network.announce_ip or network.ip} port {network.announce_port or network.port}"
    yield f"others must reach this node at {place}"
    if not Path(loaded.config.genesis).exists():
        yield f"missing: the genesis file {directory.genesis}; run: zenp2pd init --genesis FILE"
    yield "to earn: a registration signed with the stake address; see: zenp2p keys register --help"
    yield "back up the operator key: zenp2p keys backup FILE"
