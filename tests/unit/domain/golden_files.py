"""Golden files: what is rendered, whole, as JSON beside the tests.

To write them anew after an intended change, and to read the difference before it is committed:
`TANDEM_WRITE_GOLDEN=1 pytest tests/unit/domain/render && git diff tests/unit/domain/golden`
"""

import json
import os
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "golden"


def assert_golden(name: str, rendered: Any) -> None:
    """`rendered` is what stands in the golden file of this name."""
    path = FOLDER / f"{name}.json"
    if "TANDEM_WRITE_GOLDEN" in os.environ:
        path.write_text(json.dumps(rendered, indent=2) + "\n")
    assert rendered == json.loads(path.read_text())
