"""The one chain of lists that leads on from a trust point, whatever else lies about."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.chain.address import encode_address
from protocol.errors import InvalidBlock, InvalidCertificate, ProtocolError
from protocol.payout.light import prove_address, trust_from_list, verify_list
from protocol.payout.list_file import START_SIZE, decode_list_file
from protocol.payout.list_search import find_lists, period_of
from tests.support.payout_world import hash_of
from tests.support.wallet_network import WalletStory, stake

STORY = WalletStory()
NETWORK = STORY.trusts[0].terms.network
FIRST = STORY.trusts[0].terms.period
ADDRESS_FILES = [
    prove_address(verify_list(file, trust), encode_address(stake(2), STORY.genesis.chain.prefixes))
    for file, trust in zip(STORY.files, STORY.trusts, strict=False)
]


class Heap:
    """Named files, looked up by the period that they say they are of."""

    def __init__(self, files: Iterable[bytes]) -> None:
        self.files = [(f"file {number}", data) for number, data in enumerate(files)]

    def __call__(self, period: int) -> list[tuple[str, bytes]]:
        return [(name, data) for name, data in self.files if period_of(data, NETWORK) == period]


def found(files: Iterable[bytes], until: int = 4, since: int = 0) -> list[bytes]:
    """Return the hashes of the lists that are found from one place of the story to another."""
    lists = find_lists(FIRST + until, Heap(files), STORY.trusts[since])
    return [one.list_hash for one in lists]


HASHES = [trust.terms.previous for trust in STORY.trusts[1:]]


def test_the_lists_between_are_found_in_any_order() -> None:
    assert found(STORY.files) == found(STORY.files[::-1]) == HASHES
    assert found(STORY.files, until=2) == HASHES[:2]
    assert found(STORY.files, since=1) == HASHES[1:]
    assert found([], until=0) == found(STORY.files, until=1, since=3) == []


@given(st.permutations(STORY.files + ADDRESS_FILES + [b"", STORY.files[1][:-1], hash_of(b"x")]))
def test_both_kinds_of_file_count_and_other_files_do_no_harm(files: list[bytes]) -> None:
    assert found(files) == HASHES


def test_address_files_are_enough() -> None:
    verified = list(find_lists(FIRST + 4, Heap(ADDRESS_FILES), STORY.trusts[0]))
    assert trust_from_list(verified[-1]) == STORY.trusts[4]


def test_a_gap_is_told() -> None:
    with pytest.raises(InvalidBlock, match=f"there is no list of period {FIRST + 1}"):
        found([STORY.files[0], *STORY.files[2:]])


def test_a_wrong_list_is_passed_over_or_told_by_its_name() -> None:
    wrong = STORY.lists[1].signed(STORY.signers[1][:3], STORY.trusts[1])
    assert found([wrong, *STORY.files]) == HASHES
    with pytest.raises(InvalidCertificate, match="file 1: 3 of 8 voters are not a quorum"):
        found([STORY.files[0], wrong])


def test_two_certified_lists_of_one_period_are_an_alarm() -> None:
    other = STORY.lists[1].with_header(last_hash=hash_of(b"another branch"))
    forked = other.signed(STORY.signers[1], STORY.trusts[1])
    with pytest.raises(InvalidBlock, match=f"two different lists of period {FIRST + 1} are certified"):
        found([*STORY.files, forked])
    again = STORY.lists[1].signed(STORY.signers[1][:-1], STORY.trusts[1])
    assert found([*STORY.files, again]) == HASHES  # the same list, other signers


@pytest.mark.parametrize("files", [STORY.files, ADDRESS_FILES])
def test_the_period_is_told_at_the_start_of_a_file(files: list[bytes]) -> None:
    for number, data in enumerate(files):
        assert period_of(data[:START_SIZE], NETWORK) == FIRST + number
        assert period_of(data, hash_of(b"another network")) is None


@pytest.mark.parametrize("period", [0, 127, 128, 255, 256, 65_535, 65_536, 0xFFFF_FFFF])
def test_every_period_is_told(period: int) -> None:
    made = STORY.lists[0].with_header(period=period)
    data = made.signed(STORY.signers[0], STORY.trusts[0])
    assert decode_list_file(data).header.period == period == period_of(data, NETWORK)


@given(st.integers(0, START_SIZE), st.binary(max_size=8))
def test_of_whatever_bytes_a_period_or_none_is_told(size: int, tail: bytes) -> None:
    told = period_of(STORY.files[0][:size] + tail, NETWORK)
    assert told is None or 0 <= told <= 0xFFFF_FFFF
    with pytest.raises(ProtocolError):
        verify_list(STORY.files[0][:size] + tail, STORY.trusts[0])
