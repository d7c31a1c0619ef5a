"""Serves the newest checkpoint over HTTP, in the shape of OpenAI's completions: /health, /v1/models, /v1/completions.

`python3 serve.py [--port 8000]` with TANDEM_MODEL_PATH naming a directory of `step-<n>` folders, or one such folder. While it
holds no complete checkpoint the model's routes answer 503 and the server looks again.
"""

import argparse
import io
import json
import os
import signal
import threading
import time
import uuid
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import checkpoint
import torch
from environment import granted_devices
from model import ByteModel, generate, load_weights

LOOK_AGAIN = 1.0  # seconds between two looks for a checkpoint
LONGEST_BODY = 64 * 1024  # bytes
LONGEST_COMPLETION = 2048  # tokens; one token is one byte


@dataclass(frozen=True)
class Served:
    """A loaded model, and what it was loaded from."""

    model: ByteModel
    name: str
    step: int
    digest: str


class RefusedError(Exception):
    """A request that gets no completion: the status, and a message that says what to send instead."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Question:
    """The part of a completion request that this server honours."""

    prompt: str
    max_tokens: int = 64
    temperature: float = 0.8
    seed: int | None = None

    @classmethod
    def parse(cls, body: bytes) -> "Question":
        """RefusedError with 400 for anything that is not a request for a completion; unknown fields are ignored."""
        try:
            fields = json.loads(body)
        except ValueError as error:
            raise RefusedError(HTTPStatus.BAD_REQUEST, f"the body is not JSON: {error}") from None
        if not isinstance(fields, dict) or not isinstance(fields.get("prompt"), str):
            raise RefusedError(HTTPStatus.BAD_REQUEST, 'the body must be a JSON object with a string in "prompt"')
        question = cls(
            **{name: value for name, value in fields.items() if name in cls.__dataclass_fields__ and value is not None}
        )
        if not _is_whole(question.max_tokens) or not 1 <= question.max_tokens <= LONGEST_COMPLETION:
            raise RefusedError(
                HTTPStatus.BAD_REQUEST, f'"max_tokens" must be a whole number from 1 to {LONGEST_COMPLETION}'
            )
        if not _is_number(question.temperature) or not 0 <= question.temperature <= 2:
            raise RefusedError(HTTPStatus.BAD_REQUEST, '"temperature" must be a number from 0 to 2')
        if question.seed is not None and (not _is_whole(question.seed) or not 0 <= question.seed < 2**63):
            raise RefusedError(HTTPStatus.BAD_REQUEST, '"seed" must be a whole number from 0 to 2^63 - 1')
        return question


class Server(ThreadingHTTPServer):
    """Answers from `served`, once it is set. Closing waits for the requests in flight."""

    daemon_threads = False
    served: Served | None = None

    def load_when_there(self, path: Path, stopping: threading.Event) -> None:
        """Returns when the model is loaded, or when `stopping` is set."""
        while (found := checkpoint.newest(path)) is None:
            if stopping.wait(LOOK_AGAIN):
                return
        payload = torch.load(io.BytesIO(found.payload), weights_only=True)
        name = os.environ.get("MODEL_NAME", "tandem-sample")
        self.served = Served(load_weights(payload), name, found.step, found.digest)
        print(f"serving step {found.step}, {found.digest}", flush=True)


class Handler(BaseHTTPRequestHandler):
    server: Server
    timeout = 30  # seconds a client may take to send its request

    def do_GET(self) -> None:
        self.answer({"/health": self.health, "/v1/models": self.models})

    def do_POST(self) -> None:
        self.answer({"/v1/completions": self.complete})

    def answer(self, routes: dict[str, Any]) -> None:
        route = routes.get(self.path.partition("?")[0])
        try:
            if route is None:
                known = "GET /health, GET /v1/models, POST /v1/completions"
                raise RefusedError(HTTPStatus.NOT_FOUND, f"no route {self.command} {self.path}; there are {known}")
            self.send(HTTPStatus.OK, route())
        except RefusedError as refused:
            self.send(refused.status, {"error": {"message": str(refused), "type": refused.status.phrase}})

    def health(self) -> dict[str, Any]:
        return {"status": "ok"}

    def models(self) -> dict[str, Any]:
        served = self.loaded()
        model = {
            "id": served.name,
            "object": "model",
            "owned_by": "tandem",
            "step": served.step,
            "digest": served.digest,
        }
        return {"object": "list", "data": [model]}

    def complete(self) -> dict[str, Any]:
        question = Question.parse(self.body())
        served = self.loaded()
        text = generate(served.model, question.prompt, question.max_tokens, question.temperature, question.seed)
        asked = len(question.prompt.encode())
        return {
            "id": f"cmpl-{uuid.uuid4().hex}",
            "object": "text_completion",
            "created": int(time.time()),
            "model": served.name,
            "choices": [{"index": 0, "text": text, "logprobs": None, "finish_reason": "length"}],
            "usage": {
                "prompt_tokens": asked,
                "completion_tokens": question.max_tokens,
                "total_tokens": asked + question.max_tokens,
            },
        }

    def loaded(self) -> Served:
        if self.server.served is None:
            raise RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, "no complete checkpoint is loaded yet; ask again soon")
        return self.server.served

    def body(self) -> bytes:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal():
            raise RefusedError(HTTPStatus.LENGTH_REQUIRED, "send the body's length in Content-Length")
        if int(length) > LONGEST_BODY:
            raise RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body is longer than {LONGEST_BODY} bytes")
        return self.rfile.read(int(length))

    def send(self, status: HTTPStatus, content: dict[str, Any]) -> None:
        body = json.dumps(content).encode() + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Probes ask every few seconds: only what is not a plain success of theirs is worth a line."""
        if self.command != "GET" or code != HTTPStatus.OK:
            super().log_request(code, size)


def main() -> None:
    parser = argparse.ArgumentParser(description="Serve the newest checkpoint under TANDEM_MODEL_PATH.")
    parser.add_argument("--port", type=int, default=8000)
    port = parser.parse_args().port
    if not (path := os.environ.get("TANDEM_MODEL_PATH")):
        parser.error("set TANDEM_MODEL_PATH to a directory of step-<n> checkpoints, or to one of them")

    torch.set_num_threads(1)
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    signal.signal(signal.SIGINT, lambda *_: stopping.set())
    with Server(("", port), Handler) as server:
        threading.Thread(target=server.serve_forever).start()
        print(f"listening on {port} for {path}, {granted_devices(os.environ)}", flush=True)
        try:
            server.load_when_there(Path(path), stopping)
            stopping.wait()
        finally:
            server.shutdown()


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


if __name__ == "__main__":
    main()
