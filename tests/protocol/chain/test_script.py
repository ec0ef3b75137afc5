"""Templates, replay tails, the first-address rule, pushes."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.chain import script as module
from protocol.chain.address import ZEN_TESTNET, encode_address, pay_to_public_key_hash, pay_to_script_hash
from protocol.chain.script import (
    MULTISIG_KEYS_MAX,
    NULL_DATA_MAX,
    ReplayTail,
    ScriptKind,
    Template,
    address_script,
    is_public_key,
    match_template,
    multisig_script,
    null_data,
    null_data_payload,
    parse_pushes,
    push_data,
    push_number,
    read_number,
    replay_tail,
    script_address,
    template_address,
)
from protocol.errors import InvalidChainData, RequestError
from tests.support.chain_data import chain_data_path, read_cases
from tests.support.chain_strategies import ADDRESSES, HASHES
from tests.support.script_text import assemble
from tests.support.vectors import check_vectors

COMPRESSED = st.builds(lambda sign, x: bytes([sign]) + x, st.sampled_from([2, 3]), HASHES)
UNCOMPRESSED = st.builds(lambda x, y: b"\x04" + x + y, HASHES, HASHES)
KEYS = st.one_of(COMPRESSED, UNCOMPRESSED)
HEIGHTS = st.one_of(st.integers(0, 200), st.integers(0, 2**31 - 1))
TAILS = st.one_of(st.none(), st.builds(ReplayTail, HASHES, HEIGHTS))
JSON_EXAMPLES = (
    "block-with-certificates-expanded",
    "ceased-sidechain-withdrawal",
    "certificate-with-backward-transfer",
    "forward-transfer-output",
    "mainchain-backward-transfer-request",
    "sidechain-creation-output",
)


def pay_to_public_key(key: bytes) -> bytes:
    return push_data(key) + b"\xac"


@st.composite
def templates(draw: st.DrawFn) -> tuple[bytes, Template]:
    """A script of one of the templates, and what it is."""
    tail = draw(TAILS)
    end = replay_tail(tail.block_hash, tail.height) if tail else b""
    kind = draw(st.sampled_from([kind for kind in ScriptKind if kind is not ScriptKind.NONSTANDARD]))
    if kind in (ScriptKind.PUBLIC_KEY_HASH, ScriptKind.SCRIPT_HASH):
        address = draw(ADDRESSES.filter(lambda a: a[0] == (kind is ScriptKind.SCRIPT_HASH)))
        return address_script(address) + end, Template(kind, (address[1:],), 0, tail)
    if kind is ScriptKind.PUBLIC_KEY:
        key = draw(KEYS)
        return pay_to_public_key(key) + end, Template(kind, (key,), 0, tail)
    if kind is ScriptKind.NULL_DATA:
        payload = draw(st.binary(max_size=NULL_DATA_MAX))
        return null_data(payload) + end, Template(kind, (payload,), 0, tail)
    keys = tuple(draw(st.lists(COMPRESSED, min_size=1, max_size=5, unique=True)))
    required = draw(st.integers(1, len(keys)))
    return multisig_script(required, keys) + end, Template(kind, keys, required, tail)


def zend_outputs(name: str) -> list[dict[str, Any]]:
    """Every output script in one of zend's own JSON examples, with the type and addresses it gave."""
    found: list[dict[str, Any]] = []

    def collect(value: Any) -> None:
        if isinstance(value, dict):
            if "hex" in value and "type" in value:
                found.append(value)
            for inner in value.values():
                collect(inner)
        elif isinstance(value, list):
            for inner in value:
                collect(inner)

    text = chain_data_path(f"horizen/{name}.json").read_text()
    collect(json.loads(text))
    return found


def test_real_outputs_have_the_kind_and_address_that_zend_shows() -> None:
    kinds: dict[str, int] = {}
    for name in JSON_EXAMPLES:
        for shown in zend_outputs(name):
            script = bytes.fromhex(shown["hex"])
            template = match_template(script)
            assert template.kind.value + ("replay" if template.tail else "") == shown["type"]
            address = script_address(script)
            assert address is not None
            assert [encode_address(address, ZEN_TESTNET)] == shown["addresses"]
            kinds[shown["type"]] = kinds.get(shown["type"], 0) + 1
    assert kinds == {"pubkeyhash": 9, "scripthash": 3, "pubkeyhashreplay": 11}


def test_scripts_outside_of_the_templates_are_nobodys() -> None:
    kinds: dict[ScriptKind, int] = {}
    for row in read_cases("horizen/script_valid.json"):
        kind = match_template(assemble(row[1])).kind
        kinds[kind] = kinds.get(kind, 0) + 1
    assert kinds == {
        ScriptKind.NONSTANDARD: 560,
        ScriptKind.SCRIPT_HASH: 7,
        ScriptKind.PUBLIC_KEY: 5,
        ScriptKind.MULTISIG: 4,
        ScriptKind.PUBLIC_KEY_HASH: 2,
    }


@given(templates())
def test_templates_are_recognised(case: tuple[bytes, Template]) -> None:
    script, template = case
    assert match_template(script) == template


@given(templates())
def test_first_address_rule(case: tuple[bytes, Template]) -> None:
    script, template = case
    expected = {
        ScriptKind.PUBLIC_KEY_HASH: lambda: b"\x00" + template.data[0],
        ScriptKind.SCRIPT_HASH: lambda: b"\x01" + template.data[0],
        ScriptKind.PUBLIC_KEY: lambda: pay_to_public_key_hash(template.data[0]),
    }.get(template.kind, lambda: None)()
    assert script_address(script) == expected == template_address(template)


@given(templates(), st.data())
def test_a_changed_script_is_another_template_or_none(
    case: tuple[bytes, Template], data: st.DataObject
) -> None:
    script, template = case
    position = data.draw(st.integers(0, len(script) - 1))
    changes = [
        script[:position] + bytes([data.draw(st.integers(0, 255))]) + script[position + 1 :],
        script[:position],
        script + data.draw(st.binary(min_size=1, max_size=3)),
    ]
    for changed in changes:
        found = match_template(changed)
        if changed != script:
            assert found != template
        address = script_address(changed)
        assert template_address(match_template(changed)) == address
        single = (ScriptKind.PUBLIC_KEY_HASH, ScriptKind.SCRIPT_HASH, ScriptKind.PUBLIC_KEY)
        assert (address is not None) == (found.kind in single)


@given(st.binary(max_size=150))
def test_any_bytes_are_matched_or_not(script: bytes) -> None:
    match_template(script)
    script_address(script)
    null_data_payload(script)
    try:
        pushes = parse_pushes(script)
    except InvalidChainData:
        return
    assert sum(map(len, pushes)) <= len(script)


def test_only_the_shortest_tail_in_this_order_counts() -> None:
    body, block_hash = address_script(b"\x00" + bytes(20)), bytes(range(32))
    assert match_template(body + replay_tail(block_hash, 300)).tail == ReplayTail(block_hash, 300)
    strange = [
        push_number(300) + push_data(block_hash) + b"\xb4",  # the order before Zen's replay fix
        push_data(block_hash) + b"\x03\x2c\x01\x00\xb4",  # 300, padded
        push_data(block_hash) + b"\x01\x05\xb4",  # 5 has an operation of its own
        push_data(block_hash) + b"\x01\x85\xb4",  # -5
        push_data(block_hash) + b"\x4f\xb4",  # -1
        push_data(block_hash) + b"\x05\x00\x00\x00\x00\x01\xb4",  # five bytes
        push_data(block_hash[:31]) + push_number(300) + b"\xb4",
        b"\x4c\x20" + block_hash + push_number(300) + b"\xb4",  # a longer push
        b"\x21" + block_hash + push_number(300) + b"\xb4",  # a push of 33 bytes, so another script
        replay_tail(block_hash, 300) + b"\xb4",
        replay_tail(block_hash, 300)[:-1],
        replay_tail(block_hash, 300) * 2,
        b"\xb4",
    ]
    for tail in strange:
        assert match_template(body + tail).kind is ScriptKind.NONSTANDARD
        assert script_address(body + tail) is None


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("", "empty"),
        ("6a", "OP_RETURN without data"),
        ("6a4c03010203", "a push that is not the shortest"),
        ("6a0401020304ff", "something behind the data"),
        ("6a4c51" + "00" * 81, "81 bytes"),
        ("6a4d0100ff", "a two-byte length"),
        ("76a91400112233445566778899aabbccddeeff0011223388", "P2PKH cut short"),
        ("76a91400112233445566778899aabbccddeeff0011223388ad", "CHECKSIGVERIFY in place of CHECKSIG"),
        ("76a91500112233445566778899aabbccddeeff0011223388ac", "a hash of 21 bytes"),
        ("a91400112233445566778899aabbccddeeff0011223388", "EQUALVERIFY in place of EQUAL"),
        ("2105" + "11" * 32 + "ac", "a key that begins with 05"),
        ("4106" + "11" * 64 + "ac", "a hybrid key"),
        ("5121" + "02" * 33 + "52ae", "one key, said to be two"),
        ("5221" + "02" * 33 + "51ae", "two of one"),
        ("0021" + "02" * 33 + "51ae", "none of one"),
        ("51" + "51ae", "a multisig without keys"),
        ("5121" + "02" * 33 + "51", "without its operation"),
        ("60" + ("21" + "02" * 33) * 16, "cut off after 16 keys"),
    ],
)
def test_nonstandard(script: str, why: str) -> None:
    assert match_template(bytes.fromhex(script)).kind is ScriptKind.NONSTANDARD, why
    assert script_address(bytes.fromhex(script)) is None
    assert null_data_payload(bytes.fromhex(script)) is None


def test_a_bare_multisig_has_no_address_but_sixteen_keys_at_most() -> None:
    keys = [bytes([2]) + bytes([number]) * 32 for number in range(16)]
    script = b"\x60" + b"".join(map(push_data, keys)) + b"\x60\xae"
    assert match_template(script) == Template(ScriptKind.MULTISIG, tuple(keys), 16)
    assert script_address(script) is None
    for count in (b"\x60", b"\x61"):
        longer = b"\x60" + b"".join(map(push_data, [*keys, keys[0]])) + count + b"\xae"
        assert match_template(longer).kind is ScriptKind.NONSTANDARD


def test_a_tail_names_a_whole_hash() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        replay_tail(bytes(31), 1)


@given(st.lists(st.binary(max_size=600), max_size=6))
def test_pushes_round_trip(pushes: list[bytes]) -> None:
    assert parse_pushes(b"".join(map(push_data, pushes))) == tuple(pushes)


def test_pushes_of_every_form() -> None:
    assert parse_pushes(bytes.fromhex("00 4f 51 60 0102 4c0103 4d010004 4e0100000005")) == (
        b"",
        b"\x81",
        b"\x01",
        b"\x10",
        b"\x02",
        b"\x03",
        b"\x04",
        b"\x05",
    )
    assert push_data(bytes(70_000))[:5] == b"\x4e" + (70_000).to_bytes(4, "little")


@pytest.mark.parametrize(
    "broken", ["01", "4c", "4c02ff", "4d01", "4d0200ff", "4effffffff", "4e010000", "50", "61", "ac", "ff"]
)
def test_broken_pushes(broken: str) -> None:
    for start in (b"", b"\x00", b"\x01\x02"):
        with pytest.raises(InvalidChainData):
            parse_pushes(start + bytes.fromhex(broken))


def test_pushes_are_bounded() -> None:
    assert len(parse_pushes(b"\x00" * module.SCRIPT_PUSHES_MAX)) == module.SCRIPT_PUSHES_MAX
    with pytest.raises(InvalidChainData, match="pushes"):
        parse_pushes(b"\x00" * (module.SCRIPT_PUSHES_MAX + 1))
    with pytest.raises(InvalidChainData, match="at most"):
        parse_pushes(push_data(bytes(module.SCRIPT_SIZE_MAX)))


@given(HEIGHTS, st.binary(max_size=3))
def test_numbers_round_trip(number: int, rest: bytes) -> None:
    written = push_number(number)
    assert read_number(b"\xac" + written + rest, 1) == (number, 1 + len(written))
    value = parse_pushes(written)[0]
    assert int.from_bytes(value, "little") == number
    assert not value or value[-1] < 0x80


@given(st.binary(max_size=7))
def test_only_the_shortest_number_is_read(data: bytes) -> None:
    found = read_number(data, 0)
    if found is not None:
        number, end = found
        assert push_number(number) == data[:end]


@pytest.mark.parametrize("number", [-1, 2**31])
def test_numbers_out_of_range(number: int) -> None:
    with pytest.raises(ValueError, match="no number"):
        push_number(number)


@given(st.binary(max_size=NULL_DATA_MAX))
def test_null_data_round_trip(payload: bytes) -> None:
    assert null_data_payload(null_data(payload)) == payload
    assert null_data_payload(null_data(payload) + replay_tail(bytes(32), 7)) == payload


def test_null_data_is_bounded() -> None:
    with pytest.raises(ValueError, match="at most 80"):
        null_data(bytes(NULL_DATA_MAX + 1))


def test_a_payload_is_read_from_op_return_only() -> None:
    assert null_data_payload(address_script(b"\x00" + bytes(20))) is None
    assert null_data_payload(multisig_script(1, [b"\x02" + bytes(32)])) is None


@given(ADDRESSES)
def test_address_script_round_trip(address: bytes) -> None:
    assert script_address(address_script(address)) == address


def test_an_unknown_kind_of_address_has_no_script() -> None:
    with pytest.raises(InvalidChainData):
        address_script(b"\x02" + bytes(20))


def test_multisig_scripts_that_cannot_work() -> None:
    keys = [bytes([2]) + bytes([number]) * 32 for number in range(MULTISIG_KEYS_MAX + 1)]
    assert len(multisig_script(MULTISIG_KEYS_MAX, keys[:-1])) == 513
    cases: list[tuple[int, list[bytes]]] = [
        (0, keys[:2]),
        (3, keys[:2]),
        (1, []),
        (1, keys),
        (1, [keys[0], keys[0]]),
        (1, [b"\x05" + bytes(32)]),
        (1, [b"\x02" + bytes(31)]),
        (1, [b"\x04" + bytes([number]) * 64 for number in range(8)]),
    ]
    for required, some in cases:
        with pytest.raises(RequestError):
            multisig_script(required, some)


@given(st.binary(max_size=70))
def test_form_of_a_public_key(data: bytes) -> None:
    assert is_public_key(data) == (
        (len(data) == 33 and data[:1] in (b"\x02", b"\x03")) or (len(data) == 65 and data[:1] == b"\x04")
    )


def test_vectors() -> None:
    key, other = bytes([2]) + bytes(range(32)), bytes([3]) + bytes(range(32, 64))
    tail = replay_tail(bytes(range(32)), 1_502_800)
    scripts = {
        "p2pkh": address_script(pay_to_public_key_hash(key)),
        "p2sh": address_script(pay_to_script_hash(multisig_script(1, [key, other]))),
        "p2pk": pay_to_public_key(key),
        "p2pk uncompressed": pay_to_public_key(b"\x04" + bytes(range(64))),
        "multisig 1 of 2": multisig_script(1, [key, other]),
        "null data": null_data(b"zenp2p"),
        "null data of 80 bytes": null_data(bytes(range(80))),
        "replay tail before height": address_script(pay_to_public_key_hash(key))
        + tail[33:-1]
        + tail[:33]
        + tail[-1:],
        "nothing": b"",
    }
    scripts |= {f"{name}, replay tail": script + tail for name, script in list(scripts.items()) if script}
    produced = []
    for name, script in scripts.items():
        template, address = match_template(script), script_address(script)
        produced.append(
            {
                "name": name,
                "script": script.hex(),
                "kind": template.kind.value,
                "data": [part.hex() for part in template.data],
                "required": template.required,
                "tail": [template.tail.block_hash.hex(), template.tail.height] if template.tail else None,
                "address": address.hex() if address else None,
            }
        )
    check_vectors("script", "templates", produced)
