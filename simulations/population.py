"""Who comes, goes, crashes and lies in a network of many groups.

Answers for: the times and the chosen ones, all from one source of chance, until the healing; and nobody is
taken from a group that could decide nothing without it. What follows is the nodes' business.
Spec: `spec/simulation.md`.
"""

import random
from collections.abc import Callable, Sequence

from protocol.group.regions import overlap
from protocol.node.messages import PLAIN, pack_signed
from simulations.byzantine import ClosedMouth, ForkedMouth
from simulations.founding import Founding, Party
from simulations.group_options import GroupOptions
from simulations.host import HonestMouth, Host
from simulations.ledger import Ledger
from simulations.miner import Miner
from simulations.options import Fault
from simulations.scheduler import Scheduler
from simulations.seats import Group, Kept
from simulations.seats_partition import sibling
from simulations.trace import FaultCounts


class Population:
    """The hosts of all operators, and what becomes of them."""

    def __init__(
        self,
        founding: Founding,
        options: GroupOptions,
        rng: random.Random,
        scheduler: Scheduler,
        hosts: Sequence[Host],
        byzantine: Sequence[int],
        ledger: Ledger,
        miner: Miner,
        counts: FaultCounts,
    ) -> None:
        self._founding = founding
        self._options = options
        self._rng = rng
        self._scheduler = scheduler
        self._hosts = hosts
        self._ledger = ledger
        self._miner = miner
        self._healed = False
        self._waiting = list(hosts[options.founders :])
        self._by_key: dict[bytes, Host] = {host.key: host for host in hosts}
        self._byzantine = frozenset(byzantine)
        self._lying = set(byzantine)
        self.gone: dict[int, None] = {}
        """Who went for good."""
        self._deregistered: dict[int, None] = {}
        """Of them those who said so."""
        self._abandoned: dict[str, int] = {}
        """The groups that were made to stop, and at what height they stood."""
        self._close(byzantine, counts)

    def _close(self, byzantine: Sequence[int], counts: FaultCounts) -> None:
        """Give the dishonest their mouths: loud, sly and closed ones by turns."""
        every = self._founding.genesis.parameters.challenge_every
        friends = [self._founding.operators[number] for number in byzantine]
        for turn, number in enumerate(byzantine):
            host = self._hosts[number]
            if turn % 3 == 2:
                host.mouth = ClosedMouth()
            else:
                sly = turn % 3 == 1
                host.mouth = ForkedMouth(host, every, friends, self._rng, counts, sly=sly)

    def start(self) -> None:
        """Boot the founders; let things happen from now on."""
        for host in self._hosts[: self._options.founders]:
            host.boot()
        options = self._options
        self._again(options.join_every_ms // options.scale, self._come)
        self._again(options.leave_every_ms // options.scale, self._go)
        if options.abandon_probability and self._rng.random() < options.abandon_probability:
            self._scheduler.after(options.abandon_after_ms, self._abandon)
        if options.has(Fault.CRASHES):
            self._again(options.crash_every_ms // options.scale, self._crash)

    def stopped(self) -> list[str]:
        """Return the groups that were made to stop and are not absorbed yet."""
        ends = {void.prefix: void.above for void in self._ledger.voids}
        return [prefix for prefix, height in self._abandoned.items() if ends.get(prefix, -1) < height]

    def keep_deciding(self) -> None:
        """Let no group fall below what its liveness rests on: more than two thirds that serve.

        Members move and grow older, so a third may come together of those who lie, went or are down. Then
        first who is down comes back, then who went without a word, and at last a liar is honest from now on.
        Of a group that was abandoned nobody does.
        """
        stopped = self.stopped()
        for prefix, group in list(self._ledger.groups.items()):
            if any(overlap(prefix, one) for one in stopped):
                continue
            for voters in self._ledger.certifiers(group):
                self._keep_liars_few(voters)
                while not self._decides(voters, list(filter(self._serves, voters))):
                    if not self._bring_back([self._by_key[key] for key in voters]):
                        break

    def _keep_liars_few(self, voters: dict[bytes, int]) -> None:
        """Let liars be honest in time: what they have said of a block once, they cannot take back.

        Together they must stay below a third though they grow a year older and the oldest other one moves on.
        """
        lying = [key for key in voters if self._by_key[key].number in self._lying]
        others = sorted(voters[key] for key in voters if key not in lying)[:-1]
        for key in sorted(lying, key=lambda key: -voters[key]):
            age = sum(voters[one] + 1 for one in lying)
            if len(others) > 2 * len(lying) and sum(others) > 2 * age:
                return
            self._lying.remove(self._by_key[key].number)
            self._by_key[key].mouth = HonestMouth(self._by_key[key])
            lying.remove(key)
            others = sorted((*others, voters[key]))

    def _bring_back(self, hosts: Sequence[Host]) -> bool:
        """Let one that does not serve serve again; return whether there is one that can."""
        for host in hosts:
            if not host.is_up and host.number not in self._deregistered:
                self.gone.pop(host.number, None)
                host.boot()
                return True
        for host in hosts:
            if host.number in self._lying:
                self._lying.remove(host.number)
                host.mouth = HonestMouth(host)
                return True
        return False

    def heal(self) -> None:
        """Let nobody come, go or crash any more; who is down comes back by itself."""
        self._healed = True

    def is_byzantine(self, number: int) -> bool:
        """Whether somebody lies."""
        return number in self._byzantine

    def staying(self) -> list[Host]:
        """Return the honest ones that have come and not gone."""
        coming = {host.number for host in self._waiting}
        return [
            host
            for host in self._hosts
            if host.number not in coming
            and host.number not in self.gone
            and host.number not in self._byzantine
        ]

    def _again(self, mean_ms: int, act: Callable[[], None]) -> None:
        def happen() -> None:
            if not self._healed:
                act()
                self._again(mean_ms, act)

        self._scheduler.after(self._rng.randint(1, 2 * mean_ms), happen)

    # What happens.

    def _come(self) -> None:
        """Let the next operator start its node and register."""
        if not self._waiting:
            return
        host = self._waiting.pop(0)
        host.enter(self._miner.tip)
        host.submit(pack_signed(host.party.registration(self._founding.network)))

    def _go(self) -> None:
        """Let somebody go for good: with a word, or without."""
        host = self._victim()
        if host is None:
            return
        self.gone[host.number] = None
        if self._rng.random() < 0.5:
            host.leave()
            return
        self._deregistered[host.number] = None
        host.submit(bytes((PLAIN,)) + host.party.deregistration(self._founding.network))
        self._scheduler.after(self._options.stay_ms, host.leave)

    def _abandon(self) -> None:
        """Let a group stop, once there is one whose sibling can go on without it."""
        if self._healed:
            return
        stopping = self._rng.choice(list(self._ledger.groups.values()))
        if not self._may_be_absorbed(stopping):
            self._scheduler.after(self._options.abandon_every_ms, self._abandon)
            return
        voters = self._ledger.voters(stopping)
        left = [key for key in voters if self._by_key[key].number not in self.gone]
        honest = [key for key in left if self._by_key[key].number not in self._byzantine]
        for key in self._rng.sample(honest, len(honest)):
            if not self._decides(voters, left):
                break  # not even with those who are down for a while, or lie
            left.remove(key)
            self.gone[self._by_key[key].number] = None
            self._by_key[key].leave()
        self._abandoned[stopping.prefix] = stopping.height

    def _may_be_absorbed(self, group: Group) -> bool:
        """Whether a group's sibling, or both halves of it, are there and decide."""
        if not group.prefix or group.ending is not None:
            return False
        beside, groups = sibling(group.prefix), self._ledger.groups
        there = [groups[one] for one in (beside, beside + "0", beside + "1") if one in groups]
        if len(there) != (1 if beside in groups else 2) or any(one.ending for one in there):
            return False
        voters = [self._ledger.voters(one) for one in there]
        return all(self._decides(one, list(filter(self._serves, one))) for one in voters)

    def _crash(self) -> None:
        """Let a node crash, and come back soon or late."""
        host, options = self._victim(), self._options
        if host is None:
            return
        late = self._rng.random() < options.late_probability
        least, most = (options.late_min_ms, options.late_max_ms) if late else (1, options.down_max_ms)
        host.light_fuse(self._rng.randrange(options.crash_effects_max), self._rng.randint(least, most))

    def _victim(self) -> Host | None:
        """Return an honest node that its group can spare, if the one that is drawn is."""
        host = self._rng.choice(self._hosts)
        if not host.is_up or host.number in self._byzantine or host.number in self.gone:
            return None
        seat = self._ledger.seat(host.key)
        if seat.kept is not Kept.MEMBER:
            return host
        group = self._ledger.holder(seat.bits)
        return host if group is not None and self._can_spare(self._ledger.voters(group), host) else None

    def _can_spare(self, voters: dict[bytes, int], host: Host) -> bool:
        """Whether more than two thirds of the voters and of their age are there without this one."""
        return self._decides(voters, [key for key in voters if self._serves(key) and key != host.key])

    @staticmethod
    def _decides(voters: dict[bytes, int], there: list[bytes]) -> bool:
        age = sum(voters[key] for key in there)
        return 3 * len(there) > 2 * len(voters) and 3 * age > 2 * sum(voters.values())

    def _serves(self, key: bytes) -> bool:
        """Whether others may count on somebody; not on who ever lied, whom they may have stopped hearing."""
        host = self._by_key[key]
        return host.is_up and host.number not in self.gone and host.number not in self._byzantine


def choose_byzantine(
    ledger: Ledger, founders: Sequence[Party], options: GroupOptions, rng: random.Random
) -> list[int]:
    """Return the numbers of the dishonest founders: less than a third of each group as it first stands."""
    if not options.has(Fault.BYZANTINE):
        return []
    numbers: dict[bytes, int] = {founder.key: founder.number for founder in founders}
    chosen: list[int] = []
    for members in first_groups([(seat.bits, key) for key, seat in ledger.seats.items()], ledger.size):
        most = (len(members) - 1) // 3
        wanted = sum(rng.random() < options.byzantine_share for _ in members)
        chosen += [numbers[key] for _, key in rng.sample(members, min(most, wanted))]
    return sorted(chosen)


Named = tuple[str, bytes]
"""The bits of a name, and the operator's key."""


def first_groups(named: list[Named], size: int, depth: int = 0) -> list[list[Named]]:
    """Return the groups into which founders, all of them voters, split at once: by halves of more than G."""
    halves = [[one for one in named if one[0][depth] == bit] for bit in "01"]
    if min(map(len, halves)) <= size:
        return [sorted(named)]
    return [group for half in halves for group in first_groups(half, size, depth + 1)]
