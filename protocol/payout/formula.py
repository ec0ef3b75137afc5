"""How much a period pays, and how much each valid response is worth.

Answers for: the pool as whole zatoshi, and its even division. What cannot be divided
evenly is carried into the next period, so over any number of periods what was paid
and what is carried add up to what came in. Which responses are valid is decided by
`protocol.tracking`, who is paid by `payout_list`. Spec: `spec/payout.md`.
"""

from protocol.chain.rules import ChainRules, node_reward
from protocol.units import Zatoshi


def period_pool(rules: ChainRules, first_height: int, last_height: int) -> Zatoshi:
    """Return the nodes' share of every subsidy from `first_height` to `last_height`, both inclusive.

    The share of each height is rounded down by itself, as the chain's own coinbase does it.
    """
    return Zatoshi(sum(node_reward(rules, height) for height in range(first_height, last_height + 1)))


def divide_pool(pool: int, responses: int) -> tuple[Zatoshi, Zatoshi]:
    """Return (zatoshi for each valid response, zatoshi carried); with no response all is carried.

    `pool == responses * per_response + carried` always. A pool or count below zero is the
    caller's own mistake: `ValueError`.
    """
    if pool < 0 or responses < 0:
        raise ValueError(f"a pool of {pool} over {responses} responses")
    if responses == 0:
        return Zatoshi(0), Zatoshi(pool)
    per_response, carried = divmod(pool, responses)
    return Zatoshi(per_response), Zatoshi(carried)
