"""What RPC says of summonses: those that groups have made, and those that name a group and are unanswered.

Answers for: everything that somebody needs who puts a mark on the chain, as this node holds it; who may sign
it too. What follows from marks is `protocol.group`'s business. Spec: `spec/rpc.md`, `spec/absorb.md`.
"""

from collections.abc import Iterator

from protocol.chain.address import encode_address
from protocol.chain.mark import Mark
from protocol.group.absorbmaker import summons_payload
from protocol.group.data_chain import DataChain
from protocol.group.state import OpenSummons
from protocol.group.summons import encode_life, first_mining, term, voters_stakes
from protocol.node.absorbing import Called
from protocol.node.machine import Node


class SummonsView:
    """Summonses, over one daemon's node."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def opened(self) -> list[dict[str, object]]:
        """Return the open summonses of all groups, by the prefix that is summoned."""
        found = ((machine.state, machine.state.summons) for machine in self._node.groups)
        return [self._describe(state, opened) for state, opened in found if opened is not None]

    def called(self) -> list[dict[str, object]]:
        """Return the mined summonses that may be answered still and are not, oldest first."""
        return [self._describe_called(one) for one in self._node.absorbing.unanswered()]

    def problems(self, prefix: str) -> Iterator[str]:
        """Yield what the members of a group should do about a summons, each in one line."""
        for one in self._node.absorbing.unanswered():
            if prefix.startswith(one.prefix):
                yield (
                    "our group is summoned as if it had stopped: unless one of its voters answers on the "
                    f"chain up to block {one.due}, it is absorbed: zenp2p group cancel"
                )
        machine = self._node.groups.get(prefix)
        opened = None if machine is None else machine.state.summons
        if opened is not None and self._mined(opened) is None:
            yield f"our group has summoned {opened.prefix}: have that mined: zenp2p group absorb"

    def _mined(self, opened: OpenSummons) -> Mark | None:
        chain = self._node.chain
        return first_mining(chain.marks(opened.stamp_height + 1, chain.tip()[0]), opened)

    def _describe(self, state: DataChain, opened: OpenSummons) -> dict[str, object]:
        mined = self._mined(opened)
        return {
            "prefix": opened.prefix,
            "by": state.prefix,
            "data_height": opened.height,
            "head": opened.head.hex(),
            "mined": None if mined is None else mined.height,
            "due": None if mined is None else mined.height + term(state.genesis.parameters),
            "payload": summons_payload(opened).hex(),
            "stakes": self._addresses(opened.stakes),
        }

    def _describe_called(self, called: Called) -> dict[str, object]:
        held, summons = self._node.absorbing.held, called.summons
        last = held.last(called.prefix, summons.height)
        stopped = held.state_at(called.prefix, summons.height)
        is_later = last is not None and last.height > summons.height
        shown = last.head if is_later and last is not None else summons.block
        return {
            "prefix": called.prefix,
            "data_height": summons.height,
            "mined": called.height,
            "due": called.due,
            "payload": encode_life(shown).hex(),
            "stakes": self._addresses(voters_stakes(stopped) if stopped is not None else ()),
        }

    def _addresses(self, stakes: tuple[bytes, ...]) -> list[str]:
        prefixes = self._node.genesis.chain.prefixes
        return [encode_address(address, prefixes) for address in stakes]
