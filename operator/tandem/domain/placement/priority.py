"""Who goes before whom: the value of the PriorityClass that pods name, as the API server will give it to them."""

from collections.abc import Mapping

from tandem.api.pod_template import PodTemplate, spec_of
from tandem.domain.observed import PriorityRecord


def value(classes: Mapping[str, PriorityRecord], template: PodTemplate | None) -> int:
    """Priority of pods of this template; 0 for a class that does not exist, whose pods the server will refuse.

    Of several default classes the API server takes the lowest (scheduling.k8s.io/v1, PriorityClass.globalDefault).
    """
    name = spec_of(template).priority_class_name
    if name:
        return classes[name].value if name in classes else 0
    return min((record.value for record in classes.values() if record.is_default), default=0)
