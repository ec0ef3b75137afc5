"""What somebody who was not there makes of all groups' blocks: the machine of a new node takes them.

Answers for: every block and certificate is checked from the genesis file on, by the rules as they are and
with nothing shared, and the newcomer comes to stand where everybody stands. Spec: `spec/simulation.md`.
"""

from collections.abc import Iterable, Iterator

from protocol.crypto import Signer
from protocol.group.vote_guard import VoteGuard
from protocol.node.effects import Incoming
from protocol.node.machine import Node
from protocol.node.messages import Blocks, pack_plain
from simulations.chain import View
from simulations.disk import Disk
from simulations.founding import Founding
from simulations.group_laws import CERTIFICATES
from simulations.ledger import Ledger
from simulations.seats_judged import Breach

NEWCOMER = bytes([0x4E]) * 32
"""The newcomer's secret; it is no member."""


def follow(founding: Founding, view: View, certified: Iterable[bytes], ledger: Ledger) -> Iterator[Breach]:
    """Tell where a newcomer comes to stand with all blocks, in the order in which they were first seen."""
    node = Node(founding.genesis, Signer(NEWCOMER), view, Disk(), VoteGuard(), joins=False)
    node.start(0)
    peer = founding.members[0]
    for block in certified:
        message = pack_plain(Blocks(network=node.network, blocks=(block,)))
        node.receive([Incoming(peer.key, peer.ip, "", message)])
    there = {machine.state.prefix: (machine.state.height, machine.state.head) for machine in node.groups}
    wanted = {prefix: (group.height, group.head) for prefix, group in ledger.groups.items()}
    for prefix in sorted(there.keys() | wanted.keys()):
        if there.get(prefix) != wanted.get(prefix):
            height = there.get(prefix, (None,))[0]
            yield (
                CERTIFICATES,
                f"a newcomer stands at {height} in group {prefix!r}, not at {wanted.get(prefix)}",
            )
