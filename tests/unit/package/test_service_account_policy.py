"""The chart's policy on service accounts; what it does is tested on an API server in tests/api."""

from tests.unit.package.conftest import Render

POLICY, BINDING = "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"


def test_the_policy_is_in_force_unless_it_is_switched_off(render: Render) -> None:
    found = {item["kind"]: item for item in render() if item["kind"] in (POLICY, BINDING)}
    assert found[BINDING]["spec"] == {
        "policyName": found[POLICY]["metadata"]["name"],
        "validationActions": ["Deny"],
    }
    assert not {POLICY, BINDING} & {item["kind"] for item in render("--set", "serviceAccountPolicy.enabled=false")}


def test_the_policy_fails_closed_and_asks_about_both_kinds_but_not_their_subresources(render: Render) -> None:
    (policy,) = (item["spec"] for item in render() if item["kind"] == POLICY)
    assert policy["failurePolicy"] == "Fail"
    (rule,) = policy["matchConstraints"]["resourceRules"]
    assert rule["resources"] == ["trainingruns", "inferenceservices"]
    assert rule["operations"] == ["CREATE", "UPDATE"]
