"""Reservations that become smaller while their object stays."""

from tests.unit.runtime.builders import ask, key
from tests.unit.runtime.test_placer import World, world

__all__ = ["world"]


async def test_what_a_service_gives_back_goes_to_who_waits(world: World) -> None:
    """Its replicas never showed a node: without the news they would stay reserved for minutes."""
    granted = await world.placer.decide(key("chat"), ask("chat-uid", pods=4, replicas=4))
    assert [grant.pods for grant in granted.grants] == [4]
    assert not await world.fits("gang", pods=3)

    world.placer.restore(key("chat"), "chat-uid", 0, [])

    await world.woken_by_now("gang")
    assert await world.fits("gang", pods=3)
