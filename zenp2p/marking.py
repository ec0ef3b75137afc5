"""Putting a summons on the chain, or a sign of life: a transaction that spends a coin of a voter's stake.

Answers for: what is built says what our node holds now, and would count by the stake that is named; what is
sent is such a mark and signed. Coins, fees and signatures are `stake_spending`'s business. Spec:
`spec/absorb.md`.
"""

from typing import Any

from protocol.chain.address import encode_address
from protocol.chain.data_transaction import FEE_RATE_DEFAULT
from protocol.chain.mark import find_mark
from protocol.errors import RequestError
from protocol.genesis import Genesis
from protocol.group.summons import read_life, read_summons
from protocol.units import Height
from zenp2p.stake_spending import Draft, StakeSpender
from zenp2p.treasury_reader import Client


class Marker:
    """Builds and sends marks on one network with one node. Amounts are zatoshi."""

    def __init__(self, genesis: Genesis, client: Client) -> None:
        self._genesis = genesis
        self.spender = StakeSpender(genesis, client)

    def build_summons(
        self, stake_address: str, prefix: str | None = None, fee_rate: int = FEE_RATE_DEFAULT
    ) -> tuple[dict[str, Any], Draft]:
        """Return what is summoned, and the unsigned transaction.

        `prefix` says which group is meant if there are several. Raises `RequestError` when nobody is
        summoned, or the stake is none of a voter who may say so.
        """
        found = self._choose("summonses", prefix, "no group has summoned its sibling")
        return found, self._build(found, stake_address, fee_rate)

    def build_life(
        self, stake_address: str, prefix: str | None = None, fee_rate: int = FEE_RATE_DEFAULT
    ) -> tuple[dict[str, Any], Draft]:
        """Return which summons is answered, and the unsigned transaction, as `build_summons` does."""
        found = self._choose("called", prefix, "no group is summoned that has not answered")
        return found, self._build(found, stake_address, fee_rate)

    def send(self, text: str) -> dict[str, object]:
        """Check and relay a signed mark, in hex or as a wallet's answer; return what became of it.

        Raises `RequestError` when it is not signed, or is no mark, a `ProtocolError` when it is no
        transaction, and what the node refuses it with.
        """
        transaction = self.spender.read(text)
        mark = find_mark(transaction, [None] * len(transaction.inputs), 0, Height(0))
        summons, life = (None, None) if mark is None else (read_summons(mark), read_life(mark))
        if summons is None and life is None:
            raise RequestError("this transaction is neither a summons nor a sign of life")
        self.spender.check_signed(transaction)
        mark = find_mark(transaction, self.spender.owners(transaction), 0, Height(0))
        if mark is None or not mark.signed:
            raise RequestError("this transaction spends no coin of a stake address that signs all of it")
        prefixes = self._genesis.chain.prefixes
        says = "summons" if summons is not None else "sign of life"
        signed = [encode_address(address, prefixes) for address in mark.signed]
        return {**self.spender.relay(transaction), "mark": says, "signed": signed}

    def _choose(self, kind: str, prefix: str | None, nothing: str) -> dict[str, Any]:
        found: list[dict[str, Any]] = self.spender.client.call("group.summonses")[kind]
        if prefix is not None:
            found = [one for one in found if one["prefix"] == prefix]
        if not found:
            raise RequestError(nothing)
        groups = sorted({one["prefix"] for one in found})
        if len(groups) > 1:
            raise RequestError(f"say which group is meant: {', '.join(groups)}")
        return found[0]

    def _build(self, found: dict[str, Any], stake_address: str, fee_rate: int) -> Draft:
        if stake_address not in found["stakes"]:
            raise RequestError(
                f"{stake_address} is the stake of no voter by whose word this counts: see `zenp2p group show`"
            )
        return self.spender.build(bytes.fromhex(found["payload"]), stake_address, fee_rate)
