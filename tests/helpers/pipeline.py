"""What tests of pipeline share."""

import json
import re

STAGES = [
    "download",
    "audit",
    "segment",
    "extract",
    "augment",
    "explore",
    "embed",
    "train",
    "evaluate",
    "interventions",
]  # as DVC runs them


def ran(done):
    return re.findall(r"Running stage '(\w+)'", done.stdout + done.stderr)


def metrics(project, name):
    return json.loads((project / f"metrics/{name}/metrics.json").read_text())
