"""Which format the index in a store has, and what becomes of an older one.

Answers for: an index of another format is never read. It is a function of the chain's
blocks, so an older one is removed, and following the chain builds it anew; a newer one is
refused, for an older program must not destroy it. Removing may be cut off at any moment:
the head goes first and the format last, and the next opening goes on. Spec: `spec/index.md`.
"""

import logging

from zenp2p.chain.index_records import FORMAT, FORMAT_KEY, HEAD_KEY, INDEX_PREFIX
from zenp2p.ports import Store, StoreError

log = logging.getLogger(__name__)

REMOVED_AT_ONCE = 10_000
"""Records in one batch while an older index is removed."""
_FORMAT_SIZE = 4


def encode_format() -> bytes:
    """Return the record of this program's format."""
    return FORMAT.to_bytes(_FORMAT_SIZE, "big")


def remove_older_format(store: Store) -> None:
    """Remove what an older program indexed; raises `StoreError` for the index of a newer one."""
    data = store.get(FORMAT_KEY)
    found = int.from_bytes(data, "big") if data is not None else 0
    if found > FORMAT:
        raise StoreError(f"the chain's index in the store has format {found}, this program reads {FORMAT}")
    if found < FORMAT and next(store.iterate(INDEX_PREFIX), None) is not None:
        log.warning("the chain's index is built anew", extra={"format": found, "new_format": FORMAT})
        _remove_all(store)


def _remove_all(store: Store) -> None:
    batch: list[tuple[bytes, bytes | None]] = [(HEAD_KEY, None)]
    for key, _ in store.iterate(INDEX_PREFIX):
        if key != FORMAT_KEY:
            batch.append((key, None))
        if len(batch) >= REMOVED_AT_ONCE:
            store.write(batch, sync=False)
            batch = []
    store.write([*batch, (FORMAT_KEY, None)], sync=False)
