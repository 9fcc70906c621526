"""What tests of config share."""

from pathlib import Path

import yaml
from helpers.closure import ROOT


def changed(tmp_path: Path, **values: object) -> Path:
    tree = yaml.safe_load((ROOT / "params.yaml").read_text())
    for key, value in values.items():
        *sections, last = key.split("__")
        node = tree
        for section in sections:
            node = node[section]
        if value is None:
            del node[last]
        else:
            node[last] = value
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(tree))
    return path
