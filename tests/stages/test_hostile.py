"""A folder of hostile files through the stages."""

import csv
import shutil

from helpers.hostile import BAD, GOOD
from helpers.stages import run_stages


def test_every_stage_takes_what_is_good_and_names_the_rest(zoo, project, tmp_path):
    target = tmp_path / "p"
    target.mkdir()
    params = (project / "params.yaml").read_text().replace("name: demo", "name: folder").replace("data/my_music", str(zoo))
    (target / "params.yaml").write_text(params)
    (target / "data").mkdir()
    for table in ("genre_aliases.csv", "labels.csv"):
        shutil.copy(project / "data" / table, target / "data" / table)
    run_stages(target, "download", "audit", "segment", "extract", "embed", "augment", "train", "evaluate")
    with (target / "data/index/rejected.csv").open(newline="") as file:
        rejected = {row["track"].removeprefix("low/"): row["reason"] for row in csv.DictReader(file)}
    assert set(rejected) == set(BAD)
    for name, (_, words) in BAD.items():
        assert words in rejected[name]
    with (target / "data/index/tracks.csv").open(newline="") as file:
        assert {row["track"] for row in csv.DictReader(file)} == {f"{genre}/{name}" for genre in ("low", "high") for name in GOOD}
