"""Blocks of a real node with every kind of output that its chain may hold, spent again in many ways.

The transactions go straight into blocks (`generateblock`), so that a node's policy for what it relays
decides nothing; the node's consensus rules judge every one of them.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from protocol.chain.address import encode_secret_key, pay_to_script_hash
from protocol.chain.script import address_script, multisig_script, null_data, push_data
from protocol.chain.transaction import OutPoint, Transaction, TxInput, TxOutput, decode_transaction
from protocol.crypto import hash160, secp256k1_public_key, sha256
from protocol.units import format_amount
from tests.support.litecoind import RULES, LitecoinNode

OWNERS = tuple(f"owner {number}" for number in range(12))
FEE = 5_000
DUST = 20_000
"""Below it a coin is left alone."""


@dataclass(frozen=True)
class Kind:
    """A script of one owner, and what the node needs to sign for it besides the key."""

    script: bytes
    owner: str
    redeem: str = ""
    witness: str = ""


def secret_of(owner: str) -> bytes:
    """Return an owner's secret key."""
    return sha256(owner.encode())


def key_of(owner: str) -> bytes:
    """Return an owner's public key."""
    return secp256k1_public_key(secret_of(owner))


def public_key_hash(owner: str) -> Kind:
    return Kind(address_script(b"\x00" + hash160(key_of(owner))), owner)


def public_key(owner: str) -> Kind:
    return Kind(push_data(key_of(owner)) + b"\xac", owner)


def script_hash(owner: str) -> Kind:
    redeem = multisig_script(1, (key_of(owner), key_of("somebody else")))
    return Kind(address_script(pay_to_script_hash(redeem)), owner, redeem=redeem.hex())


def bare_multisig(owner: str) -> Kind:
    return Kind(multisig_script(1, (key_of("somebody else"), key_of(owner))), owner)


def witness_key_hash(owner: str) -> Kind:
    return Kind(b"\x00\x14" + hash160(key_of(owner)), owner)


def witness_script_hash(owner: str) -> Kind:
    inside = multisig_script(1, (key_of(owner),))
    return Kind(b"\x00\x20" + sha256(inside), owner, witness=inside.hex())


KINDS: tuple[Callable[[str], Kind], ...] = (
    public_key_hash,
    public_key,
    script_hash,
    bare_multisig,
    witness_key_hash,
    witness_script_hash,
)


@dataclass
class VariedChain:
    """Makes such blocks on a node, the same ones for the same seed."""

    node: LitecoinNode
    seed: int = 1
    owners: Sequence[str] = OWNERS
    kinds: Sequence[Callable[[str], Kind]] = KINDS
    coins: list[tuple[OutPoint, int, Kind]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._draw = random.Random(self.seed)

    def begin(self, owners: Sequence[str] | None = None, amount: int = 200_000_000) -> None:
        """Give owners (all, when none are named) a coin of every kind, from the miner's."""
        kinds = [make(owner) for owner in owners or self.owners for make in dict.fromkeys(self.kinds)]
        tx = self.node.purse.build([TxOutput(amount, kind.script) for kind in kinds])
        self._mine([tx])
        self.coins += [(OutPoint(tx.txid, at), amount, kind) for at, kind in enumerate(kinds)]

    def grow(self, blocks: int, transactions: int = 4) -> None:
        """Mine blocks of such transactions, some of which spend each other's outputs within the block."""
        for _ in range(blocks):
            self._mine([self._spend() for _ in range(transactions)])

    def _spend(self) -> Transaction:
        """Spend one to three coins, the newest as often as others, to outputs of all kinds."""
        draw = self._draw
        chosen = []
        for _ in range(draw.randint(1, 3)):
            if self.coins:
                at = -1 if draw.random() < 0.5 else draw.randrange(len(self.coins))
                chosen.append(self.coins.pop(at))
        total = sum(amount for _, amount, _ in chosen) - FEE
        count = draw.randint(1, 5)
        kinds = [draw.choice(self.kinds)(draw.choice(self.owners)) for _ in range(count)]
        outputs = [TxOutput(total // count, kind.script) for kind in kinds]
        if draw.random() < 0.4:
            data = TxOutput(0, null_data(draw.randbytes(draw.randint(0, 80))))
            outputs.insert(draw.randint(0, count), data)
        tx = self._sign(
            Transaction(2, tuple(TxInput(point) for point, _, _ in chosen), tuple(outputs)), chosen
        )
        scripts = {kind.script: kind for kind in kinds}
        for at, output in enumerate(tx.outputs):
            if output.script in scripts and output.amount > DUST:
                self.coins.append((OutPoint(tx.txid, at), output.amount, scripts[output.script]))
        return tx

    def _sign(self, tx: Transaction, spent: list[tuple[OutPoint, int, Kind]]) -> Transaction:
        """Let the node sign, with the owners' keys and what it cannot know of the spent outputs."""
        keys = [
            encode_secret_key(secret_of(owner), RULES.prefixes) for owner in {k.owner for _, _, k in spent}
        ]
        before = [
            {
                "txid": point.txid[::-1].hex(),
                "vout": point.index,
                "scriptPubKey": kind.script.hex(),
                "amount": format_amount(amount),
                **({"redeemScript": kind.redeem} if kind.redeem else {}),
                **({"witnessScript": kind.witness} if kind.witness else {}),
            }
            for point, amount, kind in spent
        ]
        signed = self.node.client.call("signrawtransactionwithkey", tx.raw.hex(), sorted(keys), before)
        assert signed["complete"], signed
        return decode_transaction(bytes.fromhex(signed["hex"]), RULES.family)

    def _mine(self, transactions: list[Transaction]) -> None:
        inside = [tx.raw.hex() for tx in transactions]
        self.node.client.call("generateblock", self.node.purse.address, inside)
