"""What operators wrote in a scene, read from the API server's audit log."""

from collections import Counter

from devcluster import audit

AGENT = "tandem/"


def writes(start: audit.Mark, namespace: str) -> list[audit.Event]:
    """Successful and refused writes of operators in a namespace since a mark; events for people apart."""
    return [
        event
        for event in audit.since(start, user_agent=AGENT)
        if event.namespace == namespace and event.is_write and event.resource != "events"
    ]


def made_pods(start: audit.Mark, namespace: str) -> Counter[str]:
    """Pod name -> how often it was created."""
    return Counter(
        event.name
        for event in writes(start, namespace)
        if (event.verb, event.resource, event.code) == ("create", "pods", 201)
    )


def deleted_pods(start: audit.Mark, namespace: str) -> list[str]:
    """Names of the pods that operators deleted."""
    return [event.name for event in writes(start, namespace) if (event.verb, event.resource) == ("delete", "pods")]
