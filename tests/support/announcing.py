"""Announcing transactions on the small chains of tests: signed by an owner, paid by anybody, or wrong."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from protocol.chain.multisig import sign_p2pkh_input
from protocol.chain.script import address_script, null_data
from protocol.chain.transaction import OutPoint, Transaction, TxInput, TxOutput, with_script_sig
from protocol.tracking.announcement import Announcement, encode_announcement
from protocol.units import COIN
from tests.support import embedded_chain as made
from tests.support.operators import operator

STAKE = 42 * COIN


def announce(number: int, ip: bytes = b"\x7f\x00\x00\x01", port: int = 9033, fqdn: str = "") -> Announcement:
    """Return an announcement of operator `number`."""
    return Announcement(operator(number).key, port, ip=b"" if fqdn else ip, fqdn=fqdn)


def carrying(
    payloads: Sequence[bytes], spent: Sequence[tuple[OutPoint, bytes]], owner: str, pays: Sequence[bytes]
) -> Transaction:
    """Return a signed transaction of `owner` with these data outputs, whose coins go to `pays` evenly."""
    outputs = (
        *(TxOutput(0, null_data(payload)) for payload in payloads),
        *(TxOutput(1_000, address_script(address)) for address in pays),
    )
    tx = Transaction(1, tuple(TxInput(outpoint) for outpoint, _ in spent), outputs)
    for index, (_, script) in enumerate(spent):
        tx = with_script_sig(tx, index, sign_p2pkh_input(tx, index, script, made.secret_of(owner)))
    return tx


@dataclass
class Purse:
    """Coins of one name in the first block, each to be spent once."""

    owner: str
    coins: list[tuple[OutPoint, bytes]] = field(default_factory=list)

    def announce(self, announcement: Announcement, *pays: str) -> Transaction:
        """Return a transaction that spends a coin and announces; it pays the names given."""
        return self.carry([encode_announcement(announcement)], *pays)

    def carry(self, payloads: Sequence[bytes], *pays: str) -> Transaction:
        """Return a transaction that spends a coin and carries these payloads."""
        return carrying(payloads, [self.coins.pop()], self.owner, [made.address_of(name) for name in pays])


def purses(*owners: str, coins: int = 8) -> tuple[made.Branch, dict[str, Purse]]:
    """Return a branch in whose first block each name has the stake and some coins more, and their purses."""
    allocations = [(made.address_of(name), amount) for name in owners for amount in (STAKE, *[COIN] * coins)]
    branch = made.Branch(made.definition(allocations))
    first = 2  # before them the definition pays "alice" and the treasury
    found = {}
    for number, name in enumerate(owners):
        start = first + number * (coins + 1) + 1
        found[name] = Purse(name, [made.allocation(branch.chain, start + at) for at in range(coins)])
    return branch, found
