"""Traces that look like those of real clusters, from a seed.

What published traces have in common (Jeon et al., ATC 2019; Hu et al., SC 2021; Weng et al., NSDI 2022), and what makes
placement hard: most jobs ask for one device and few for many nodes, few long jobs are most of the work, and jobs come in
bursts (sweeps of like jobs) and by day. The figures below are judgements within what those papers report.
"""

import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, permutations
from typing import TypeVar

from tests.sim.trace import DAY, HOUR, Job, Make, Outage, Shape, Trace

T = TypeVar("T")

FLEET = (
    Make("h100", 40, 8, cost=4.0, speed=2.0, share=30),
    Make("a100", 60, 8, cost=2.0, speed=1.0),
    Make("910b", 70, 8, cost=1.4, speed=0.9, legal=(1, 2, 4, 8), share=40),
    Make("910c", 15, 16, cost=2.2, speed=1.4, legal=(1, 2, 4, 8, 16)),
    Make("mi300x", 15, 8, cost=3.0, speed=1.6),
)
"""Two makes of one vendor, two of another and a small third, with old and new ones: 1,720 devices on 200 nodes."""

SIZES = {(1, 1): 52, (1, 2): 14, (1, 4): 12, (1, 8): 14, (2, 8): 4, (4, 8): 2.5, (8, 8): 1, (16, 8): 0.5}
"""(pods, devices of each) -> weight"""
LEANINGS = {
    ("h100", "a100", "910b"): 30,
    ("h100", "a100"): 20,
    ("910b", "910c"): 14,
    ("a100", "910b", "mi300x"): 12,
    ("h100",): 8,
    ("910c", "910b", "h100"): 6,
    ("mi300x", "h100", "a100"): 6,
    ("a100",): 4,
}
"""Makes in the order in which people list them -> weight. Most ask first for what everybody wants."""
PRIORITIES = {0: 85, 100: 12, 1000: 3}
MEDIAN_SECONDS = 12 * 60.0
SPREAD = 1.7
"""Sigma of the lognormal durations: their mean is some four times their median."""
SHORTEST = 20.0
LONGEST = 5 * DAY
BURST_CHANCE = 0.08
BURST_MEAN = 20
"""Jobs of a sweep."""
BURST_GAP = 2.0
"""Seconds between two of them."""
DAY_SWING = 0.6
"""By how much the rate of arrivals rises and falls over a day."""
REPAIR = (0.5 * HOUR, 12 * HOUR)


@dataclass(frozen=True, slots=True)
class _Draft:
    """A job that has no time yet."""

    seconds: float
    shapes: tuple[Shape, ...]
    priority: int
    leads: bool
    """Stands alone or begins a burst; the others of a burst follow within moments."""


def generate(
    jobs: int, seed: int, *, load: float = 0.9, makes: Sequence[Make] = FLEET, mtbf_days: float | None = None
) -> Trace:
    """A trace whose jobs keep `load` of all devices busy on average. `mtbf_days`: mean days between a node's outages."""
    dice = random.Random(seed)
    drafts = list(_drafts(jobs, dice, makes))
    work = sum(draft.seconds * draft.shapes[0].pods * draft.shapes[0].devices for draft in drafts)
    span = work / (sum(make.nodes * make.devices * make.speed for make in makes) * load)
    starts = iter(sorted(_moment(span, dice) for draft in drafts if draft.leads))
    made = []
    at = 0.0
    for number, draft in enumerate(drafts):
        at = next(starts) if draft.leads else at + dice.expovariate(1 / BURST_GAP)
        made.append(Job(f"j{number:06}", round(at, 1), draft.seconds, draft.shapes, draft.priority))
    made.sort(key=lambda job: (job.submit, job.name))
    return Trace(tuple(makes), tuple(made), tuple(_outages(makes, span, mtbf_days, dice)) if mtbf_days else ())


def _drafts(jobs: int, dice: random.Random, makes: Sequence[Make]) -> Iterator[_Draft]:
    leanings = _leanings(makes)
    left = jobs
    while left:
        (pods, devices), listed, priority = _pick(SIZES, dice), _pick(leanings, dice), _pick(PRIORITIES, dice)
        shapes = tuple(Shape(make.name, pods, devices) for make in listed if _possible(make, pods, devices))
        if not shapes:
            continue
        bursts = pods == 1 and dice.random() < BURST_CHANCE
        many = min(left, 1 + int(dice.expovariate(1 / BURST_MEAN)) if bursts else 1)
        for number in range(many):
            yield _Draft(_seconds(pods, dice), shapes, priority, leads=number == 0)
        left -= many


def _leanings(makes: Sequence[Make]) -> Mapping[tuple[Make, ...], float]:
    """Makes in the order in which people list them; of a fleet of other names, each make and each pair."""
    known = {make.name: make for make in makes}
    found = {
        tuple(known[name] for name in names): weight for names, weight in LEANINGS.items() if set(names) <= set(known)
    }
    return found or {listed: 1.0 for count in (1, 2) for listed in permutations(makes, count)}


def _possible(make: Make, pods: int, devices: int) -> bool:
    """Whether the gang has room on an empty half of the make; nobody asks for all there is."""
    if devices > make.devices or (make.legal and devices not in make.legal):
        return False
    return pods <= max(1, make.nodes // 2) * (make.devices // devices)


def _seconds(pods: int, dice: random.Random) -> float:
    """Of work; gangs of many pods run longer."""
    drawn = dice.lognormvariate(math.log(MEDIAN_SECONDS * (1 + math.log2(pods))), SPREAD)
    return round(min(max(drawn, SHORTEST), LONGEST), 1)


def _moment(span: float, dice: random.Random) -> float:
    """A time within the span, by day more likely than by night."""
    while True:
        at = dice.uniform(0, span)
        if dice.random() * (1 + DAY_SWING) < 1 + DAY_SWING * math.sin(2 * math.pi * at / DAY):
            return at


def _outages(makes: Sequence[Make], span: float, mtbf_days: float, dice: random.Random) -> Iterator[Outage]:
    for name in chain.from_iterable(make.node_names for make in makes):
        at = dice.expovariate(1 / (mtbf_days * DAY))
        while at < span:
            seconds = dice.uniform(*REPAIR)
            yield Outage(name, round(at, 1), round(seconds, 1))
            at += seconds + dice.expovariate(1 / (mtbf_days * DAY))


def _pick(weights: Mapping[T, float], dice: random.Random) -> T:
    return dice.choices(list(weights), list(weights.values()))[0]
