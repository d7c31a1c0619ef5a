"""The story on this machine: a run trains on NVIDIA nodes, then a service answers from Ascend nodes with what was trained.

`make demo`, or `python -m examples.demo` from the checkout's top folder. A second call takes the objects of the first away and
tells the story again. Progress goes to standard error, the answers to standard output.
"""

import json
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from devcluster import cluster, engine, images, kube, load, paths
from devcluster.kube import Object
from devcluster.shell import DevclusterError, run, say, step, wait_for

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples"
OPERATOR = "tandem-dev/operator:dev"
SAMPLE = "tandem-dev/sample:dev"
RELEASE = "tandem"
NAMESPACE = "tandem-system"
RUN, SERVICE = "hello", "chat"
PROMPT = "The "

TRAINING_SECONDS = 300.0
LOADING_SECONDS = 120.0


class StoryError(Exception):
    """An object of the story went wrong, or nowhere; names it as kubectl does. No wait bears it as it bears DevclusterError."""

    def __init__(self, what: str, kind: str, name: str) -> None:
        super().__init__(what)
        self.kind = kind
        self.name = name


def main() -> int:
    """0 when the story was told; 1, with what is known about the failure, when it was not."""
    begin = time.monotonic()
    try:
        cluster.up()
        build_images()
        load.load(OPERATOR, SAMPLE)
        install_operator()
        install_profiles()
        forget_former_story()
        train()
        serve()
        text = ask(PROMPT)
    except StoryError as error:
        print(explain(error), file=sys.stderr)
        return 1
    except DevclusterError as error:
        print(
            f"demo: {error}\nMend it and run `make demo` again: what is done already is not done twice.",
            file=sys.stderr,
        )
        return 1
    except KeyboardInterrupt:
        print("demo: interrupted; `make demo` goes on from here, `make clean` ends all.", file=sys.stderr)
        return 130
    say(f"all done in {time.monotonic() - begin:.0f} s")
    print(summary(text))
    return 0


def build_images() -> None:
    """The operator's image and the sample workload's, from this checkout."""
    sources = ("pyproject.toml", "requirements/build.txt", "requirements/run.txt", "operator")
    images.build(OPERATOR, ROOT / "Dockerfile", inputs={name: ROOT / name for name in sources})
    images.build(SAMPLE, EXAMPLES / "workload/Dockerfile", EXAMPLES / "workload")


def install_operator(*options: str) -> None:
    """The chart, definitions and all, ready when this returns. `options` go to helm."""
    repository, _, tag = OPERATOR.rpartition(":")
    values = {
        "image.repository": repository,
        "image.tag": tag,
        # The tag stays when the code changes: the image's id is what replaces the pod.
        "podAnnotations.tandem\\.dev/image-id": images.image_id(OPERATOR),
    }
    given = [word for name, value in values.items() for word in ("--set-string", f"{name}={value}")]
    with step("installing the operator"):
        # The definitions may be there already, applied by hand or by a test.
        chart = ("upgrade", "--install", RELEASE, str(ROOT / "charts/tandem"), "--create-namespace", "--take-ownership")
        try:
            helm(*chart, *given, *options, "--wait", "--timeout=120s")
        except DevclusterError as error:
            log = operator_log()
            raise DevclusterError(f"the operator does not become ready: {error}\nIts log ends with:\n{log}") from error


def operator_log(lines: int = 20) -> str:
    """The last lines of each of the operator's replicas."""
    replicas = f"--selector=app.kubernetes.io/instance={RELEASE}"
    return kube.kubectl(f"--namespace={NAMESPACE}", "logs", replicas, "--prefix", f"--tail={lines}")


def helm(*args: str) -> str:
    """The standard output of helm against the devcluster, in the operator's namespace."""
    where = ("--kubeconfig", str(paths.kubeconfig()), "--namespace", NAMESPACE)
    return run(paths.bin_dir() / "helm", *where, *args, timeout=180)


def install_profiles() -> None:
    """The devcluster's own profiles, under the names of those that are shipped."""
    kube.kubectl("apply", f"--filename={ROOT / 'devcluster/profiles'}")


def forget_former_story() -> None:
    """Take away the objects, pods and checkpoints of a call before this one."""
    kube.kubectl("delete", f"trun/{RUN}", f"infsvc/{SERVICE}", "--ignore-not-found")
    for label in (f"tandem.dev/run={RUN}", f"tandem.dev/service={SERVICE}"):
        kube.kubectl("wait", "pods", "--for=delete", f"--selector={label}", "--timeout=90s", timeout=100)
    engine.docker("exec", load.node_names()[0], "rm", "-rf", f"/shared/default/models/{RUN}")


def train() -> None:
    """Apply the run, and see it to its end."""
    kube.kubectl("apply", f"--filename={EXAMPLES / 'trainingrun.yaml'}")
    with followed("trun", RUN):
        follow("trun", RUN, "Succeeded", TRAINING_SECONDS)


def serve() -> None:
    """Apply the service, and wait until it can answer."""
    kube.kubectl("apply", f"--filename={EXAMPLES / 'inferenceservice.yaml'}")
    with followed("infsvc", SERVICE):
        follow("infsvc", SERVICE, "Available", LOADING_SECONDS)


def ask(prompt: str) -> str:
    """One completion, asked of the service as a client of the cluster would."""
    question = json.dumps({"prompt": prompt, "max_tokens": 60, "temperature": 0}).encode()
    with followed("infsvc", SERVICE), forwarded(f"service/{SERVICE}", 8000) as address:
        try:
            with urllib.request.urlopen(f"{address}/v1/completions", data=question, timeout=30) as answer:
                return str(json.load(answer)["choices"][0]["text"])
        except OSError as error:
            raise DevclusterError(f"{SERVICE} gives no completion: {error}") from error


@contextmanager
def forwarded(target: str, port: int) -> Iterator[str]:
    """`http://127.0.0.1:...`, where a port of a pod or Service of namespace default is reached from this machine."""
    program = [str(paths.bin_dir() / "kubectl"), "--kubeconfig", str(paths.kubeconfig())]
    command = [*program, "port-forward", target, f":{port}"]
    with subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as forwarder:
        try:
            # Its first line comes when the port is open, or says why it cannot be.
            told = forwarder.stdout.readline() if forwarder.stdout else ""
            if not (found := re.search(r"127\.0\.0\.1:\d+", told)):
                raise DevclusterError(f"no way to {target}: {told.strip()}")
            yield f"http://{found[0]}"
        finally:
            forwarder.terminate()


@contextmanager
def followed(kind: str, name: str) -> Iterator[None]:
    """Failures in here are the object's, and explained by what is known about it."""
    try:
        yield
    except DevclusterError as error:
        raise StoryError(str(error), kind, name) from error


def follow(kind: str, name: str, reason: str, seconds: float) -> Object:
    """Wait until Ready has this reason, and say each change of what status tells. Raises DevclusterError, StoryError."""
    begin = time.monotonic()
    said = ""

    def reached() -> Object | None:
        nonlocal said
        found = kube.get(kind, name)
        ready = condition(found, "Ready")
        now = f"{ready.get('reason', 'accepted')} {progress(found)}".strip()
        if now != said:
            said = now
            say(f"{kind} {name}, {time.monotonic() - begin:3.0f} s: {now}")
        if condition(found, "Stalled").get("status") == "True":
            raise StoryError(f"{kind} {name} is stalled: {ready.get('message')}", kind, name)
        return found if ready.get("reason") == reason else None

    return wait_for(f"{kind} {name} is {reason}", reached, seconds, interval=0.5)


def condition(found: Object, kind: str) -> dict[str, str]:
    """The condition of this type; empty where there is none."""
    present = found.get("status", {}).get("conditions", ())
    return next((item for item in present if item["type"] == kind), {})


def progress(found: Object) -> str:
    """Pods, and where they are, in a few words."""
    status = found.get("status", {})
    words = [
        (status.get("placement") or {}).get("chosen"),
        (status.get("pods") or {}).get("summary") or status.get("summary"),
        f"step {status['checkpoint']['step']}" if status.get("checkpoint") else None,
    ]
    return ", ".join(word for word in words if word)


def summary(text: str) -> str:
    """What happened, and how to go on."""
    table = kube.kubectl("get", "trun,infsvc,pods", "--output=wide")
    return f"""
{table}
{RUN} was trained on nvidia.com/gpu, {SERVICE} serves its checkpoint on huawei.com/Ascend910.
Asked to go on from {PROMPT!r}, {SERVICE} wrote: {text!r}

Go on with:
  export KUBECONFIG={paths.kubeconfig()} PATH={paths.bin_dir()}:$PATH
  kubectl describe trun {RUN}                     what was decided, and why
  kubectl scale infsvc {SERVICE} --replicas=2         two replicas, or none with 0
  kubectl apply -f examples/two-variants.yaml    one run, two makes of accelerator
  .venv/bin/python -m devcluster status          the nodes and their devices
  make clean                                     take everything away"""


def explain(error: StoryError) -> str:
    """What failed, the object's conditions and events, and where to look next."""
    found = kube.get(error.kind, error.name)
    conditions = [
        f"  {item['type']}={item['status']} {item['reason']}: {item.get('message', '')}"
        for item in found.get("status", {}).get("conditions", ())
    ]
    events = kube.kubectl("get", "events", "--sort-by=.lastTimestamp").splitlines()
    return "\n".join(
        [
            f"demo: {error}",
            f"conditions of {error.kind} {error.name}:",
            *(conditions or ["  none: the operator has not looked at it"]),
            "last events:",
            *(f"  {line}" for line in [*events[:1], *events[1:][-8:]]),
            "look further:",
            f"  export KUBECONFIG={paths.kubeconfig()} PATH={paths.bin_dir()}:$PATH",
            f"  kubectl describe {error.kind} {error.name}; kubectl get pods",
            f"  kubectl --namespace {NAMESPACE} logs deployment/{RELEASE} --tail=50",
            "then run `make demo` again",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
