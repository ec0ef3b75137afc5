"""zend's `signrawtransaction`: its argument order, its checks, and signatures that hold."""

from collections.abc import Callable, Sequence
from typing import Any

from protocol.chain.address import decode_secret_key
from protocol.chain.encoding import display_hash, parse_display_hash
from protocol.chain.multisig import combine_signatures, sign_input, sign_p2pkh_input, verify_input_script
from protocol.chain.rules import ChainRules
from protocol.chain.script import OP_0, parse_pushes, push_data
from protocol.chain.transaction import OutPoint, Transaction, decode_transaction, with_script_sig
from protocol.errors import InvalidChainData, RequestError


class ZendError(Exception):
    """An error answer: a number and words."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


FindScript = Callable[[OutPoint], bytes | None]


def sign_raw_transaction(params: Sequence[Any], rules: ChainRules, script_of: FindScript) -> dict[str, Any]:
    """Return {hex, complete, errors}: `hex [{txid, vout, scriptPubKey, redeemScript}] [wif] "ALL"`."""
    _check_types(params)
    try:
        tx = decode_transaction(bytes.fromhex(params[0]), rules.family)
    except (ValueError, InvalidChainData):
        raise ZendError(-22, "Transaction decode failed") from None
    scripts, redeem_scripts = _prevouts(params[1] if len(params) > 1 else [])
    secrets = [_secret(text, rules) for text in (params[2] if len(params) > 2 else [])]
    errors: list[dict[str, Any]] = []
    for index, item in enumerate(tx.inputs):
        script = scripts.get(item.previous) or script_of(item.previous)
        problem = "Input not found or already spent"
        if script is not None:
            tx, problem = _signed(tx, index, script, redeem_scripts.get(item.previous, b""), secrets)
        if problem:
            errors.append(
                {"txid": display_hash(item.previous.txid), "vout": item.previous.index, "error": problem}
            )
    answer: dict[str, Any] = {"hex": tx.raw.hex(), "complete": not errors}
    return answer | ({"errors": errors} if errors else {})


def _check_types(params: Sequence[Any]) -> None:
    for value, kind in zip(params, (str, list, list, str), strict=False):
        if not isinstance(value, kind):
            raise ZendError(-3, f"Expected type {kind.__name__}, got {type(value).__name__}")
    if not 1 <= len(params) <= 4:
        raise ZendError(-1, "signrawtransaction")


def _prevouts(items: Sequence[Any]) -> tuple[dict[OutPoint, bytes], dict[OutPoint, bytes]]:
    scripts: dict[OutPoint, bytes] = {}
    redeem_scripts: dict[OutPoint, bytes] = {}
    for item in items:
        if not isinstance(item, dict) or not {"txid", "vout", "scriptPubKey"} <= item.keys():
            raise ZendError(-22, 'expected object with {"txid\'","vout","scriptPubKey"}')
        point = OutPoint(parse_display_hash(item["txid"]), item["vout"])
        scripts[point] = bytes.fromhex(item["scriptPubKey"])
        redeem_scripts[point] = bytes.fromhex(item.get("redeemScript", ""))
    return scripts, redeem_scripts


def _secret(text: Any, rules: ChainRules) -> bytes:
    try:
        return decode_secret_key(text, rules.prefixes)[0]
    except (RequestError, TypeError):
        raise ZendError(-5, "Invalid private key") from None


def _signed(
    tx: Transaction, index: int, script: bytes, redeem_script: bytes, secrets: Sequence[bytes]
) -> tuple[Transaction, str]:
    """Return the transaction with what the keys can sign, and what is still wrong with the input."""
    if redeem_script:
        tx = _add_signatures(tx, index, redeem_script, secrets)
    else:
        for secret in secrets:
            try:
                tx = with_script_sig(tx, index, sign_p2pkh_input(tx, index, script, secret))
            except RequestError:
                continue
    try:
        verify_input_script(tx, index, script)
    except InvalidChainData as error:
        return tx, str(error)
    return tx, ""


def _add_signatures(
    tx: Transaction, index: int, redeem_script: bytes, secrets: Sequence[bytes]
) -> Transaction:
    """Put the keys' signatures beside those that are there, in the order of the redeem script when enough."""
    signatures = [
        push for push in parse_pushes(tx.inputs[index].script_sig) if push and push != redeem_script
    ]
    for secret in secrets:
        try:
            own = sign_input(tx, index, redeem_script, secret)
        except RequestError:
            continue
        signatures += [own] if own not in signatures else []
    try:
        script = combine_signatures(tx, index, redeem_script, signatures)
    except RequestError:
        script = bytes([OP_0]) + b"".join(map(push_data, (*signatures, redeem_script)))
    return with_script_sig(tx, index, script)
