"""The figures of a year's data chains: blocks of every kind, and a store that shrinks when it is pruned."""

from tests.benchmarks.storage import A_CHALLENGE, run, story


def test_the_story_has_every_kind_that_a_year_is_added_up_from() -> None:
    found = story(group_size=4).found
    assert set(A_CHALLENGE) <= set(found)
    for kind in A_CHALLENGE:
        for one in found[kind]:
            assert len(one.pruned) < len(one.whole) and one.check_seconds > one.resume_seconds > 0


def test_the_figures_fit_together() -> None:
    figures = run(groups=8, group_size=4, weeks=4)
    year, kinds = figures["year"], figures["kinds"]
    assert figures["nodes"] == 32 and figures["signatures"] >= 3
    assert kinds["VERDICT"]["bytes"] > 4 * kinds["VERDICT"]["pruned_bytes"]
    assert year["whole_gib"] > 4 * year["pruned_gib"] > 0
    assert year["start_whole_minutes"] > year["start_pruned_minutes"] > 0
    assert figures["disk_whole"] > 1 and 1 < figures["disk_pruned"] < 2
    assert figures["memory_bytes_a_block"] > 32
