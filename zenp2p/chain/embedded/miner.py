"""Making blocks: a template from the chain and the pool, and the search for its nonce.

Answers for: a block that every node accepts, mined in slices of a bounded number of
hashes, so that whoever calls stays responsive. It never mines ahead of the minimum
spacing. When to mine, and who else does, is the caller's policy (`silence`); handing
the block on is left to `sync`. Spec: `spec/embedded_chain.md`.
"""

import hashlib
from dataclasses import replace

from protocol.chain.block import Block, BlockHeader, block_hash, encode_header, merkle_root
from protocol.units import Hash32
from zenp2p.chain.embedded.chain import EmbeddedChain
from zenp2p.chain.embedded.coinbase import build_coinbase
from zenp2p.chain.embedded.definition import BLOCK_VERSION
from zenp2p.chain.embedded.mempool import Mempool

NONCES = 1 << 32
TEMPLATE_SECONDS_MAX = 30
"""Seconds after which the search goes on with a new time."""
BLOCK_ROOM = 80 + 9 + 200
"""Bytes kept free for the header, the count, and a coinbase of two outputs."""


class Miner:
    """Mines on top of the active chain, paying the 21-byte address `payee`."""

    def __init__(self, chain: EmbeddedChain, pool: Mempool, payee: bytes) -> None:
        self._chain = chain
        self._pool = pool
        self._payee = payee
        self._made_for: tuple[Hash32, int] | None = None
        self._template: Block | None = None
        self._nonce = 0
        self._extra_nonce = 0
        self._last_mined: Hash32 | None = None

    def due(self, silence: int = 0) -> int:
        """Return the Unix seconds from which `mine` tries anything on the present tip.

        On a block of our own we go on at once: whoever has taken over mines until another's block
        is the tip.
        """
        tip, spacing = self._chain.tip_record, self._chain.definition.start.minimum_spacing
        return tip.header.time + (spacing if tip.block_hash == self._last_mined else max(spacing, silence))

    def mine(self, now: int, attempts: int, silence: int = 0) -> bytes | None:
        """Try `attempts` nonces and return a raw block when one of them fits.

        `now` is Unix seconds. Nothing is tried before the minimum spacing has passed, nor before
        another's tip is `silence` seconds old: a second miner that waits longer takes over from a
        silent first one, and gives way when that one is back.
        """
        if now < self.due(silence):
            return None
        template = self._current(now)
        found = search(template.header, self._chain.definition.target, self._nonce, attempts)
        if found is not None:
            self._template = None
            header = replace(template.header, nonce=found)
            self._last_mined = block_hash(header)
            return replace(template, header=header).raw
        self._nonce += attempts
        if self._nonce >= NONCES:
            self._template, self._extra_nonce = None, self._extra_nonce + 1
        return None

    def _current(self, now: int) -> Block:
        """Return the template in work; a changed tip or pool, or an old time, asks for a new one."""
        wanted = (self._chain.tip_record.block_hash, self._pool.version)
        made = self._template
        if made is None or self._made_for != wanted or now > made.header.time + TEMPLATE_SECONDS_MAX:
            made = build_template(self._chain, self._pool, self._payee, now, self._extra_nonce)
            self._template, self._made_for, self._nonce = made, wanted, 0
        return made


def build_template(
    chain: EmbeddedChain, pool: Mempool, payee: bytes, now: int, extra_nonce: int = 0
) -> Block:
    """Return the next block of the active chain, all but its nonce; `payee` is a 21-byte address."""
    definition, tip = chain.definition, chain.tip_record
    chosen = pool.select(definition.rules.block_size_max - BLOCK_ROOM)
    fees = sum(entry.fee for entry in chosen)
    coinbase = build_coinbase(definition, tip.height + 1, fees, payee, extra_nonce)
    header = BlockHeader(
        version=BLOCK_VERSION,
        previous=tip.block_hash,
        merkle_root=merkle_root([coinbase.txid, *[entry.txid for entry in chosen]]),
        time=max(now, tip.header.time + definition.start.minimum_spacing),
        bits=definition.start.bits,
    )
    return Block(header, (coinbase, *[entry.tx for entry in chosen]))


def search(header: BlockHeader, target: int, first: int, attempts: int) -> int | None:
    """Return a nonce of `first` and the `attempts` after it that brings the hash to the target."""
    raw = encode_header(header)
    start = hashlib.sha256(raw[:64])
    tail = raw[64:76]
    for nonce in range(first, min(first + attempts, NONCES)):
        inner = start.copy()
        inner.update(tail + nonce.to_bytes(4, "little"))
        if int.from_bytes(hashlib.sha256(inner.digest()).digest(), "little") <= target:
            return nonce
    return None
