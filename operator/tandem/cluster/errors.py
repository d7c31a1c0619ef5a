"""What the API server, or the way to it, answers instead of a result."""

import json
from typing import Any

_TRANSIENT = frozenset({401, 408, 429})
_OF_THE_OBJECT = frozenset({401, 404, 408, 409, 410, 429})
"""4xx that say something about the moment or the object, not about the request."""
_NAMESPACE_ENDING = "NamespaceTerminating"
"""Cause with which every create in a namespace that is being deleted is refused. Source: k8s.io/api/core/v1."""
_ACCOUNT_TO_COME = "error looking up service account"
"""Of the message of the ServiceAccount admission plugin, which has no reason of its own but Forbidden."""
_NOT_LEADING = "NotLeading"


class ApiError(Exception):
    """A request that failed.

    `status` is the HTTP status, or 0 when no readable answer came: then `reason` is Unreachable, Timeout, Silent or
    Unreadable, and a write may or may not have happened; or NotLeading, and it was not sent.
    """

    def __init__(self, status: int, reason: str, message: str, retry_after: float | None = None) -> None:
        """`reason` is Status.reason (e.g. AlreadyExists); `retry_after` is in seconds."""
        super().__init__(status, reason, message)
        self.status = status
        self.reason = reason
        self.message = message
        self.retry_after = retry_after

    def __str__(self) -> str:
        return f"{self.reason} ({self.status or 'no answer'}): {self.message}"

    @property
    def transient(self) -> bool:
        """The very same request may succeed later. A conflict is not: its resourceVersion stays stale."""
        return self.status in _TRANSIENT or self.status >= 500 or self.outcome_unknown

    @property
    def outcome_unknown(self) -> bool:
        """A write that got this may have happened: look before repeating it."""
        return self.reason != _NOT_LEADING and (self.status in (0, 408) or self.status >= 500)

    @property
    def already_exists(self) -> bool:
        """A create met an object of that name."""
        return self.status == 409 and self.reason == "AlreadyExists"

    @property
    def conflict(self) -> bool:
        """A precondition (resourceVersion, uid, field owner) did not hold."""
        return self.status == 409 and not self.already_exists

    @property
    def not_found(self) -> bool:
        """No such object, or no such kind."""
        return self.status == 404

    @property
    def gone(self) -> bool:
        """The resourceVersion or continue token is too old."""
        return self.status == 410

    @property
    def forbidden(self) -> bool:
        """RBAC, a quota or an admission plugin refuses."""
        return self.status == 403

    @property
    def refused(self) -> bool:
        """The same request will be refused again (400, 403, 422 ...).

        Not so in a namespace that is being deleted: who asks is about to go as well, and nobody need be told. Nor in one
        that is so new that its default service account is still to come.
        """
        if self.reason == _NAMESPACE_ENDING or _ACCOUNT_TO_COME in self.message:
            return False
        return 300 <= self.status < 500 and self.status not in _OF_THE_OBJECT


def from_status(status: dict[str, Any], code: int = 0, retry_after: float | None = None) -> ApiError:
    """The error of a Status object: the body of a failed request, or the object of an ERROR watch event."""
    details = status.get("details")
    if retry_after is None and isinstance(details, dict):
        retry_after = seconds(details.get("retryAfterSeconds"))
    number = status.get("code")
    return ApiError(
        number if isinstance(number, int) and number > 0 else code or 500,
        _NAMESPACE_ENDING if _NAMESPACE_ENDING in _causes(details) else str(status.get("reason") or "Unknown"),
        str(status.get("message") or "no message"),
        retry_after,
    )


def not_leading() -> ApiError:
    """A write that is kept back, because another replica may be writing by now."""
    return ApiError(0, _NOT_LEADING, "this replica may not write: it does not hold the Lease")


def _causes(details: Any) -> set[str]:
    """Reasons of a Status's causes."""
    causes = details.get("causes") if isinstance(details, dict) else None
    return {str(one.get("reason")) for one in causes or () if isinstance(one, dict)}


def from_response(code: int, phrase: str, body: bytes, retry_after: str | None) -> ApiError:
    """The error of an HTTP answer; proxies answer with other things than a Status."""
    try:
        status = json.loads(body)
    except ValueError:
        status = None
    if isinstance(status, dict) and status.get("kind") == "Status":
        return from_status({**status, "code": code}, code, seconds(retry_after))
    text = body[:200].decode(errors="replace").strip()
    return ApiError(code, phrase.replace(" ", "") or "Unknown", text or "empty answer", seconds(retry_after))


def seconds(value: Any) -> float | None:
    """Seconds of a Retry-After; None when there is none. Dates are not used by the API server."""
    try:
        return max(0.0, float(value)) or None
    except (TypeError, ValueError):
        return None
