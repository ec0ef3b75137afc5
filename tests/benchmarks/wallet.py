"""How large a week's files of a large network are, and how long a wallet takes to verify them.

One list of 5,000 nodes in 250 groups, with seven challenges' verdict blocks, as its list file and as the
address file of one address; certified by two thirds of the voters and one, and (`*_all_sign`) by all. From a
file's bytes to the next trust point is timed beside the certificate alone and beside its bare signature
checks, in interleaved rounds: `certificate_ratio` is bare / certificate, `list_ratio` bare / list.

    python -m tests.benchmarks.wallet --json
"""

import argparse
import gc
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence

from protocol.chain import rules
from protocol.chain.address import encode_address
from protocol.codec import encode, replace
from protocol.crypto import Signer, sha256, verify_envelope
from protocol.genesis import encode_genesis
from protocol.group.certificate import check_certificate
from protocol.group.vote import LIST_ELECTORATE, Phase, Slot, vote_body
from protocol.parameters import ZEN
from protocol.payout.light import (
    TrustPoint,
    VerifiedList,
    encode_trust,
    prove_address,
    trust_from_genesis,
    trust_from_list,
    verify_address,
    verify_list,
)
from protocol.payout.list_certificate import expand_certificate
from protocol.payout.list_file import decode_list_file
from protocol.payout.list_header import list_hash
from tests.support.wallet_network import Made, equal_groups, founding, make_list, member, operator, stake

NODES, GROUPS, CHALLENGES = 5_000, 250, 7
FIRST_CHALLENGE = 691_200
"""Its anchor: heights, periods and links are as large as after five years."""
LINK = 5_000
ROUNDS = 7


class Bench:
    """One list, signed, and everything that is timed about it."""

    def __init__(self, nodes: int, groups: int) -> None:
        signers = sorted((operator(number) for number in range(nodes)), key=lambda one: one.operator_key)
        genesis = founding(signers)
        genesis = replace(
            genesis, parameters=ZEN, chain=rules.ZEN_MAINNET, first_challenge_height=FIRST_CHALLENGE
        )
        self.genesis_file = encode_genesis(genesis)
        self.trust: TrustPoint = trust_from_genesis(self.genesis_file)
        self.made = _week(self.trust, signers, groups)
        self.file = self.made.signed(signers[: nodes * 2 // 3 + 1], self.trust)
        self.file_all_sign = self.made.signed(signers, self.trust)
        self.compact = decode_list_file(self.file).certificate
        self.verified: VerifiedList = verify_list(self.file, self.trust)
        address = encode_address(stake(nodes // 2), genesis.chain.prefixes)
        self.address_file = prove_address(self.verified, address)
        slot = Slot(self.trust.terms.network, LIST_ELECTORATE, self.trust.terms.period, 0, Phase.PRECOMMIT)
        self.envelopes = [
            (signature + vote_body(slot, self.verified.list_hash, key), key)
            for key, signature in self.verified.certificate.signatures
        ]

    def sizes(self) -> dict[str, int]:
        """Return how large everything is."""
        return {
            "header_bytes": len(encode(self.made.header)),
            "list_bytes": len(self.file),
            "list_bytes_all_sign": len(self.file_all_sign),
            "address_bytes": len(self.address_file),
            "trust_bytes": len(encode_trust(trust_from_list(self.verified))),
            "genesis_bytes": len(self.genesis_file),
            "signatures": len(self.envelopes),
        }

    def check_list(self) -> None:
        """Verify the list file and move on."""
        trust_from_list(verify_list(self.file, self.trust))

    def check_address(self) -> None:
        """Verify the address file and move on."""
        trust_from_list(verify_address(self.address_file, self.trust))

    def check_certificate(self) -> None:
        """Verify the certificate of a decoded list file."""
        header, trust = self.made.header, self.trust
        certificate = expand_certificate(self.compact, trust.electorate, header.period, list_hash(header))
        check_certificate(certificate, header.network, trust.electorate)

    def check_signatures(self) -> None:
        """Check the same signatures over bodies that are there already, and nothing else."""
        for envelope, key in self.envelopes:
            verify_envelope(envelope, key)


def _week(trust: TrustPoint, signers: Sequence[Signer], groups: int) -> Made:
    """Return a list that pays every node for every challenge of the week."""
    prefixes = equal_groups(groups)
    return make_list(
        trust.terms,
        prefixes=prefixes,
        blocks=[sha256(b"verdict block %d" % number) for number in range(groups * CHALLENGES)],
        responses={stake(number): CHALLENGES for number in range(len(signers))},
        members=[member(one, 1 + at % 10, prefixes, LINK) for at, one in enumerate(signers)],
    )


def seconds(act: Callable[[], None]) -> float:
    """Return the processor time of one call, without the collector's."""
    gc.collect()
    gc.disable()
    began = time.process_time()
    act()
    spent = time.process_time() - began
    gc.enable()
    return spent


def run(rounds: int = ROUNDS, nodes: int = NODES, groups: int = GROUPS) -> dict[str, float]:
    """Return all figures."""
    print(f"a week of {nodes} nodes in {groups} groups", file=sys.stderr, flush=True)
    bench = Bench(nodes, groups)
    acts = (bench.check_list, bench.check_address, bench.check_certificate, bench.check_signatures)
    taken = [[seconds(act) for act in acts] for _ in range(rounds)]
    whole, address, certificate, bare = (statistics.median(column) for column in zip(*taken, strict=True))
    return {
        "nodes": nodes,
        "groups": groups,
        **bench.sizes(),
        "list_seconds": round(whole, 4),
        "address_seconds": round(address, 4),
        "certificate_seconds": round(certificate, 4),
        "signature_seconds": round(bare, 4),
        "certificate_ratio": round(bare / certificate, 3),
        "list_ratio": round(bare / whole, 3),
    }


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args()
    figures = run(options.rounds)
    print(json.dumps(figures) if options.json else figures)


if __name__ == "__main__":
    main()
