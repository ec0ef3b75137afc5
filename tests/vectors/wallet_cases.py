"""Vectors of the light wallet: consecutive lists in both kinds of file, and ways to tamper with them.

Formats: `spec/wallet.md`. A tampered file says at which step of the check it is refused, in the page's words.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from protocol.chain.address import encode_address
from protocol.codec import encode, replace
from protocol.errors import ProtocolError, RequestError
from protocol.genesis import encode_genesis
from protocol.payout.address_file import AddressFile, decode_address_file
from protocol.payout.light import VerifiedList, encode_trust, prove_address, verify_file, verify_list
from protocol.payout.list_file import ListFile, decode_list_file
from protocol.payout.list_header import list_hash
from tests.support.payout_world import certify, hash_of
from tests.support.wallet_network import Made, WalletStory, founding, operator, stake
from tests.vectors.registry import vectors

LAST = 2
"""Place of the list that is tampered with: two lists and two changes of members stand before it."""
PAID, NEXT, UNPAID = 2, 8, 4
"""Operators: two whom the last list pays, and one whom it does not."""


@cache
def story() -> WalletStory:
    return WalletStory()


@cache
def verified(place: int) -> VerifiedList:
    return verify_list(story().files[place], story().trusts[place])


def text(address: bytes) -> str:
    return encode_address(address, story().genesis.chain.prefixes)


def address_file(place: int, *addresses: bytes) -> bytes:
    return prove_address(verified(place), *map(text, addresses))


def shown(place: int, file: bytes, address: bytes) -> Any:
    """Return what an address file says of an address: its amount, 0, or None when it does not show it."""
    try:
        line = verify_file(file, story().trusts[place]).line_of(text(address))
    except RequestError:
        return None
    return line.entry.amount if line else 0


@vectors("wallet", "story")
def lists() -> dict[str, Any]:
    """The files of three consecutive lists, and what each leaves for the next."""
    steps = []
    for place, data in enumerate(story().files):
        header, after = verified(place).header, story().trusts[place + 1]
        addresses = [stake(PAID), stake(NEXT), stake(UNPAID), bytes(21), b"\x00" + b"\xff" * 20]
        small = [address_file(place, one) for one in addresses] + [address_file(place, *addresses)]
        steps.append(
            {
                "list_file": data.hex(),
                "list_hash": list_hash(header).hex(),
                "prefixes": [head.prefix for head in header.heads],
                "entries": [
                    [entry.address.hex(), entry.responses, entry.amount] for entry in verified(place).entries
                ],
                "signers": [key.hex() for key in verified(place).certificate.signers()],
                "address_files": [
                    {
                        "file": file.hex(),
                        "shows": {address.hex(): shown(place, file, address) for address in addresses},
                    }
                    for file in small
                ],
                "voters_after": [[voter.operator_key.hex(), voter.age] for voter in after.electorate.voters],
                "carried_after": after.terms.carried,
                "trust_file": encode_trust(after).hex(),
            }
        )
    return {"genesis": encode_genesis(story().genesis).hex(), "lists": steps}


@dataclass(frozen=True, slots=True)
class Tampered:
    """A file that is refused after so many lists of the story, and at which step of the check."""

    name: str
    step: str
    file: bytes
    after: int = LAST

    def why(self) -> str:
        """Return what our own wallet says to it."""
        try:
            verify_file(self.file, story().trusts[self.after])
        except ProtocolError as error:
            return str(error)
        raise AssertionError(f"{self.name}: passed")


def raw(place: int = LAST) -> ListFile:
    return decode_list_file(story().files[place])


def resigned(made: Made) -> bytes:
    """Return the last list's file with every voter's signature under a changed header."""
    return made.signed(story().signers[LAST], story().trusts[LAST])


def lying(**changes: object) -> bytes:
    """Return the last list with another header, and every voter's signature under it."""
    return resigned(story().lists[LAST].with_header(**changes))


def with_entry(place: int, **changes: object) -> tuple[Any, ...]:
    entries = list(raw().entries)
    entries[place] = replace(entries[place], **changes)
    return tuple(entries)


def with_member(place: int, **changes: object) -> bytes:
    members = list(raw().members)
    members[place] = replace(members[place], **changes)
    return encode(replace(raw(), members=tuple(members)))


def of_place() -> Iterator[Tampered]:
    """Files of the wrong list."""
    other = hash_of(b"another network")
    yield Tampered("another network in the file alone", "network", encode(replace(raw(), network=other)))
    foreign = encode(replace(raw(), network=other, header=replace(raw().header, network=other)))
    yield Tampered("another network in file and list", "network", foreign)
    yield Tampered("the list before again", "place", story().files[LAST - 1])
    yield Tampered("the last list once more", "place", story().files[LAST], after=LAST + 1)
    yield Tampered("a list left out", "place", story().files[LAST], after=LAST - 1)
    yield Tampered("another list before it", "place", lying(previous=hash_of(b"another list")))
    yield Tampered("a height more", "place", lying(last_height=raw().header.last_height + 1))


def of_sums() -> Iterator[Tampered]:
    """Headers whose sums are wrong though everybody signed them."""
    header = raw().header
    yield Tampered("rewards", "sums", lying(rewards=header.rewards + 1))
    yield Tampered("carried in", "sums", lying(carried_in=header.carried_in + 1))
    yield Tampered("carried out", "sums", lying(carried_out=header.carried_out + 1))
    yield Tampered("price of a response", "sums", lying(per_response=header.per_response + 1))
    yield Tampered("paid in all", "sums", lying(paid_total=header.paid_total - 1))
    yield Tampered("paid above the pool", "sums", lying(paid_total=header.rewards + header.carried_in + 1))


def of_entries() -> Iterator[Tampered]:
    """Entries that are not the list's, and such as everybody signed though they break a law."""
    entries, made = raw().entries, story().lists[LAST]

    def unsigned(changed: tuple[Any, ...]) -> bytes:
        return encode(replace(raw(), entries=changed))

    yield Tampered("an amount", "entries", unsigned(with_entry(0, amount=entries[0].amount + 1)))
    yield Tampered("an address", "entries", unsigned(with_entry(0, address=b"\x00" * 21)))
    yield Tampered("an entry less", "entries", unsigned(entries[1:]))
    yield Tampered("an entry twice, signed", "entries", resigned(made.with_entries((entries[0], *entries))))
    yield Tampered("unsorted, signed", "entries", resigned(made.with_entries(entries[::-1])))
    more = with_entry(0, responses=entries[0].responses + 1)
    yield Tampered("a response more, signed", "entries", resigned(made.with_entries(more)))
    script_hash = with_entry(-1, address=b"\x01" + entries[-1].address[1:])
    yield Tampered("a script's address, signed", "entries", resigned(made.with_entries(script_hash)))
    double = tuple(replace(entry, amount=2 * entry.amount) for entry in entries)
    yield Tampered("amounts above the pool, signed", "entries", resigned(made.with_entries(double)))


def of_members() -> Iterator[Tampered]:
    """Members that are not the list's."""
    members = raw().members
    yield Tampered("a member's key", "members", with_member(0, operator_key=bytes(32)))
    yield Tampered("a member's age", "members", with_member(0, age=members[0].age + 1))
    yield Tampered("a member's name", "members", with_member(0, name=members[0].name[:-1] + b"\0"))
    yield Tampered("a member's link", "members", with_member(0, joined=7))
    yield Tampered("a member less", "members", encode(replace(raw(), members=members[1:])))
    yield Tampered("members unsorted", "members", encode(replace(raw(), members=members[::-1])))
    yield Tampered("members root, signed", "members", lying(members_root=hash_of(b"members")))
    yield Tampered("number of members, signed", "members", lying(members_count=1))
    yield Tampered("voters root, signed", "members", lying(voters_root=hash_of(b"voters")))
    merged = (replace(raw().header.heads[0], prefix=""),)
    yield Tampered("a member of no group that is stated, signed", "members", lying(heads=merged))


def of_certificates() -> Iterator[Tampered]:
    """Certificates that are none of this list, and headers that nobody signed."""
    header, voters, signers = raw().header, story().trusts[LAST].electorate, story().signers[LAST]

    def certified(certificate: object) -> bytes:
        return encode(replace(raw(), certificate=certificate))

    good = certify(header, signers, voters)
    flipped = bytes([good.signatures[0] ^ 1]) + good.signatures[1:]
    stranger, last = operator(77), good.signatures[-64:]
    few = certify(header, signers[:6], voters)
    old = certify(header, story().signers[0], voters)
    longer = replace(good, signers=good.signers + b"\0")
    beyond = replace(
        good, signers=good.signers[:-1] + bytes([good.signers[-1] | 1]), signatures=good.signatures + last
    )
    for name, certificate in {
        "a signature": replace(good, signatures=flipped),
        "signers below the quorum": few,
        "nobody signed": certify(header, (), voters),
        "a stranger in a voter's place": certify(header, (*signers[1:], stranger), voters),
        "voters of an older list": old,
        "one signature for two voters": replace(good, signatures=last + good.signatures[64:]),
        "another round": replace(good, round=good.round + 1),
        "a byte of bits more": longer,
        "a signer beyond the voters": beyond,
    }.items():
        yield Tampered(name, "certificate", certified(certificate))
    heads = (replace(header.heads[0], height=1), *header.heads[1:])
    changed: dict[str, dict[str, object]] = {
        "a head's height": {"heads": heads},
        "a verdict block less": {"blocks": header.blocks[1:]},
        "the chain's block": {"last_hash": hash_of(b"block")},
    }
    for name, changes in changed.items():
        file = encode(replace(raw(), header=replace(header, **changes)))
        yield Tampered(name, "certificate", file)


def of_form() -> Iterator[Tampered]:
    """Bytes that are no file of either kind."""
    data = story().files[LAST]
    head = encode(raw().header.heads[-1])
    narrow = encode(replace(raw().header.heads[-1], prefix="110"))
    signatures = raw().certificate.signatures
    yield Tampered("cut off", "form", data[:-1])
    yield Tampered("a byte behind", "form", data + b"\0")
    yield Tampered("heads that leave out a part of the names", "form", data.replace(head, narrow))
    yield Tampered("a signature too few for the bits", "form", shorter(data, signatures))
    yield Tampered("a long number", "form", data.replace(b"\xa9list-file", b"\xd9\x09list-file"))
    yield Tampered("a trust file", "form", encode_trust(story().trusts[LAST + 1]))


def shorter(data: bytes, signatures: bytes) -> bytes:
    """Return the file without its last signature, the length of the field adapted."""
    old, new = (b"\xc5" + size.to_bytes(2, "big") for size in (len(signatures), len(signatures) - 64))
    return data.replace(old + signatures, new + signatures[:-64])


def of_address_files() -> Iterator[Tampered]:
    """Address files that show what is not so."""
    good = decode_address_file(address_file(LAST, stake(PAID)))
    absent = decode_address_file(address_file(LAST, stake(UNPAID)))
    other = decode_address_file(address_file(LAST, stake(NEXT)))
    line = good.lines[0]

    def made(file: AddressFile, **changes: object) -> bytes:
        return encode(replace(file, **changes))

    def with_line(**changes: object) -> bytes:
        return made(good, lines=(replace(line, **changes),))

    for name, file in {
        "address file: the amount": with_line(entry=replace(line.entry, amount=line.entry.amount + 1)),
        "address file: the responses": with_line(entry=replace(line.entry, responses=99)),
        "address file: the address": with_line(entry=replace(line.entry, address=stake(UNPAID))),
        "address file: another place": with_line(index=line.index + 1),
        "address file: no such place": with_line(index=99),
        "address file: a shorter proof": with_line(proof=line.proof[1:]),
        "address file: a longer proof": with_line(proof=(*line.proof, line.proof[0])),
        "address file: another line's proof": with_line(proof=other.lines[0].proof),
        "address file: a line twice": made(good, lines=good.lines * 2),
        "address file: lines exchanged": made(absent, lines=absent.lines[::-1]),
    }.items():
        yield Tampered(name, "lines", file)
    voters = good.voters
    older = (replace(voters[0], age=voters[0].age + 1), *voters[1:])
    for name, changed in {"age": older, "less": voters[1:], "order": voters[::-1]}.items():
        yield Tampered(f"address file: a voter's {name}", "voters", made(good, voters=changed))
    root = replace(good.header, voters_root=hash_of(b"voters"))
    yield Tampered("address file: voters root", "voters", made(good, header=root))
    few = certify(good.header, story().signers[LAST][:6], story().trusts[LAST].electorate)
    yield Tampered("address file: signers below the quorum", "certificate", made(good, certificate=few))
    yield Tampered("address file: of an older list", "place", address_file(LAST - 1, stake(PAID)))
    yield Tampered("address file: another network", "network", made(good, network=hash_of(b"network")))


@vectors("wallet", "refused")
def refused() -> dict[str, Any]:
    """Each tampered file, after how many lists of the story, at which step, and what our wallet says."""
    families = (of_form, of_place, of_sums, of_entries, of_members, of_certificates, of_address_files)
    cases = [case for family in families for case in family()]
    foreign = founding([operator(number) for number in range(9)], age=5)
    return {
        "genesis": encode_genesis(story().genesis).hex(),
        "files": [file.hex() for file in story().files],
        "foreign_genesis": encode_genesis(foreign).hex(),
        "cases": [
            {
                "name": case.name,
                "after": case.after,
                "step": case.step,
                "file": case.file.hex(),
                "why": case.why(),
            }
            for case in cases
        ],
    }
