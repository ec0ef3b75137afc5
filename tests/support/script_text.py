"""Scripts as the chain's vector files write them: names, numbers, raw `0x…` and quoted text."""

from protocol.chain.script import push_data, push_number

_NAMES = (
    "NOP VER IF NOTIF VERIF VERNOTIF ELSE ENDIF VERIFY RETURN TOALTSTACK FROMALTSTACK 2DROP 2DUP 3DUP 2OVER "
    "2ROT 2SWAP IFDUP DEPTH DROP DUP NIP OVER PICK ROLL ROT SWAP TUCK CAT SUBSTR LEFT RIGHT SIZE INVERT AND "
    "OR XOR EQUAL EQUALVERIFY RESERVED1 RESERVED2 1ADD 1SUB 2MUL 2DIV NEGATE ABS NOT 0NOTEQUAL ADD SUB MUL "
    "DIV MOD LSHIFT RSHIFT BOOLAND BOOLOR NUMEQUAL NUMEQUALVERIFY NUMNOTEQUAL LESSTHAN GREATERTHAN "
    "LESSTHANOREQUAL GREATERTHANOREQUAL MIN MAX WITHIN RIPEMD160 SHA1 SHA256 HASH160 HASH256 "
    "CODESEPARATOR CHECKSIG CHECKSIGVERIFY CHECKMULTISIG CHECKMULTISIGVERIFY "
    "NOP1 NOP2 NOP3 NOP4 NOP5 NOP6 NOP7 NOP8 NOP9 NOP10"
).split()
OPCODES = {name: 0x61 + position for position, name in enumerate(_NAMES)} | {
    "RESERVED": 0x50,
    "CHECKLOCKTIMEVERIFY": 0xB1,
}


def _number(value: int) -> bytes:
    """Push a signed number of any size, as the chain's script numbers are written."""
    if value == -1:
        return b"\x4f"
    if 0 <= value < 1 << 31:
        return push_number(value)
    magnitude = bytearray(abs(value).to_bytes(abs(value).bit_length() // 8 + 1, "little"))
    magnitude[-1] |= 0x80 if value < 0 else 0
    return push_data(bytes(magnitude))


def assemble(text: str) -> bytes:
    """Return the script that a vector file writes as text."""
    script = b""
    for word in text.split():
        if word.startswith("0x"):
            script += bytes.fromhex(word[2:])
        elif word.startswith("'"):
            script += push_data(word[1:-1].encode())
        elif word.removeprefix("-").isdigit():
            script += _number(int(word))
        else:
            script += bytes([OPCODES[word.removeprefix("OP_")]])
    return script
