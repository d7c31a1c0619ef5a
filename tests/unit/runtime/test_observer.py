"""What a decision gets to see: an object's own pods, and nobody else's."""

from tandem.cluster.store import Store
from tandem.domain.observed import ForeignPod, Key, OwnPod
from tandem.runtime import observer
from tests.unit.runtime.builders import key, own_pod
from tests.unit.runtime.test_reconciler import Setting


def _feed(pods: Store[OwnPod | ForeignPod], *all_of_them: OwnPod) -> None:
    for version, pod in enumerate(all_of_them, 1):
        pods.feed((pod.namespace, pod.name), pod, version)


async def test_a_run_has_the_pods_with_its_uid_in_its_namespace_alone() -> None:
    """One beside it has pods as well, an earlier one of its name has left some, and a forger lives elsewhere."""
    stores = Setting().stores
    mine = own_pod("hello-uid")
    earlier = own_pod("hello-uid", attempt=2, owner_uid="earlier-uid")
    _feed(stores.pods, mine, own_pod("beside-uid"), earlier, own_pod("hello-uid", namespace="elsewhere", rank=1))
    assert observer.own_pods(stores, key("hello"), "hello-uid") == [mine]


async def test_a_service_has_the_pods_that_name_it() -> None:
    """Their controller is a ReplicaSet, whose uid is none of ours."""
    stores = Setting().stores
    chat = Key("InferenceService", "team", "chat")
    mine = own_pod("chat-uid", owner=chat, owner_uid=None)
    _feed(stores.pods, mine, own_pod("other-uid", owner=chat._replace(name="other"), owner_uid=None))
    assert observer.own_pods(stores, chat, "chat-uid") == [mine]
