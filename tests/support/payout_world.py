"""A small network for the payout's tests: genesis, chain, verdicts, members, certified lists, a treasury.

Everything in it is real but the blocks' proof of work: keys sign, certificates hold,
and the treasury's address can be spent from.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from protocol.chain import rules
from protocol.codec import replace
from protocol.crypto import SIGNATURE_SIZE, Signer, secp256k1_public_key, sha3_256, sha256
from protocol.genesis import Baton, Genesis, GenesisMember, Treasury, encode_genesis
from protocol.group.membership import Member, genesis_membership
from protocol.group.quorum import Electorate
from protocol.group.void import Void
from protocol.group.vote import LIST_ELECTORATE, Phase, Slot, vote_body
from protocol.parameters import DEVNET
from protocol.payout.claims import VerdictRecord
from protocol.payout.light import TrustPoint, VerifiedList, trust_from_genesis, trust_from_list, verify_list
from protocol.payout.list_certificate import ListCertificate
from protocol.payout.list_file import encode_list_file
from protocol.payout.list_header import Head, ListHeader, list_hash
from protocol.payout.payout_list import ListState, PayoutList, first_state, propose_list
from protocol.tracking.verdict import Reason, Verdict
from protocol.units import Hash32
from tests.support.chain_view import MemoryChain

SIGNERS = tuple(sorted((Signer(sha256(b"member %d" % n)) for n in range(7)), key=lambda s: s.operator_key))
PAYMASTERS = tuple(sha256(b"paymaster %d" % number) for number in range(5))
TREASURY = Treasury(required=2, public_keys=tuple(secp256k1_public_key(secret) for secret in PAYMASTERS))


def stake_of(operator_key: bytes) -> bytes:
    """Return the stake address that a test operator has, unless a test gives it another."""
    return b"\x00" + sha256(b"stake" + operator_key)[:20]


def slot_of(operator_key: bytes) -> bytes:
    """Return the IP slot at which a test operator is reached."""
    return b"\x04" + sha256(b"slot" + operator_key)[:4]


def valid(operator_key: bytes, *, stake: bytes | None = None, slot: bytes | None = None) -> Verdict:
    """Return a VALID verdict."""
    return Verdict(
        operator_key=operator_key,
        stake_address=stake or stake_of(operator_key),
        reason=Reason.VALID,
        slot=slot or slot_of(operator_key),
    )


def failed(operator_key: bytes, reason: Reason = Reason.NO_RESPONSE) -> Verdict:
    """Return a verdict that is not paid."""
    return Verdict(operator_key=operator_key, stake_address=stake_of(operator_key), reason=reason, slot=b"")


def make_genesis(members: int = 4, carried: int = 7, age: int = 4) -> Genesis:
    """Return a devnet's genesis with the first so many of `SIGNERS`; registrations are left out."""
    return Genesis(
        name="test",
        parameters=DEVNET,
        chain=rules.DEVNET,
        start=sha256(b"first block"),
        treasury=TREASURY,
        baton=Baton(txid=sha256(b"baton"), index=0),
        first_challenge_height=24,
        carried=carried,
        members=tuple(
            GenesisMember(operator_key=signer.operator_key, age=age, registration=b"")
            for signer in SIGNERS[:members]
        ),
    )


def voters_of_founders(members: int = 4) -> Electorate:
    """Return the electorate of the first list of a devnet with so many founding members."""
    return genesis_membership(make_genesis(members)).voters()


def certify(
    header: ListHeader,
    signers: Iterable[Signer],
    electorate: Electorate | None = None,
    round_number: int = 0,
) -> ListCertificate:
    """Return what these signers' precommits make over an electorate, by default the devnet's founders.

    A signer that has no vote stands at the place of a voter that did not sign.
    """
    voters = electorate or voters_of_founders()
    by_key: dict[bytes, Signer] = {signer.operator_key: signer for signer in signers}
    own = [by_key.pop(voter.operator_key, None) for voter in voters.voters]
    slot = Slot(header.network, LIST_ELECTORATE, header.period, round_number, Phase.PRECOMMIT)
    digest, spelled, signatures = list_hash(header), "", b""
    for signer in own:
        if signer is None and by_key:
            signer = by_key.pop(min(by_key))
        spelled += "01"[signer is not None]
        if signer is not None:
            signatures += signer.sign(vote_body(slot, digest, signer.operator_key))[:SIGNATURE_SIZE]
    size = -(-len(voters) // 8)
    bits = int(spelled.ljust(8 * size, "0"), 2).to_bytes(size, "big")
    return ListCertificate(round=round_number, signers=bits, signatures=signatures)


@dataclass
class World:
    """A network whose one group has judged some challenges. Fulfils `ListSource` itself."""

    genesis: Genesis = field(default_factory=make_genesis)
    chain: MemoryChain = field(default_factory=MemoryChain)
    records: list[VerdictRecord] = field(default_factory=list)
    blocks: list[Hash32] = field(default_factory=lambda: [Hash32(sha256(b"data block 0"))])
    next_members: tuple[Member, ...] = ()
    state: ListState = field(init=False)

    def __post_init__(self) -> None:
        self.state = first_state(self.genesis)
        self.next_members = self.next_members or genesis_membership(self.genesis).members

    @property
    def operators(self) -> tuple[bytes, ...]:
        """The founding members' keys."""
        return tuple(member.operator_key for member in self.genesis.members)

    @property
    def trust(self) -> TrustPoint:
        """The wallet's trust point before the first list."""
        return trust_from_genesis(encode_genesis(self.genesis))

    def heads(self) -> tuple[Head, ...]:
        height = len(self.blocks) - 1
        return (Head(prefix="", height=height, block_hash=self.blocks[height]),)

    def reach(self, heads: tuple[Head, ...]) -> dict[str, list[tuple[int, int]]]:
        return {head.prefix: [(-1, head.height)] for head in heads}

    def voids(self, heads: tuple[Head, ...]) -> tuple[Void, ...]:
        return ()

    def block_hash(self, prefix: str, height: int) -> Hash32 | None:
        return self.blocks[height] if not prefix and height < len(self.blocks) else None

    def verdict_records(self, first_seq: int, last_seq: int) -> list[VerdictRecord]:
        return [record for record in self.records if first_seq <= record.seq <= last_seq]

    def members(self, heads: tuple[Head, ...]) -> tuple[Member, ...]:
        return self.next_members

    def judge(self, seq: int, verdicts: Sequence[Verdict] | None = None, prefix: str = "") -> VerdictRecord:
        """Add the VERDICT block of a challenge; without `verdicts` every member is VALID."""
        anchor = seq * self.genesis.parameters.challenge_every
        self.chain.mine_to(anchor)
        self.blocks.append(Hash32(sha256(b"data block %d" % len(self.blocks) + prefix.encode())))
        given = tuple(valid(key) for key in self.operators) if verdicts is None else tuple(verdicts)
        anchor_hash = self.chain.block_hash(anchor)
        assert anchor_hash is not None
        record = VerdictRecord(
            prefix, len(self.blocks) - 1, self.blocks[-1], seq, anchor_hash, given, (prefix,)
        )
        self.records.append(record)
        return record

    def bury(self, period: int) -> None:
        """Mine until the period's last block is buried."""
        last = (period + 1) * self.genesis.parameters.period_blocks - 1
        self.chain.mine_to(last + self.genesis.parameters.burial)

    def list(self) -> PayoutList:
        """Return the next list as this node proposes it."""
        return propose_list(self.genesis, self.state, self, self.chain)

    def certified(
        self, payout: PayoutList, signers: Iterable[Signer] = (), electorate: Electorate | None = None
    ) -> bytes:
        """Return the list file, signed by all founding members unless told otherwise."""
        chosen = tuple(signers) or SIGNERS[: len(self.genesis.members)]
        voters = electorate or genesis_membership(self.genesis).voters()
        certificate = certify(payout.header, chosen, voters)
        return encode_list_file(payout.header, payout.entries, payout.members, certificate)


def devnet_world() -> World:
    """Return the devnet's first period: three challenges, four honest of eight operators."""
    world = World()
    lazy, dead = sha256(b"lazy"), sha256(b"dead")
    for seq in (3, 4, 5):
        honest = [valid(key) for key in world.operators]
        rest = [failed(lazy, Reason.WRONG_ANSWER), failed(dead)]
        world.judge(seq, sorted(honest + rest, key=lambda verdict: verdict.operator_key))
    world.bury(1)
    return world


def many_entries_world(count: int) -> World:
    """Return a network that paid `count` stake addresses in its first period."""
    world = World()
    keys = sorted(sha256(b"operator %d" % number) for number in range(count))
    for seq in (3, 4, 5):
        world.judge(seq, [valid(key) for key in keys])
    world.bury(1)
    return world


def verified_first(world: World) -> VerifiedList:
    """Return the first list of a world, certified and verified as a wallet does it."""
    return verify_list(world.certified(world.list()), world.trust)


def verified_next(world: World, before: VerifiedList) -> VerifiedList:
    """Return the next list of a world, verified against the one before."""
    return verify_list(world.certified(world.list()), trust_from_list(before))


def forged(payout: PayoutList, **changes: object) -> PayoutList:
    """Return a list whose header differs in some fields: what a lying quorum could sign."""
    return PayoutList(replace(payout.header, **changes), payout.entries, payout.members, payout.state)


def hash_of(*parts: bytes) -> Hash32:
    """Return some hash that no part of the protocol gives."""
    return sha3_256(b"test", *parts)
