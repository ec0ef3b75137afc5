"""What somebody who was not there makes of the blocks and lists that honest nodes hold.

Answers for: every certified block is taken from genesis on, on the chain that came out, by the rules and then
by the machine of a new node; so it is known who had a vote in which ballot. Counting those votes is left to
`invariants`. Spec: `spec/simulation.md`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from protocol.codec import Wire, decode, encode
from protocol.crypto import Signer
from protocol.errors import ProtocolError
from protocol.genesis import first_period
from protocol.group.certificate import Certificate
from protocol.group.data_block import CertifiedBlock, decode_block
from protocol.group.data_chain import DataChain
from protocol.group.membership import voters_of
from protocol.group.quorum import Electorate
from protocol.group.vote import LIST_ELECTORATE
from protocol.group.vote_guard import VoteGuard
from protocol.node.effects import Incoming
from protocol.node.machine import Node
from protocol.node.messages import Blocks, ListAnswer, pack_plain
from protocol.payout.list_file import decode_list_file
from simulations.chain import SimulatedBlock, View
from simulations.disk import Disk
from simulations.history import Ballot, History

NEWCOMER = bytes([0x4E]) * 32
"""The newcomer's secret; it is no member."""


@dataclass(slots=True)
class Newcomer:
    """The outcome."""

    network: bytes
    electorate_name: str
    members: frozenset[bytes] = frozenset()
    """Who is a member in the end."""
    electorates: dict[Ballot, Electorate] = field(default_factory=dict)
    certificates: list[tuple[int, Certificate]] = field(default_factory=list)
    """Of every version of every data block, with its height."""
    refusal: str = ""
    """Why a block cannot be taken; empty when all can."""
    stopped: str = ""
    """How far a newcomer's machine came with all that it was handed; empty when it took everything."""


def follow(history: History, tip: SimulatedBlock) -> Newcomer:
    """Take everything from genesis on."""
    state, view = DataChain.from_genesis(history.founding.genesis), View(tip)
    outcome = Newcomer(state.network, state.electorate_name)
    by_height: dict[int, CertifiedBlock] = {}
    for data in history.certified:
        certified = decode(data, CertifiedBlock)
        height = decode_block(certified.block).height
        outcome.certificates.append((height, certified.certificate))
        by_height.setdefault(height, certified)
    _list_electorates(history, state.electorate, outcome)
    outcome.electorates[(state.electorate_name, 1)] = state.electorate
    for height in range(1, max(by_height, default=0) + 1):
        try:
            state = state.apply(by_height[height], view, on_its_word=history.deep)
        except (ProtocolError, KeyError) as error:
            outcome.refusal = f"a newcomer cannot take block {height}: {error}"
            break
        outcome.electorates[(state.electorate_name, height + 1)] = state.electorate
    outcome.members = frozenset(member.operator_key for member in state.membership.members)
    if not outcome.refusal:
        outcome.stopped = _come_in(history, view, [encode(by_height[at]) for at in sorted(by_height)])
    return outcome


def _come_in(history: History, view: View, blocks: Sequence[bytes]) -> str:
    """Hand everything to the machine of a node that was never there; return what it did not take."""
    node = Node(history.founding.genesis, Signer(NEWCOMER), view, Disk(), VoteGuard())
    node.start(0)
    peer = history.founding.members[0]
    handed: list[Wire] = [Blocks(network=node.network, blocks=(block,)) for block in blocks]
    handed += [
        ListAnswer(network=node.network, file=next(iter(at))) for _, at in sorted(history.lists.items())
    ]
    for message in handed:
        node.receive([Incoming(peer.key, peer.ip, "", pack_plain(message))])
    lists = node.lister.period - first_period(history.founding.genesis)
    if (node.group.state.height, lists, node.contradicted) == (len(blocks), len(history.lists), False):
        return ""
    return f"{node.group.state.height} of {len(blocks)} blocks, {lists} of {len(history.lists)} lists"


def _list_electorates(history: History, founders: Electorate, outcome: Newcomer) -> None:
    """Note who votes on which list: the founders on the first, then whom the list before names."""
    outcome.electorates[(LIST_ELECTORATE, first_period(history.founding.genesis))] = founders
    for period, files in sorted(history.lists.items()):
        members = decode_list_file(next(iter(files))).members
        outcome.electorates[(LIST_ELECTORATE, period + 1)] = voters_of(members)
