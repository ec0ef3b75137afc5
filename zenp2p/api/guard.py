"""The door of the RPC: who may ask at all, how much and how long.

Answers for: a web page cannot reach the daemon through the user's browser (Host,
Origin, content type and a secret header are all checked, none alone), another user of
the machine cannot without the cookie, and no request holds a connection longer than its deadline.
Checks come before the body is read. Reading and answering is left to `zenp2p.api.http`.
Spec: `spec/rpc.md`.
"""

import base64
import hmac
import re
from collections.abc import Sequence
from functools import lru_cache
from ipaddress import ip_address

import h11

REQUEST_SECONDS_MAX = 30
"""A whole request: body, methods and answer."""
BODY_SECONDS_MAX = 10
BODY_BYTES_MAX = 1 << 20

HOSTS_KEPT = 64
"""Host headers whose verdict is kept."""
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^:\[\]]+)(:[0-9]{1,5})?", re.ASCII | re.IGNORECASE)
Headers = Sequence[tuple[bytes, bytes]]
HEADERS: Headers = ((b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff"))
"""What every answer says."""


class Refusal(Exception):
    """An HTTP status and one line of why."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class Guard:
    """The checks of a request's head, for the cookie of this run."""

    def __init__(self, cookie: bytes) -> None:
        """`cookie` is `name:password` as in the cookie file."""
        self._credentials = base64.b64encode(cookie)

    def check(self, request: h11.Request) -> None:
        """Raise `Refusal` unless head and sender are as they must be; a repeated header's first counts."""
        headers = {name: value.decode("latin-1") for name, value in reversed(list(request.headers))}
        host = headers.get(b"host", "")
        if not is_loopback_host(host):
            raise Refusal(400, "the Host header names no loopback address")
        origin = headers.get(b"origin")
        if origin is not None and not _is_our_origin(origin, host):
            raise Refusal(403, "requests of other sites' pages are not answered")
        scheme, _, credentials = headers.get(b"authorization", "").partition(" ")
        given = credentials.strip().encode("latin-1")
        if scheme.lower() != "basic" or not hmac.compare_digest(given, self._credentials):
            raise Refusal(401, "the cookie of the data directory is needed")
        if request.target.partition(b"?")[0] != b"/":
            raise Refusal(404, "there is only /")
        if request.method != b"POST":
            raise Refusal(405, "only POST is answered")
        media_type = headers.get(b"content-type", "").partition(";")[0].strip().lower()
        if media_type != "application/json":
            raise Refusal(415, "the content type must be application/json")
        chunked = b"transfer-encoding" in headers
        if chunked and (b"content-length" in headers or request.http_version < b"1.1"):
            raise Refusal(400, "the body's length is said in two ways, or in one that HTTP/1.0 has not")
        length = headers.get(b"content-length", "0")
        if not length.isdigit() or int(length) > BODY_BYTES_MAX:
            raise Refusal(413, f"at most {BODY_BYTES_MAX} bytes are read")


@lru_cache(HOSTS_KEPT)
def is_loopback_host(host: str) -> bool:
    """Whether a Host header names this machine: a literal loopback address or `localhost`.

    Any other name could be made to lead here by whoever owns it (DNS rebinding).
    """
    match = _HOST.fullmatch(host)
    if match is None:
        return False
    name = match[1].strip("[]").lower()
    try:
        return name == "localhost" or ip_address(name).is_loopback
    except ValueError:
        return False


def _is_our_origin(origin: str, host: str) -> bool:
    return origin.lower() == f"http://{host.lower()}"
