"""A list's certificate in files: one spelling for one set of signatures."""

from collections.abc import Sequence
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.codec import decode, encode, replace
from protocol.crypto import sha3_256
from protocol.errors import InvalidCertificate, MalformedMessage
from protocol.group.certificate import Certificate
from protocol.group.quorum import Electorate, Voter
from protocol.payout.list_certificate import (
    ListCertificate,
    compact_certificate,
    expand_certificate,
    least_certificate,
)

HASH = sha3_256(b"a list")


def electorate_of(count: int) -> Electorate:
    return Electorate.of(Voter(operator_key=sha3_256(b"voter %d" % n), age=1 + n) for n in range(count))


def certificate_of(keys: Sequence[bytes]) -> Certificate:
    """Return a certificate whose signatures are told apart, and are none."""
    signatures = tuple((key, key * 2) for key in sorted(keys))
    return Certificate(electorate="list", height=3, round=7, block_hash=HASH, signatures=signatures)


@given(st.integers(0, 40), st.data())
def test_whoever_signed_stands_at_its_own_place(count: int, data: st.DataObject) -> None:
    electorate = electorate_of(count)
    keys = [voter.operator_key for voter in electorate.voters if data.draw(st.booleans())]
    compact = compact_certificate(certificate_of(keys), electorate)
    assert (compact.count(), len(compact.signers)) == (len(keys), -(-count // 8))
    read = decode(encode(compact), ListCertificate)
    assert expand_certificate(read, electorate, 3, HASH) == certificate_of(keys)


def test_the_first_voter_is_the_highest_bit() -> None:
    electorate = electorate_of(9)
    first, *_, last = (voter.operator_key for voter in electorate.voters)
    assert compact_certificate(certificate_of([first, last]), electorate).signers == b"\x80\x80"


def test_a_signer_without_a_vote_has_no_place() -> None:
    with pytest.raises(InvalidCertificate, match="no vote"):
        compact_certificate(certificate_of([HASH]), electorate_of(3))


@pytest.mark.parametrize("signers", [b"", b"\x80", b"\x80\x00\x00", b"\x00\x40"])
def test_bits_of_another_electorate_are_refused(signers: bytes) -> None:
    """Too few, too many, or one of those left over."""
    count = int.from_bytes(signers, "big").bit_count()
    compact = ListCertificate(round=0, signers=signers, signatures=bytes(64 * count))
    with pytest.raises(InvalidCertificate, match="one bit for each of 9 voters"):
        expand_certificate(compact, electorate_of(9), 3, HASH)


@pytest.mark.parametrize("size", [0, 63, 65, 128])
def test_a_signature_too_many_or_too_few_is_malformed(size: int) -> None:
    compact = compact_certificate(certificate_of([electorate_of(3).voters[1].operator_key]), electorate_of(3))
    with pytest.raises(ValueError, match=f"{size} bytes of signatures for 1 signers"):
        replace(compact, signatures=bytes(size))
    packed = encode(compact).replace(compact.signatures, compact.signatures[:-1] + b"")
    with pytest.raises(MalformedMessage):
        decode(packed, ListCertificate)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=9), st.data())
def test_the_least_quorum_has_the_fewest_signatures(ages: list[int], data: st.DataObject) -> None:
    electorate = Electorate.of(
        Voter(operator_key=sha3_256(b"voter %d" % number), age=age) for number, age in enumerate(ages)
    )
    keys = [voter.operator_key for voter in electorate.voters if data.draw(st.booleans())]
    least = least_certificate(certificate_of(keys), electorate)
    assert set(least.signatures) <= set(certificate_of(keys).signatures)
    quorums = [
        chosen
        for size in range(len(keys) + 1)
        for chosen in combinations(keys, size)
        if electorate.is_final(chosen)
    ]
    if quorums:
        assert electorate.is_final(least.signers())
        assert len(least.signatures) == min(map(len, quorums))
    else:
        assert least == certificate_of(keys)
