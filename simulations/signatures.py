"""Each distinct signature is really verified, but only once a run.

Answers for: seven nodes that check the same envelope pay for one check. Signing, and what is refused, stay
libsodium's: the memory holds its verdict on exactly these bytes and this key. `protocol` does not know.
Spec: `spec/simulation.md`.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from protocol import crypto


@contextmanager
def remembered_signatures() -> Iterator[None]:
    """Within this context `protocol.crypto.verify_envelope` asks libsodium once for each envelope and key."""
    really_open = crypto._sign_open
    opened: dict[tuple[bytes, bytes], bytes | Exception] = {}

    def open_once(signed: bytes, pk: bytes) -> bytes:
        place = (signed, pk)
        known = opened.get(place)
        if known is None:
            try:
                known = really_open(signed, pk)
            except (crypto._BAD_SIGNATURE, ValueError) as error:
                known = error
            opened[place] = known
        if isinstance(known, Exception):
            raise known
        return known

    crypto._sign_open = open_once
    try:
        yield
    finally:
        crypto._sign_open = really_open
