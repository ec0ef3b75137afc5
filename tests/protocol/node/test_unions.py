"""How a node follows two siblings that become one, of which either may still absorb the other."""

from protocol.codec import encode
from protocol.group.blockmaker import build_link
from tests.support.held_groups import HeldGroups
from tests.support.standoff_world import World, summoned, take_due, waiting


def follow(held: HeldGroups, world: World) -> list[str]:
    """Let a node take what is certified; return its live groups, which stand where they stand."""
    held.take(encode(certified) for certified in world.certified.values())
    states = {machine.state.prefix: machine.state for machine in held.groups}
    assert {at: state.head for at, state in states.items()} == {
        at: state.head for at, state in world.near.live.items()
    }
    return sorted(states)


def test_a_union_is_there_when_each_half_has_certified_two_links() -> None:
    world = waiting()
    held = HeldGroups(world)
    assert world.merge("1") and follow(held, world) == ["0", "1"]
    assert world.make("", build_link) and follow(held, world) == ["0", "1"]
    assert world.make("", build_link) and follow(held, world) == [""]
    assert world.register("") and follow(held, world) == [""]


def test_until_then_a_half_may_absorb_the_other() -> None:
    world = waiting()
    held = HeldGroups(world)
    assert world.merge("1") and world.make("", build_link)
    world.asleep = set(world.voters("1"))
    take_due(world, summoned(world))
    assert follow(held, world) == ["0", "1"]
    assert world.absorb("0") and follow(held, world) == [""]
    assert world.link("") and world.register("") and follow(held, world) == [""]
