"""RPC methods about the node that an external chain is read from.

Answers for: how that node is and how far we follow it, hints from its own side, and our index
held against what the node itself says of an address: the operator's check that both are of one
mind. On the embedded chain there is no such node. Amounts are integers of zatoshi, chain hashes
are in display order. Spec: `spec/rpc.md`, `spec/external_chain.md`.
"""

from collections.abc import Mapping
from dataclasses import asdict

from protocol.chain.address import decode_address
from protocol.chain.script import address_script, match_template
from protocol.chain.transaction import OutPoint, decode_transaction
from zenp2p.api.context import Context, display
from zenp2p.api.errors import NotReady, Refused
from zenp2p.api.methods import Methods, NoParams, Params
from zenp2p.chain.index import ANSWERS_MAX

OUTPUTS_MAX = 100_000
"""Unspent outputs of an address that are compared."""
SHOWN_MAX = 100
"""Differing outputs in an answer."""


class AddressParams(Params, frozen=True):
    """An address in text."""

    address: str


class ChainNodeMethods:
    """The handlers, over one daemon's parts."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._index = context.chain.index

    def register(self, methods: Methods) -> None:
        """Add them to the register."""
        methods.add("chain.state", NoParams, self.state, "How the chain is, and how far our index is.")
        methods.add("chain.notify", NoParams, self.notify, "There may be a new block: look at the node now.")
        methods.add("chain.compare", AddressParams, self.compare, "Our index beside the node's own answer.")

    async def state(self, params: NoParams) -> object:
        """The chain's own side, and the block that our answers are as of, at one moment."""
        height, tip = self._index.tip()
        condition = asdict(self._context.chain.condition())
        return {**condition, "index_height": height, "index_hash": display(tip)}

    async def notify(self, params: NoParams) -> object:
        """Look at the chain's node at once; harmless however often it is called."""
        self._context.chain.notify()
        return {"height": self._index.tip()[0]}

    async def compare(self, params: AddressParams) -> object:
        """What is unspent at an address by our index and by the node, as of the same block.

        Nodes list a bare public key's outputs under the key, not under its address: those are left out.
        """
        address = decode_address(params.address, self._context.node.genesis.chain.prefixes)
        theirs = await self._context.chain.unspent_there(params.address)
        if theirs is None:
            raise Refused("this network has a chain of its own: there is no other node to compare with")
        height, tip = self._index.tip()
        if theirs.block_hash != tip:
            raise NotReady(f"the node is at {theirs.height}, our index at {height}: try again")
        node = {outpoint: int(amount) for outpoint, amount, _ in theirs.unspent}
        ours = self._unspent(address)
        return {
            "height": height,
            "balance": sum(ours.values()),
            "node_balance": sum(node.values()),
            "outputs": len(ours),
            "node_outputs": len(node),
            "only_ours": _differing(ours, node),
            "only_node": _differing(node, ours),
            "equal": ours == node,
        }

    def _unspent(self, address: bytes) -> dict[OutPoint, int]:
        """Return what our index has unspent under the address's own script."""
        found: dict[OutPoint, int] = {}
        after: OutPoint | None = None
        while page := self._index.unspent(address, ANSWERS_MAX, after):
            after = page[-1].outpoint
            found.update(
                (coin.outpoint, int(coin.output.amount))
                for coin in page
                if self._is_under_address(coin.outpoint, address)
            )
            if len(found) > OUTPUTS_MAX:
                raise Refused(f"more than {OUTPUTS_MAX} unspent outputs: too many to compare at once")
        return found

    def _is_under_address(self, outpoint: OutPoint, address: bytes) -> bool:
        mined = self._index.transaction_by_id(outpoint.txid)
        if mined is None:
            return False
        script = decode_transaction(mined.raw, self._index.family).outputs[outpoint.index].script
        plain = address_script(address)
        return script == plain or (match_template(script).tail is not None and script.startswith(plain))


def _differing(one: Mapping[OutPoint, int], other: Mapping[OutPoint, int]) -> list[dict[str, object]]:
    """Return the outputs that `other` lacks or values differently, at most `SHOWN_MAX`."""
    differing = (outpoint for outpoint, amount in one.items() if other.get(outpoint) != amount)
    found = sorted(differing, key=lambda outpoint: (outpoint.txid, outpoint.index))
    return [
        {"txid": display(outpoint.txid), "index": outpoint.index, "amount": one[outpoint]}
        for outpoint in found[:SHOWN_MAX]
    ]
