"""Which payout list a verdict of ours came into, and whether it was paid there.

Answers for: what the certified lists and what the last one left for the next say of one response. Which
verdicts are paid is `protocol.payout.claims`' business. Spec: `spec/rpc.md`, `spec/payout_list.md`.
"""

from protocol.node.lister import Lister
from protocol.parameters import Parameters
from protocol.payout.claims import VerdictRecord
from protocol.payout.list_file import decode_list_file
from protocol.units import OperatorKey

WAITS = "waits for its list"
PAID = "paid"
NOT_PAID = "not paid: over all groups another operator had its stake, IP address or subnet first"
NAMED = "named"
"""Of lists before the last one it is remembered which blocks they name, and not whose responses they pay."""
LAPSED = "lapsed: it came later than a list may pay"


def describe_listing(
    lister: Lister, parameters: Parameters, record: VerdictRecord, operator_key: OperatorKey
) -> dict[str, object]:
    """Return in which period's list an operator's VALID verdict stands, and what became of it there."""
    own = record.seq * parameters.challenge_every // parameters.period_blocks
    for period in (own, own + 1):
        data = lister.file(period)
        if data is None:
            return {"period": period, "state": WAITS}
        if record.block_hash in decode_list_file(data).header.blocks:
            is_last = period + 1 == lister.period and period == own
            state = _last(lister, record, operator_key) if is_last else NAMED
            return {"period": period, "state": state}
    return {"period": None, "state": LAPSED}


def _last(lister: Lister, record: VerdictRecord, operator_key: OperatorKey) -> str:
    """Return whether the last list pays a response of its own period."""
    claims = lister.state.claims
    is_paid = any((one.seq, one.operator_key) == (record.seq, operator_key) for one in claims)
    return PAID if is_paid else NOT_PAID
