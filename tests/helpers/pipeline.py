"""What tests of pipeline share."""

import json
import re

# As DVC runs them.
STAGES = [
    "download",
    "audit",
    "segment",
    "labels",
    "extract",
    "augment",
    "explore",
    "embed",
    "train",
    "evaluate",
    "interventions",
    "fetch_external",
    "validate_external",
]


def ran(done):
    return re.findall(r"Running stage '(\w+)'", done.stdout + done.stderr)


def metrics(project, name):
    return json.loads((project / f"metrics/{name}/metrics.json").read_text())
