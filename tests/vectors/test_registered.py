"""Every registered vector file says what the code says."""

import pytest

from tests.support.vectors import VECTORS, check_vectors
from tests.vectors.__main__ import main
from tests.vectors.registry import Generator, generators

REGISTERED = [pytest.param(*key, made, id="/".join(key)) for key, made in generators().items()]


@pytest.mark.parametrize(("topic", "case", "generator"), REGISTERED)
def test_the_file_is_what_the_code_makes(topic: str, case: str, generator: Generator) -> None:
    check_vectors(topic, case, generator())


def test_no_file_of_a_registered_topic_is_left_over() -> None:
    known = generators()
    for topic in {topic for topic, _ in known}:
        files = {path.stem for path in (VECTORS / topic).glob("*.json")}
        assert files == {case for of, case in known if of == topic}


def test_an_unknown_topic_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["no-such-topic"]) == 64
    assert "no-such-topic" in capsys.readouterr().err
