"""Log-mel spectrograms and MFCC of every usable track."""

from functools import partial

from genre_core import config, extraction
from genre_core.features import FeatureSpec
from genre_core.files import read_csv
from stages import INDEX, ORIGINAL, RAW, run


def main() -> str:
    params = config.load()
    jobs = [extraction.Job(row["track"], RAW / row["path"]) for row in read_csv(INDEX / "tracks.csv", ["track", "path"], strip=False)]
    spec = FeatureSpec.of(params.features)
    frames = extraction.extract(jobs, spec, ORIGINAL, partial(extraction.log_features, spec=spec), workers=params.workers)
    return f"extract: {len(jobs)} tracks, {frames} frames in {ORIGINAL}"


if __name__ == "__main__":
    run(main)
