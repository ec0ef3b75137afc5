"""What a proposer puts first when a group could split or merge."""

from protocol.group.data_block import MergePayload, decode_block, decode_certified, decode_payload
from protocol.group.kinds.partition import may_split
from protocol.node.archive import Archive
from protocol.node.proposals import Candidates, next_block
from simulations.disk import Disk
from tests.support.groups_world import Groups


def archive_of(world: Groups) -> Archive:
    """What a node holds that has applied the world's blocks, in which the whole has split once."""
    disk = Disk()
    archive = Archive(disk, 3)
    archive.lives.begin(world.past["", 0])
    for data in world.blocks:
        certified = decode_certified(data)
        block = decode_block(certified.block)
        writes = archive.add(certified, world.past[block.prefix, block.height])
        disk.write([(write.key, write.value) for write in writes], sync=True)
        if not block.prefix and world.past["", block.height].is_closed:
            for half in "01":
                archive.lives.begin(world.past[half, block.height], [""])
            archive.lives.end("")
    return archive


def test_a_large_group_that_is_asked_to_merge_does_not_split_before() -> None:
    """Its halves would be asked too, come together, and split again."""
    world = Groups()
    world.split()
    world.shrink("0")
    world.merge("0")
    assert may_split(world.at("1"))
    body = next_block(world.state, world.chain, archive_of(world), (), Candidates())
    assert body is not None
    payload = decode_payload(decode_block(body))
    assert isinstance(payload, MergePayload) and payload.because == world.states["0"].head
    world.state.check_block(body, world.chain, world)
