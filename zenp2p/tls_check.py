"""Whether a registered TLS host shows a certificate that is valid for its name.

Answers for: one handshake at the address where the operator was reached, from our own address, under
a deadline; the name is the registered one, so no resolver is asked and none can mislead. Any
failure is an answer (no), never an error. What follows from it is `protocol.tracking.verdict`'s business.
Spec: `spec/response.md`.
"""

import logging
import ssl
from functools import cached_property
from ipaddress import ip_address
from pathlib import Path

import trio

from zenp2p.ports import Endpoint

log = logging.getLogger(__name__)

SECONDS_MAX = 7
"""From the first packet to the end of the handshake: as long as a dial-back may take with its dialling."""


class TlsCheck:
    """Checks certificates against the authorities of this machine, or those of one PEM file."""

    def __init__(
        self, local_ip: bytes, authorities: Path | None = None, seconds: float = SECONDS_MAX
    ) -> None:
        """`local_ip` is our packed address; where it stands for all addresses the system chooses one."""
        self._local = ip_address(local_ip)
        self._authorities = authorities
        self._seconds = seconds

    @cached_property
    def _context(self) -> ssl.SSLContext:
        """What a browser would demand; made at the first use, since the authorities take megabytes."""
        return ssl.create_default_context(cafile=self._authorities)

    async def is_valid(self, endpoint: Endpoint, fqdn: str) -> bool:
        """Whether `endpoint` completes a handshake with a certificate for `fqdn` that is valid now."""
        try:
            with trio.fail_after(self._seconds):
                await self._shake_hands(endpoint, fqdn)
        except (OSError, trio.BrokenResourceError, trio.TooSlowError) as error:
            log.debug("no valid TLS host", extra={"fqdn": fqdn, "error": str(error.__cause__ or error)})
            return False
        return True

    async def _shake_hands(self, endpoint: Endpoint, fqdn: str) -> None:
        remote = ip_address(endpoint.ip)
        same_family = remote.version == self._local.version and not self._local.is_unspecified
        local = str(self._local) if same_family else None
        stream = await trio.open_tcp_stream(str(remote), endpoint.port, local_address=local)
        async with stream:
            await trio.SSLStream(stream, self._context, server_hostname=fqdn).do_handshake()
