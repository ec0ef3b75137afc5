"""What a wallet accepts: certified lists, byte for byte, and nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.chain.address import encode_address
from protocol.codec import decode, encode, replace
from protocol.errors import (
    InvalidBlock,
    InvalidCertificate,
    MalformedMessage,
    ProtocolError,
    RequestError,
    WrongNetwork,
)
from protocol.genesis import encode_genesis
from protocol.group.membership import Member, Membership, genesis_membership, voters_of
from protocol.payout.address_file import Line
from protocol.payout.light import (
    trust_from_genesis,
    trust_from_list,
    verify_again,
    verify_list,
    verify_lists,
)
from protocol.payout.list_file import ListFile, decode_list_file, encode_list_file
from protocol.payout.list_header import Entry, ListHeader, entries_root, list_hash
from tests.support.payout_world import (
    SIGNERS,
    World,
    certify,
    devnet_world,
    hash_of,
    make_genesis,
)

WORLD = devnet_world()
LIST = WORLD.list()
FILE = WORLD.certified(LIST)
TRUST = WORLD.trust


def file_with(**changes: object) -> bytes:
    return encode(replace(decode_list_file(FILE), **changes))


def refused(data: bytes, kind: type[ProtocolError], sentence: str) -> None:
    """Assert that the file is refused with one line that says what is wrong."""
    with pytest.raises(kind, match=sentence) as caught:
        verify_list(data, TRUST)
    text = str(caught.value)
    assert "\n" not in text and 10 < len(text) < 300


def test_a_certified_list_passes() -> None:
    verified = verify_list(FILE, TRUST)
    assert (verified.header, verified.entries, verified.members) == (LIST.header, LIST.entries, LIST.members)
    assert verified.list_hash == list_hash(LIST.header)
    assert verified.genesis == WORLD.genesis
    address = verified.address_text(LIST.entries[2])
    assert address.startswith("zd")
    assert verified.line_of(address) == Line(2, LIST.entries[2])
    assert verified.line_of(encode_address(bytes(21), WORLD.genesis.chain.prefixes)) is None
    with pytest.raises(RequestError):
        verified.line_of("nobody")


def test_a_quorum_suffices() -> None:
    """Three of four of one age are more than two thirds of both."""
    assert verify_list(WORLD.certified(LIST, SIGNERS[1:4]), TRUST).list_hash == list_hash(LIST.header)


@pytest.mark.parametrize("mask", [0x01, 0x80, 0xFF])
def test_any_byte_changed_is_refused(mask: int) -> None:
    for at in range(len(FILE)):
        damaged = bytearray(FILE)
        damaged[at] ^= mask
        with pytest.raises(ProtocolError) as caught:
            verify_list(bytes(damaged), TRUST)
        assert "\n" not in str(caught.value) and str(caught.value)


@given(st.integers(0, len(FILE) - 1), st.integers(1, 255))
def test_any_byte_changed_to_anything_is_refused(at: int, mask: int) -> None:
    damaged = bytearray(FILE)
    damaged[at] ^= mask
    with pytest.raises(ProtocolError):
        verify_list(bytes(damaged), TRUST)


def test_any_truncation_is_refused() -> None:
    for size in range(len(FILE)):
        with pytest.raises(MalformedMessage, match="not a list file"):
            verify_list(FILE[:size], TRUST)


@given(st.binary(min_size=1, max_size=20))
def test_anything_behind_the_file_is_refused(tail: bytes) -> None:
    with pytest.raises(MalformedMessage):
        verify_list(FILE + tail, TRUST)


@given(st.binary(max_size=300))
def test_garbage_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedMessage, match="not a list file"):
        verify_list(data, TRUST)


def test_a_signer_removed_below_the_quorum_is_refused() -> None:
    refused(WORLD.certified(LIST, SIGNERS[:2]), InvalidCertificate, "2 of 4 voters are not a quorum")


def test_no_signer_at_all_is_refused() -> None:
    certificate = certify(LIST.header, ())
    refused(file_with(certificate=certificate), InvalidCertificate, "0 of 4 voters")


def test_one_wrong_signature_beyond_the_quorum_is_refused() -> None:
    """Three of four would do, but every signature in the file must be valid."""
    certificate = certify(LIST.header, SIGNERS[:4])
    flipped = certificate.signatures[:-1] + bytes([certificate.signatures[-1] ^ 1])
    damaged = replace(certificate, signatures=flipped)
    refused(file_with(certificate=damaged), InvalidCertificate, "a precommit is not valid")


def test_a_foreign_signer_is_refused() -> None:
    """It can only stand where a voter does, and that voter did not sign."""
    refused(WORLD.certified(LIST, SIGNERS[1:5]), InvalidCertificate, "a precommit is not valid")


def test_a_signer_doubled_is_refused() -> None:
    """One signature at the places of two voters."""
    certificate = certify(LIST.header, SIGNERS[:4])
    doubled = certificate.signatures[:64] + certificate.signatures[:192]
    damaged = replace(certificate, signatures=doubled)
    refused(file_with(certificate=damaged), InvalidCertificate, "a precommit is not valid")


def test_a_certificate_of_something_else_is_refused() -> None:
    other = certify(replace(LIST.header, carried_in=8), SIGNERS[:4])
    refused(file_with(certificate=other), InvalidCertificate, "a precommit is not valid")
    later = replace(certify(LIST.header, SIGNERS[:4]), round=1)
    refused(file_with(certificate=later), InvalidCertificate, "a precommit is not valid")


def test_a_foreign_genesis_is_refused() -> None:
    foreign = trust_from_genesis(encode_genesis(make_genesis(carried=8)))
    with pytest.raises(WrongNetwork, match="the genesis file is of"):
        verify_list(FILE, foreign)


GENESIS = encode_genesis(WORLD.genesis)


@given(st.integers(0, len(GENESIS) - 1), st.integers(1, 255))
def test_a_changed_genesis_file_is_refused_or_another_network(at: int, mask: int) -> None:
    damaged = bytearray(GENESIS)
    damaged[at] ^= mask
    with pytest.raises((MalformedMessage, WrongNetwork)):
        verify_list(FILE, trust_from_genesis(bytes(damaged)))


@pytest.mark.parametrize("blocks", [0, 1_000_008])
def test_a_genesis_without_a_sensible_period_is_refused(blocks: int) -> None:
    """Zero would divide by it, millions would add up rewards for hours."""
    start = GENESIS.index(bytes([24]), GENESIS.index(b"devnet"))
    period = bytes([blocks]) if blocks < 128 else b"\xce" + blocks.to_bytes(4, "big")
    with pytest.raises(MalformedMessage, match="a period has from 1 to 1000000 blocks"):
        trust_from_genesis(GENESIS[:start] + period + GENESIS[start + 1 :])


def test_a_file_that_names_another_network_is_refused() -> None:
    refused(file_with(network=hash_of(b"network")), WrongNetwork, "name different networks")


@pytest.mark.parametrize("data", [b"", FILE, encode_genesis(WORLD.genesis)[:-1]])
def test_no_genesis_at_all_is_told(data: bytes) -> None:
    with pytest.raises(MalformedMessage, match="not a genesis file"):
        trust_from_genesis(data)


def colluding(entries: tuple[Entry, ...], **changes: object) -> bytes:
    """Return a file that all voters signed although its list breaks a law."""
    counts = {"entries_count": len(entries), "entries_root": entries_root(entries)}
    header = replace(LIST.header, **{**counts, **changes})
    return encode_list_file(header, entries, LIST.members, certify(header, SIGNERS[:4]))


def test_a_duplicated_entry_is_refused_even_if_everybody_signed() -> None:
    first, *rest = LIST.entries
    refused(colluding((first, first, *rest)), InvalidBlock, "stands in the list twice")
    refused(file_with(entries=(first, first, *rest)), InvalidBlock, "stands in the list twice")


def test_a_sum_above_the_pool_is_refused_even_if_everybody_signed() -> None:
    greedy = tuple(replace(entry, amount=entry.amount * 2) for entry in LIST.entries)
    refused(colluding(greedy), InvalidBlock, "add up to 21.00000000, more than the pool of 10.50000007")
    whole = colluding(greedy, per_response=175_000_000, paid_total=2_100_000_000)
    refused(whole, InvalidBlock, "pays 21.00000000, its pool holds only 10.50000007")


def test_unsorted_entries_are_refused_even_if_everybody_signed() -> None:
    refused(colluding(LIST.entries[::-1]), InvalidBlock, "not sorted")


def test_other_members_are_refused() -> None:
    refused(file_with(members=LIST.members[1:]), InvalidBlock, "are not those that the list commits to")
    refused(file_with(members=LIST.members[::-1]), InvalidBlock, "members must be sorted by key")
    older = (replace(LIST.members[0], age=200), *LIST.members[1:])
    refused(file_with(members=older), InvalidBlock, "are not those that the list commits to")


def test_every_field_of_the_header_is_covered() -> None:
    changes: dict[str, object] = {
        name: value + 1 if isinstance(value, int) else hash_of(name.encode())
        for name in ListHeader.__struct_fields__
        if isinstance(value := getattr(LIST.header, name), int | bytes)
    }
    changes["heads"] = (replace(LIST.header.heads[0], height=9),)
    changes["blocks"] = LIST.header.blocks[1:]
    assert set(changes) == set(ListHeader.__struct_fields__)
    for name, value in changes.items():
        with pytest.raises(ProtocolError):
            verify_list(file_with(header=replace(LIST.header, **{name: value})), TRUST)


def second_world(members: tuple[Member, ...]) -> tuple[World, bytes, bytes]:
    """Return a world after two lists, the first committing to `members`, and both files."""
    world = devnet_world()
    world.next_members = members
    first = world.list()
    one = world.certified(first)
    world.state = first.state
    for seq in (6, 7, 8):
        world.judge(seq)
    world.bury(2)
    second = world.list()
    return (
        world,
        one,
        world.certified(second, SIGNERS[3:7], voters_of(members)),
    )


LATER = genesis_membership(make_genesis(members=7)).members[3:]


def test_trust_moves_on_from_list_to_list() -> None:
    world, one, two = second_world(LATER)
    first, second = verify_lists([one, two], world.trust)
    assert (first.header.period, second.header.period) == (1, 2)
    assert second.trust == trust_from_list(first) and second.trust.last == first.header
    assert second.header.previous == first.list_hash == list_hash(decode_list_file(one).header)
    assert verify_list(two, trust_from_list(verify_list(one, world.trust))) == second
    assert first.voters == voters_of(LATER) == second.trust.electorate


def test_the_old_electorate_cannot_sign_the_next_list() -> None:
    """Old keys can be bought: who was not committed in the list before has no say."""
    world, one, two = second_world(LATER)
    file = decode_list_file(two)
    old = encode(replace(file, certificate=certify(file.header, SIGNERS[:4])))
    with pytest.raises(InvalidCertificate, match="a precommit is not valid"):
        verify_lists([one, old], world.trust)


def test_a_wallet_never_goes_back() -> None:
    world, one, two = second_world(LATER)
    point = trust_from_list(verify_lists([one, two], world.trust)[-1])
    for file in (one, two):
        with pytest.raises(InvalidBlock, match="period 3 comes next"):
            verify_list(file, point)


def test_a_list_cannot_be_left_out() -> None:
    world, _, two = second_world(LATER)
    with pytest.raises(InvalidBlock, match="is of period 2: period 1 comes next"):
        verify_list(two, world.trust)


def test_a_list_that_follows_another_first_list_is_refused() -> None:
    world, one, two = second_world(LATER)
    other = devnet_world()
    other.records[0] = type(other.records[0])(
        "", 1, other.records[0].block_hash, 3, other.records[0].anchor_hash, (), ("",)
    )
    other.next_members = LATER
    fork = other.certified(other.list())
    with pytest.raises(InvalidBlock, match="does not follow list"):
        verify_lists([fork, two], world.trust)


def test_voters_of_different_age_are_weighed() -> None:
    """Three of four heads, but the eldest holds more than a third of the age."""
    world = devnet_world()
    ages = (9, 2, 2, 2)
    members = genesis_membership(make_genesis(members=4)).members
    world.next_members = tuple(replace(member, age=age) for member, age in zip(members, ages, strict=True))
    first = world.list()
    point = trust_from_list(verify_list(world.certified(first), world.trust))
    world.state = first.state
    for seq in (6, 7, 8):
        world.judge(seq)
    world.bury(2)
    second = world.list()
    with pytest.raises(InvalidCertificate, match="3 of 4 voters are not a quorum"):
        verify_list(world.certified(second, SIGNERS[1:4], point.electorate), point)
    assert verify_list(world.certified(second, SIGNERS[:3], point.electorate), point).header.period == 2


def test_an_enormous_count_costs_nothing() -> None:
    """Five bytes that announce four thousand million entries are refused before anything is allocated."""
    for lead in (b"\xdd\xff\xff\xff\xff", b"\x96\xa9list-file\xdd\xff\xff\xff\xff"):
        with pytest.raises(MalformedMessage):
            verify_list(lead, TRUST)


def test_the_list_verified_last_is_known_again() -> None:
    """Its own electorate is forgotten by then; the header is the one that the trust point keeps."""
    point = trust_from_list(verify_list(FILE, TRUST))
    known = verify_again(FILE, point)
    assert (known.header, known.list_hash) == (LIST.header, list_hash(LIST.header))
    address = encode_address(LIST.entries[1].address, WORLD.genesis.chain.prefixes)
    assert known.line_of(address) == Line(1, LIST.entries[1])


def test_no_other_list_is_known() -> None:
    _, one, two = second_world(LATER)
    point = trust_from_list(verify_list(one, TRUST))
    for changes in (
        {"header": replace(LIST.header, carried_in=8)},
        {"network": hash_of(b"network")},
    ):
        with pytest.raises(InvalidBlock, match="not of the list that was verified last"):
            verify_again(encode(replace(decode_list_file(one), **changes)), point)
    with pytest.raises(InvalidBlock, match="not of the list that was verified last"):
        verify_again(two, point)
    with pytest.raises(InvalidBlock, match="not of the list that was verified last"):
        verify_again(one, TRUST)
    with pytest.raises(InvalidBlock, match="members for the next list"):
        verify_again(encode(replace(decode_list_file(one), members=())), point)
    with pytest.raises(InvalidBlock, match="the entries add up to"):
        verify_again(encode(replace(decode_list_file(one), entries=())), point)


def test_members_stand_in_groups_that_the_list_states() -> None:
    stranger = replace(LIST.members[0], prefix="01"[LIST.members[0].name[0] >> 7])
    members = (stranger, *LIST.members[1:])
    header = replace(LIST.header, members_root=Membership(members).root())
    file = encode_list_file(header, LIST.entries, members, certify(header, SIGNERS[:4]))
    refused(file, InvalidBlock, "of a group that the list does not state")


def test_the_file_has_one_tag() -> None:
    assert decode(FILE, ListFile, 1 << 23) == decode_list_file(FILE)
