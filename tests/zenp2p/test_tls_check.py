"""TLS hosts with certificates of an authority of the test's own, over real loopback sockets."""

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trio
import trustme

from zenp2p.ports import Endpoint
from zenp2p.tls_check import TlsCheck

NAME = "node.example.org"
LOOPBACK = b"\x7f\x00\x00\x01"
OURS = b"\x7f\x00\x00\x4d"
Serve = Callable[[trio.SocketStream], Awaitable[None]]


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def check(authority: trustme.CA, tmp_path: Path) -> TlsCheck:
    path = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(path))
    return TlsCheck(OURS, path, seconds=5)


@asynccontextmanager
async def serving(serve: Serve) -> AsyncIterator[Endpoint]:
    """Listen on loopback and serve every connection."""
    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, serve, [listener])
        yield Endpoint(LOOPBACK, listener.socket.getsockname()[1])
        nursery.cancel_scope.cancel()


def host_with(certificate: trustme.LeafCert, seen: list[str] | None = None) -> Serve:
    """Return a TLS host that shows `certificate`; `seen` notes who came and what name was asked for."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    certificate.configure_cert(context)

    def note_name(_: ssl.SSLObject, name: str | None, __: ssl.SSLContext) -> None:
        if seen is not None and name is not None:
            seen.append(name)

    context.sni_callback = note_name

    async def serve(stream: trio.SocketStream) -> None:
        if seen is not None:
            seen.append(stream.socket.getpeername()[0])
        try:
            await trio.SSLStream(stream, context, server_side=True).do_handshake()
        except trio.BrokenResourceError:
            await stream.aclose()

    return serve


async def test_a_certificate_for_the_name_by_a_known_authority_is_valid(
    check: TlsCheck, authority: trustme.CA
) -> None:
    seen: list[str] = []
    async with serving(host_with(authority.issue_cert(NAME), seen)) as endpoint:
        assert await check.is_valid(endpoint, NAME)
    assert seen == ["127.0.0.77", NAME]  # from our own address, and asked for by name


async def test_another_name_is_not_enough(check: TlsCheck, authority: trustme.CA) -> None:
    async with serving(host_with(authority.issue_cert("other.example.org", "127.0.0.1"))) as endpoint:
        assert not await check.is_valid(endpoint, NAME)


async def test_an_unknown_authority_is_not_enough(check: TlsCheck) -> None:
    async with serving(host_with(trustme.CA().issue_cert(NAME))) as endpoint:
        assert not await check.is_valid(endpoint, NAME)


async def test_the_machines_own_authorities_do_not_know_the_tests(authority: trustme.CA) -> None:
    async with serving(host_with(authority.issue_cert(NAME))) as endpoint:
        assert not await TlsCheck(OURS).is_valid(endpoint, NAME)


async def test_a_certificate_that_has_run_out_is_not_enough(check: TlsCheck, authority: trustme.CA) -> None:
    long_ago = datetime.now(UTC) - timedelta(days=3)
    expired = authority.issue_cert(NAME, not_before=long_ago, not_after=long_ago + timedelta(days=1))
    async with serving(host_with(expired)) as endpoint:
        assert not await check.is_valid(endpoint, NAME)


async def test_who_speaks_no_tls_vanishes_or_is_not_there_is_not_valid(check: TlsCheck) -> None:
    async def babble(stream: trio.SocketStream) -> None:
        await stream.send_all(b"HTTP/1.1 200 OK\r\n\r\n" * 50)
        await stream.aclose()

    async def vanish(stream: trio.SocketStream) -> None:
        await stream.aclose()

    for serve in (babble, vanish):
        async with serving(serve) as endpoint:
            assert not await check.is_valid(endpoint, NAME)
    assert not await check.is_valid(endpoint, NAME)  # nobody listens there any more


async def test_who_stalls_is_given_up(authority: trustme.CA) -> None:
    async def stall(_: trio.SocketStream) -> None:
        await trio.sleep_forever()

    async with serving(stall) as endpoint:
        assert not await TlsCheck(OURS, seconds=0.05).is_valid(endpoint, NAME)


async def test_where_we_listen_everywhere_the_system_chooses_the_address(
    authority: trustme.CA, tmp_path: Path
) -> None:
    path = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(path))
    for local in (bytes(4), bytes(16)):
        async with serving(host_with(authority.issue_cert(NAME))) as endpoint:
            assert await TlsCheck(local, path).is_valid(endpoint, NAME)
