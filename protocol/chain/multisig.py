"""Signing and checking what spends an output: P2SH m-of-n, P2PKH and P2PK.

Answers for: making signatures, putting the signatures of several people into one
input, and deciding whether an input may spend its output. Scripts are matched against
templates, not executed, so an output outside of them can never be spent here. A
signature must be strict DER with low S and a defined hash type; a treasury's must be of
type ALL and is verified by two independent libraries. Whose signatures are asked for,
amounts, and the block named by a replay tail are left to the callers.
Spec: `spec/multisig.md`.
"""

from collections.abc import Callable, Sequence

from protocol.chain.address import pay_to_script_hash
from protocol.chain.script import (
    OP_0,
    REDEEM_SCRIPT_MAX,
    ScriptKind,
    Template,
    match_template,
    parse_pushes,
    push_data,
)
from protocol.chain.sighash import SignatureHasher, signature_hash
from protocol.chain.signature import SIGHASH_ALL, split_signature
from protocol.chain.transaction import Transaction
from protocol.crypto import ecdsa_sign, ecdsa_verify, ecdsa_verify_second, hash160, secp256k1_public_key
from protocol.errors import InvalidChainData, RequestError

Verify = Callable[[bytes, bytes, bytes], bool]
"""(digest, DER signature, public key) -> whether it holds."""


def redeem_script_address(redeem_script: bytes) -> bytes:
    """Return the 21-byte P2SH address of a multisig redeem script; raises `RequestError` if it is none."""
    _multisig_of(redeem_script)
    return pay_to_script_hash(redeem_script)


def sign_input(tx: Transaction, index: int, redeem_script: bytes, secret: bytes) -> bytes:
    """Return the signature (DER and hash type ALL) of one key holder for one input.

    Raises `RequestError` when the key is none of the redeem script's.
    """
    if secp256k1_public_key(secret) not in _multisig_of(redeem_script).data:
        raise RequestError("this key is none of those that may sign here")
    return _sign(tx, index, redeem_script, secret)


def signer_position(tx: Transaction, index: int, redeem_script: bytes, signature: bytes) -> int:
    """Return the position, among the redeem script's keys, of the key that made a signature.

    Raises `RequestError` when none of them made it, for this input, with hash type ALL.
    """
    keys = _multisig_of(redeem_script).data
    try:
        der, hash_type = split_signature(signature)
    except InvalidChainData as error:
        raise RequestError(f"input {index}: {error}") from None
    if hash_type != SIGHASH_ALL:
        raise RequestError(
            f"input {index}: a signature with hash type {hash_type:#04x}, only ALL may stand here"
        )
    digest = signature_hash(tx, index, redeem_script, hash_type)
    for position, key in enumerate(keys):
        if ecdsa_verify(digest, der, key):
            return position
    raise RequestError(
        f"input {index}: a signature that no key of the redeem script made for this transaction"
    )


def combine_signatures(
    tx: Transaction, index: int, redeem_script: bytes, signatures: Sequence[bytes]
) -> bytes:
    """Return the input script made of the signatures, which may come in any order.

    The script takes exactly as many as are required, in the order of the keys; what is
    above that is left out. Raises `RequestError` for a foreign signature, for two of one
    key, and for too few.
    """
    template = _multisig_of(redeem_script)
    by_position: dict[int, bytes] = {}
    for signature in signatures:
        position = signer_position(tx, index, redeem_script, signature)
        if position in by_position:
            raise RequestError(f"input {index}: key {position + 1} of {len(template.data)} signed twice")
        by_position[position] = signature
    if len(by_position) < template.required:
        raise RequestError(f"input {index}: {len(by_position)} of the {template.required} signatures needed")
    chosen = [by_position[position] for position in sorted(by_position)][: template.required]
    return bytes([OP_0]) + b"".join(map(push_data, [*chosen, redeem_script]))


def verify_input(tx: Transaction, index: int, redeem_script: bytes) -> None:
    """Check an input that spends from a treasury: each signature, by both libraries, type ALL.

    Raises `InvalidChainData`.
    """
    address = redeem_script_address(redeem_script)
    types = _spend_script_hash(SignatureHasher(tx), tx, index, address[1:], _verify_twice)
    if any(hash_type != SIGHASH_ALL for hash_type in types):
        raise InvalidChainData(f"input {index}: a treasury's signature must be of type ALL")


def sign_p2pkh_input(tx: Transaction, index: int, previous_script: bytes, secret: bytes) -> bytes:
    """Return the input script that spends a P2PKH output of the secret's compressed public key.

    Raises `RequestError` when the output belongs to somebody else.
    """
    template = match_template(previous_script)
    public_key = secp256k1_public_key(secret)
    if template.kind is not ScriptKind.PUBLIC_KEY_HASH or template.data[0] != hash160(public_key):
        raise RequestError(f"input {index} does not spend a P2PKH output of this key")
    return push_data(_sign(tx, index, previous_script, secret)) + push_data(public_key)


def verify_p2pkh_input(tx: Transaction, index: int, previous_script: bytes) -> None:
    """Check an input that spends a P2PKH output; raises `InvalidChainData`."""
    if match_template(previous_script).kind is not ScriptKind.PUBLIC_KEY_HASH:
        raise InvalidChainData(f"input {index} does not spend a P2PKH output")
    verify_input_script(tx, index, previous_script)


def verify_input_script(tx: Transaction, index: int, previous_script: bytes) -> None:
    """Check that an input may spend an output with this script; raises `InvalidChainData`.

    P2PKH, P2PK and P2SH of a multisig can be spent, also with a replay tail, whose block
    is not looked up.
    """
    _verify(SignatureHasher(tx), tx, index, previous_script)


def verify_inputs(tx: Transaction, previous_scripts: Sequence[bytes]) -> None:
    """Check all inputs of a transaction, given the scripts that they spend in order.

    Raises `InvalidChainData`. Quicker than one by one: the hashes share their parts.
    """
    if len(previous_scripts) != len(tx.inputs):
        raise InvalidChainData(f"{len(tx.inputs)} inputs spend {len(previous_scripts)} outputs")
    hasher = SignatureHasher(tx)
    for index, previous_script in enumerate(previous_scripts):
        _verify(hasher, tx, index, previous_script)


def _multisig_of(redeem_script: bytes) -> Template:
    """Return the bare multisig that a redeem script is; raises `RequestError`."""
    template = match_template(redeem_script)
    if template.kind is not ScriptKind.MULTISIG or template.tail or len(redeem_script) > REDEEM_SCRIPT_MAX:
        raise RequestError("not the redeem script of a multisig address")
    return template


def _sign(tx: Transaction, index: int, script_code: bytes, secret: bytes) -> bytes:
    digest = signature_hash(tx, index, script_code, SIGHASH_ALL)
    return ecdsa_sign(digest, secret) + bytes([SIGHASH_ALL])


def _verify_twice(digest: bytes, der: bytes, public_key: bytes) -> bool:
    return ecdsa_verify(digest, der, public_key) and ecdsa_verify_second(digest, der, public_key)


def _verify(hasher: SignatureHasher, tx: Transaction, index: int, previous_script: bytes) -> None:
    template = match_template(previous_script)
    if template.kind is ScriptKind.SCRIPT_HASH:
        _spend_script_hash(hasher, tx, index, template.data[0], ecdsa_verify)
    elif template.kind is ScriptKind.PUBLIC_KEY_HASH:
        _spend_key_hash(hasher, tx, index, template.data[0], previous_script)
    elif template.kind is ScriptKind.PUBLIC_KEY:
        (signature,) = _pushes(tx, index, 1)
        _check_signature(hasher, index, previous_script, signature, template.data[0])
    else:
        raise InvalidChainData(f"input {index}: a {template.kind.value} output cannot be spent")


def _pushes(tx: Transaction, index: int, count: int) -> tuple[bytes, ...]:
    """Return the pushes of an input script, which must be so many and in their shortest form."""
    script_sig = tx.inputs[index].script_sig
    pushes = parse_pushes(script_sig)
    if len(pushes) != count or b"".join(map(push_data, pushes)) != script_sig:
        raise InvalidChainData(f"input {index}: not the {count} pushes that its output asks for")
    return pushes


def _spend_key_hash(
    hasher: SignatureHasher, tx: Transaction, index: int, key_hash: bytes, previous_script: bytes
) -> None:
    signature, public_key = _pushes(tx, index, 2)
    if hash160(public_key) != key_hash:
        raise InvalidChainData(f"input {index}: the public key is not the output's")
    _check_signature(hasher, index, previous_script, signature, public_key)


def _check_signature(
    hasher: SignatureHasher, index: int, script_code: bytes, signature: bytes, public_key: bytes
) -> None:
    der, hash_type = split_signature(signature)
    if not ecdsa_verify(hasher.digest(index, script_code, hash_type), der, public_key):
        raise InvalidChainData(f"input {index}: the signature does not hold")


def _spend_script_hash(
    hasher: SignatureHasher, tx: Transaction, index: int, script_hash: bytes, verify: Verify
) -> list[int]:
    """Check a P2SH input of a multisig and return the hash types of its signatures."""
    pushes = parse_pushes(tx.inputs[index].script_sig)
    redeem_script = pushes[-1] if pushes else b""
    if hash160(redeem_script) != script_hash:
        raise InvalidChainData(f"input {index}: the redeem script is not the output's")
    template = match_template(redeem_script)
    if template.kind is not ScriptKind.MULTISIG or template.tail or len(redeem_script) > REDEEM_SCRIPT_MAX:
        raise InvalidChainData(f"input {index}: only the redeem script of a multisig can be spent")
    dummy, *signatures, _ = _pushes(tx, index, template.required + 2)
    if dummy:
        raise InvalidChainData(f"input {index}: a multisig input begins with an empty push")
    return _match_signatures(hasher, index, template, redeem_script, signatures, verify)


def _match_signatures(
    hasher: SignatureHasher,
    index: int,
    template: Template,
    redeem_script: bytes,
    signatures: Sequence[bytes],
    verify: Verify,
) -> list[int]:
    """Check that each signature is of a later key than the one before; return their hash types."""
    keys = iter(template.data)
    types = []
    for signature in signatures:
        der, hash_type = split_signature(signature)
        digest = hasher.digest(index, redeem_script, hash_type)
        if not any(verify(digest, der, key) for key in keys):
            raise InvalidChainData(f"input {index}: a signature is foreign, repeated or out of order")
        types.append(hash_type)
    return types
