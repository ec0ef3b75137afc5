"""Finding the lists between a trust point and a later one among many files.

Answers for: from a heap of files (list files and address files, some of them perhaps wrong) the one chain
of lists that leads on from the trust point, each list verified against the one before; two chains
are an alarm, never a choice. Where the files lie is left to the caller. Spec: `spec/wallet.md`.
"""

from collections.abc import Callable, Iterable, Iterator

from protocol.errors import InvalidBlock, ProtocolError
from protocol.payout.light import Verified, trust_from_list, verify_file
from protocol.payout.list_file import START_SIZE as START_SIZE
from protocol.payout.list_file import period_of as period_of
from protocol.payout.trust import TrustPoint
from protocol.units import Hash32, Period

Candidates = Callable[[Period], Iterable[tuple[str, bytes]]]
"""Returns the files that may hold the list of a period as (name, bytes), in any order."""


def find_lists(period: int, candidates: Candidates, trust: TrustPoint) -> Iterator[Verified]:
    """Yield the lists that lead on from a trust point up to the one before `period`.

    Of a period's candidates one must pass; what does not is passed over. Raises the `ProtocolError` of the
    first when none passes, and `InvalidBlock` when two different lists do: then more than a third
    of the voters have signed twice, and neither is to be believed.
    """
    while trust.terms.period < period:
        verified = _find_next(candidates(trust.terms.period), trust)
        trust = trust_from_list(verified)
        yield verified


def _find_next(candidates: Iterable[tuple[str, bytes]], trust: TrustPoint) -> Verified:
    """Return the next list, of those that the candidates hold."""
    passed: dict[Hash32, Verified] = {}
    problems: list[ProtocolError] = []
    for name, file_bytes in candidates:
        try:
            verified = verify_file(file_bytes, trust)
            passed[verified.list_hash] = verified
        except ProtocolError as error:
            problems.append(type(error)(f"{name}: {error}"))
    if len(passed) > 1:
        hashes = " and ".join(sorted(one.hex() for one in passed))
        raise InvalidBlock(f"two different lists of period {trust.terms.period} are certified: {hashes}")
    if not passed:
        raise problems[0] if problems else InvalidBlock(f"there is no list of period {trust.terms.period}")
    return next(iter(passed.values()))
