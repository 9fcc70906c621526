"""Draw what the data set is made of: balance, lengths, levels, spectrograms, MFCC, a map of its tracks."""

from genre_core import config, exploration, index
from genre_core.datasets import artist_group
from genre_core.files import read_csv
from genre_core.store import FeatureStore
from stages import AUDIT, INDEX, METRICS, ORIGINAL, RAW, run

OUT = METRICS / "explore"


def main() -> str:
    params = config.load()
    levels = {row["file"]: row for row in read_csv(AUDIT / "tracks.csv", strip=False)}
    title = f"{params.dataset.name} data set, protocol {params.segment.protocol}"
    with FeatureStore(ORIGINAL) as store:
        made = index.read(INDEX)
        points = exploration.explore(RAW, made, store, levels, OUT, title=title, method=params.explore.map, seed=params.seed)
    return f"explore: {len(points)} tracks of {len({artist_group(p.artist, p.track) for p in points})} artists; in {OUT / 'report.html'}"


if __name__ == "__main__":
    run(main)
