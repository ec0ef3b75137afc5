"""A wallet's trust point: kept in a file, never earlier than before."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.codec import encode, replace
from protocol.errors import InvalidBlock, MalformedMessage, ProtocolError, WrongNetwork
from protocol.genesis import encode_genesis
from protocol.group.quorum import Voter
from protocol.payout.light import (
    TRUST_FILE_SIZE_MAX,
    TrustPoint,
    encode_trust,
    later_trust,
    trust_from_file,
    trust_from_genesis,
    trust_from_list,
    verify_list,
)
from protocol.payout.trust import TrustFile
from tests.support.payout_world import hash_of, make_genesis
from tests.support.wallet_network import WalletStory

STORY = WalletStory()
POINT = STORY.trusts[2]
FILE = encode_trust(POINT)


def trust_file(**changes: object) -> bytes:
    assert POINT.last is not None
    given_file = TrustFile(
        genesis=encode_genesis(STORY.genesis), last=POINT.last, voters=POINT.electorate.voters
    )
    return encode(replace(given_file, **changes))


@pytest.mark.parametrize("place", range(5))
def test_a_trust_point_is_kept_in_a_file(place: int) -> None:
    point = STORY.trusts[place]
    assert trust_from_file(encode_trust(point)) == point
    assert point.genesis == STORY.genesis


def test_before_the_first_list_it_is_the_genesis_file() -> None:
    genesis = encode_genesis(STORY.genesis)
    assert encode_trust(trust_from_genesis(genesis)) == genesis
    assert trust_from_file(genesis) == trust_from_genesis(genesis) == STORY.trusts[0]


def test_a_wallet_goes_on_from_it_without_any_earlier_list() -> None:
    verified = verify_list(STORY.files[2], trust_from_file(FILE))
    assert trust_from_list(verified) == STORY.trusts[3]


def test_its_parts_belong_together() -> None:
    assert trust_file() == FILE
    voters = POINT.electorate.voters
    older = (Voter(operator_key=voters[0].operator_key, age=200), *voters[1:])
    for changed in (older, voters[1:], ()):
        with pytest.raises(InvalidBlock, match="voters for the next list"):
            trust_from_file(trust_file(voters=changed))
    with pytest.raises(MalformedMessage, match="not a trust file: an electorate is sorted"):
        trust_from_file(trust_file(voters=voters[::-1]))
    with pytest.raises(WrongNetwork, match="another network than its genesis file"):
        trust_from_file(trust_file(genesis=encode_genesis(make_genesis())))
    with pytest.raises(MalformedMessage, match="not a genesis file"):
        trust_from_file(trust_file(genesis=b""))


@pytest.mark.parametrize(
    "data", [b"", FILE[:-1], FILE + b"\0", STORY.files[0], FILE + bytes(TRUST_FILE_SIZE_MAX)]
)
def test_other_files_are_no_trust_points(data: bytes) -> None:
    with pytest.raises(MalformedMessage, match="not a (trust|genesis) file"):
        trust_from_file(data)


@given(st.integers(0, len(FILE) - 1), st.integers(1, 255))
def test_a_changed_byte_is_refused_or_is_another_list(at: int, mask: int) -> None:
    """Nobody signed it: a header that is changed where nothing else hangs on it is another trust point."""
    damaged = bytearray(FILE)
    damaged[at] ^= mask
    try:
        point = trust_from_file(bytes(damaged))
    except ProtocolError:
        return
    assert point.terms.previous != POINT.terms.previous and point.electorate == POINT.electorate


def test_the_later_of_two_counts() -> None:
    for one in STORY.trusts:
        for other in STORY.trusts:
            wanted = one if one.terms.period >= other.terms.period else other
            assert later_trust(one, other) == wanted
    assert later_trust(POINT, trust_from_file(FILE)) is POINT


def test_trust_points_that_contradict_each_other() -> None:
    assert POINT.last is not None
    last = replace(POINT.last, last_hash=hash_of(b"other"))
    other = trust_from_file(trust_file(last=last))
    with pytest.raises(InvalidBlock, match="follow two different lists"):
        later_trust(POINT, other)
    foreign: TrustPoint = trust_from_genesis(encode_genesis(make_genesis()))
    with pytest.raises(WrongNetwork, match="of two networks"):
        later_trust(POINT, foreign)
