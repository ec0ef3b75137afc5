"""One event is one line of printable ASCII that parses, whatever stands in it."""

import json
import logging
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from zenp2p import logs
from zenp2p.logs import JsonLines, configure_logging


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level, raising = list(root.handlers), root.level, logging.raiseExceptions
    yield
    for handler in set(root.handlers) - set(handlers):
        root.removeHandler(handler)
        handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.raiseExceptions = raising


def _line(message: str, *arguments: object, **extra: object) -> str:
    record = logging.getLogger("zenp2p.test").makeRecord(
        "zenp2p.test", logging.WARNING, "file", 1, message, arguments, None, extra=extra
    )
    return JsonLines().format(record)


@example("\x7f\x00\n", "\x9b\u202e\u2028\x7f", b"\x1b")
@given(st.text(), st.text(), st.binary())
def test_no_text_breaks_a_line_or_reaches_a_terminal(message: str, text: str, data: bytes) -> None:
    line = _line("%s", message, text=text, data=data)
    assert line.isascii() and line.isprintable()
    parsed = json.loads(line)
    assert parsed["event"] == message and parsed["text"] == text and parsed["data"] == data.hex()


def test_line_says_when_how_bad_and_where() -> None:
    parsed: dict[str, Any] = json.loads(_line("not sent", peer=b"\x01", tries=3, final=True, why=None))
    assert parsed.pop("time").endswith("Z")
    assert parsed == {
        "level": "warning",
        "logger": "zenp2p.test",
        "event": "not sent",
        "peer": "01",
        "tries": 3,
        "final": True,
        "why": None,
    }


def test_field_cannot_take_the_place_of_ours() -> None:
    parsed = json.loads(_line("real", event="forged", level="debug"))
    assert (parsed["event"], parsed["level"]) == ("real", "warning")
    assert (parsed["event_"], parsed["level_"]) == ("forged", "debug")


def test_long_values_and_many_fields_are_cut() -> None:
    line = _line("x" * 5_000, **{f"field{number}": "y" * 5_000 for number in range(100)})
    assert len(line) < (logs.FIELDS_MAX + 1) * (logs.VALUE_CHARACTERS_MAX + 100)
    assert json.loads(line)["event"].endswith("(5000 characters)")


def test_not_a_number_is_still_json() -> None:
    parsed = json.loads(_line("odd", low=float("-inf"), none=float("nan")), parse_constant=pytest.fail)
    assert (parsed["low"], parsed["none"]) == ("-inf", "nan")


def test_traceback_is_a_field_of_the_same_line(tmp_path: Path) -> None:
    configure_logging("info", tmp_path / "log")
    try:
        raise KeyError("\x1b[31mred")
    except KeyError:
        logging.getLogger("zenp2p.test").exception("a bug")
    [line] = (tmp_path / "log").read_text().splitlines()
    assert line.isprintable() and "KeyError" in json.loads(line)["traceback"]


def test_file_is_the_owners_alone_also_after_rotation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "FILE_BYTES_MAX", 1_000)
    configure_logging("info", tmp_path / "log")
    for number in range(50):
        logging.getLogger("zenp2p.test").info("event", extra={"number": number})
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["log", *(f"log.{number}" for number in range(1, logs.FILES_KEPT + 1))]
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}


def test_level_is_kept_and_chatty_libraries_are_quiet(tmp_path: Path) -> None:
    configure_logging("info", tmp_path / "log")
    logging.getLogger("zenp2p.test").debug("not this")
    logging.getLogger("libp2p.anything").info("nor this")
    logging.getLogger("libp2p.anything").warning("this")
    assert [json.loads(line)["event"] for line in (tmp_path / "log").read_text().splitlines()] == ["this"]
