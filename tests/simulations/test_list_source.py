"""Thousands of founders at the end of a period: each is judged once a challenge, by the group it falls to."""

import pytest

from protocol.group.name import matches
from protocol.payout.list_blocks import check_complete, period_challenges
from protocol.payout.list_header import Head
from protocol.tracking.challenge import challenge_draw
from simulations.list_source import CHALLENGES, PERIOD, Judgements, founded, grown, signer_of

FOUNDERS = 50


@pytest.mark.parametrize("groups", [1, 4])
def test_everybody_is_judged_once_in_each_challenge_by_the_group_that_the_draw_names(groups: int) -> None:
    chain = grown()
    signers = [signer_of(number) for number in range(FOUNDERS)]
    genesis = founded(1, signers, chain.block_hash(0) or b"")
    source = Judgements.of(genesis, chain, groups, 2)
    keys = sorted(one.operator_key for one in signers)
    for seq in period_challenges(genesis, PERIOD):
        records = list(source.verdict_records(seq, seq))
        assert len(records) == groups
        judged = [(one.prefix, verdict) for one in records for verdict in one.verdicts]
        assert sorted(verdict.operator_key for _, verdict in judged) == keys
        draws = [
            (prefix, challenge_draw(records[0].anchor_hash, verdict.operator_key))
            for prefix, verdict in judged
        ]
        assert all(matches(prefix, draw) for prefix, draw in draws)
    heads = source.heads()
    check_complete(genesis, PERIOD, source.reach(heads), source.records, chain)
    assert len(heads) == groups and {head.height for head in heads} == {CHALLENGES}
    assert all(member.prefix in {head.prefix for head in heads} for member in source.members(heads))
    assert all(matches(member.prefix, member.name) for member in source.members(heads))


def test_a_reader_may_have_more_of_the_first_group() -> None:
    chain = grown()
    genesis = founded(1, [signer_of(number) for number in range(4)], chain.block_hash(0) or b"")
    source = Judgements.of(genesis, chain, 2, 1)
    ahead = Judgements(source.records, source.everybody, source.hashes, read=1)
    first, second = ahead.heads()
    assert (first.height, second.height) == (CHALLENGES + 1, CHALLENGES)
    assert first == Head(
        prefix="0", height=first.height, block_hash=source.block_hash("0", first.height) or b""
    )
    assert source.block_hash("0", CHALLENGES + 2) is None
