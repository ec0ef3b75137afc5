"""The memory of signatures: every verdict is libsodium's, asked for once."""

import pytest

from protocol import crypto
from protocol.crypto import Signer, verify_envelope
from protocol.errors import InvalidSignature
from simulations.signatures import remembered_signatures

SIGNER, OTHER = Signer(b"\x01" * 32), Signer(b"\x02" * 32)


def test_each_signature_is_verified_once_and_a_bad_one_stays_bad(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[bytes, bytes]] = []
    really = crypto._sign_open

    def counted(signed: bytes, pk: bytes) -> bytes:
        asked.append((signed, pk))
        return really(signed, pk)

    monkeypatch.setattr(crypto, "_sign_open", counted)
    good = SIGNER.sign(b"body")
    with remembered_signatures():
        for _ in range(3):
            verify_envelope(good, SIGNER.operator_key)
            for envelope, key in ((good, OTHER.operator_key), (good[:-1] + b"x", SIGNER.operator_key)):
                with pytest.raises(InvalidSignature):
                    verify_envelope(envelope, key)
    assert len(asked) == len(set(asked)) == 3
    verify_envelope(good, SIGNER.operator_key)
    assert len(asked) == 4 and crypto._sign_open is counted


def test_nothing_is_remembered_from_run_to_run_and_an_error_leaves_the_real_one() -> None:
    really = crypto._sign_open
    with pytest.raises(KeyError), remembered_signatures():
        assert crypto._sign_open is not really
        raise KeyError
    assert crypto._sign_open is really
