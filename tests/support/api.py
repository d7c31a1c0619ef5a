"""A small synchronous client of the API server, for tests: JSON in, JSON out, nothing hidden."""

import base64
import json
import ssl
import tempfile
from pathlib import Path
from typing import Any

import urllib3
import yaml

Object = dict[str, Any]


class ApiFailureError(Exception):
    """An answer that is not 2xx."""

    def __init__(self, status: int, body: Object) -> None:
        super().__init__(f"{status}: {body.get('message')}")
        self.status = status
        self.body = body


class Api:
    """Requests with the admin's certificate of a kubeconfig."""

    def __init__(self, kubeconfig: Path) -> None:
        config = yaml.safe_load(kubeconfig.read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        self._server = cluster["server"]
        context = ssl.create_default_context(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
        with tempfile.NamedTemporaryFile() as pem:
            for field in ("client-certificate-data", "client-key-data"):
                pem.write(base64.b64decode(user[field]))
            pem.flush()
            context.load_cert_chain(pem.name)
        self._pool = urllib3.PoolManager(ssl_context=context, maxsize=8, headers={"User-Agent": "tandem-tests"})

    def request(self, method: str, path: str, body: Any = None, content_type: str = "application/json") -> Object:
        """The decoded answer. Raises ApiFailureError."""
        answer = self._pool.request(
            method,
            self._server + path,
            body=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": content_type, "User-Agent": "tandem-tests"},
            timeout=30.0,
            retries=urllib3.Retry(3, allowed_methods={"GET"}, status=0),
        )
        decoded: Object = json.loads(answer.data) if answer.data.startswith(b"{") else {"text": answer.data.decode()}
        if answer.status >= 300:
            raise ApiFailureError(answer.status, decoded)
        return decoded

    def get(self, path: str) -> Object:
        """An object or a list."""
        return self.request("GET", path)

    def find(self, path: str) -> Object | None:
        """An object, or None where there is none."""
        try:
            return self.get(path)
        except ApiFailureError as failure:
            if failure.status == 404:
                return None
            raise

    def create(self, path: str, body: Object) -> Object:
        """POST to a collection."""
        return self.request("POST", path, body)

    def patch(self, path: str, body: Object) -> Object:
        """A merge patch."""
        return self.request("PATCH", path, body, "application/merge-patch+json")

    def delete(self, path: str) -> None:
        """DELETE in the background; nothing there is fine."""
        try:
            self.request("DELETE", path, {"propagationPolicy": "Background"})
        except ApiFailureError as failure:
            if failure.status != 404:
                raise
