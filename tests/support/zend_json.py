"""Blocks and transactions as zend shows them; fields that nobody here reads are left out.

The shapes are those of zend 2.0 to 6.0. Amounts are JSON numbers with eight decimals, which
Python's encoder cannot write: they are marked, and `encode` takes the marks off.
"""

import json
import re
from typing import Any

from protocol.chain.address import encode_address, pay_to_public_key_hash
from protocol.chain.block import Block, block_hash
from protocol.chain.encoding import display_hash
from protocol.chain.rules import ChainRules
from protocol.chain.script import ScriptKind, match_template, script_address
from protocol.chain.transaction import Transaction, is_coinbase
from protocol.units import format_amount

_AMOUNT = re.compile(rb'"\\u0000(\d+\.\d{8})"')


def encode(document: Any) -> bytes:
    """Return the JSON of an answer, with amounts as numbers."""
    return _AMOUNT.sub(rb"\1", json.dumps(document).encode())


def amount_json(amount: int) -> str:
    """Return the mark of an amount."""
    return f"\0{format_amount(amount)}"


def script_json(script: bytes, rules: ChainRules) -> dict[str, Any]:
    """Return an output script as it is shown."""
    template = match_template(script)
    shown: dict[str, Any] = {"hex": script.hex()}
    shown["type"] = template.kind.value + ("replay" if template.tail else "")
    address = script_address(script)
    if template.kind is ScriptKind.MULTISIG:
        owners = [pay_to_public_key_hash(key) for key in template.data]
        shown |= {"reqSigs": template.required, "addresses": _texts(owners, rules)}
    elif address is not None:
        shown |= {"reqSigs": 1, "addresses": _texts([address], rules)}
    return shown


def transaction_json(tx: Transaction, rules: ChainRules) -> dict[str, Any]:
    """Return a transaction as it is shown within a block."""
    inputs: list[dict[str, Any]] = []
    for item in tx.inputs:
        if is_coinbase(tx):
            inputs.append({"coinbase": item.script_sig.hex(), "sequence": item.sequence})
            continue
        script = {"hex": item.script_sig.hex()}
        inputs.append(
            {
                "txid": display_hash(item.previous.txid),
                "vout": item.previous.index,
                "scriptSig": script,
                "sequence": item.sequence,
            }
        )
    outputs = [
        {
            "value": amount_json(output.amount),
            "valueZat": output.amount,
            "n": number,
            "scriptPubKey": script_json(output.script, rules),
        }
        for number, output in enumerate(tx.outputs)
    ]
    return {
        "txid": display_hash(tx.txid),
        "size": len(tx.raw),
        "version": tx.version,
        "locktime": tx.lock_time,
        "vin": inputs,
        "vout": outputs,
        "vjoinsplit": [],
    }


def block_json(
    block: Block, height: int, confirmations: int, verbosity: int, rules: ChainRules
) -> dict[str, Any]:
    """Return a block as it is shown at verbosity 1 (ids) or 2 (transactions)."""
    header = block.header
    shown: dict[str, Any] = {
        "hash": display_hash(block_hash(header)),
        "confirmations": confirmations,
        "size": len(block.raw),
        "height": height,
        "version": header.version,
        "merkleroot": display_hash(header.merkle_root),
        "scTxsCommitment": display_hash(header.reserved),
        "tx": [_entry(tx, verbosity, rules) for tx in block.transactions],
    }
    if block.certificates is not None:
        shown["cert"] = [_entry(each, verbosity, rules) for each in block.certificates]
    shown |= {
        "time": header.time,
        "nonce": f"{header.nonce:064x}",
        "solution": header.solution.hex(),
        "bits": f"{header.bits:08x}",
    }
    if height:
        shown["previousblockhash"] = display_hash(header.previous)
    return shown


def _entry(tx: Transaction, verbosity: int, rules: ChainRules) -> Any:
    return transaction_json(tx, rules) if verbosity == 2 else display_hash(tx.txid)


def _texts(addresses: list[bytes], rules: ChainRules) -> list[str]:
    return [encode_address(address, rules.prefixes) for address in addresses]
