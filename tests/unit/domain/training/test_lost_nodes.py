"""A pod that is evicted from a lost node: its node is the cause, not the eviction."""

from tests.unit.domain.builders import complete, decide_run, later, node, pod, run, run_view


def test_an_eviction_from_a_lost_node_names_the_node() -> None:
    """The taint manager deletes the pod a few seconds after the node was lost; nobody deleted it by hand."""
    nodes = [node("gpu-0"), node("gpu-1", ready=False, not_ready_since=later(-20))]
    gang = [pod(0), pod(1, node="gpu-1", deleting_since=later(30))]
    started = complete(run_view(run(pods=2)), gang)
    view = run_view(started.run, gang, nodes=nodes)

    plan = decide_run(view)

    assert plan.status is not None
    failure = plan.status["lastFailure"]
    assert (failure["class"], failure["pod"], failure["node"]) == ("Infra", "r-a1-1", "gpu-1")
    assert failure["message"] == "node gpu-1 is gone or not ready"
