"""A certified list paid on a real litecoind's chain, which judges what we build and sign.

The node relays standard transactions only, as on its main chain. Sums are counted by the
node's own tools.
"""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from decimal import Decimal

import pytest

from protocol.chain.address import encode_address
from protocol.chain.multisig import sign_input
from protocol.chain.script import push_data
from protocol.chain.transaction import Transaction, TxOutput, with_script_sig
from protocol.codec import replace as replace_fields
from protocol.crypto import sha256
from protocol.errors import InvalidCertificate, InvalidPayment, InvalidSignature, ProtocolError, RequestError
from protocol.payout.light import verify_list
from protocol.payout.payment import ENTRIES_MAX, OUTPUTS_MAX, PAYMENT_SIZE_MAX
from protocol.payout.payment_file import (
    PaymentFile,
    decode_payment_file,
    encode_payment_file,
    finish_payment,
    new_payment_file,
    unsigned_transaction,
)
from protocol.units import COIN
from tests.support.litecoind import RULES, LitecoinNode, litecoin_node
from tests.support.litecoind_treasury import LitecoindTreasury
from tests.support.payout_world import SIGNERS, forged
from zenp2p.api.errors import BadData
from zenp2p.chain.rpc.amounts import to_zatoshi
from zenp2p.chain.rpc.errors import NodeRefusal
from zenp2p.paymaster import combine_files, count_signers


@pytest.fixture(scope="module")
def node() -> Iterator[LitecoinNode]:
    with litecoin_node(extra=("acceptnonstdtxn=0",)) as node:
        yield node


@pytest.fixture
def treasury(node: LitecoinNode, request: pytest.FixtureRequest) -> Iterator[LitecoindTreasury]:
    """Four entries, or as many as the test asks for, and 60 coins for the 42 that they get."""
    addresses = getattr(request, "param", 4)
    with closing(LitecoindTreasury(node, request.node.name, 60 * COIN, addresses)) as treasury:
        yield treasury


def unsigned(file: bytes, treasury: LitecoindTreasury) -> Transaction:
    return unsigned_transaction(decode_payment_file(file, treasury.genesis), treasury.genesis)


def finished(file: bytes, treasury: LitecoindTreasury) -> Transaction:
    return finish_payment(decode_payment_file(file, treasury.genesis), treasury.genesis)


def test_the_money_goes_exactly_where_the_list_says(treasury: LitecoindTreasury) -> None:
    file = treasury.signed()
    report = treasury.paymaster().inspect(file, treasury.verified)
    sent = treasury.send(file)
    waiting = treasury.node.client.call("getmempoolentry", sent.txid)
    assert waiting["fees"]["base"] == Decimal(report.fee) / COIN
    treasury.node.mine()
    treasury.check_paid()
    assert treasury.held([treasury.address]) == {treasury.address: 60 * COIN - report.paid - report.fee}
    for index, entry in enumerate(treasury.verified.entries, start=2):
        output = treasury.node.client.call("gettxout", sent.txid, index)
        assert to_zatoshi(output["value"]) == entry.amount
        assert output["scriptPubKey"]["addresses"] == [encode_address(entry.address, RULES.prefixes)]
    shown = treasury.node.client.call("getrawtransaction", sent.txid, True)
    assert shown["vout"][0]["scriptPubKey"]["type"] == "nulldata"
    assert shown["size"] <= report.size < shown["size"] + 5 * report.inputs


@pytest.mark.parametrize("treasury", [2 * ENTRIES_MAX + 104], indirect=True)
def test_full_chunks_hang_on_one_baton(node: LitecoinNode, treasury: LitecoindTreasury) -> None:
    """Three payments, the largest allowed; each is relayed, each spends the change of the one before."""
    txids: list[str] = []
    for entries in (ENTRIES_MAX, ENTRIES_MAX, 104):
        file = treasury.signed()
        transaction = finished(file, treasury)
        assert len(transaction.outputs) == entries + 2 <= OUTPUTS_MAX
        assert len(transaction.raw) < PAYMENT_SIZE_MAX
        txids.append(treasury.send(file).txid)
        assert node.client.call("getrawmempool") == txids[-1:]
        node.mine()
    treasury.check_paid()
    shown = [node.client.call("getrawtransaction", txid, True) for txid in txids]
    batons = [(tx["vin"][0]["txid"], tx["vin"][0]["vout"]) for tx in shown[1:]]
    assert batons == [(txid, 1) for txid in txids[:2]]
    with pytest.raises(RequestError, match="wholly paid already"):
        treasury.paymaster().build(treasury.verified)


@pytest.mark.parametrize("treasury", [ENTRIES_MAX], indirect=True)
def test_the_largest_payment_is_relayed(node: LitecoinNode, treasury: LitecoindTreasury) -> None:
    """50 inputs and 1,000 outputs; and what the page says of 250 gathered ones."""
    treasury.deposit(*[COIN // 100 + number for number in range(400)])
    node.mine(101)
    paymaster = treasury.paymaster()
    gathering = paymaster.gather()
    assert paymaster.inspect(gathering, None).inputs == 250
    signed = [paymaster.sign(gathering, None, treasury.secrets[number]) for number in (0, 4)]
    both = combine_files(signed, treasury.genesis)
    payment = treasury.signed()
    report = paymaster.inspect(payment, treasury.verified)
    assert (report.inputs, report.entries) == (50, ENTRIES_MAX) and report.size < PAYMENT_SIZE_MAX
    for transaction in (finished(both, treasury), finished(payment, treasury)):
        (accepted,) = node.client.call("testmempoolaccept", [transaction.raw.hex()])
        assert accepted["allowed"], accepted
    treasury.send(payment)
    treasury.send(both)
    node.mine()
    treasury.check_paid()


@pytest.mark.parametrize("order", [(1, 3), (3, 1)])
def test_two_paymasters_in_either_order(treasury: LitecoindTreasury, order: tuple[int, int]) -> None:
    """One after the other, and side by side combined either way: the same bytes for the node."""
    verified, secrets = treasury.verified, treasury.secrets
    first, second = treasury.paymaster(treasury.view()), treasury.paymaster(treasury.view())
    file = first.build(verified)
    chained = second.sign(first.sign(file, verified, secrets[order[0]]), verified, secrets[order[1]])
    apart = [one.sign(file, verified, secrets[key]) for one, key in zip((first, second), order, strict=True)]
    assert [combine_files(files, treasury.genesis) for files in (apart, apart[::-1])] == [chained] * 2
    states = [one.broadcast(chained, verified).state for one in (first, second, first)]
    assert states == ["sent", "waiting", "waiting"]
    treasury.node.mine()
    assert {one.broadcast(chained, verified).state for one in (first, second)} == {"mined"}
    treasury.check_paid()


def test_a_third_signature_changes_nothing_or_makes_another_version(treasury: LitecoindTreasury) -> None:
    """The first keys count: a later key's signature is left out, an earlier one's gives another id."""
    verified = treasury.verified
    two = treasury.signed((1, 3))
    with_later = treasury.paymaster().sign(two, verified, treasury.secrets[4])
    with_earlier = treasury.paymaster().sign(two, verified, treasury.secrets[0])
    assert count_signers(with_later, treasury.genesis) == 3
    assert finished(with_later, treasury) == finished(two, treasury)
    sent = treasury.send(two)
    assert treasury.send(with_later) == replace(sent, state="waiting")
    with pytest.raises(BadData, match=f"spent by another transaction in the node's pool \\({sent.txid}\\)"):
        treasury.send(with_earlier)
    treasury.node.mine()
    assert treasury.send(with_later).state == "mined"
    with pytest.raises(InvalidPayment, match=f"paid already, by transaction {sent.txid}"):
        treasury.send(with_earlier)
    treasury.check_paid()


def test_half_signed_is_refused_by_us_and_by_the_node(treasury: LitecoindTreasury) -> None:
    once = treasury.paymaster().sign(
        treasury.paymaster().build(treasury.verified), treasury.verified, treasury.secrets[2]
    )
    with pytest.raises(RequestError, match="signed by 1 paymasters, 2 must sign"):
        treasury.send(once)
    payment = unsigned(once, treasury)
    signature = sign_input(payment, 0, treasury.redeem_script, treasury.secrets[2])
    for script in (b"\x00" + push_data(signature), b"\x00" + 2 * push_data(signature)):
        half = with_script_sig(payment, 0, script + push_data(treasury.redeem_script))
        with pytest.raises(NodeRefusal, match="script-verify-flag"):
            treasury.node.client.send(half.raw)
        with pytest.raises(BadData, match="it breaks a rule of the chain"):
            treasury.desk.call("chain.broadcast", {"transaction": half.raw.hex()})
    assert treasury.node.client.call("getrawmempool") == []


def test_a_wrong_key_signs_nothing(treasury: LitecoindTreasury) -> None:
    file = treasury.paymaster().build(treasury.verified)
    with pytest.raises(RequestError, match="none of the treasury's"):
        treasury.paymaster().sign(file, treasury.verified, sha256(b"a stranger"))
    whole = decode_payment_file(treasury.signed((0, 1)), treasury.genesis)
    first, second = whole.signatures
    swapped = replace_fields(whole, signatures=(replace_fields(first, signatures=second.signatures), second))
    with pytest.raises(InvalidPayment, match="key 1 of 5 has not signed input 0"):
        treasury.send(encode_payment_file(swapped))


@pytest.mark.parametrize("number", [0, 1, 2, 5])
def test_a_changed_output_is_refused(treasury: LitecoindTreasury, number: int) -> None:
    """Each output in turn: the mark, the change, the first and the last entry; before and after signing."""
    whole = decode_payment_file(treasury.signed(), treasury.genesis)
    payment = unsigned_transaction(whole, treasury.genesis)
    outputs = list(payment.outputs)
    outputs[number] = TxOutput(outputs[number].amount + 1, outputs[number].script)
    if number > 1:
        outputs[1] = TxOutput(outputs[1].amount - 1, outputs[1].script)
    elif number == 1:
        outputs[1] = TxOutput(payment.outputs[1].amount, payment.outputs[2].script)
    changed = replace(payment, outputs=tuple(outputs))
    blank = encode_payment_file(new_payment_file(changed, treasury.genesis))
    with pytest.raises(InvalidPayment, match=f"output {number} "):
        treasury.paymaster().sign(blank, treasury.verified, treasury.secrets[0])
    kept: PaymentFile = replace_fields(whole, transaction=changed.raw)
    with pytest.raises(InvalidPayment, match="has not signed input 0"):
        treasury.send(encode_payment_file(kept))


def test_a_lying_amount_is_seen_by_each_paymasters_own_node(treasury: LitecoindTreasury) -> None:
    """Signatures hold whatever the inputs hold: only one's own node shows what would go as the fee."""
    lying = treasury.view()
    ask = lying.call

    def lie(method: str, params: object = None) -> object:
        answer = ask(method, params)  # type: ignore[arg-type]
        for one in answer if isinstance(answer, list) else [answer]:
            if isinstance(one, dict) and one.get("amount") == 60 * COIN:
                one["amount"] -= 10 * COIN
        return answer

    lying.call = lie  # type: ignore[method-assign]
    file = treasury.paymaster(lying).build(treasury.verified)
    assert treasury.paymaster(lying).inspect(file, treasury.verified).fee < 10_000
    with pytest.raises(InvalidPayment, match="the fee is 10.0000"):
        treasury.paymaster().sign(file, treasury.verified, treasury.secrets[1])
    fooled = [treasury.paymaster(lying).sign(file, treasury.verified, treasury.secrets[n]) for n in (0, 1)]
    both = combine_files(fooled, treasury.genesis)
    with pytest.raises(InvalidPayment, match="the fee is 10.0000"):
        treasury.send(both)
    (verdict,) = treasury.node.client.call("testmempoolaccept", [finished(both, treasury).raw.hex()], 0)
    assert verdict["allowed"], "the chain takes it: only the paymasters' own nodes stand before it"


def test_fees_outside_of_the_bounds(treasury: LitecoindTreasury) -> None:
    dear = treasury.paymaster().build(treasury.verified, 100_001)
    with pytest.raises(InvalidPayment, match="the fee is .*, from 0 to"):
        treasury.paymaster().sign(dear, treasury.verified, treasury.secrets[0])
    free = treasury.signed(fee_rate=0)
    with pytest.raises(BadData, match="does not relay it at this fee; the node says: min relay fee not met"):
        treasury.send(free)
    highest = treasury.signed(fee_rate=100_000)
    treasury.send(highest)
    treasury.node.mine()
    with pytest.raises(InvalidPayment, match="paid already"):
        treasury.send(free)
    treasury.check_paid()


def test_the_usual_fee_is_the_least_that_is_relayed(treasury: LitecoindTreasury) -> None:
    with pytest.raises(BadData, match="min relay fee not met"):
        treasury.send(treasury.signed(fee_rate=980))
    assert treasury.send(treasury.signed()).state == "sent"


def test_a_list_that_is_not_certified_is_not_paid(treasury: LitecoindTreasury) -> None:
    """Too few signers, a changed amount, a foreign quorum: no payment can be built of that."""
    world = treasury.world
    payout = world.list()
    few = world.certified(payout, SIGNERS[:2])
    with pytest.raises(InvalidCertificate):
        verify_list(few, world.trust)
    strangers = world.certified(payout, SIGNERS[3:7])
    with pytest.raises(ProtocolError):
        verify_list(strangers, world.trust)
    good = world.certified(payout)
    for at in (len(good) // 3, len(good) // 2, len(good) - 3):
        damaged = good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :]
        with pytest.raises((ProtocolError, InvalidSignature)):
            verify_list(damaged, world.trust)
    with pytest.raises(ProtocolError):
        verify_list(world.certified(forged(payout, paid_total=1)), world.trust)


def test_a_payment_that_is_mined_already(treasury: LitecoindTreasury) -> None:
    """Every step says so, and which transaction it was; another version is refused at each."""
    file, other = treasury.signed(), treasury.signed((0, 2), fee_rate=2_000)
    sent = treasury.send(file)
    with pytest.raises(BadData, match=sent.txid):
        treasury.send(other)
    treasury.node.mine()
    height = treasury.node.client.height()
    assert treasury.send(file) == replace(sent, state="mined", height=height)
    paid = f"chunk 0 of this list is paid already, by transaction {sent.txid}"
    for late in (file, other):
        with pytest.raises(InvalidPayment, match=paid):
            treasury.paymaster().sign(late, treasury.verified, treasury.secrets[4])
        with pytest.raises(InvalidPayment, match=paid):
            treasury.paymaster().inspect(late, treasury.verified)
    with pytest.raises(InvalidPayment, match=paid):
        treasury.send(other)
    with pytest.raises(RequestError, match="wholly paid already"):
        treasury.paymaster().build(treasury.verified)
    raw = finished(other, treasury).raw
    with pytest.raises(NodeRefusal, match="missingorspent"):
        treasury.node.client.send(raw)
    treasury.check_paid()
