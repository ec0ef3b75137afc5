"""Two groups of real nodes that may lose sight of each other while all see one chain, and marks on it."""

from protocol.chain.script import push_data
from protocol.chain.transaction import with_script_sig
from protocol.group.absorbmaker import summons_payload
from protocol.group.data_chain import DataChain
from protocol.group.summons import encode_life, term
from protocol.units import OperatorKey
from tests.support.many_groups import PARAMETERS, founding_of_three, members, splitting
from tests.support.node_cluster import Cluster, Peer
from tests.support.operators import Operator

TERM = term(PARAMETERS)
SIGNATURE = push_data(b"\x30" * 70 + b"\x01") + push_data(b"\x02" * 33)
"""Stands for a signature over all outputs: chains of tests check none."""


class Parted:
    """A network of two groups; `near` are the members of 0, or of 00 and 01, `far` those of 1."""

    def __init__(self, *, joins: bool = False, has_split: bool = False) -> None:
        if has_split:
            genesis, founders = founding_of_three()
            self.cluster = Cluster(founders, genesis=genesis, joins=joins)
        else:
            self.cluster = splitting(joins=joins)
        self.cluster.mine_to(6)
        halves = ("00", "01") if has_split else ("0",)
        self.near = [one for half in halves for one in members(self.cluster, half)]
        self.far = members(self.cluster, "1")
        self.at = self.near[0], self.far[0]
        """Through whose eyes each side is seen."""

    def part(self) -> None:
        """Let nothing that one side says reach the other."""
        near = {one.key for one in self.near}

        def is_lost(sender: OperatorKey, to: OperatorKey, _: bytes) -> bool:
            return (sender in near) != (to in near)

        self.cluster.drops = is_lost

    def heal(self) -> None:
        """Let everybody hear everybody, and catch up."""
        self.cluster.drops = lambda _from, _to, _data: False
        self.cluster.cut.clear()
        self.cluster.mine(6, each=6_000)

    def peer(self, *, far: bool = False) -> Peer:
        return self.cluster[self.at[far]]

    def state(self, prefix: str, *, far: bool = False) -> DataChain:
        """Return where a live group stands, as one side sees it."""
        return self.peer(far=far).node.groups[prefix].state

    def live(self, *, far: bool = False) -> list[str]:
        return [machine.state.prefix for machine in self.peer(far=far).node.groups]

    def mark(self, payload: bytes, signer: Operator) -> int:
        """Mine a mark that a stake has signed; return the height."""
        tx = self.cluster.chain.spend(signer.stake_address, [], payload)
        return self.cluster.mine_with(with_script_sig(tx, 0, SIGNATURE))

    def summon(self, prefix: str = "0", *, far: bool = False) -> int:
        """Wait until a group has summoned the other, and put it on the chain; return the height."""
        for _ in range(2 * TERM):
            opened = self.state(prefix, far=far).summons
            if opened is not None:
                return self.mark(summons_payload(opened), (self.far if far else self.near)[0])
            self.cluster.mine()
        raise AssertionError("nobody is summoned")

    def show_life(self, prefix: str = "1", *, far: bool = True) -> int:
        """Put a group's head on the chain, signed by one of its voters."""
        head = self.state(prefix, far=far).head
        return self.mark(encode_life(head), (self.far if far else self.near)[0])
