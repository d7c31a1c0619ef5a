"""docs/placement.md tells every reason for which a candidate is rejected, and none that there is not."""

import re
from pathlib import Path

from tandem.api.reasons import Reason

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs/placement.md"
PLACEMENT = ROOT / "operator/tandem/domain/placement"


def told() -> set[str]:
    return set(re.findall(r"^\| `(\w+)` \|", PAGE.read_text(), flags=re.MULTILINE))


def used() -> set[str]:
    """Reasons that placement gives; those of policies themselves are told elsewhere."""
    texts = (path.read_text() for path in PLACEMENT.glob("*.py") if path.name != "policy_status.py")
    return {Reason[name].value for text in texts for name in re.findall(r"\bReason\.([A-Z_]+)", text)}


def test_every_reason_of_a_rejection_has_its_row() -> None:
    assert {"DoesNotFitNow", "HeldOff", "NeverFits"} <= used(), "they are found in the source"
    assert used() <= told(), "docs/placement.md needs a row: what it means, what to do"


def test_no_row_is_about_a_reason_that_there_is_not() -> None:
    assert told() <= {reason.value for reason in Reason}


def test_every_link_of_the_page_leads_somewhere() -> None:
    for page in ("placement.md", "security.md", "check.md"):
        for target in re.findall(r"\]\(([\w.-]+)(?:#[\w-]+)?\)", (ROOT / "docs" / page).read_text()):
            assert (ROOT / "docs" / target).exists(), f"{page} links to {target}"
