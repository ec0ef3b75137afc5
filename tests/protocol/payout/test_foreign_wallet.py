"""A second wallet, written from spec/wallet.md with nothing of the project in it.

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
from protocol.payout.light import (
    TrustPoint,
    trust_from_file,
    trust_from_genesis,
    trust_from_list,
    verify_file,
)
from tests.support.vectors import load_vectors

STORY = load_vectors("wallet", "story")
REFUSED = load_vectors("wallet", "refused")
GENESIS = bytes.fromhex(STORY["genesis"])
LISTS = [bytes.fromhex(one["list_file"]) for one in STORY["lists"]]
ADDRESS_FILES = [
    [(bytes.fromhex(one["file"]), one["shows"]) for one in each["address_files"]] for each in STORY["lists"]
]


class Refused(Exception):
    """The foreign wallet's only error; its text is the step that failed."""


def need(condition: bool, step: str) -> None:
    if not condition:
        raise Refused(step)


def h(*parts: bytes) -> bytes:
    return hashlib.sha3_256(b"".join(parts)).digest()


def pack(value: object) -> bytes:
    return bytes(msgpack.packb(value, use_bin_type=True))


def unpack(data: bytes) -> Any:
    try:
        value = msgpack.unpackb(data, raw=False, use_list=True, strict_map_key=True)
    except Exception as error:
        raise Refused("form") from error
    need(pack(value) == data, "form")
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
    need(0 <= index < size, "lines")
    for sibling in proof:
        need(last > 0, "lines")
        if at & 1 or at == last:
            node = h(b"\x01", sibling, node)
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            node = h(b"\x01", node, sibling)
        at, last = at >> 1, last >> 1
    need(last == 0, "lines")
    return node


U8, U32, U64 = 0xFF, 0xFFFF_FFFF, 0x7FFF_FFFF_FFFF_FFFF
FORMS: dict[str, Any] = {
    "list-file": ["list-file", 32, "header", ["entry"], ["member"], "certificate"],
    "address-file": ["address-file", 32, "header", ["line"], ["voter"], "certificate"],
    "header": ["list", 32, U32, U32, U32, 32, 32, ["head"], [32], U64, U64, U32, U64, U64, U64]
    + [100_000, 32, U32, 32, 32],
    "head": [str, U64, 32],
    "entry": [21, U32, U64],
    "member": [32, U8, 32, str, U64],
    "voter": [32, U8],
    "line": [U32, "entry", [32]],
    "certificate": [U32, bytes, bytes],
}
"""Fields of every value: bytes of so many, integers up to so much, a text, a value, or [a value] for many."""
SIZES = (21, 32)


def fits(value: Any, form: Any) -> bool:
    """Whether an untyped value has a form of the table."""
    if form in (str, bytes):
        return type(value) is form and len(value) <= (253 if form is str else 8192 * 64)
    if type(form) is int:
        if form in SIZES:
            return type(value) is bytes and len(value) == form
        return type(value) is int and 0 <= value <= form
    if type(form) is list:
        return type(value) is list and all(fits(one, form[0]) for one in value)
    fields = FORMS[form]
    if type(value) is not list or len(value) != len(fields):
        return False
    for one, field in zip(value, fields, strict=True):
        is_tag = type(field) is str and field not in FORMS or field in ("list-file", "address-file")
        if one != field if is_tag else not fits(one, field):
            return False
    return True


def partition(prefixes: list[str]) -> bool:
    """Whether sorted strings of bits divide the name space between them."""
    nested = any(after.startswith(one) for one, after in zip(prefixes, prefixes[1:], strict=False))
    return not nested and sum(2 ** (300 - len(prefix)) for prefix in prefixes) == 2**300


def begins_with(name: bytes, prefix: str) -> bool:
    return bin(int.from_bytes(b"\x01" + name, "big"))[3:].startswith(prefix)


class Wallet:
    """A trust point that moves on."""

    def __init__(self, genesis: bytes) -> None:
        tag, _, parameters, chain, _, _, _, first_challenge, carried, members = unpack(genesis)
        need(tag == "genesis", "form")
        self.network = h(genesis)
        self.period_blocks = parameters[5]
        self.subsidy, self.interval, self.slow_start, self.share = chain[5:9]
        self.period = first_challenge // self.period_blocks
        self.previous, self.carried = self.network, carried
        self.ages = {key: age for key, age, _ in members}

    @classmethod
    def kept(cls, trust_file: bytes) -> "Wallet":
        """Return the wallet that goes on from a trust file."""
        tag, genesis, header, voters = unpack(trust_file)
        need(tag == "trust" and fits(header, "header") and fits(voters, ["voter"]), "form")
        wallet = cls(genesis)
        need(header[1] == wallet.network, "network")
        wallet.check_voters(header, voters)
        wallet.move_on(header, dict(voters))
        return wallet

    def reward(self, height: int) -> int:
        if height == 0:
            return 0
        assert height >= self.slow_start, "not needed for these vectors"
        halvings = (height - self.slow_start // 2) // self.interval
        return int((self.subsidy >> halvings) * self.share // 1000)

    def check_form(self, value: Any, kind: str) -> None:
        """Step 1: the fields' types, and what a value must be before anything is looked up for it."""
        need(fits(value, kind), "form")
        header, certificate = value[2], value[-1]
        prefixes = [prefix for prefix, _, _ in header[7]]
        need(prefixes == sorted(set(prefixes)) and not "".join(prefixes).strip("01"), "form")
        need(bool(prefixes) and partition(prefixes), "form")
        need(len(prefixes) <= 1024 and len(set(header[8])) == len(header[8]) <= 16384, "form")
        need(len(certificate[2]) == 64 * sum(byte.bit_count() for byte in certificate[1]), "form")
        need(len(certificate[1]) <= 1024, "form")
        if kind == "list-file":
            need(len(value[3]) <= 100_000 and len(value[4]) <= 10_000, "form")
            need(all(len(prefix) <= 247 and not prefix.strip("01") for *_, prefix, _ in value[4]), "form")
            need(all(begins_with(name, prefix) for _, _, name, prefix, _ in value[4]), "form")
        else:
            need(len(value[3]) <= 200 and len(value[4]) <= 10_000, "form")
            need(all(len(proof) <= 32 for *_, proof in value[3]), "form")
            need(all(age > 0 for _, age in value[4]), "form")

    def check_header(self, network: bytes, header: list[Any]) -> None:
        """Steps 2 to 4."""
        need(network == header[1] == self.network, "network")
        period, first, last, previous = header[2], header[3], header[4], header[6]
        rewards, carried_in, responses, each, carried_out, paid = header[9:15]
        need((period, previous) == (self.period, self.previous), "place")
        need((first, last) == (period * self.period_blocks, (period + 1) * self.period_blocks - 1), "place")
        need(rewards == sum(map(self.reward, range(first, last + 1))) and carried_in == self.carried, "sums")
        pool = rewards + carried_in
        need(each == (pool // responses if responses else 0), "sums")
        need(paid == each * responses and paid + carried_out == pool, "sums")

    def check_entry(self, header: list[Any], entry: list[Any], step: str) -> None:
        address, responses, amount = entry
        need(address[0] == 0 and responses > 0 and amount == responses * header[12], step)

    def check_entries(self, header: list[Any], entries: list[Any]) -> None:
        """Step 5 of a list file."""
        addresses = [address for address, _, _ in entries]
        need(addresses == sorted(set(addresses)), "entries")
        need(sum(amount for _, _, amount in entries) == header[14], "entries")
        need((sum(n for _, n, _ in entries), len(entries)) == (header[11], header[15]), "entries")
        for entry in entries:
            self.check_entry(header, entry, "entries")
        need(root([pack(entry) for entry in entries]) == header[16], "entries")

    def check_members(self, header: list[Any], members: list[Any]) -> dict[bytes, int]:
        """Step 6 of a list file."""
        keys = [member[0] for member in members]
        need(keys == sorted(set(keys)) and len(keys) == header[17], "members")
        need(root([pack(member) for member in members]) == header[18], "members")
        need({member[3] for member in members} <= {head[0] for head in header[7]}, "members")
        voters = [member[:2] for member in members if member[1] > 0]
        need(root([pack(voter) for voter in voters]) == header[19], "members")
        return dict(voters)

    def check_lines(self, header: list[Any], lines: list[Any]) -> None:
        """Step 5 of an address file."""
        for places in ([index for index, _, _ in lines], [entry[0] for _, entry, _ in lines]):
            need(places == sorted(set(places)), "lines")
        for index, entry, proof in lines:
            self.check_entry(header, entry, "lines")
            need(climb(pack(entry), index, header[15], proof) == header[16], "lines")

    def check_voters(self, header: list[Any], voters: list[Any]) -> None:
        """Step 6 of an address file."""
        keys = [key for key, _ in voters]
        need(keys == sorted(set(keys)) and root([pack(voter) for voter in voters]) == header[19], "voters")

    def check_certificate(self, header: list[Any], certificate: list[Any]) -> None:
        """Step 7."""
        round_number, bits, blob = certificate
        list_hash = h(pack(header))
        need(len(bits) == (len(self.ages) + 7) // 8, "certificate")
        spelled = bin(int.from_bytes(b"\x01" + bits, "big"))[3:]
        need("1" not in spelled[len(self.ages) :], "certificate")
        voters = [voter for voter, bit in zip(sorted(self.ages), spelled, strict=False) if bit == "1"]
        need(len(voters) * 3 > 2 * len(self.ages), "certificate")
        need(sum(self.ages[voter] for voter in voters) * 3 > 2 * sum(self.ages.values()), "certificate")
        for at, voter in enumerate(voters):
            body = pack(["vote", self.network, "list", self.period, round_number, 2, list_hash, voter])
            try:
                crypto_sign_open(blob[64 * at : 64 * at + 64] + body, voter)
            except BadSignatureError as error:
                raise Refused("certificate") from error

    def move_on(self, header: list[Any], ages: dict[bytes, int]) -> None:
        self.period, self.previous, self.carried = header[2] + 1, h(pack(header)), header[13]
        self.ages = ages

    def take(self, file: bytes) -> Any:
        """Verify the next list, move on, and return its entries; of an address file, its lines."""
        value = unpack(file)
        is_address_file = type(value) is list and value[:1] == ["address-file"]
        self.check_form(value, "address-file" if is_address_file else "list-file")
        header, certificate = value[2], value[-1]
        self.check_header(value[1], header)
        if is_address_file:
            shown = [value[3], header[15]]
            self.check_lines(header, value[3])
            self.check_voters(header, value[4])
            ages = dict(value[4])
        else:
            shown = value[3]
            self.check_entries(header, shown)
            ages = self.check_members(header, value[4])
        self.check_certificate(header, certificate)
        self.move_on(header, ages)
        return shown


def amount(lines: list[Any], count: int, address: bytes) -> int | None:
    """Return what the lines of an address file show of an address, None for nothing."""
    before, after = -1, count
    for index, (owner, _, paid), _ in lines:
        if owner == address:
            return int(paid)
        before, after = (index, after) if owner < address else (before, min(after, index))
    return 0 if before + 1 == after else None


def wallet_after(count: int) -> Wallet:
    """Return a wallet that followed so many lists."""
    wallet = Wallet(GENESIS)
    for file in LISTS[:count]:
        wallet.take(file)
    return wallet


def trust_after(count: int) -> TrustPoint:
    """Return our own wallet's trust point after so many lists."""
    trust = trust_from_genesis(GENESIS)
    for file in LISTS[:count]:
        trust = trust_from_list(verify_file(file, trust))
    return trust


def test_the_foreign_wallet_follows_the_lists() -> None:
    wallet = Wallet(GENESIS)
    for file, told in zip(LISTS, STORY["lists"], strict=True):
        entries = [[address.hex(), responses, amount] for address, responses, amount in wallet.take(file)]
        assert entries == told["entries"]
        assert wallet.previous.hex() == told["list_hash"]
        assert [[key.hex(), age] for key, age in wallet.ages.items()] == told["voters_after"]
        assert wallet.carried == told["carried_after"]
        assert vars(Wallet.kept(bytes.fromhex(told["trust_file"]))) == vars(wallet)


def test_the_foreign_wallet_follows_address_files_alone() -> None:
    for number in range(len(ADDRESS_FILES[0])):
        wallet = Wallet(GENESIS)
        for files, told in zip(ADDRESS_FILES, STORY["lists"], strict=True):
            file, shows = files[number]
            lines, count = wallet.take(file)
            assert {one: amount(lines, count, bytes.fromhex(one)) for one in shows} == shows
            assert wallet.previous.hex() == told["list_hash"]


@pytest.mark.parametrize("case", REFUSED["cases"], ids=lambda case: case["name"])
def test_the_foreign_wallet_refuses_at_the_same_step(case: dict[str, Any]) -> None:
    wallet = wallet_after(case["after"])
    with pytest.raises(Refused) as caught:
        wallet.take(bytes.fromhex(case["file"]))
    assert str(caught.value) == case["step"]


def test_the_foreign_wallet_refuses_a_foreign_genesis() -> None:
    with pytest.raises(Refused, match="network"):
        Wallet(bytes.fromhex(REFUSED["foreign_genesis"])).take(LISTS[0])


FILES = [LISTS[1], ADDRESS_FILES[1][0][0], ADDRESS_FILES[1][2][0]]


@given(st.data())
def test_both_wallets_agree_about_every_mutation(data: st.DataObject) -> None:
    """One byte changed, doubled or left out: refused by both."""
    file = data.draw(st.sampled_from(FILES))
    at = data.draw(st.integers(0, len(file) - 1))
    middle = data.draw(st.binary(max_size=2))
    mutated = file[:at] + middle + file[at + 1 :]
    ours = theirs = True
    try:
        verify_file(mutated, trust_after(1))
    except ProtocolError:
        ours = False
    try:
        wallet_after(1).take(mutated)
    except Refused:
        theirs = False
    assert ours == theirs == (mutated == file)


@given(st.data())
def test_both_wallets_agree_about_every_changed_trust_file(data: st.DataObject) -> None:
    """Nobody signed it; but a byte that would make its voters others than the list's is seen."""
    file = bytes.fromhex(STORY["lists"][0]["trust_file"])
    mutated = bytearray(file)
    mutated[data.draw(st.integers(0, len(file) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        ours: object = trust_from_file(bytes(mutated)).terms.previous
    except ProtocolError:
        ours = None
    try:
        theirs: object = Wallet.kept(bytes(mutated)).previous
    except (Refused, ValueError, TypeError, IndexError):
        theirs = None
    assert ours == theirs
