"""What an option alone would find, as `tandem plan` and `tandem explain` tell it."""

from tandem.domain.observed import Wait
from tandem.domain.placement.fit import snapshot
from tandem.domain.placement.place import Reservation, rooms
from tests.unit.domain.builders import NOW, NPUS, foreign, node, option


def test_each_option_is_looked_at_alone_after_what_is_in_use_and_reserved() -> None:
    """Eight devices: two in use, four reserved; the second option does not see the first take the rest."""
    state = snapshot([node(), node("npu-0", 8, NPUS)], [foreign(devices=2)])
    held = Reservation("other", 1, option(devices=4), 1)
    found = rooms([option(devices=2), option(devices=1), option(NPUS, devices=8)], 0, state, [held], NOW)
    assert [(room.free, room.total, room.nodes, room.pods) for room in found] == [
        (2, 8, 1, 1),
        (2, 8, 1, 2),
        (8, 8, 1, 1),
    ]


def test_pods_of_others_that_go_first_have_their_devices_already() -> None:
    waiting = foreign(None, 8, wait=Wait(priority=5))
    state = snapshot([node()], [waiting])
    (behind,) = rooms([option(devices=8)], 5, state, [], NOW)
    (before,) = rooms([option(devices=8)], 6, state, [], NOW)
    assert (behind.pods, before.pods) == (0, 1)
