"""A second wallet, written from spec/payout_list.md with nothing of the project in it.

It reads untyped MessagePack, walks the arrays by position and decides by itself. If it and
`protocol.payout.light` disagree about a vector or a mutation, page or code is wrong.
"""

import hashlib
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl.bindings import crypto_sign_open
from nacl.exceptions import BadSignatureError

from protocol.errors import ProtocolError
from protocol.payout.light import trust_from_genesis, verify_entry, verify_list
from tests.support.vectors import load_vectors

VECTORS = load_vectors("payout", "light")
GENESIS = bytes.fromhex(VECTORS["genesis"])
LISTS = [bytes.fromhex(file) for file in VECTORS["lists"]]
PROOF = bytes.fromhex(VECTORS["entry_proof"])


class Refused(Exception):
    """The foreign wallet's only error."""


def need(condition: bool, what: str) -> None:
    if not condition:
        raise Refused(what)


def h(*parts: bytes) -> bytes:
    return hashlib.sha3_256(b"".join(parts)).digest()


def pack(value: object) -> bytes:
    return bytes(msgpack.packb(value, use_bin_type=True))


def unpack(data: bytes) -> Any:
    try:
        value = msgpack.unpackb(data, raw=False, use_list=True, strict_map_key=True)
    except Exception as error:
        raise Refused("not MessagePack") from error
    need(pack(value) == data, "not canonical")
    return value


def root(leaves: list[bytes]) -> bytes:
    if not leaves:
        return h()
    if len(leaves) == 1:
        return h(b"\x00", leaves[0])
    half = 1
    while half * 2 < len(leaves):
        half *= 2
    return h(b"\x01", root(leaves[:half]), root(leaves[half:]))


def climb(leaf: bytes, index: int, size: int, proof: list[bytes]) -> bytes:
    """Follow RFC 9162's way of verifying an inclusion proof."""
    node, at, last = h(b"\x00", leaf), index, size - 1
    need(0 <= index < size, "index")
    for sibling in proof:
        need(last > 0 and len(sibling) == 32, "proof too long")
        if at & 1 or at == last:
            node = h(b"\x01", sibling, node)
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            node = h(b"\x01", node, sibling)
        at, last = at >> 1, last >> 1
    need(last == 0, "proof too short")
    return node


class Wallet:
    """A trust point that moves on."""

    def __init__(self, genesis: bytes) -> None:
        tag, _, parameters, chain, _, _, _, first_challenge, carried, members = unpack(genesis)
        need(tag == "genesis", "no genesis")
        self.network = h(genesis)
        self.period_blocks = parameters[5]
        self.subsidy, self.interval, self.slow_start, self.share = chain[5:9]
        self.period = first_challenge // self.period_blocks
        self.previous, self.carried = self.network, carried
        self.ages = {key: age for key, age, _ in members}

    def reward(self, height: int) -> int:
        if height == 0:
            return 0
        need(height >= self.slow_start, "not needed for these vectors")
        halvings = (height - self.slow_start // 2) // self.interval
        return int((self.subsidy >> halvings) * self.share // 1000)

    def check_header(self, header: list[Any]) -> None:
        need(len(header) == 20 and header[0] == "list", "no header")
        (_, network, period, first, last, last_hash, previous, heads, blocks) = header[:9]
        rewards, carried_in, responses, each, carried_out, paid = header[9:15]
        numbers = [period, first, last, *header[9:16], header[17]]
        need(all(type(number) is int and number >= 0 for number in numbers), "numbers")
        need(all(type(x) is bytes and len(x) == 32 for x in (last_hash, *blocks)), "hashes")
        need(len(set(blocks)) == len(blocks), "blocks")
        prefixes = [prefix for prefix, _, _ in heads]
        need(bool(heads) and prefixes == sorted(set(prefixes)) and not "".join(prefixes).strip("01"), "heads")
        need(all(type(n) is int and n >= 0 and len(x) == 32 for _, n, x in heads), "heads")
        need((network, period, previous) == (self.network, self.period, self.previous), "place")
        need((first, last) == (period * self.period_blocks, (period + 1) * self.period_blocks - 1), "heights")
        need(rewards == sum(map(self.reward, range(first, last + 1))) and carried_in == self.carried, "pool")
        pool = rewards + carried_in
        need(each == (pool // responses if responses else 0), "price")
        need(paid == each * responses and paid + carried_out == pool, "sums")

    def check_certificate(self, header: list[Any], certificate: list[Any]) -> None:
        round_number, bits, blob = certificate
        list_hash = h(pack(header))
        need(len(bits) == (len(self.ages) + 7) // 8, "bits")
        spelled = bin(int.from_bytes(b"\x01" + bits, "big"))[3:]
        need("1" not in spelled[len(self.ages) :], "bits left over")
        voters = [voter for voter, bit in zip(sorted(self.ages), spelled, strict=False) if bit == "1"]
        need(len(blob) == 64 * len(voters), "signatures")
        signatures = [(voter, blob[64 * at : 64 * at + 64]) for at, voter in enumerate(voters)]
        need(len(voters) * 3 > 2 * len(self.ages), "heads")
        need(sum(self.ages[voter] for voter in voters) * 3 > 2 * sum(self.ages.values()), "age")
        for voter, signature in signatures:
            body = pack(["vote", self.network, "list", self.period, round_number, 2, list_hash, voter])
            try:
                crypto_sign_open(signature + body, voter)
            except BadSignatureError as error:
                raise Refused("signature") from error

    def take(self, file: bytes) -> list[Any]:
        """Verify the next list, move on, and return its entries."""
        value = unpack(file)
        need(type(value) is list and len(value) == 6 and value[0] == "list-file", "no list file")
        _, network, header, entries, members, certificate = value
        try:
            need(network == self.network, "network")
            self.check_header(header)
            each, paid, entries_root, members_root = header[12], header[14], header[16], header[18]
            voters_root = header[19]
            addresses = [address for address, _, _ in entries]
            need(addresses == sorted(set(addresses)), "order")
            need(all(len(a) == 21 and a[0] == 0 and n > 0 and x == n * each for a, n, x in entries), "entry")
            need(sum(amount for _, _, amount in entries) == paid, "paid")
            need((sum(n for _, n, _ in entries), len(entries)) == (header[11], header[15]), "counts")
            need(root([pack(entry) for entry in entries]) == entries_root, "entries root")
            keys = [member[0] for member in members]
            need(keys == sorted(set(keys)) and len(keys) == header[17], "members")
            need(root([pack(member) for member in members]) == members_root, "members root")
            voters = [pack([member[0], member[1]]) for member in members if member[1] > 0]
            need(root(voters) == voters_root, "voters root")
            self.check_certificate(header, certificate)
        except (TypeError, ValueError, IndexError, AttributeError) as error:
            raise Refused("of another form") from error
        self.period, self.previous, self.carried = self.period + 1, h(pack(header)), header[13]
        self.ages = {member[0]: member[1] for member in members if member[1] > 0}
        return list(entries)

    def prove(self, data: bytes) -> list[Any]:
        """Verify one line of the next list."""
        _, header, certificate, entry, index, proof = unpack(data)
        self.check_header(header)
        need(entry[2] == entry[1] * header[12], "amount")
        need(climb(pack(entry), index, header[15], proof) == header[16], "proof")
        self.check_certificate(header, certificate)
        return list(entry)


def test_the_foreign_wallet_follows_the_lists() -> None:
    wallet = Wallet(GENESIS)
    trust = trust_from_genesis(GENESIS)
    entries = wallet.take(LISTS[0])
    assert entries == [[e.address, e.responses, e.amount] for e in verify_list(LISTS[0], trust).entries]
    assert wallet.previous.hex() == VECTORS["list_hashes"][0]
    wallet.take(LISTS[1])
    assert wallet.previous.hex() == VECTORS["list_hashes"][1]


def test_the_foreign_wallet_follows_the_proof() -> None:
    entry = verify_entry(PROOF, trust_from_genesis(GENESIS)).entry
    assert Wallet(GENESIS).prove(PROOF) == [entry.address, entry.responses, entry.amount]


@pytest.mark.parametrize("reason", sorted(VECTORS["refused"]))
def test_the_foreign_wallet_refuses_what_must_be_refused(reason: str) -> None:
    with pytest.raises(Refused):
        Wallet(GENESIS).take(bytes.fromhex(VECTORS["refused"][reason]))


@given(st.data())
def test_both_wallets_agree_about_every_mutation(data: st.DataObject) -> None:
    """One byte changed, doubled or left out: refused by both."""
    at = data.draw(st.integers(0, len(LISTS[0]) - 1))
    middle = data.draw(st.binary(max_size=2))
    mutated = LISTS[0][:at] + middle + LISTS[0][at + 1 :]
    ours = theirs = True
    try:
        verify_list(mutated, trust_from_genesis(GENESIS))
    except ProtocolError:
        ours = False
    try:
        Wallet(GENESIS).take(mutated)
    except Refused:
        theirs = False
    assert ours == theirs == (mutated == LISTS[0])
