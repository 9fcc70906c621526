"""What tests of pipeline files share."""

import yaml
from helpers.closure import ROOT

PIPELINE = yaml.safe_load((ROOT / "dvc.yaml").read_text())
