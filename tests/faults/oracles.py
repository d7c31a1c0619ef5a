"""What must hold whatever broke: each violation begins with the id of its property.

P1 end state and P10 convergence are judged at the stations of a story (`stage`), the others here, from three records: the log of
the proxy, the history of all objects, and what the operator said.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.faults import state, traffic
from tests.faults.plans import LEASE_SECONDS, RETRY_AFTER
from tests.faults.recorder import Object, Seen
from tests.faults.stage import SECRET
from tests.faults.traffic import Exchange

HALF_MADE_SECONDS = 30.0
POISONED_TRIES = 12
"""More tries of one write than this while an object is poisoned are no backoff."""
TERMINAL = ("Succeeded", "Failed")


@dataclass(frozen=True)
class Told:
    """A story that is over, as it was recorded."""

    exchanges: Sequence[Exchange]
    history: Sequence[Seen]
    events: Sequence[Object] = ()
    operator_log: str = ""
    after_restart: Sequence[Exchange] = ()
    operator_runs: bool = True
    leases: Sequence[Exchange] = ()
    """Requests for the Lease; none where the operator has no other replica."""


def check(told: Told) -> list[str]:
    """All violations."""
    return [
        *_one_pod_per_rank(told),
        *_only_own(told),
        *_guarded_writes(told),
        *_quiet_after_restart(told),
        *_generations(told),
        *_transitions(told),
        *_no_rollout_told_too_early(told),
        *_no_children_of_the_gone(told),
        *_fenced(told),
        *_patience(told),
        *_attempts(told),
        *_no_half_made_gang(told),
        *_sound_process(told),
        *_no_secrets(told),
    ]


def compare_counts(told: Told, wanted: Counter[str], unsure: frozenset[str]) -> list[str]:
    """P2: every child was made and deleted as often as without faults."""
    found = state.counts(told.history)
    return [
        f"P2 {key}: {found[key]} times instead of {wanted[key]}"
        for key in sorted(wanted.keys() | found.keys())
        if found[key] != wanted[key] and key not in unsure
    ]


def _one_pod_per_rank(told: Told) -> Iterator[str]:
    """P3: no rank twice in an attempt, and never two attempts alive at once."""
    alive: dict[str, tuple[str, int, int]] = {}
    for seen in told.history:
        labels = seen.raw["metadata"].get("labels") or {}
        if seen.resource != "pods" or "tandem.dev/attempt" not in labels or seen.name.startswith("squatter"):
            continue
        ended = seen.type == "DELETED" or seen.raw["status"].get("phase") in TERMINAL
        if ended:
            alive.pop(seen.name, None)
            continue
        me = (labels["tandem.dev/run"], int(labels["tandem.dev/attempt"]), int(labels["tandem.dev/rank"]))
        if me in alive.values() and alive.get(seen.name) != me:
            yield f"P3 two pods for rank {me[2]} of attempt {me[1]}: {seen.name}"
        others = {attempt for run, attempt, _ in alive.values() if run == me[0]} - {me[1]}
        if others and seen.name not in alive:
            yield f"P3 {seen.name} was made while attempt {min(others)} was alive"
        alive[seen.name] = me


def _only_own(told: Told) -> Iterator[str]:
    """P5: nothing is written whose controller is not an object of ours."""
    uids = {seen.raw["metadata"]["uid"] for seen in told.history if traffic.is_ours(seen.resource)}
    for item in told.exchanges:
        if not item.mutating or item.verb == "create" or traffic.is_ours(item.resource) or not item.committed:
            continue
        before = [
            seen
            for seen in told.history
            if (seen.resource, seen.name) == (item.resource, item.name) and seen.time <= max(item.answered, item.time)
        ]
        if before and not uids.intersection(traffic.owners(before[-1].raw)):
            yield f"P5 wrote to {item.resource}/{item.name}, which is nobody's of ours"


def _guarded_writes(told: Told) -> Iterator[str]:
    """P6: statuses and updates carry a version, deletes a uid; spec and metadata of our kinds are the users'."""
    for item in told.exchanges:
        if not item.mutating:
            continue
        body = item.body or {}
        metadata = body.get("metadata") or {}
        if traffic.is_ours(item.resource):
            if not item.resource.endswith("/status"):
                yield f"P6 {item.verb} of {item.resource}/{item.name} itself"
            elif "resourceVersion" not in metadata:
                yield f"P6 a status of {item.name} without resourceVersion"
            elif set(metadata) - {"name", "namespace", "resourceVersion", "uid"}:
                yield f"P6 a status of {item.name} with metadata: {sorted(metadata)}"
        elif item.verb in ("update", "patch") and "resourceVersion" not in metadata:
            yield f"P6 {item.verb} of {item.resource}/{item.name} without resourceVersion"
        elif item.verb == "delete" and "uid" not in (body.get("preconditions") or {}):
            yield f"P6 delete of {item.resource}/{item.name} without the uid it is meant for"


def _quiet_after_restart(told: Told) -> Iterator[str]:
    """P7: over settled objects a new operator writes nothing."""
    for item in told.after_restart:
        yield f"P7 after a restart over settled objects: {item.label}"


def _generations(told: Told) -> Iterator[str]:
    """P8: observedGeneration never goes back, and is never ahead."""
    last: dict[str, int] = {}
    for seen in _ours(told):
        observed = seen.raw.get("status", {}).get("observedGeneration")
        uid = seen.raw["metadata"]["uid"]
        if observed is None:
            continue
        if observed < last.get(uid, observed):
            yield f"P8 observedGeneration of {seen.name} went back from {last[uid]} to {observed}"
        if observed > seen.raw["metadata"]["generation"]:
            yield f"P8 observedGeneration of {seen.name} is ahead: {observed}"
        last[uid] = observed


def _transitions(told: Told) -> Iterator[str]:
    """P9: a transition time moves with the status only, and what is over stays over."""
    last: dict[str, dict[str, tuple[str, str]]] = {}
    for seen in _ours(told):
        # A condition that was left out and came back is a new one: Reconciling and Stalled stand there only while true.
        before = last.get(seen.raw["metadata"]["uid"], {})
        now = last[seen.raw["metadata"]["uid"]] = {}
        for item in seen.raw.get("status", {}).get("conditions", ()):
            status, moved = before.get(item["type"], (item["status"], item["lastTransitionTime"]))
            if status == item["status"] and moved != item["lastTransitionTime"]:
                yield f"P9 {item['type']} of {seen.name} is still {status}, and its transition time moved"
            if item["type"] in TERMINAL and status == "True" != item["status"]:
                yield f"P9 {item['type']} of {seen.name} was True and is {item['status']}"
            now[item["type"]] = (item["status"], item["lastTransitionTime"])
        if any(kind in TERMINAL and status == "True" and kind not in now for kind, (status, _) in before.items()):
            yield f"P9 a terminal condition of {seen.name} was taken away"


def _no_rollout_told_too_early(told: Told) -> Iterator[str]:
    """P9: RolloutComplete is not true while a Deployment is still to be told of its revision, or to look at it."""
    behind: dict[str, str] = {}
    # Watches are not in order among each other; versions of one API server are.
    for seen in sorted(told.history, key=lambda seen: int(seen.raw["metadata"]["resourceVersion"])):
        metadata, spec, status = seen.raw["metadata"], seen.raw.get("spec", {}), seen.raw.get("status", {})
        if seen.resource == "deployments" and not seen.name.startswith("squatter"):
            looked_at = seen.type == "DELETED" or status.get("observedGeneration", 0) >= metadata["generation"]
            behind[seen.name] = "" if looked_at else f"generation {metadata['generation']} of {seen.name}"
        if seen.resource != "inferenceservices" or status.get("observedGeneration") != metadata["generation"]:
            continue
        done = any(c["type"] == "RolloutComplete" and c["status"] == "True" for c in status.get("conditions", ()))
        late = [what for what in behind.values() if what]
        if done and late and spec["replicas"]:
            yield f"P9 RolloutComplete of {seen.name} at generation {metadata['generation']}, before {late[0]} was begun"


def _no_children_of_the_gone(told: Told) -> Iterator[str]:
    """P11: once the API server has told that an object is gone, nothing is made for it."""
    known: dict[str, str] = {}
    gone: set[str] = set()
    for seen in _ours(told):
        known[seen.name] = seen.raw["metadata"]["uid"]
    for item in told.exchanges:
        if traffic.is_ours(item.resource) and item.status == 404 and item.name in known:
            gone.add(known[item.name])
        if item.verb == "create" and item.mutating and gone.intersection(traffic.owners(item.body)):
            yield f"P11 {item.label} after the API server said that its owner is gone"


def _fenced(told: Told) -> Iterator[str]:
    """P12: who acts by a Lease writes nothing once it has run out, nor once it was seen to be another's."""
    if not told.leases:
        return
    everything = sorted([*told.leases, *told.exchanges], key=lambda item: item.answered or item.time)
    # What led when the log began had renewed the Lease shortly before.
    begin = min(item.time for item in everything)
    until: dict[int, float] = {}
    taken: set[int] = set()
    for item in everything:
        if item.resource != "leases":
            late = item.time - until.get(item.life, begin + LEASE_SECONDS)
            if item.mutating and late > 0:
                yield f"P12 {item.label} came {late:.2f} s after its sender had lost the Lease"
        elif item.verb == "update" and item.status == 200:
            if item.life in taken:
                yield "P12 the Lease was taken from another who held it"
            until[item.life] = item.time + LEASE_SECONDS
        elif item.fault == "lease-taken":
            taken.add(item.life)
        elif item.verb == "get" and item.life in taken:
            until[item.life] = item.answered


def _patience(told: Told) -> Iterator[str]:
    """P13: Retry-After is obeyed, and tries of a poisoned object become rare."""
    tries: Counter[str] = Counter()
    for number, item in enumerate(told.exchanges):
        if item.fault == "429":
            for later in told.exchanges[number + 1 :]:
                if item.is_for_what(later) and later.time < item.answered + RETRY_AFTER - 0.05:
                    early = item.answered + RETRY_AFTER - later.time
                    yield f"P13 {later.label} came {early:.2f} s before Retry-After was over"
        if item.fault == "poison":
            tries[f"{item.verb} {item.path} {item.name}"] += 1
    for write, count in tries.items():
        if count > POISONED_TRIES:
            yield f"P13 {write} was tried {count} times while it was refused"


def _attempts(told: Told) -> Iterator[str]:
    """P14: attempts are counted one by one, in status and in pods."""
    last: dict[str, int] = {}
    for seen in _ours(told):
        attempt = seen.raw.get("status", {}).get("attempt")
        if attempt is None:
            continue
        before = last.get(seen.raw["metadata"]["uid"], 0)
        if not before <= attempt <= before + 1:
            yield f"P14 attempt of {seen.name} went from {before} to {attempt}"
        last[seen.raw["metadata"]["uid"]] = attempt


def _no_half_made_gang(told: Told) -> Iterator[str]:
    """P15: a gang that is begun is completed, or taken back, before long."""
    wanted = {s.name: s.raw["spec"].get("pods", 1) for s in _ours(told) if s.resource == "trainingruns"}
    made: dict[tuple[str, str], set[str]] = defaultdict(set)
    begun: dict[tuple[str, str], float] = {}
    for seen in told.history:
        labels = seen.raw["metadata"].get("labels") or {}
        run = labels.get("tandem.dev/run")
        if seen.resource != "pods" or run not in wanted or seen.name.startswith("squatter"):
            continue
        gang = (run, labels["tandem.dev/attempt"])
        if seen.type == "DELETED" or "deletionTimestamp" in seen.raw["metadata"]:
            begun.pop(gang, None)
            continue
        made[gang].add(seen.name)
        if len(made[gang]) < wanted[run]:
            begun.setdefault(gang, seen.time)
        elif gang in begun and seen.time - begun.pop(gang) > HALF_MADE_SECONDS:
            yield f"P15 attempt {gang[1]} of {run} stayed half made for more than {HALF_MADE_SECONDS:.0f} s"
    for run, attempt in begun:
        yield f"P15 attempt {attempt} of {run} was left half made"


def _sound_process(told: Told) -> Iterator[str]:
    """P16: nothing that comes over the network is a bug to the operator."""
    if not told.operator_runs:
        yield f"P16 the operator ended by itself:\n{told.operator_log[-2000:]}"
    for line in told.operator_log.splitlines():
        if '"reconcile failed"' in line or line.startswith("Traceback"):
            yield f"P16 {line[:2000]}"


def _no_secrets(told: Told) -> Iterator[str]:
    """P17: a value from a spec's environment stands neither in logs nor in events nor in a status."""
    if SECRET in told.operator_log:
        yield "P17 a secret value stands in the operator's log"
    if any(SECRET in repr(event.get("message")) for event in told.events):
        yield "P17 a secret value stands in an event"
    if any(SECRET in repr(seen.raw.get("status")) for seen in _ours(told)):
        yield "P17 a secret value stands in a status"


def _ours(told: Told) -> Iterator[Seen]:
    return (seen for seen in told.history if traffic.is_ours(seen.resource))
