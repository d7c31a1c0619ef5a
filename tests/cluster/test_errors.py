"""What an answer of the API server means for whoever asked."""

from typing import Any

from tandem.cluster.errors import from_status


def _forbidden(*causes: Any) -> dict[str, Any]:
    return {"code": 403, "reason": "Forbidden", "message": "no", "details": {"causes": list(causes)}}


def test_a_quota_refuses() -> None:
    """The same request will be refused again, and people are told."""
    assert from_status(_forbidden()).refused
    assert from_status({"code": 403, "reason": "Forbidden", "message": "no"}).refused


def test_a_namespace_that_ends_does_not_refuse() -> None:
    """Its objects are about to go as well: no condition, no event, another look later."""
    error = from_status(_forbidden({"reason": "NamespaceTerminating", "field": "metadata.namespace"}))

    assert not error.refused
    assert error.reason == "NamespaceTerminating"


def test_a_namespace_whose_service_account_is_still_to_come_does_not_refuse() -> None:
    """A run that is applied together with its namespace must not be told off for it."""
    message = (
        'pods "a-a1-0" is forbidden: error looking up service account team/default: serviceaccount "default" not found'
    )

    assert not from_status({"code": 403, "reason": "Forbidden", "message": message}).refused


def test_causes_of_another_shape_are_no_bug() -> None:
    """Webhooks write what they like."""
    assert from_status(_forbidden("text", None)).refused
