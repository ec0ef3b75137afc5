"""Where something on this machine listens, as people write it.

Answers for: one reading of `<loopback ip>:<port>` for the configuration and for who
connects there. Spec: `spec/config.md`.
"""

from ipaddress import ip_address

from protocol.errors import RequestError


def parse_loopback(place: str) -> tuple[str, int]:
    """Return address and port; raises `RequestError`.

    A name is refused: what it resolves to is not ours to decide.
    """
    host, _, port = place.rpartition(":")
    host = host.strip("[]")
    try:
        is_here = ip_address(host).is_loopback
        if not (port.isascii() and port.isdigit() and 0 < int(port) <= 0xFFFF):
            raise ValueError(port)
    except ValueError:
        raise RequestError(f"{place!r} is not <loopback ip>:<port>") from None
    if not is_here:
        raise RequestError(f"{host} is another machine; the node runs beside the daemon, on loopback")
    return host, int(port)
