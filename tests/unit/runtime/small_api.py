"""The part of the API server that the applier talks to, in memory: objects by path, versions, and failures on demand."""

import itertools
from collections.abc import Callable
from copy import deepcopy
from typing import Any

from tandem.cluster.client import ApiError
from tandem.cluster.metrics import Metrics

Object = dict[str, Any]


class SmallApi:
    """Stands in for the client. Every request is in `asked`, as "METHOD last/parts/of/path"."""

    def __init__(self) -> None:
        self.objects: dict[str, Object] = {}
        self.asked: list[str] = []
        self.metrics = Metrics()
        self._versions = itertools.count(100)
        self._failures: list[tuple[Callable[[str], bool], ApiError, bool]] = []

    def put(self, path: str, item: Object) -> Object:
        """An object stands there, by somebody else's hand."""
        return self._store(path, item)

    def fail(self, asked: str, error: ApiError, *, done: bool = False) -> None:
        """The next request whose "METHOD path" ends so fails; `done` says that it was carried out all the same."""
        self._failures.append((lambda what: what.endswith(asked), error, done))

    def writes(self) -> list[str]:
        """What was asked, reads apart."""
        return [what for what in self.asked if not what.startswith("GET")]

    async def request(
        self, method: str, path: str, *, query: Any = None, body: Any = None, content_type: str = "", **_: Any
    ) -> Object:
        """As Client.request."""
        what = f"{method} {_short(path)}"
        self.asked.append(what)
        failure = next((item for item in self._failures if item[0](what)), None)
        if failure is not None:
            self._failures.remove(failure)
            if failure[2]:
                self._answer(method, path, body)
            raise failure[1]
        return self._answer(method, path, body)

    def _answer(self, method: str, path: str, body: Any) -> Object:
        if method == "POST":
            target = f"{path}/{body['metadata']['name']}"
            if target in self.objects:
                raise ApiError(409, "AlreadyExists", f"{body['metadata']['name']} already exists")
            name = body["metadata"]["name"]
            return self._store(target, {**body, "metadata": {**body["metadata"], "uid": f"{name}-uid"}})
        target = path.removesuffix("/status")
        found = self.objects.get(target)
        if found is None:
            raise ApiError(404, "NotFound", f"{target} not found")
        if method == "GET":
            return deepcopy(found)
        guard = (body.get("preconditions") if method == "DELETE" else body.get("metadata")) or {}
        if guard.get("uid", found["metadata"]["uid"]) != found["metadata"]["uid"]:
            raise ApiError(409, "Conflict", "the uid differs")
        version = found["metadata"]["resourceVersion"]
        if guard.get("resourceVersion", version) != version:
            raise ApiError(409, "Conflict", "the object has been modified")
        if method == "DELETE":
            del self.objects[target]
            return deepcopy(found)
        if path.endswith("/status"):
            return self._store(target, {**found, "status": body["status"]})
        return self._store(target, {**found, "spec": {**found.get("spec", {}), **body.get("spec", {})}})

    def _store(self, path: str, item: Object) -> Object:
        stored = deepcopy(item)
        stored["metadata"].setdefault("creationTimestamp", "2026-11-23T10:00:00Z")
        stored["metadata"]["resourceVersion"] = str(next(self._versions))
        self.objects[path] = stored
        return deepcopy(stored)


def _short(path: str) -> str:
    """From the plural on: pods/hello-a1-0."""
    parts = path.split("/")
    return "/".join(parts[parts.index("namespaces") + 2 :]) if "namespaces" in parts else path
