"""Host names: one spelling, and none that a resolver takes for an address."""

import ipaddress
import socket
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.tracking.hostname import is_hostname

LABEL = st.text(string.ascii_lowercase + string.digits + "-", min_size=1, max_size=63)


@pytest.mark.parametrize(
    "name",
    ["node.example.org", "a.io", "xn--bcher-kva.example", "1.2.3.example", "0x7f.com", "a" * 63 + ".org"],
)
def test_names_that_pass(name: str) -> None:
    assert is_hostname(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "localhost",
        "example.org.",
        ".example.org",
        "a..b",
        "Example.org",
        "bücher.example",
        "a_b.example",
        "-a.example",
        "a-.example",
        "a.-b",
        "a b.example",
        "a.example\n",
        "a.example/x",
        "a.example:443",
        "a@b.example",
        "127.0.0.1",
        "127.1",
        "0x7f.1",
        "0x7f.0x1",
        "2130706433",
        "017700000001",
        "[::1]",
        "::1",
        "a" * 64 + ".org",
        "a." * 126 + "ab",
        "\x1b[31m.org",
        "１２７.org",
    ],
)
def test_names_that_do_not(name: str) -> None:
    assert not is_hostname(name)


def test_the_longest_name() -> None:
    name = "a." * 126 + "b"
    assert len(name) == 253
    assert is_hostname(name)


@given(st.lists(LABEL, min_size=1, max_size=4).map(".".join))
def test_no_accepted_name_is_an_address(name: str) -> None:
    if is_hostname(name):
        with pytest.raises(ValueError):
            ipaddress.ip_address(name)
        with pytest.raises(OSError):
            socket.inet_aton(name)


@given(st.integers(0, 2**32 - 1), st.sampled_from(["%d", "0x%x", "0%o"]))
def test_no_spelling_of_a_number_is_a_name(number: int, form: str) -> None:
    for parts in range(4):
        heads = [form % (number >> 24 - 8 * at & 0xFF) for at in range(parts)]
        rest = form % (number & (1 << 32 - 8 * parts) - 1)
        spelling = ".".join([*heads, rest])
        socket.inet_aton(spelling)
        assert not is_hostname(spelling)
