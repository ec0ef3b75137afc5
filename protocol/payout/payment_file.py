"""The file that paymasters hand each other: one unsigned transaction and signatures beside it.

Answers for: a signature is made only after the inspection passed; files of several
paymasters are put together in any order, and a partial, repeated, out-of-order or
foreign signature is a clear error; what leaves here complete was verified by two
independent libraries, signature by signature. What a payment must contain is
`inspection`'s, sending it the callers' business. Spec: `spec/payment.md`.
"""

from collections.abc import Sequence
from typing import Annotated

from protocol.chain.encoding import display_hash
from protocol.chain.multisig import combine_signatures, sign_input, verify_input
from protocol.chain.sighash import SignatureHasher
from protocol.chain.signature import SIGHASH_ALL, split_signature
from protocol.chain.transaction import Transaction, decode_transaction, with_script_sig
from protocol.codec import Bytes32, Decoder, Meta, Wire, encode, replace
from protocol.crypto import ecdsa_verify, secp256k1_public_key
from protocol.errors import InvalidChainData, InvalidPayment, MalformedMessage, RequestError
from protocol.genesis import Genesis, PublicKey33, network_id
from protocol.payout.inspection import NodeView, PaymentReport, inspect_gathering, inspect_payment
from protocol.payout.light import VerifiedList
from protocol.payout.payment import GATHERED_MAX, PAYMENT_SIZE_MAX
from protocol.payout.treasury import recognise_payment, redeem_script

PAYMENT_FILE_SIZE_MAX = 1 << 20
"""Bytes of the largest payment file: the transaction and 15 keys' signatures for 250 inputs."""
SIGNERS_MAX = 15

InputSignature = Annotated[bytes, Meta(min_length=9, max_length=73)]
"""Strict DER and the hash type ALL."""


class KeySignatures(Wire):
    """One paymaster's signatures: its compressed public key, and one signature for each input."""

    public_key: PublicKey33
    signatures: Annotated[tuple[InputSignature, ...], Meta(min_length=1, max_length=GATHERED_MAX)]


class PaymentFile(Wire, tag="payment"):
    """An unsigned transaction of the treasury, and the signatures so far, in the order of its keys."""

    network: Bytes32
    transaction: Annotated[bytes, Meta(min_length=10, max_length=PAYMENT_SIZE_MAX)]
    signatures: Annotated[tuple[KeySignatures, ...], Meta(max_length=SIGNERS_MAX)]


_decode: Decoder[PaymentFile] = Decoder(PaymentFile, PAYMENT_FILE_SIZE_MAX)


def new_payment_file(transaction: Transaction, genesis: Genesis) -> PaymentFile:
    """Return the file of an unsigned payment or gathering."""
    return PaymentFile(network=network_id(genesis), transaction=transaction.raw, signatures=())


def encode_payment_file(file: PaymentFile) -> bytes:
    """Return the bytes of a payment file."""
    return encode(file)


def decode_payment_file(data: bytes, genesis: Genesis) -> PaymentFile:
    """Return the payment that a file holds, with every signature in it verified.

    That says nothing yet about whether the transaction may be signed or sent. Raises a
    `ProtocolError` whose text says in one sentence what is wrong.
    """
    try:
        file = _decode(data)
    except MalformedMessage as error:
        raise MalformedMessage(f"not a payment file: {error}") from None
    if file.network != network_id(genesis):
        raise InvalidPayment(f"the payment is of network {file.network.hex()[:16]}, another one")
    transaction = unsigned_transaction(file, genesis)
    _check_signer_order([signer.public_key for signer in file.signatures], genesis)
    for signer in file.signatures:
        _check_signatures(signer, transaction, genesis)
    return file


def unsigned_transaction(file: PaymentFile, genesis: Genesis) -> Transaction:
    """Return the file's transaction; raises `InvalidPayment` if it is none."""
    try:
        return decode_transaction(file.transaction, genesis.chain.family)
    except InvalidChainData as error:
        raise InvalidPayment(f"the file holds no transaction: {error}") from None


def inspect_file(
    file: PaymentFile, genesis: Genesis, verified: VerifiedList | None, view: NodeView
) -> PaymentReport:
    """Return what a file's transaction does; raises `InvalidPayment` unless it may be signed.

    A payment is inspected against its verified list; a transaction without a payment's mark
    may only gather the treasury's own outputs.
    """
    transaction = unsigned_transaction(file, genesis)
    if recognise_payment(transaction) is None:
        return inspect_gathering(transaction, genesis, view)
    if verified is None:
        raise InvalidPayment("a payment can only be judged together with its list")
    return inspect_payment(transaction, verified, view)


def sign_payment(
    file: PaymentFile, genesis: Genesis, verified: VerifiedList | None, view: NodeView, secret: bytes
) -> PaymentFile:
    """Return the file with one paymaster's signatures added, after the whole inspection.

    Raises `InvalidPayment` when it must not be signed, `RequestError` for a key that is
    not the treasury's or has signed already.
    """
    inspect_file(file, genesis, verified, view)
    public_key = secp256k1_public_key(secret)
    if public_key not in genesis.treasury.public_keys:
        raise RequestError("this key is none of the treasury's")
    if any(signer.public_key == public_key for signer in file.signatures):
        raise RequestError(f"{_key_name(public_key, genesis)} has signed this file already")
    transaction = unsigned_transaction(file, genesis)
    script = redeem_script(genesis.treasury)
    own = KeySignatures(
        public_key=public_key,
        signatures=tuple(
            sign_input(transaction, index, script, secret) for index in range(len(transaction.inputs))
        ),
    )
    return _with_signatures(file, [*file.signatures, own], genesis)


def combine_payments(files: Sequence[PaymentFile], genesis: Genesis) -> PaymentFile:
    """Return one file with the signatures of several, given in any order.

    The files must have passed `decode_payment_file`. Raises `RequestError` when they are not
    of one transaction, or when a key stands in two of them.
    """
    if not files:
        raise RequestError("no payment file to combine")
    signers: list[KeySignatures] = []
    for number, file in enumerate(files, start=1):
        if (file.network, file.transaction) != (files[0].network, files[0].transaction):
            raise RequestError(f"file {number} is of another transaction than file 1")
        for signer in file.signatures:
            if any(signer.public_key == other.public_key for other in signers):
                raise RequestError(
                    f"{_key_name(signer.public_key, genesis)} has signed in two of the files, "
                    "give each signature once"
                )
            signers.append(signer)
    return _with_signatures(files[0], signers, genesis)


def finish_payment(file: PaymentFile, genesis: Genesis) -> Transaction:
    """Return the signed transaction, each signature verified by both libraries.

    Signatures beyond those required are left out, the last keys' first. Raises `RequestError`
    while signatures are missing, `InvalidPayment` when one does not hold.
    """
    script, required = redeem_script(genesis.treasury), genesis.treasury.required
    if len(file.signatures) < required:
        raise RequestError(f"signed by {len(file.signatures)} paymasters, {required} must sign")
    unsigned = signed = unsigned_transaction(file, genesis)
    for index in range(len(unsigned.inputs)):
        signatures = [signer.signatures[index] for signer in file.signatures[:required]]
        signed = with_script_sig(signed, index, combine_signatures(unsigned, index, script, signatures))
    try:
        for index in range(len(signed.inputs)):
            verify_input(signed, index, script)
    except InvalidChainData as error:
        raise InvalidPayment(f"the signed payment does not hold: {error}") from None
    return signed


def _with_signatures(file: PaymentFile, signers: Sequence[KeySignatures], genesis: Genesis) -> PaymentFile:
    """Return the file with these signatures, sorted in the order of the treasury's keys."""
    order = genesis.treasury.public_keys.index
    return replace(file, signatures=tuple(sorted(signers, key=lambda signer: order(signer.public_key))))


def _check_signer_order(keys: Sequence[bytes], genesis: Genesis) -> None:
    """Raise `InvalidPayment` unless the keys are the treasury's, each once, in its order."""
    for key in keys:
        if key not in genesis.treasury.public_keys:
            raise InvalidPayment(f"signed by {key.hex()[:16]}, whose key is none of the treasury's")
    order = [genesis.treasury.public_keys.index(key) for key in keys]
    for before, position in zip(order, order[1:], strict=False):
        if before == position:
            raise InvalidPayment(f"{_key_name(keys[order.index(position)], genesis)} has signed twice")
        if before > position:
            raise InvalidPayment(
                "the signatures are out of order: they stand in the order of the treasury's keys"
            )


def _check_signatures(signer: KeySignatures, transaction: Transaction, genesis: Genesis) -> None:
    """Raise `InvalidPayment` unless the key signed every input of this transaction, with type ALL."""
    who = _key_name(signer.public_key, genesis)
    if len(signer.signatures) != len(transaction.inputs):
        raise InvalidPayment(f"{who} has signed {len(signer.signatures)} of {len(transaction.inputs)} inputs")
    script, hasher = redeem_script(genesis.treasury), SignatureHasher(transaction)
    for index, signature in enumerate(signer.signatures):
        try:
            der, hash_type = split_signature(signature)
        except InvalidChainData as error:
            raise InvalidPayment(f"{who}, input {index}: {error}") from None
        if hash_type != SIGHASH_ALL:
            raise InvalidPayment(
                f"{who} has signed input {index} with type {hash_type:#04x}, only ALL counts"
            )
        if not ecdsa_verify(hasher.digest(index, script, hash_type), der, signer.public_key):
            raise InvalidPayment(
                f"{who} has not signed input {index} of transaction {display_hash(transaction.txid)[:16]}"
            )


def _key_name(public_key: bytes, genesis: Genesis) -> str:
    """Name a treasury key by its place, as the paymasters know it."""
    keys = genesis.treasury.public_keys
    return f"key {keys.index(public_key) + 1} of {len(keys)}"
