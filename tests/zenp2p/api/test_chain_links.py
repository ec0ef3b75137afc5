"""What the explorer says that blocks, transactions and addresses mean for the network."""

from types import SimpleNamespace
from typing import Any

import pytest
import trio

from protocol.chain.address import encode_address
from protocol.genesis import encode_genesis
from protocol.payout.light import VerifiedList, trust_from_genesis, verify_list
from protocol.payout.treasury import treasury_address
from protocol.tracking.challenge import derive_challenge, derive_samples
from protocol.units import OperatorKey
from tests.support.method_node import MethodNode
from tests.support.payout_world import TREASURY, World, valid
from tests.support.treasury_chain import RealNode
from tests.zenp2p.chain.test_baton_history import two_payments
from tests.zenp2p.test_paymaster_on_chain import GENESIS, signed_file
from zenp2p.api import chain_links
from zenp2p.api.chain_links import ChainLinks
from zenp2p.api.context import Context, display
from zenp2p.api.explorer_methods import ExplorerMethods
from zenp2p.api.payout_methods import PayoutMethods
from zenp2p.chain import baton_history
from zenp2p.chain.baton_history import BatonHistory
from zenp2p.paymaster import Paymaster

OPERATOR = OperatorKey(b"\x07" * 32)
PERIOD = 1
"""Of the world's first list."""


def list_file() -> bytes:
    """Return a certified list of the network."""
    world = World(genesis=GENESIS)
    keys = sorted(bytes([number]) * 32 for number in range(4))
    for seq in (3, 4, 5):
        world.judge(seq, [valid(key) for key in keys])
    world.bury(PERIOD)
    return world.certified(world.list())


FILE = list_file()
LIST: VerifiedList = verify_list(FILE, trust_from_genesis(encode_genesis(GENESIS)))


class Book:
    """Says who is registered."""

    digest = b"digest"

    def __init__(self, *registrations: Any) -> None:
        self._in_force = {each.operator_key: each for each in registrations}

    def in_force(self, height: int) -> dict[bytes, Any]:
        return self._in_force


class Linked:
    """A node whose chain holds a paid list, and its explorer with links."""

    def __init__(self, blocks: int = 26, node: RealNode | None = None) -> None:
        self.node = node or RealNode(GENESIS)
        self.node.grow(0 if node else blocks)
        self.stake = LIST.entries[0].address
        registration = SimpleNamespace(
            operator_key=OPERATOR,
            stake_address=self.stake,
            stake_sequence=3,
            ip=b"\x7f\0\0\x01",
            port=9_033,
            fqdn="",
        )
        machine: Any = SimpleNamespace(
            genesis=GENESIS,
            operator_key=OPERATOR,
            chain=self.node.index,
            lister=SimpleNamespace(period=PERIOD + 1, file=lambda period: FILE if period == PERIOD else None),
            groups=SimpleNamespace(book=Book(registration)),
        )
        self.links = ChainLinks(machine, self.node.index)
        self.rpc = MethodNode(GENESIS, self.node.index, self.node.rpc.context.chain.broadcast)
        chain: Any = SimpleNamespace(index=self.node.index)
        nothing: Any = None
        context = Context(machine, chain, nothing, nothing, nothing)
        self.rpc.methods = type(self.rpc.methods)()
        ExplorerMethods(context, self.links).register(self.rpc.methods)
        PayoutMethods(context, self.links).register(self.rpc.methods)

    def call(self, method: str, **params: Any) -> Any:
        return self.rpc.call(method, params)

    def pay(self) -> str:
        """Pay the list and return the payment's id."""
        paymaster = Paymaster(GENESIS, self.node)
        sent = paymaster.broadcast(signed_file(paymaster, LIST), LIST)
        self.node.grow(1)
        return str(sent.txid)


def text(address: bytes) -> str:
    return encode_address(address, GENESIS.chain.prefixes)


def test_a_payment_leads_to_its_list_and_the_list_to_its_payment() -> None:
    linked = Linked()
    assert linked.call("payout.show", period=PERIOD)["transactions"] == []
    txid = linked.pay()
    mark = {"list_hash": LIST.list_hash.hex(), "chunk": 0, "period": PERIOD}
    found = linked.call("chain.transaction", txid=txid, decode=True)
    assert found["payment"] == {**mark, "on_baton": True} and found["announcement"] is None
    placed = {"txid": txid, "height": 27, **mark}
    assert linked.call("payout.show", period=PERIOD)["transactions"] == [placed]
    assert linked.call("chain.block", height=27)["payments"] == [placed]
    assert linked.call("chain.block", height=26)["payments"] == []
    newest = linked.call("chain.history", address=text(linked.stake))["entries"][0]
    assert newest["txid"] == txid and newest["payment"] == placed


def test_the_first_question_after_a_start_knows_every_payment(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long the baton's way is: it is followed to its end before anything is answered."""
    monkeypatch.setattr(baton_history, "STEPS_MAX", 1)
    node = two_payments()
    history = BatonHistory(GENESIS, node.index)
    while not history.follow():
        pass
    (step,) = history.payments_at(12)
    txid, treasury = display(step.txid), text(treasury_address(TREASURY))
    found = Linked(node=node).call("chain.transaction", txid=txid, decode=True)
    assert found["payment"]["on_baton"] is True
    assert len(Linked(node=node).call("chain.block", height=12)["payments"]) == 1
    newest = Linked(node=node).call("chain.history", address=treasury)["entries"]
    assert txid in [entry["txid"] for entry in newest if entry["payment"]]
    steps = [Linked(node=node).links, Linked(node=node).links]
    trio.run(steps[0].ready)
    assert steps[0].of_change(step.txid) is not None and steps[1].of_change(step.txid) is None


def test_an_address_tells_whose_stake_it_is_and_what_it_gets() -> None:
    linked = Linked()
    amount = LIST.entries[0].amount
    found = linked.call("chain.address", address=text(linked.stake))
    assert found["stake"] == {
        "operator": OPERATOR.hex(),
        "sequence": 3,
        "ip": "127.0.0.1",
        "port": 9_033,
        "fqdn": None,
    }
    assert found["treasury"] is False
    assert found["payouts"] == [{"period": PERIOD, "amount": amount, "chunk": 0, "txid": None}]
    txid = linked.pay()
    found = linked.call("chain.address", address=text(linked.stake))
    assert found["payouts"] == [{"period": PERIOD, "amount": amount, "chunk": 0, "txid": txid}]
    treasury = linked.call("chain.address", address=text(treasury_address(TREASURY)))
    assert treasury["treasury"] is True and treasury["stake"] is None and treasury["payouts"] == []


def test_a_block_tells_which_challenge_it_anchors_closes_and_judges() -> None:
    linked = Linked(40)
    parameters = GENESIS.parameters
    first = GENESIS.first_challenge_height
    told = {height: linked.call("chain.block", height=height)["challenges"] for height in range(41)}
    for height, challenges in told.items():
        for name, behind in (
            ("anchors", 0),
            ("closes", parameters.response_window),
            ("judges", parameters.response_window + parameters.burial),
        ):
            anchor = height - behind
            wanted = anchor >= first and anchor % parameters.challenge_every == 0
            assert challenges[name] == (anchor // parameters.challenge_every if wanted else None)
    seq = first // parameters.challenge_every
    challenge = derive_challenge(seq, linked.node.index, parameters)
    assert told[challenge.closes]["closes"] == seq == told[challenge.judged_at]["judges"]


def test_a_transaction_tells_which_challenge_asked_us_for_it() -> None:
    linked = Linked(33)
    index, parameters = linked.node.index, GENESIS.parameters
    expected: dict[str, set[int]] = {}
    for seq in (3, 4):
        challenge = derive_challenge(seq, index, parameters)
        for sample in derive_samples(challenge, OPERATOR, index, parameters):
            expected.setdefault(display(sample.txid), set()).add(seq)
    for ordinal in range(index.transaction_count(33)):
        txid = display(index.transaction_id(ordinal))
        found = linked.call("chain.transaction", txid=txid, decode=True)
        assert set(found["asked_by"]) == expected.get(txid, set())
    assert expected


def test_only_the_newest_challenges_and_lists_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chain_links, "CHALLENGES_LOOKED_AT", 1)
    monkeypatch.setattr(chain_links, "LISTS_KNOWN", 0)
    monkeypatch.setattr(chain_links, "PAYOUTS_SHOWN", 0)
    linked = Linked(33)
    txid = linked.pay()
    index = linked.node.index
    asked = {
        seq
        for ordinal in range(index.transaction_count(34))
        for seq in linked.call("chain.transaction", txid=display(index.transaction_id(ordinal)), decode=True)[
            "asked_by"
        ]
    }
    assert asked == {4}
    assert linked.call("chain.transaction", txid=txid, decode=True)["payment"]["period"] is None
    assert linked.call("chain.address", address=text(linked.stake))["payouts"] == []
