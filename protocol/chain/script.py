"""Output scripts: the templates that zenp2p knows, and whose address an output is.

Answers for: recognising P2PKH, P2SH, P2PK, bare multisig and OP_RETURN, each also with
Horizen's replay tail `<32-byte block hash> <height> OP_CHECKBLOCKATHEIGHT`; for the
first-address rule, which must not depend on a node's JSON (zend and litecoind disagree
there); and for building these scripts. Nothing is executed: a script outside of the
templates is nobody's. Whether the tail's block is on the chain is left to the chain's
node, signatures to `multisig`. Spec: `spec/script.md`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from protocol.chain.address import AddressKind, address_kind, pay_to_public_key_hash
from protocol.errors import InvalidChainData, RequestError

OP_0, OP_PUSHDATA1, OP_PUSHDATA2, OP_PUSHDATA4 = 0x00, 0x4C, 0x4D, 0x4E
OP_1NEGATE, OP_1, OP_16 = 0x4F, 0x51, 0x60
OP_RETURN, OP_CHECKMULTISIG, OP_CHECKBLOCKATHEIGHT = 0x6A, 0xAE, 0xB4

SCRIPT_SIZE_MAX = 10_000
SCRIPT_PUSHES_MAX = 1_000
NULL_DATA_MAX = 80
"""Bytes that an OP_RETURN output may carry."""
MULTISIG_KEYS_MAX = 15
"""Compressed keys that fit into the 520 bytes of a redeem script."""
REDEEM_SCRIPT_MAX = 520

_P2PKH_HEAD, _P2PKH_END = b"\x76\xa9\x14", b"\x88\xac"
_P2SH_HEAD, _P2SH_END = b"\xa9\x14", b"\x87"
_CHECKSIG = 0xAC


class ScriptKind(Enum):
    """The templates, by the names under which zend shows them."""

    PUBLIC_KEY_HASH = "pubkeyhash"
    SCRIPT_HASH = "scripthash"
    PUBLIC_KEY = "pubkey"
    MULTISIG = "multisig"
    NULL_DATA = "nulldata"
    NONSTANDARD = "nonstandard"


@dataclass(frozen=True, slots=True)
class ReplayTail:
    """Names a block without which an output is void: its hash (computed order) and height."""

    block_hash: bytes
    height: int


@dataclass(frozen=True, slots=True)
class Template:
    """A recognised script: the pushes that fill its template, and its tail.

    `data` is one hash of 20 bytes, one public key, the public keys, or one payload.
    `required` is the number of signatures of a multisig, else 0.
    """

    kind: ScriptKind
    data: tuple[bytes, ...] = ()
    required: int = 0
    tail: ReplayTail | None = None


_NONSTANDARD = Template(ScriptKind.NONSTANDARD)


def is_public_key(data: bytes) -> bool:
    """Whether the bytes have the form of a compressed (33) or uncompressed (65) public key."""
    return (len(data) == 33 and data[0] in (2, 3)) or (len(data) == 65 and data[0] == 4)


def read_push(script: bytes, position: int) -> tuple[bytes, int] | None:
    """Return (what is pushed, end) of the operation at `position`; None when it pushes nothing.

    Small numbers push their number's byte, as they do on the stack. Raises
    `InvalidChainData` when the script ends within the push.
    """
    opcode = script[position]
    if OP_1 <= opcode <= OP_16:
        return bytes([opcode - OP_1 + 1]), position + 1
    if opcode == OP_1NEGATE:
        return b"\x81", position + 1
    if opcode > OP_PUSHDATA4:
        return None
    start, size = position + 1, opcode
    if opcode >= OP_PUSHDATA1:
        width = 1 << (opcode - OP_PUSHDATA1)
        size = int.from_bytes(script[start : start + width], "little")
        start += width
    if start + size > len(script):
        raise InvalidChainData("a script ends within a push")
    return script[start : start + size], start + size


def parse_pushes(script: bytes) -> tuple[bytes, ...]:
    """Return what a script of pushes alone leaves on the stack; raises `InvalidChainData`."""
    if len(script) > SCRIPT_SIZE_MAX:
        raise InvalidChainData(f"script of {len(script)} bytes, at most {SCRIPT_SIZE_MAX} allowed")
    pushes: list[bytes] = []
    position = 0
    while position < len(script):
        push = read_push(script, position)
        if push is None:
            raise InvalidChainData(f"operation {script[position]:#04x} where only pushes may stand")
        if len(pushes) == SCRIPT_PUSHES_MAX:
            raise InvalidChainData(f"more than {SCRIPT_PUSHES_MAX} pushes")
        pushes.append(push[0])
        position = push[1]
    return tuple(pushes)


def push_data(data: bytes) -> bytes:
    """Return the operation that pushes `data` as bytes, in the shortest form by length."""
    size = len(data)
    if size < OP_PUSHDATA1:
        return bytes([size]) + data
    if size <= 0xFF:
        return bytes([OP_PUSHDATA1, size]) + data
    if size <= 0xFFFF:
        return bytes([OP_PUSHDATA2]) + size.to_bytes(2, "little") + data
    return bytes([OP_PUSHDATA4]) + size.to_bytes(4, "little") + data


def push_number(number: int) -> bytes:
    """Return the shortest operation that pushes a number from 0 to 2**31 - 1."""
    if not 0 <= number < 1 << 31:
        raise ValueError(f"{number} is no number from 0 to 2**31 - 1")
    if number <= 16:
        return bytes([OP_1 + number - 1 if number else OP_0])
    return push_data(number.to_bytes(number.bit_length() // 8 + 1, "little"))


def read_number(script: bytes, position: int) -> tuple[int, int] | None:
    """Return (number, end) when the shortest push of a number from 0 to 2**31 - 1 stands there."""
    opcode = script[position] if position < len(script) else OP_RETURN
    if opcode > OP_16 or 4 < opcode < OP_1:
        return None
    if opcode > 4:
        return opcode - OP_1 + 1, position + 1
    end = position + 1 + opcode
    number = int.from_bytes(script[position + 1 : end], "little")
    if end > len(script) or number >= 1 << 31 or push_number(number) != script[position:end]:
        return None
    return number, end


def replay_tail(block_hash: bytes, height: int) -> bytes:
    """Return the tail that binds an output to a chain: append it to the script."""
    if len(block_hash) != 32:
        raise ValueError(f"a block hash has 32 bytes, not {len(block_hash)}")
    return push_data(block_hash) + push_number(height) + bytes([OP_CHECKBLOCKATHEIGHT])


def _read_tail(script: bytes, position: int) -> ReplayTail | None:
    """Return the tail that stands from `position` to the end of the script, else None."""
    if script[position : position + 1] != b"\x20":
        return None
    number = read_number(script, position + 33)
    if number is None or script[number[1] :] != bytes([OP_CHECKBLOCKATHEIGHT]):
        return None
    return ReplayTail(script[position + 1 : position + 33], number[0])


def _match_single(script: bytes) -> tuple[ScriptKind, bytes, int] | None:
    """Return (kind, hash or key, end) when a P2PKH, P2SH or P2PK stands at the start."""
    if script[:3] == _P2PKH_HEAD and script[23:25] == _P2PKH_END:
        return ScriptKind.PUBLIC_KEY_HASH, script[3:23], 25
    if script[:2] == _P2SH_HEAD and script[22:23] == _P2SH_END:
        return ScriptKind.SCRIPT_HASH, script[2:22], 23
    size = script[0] if script else 0
    if size in (33, 65) and len(script) >= size + 2 and script[size + 1] == _CHECKSIG:
        key = script[1 : size + 1]
        return (ScriptKind.PUBLIC_KEY, key, size + 2) if is_public_key(key) else None
    return None


def _match_multisig(script: bytes) -> tuple[Template, int] | None:
    """Return (template, end) when a bare multisig stands at the start."""
    if not script or not OP_1 <= script[0] <= OP_16:
        return None
    keys: list[bytes] = []
    position = 1
    while position < len(script) and script[position] in (33, 65) and len(keys) < OP_16 - OP_1 + 1:
        end = position + 1 + script[position]
        keys.append(script[position + 1 : end])
        position = end
    required = script[0] - OP_1 + 1
    if not required <= len(keys) or not all(is_public_key(key) for key in keys):
        return None
    if script[position : position + 2] != bytes([OP_1 + len(keys) - 1, OP_CHECKMULTISIG]):
        return None
    return Template(ScriptKind.MULTISIG, tuple(keys), required), position + 2


def _match_null_data(script: bytes) -> tuple[Template, int] | None:
    """Return (template, end) when OP_RETURN and one push in its shortest form stand at the start."""
    size = script[1] if len(script) > 1 else OP_RETURN
    start = 2
    if size == OP_PUSHDATA1 and len(script) > 2:
        size, start = script[2], 3
    payload = script[start : start + size]
    if len(payload) != size or size > NULL_DATA_MAX or script[: start + size] != null_data(payload):
        return None
    return Template(ScriptKind.NULL_DATA, (payload,)), start + size


def match_template(script: bytes) -> Template:
    """Return which template the script fills, `NONSTANDARD` when none."""
    if single := _match_single(script):
        kind, data, end = single
        found = Template(kind, (data,))
    elif other := _match_null_data(script) if script[:1] == b"\x6a" else _match_multisig(script):
        found, end = other
    else:
        return _NONSTANDARD
    if end == len(script):
        return found
    tail = _read_tail(script, end)
    return Template(found.kind, found.data, found.required, tail) if tail else _NONSTANDARD


def script_address(script: bytes) -> bytes | None:
    """Return the 21-byte address that owns an output, or None: the first-address rule.

    P2PKH and P2SH name it, P2PK gives the P2PKH address of its key; everything else has none.
    """
    single = _match_single(script)
    if single is None:
        return None
    kind, data, end = single
    if end != len(script) and _read_tail(script, end) is None:
        return None
    if kind is ScriptKind.PUBLIC_KEY:
        return pay_to_public_key_hash(data)
    return (b"\x00" if kind is ScriptKind.PUBLIC_KEY_HASH else b"\x01") + data


def template_address(template: Template) -> bytes | None:
    """Return `script_address` of the script that fills a template."""
    match template.kind:
        case ScriptKind.PUBLIC_KEY_HASH:
            return b"\x00" + template.data[0]
        case ScriptKind.SCRIPT_HASH:
            return b"\x01" + template.data[0]
        case ScriptKind.PUBLIC_KEY:
            return pay_to_public_key_hash(template.data[0])
    return None


def address_script(address: bytes) -> bytes:
    """Return the script that pays to a 21-byte address; raises `InvalidChainData` for an unknown kind."""
    if address_kind(address) is AddressKind.P2PKH:
        return _P2PKH_HEAD + address[1:] + _P2PKH_END
    return _P2SH_HEAD + address[1:] + _P2SH_END


def null_data(payload: bytes) -> bytes:
    """Return the OP_RETURN script that carries up to `NULL_DATA_MAX` bytes."""
    if len(payload) > NULL_DATA_MAX:
        raise ValueError(f"{len(payload)} bytes, an output carries at most {NULL_DATA_MAX}")
    return bytes([OP_RETURN]) + push_data(payload)


def null_data_payload(script: bytes) -> bytes | None:
    """Return what an OP_RETURN script carries, or None for any other script."""
    if script[:1] != bytes([OP_RETURN]):
        return None
    template = match_template(script)
    return template.data[0] if template.kind is ScriptKind.NULL_DATA else None


def multisig_script(required: int, public_keys: Sequence[bytes]) -> bytes:
    """Return the script that `required` of the keys must sign, keys in this order.

    Raises `RequestError` for a threshold, a number or a form of keys that cannot work.
    """
    if not 1 <= required <= len(public_keys) <= MULTISIG_KEYS_MAX:
        raise RequestError(f"{required} of {len(public_keys)} keys cannot sign together")
    if len(set(public_keys)) != len(public_keys):
        raise RequestError("a key stands twice in a multisig script")
    if not all(is_public_key(key) for key in public_keys):
        raise RequestError("not a public key of 33 or 65 bytes")
    script = push_number(required) + b"".join(map(push_data, public_keys)) + push_number(len(public_keys))
    if len(script) >= REDEEM_SCRIPT_MAX:
        raise RequestError(f"{len(public_keys)} keys need more than {REDEEM_SCRIPT_MAX} bytes of script")
    return script + bytes([OP_CHECKMULTISIG])
