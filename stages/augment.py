"""Pitch-shifted and time-stretched copies of the training tracks, as features."""

from functools import partial

from genre_core import augmentation, config, extraction, index
from genre_core.features import FeatureSpec
from stages import AUGMENTED, COPIES, INDEX, MADE, RAW, run


def main() -> str:
    params = config.load()
    described = index.read(INDEX)
    # Under `segment` a copy of a training track would hold the audio of its test windows: that leak is not the one on show.
    none = described.split["protocol"] == "segment" or MADE.exists()
    training = [] if none else list(described.starts("train"))
    copies = [copy for track in training for copy in augmentation.plan(track, params.augment.copies, params.seed)]
    jobs = [
        extraction.Job(copy.copy, RAW / described.tracks[copy.track].path, partial(augmentation.transform, copy=copy)) for copy in copies
    ]
    spec = FeatureSpec.of(params.features)
    compute = partial(extraction.log_features, spec=spec)
    frames = extraction.extract(jobs, spec, AUGMENTED, compute, workers=params.workers, label="augment")
    augmentation.write_copies(COPIES, copies)
    if described.split["protocol"] == "segment":
        return f"augment: no copies under protocol segment (they would hold the audio of test windows); {AUGMENTED} is empty"
    if MADE.exists():
        return f"augment: no copies: the data set holds features, no waveforms; {AUGMENTED} is empty"
    return f"augment: {len(copies)} copies of {len(training)} training tracks, {frames} frames in {AUGMENTED}"


if __name__ == "__main__":
    run(main)
