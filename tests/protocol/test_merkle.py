"""The Merkle tree: RFC 6962's shape, SHA3-256's hashes, and proofs that prove one thing only."""

import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import merkle
from protocol.errors import InvalidProof
from protocol.merkle import merkle_proof, merkle_root, verify_merkle_proof
from tests.support.vectors import check_vectors, load_vectors

LEAVES = st.lists(st.binary(max_size=40), max_size=70)
SOME_LEAVES = st.lists(st.binary(max_size=40), min_size=1, max_size=70)


def rfc_root(leaves: list[bytes]) -> bytes:
    """The recursion of RFC 6962, 2.1, word for word."""
    if not leaves:
        return hashlib.sha3_256(b"").digest()
    if len(leaves) == 1:
        return hashlib.sha3_256(b"\x00" + leaves[0]).digest()
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return hashlib.sha3_256(b"\x01" + rfc_root(leaves[:k]) + rfc_root(leaves[k:])).digest()


def rfc_path(index: int, leaves: list[bytes]) -> list[bytes]:
    """The recursion of RFC 6962, 2.1.1, word for word."""
    if len(leaves) == 1:
        return []
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    if index < k:
        return [*rfc_path(index, leaves[:k]), rfc_root(leaves[k:])]
    return [*rfc_path(index - k, leaves[k:]), rfc_root(leaves[:k])]


def test_shape_is_that_of_certificate_transparency(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = load_vectors("merkle", "certificate_transparency")
    monkeypatch.setattr(merkle, "sha3_256", lambda *parts: hashlib.sha256(b"".join(parts)).digest())
    leaves = [bytes.fromhex(leaf) for leaf in vectors["leaves"]]
    for count, root in enumerate(vectors["sha256_roots"], start=1):
        assert merkle_root(leaves[:count]).hex() == root


def test_vectors() -> None:
    trees: list[dict[str, Any]] = []
    for size in (0, 1, 2, 3, 4, 5, 7, 8, 13):
        leaves = [bytes([number]) * number for number in range(size)]
        proofs = [[node.hex() for node in merkle_proof(leaves, index)] for index in range(size)]
        trees.append(
            {"leaves": [x.hex() for x in leaves], "root": merkle_root(leaves).hex(), "proofs": proofs}
        )
    check_vectors("merkle", "trees", trees)


@given(LEAVES)
def test_root_is_the_rfc_recursion(leaves: list[bytes]) -> None:
    assert merkle_root(leaves) == rfc_root(leaves)


@given(SOME_LEAVES, st.data())
def test_proof_is_the_rfc_path_and_verifies(leaves: list[bytes], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(leaves) - 1))
    proof = merkle_proof(leaves, index)
    assert list(proof) == rfc_path(index, leaves)
    verify_merkle_proof(leaves[index], index, len(leaves), proof, merkle_root(leaves))


@given(st.lists(st.binary(max_size=8), min_size=2, max_size=40, unique=True), st.data())
def test_a_leaf_proves_no_other_place(leaves: list[bytes], data: st.DataObject) -> None:
    index, other = data.draw(st.permutations(range(len(leaves))))[:2]
    with pytest.raises(InvalidProof):
        verify_merkle_proof(
            leaves[index], other, len(leaves), merkle_proof(leaves, index), merkle_root(leaves)
        )
    with pytest.raises(InvalidProof):
        verify_merkle_proof(
            leaves[other], index, len(leaves), merkle_proof(leaves, index), merkle_root(leaves)
        )


@given(SOME_LEAVES, st.data())
def test_any_flipped_bit_is_refused(leaves: list[bytes], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(leaves) - 1))
    proof, root = merkle_proof(leaves, index), merkle_root(leaves)
    chain = bytearray(b"".join(proof) + root)
    bit = data.draw(st.integers(0, len(chain) * 8 - 1))
    chain[bit // 8] ^= 1 << bit % 8
    nodes = [bytes(chain[at : at + 32]) for at in range(0, len(chain), 32)]
    with pytest.raises(InvalidProof):
        verify_merkle_proof(leaves[index], index, len(leaves), nodes[:-1], nodes[-1])


@given(LEAVES, LEAVES)
def test_different_sequences_have_different_roots(one: list[bytes], two: list[bytes]) -> None:
    assert (merkle_root(one) == merkle_root(two)) == (one == two)


def test_the_last_leaf_doubled_is_another_tree() -> None:
    """The flaw of the chain's own Merkle tree (CVE-2012-2459) is not ours."""
    assert merkle_root([b"a", b"b", b"c"]) != merkle_root([b"a", b"b", b"c", b"c"])


def test_an_inner_node_is_no_leaf() -> None:
    left, right = (hashlib.sha3_256(b"\x00" + leaf).digest() for leaf in (b"a", b"b"))
    root = merkle_root([b"a", b"b"])
    assert merkle_root([left + right]) != root
    with pytest.raises(InvalidProof):
        verify_merkle_proof(left + right, 0, 1, (), root)


@pytest.mark.parametrize(
    ("index", "size", "proof"),
    [
        (0, 0, ()),
        (2, 2, ()),
        (-1, 2, (b"\0" * 32,)),
        (0, 2, ()),
        (0, 2, (b"\0" * 32, b"\0" * 32)),
        (0, 2, (b"\0" * 31,)),
        (0, 2, (b"\0" * 33,)),
        (0, -1, ()),
    ],
)
def test_impossible_places_and_lengths_are_refused(index: int, size: int, proof: tuple[bytes, ...]) -> None:
    with pytest.raises(InvalidProof):
        verify_merkle_proof(b"a", index, size, proof, merkle_root([b"a", b"b"]))


def test_a_place_has_one_number() -> None:
    """-1 has the sides of the last leaf in two's complement: it is no other name for it."""
    with pytest.raises(InvalidProof):
        verify_merkle_proof(b"b", -1, 2, merkle_proof([b"a", b"b"], 1), merkle_root([b"a", b"b"]))


def test_bytes_cannot_move_between_the_siblings() -> None:
    leaves = [b"a", b"b", b"c"]
    first, second = merkle_proof(leaves, 0)
    with pytest.raises(InvalidProof):
        verify_merkle_proof(b"a", 0, 3, (first + second[:1], second[1:]), merkle_root(leaves))


@pytest.mark.parametrize("index", [-1, 2])
def test_no_proof_for_a_leaf_that_is_not_there(index: int) -> None:
    with pytest.raises(IndexError):
        merkle_proof([b"a", b"b"], index)


def test_an_enormous_size_costs_nothing() -> None:
    with pytest.raises(InvalidProof):
        verify_merkle_proof(b"a", 2**62, 2**63 - 1, (), merkle_root([b"a"]))
