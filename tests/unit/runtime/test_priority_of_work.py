"""The priority that pods will have goes along to the placer."""

from datetime import UTC, datetime
from typing import cast

from tandem.cluster.client import Client
from tandem.domain.observed import PriorityRecord
from tandem.domain.serving.plan import plan_service
from tandem.domain.timing import Timing
from tandem.domain.training.plan import plan_run
from tandem.runtime import observer
from tandem.runtime.feeds import Feeds
from tandem.runtime.workqueue import WorkQueue
from tests.unit.runtime.builders import key, profile_spec, raw, run_spec
from tests.unit.runtime.small_api import SmallApi

NOW = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)


def test_runs_and_services_ask_with_the_value_of_the_class_they_name() -> None:
    feeds = Feeds(cast("Client", SmallApi()), WorkQueue(), 60)
    feeds.stores.priorities.feed(("", "urgent"), PriorityRecord("urgent", 1000), 1)
    spec = run_spec(template={"spec": {"priorityClassName": "urgent"}})
    feeds.objects.put("AcceleratorProfile", raw("AcceleratorProfile", "gpu", 1, profile_spec()))
    feeds.objects.put("TrainingRun", raw("TrainingRun", "hello", 1, spec))
    feeds.objects.put("InferenceService", raw("InferenceService", "chat", 1, spec))
    run, service = feeds.objects.get(key()), feeds.objects.get(key("chat", "InferenceService"))
    assert run is not None
    assert service is not None
    trains = plan_run(observer.run_view(feeds.stores, run, run.training_run(), NOW, Timing(), 0.0))
    serves = plan_service(observer.service_view(feeds.stores, service, service.inference_service(), NOW, Timing()))
    assert trains.ask is not None
    assert serves.ask is not None
    assert (trains.ask.priority, serves.ask.priority) == (1000, 1000)
