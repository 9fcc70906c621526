"""Pitch-shifted and time-stretched copies of the training tracks, as features."""

from functools import partial

from genre_core import config
from genre_core.audio.effects import transform
from genre_core.corpus import index
from genre_core.features import extract, versions
from genre_core.features.spectrogram import FeatureSpec
from genre_core.project import AUGMENTED, INDEX, PRECOMPUTED, RAW, VERSIONS
from stages.run import run


def main() -> str:
    params = config.load()
    described = index.read(INDEX)
    # Under `segment` a copy of a training track would hold the audio of its test windows: that leak is not the one on show.
    none = described.split["protocol"] == "segment" or PRECOMPUTED.is_file()
    training = [] if none else list(described.starts("train"))
    copies = [copy for track in training for copy in versions.plan(track, params.augment.copies, params.seed)]
    jobs = []
    for copy in copies:
        change = partial(transform, pitch_semitones=copy.pitch_semitones, tempo_rate=copy.tempo_rate)
        jobs.append(extract.Job(copy.copy, RAW / described.tracks[copy.track].path, change))
    spec = FeatureSpec.of(params.features)
    compute = partial(extract.log_features, spec=spec)
    frames = extract.extract(jobs, spec, AUGMENTED, compute, workers=params.workers, label="augment")
    versions.write_versions(VERSIONS, copies)
    if described.split["protocol"] == "segment":
        return f"augment: no copies under protocol segment (they would hold the audio of test windows); {AUGMENTED} is empty"
    if PRECOMPUTED.is_file():
        return f"augment: no copies: the data set holds features, no waveforms; {AUGMENTED} is empty"
    return f"augment: {len(copies)} copies of {len(training)} training tracks, {frames} frames in {AUGMENTED}"


if __name__ == "__main__":
    run(main)
