"""The owners of stakes, who put marks on the chain: a group is summoned, and perhaps answers.

Answers for: what `zenp2p group absorb` and `cancel` do: a summons that the owner's own node holds open, or an
answer to one that names its group, is signed with the stake's key and handed to the miner. What follows is
the nodes' business. Spec: `spec/absorb.md`, `spec/simulation.md`.
"""

import random
from collections.abc import Callable, Iterable

from protocol.chain.data_transaction import build_data_transaction
from protocol.chain.script import address_script, push_data
from protocol.chain.sighash import signature_hash
from protocol.chain.transaction import Transaction, with_script_sig
from protocol.crypto import ecdsa_sign, secp256k1_public_key
from protocol.group.absorbmaker import summons_payload
from protocol.group.summons import encode_life
from protocol.node.machine import Node
from simulations.founding import Party
from simulations.group_options import GroupOptions
from simulations.host import Host
from simulations.miner import Miner

SIGNS_ALL = 1
"""The signature covers every input and output."""


class StakeOwners:
    """Looks at the nodes after every block of the chain."""

    def __init__(
        self, options: GroupOptions, rng: random.Random, miner: Miner, staying: Callable[[], Iterable[Host]]
    ) -> None:
        self._options = options
        self._rng = rng
        self._miner = miner
        self._staying = staying
        self._seen: dict[bytes, None] = {}
        """Blocks whose summons is on its way, and marks that somebody has thought about."""

    def look(self) -> None:
        """Let whoever has something to put on the chain do it, sooner or later."""
        for host in self._staying():
            if host.node is not None:
                self._summon(host, host.node)
                self._answer(host, host.node)

    def _summon(self, host: Host, node: Node) -> None:
        state = node.groups.own.state
        opened = state.summons
        if opened is None or opened.block_hash in self._seen or host.party.stake_address not in opened.stakes:
            return
        if self._rng.random() < self._options.summons_probability:
            self._seen[opened.block_hash] = None
            self._hand_in(host.party, summons_payload(opened))

    def _answer(self, host: Host, node: Node) -> None:
        """Show that a group is there, though it may have stopped: then it is summoned once more."""
        if host.key not in node.groups.own.state.electorate:
            return
        for called in node.absorbing.unanswered():
            if called.summons.block in self._seen and called.prefix == node.groups.own.state.prefix:
                self._think_about(host, called.summons.block)

    def _think_about(self, host: Host, summons: bytes) -> None:
        thought = b"answer" + summons
        if thought in self._seen:
            return
        self._seen[thought] = None
        if self._rng.random() < self._options.answer_probability:
            self._hand_in(host.party, encode_life(summons))

    def _hand_in(self, party: Party, payload: bytes) -> None:
        self._miner.pool.append(self._signed(party, payload))

    def _signed(self, party: Party, payload: bytes) -> Transaction:
        """Return a mark that spends the stake to itself, so that the stake stays what it is."""
        coin, amount, _ = self._miner.tip.unspent(party.stake_address)[0]
        tx = build_data_transaction(payload, party.stake_address, coin, amount, fee_rate=0)
        hashed = signature_hash(tx, 0, address_script(party.stake_address), SIGNS_ALL)
        signature = ecdsa_sign(hashed, party.stake_secret) + bytes([SIGNS_ALL])
        script = push_data(signature) + push_data(secp256k1_public_key(party.stake_secret))
        return with_script_sig(tx, 0, script)
