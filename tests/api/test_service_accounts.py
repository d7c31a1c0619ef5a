"""The chart's policy: a service account is named only by those who may use it. Judged by the API server, as other users."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml

from devcluster import gobuild, kube, versions
from devcluster.shell import DevclusterError, run
from tests.api.server import WORK, Server, smallest
from tests.unit.package.conftest import CHART, IMAGE

pytestmark = pytest.mark.cluster

WRITER, TRUSTED = "writer@example.com", "trusted@example.com"
"""Both may write runs and services; only the second may use the account."""
ACCOUNT = "trainer"
NAMED = {"template": {"spec": {"serviceAccountName": ACCOUNT}}}
ANOTHER = {"template": {"spec": {"serviceAccountName": "admin"}}}
PLAIN = {"template": {"spec": {"nodeSelector": {"pool": "a"}}}}


def role(name: str, users: list[str], **rule: list[str]) -> list[dict[str, Any]]:
    """A Role and its binding to these users."""
    rbac = "rbac.authorization.k8s.io"
    return [
        {"apiVersion": f"{rbac}/v1", "kind": "Role", "metadata": {"name": name}, "rules": [rule]},
        {
            "apiVersion": f"{rbac}/v1",
            "kind": "RoleBinding",
            "metadata": {"name": name},
            "roleRef": {"apiGroup": rbac, "kind": "Role", "name": name},
            "subjects": [{"apiGroup": rbac, "kind": "User", "name": user} for user in users],
        },
    ]


@pytest.fixture(scope="module")
def policy(server: Server) -> Iterator[None]:
    """The policy as the chart renders it, in force; and two users."""
    release = server.namespace
    helm = gobuild.ensure(gobuild.HELM) / "helm"
    options = ("--kube-version", versions.KUBERNETES, "--show-only", "templates/service-account-policy.yaml")
    text = run(helm, "template", release, CHART, *IMAGE, *options)
    work = {"apiGroups": ["tandem.dev"], "resources": ["trainingruns", "inferenceservices"]}
    rights = [
        *role("work", [WRITER, TRUSTED], **work, verbs=["get", "create", "patch", "update"]),
        *role("use", [TRUSTED], apiGroups=[""], resources=["serviceaccounts"], resourceNames=[ACCOUNT], verbs=["use"]),
    ]
    kube.kubectl("apply", "--filename=-", stdin=text)
    kube.kubectl(
        f"--namespace={server.namespace}", "apply", "--filename=-", stdin=yaml.safe_dump_all(rights, sort_keys=False)
    )
    try:
        deadline = time.monotonic() + 60
        while written(server, WRITER, "TrainingRun", **NAMED) is None:
            assert time.monotonic() < deadline, "the policy is not in force after a minute"
            time.sleep(0.3)
        yield
    finally:
        kube.kubectl("delete", "--ignore-not-found", "--filename=-", stdin=text)


def written(server: Server, user: str, kind: str, name: str = "sample", **spec: Any) -> str | None:
    """What the server says to a user who would write this object; None where it would take it."""
    manifest = yaml.safe_dump(smallest(kind, name, **spec))
    command = (f"--namespace={server.namespace}", f"--as={user}", "apply", "--server-side", "--force-conflicts")
    try:
        kube.kubectl(*command, f"--field-manager={user}", "--dry-run=server", "--filename=-", stdin=manifest)
    except DevclusterError as refused:
        return str(refused)
    return None


each_kind = pytest.mark.parametrize("kind", WORK)


@each_kind
@pytest.mark.usefixtures("policy")
def test_who_may_not_use_the_account_may_not_name_it(server: Server, kind: str) -> None:
    said = written(server, WRITER, kind, **NAMED)
    assert said is not None
    assert "Forbidden" in said or "forbidden" in said
    assert (
        "template.spec.serviceAccountName: you may not use the service account trainer: ask for the verb use on"
        f" serviceaccounts/trainer in {server.namespace}, or leave it out"
    ) in said


@each_kind
@pytest.mark.usefixtures("policy")
def test_who_may_use_the_account_may_name_it_and_no_other(server: Server, kind: str) -> None:
    assert written(server, TRUSTED, kind, **NAMED) is None
    assert "you may not use the service account admin" in (written(server, TRUSTED, kind, **ANOTHER) or "")


@each_kind
@pytest.mark.usefixtures("policy")
def test_who_names_no_account_is_not_asked(server: Server, kind: str) -> None:
    assert written(server, WRITER, kind) is None
    assert written(server, WRITER, kind, **PLAIN) is None


@each_kind
@pytest.mark.usefixtures("policy")
def test_a_spec_that_names_an_account_is_changed_by_those_only_who_may_use_it(
    server: Server, create: Callable[[Any], Any], name: str, kind: str
) -> None:
    """A new image would act as the account; a label would not."""
    create(smallest(kind, name, **NAMED))
    changed = {**NAMED, "image": "example.com/other:1"}
    assert "you may not use" in (written(server, WRITER, kind, name, **changed) or "")
    assert written(server, TRUSTED, kind, name, **changed) is None
    plural = "trun" if kind == "TrainingRun" else "infsvc"
    kube.kubectl(f"--namespace={server.namespace}", f"--as={WRITER}", "label", plural, name, "team=a")
