"""Vectors of the challenge: ordinals, first addresses, answers, dial-backs. Formats: `spec/challenge.md`."""

from typing import Any

from protocol.crypto import sha3_256
from protocol.parameters import DEVNET, MINIMAL, ZEN, Parameters
from protocol.tracking.challenge import (
    challenge_draw,
    derive_challenge,
    derive_samples,
    dial_back_digest,
    dial_back_ordinals,
    expected_answer,
    sample_ordinals,
)
from protocol.units import COIN
from tests.support.chain_view import MemoryChain
from tests.vectors.registry import vectors

TOTALS = (1, 2, 3, 10, 1_000, 65_536, (1 << 32) + 1, (1 << 63) - 1, 3 << 62)
NONCE = sha3_256(b"nonce")


@vectors("challenge", "ordinals")
def ordinals() -> list[dict[str, Any]]:
    cases = []
    for number, total in enumerate(TOTALS):
        anchor, key = sha3_256(b"anchor", bytes([number])), sha3_256(b"operator", bytes([number]))
        cases.append(
            {
                "anchor_hash": anchor.hex(),
                "operator_key": key.hex(),
                "total": total,
                "samples": sample_ordinals(anchor, key, total, 12),
                "nonce": NONCE.hex(),
                "dial_back": dial_back_ordinals(anchor, key, NONCE, total, 12),
                "draw": challenge_draw(anchor, key).hex(),
            }
        )
    return cases


def vector_chain() -> MemoryChain:
    """A chain with transactions whose first output has no address, and some without any."""
    chain = MemoryChain()
    payers = [bytes([kind]) + sha3_256(bytes([kind, number]))[:20] for kind in (0, 1) for number in range(3)]
    chain.mine(pay=[(payer, 50 * COIN) for payer in payers])
    chain.mine(pay=())
    chain.mine(chain.spend(payers[0], ((payers[1], COIN),), b"announcement"))
    chain.mine(chain.spend(payers[4], ((payers[5], COIN), (payers[0], 2 * COIN))), pay=())
    chain.mine_to(9)
    return chain


@vectors("challenge", "answers")
def answers() -> dict[str, Any]:
    chain = vector_chain()
    return {
        "family": chain.family.name,
        "blocks": [
            {"hash": digest.hex(), "transactions": [tx.raw.hex() for tx in transactions]}
            for digest, transactions in chain.blocks
        ],
        "cases": [_answer(chain, seq, preset) for preset, seq in ((MINIMAL, 1), (MINIMAL, 2), (DEVNET, 1))],
    }


def _answer(chain: MemoryChain, seq: int, preset: Parameters) -> dict[str, Any]:
    challenge = derive_challenge(seq, chain, preset)
    key = sha3_256(b"operator", bytes([seq]))
    return {
        "preset": preset.preset,
        "seq": seq,
        "anchor_height": challenge.anchor_height,
        "anchor_hash": challenge.anchor_hash.hex(),
        "transactions": challenge.transactions,
        "opens": challenge.opens,
        "closes": challenge.closes,
        "judged_at": challenge.judged_at,
        "operator_key": key.hex(),
        "samples": [
            {"ordinal": one.ordinal, "txid": one.txid.hex(), "address": one.address.hex()}
            for one in derive_samples(challenge, key, chain, preset)
        ],
        "answer": expected_answer(challenge, key, chain, preset).hex(),
        "nonce": NONCE.hex(),
        "dial_back_digest": dial_back_digest(challenge, key, NONCE, chain, preset).hex(),
    }


@vectors("challenge", "windows")
def windows() -> list[dict[str, Any]]:
    chain = MemoryChain()
    chain.mine_to(2 * ZEN.challenge_every)
    return [_window(chain, preset, seq) for preset in (ZEN, DEVNET, MINIMAL) for seq in (1, 2)]


def _window(chain: MemoryChain, preset: Parameters, seq: int) -> dict[str, Any]:
    challenge = derive_challenge(seq, chain, preset)
    heights = {"opens": challenge.opens, "closes": challenge.closes, "judged_at": challenge.judged_at}
    return {"preset": preset.preset, "seq": seq, **heights}
