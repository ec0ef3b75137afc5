"""The table names real classes, the most special one decides, and the unknown is our own bug."""

import importlib

import pytest

from protocol.errors import InvalidSignature, RequestError
from zenp2p.data_directory import MissingFile
from zenp2p.exit_codes import CODE_BY_ERROR, ExitCode, exit_code, is_expected
from zenp2p.store import StoreReadOnly


@pytest.mark.parametrize("name", CODE_BY_ERROR)
def test_every_name_is_an_error_and_has_its_code(name: str) -> None:
    module, _, kind = name.rpartition(".")
    error = getattr(importlib.import_module(module), kind)
    assert issubclass(error, Exception)
    assert exit_code(error("message")) is CODE_BY_ERROR[name]


def test_the_most_special_class_decides() -> None:
    assert exit_code(MissingFile("")) is ExitCode.NO_INPUT
    assert exit_code(RequestError("")) is ExitCode.REFUSED
    assert exit_code(InvalidSignature("")) is ExitCode.BAD_DATA
    assert exit_code(StoreReadOnly("")) is ExitCode.IO_ERROR
    assert exit_code(ConnectionRefusedError()) is ExitCode.UNAVAILABLE


def test_group_ends_as_its_first_error_unless_one_is_a_bug() -> None:
    group = ExceptionGroup("", [ExceptionGroup("", [MissingFile("")]), RequestError("")])
    assert exit_code(group) is ExitCode.NO_INPUT
    assert exit_code(ExceptionGroup("", [group, ValueError()])) is ExitCode.BUG


@pytest.mark.parametrize("error", [ValueError(), KeyError(), AssertionError(), BaseException()])
def test_unknown_errors_are_our_own_bugs(error: BaseException) -> None:
    assert exit_code(error) is ExitCode.BUG and not is_expected(error)
