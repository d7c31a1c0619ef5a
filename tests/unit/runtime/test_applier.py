"""The order of a plan's writes, and what each failure of one means for the others."""

from collections.abc import Mapping
from typing import Any, cast

import pytest

from tandem.cluster.applier import Applier, Outcome, Target
from tandem.cluster.client import ApiError, Client
from tandem.domain.observed import Key
from tandem.domain.plan import Child, Delete, Plan, ProblemKind, Replace, Resource, Scale
from tests.unit.runtime.builders import key, raw, run_spec
from tests.unit.runtime.small_api import Object, SmallApi

RUN = "/apis/tandem.dev/v1alpha1/namespaces/team/trainingruns/hello"
PODS = "/api/v1/namespaces/team/pods"
LOST = ApiError(0, "Unreachable", "the connection broke")


class Mirror:
    """Remembers the replies that go into the stores."""

    def __init__(self) -> None:
        self.children: list[str] = []
        self.gone: list[str] = []
        self.parents: list[Object] = []
        self.lost_parents: list[str] = []

    def child(self, resource: Resource, raw: Mapping[str, Any]) -> None:
        self.children.append(f"{resource}/{raw['metadata']['name']}")

    def child_gone(self, resource: Resource, namespace: str, name: str, uid: str) -> None:
        self.gone.append(name)

    def parent(self, kind: str, raw: Mapping[str, Any]) -> None:
        self.parents.append(dict(raw))

    def parent_gone(self, key: Key, uid: str) -> None:
        self.lost_parents.append(uid)


class Setting:
    """A server with the run `hello`, and an applier for it."""

    def __init__(self) -> None:
        self.api = SmallApi()
        self.mirror = Mirror()
        self.applier = Applier(cast("Client", self.api), self.mirror)
        stored = self.api.put(RUN, raw("TrainingRun", "hello", 1, run_spec()))
        self.target = Target(key(), "hello-uid", int(stored["metadata"]["resourceVersion"]))

    async def run(self, *, write_status: bool = False, **plan: Any) -> Outcome:
        return await self.applier.run(self.target, Plan(**plan), write_status=write_status)


@pytest.fixture
def setting() -> Setting:
    """Nothing has gone wrong yet."""
    return Setting()


def child(name: str, resource: Resource = Resource.POD, owner: str = "hello-uid", **metadata: Any) -> Child:
    """A child to be made."""
    owners = [{"apiVersion": "v1", "kind": "Pod", "name": "owner", "uid": owner, "controller": True}]
    body = {"kind": "Pod", "metadata": {"name": name, "namespace": "team", "ownerReferences": owners, **metadata}}
    return Child(resource, body)


def standing(setting: Setting, name: str, **more: Any) -> None:
    """A pod of this name is there already."""
    body = child(name, **more).body
    setting.api.put(f"{PODS}/{name}", {**body, "metadata": {**body["metadata"], "uid": "standing-uid"}})


GANG = (child("hello-a1-0"), child("hello-a1-1"), child("hello-tr", Resource.SERVICE))


async def test_an_intent_is_written_before_anything_it_speaks_of(setting: Setting) -> None:
    """Then Services, then pods; every reply goes into the stores; no second status write."""
    outcome = await setting.run(status={"attempt": 1}, intent=True, create=GANG, write_status=True)
    assert outcome == Outcome()
    assert setting.api.asked[:2] == ["PATCH trainingruns/hello/status", "POST services"]
    assert setting.api.asked[2:] == ["POST pods", "POST pods"]
    assert setting.mirror.parents[0]["status"] == {"attempt": 1}
    assert sorted(setting.mirror.children) == ["pods/hello-a1-0", "pods/hello-a1-1", "services/hello-tr"]


@pytest.mark.parametrize("change", ["edited", "deleted", "recreated"])
async def test_an_intent_that_is_refused_writes_nothing_else(setting: Setting, change: str) -> None:
    """The object is another than the one that was planned for. The server ignores a wrong uid, so the reply's is compared."""
    if change == "edited":
        setting.api.put(RUN, raw("TrainingRun", "hello", 1, run_spec()))
    elif change == "deleted":
        del setting.api.objects[RUN]
    else:
        setting.api.objects[RUN]["metadata"]["uid"] = "other-uid"
    outcome = await setting.run(status={"attempt": 1}, intent=True, create=GANG, delete=(pod_delete("old"),))
    assert outcome.superseded
    assert setting.api.writes() == ["PATCH trainingruns/hello/status"]
    assert setting.mirror.lost_parents == (["hello-uid"] if change == "deleted" else [])


async def test_an_intent_whose_reply_is_lost_is_not_acted_on(setting: Setting) -> None:
    """The next pass reads what became of it."""
    setting.api.fail("PATCH trainingruns/hello/status", LOST, done=True)
    with pytest.raises(ApiError):
        await setting.run(status={"attempt": 1}, intent=True, create=GANG)
    assert setting.api.writes() == ["PATCH trainingruns/hello/status"]


@pytest.mark.parametrize("change", ["deleted", "recreated", "ending", None])
async def test_without_an_intent_children_are_made_only_for_an_object_that_is_there(
    setting: Setting, change: str | None
) -> None:
    """It is read live: the store may be older than its deletion."""
    metadata = setting.api.objects[RUN]["metadata"]
    if change == "deleted":
        del setting.api.objects[RUN]
    elif change == "recreated":
        metadata["uid"] = "other-uid"
    elif change == "ending":
        metadata["deletionTimestamp"] = "2026-11-23T10:00:00Z"
    outcome = await setting.run(create=GANG)
    assert setting.api.asked[0] == "GET trainingruns/hello"
    assert outcome.superseded == (change is not None)
    assert (setting.api.writes() == []) == (change is not None)
    assert setting.mirror.lost_parents == (["hello-uid"] if change == "deleted" else [])


async def test_a_create_whose_reply_was_lost_is_found_again(setting: Setting) -> None:
    """The first pass reports a passing problem; the second meets its own pod, and that is success."""
    setting.api.fail("POST pods", LOST, done=True)
    first = await setting.run(create=(child("hello-a1-0"),))
    assert [problem.kind for problem in first.problems] == [ProblemKind.TRANSIENT]
    second = await setting.run(create=(child("hello-a1-0"),))
    assert second == Outcome()
    assert setting.mirror.children == ["pods/hello-a1-0"]


async def test_a_pod_of_somebody_else_is_a_conflict_and_stays_untouched(setting: Setting) -> None:
    standing(setting, "hello-a1-0", owner="stranger-uid")
    before = setting.api.objects[f"{PODS}/hello-a1-0"]
    [problem] = (await setting.run(create=(child("hello-a1-0"),))).problems
    assert problem.kind is ProblemKind.NAME_CONFLICT
    assert problem.message == "Pod 'hello-a1-0' exists and is not owned by TrainingRun 'hello': rename one of them"
    assert setting.api.objects[f"{PODS}/hello-a1-0"] == before
    assert setting.mirror.children == []


async def test_a_pod_of_somebody_else_that_is_ending_is_waited_for(setting: Setting) -> None:
    standing(setting, "hello-a1-0", owner="stranger-uid", deletionTimestamp="2026-11-23T10:00:00Z")
    [problem] = (await setting.run(create=(child("hello-a1-0"),))).problems
    assert problem.kind is ProblemKind.TRANSIENT
    assert "is being deleted" in problem.message


async def test_a_pod_of_an_earlier_run_of_the_name_is_waited_for(setting: Setting) -> None:
    """Recreated at once under its name: the garbage collector has not come by yet, and nobody has to rename anything."""
    owner = {"apiVersion": "tandem.dev/v1alpha1", "kind": "TrainingRun", "name": "hello", "uid": "earlier-uid"}
    body = child("hello-a1-0").body
    metadata = {**body["metadata"], "uid": "x", "ownerReferences": [{**owner, "controller": True}]}
    setting.api.put(f"{PODS}/hello-a1-0", {**body, "metadata": metadata})
    [problem] = (await setting.run(create=(child("hello-a1-0"),))).problems
    assert problem.kind is ProblemKind.TRANSIENT
    assert problem.message == "Pod 'hello-a1-0' of an earlier TrainingRun 'hello' is still to be collected"


async def test_a_pod_that_merely_mentions_our_uid_is_not_ours(setting: Setting) -> None:
    """An owner that is not the controller says nothing about whose it is."""
    body = child("hello-a1-0").body
    metadata = {**body["metadata"], "uid": "x", "ownerReferences": [{"uid": "hello-uid"}]}
    setting.api.put(f"{PODS}/hello-a1-0", {**body, "metadata": metadata})
    [problem] = (await setting.run(create=(child("hello-a1-0"),))).problems
    assert problem.kind is ProblemKind.NAME_CONFLICT


async def test_a_failed_stage_keeps_later_stages_from_starting(setting: Setting) -> None:
    """Pods without their Service could not find each other; nothing is deleted and no status claims success."""
    setting.api.fail("POST services", ApiError(403, "Forbidden", "quota"))
    outcome = await setting.run(create=GANG, delete=(pod_delete("old"),), status={"done": True}, write_status=True)
    assert [problem.kind for problem in outcome.problems] == [ProblemKind.REFUSED]
    assert setting.api.writes() == ["POST services"]


async def test_pods_of_a_gang_are_tried_even_when_one_is_refused(setting: Setting) -> None:
    """Each failure is reported, so that the planner knows what was made."""
    setting.api.fail("POST pods", ApiError(403, "Forbidden", "exceeded quota"))
    outcome = await setting.run(create=GANG)
    assert [(problem.kind, problem.message) for problem in outcome.problems] == [
        (ProblemKind.REFUSED, "exceeded quota")
    ]
    assert setting.api.writes().count("POST pods") == 2


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ApiError(403, "Forbidden", "no"), ProblemKind.REFUSED),
        (ApiError(422, "Invalid", "no"), ProblemKind.REFUSED),
        (ApiError(409, "Conflict", "no"), ProblemKind.TRANSIENT),
        (ApiError(429, "TooManyRequests", "no"), ProblemKind.TRANSIENT),
        (ApiError(500, "InternalError", "no"), ProblemKind.TRANSIENT),
        (ApiError(504, "Timeout", "no"), ProblemKind.TRANSIENT),
        (LOST, ProblemKind.TRANSIENT),
    ],
)
async def test_only_a_refusal_is_final(setting: Setting, error: ApiError, kind: ProblemKind) -> None:
    setting.api.fail("POST pods", error)
    [problem] = (await setting.run(create=(child("hello-a1-0"),))).problems
    assert problem.kind is kind


async def test_a_plain_status_is_written_last(setting: Setting) -> None:
    standing(setting, "hello-a1-0")
    await setting.run(delete=(pod_delete("hello-a1-0"),), status={"attempt": 1}, write_status=True)
    assert setting.api.asked == ["DELETE pods/hello-a1-0", "PATCH trainingruns/hello/status"]


async def test_a_delete_hits_only_the_pod_that_was_seen(setting: Setting) -> None:
    """Another pod of the name has another uid: it stays, and the plan is made anew."""
    standing(setting, "hello-a1-0")
    [problem] = (await setting.run(delete=(pod_delete("hello-a1-0", uid="seen-before"),))).problems
    assert problem.kind is ProblemKind.TRANSIENT
    assert f"{PODS}/hello-a1-0" in setting.api.objects


async def test_what_is_gone_already_is_deleted(setting: Setting) -> None:
    """The store learns it here when the watch has not told yet."""
    assert await setting.run(delete=(pod_delete("hello-a1-0"),)) == Outcome()
    assert setting.mirror.gone == ["hello-a1-0"]


async def test_replace_and_scale_are_refused_on_a_changed_deployment(setting: Setting) -> None:
    """A decision made on an older Deployment must not undo what came since."""
    path = "/apis/apps/v1/namespaces/team/deployments/hello-main"
    metadata = {"name": "hello-main", "namespace": "team", "uid": "d"}
    stored = setting.api.put(path, {"kind": "Deployment", "metadata": metadata, "spec": {"replicas": 1}})
    version = int(stored["metadata"]["resourceVersion"])
    whole = Child(Resource.DEPLOYMENT, {"metadata": {"name": "hello-main"}, "spec": {"replicas": 3}})

    assert await setting.run(scale=(Scale("hello-main", "d", version, 2),)) == Outcome()
    assert setting.api.objects[path]["spec"] == {"replicas": 2}
    for stale in ({"scale": (Scale("hello-main", "d", version, 5),)}, {"replace": (Replace(whole, "d", version),)}):
        [problem] = (await setting.run(**stale)).problems
        assert problem.kind is ProblemKind.TRANSIENT
    assert setting.api.objects[path]["spec"] == {"replicas": 2}
    newest = int(setting.api.objects[path]["metadata"]["resourceVersion"])
    assert await setting.run(replace=(Replace(whole, "d", newest),)) == Outcome()
    assert setting.api.objects[path]["spec"] == {"replicas": 3}


async def test_fields_are_set_again_by_apply_so_that_what_others_added_stays(setting: Setting) -> None:
    """Guarded like a replacement: on a changed Deployment nothing is decided."""
    path = "/apis/apps/v1/namespaces/team/deployments/hello-main"
    metadata = {"name": "hello-main", "namespace": "team", "uid": "d"}
    stored = setting.api.put(
        path, {"kind": "Deployment", "metadata": metadata, "spec": {"paused": True, "replicas": 1}}
    )
    version = int(stored["metadata"]["resourceVersion"])
    whole = Child(Resource.DEPLOYMENT, {"metadata": {"name": "hello-main"}, "spec": {"replicas": 3}})

    for uid, at in (("other", version), ("d", version - 1)):
        [problem] = (await setting.run(apply=(Replace(whole, uid, at),))).problems
        assert problem.kind is ProblemKind.TRANSIENT
    assert await setting.run(apply=(Replace(whole, "d", version),)) == Outcome()
    assert setting.api.objects[path]["spec"] == {"paused": True, "replicas": 3}
    assert setting.api.asked == ["PATCH deployments/hello-main"] * 3


def pod_delete(name: str, uid: str = "standing-uid") -> Delete:
    """The deletion of a pod as it was seen."""
    return Delete(Resource.POD, name, uid)


async def test_a_gang_s_group_is_made_before_its_pods(setting: Setting) -> None:
    """Pods of a group that cannot be made would wait for ever."""
    children = (child("hello-a1-0"), child("hello-a1", Resource.POD_GROUP))
    setting.api.fail("POST podgroups", ApiError(403, "Forbidden", "no"))
    outcome = await setting.run(intent=True, status={}, create=children)
    assert [problem.name for problem in outcome.problems] == ["hello-a1"]
    assert setting.api.writes() == ["PATCH trainingruns/hello/status", "POST podgroups"]

    assert await setting.run(create=children) == Outcome()
    assert setting.api.writes()[-2:] == ["POST podgroups", "POST pods"]
