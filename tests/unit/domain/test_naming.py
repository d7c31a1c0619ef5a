"""Names of children and the digest of inputs."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tandem.domain import naming

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


def test_names_of_children() -> None:
    assert naming.pod("hello", 3, 0) == "hello-a3-0"
    assert naming.rendezvous_service("hello") == "hello-tr"
    assert naming.deployment("chat", "ascend") == "chat-ascend"


def test_the_longest_name_of_a_pod_is_a_hostname() -> None:
    assert len(naming.pod("r" * 40, 10**10 - 1, 4999)) <= 63


@given(st.dictionaries(st.text(max_size=4), JSON, max_size=5))
def test_a_digest_does_not_depend_on_the_order_of_fields(inputs: dict[str, Any]) -> None:
    assert naming.inputs_hash(inputs) == naming.inputs_hash(dict(reversed(inputs.items())))


@given(JSON, JSON)
def test_other_inputs_have_another_digest(one: Any, other: Any) -> None:
    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (naming.inputs_hash(one) == naming.inputs_hash(other)) == same


def test_a_digest_is_a_label_value_and_stays_for_ever() -> None:
    """A change of this number restarts every user's workload."""
    assert naming.inputs_hash({"image": "train:1", "ärger": [1, None]}) == "acf4c4b50c4a9908"
