"""URL paths of the Kubernetes API, and what a request of one is called in metrics."""

from collections.abc import Mapping
from functools import lru_cache
from urllib.parse import quote

_WRITES = {"POST": "create", "PUT": "update", "PATCH": "patch"}


def core_path(
    plural: str, namespace: str | None = None, name: str | None = None, subresource: str | None = None
) -> str:
    """Path of the legacy group, e.g. /api/v1/namespaces/ns/pods/a/status. Without a namespace: of all of them."""
    return _path("/api/v1", plural, namespace, name, subresource)


def group_path(
    api_version: str,
    plural: str,
    namespace: str | None = None,
    name: str | None = None,
    subresource: str | None = None,
) -> str:
    """Path of a named group; `api_version` is like apps/v1."""
    return _path(f"/apis/{api_version}", plural, namespace, name, subresource)


def _path(root: str, plural: str, namespace: str | None, name: str | None, subresource: str | None) -> str:
    scope = f"/namespaces/{quote(namespace, safe='')}" if namespace else ""
    item = f"/{quote(name, safe='')}" if name else ""
    return f"{root}{scope}/{plural}{item}{f'/{subresource}' if subresource else ''}"


def describe(method: str, path: str, query: Mapping[str, str] | None = None) -> tuple[str, str]:
    """Verb and resource as RBAC names them, e.g. ("patch", "pods/status")."""
    resource, named = _resource(path)
    if method == "GET":
        if query and "watch" in query:
            return "watch", resource
        return ("get" if named else "list"), resource
    if method == "DELETE":
        return ("delete" if named else "deletecollection"), resource
    return _WRITES.get(method, method.lower()), resource


@lru_cache(maxsize=4096)
def _resource(path: str) -> tuple[str, bool]:
    """Resource with its subresource, and whether a name is there. Names stay out: a label value each is too many."""
    root, *parts = path.strip("/").split("/")
    if root not in ("api", "apis"):
        return root or "unknown", True
    parts = parts[1:] if root == "api" else parts[2:]
    if len(parts) > 2 and parts[0] == "namespaces":
        parts = parts[2:]
    if not parts:
        return "discovery", True
    return "/".join([parts[0], *parts[2:3]]), len(parts) > 1
