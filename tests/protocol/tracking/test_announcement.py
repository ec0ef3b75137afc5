"""Announcements: one spelling each, and tied to a stake by what its owner signed or anybody paid."""

from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from protocol.chain.address import pay_to_script_hash
from protocol.chain.data_transaction import CHANGE_MIN, FEE_RATE_MAX
from protocol.chain.multisig import sign_p2pkh_input, verify_p2pkh_input
from protocol.chain.script import address_script, null_data, push_data, replay_tail
from protocol.chain.transaction import OutPoint, Transaction, TxInput, TxOutput, with_script_sig
from protocol.errors import MalformedMessage, RequestError
from protocol.tracking.announcement import (
    ANNOUNCEMENT_MAGIC,
    PLACE_SIZE_MAX,
    STAKES_MAX,
    Announcement,
    announcement_ties,
    announcing_fee,
    build_announcing,
    decode_announcement,
    encode_announcement,
    recognise_announcement,
)
from protocol.tracking.hostname import is_hostname
from protocol.units import COIN, OperatorKey
from tests.support.operators import operator

ALICE, BOB = operator(1), operator(2)
MAPPED = b"\x00" * 10 + b"\xff\xff"
SIGNATURE = b"\x30" * 70
"""Stands for a DER signature where only its hash type is read."""

LABELS = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?", fullmatch=True)
NAMES = st.lists(LABELS, min_size=2, max_size=6).map(".".join).filter(is_hostname)
SHORT_NAMES = NAMES.filter(lambda name: len(name) < PLACE_SIZE_MAX)
IPS = st.one_of(
    st.binary(min_size=4, max_size=4),
    st.binary(min_size=16, max_size=16).filter(lambda ip: not ip.startswith(MAPPED)),
)
PORTS = st.integers(1, 0xFFFF)
KEYS = st.integers(1, 5).map(lambda number: operator(number).key)
ANNOUNCEMENTS = st.one_of(
    st.builds(lambda key, port, ip: Announcement(key, port, ip=ip), KEYS, PORTS, IPS),
    st.builds(lambda key, port, name: Announcement(key, port, fqdn=name), KEYS, PORTS, SHORT_NAMES),
)


def at(ip: bytes = b"\x08\x08\x08\x08", port: int = 9033) -> Announcement:
    return Announcement(ALICE.key, port, ip=ip)


def named(fqdn: str) -> Announcement:
    return Announcement(ALICE.key, 9033, fqdn=fqdn)


def payload(place: bytes, port: int = 9033, key: bytes = ALICE.key) -> bytes:
    return ANNOUNCEMENT_MAGIC + key + port.to_bytes(2, "big") + place


class TestBytes:
    """Payloads and announcements are one to one."""

    @given(ANNOUNCEMENTS)
    def test_it_comes_back(self, announcement: Announcement) -> None:
        data = encode_announcement(announcement)
        assert len(data) <= 80 and decode_announcement(data) == announcement

    @given(st.one_of(st.binary(max_size=45), NAMES.map(str.encode), NAMES.map(lambda n: f"{n}.".encode())))
    @example(b"a.io")
    @example(b"node.example.org")
    @example(b"a.io.")
    @example(b"ab.io.")
    def test_what_is_read_has_this_one_spelling(self, place: bytes) -> None:
        try:
            announcement = decode_announcement(payload(place))
        except MalformedMessage:
            return
        assert encode_announcement(announcement) == payload(place)

    @given(ANNOUNCEMENTS, st.integers(0, 79), st.integers(1, 255))
    def test_another_byte_is_another_announcement_or_none(
        self, announcement: Announcement, at_byte: int, change: int
    ) -> None:
        data = bytearray(encode_announcement(announcement))
        data[at_byte % len(data)] ^= change
        with suppress(MalformedMessage):
            assert decode_announcement(bytes(data)) != announcement

    def test_the_layout(self) -> None:
        assert encode_announcement(at()) == b"zp2p\x01" + ALICE.key + b"\x23\x49\x08\x08\x08\x08"
        assert encode_announcement(named("node.example.com"))[39:] == b"node.example.com."
        assert encode_announcement(named("n.example.com"))[39:] == b"n.example.com"
        assert encode_announcement(named("a.io"))[39:] == b"a.io."

    def test_four_and_sixteen_bytes_are_an_address_whatever_they_spell(self) -> None:
        assert decode_announcement(payload(b"a.io")).ip == b"a.io"
        assert decode_announcement(payload(b"node.example.org")).ip == b"node.example.org"

    def test_a_name_of_forty_one_characters_just_fits(self) -> None:
        name = "a" * 37 + ".org"
        assert len(encode_announcement(named(name))) == 80
        with pytest.raises(ValueError, match="41 characters"):
            named("a" + name)

    @pytest.mark.parametrize(
        "data",
        [
            b"",
            b"zp2p\x01",
            b"zp2p\x02" + payload(b"\x08\x08\x08\x08")[5:],
            b"zp2q\x01" + payload(b"\x08\x08\x08\x08")[5:],
            payload(b""),
            payload(b"\x08\x08\x08"),
            payload(b"\x08\x08\x08\x08\x00"),
            payload(b"\x08\x08\x08\x08", port=0),
            payload(b"\x08\x08\x08\x08", key=b"\x00" * 32),
            payload(b"\x08\x08\x08\x08", key=b"\x01" + b"\x00" * 31),
            payload(b"\x08\x08\x08\x08", key=b"\xff" * 32),
            payload(MAPPED + b"\x08\x08\x08\x08"),
            payload(b"localhost"),
            payload(b"Node1.example.com"),
            payload(b"n.example.com."),
            payload(b"n.example.com\x00"),
            payload(b"n.exampl\xc3\xa9.com"),
            payload(b"127.0.0.1"),
            payload(b"127.1"),
            payload(b"-a.example.com"),
            payload(b"a" * 38 + b".org"),
            payload(b"node.example.org.."),
        ],
    )
    def test_anything_else_is_no_announcement(self, data: bytes) -> None:
        with pytest.raises(MalformedMessage):
            decode_announcement(data)

    @pytest.mark.parametrize(
        ("key", "port", "ip", "fqdn"),
        [
            (ALICE.key, 1, b"", ""),
            (ALICE.key, 1, b"\x08\x08\x08\x08", "a.example.com"),
            (ALICE.key, 65_536, b"\x08\x08\x08\x08", ""),
            (OperatorKey(ALICE.key[:31]), 1, b"\x08\x08\x08\x08", ""),
        ],
    )
    def test_the_values_are_checked_where_they_are_made(
        self, key: OperatorKey, port: int, ip: bytes, fqdn: str
    ) -> None:
        with pytest.raises(ValueError):
            Announcement(key, port, ip, fqdn)


def transaction(*outputs: TxOutput, inputs: int = 1, script_sig: bytes = b"") -> Transaction:
    spent = tuple(TxInput(OutPoint(bytes([number]) * 32, 0), script_sig) for number in range(1, inputs + 1))
    return Transaction(1, spent, outputs)


def pays(address: bytes) -> TxOutput:
    return TxOutput(1_000, address_script(address))


DATA = TxOutput(0, null_data(encode_announcement(at())))


class TestRecognising:
    """Which transactions announce."""

    def test_the_only_data_output_counts_wherever_it_stands(self) -> None:
        for outputs in ((DATA,), (DATA, pays(ALICE.stake_address)), (pays(ALICE.stake_address), DATA)):
            assert recognise_announcement(transaction(*outputs)) == at()

    def test_with_a_replay_tail(self) -> None:
        tailed = TxOutput(0, DATA.script + replay_tail(bytes(32), 7))
        assert recognise_announcement(transaction(tailed)) == at()

    @pytest.mark.parametrize(
        "outputs",
        [
            (),
            (DATA, DATA),
            (DATA, TxOutput(0, null_data(b"more"))),
            (TxOutput(0, null_data(b"more")),),
            (TxOutput(0, DATA.script + b"\x00"),),
            (TxOutput(0, b"\x6a\x4c\x2b" + encode_announcement(at())),),
            (TxOutput(0, b"\x6a" + push_data(encode_announcement(at()) + b"\x00" * 40)),),
        ],
    )
    def test_others_do_not(self, outputs: tuple[TxOutput, ...]) -> None:
        assert recognise_announcement(transaction(*outputs)) is None


def script_sig(hash_type: int) -> bytes:
    return push_data(SIGNATURE + bytes([hash_type])) + push_data(b"\x02" * 33)


class TestTies:
    """Whom a transaction speaks for."""

    def test_spending_signs_and_paying_does_not(self) -> None:
        tx = transaction(DATA, pays(BOB.stake_address), script_sig=script_sig(1))
        ties = announcement_ties(tx, [ALICE.stake_address])
        assert (ties.signed, ties.paid) == ((ALICE.stake_address,), (BOB.stake_address,))

    def test_who_signs_and_is_paid_signs(self) -> None:
        tx = transaction(DATA, pays(ALICE.stake_address), script_sig=script_sig(1))
        ties = announcement_ties(tx, [ALICE.stake_address])
        assert (ties.signed, ties.paid) == ((ALICE.stake_address,), ())

    @pytest.mark.parametrize(
        ("hash_type", "signs"),
        [(0x01, True), (0x81, True), (0x02, False), (0x82, False), (0x03, False), (0x83, False)],
    )
    def test_a_signature_that_leaves_the_outputs_open_is_no_word_of_the_owner(
        self, hash_type: int, signs: bool
    ) -> None:
        tx = transaction(DATA, script_sig=script_sig(hash_type))
        assert bool(announcement_ties(tx, [ALICE.stake_address]).signed) is signs

    @pytest.mark.parametrize("found", [b"", b"\x00", b"\x4c", b"\x76\xa9"])
    def test_an_input_script_that_signs_nothing(self, found: bytes) -> None:
        assert announcement_ties(transaction(DATA, script_sig=found), [ALICE.stake_address]).signed == ()

    def test_no_stake_lies_on_other_kinds_of_address(self) -> None:
        script = pay_to_script_hash(b"\x51")
        tx = transaction(DATA, pays(script), inputs=2, script_sig=script_sig(1))
        ties = announcement_ties(tx, [script, None])
        assert (ties.signed, ties.paid) == ((), ())

    def test_a_coinbase_signs_nothing(self) -> None:
        coinbase = Transaction(
            1,
            (TxInput(OutPoint(bytes(32), 0xFFFF_FFFF), script_sig(1)),),
            (DATA, pays(BOB.stake_address)),
        )
        ties = announcement_ties(coinbase, [ALICE.stake_address])
        assert (ties.signed, ties.paid) == ((), (BOB.stake_address,))

    def test_many_addresses_are_nobodys_word(self) -> None:
        many = [operator(number).stake_address for number in range(STAKES_MAX + 1)]
        full = announcement_ties(transaction(DATA, *map(pays, many[1:])), [None])
        assert len(full.paid) == STAKES_MAX
        assert announcement_ties(transaction(DATA, *map(pays, many)), [None]).paid == ()
        tx = transaction(DATA, inputs=len(many), script_sig=script_sig(1))
        assert announcement_ties(tx, many).signed == ()


class TestBuilding:
    """A coin of the stake address becomes an announcement."""

    COIN = OutPoint(b"c" * 32, 3)

    @given(ANNOUNCEMENTS, st.integers(0, FEE_RATE_MAX), st.booleans())
    def test_it_is_what_others_recognise(self, announcement: Announcement, rate: int, tailed: bool) -> None:
        tail = replay_tail(b"b" * 32, 300) if tailed else b""
        stake = ALICE.stake_address
        tx = build_announcing(announcement, stake, self.COIN, COIN, fee_rate=rate, tail=tail)
        assert recognise_announcement(tx) == announcement
        signed = with_script_sig(tx, 0, sign_p2pkh_input(tx, 0, address_script(stake), ALICE.stake_secret))
        verify_p2pkh_input(signed, 0, address_script(stake))
        assert announcement_ties(signed, [stake]).signed == (stake,)
        fee = COIN - sum(output.amount for output in tx.outputs)
        assert fee == announcing_fee(announcement, stake, rate, tail)
        assert fee * 1_000 >= rate * len(signed.raw)

    def test_a_coin_must_leave_an_output_that_is_relayed(self) -> None:
        least = announcing_fee(at(), ALICE.stake_address) + CHANGE_MIN
        tx = build_announcing(at(), ALICE.stake_address, self.COIN, least)
        assert tx.outputs[1].amount == CHANGE_MIN
        with pytest.raises(RequestError, match="too small"):
            build_announcing(at(), ALICE.stake_address, self.COIN, least - 1)

    @pytest.mark.parametrize("rate", [-1, FEE_RATE_MAX + 1])
    def test_a_rate_out_of_bounds(self, rate: int) -> None:
        with pytest.raises(RequestError, match="fee rate"):
            announcing_fee(at(), ALICE.stake_address, rate)
