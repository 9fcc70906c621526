"""Explore stage: figures of the data set.

The figures show balance, lengths, levels, spectrograms, MFCC and a map of the tracks.
"""

from functools import partial
from typing import Any

from genre_core import config
from genre_core.corpus import index
from genre_core.corpus.catalogue import artist_group
from genre_core.features import versions
from genre_core.features.store import FeatureStore
from genre_core.project import AUDIT, AUGMENTED, INDEX, METRICS, ORIGINAL, RAW, VERSIONS
from genre_core.reports import explore, figures_data
from genre_core.training.augment import mask
from genre_core.util.files import read_csv
from stages.run import run

OUT = METRICS / "explore"


def main() -> str:
    params = config.load()
    levels = {row["file"]: row for row in read_csv(AUDIT / "tracks.csv", strip=False)}
    title = f"{params.dataset.name} data set, protocol {params.segment.protocol}"
    with FeatureStore(ORIGINAL) as store:
        split = index.read(INDEX)
        points = explore.explore(RAW, split, store, levels, OUT, title=title, method=params.explore.map, seed=params.seed)
        _draw_augmentation(params, split, store)
    figures_data.audit(OUT / "audit.png", [_numbers(row) for row in levels.values()], title=params.dataset.name)
    return f"explore: {len(points)} tracks of {len({artist_group(p.artist, p.track) for p in points})} artists; in {OUT / 'report.html'}"


def _numbers(row: dict[str, str]) -> dict[str, Any]:
    """Parse the numbers of a row of the audit's tracks.csv; an empty cell gives None."""
    text_columns = ("file", "genre", "artist", "split", "problems")
    return {key: value if key in text_columns else float(value) if value else None for key, value in row.items()}


def _draw_augmentation(params: config.Params, split: index.Index, store: FeatureStore) -> None:
    """Draw a track, its pitch and tempo versions, and masks.

    The track is the first one with versions, else the first training track.
    """
    copies = versions.read_versions(VERSIONS)
    shown = next(iter(copies), None) or next(iter(split.starts("train")))
    with FeatureStore(AUGMENTED) as augmented:
        panels = {f"{shown}: original": store.read("mel", shown)}
        panels |= {copy.title: augmented.read("mel", copy.copy) for copy in copies.get(shown, ())}
    figures_data.augmentation(OUT / "augmentation.png", panels, store.spec, partial(mask, batches=params.augment.batches))


if __name__ == "__main__":
    run(main)
