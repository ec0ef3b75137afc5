"""One address's line of a certified list, or that it has none: shown by a file that is enough to go on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.chain.address import encode_address
from protocol.codec import encode, replace
from protocol.errors import InvalidProof, MalformedMessage, ProtocolError, RequestError
from protocol.payout.address_file import (
    ADDRESS_FILE_SIZE_MAX,
    AddressFile,
    check_lines,
    decode_address_file,
    find_line,
    is_address_file,
    prove_lines,
    shown_line,
)
from protocol.payout.light import (
    VerifiedAddress,
    VerifiedList,
    prove_address,
    trust_from_list,
    verify_address,
    verify_again,
    verify_file,
    verify_list,
    verify_lists,
)
from protocol.payout.list_header import Entry, entries_root
from tests.support.wallet_network import WalletStory, make_list, stake

STORY = WalletStory()
LAST = 2
PAID, UNPAID = stake(2), stake(4)


def verified(place: int = LAST) -> VerifiedList:
    return verify_list(STORY.files[place], STORY.trusts[place])


def text(address: bytes) -> str:
    return encode_address(address, STORY.genesis.chain.prefixes)


def address_file(address: bytes, place: int = LAST) -> bytes:
    return prove_address(verified(place), text(address))


def amounts(one: VerifiedAddress, *addresses: bytes) -> list[int]:
    """Return what a file shows that each address gets, 0 for nothing."""
    lines = [one.line_of(text(address)) for address in addresses]
    return [line.entry.amount if line else 0 for line in lines]


def test_the_line_of_one_address_is_shown_without_the_others() -> None:
    shown = verify_address(address_file(PAID), STORY.trusts[LAST])
    whole = verified()
    assert (shown.header, shown.list_hash, shown.voters) == (whole.header, whole.list_hash, whole.voters)
    line = shown.line_of(text(PAID))
    assert line is not None and line == whole.line_of(text(PAID)) and shown.lines == (line,)
    assert trust_from_list(shown) == trust_from_list(whole)


def test_every_address_can_be_shown_what_it_gets() -> None:
    for entry in verified().entries:
        shown = verify_address(address_file(entry.address), STORY.trusts[LAST])
        assert amounts(shown, entry.address) == [entry.amount]


@pytest.mark.parametrize("address", [UNPAID, bytes(21), b"\x00" + b"\xff" * 20, b"\x01" + bytes(20)])
@pytest.mark.parametrize("place", range(4))
def test_that_an_address_gets_nothing_is_shown(address: bytes, place: int) -> None:
    """Between two entries, before the first, behind the last, and in a list without any."""
    shown = verify_address(address_file(address, place), STORY.trusts[place])
    assert shown.line_of(text(address)) == verified(place).line_of(text(address))
    assert (amounts(shown, address) == [0]) == (address != UNPAID or place > 0)


def test_one_file_can_be_for_several_addresses() -> None:
    addresses = [PAID, UNPAID, stake(8), bytes(21)]
    data = prove_address(verified(), *map(text, addresses))
    shown = verify_address(data, STORY.trusts[LAST])
    whole = [verified().line_of(text(address)) for address in addresses]
    assert [shown.line_of(text(address)) for address in addresses] == whole
    with pytest.raises(RequestError, match="201 lines, at most 200"):
        many = make_many(201)
        prove_address(many, *map(many.address_text, many.entries))


def test_another_address_is_not_answered_for() -> None:
    shown = verify_address(address_file(PAID), STORY.trusts[LAST])
    with pytest.raises(RequestError, match="does not show what zd.* gets"):
        shown.line_of(text(UNPAID))
    with pytest.raises(RequestError):
        shown.line_of("nobody")


def test_a_wallet_follows_by_address_files_alone() -> None:
    files = [address_file(PAID, place) for place in range(4)]
    followed = verify_lists(files, STORY.trusts[0])
    assert [one.list_hash for one in followed] == [verified(place).list_hash for place in range(4)]
    assert all(isinstance(one, VerifiedAddress) for one in followed)
    assert trust_from_list(followed[-1]) == STORY.trusts[-1]


def test_it_holds_no_more_signatures_than_it_needs() -> None:
    """Nine of ten signed, seven of the eldest are more than two thirds of both."""
    assert len(verified().certificate.signatures) == 9
    file = decode_address_file(address_file(PAID))
    assert file.certificate.count() == 7
    shown = verify_address(encode(file), STORY.trusts[LAST])
    ages = [STORY.trusts[LAST].electorate.age(key) for key in shown.certificate.signers()]
    left_out = set(verified().certificate.signers()) - set(shown.certificate.signers())
    assert min(ages) >= max(STORY.trusts[LAST].electorate.age(key) for key in left_out)


def test_the_last_list_is_known_again_from_an_address_file() -> None:
    known = verify_again(address_file(PAID), STORY.trusts[LAST + 1])
    assert known.line_of(text(PAID)) == verified().line_of(text(PAID))
    with pytest.raises(RequestError, match="does not show"):
        known.line_of(text(UNPAID))
    file = decode_address_file(address_file(PAID))
    wrong = encode(replace(file, lines=(replace(file.lines[0], index=9),)))
    with pytest.raises(InvalidProof):
        verify_again(wrong, STORY.trusts[LAST + 1])


@pytest.mark.parametrize("mask", [0x01, 0x80])
@pytest.mark.parametrize("address", [PAID, UNPAID])
def test_any_byte_changed_is_refused(mask: int, address: bytes) -> None:
    data = address_file(address)
    for at in range(len(data)):
        damaged = bytearray(data)
        damaged[at] ^= mask
        with pytest.raises(ProtocolError) as caught:
            verify_address(bytes(damaged), STORY.trusts[LAST])
        assert "\n" not in str(caught.value)


def test_the_two_kinds_of_file_are_told_apart() -> None:
    list_file, small = STORY.files[LAST], address_file(PAID)
    assert is_address_file(small) and not is_address_file(list_file)
    assert isinstance(verify_file(small, STORY.trusts[LAST]), VerifiedAddress)
    assert isinstance(verify_file(list_file, STORY.trusts[LAST]), VerifiedList)
    with pytest.raises(MalformedMessage, match="not an address file"):
        verify_address(list_file, STORY.trusts[LAST])
    with pytest.raises(MalformedMessage, match="not a list file"):
        verify_list(small, STORY.trusts[LAST])
    with pytest.raises(MalformedMessage, match="at most"):
        decode_address_file(small + bytes(ADDRESS_FILE_SIZE_MAX))


def make_many(count: int) -> VerifiedList:
    """Return a first list that pays so many addresses."""
    trust = STORY.trusts[0]
    made = make_list(
        trust.terms,
        prefixes=[""],
        blocks=[],
        responses={stake(number): 1 for number in range(count)},
        members=verified(0).members,
    )
    return verify_list(made.signed(STORY.signers[0], trust), trust)


def under(entries: tuple[Entry, ...], *addresses: bytes) -> AddressFile:
    """Return the address file of a header with these entries."""
    file = decode_address_file(address_file(PAID))
    header = replace(file.header, entries_count=len(entries), entries_root=entries_root(entries))
    return replace(file, header=header, lines=prove_lines(entries, addresses))


def address_of(number: int) -> bytes:
    return bytes(20) + bytes([number])


def entries_of(numbers: set[int]) -> tuple[Entry, ...]:
    each = verified().header.per_response
    return tuple(Entry(address=address_of(number), responses=1, amount=each) for number in sorted(numbers))


NUMBERS = st.integers(0, 30)


@given(st.sets(NUMBERS, max_size=12), st.lists(NUMBERS, max_size=4))
def test_whatever_the_entries_the_lines_show_the_addresses(paid: set[int], wanted: list[int]) -> None:
    entries = entries_of(paid)
    file = under(entries, *map(address_of, wanted))
    lines = check_lines(file)
    for number in wanted:
        line = shown_line(lines, len(entries), address_of(number))
        assert line == find_line(entries, address_of(number))
        assert (line is None) == (number not in paid)


@given(st.sets(NUMBERS, max_size=12), st.sets(NUMBERS), NUMBERS)
def test_no_lines_show_what_is_not_so(paid: set[int], shown: set[int], wanted: int) -> None:
    """Whatever true lines are picked: a paid address never seems unpaid, nor the other way round."""
    entries = entries_of(paid)
    file = under(entries, *map(address_of, sorted(shown & paid)))
    try:
        line = shown_line(check_lines(file), len(entries), address_of(wanted))
    except LookupError:
        assert wanted not in shown & paid
    else:
        assert line == find_line(entries, address_of(wanted))
