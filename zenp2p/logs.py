"""The log: one JSON object a line, safe to print and to parse.

Answers for: what a peer or a file sends cannot forge a line or drive a terminal
(everything beyond printable ASCII is escaped, long values are cut), and a full disk does not stop the
node. Levels mean: ERROR the operator must act now; WARNING something is lost or
slow and the node copes; INFO what an operator wants to have read the day after; DEBUG
for developers. Spec: `spec/config.md`.
"""

import json
import logging
import os
import time
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from math import isfinite
from pathlib import Path

from zenp2p.data_directory import FILE_MODE

VALUE_CHARACTERS_MAX = 2_000
TRACEBACK_CHARACTERS_MAX = 20_000
FIELDS_MAX = 32
FILE_BYTES_MAX = 10 << 20
FILES_KEPT = 5
LEVELS = ("debug", "info", "warning", "error")
CHATTY = ("libp2p", "multiaddr", "asyncio", "httpx", "httpcore")
"""Libraries whose news below WARNING are their own affair."""

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonLines(logging.Formatter):
    """Formats a record as one line: time, level, logger, event, then the fields given as `extra`."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without its end."""
        whole, milliseconds = divmod(int(record.created * 1_000), 1_000)
        line: dict[str, object] = {
            "time": f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(whole))}.{milliseconds:03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": _cut(record.getMessage(), VALUE_CHARACTERS_MAX),
        }
        extra = [name for name in vars(record) if name not in _STANDARD]
        for name in extra[:FIELDS_MAX]:
            # A field that takes a name of ours does not hide it.
            line[f"{name}_" if name in line else name] = _field(getattr(record, name))
        if record.exc_info:
            line["traceback"] = _cut(self.formatException(record.exc_info), TRACEBACK_CHARACTERS_MAX)
        return json.dumps(line).replace("\x7f", "\\u007f")


class _PrivateFile(RotatingFileHandler):
    """A rotating file of mode 0600, whatever the umask."""

    def _open(self) -> TextIOWrapper:
        descriptor = os.open(
            self.baseFilename, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, FILE_MODE
        )
        return open(descriptor, "a", encoding="ascii")


def configure_logging(level: str, path: Path | None = None) -> None:
    """Send everything to `path` (rotated: 5 files of 10 MiB), or to standard error."""
    handler = (
        logging.StreamHandler()
        if path is None
        else _PrivateFile(path, maxBytes=FILE_BYTES_MAX, backupCount=FILES_KEPT)
    )
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
        old.close()
    root.addHandler(handler)
    root.setLevel(level.upper())
    logging.raiseExceptions = False
    quiet_libraries()


def quiet_libraries() -> None:
    """Let libraries speak through our log only, and only of what is wrong.

    libp2p takes itself out of the log when it is imported, so this is said again after that.
    """
    for name in CHATTY:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
        logger.setLevel(max(logging.WARNING, logging.getLogger().level))


def _field(value: object) -> object:
    """Return what JSON can say of `value`."""
    if value is None or isinstance(value, bool | int) or (isinstance(value, float) and isfinite(value)):
        return value
    text = value.hex() if isinstance(value, bytes) else str(value)
    return _cut(text, VALUE_CHARACTERS_MAX)


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[:limit]}… ({len(text)} characters)"
