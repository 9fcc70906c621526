"""Augment stage: features of pitch-shifted and time-stretched training tracks."""

from functools import partial

from genre_core import config
from genre_core.audio.effects import transform
from genre_core.corpus import index
from genre_core.features import extract, versions
from genre_core.features.spectrogram import FeatureSpec
from genre_core.project import AUGMENTED, INDEX, PRECOMPUTED, RAW, VERSIONS
from genre_core.util.result_cache import open_cache
from stages.run import run


def main() -> str:
    params = config.load()
    cache = open_cache(**params.cache.model_dump())
    described = index.read(INDEX)
    # Under `segment` a version of a training track would also hold the audio of its test windows.
    # That is a second leak, and the protocol demonstrates only the first.
    no_versions = described.split["protocol"] == "segment" or PRECOMPUTED.is_file()
    training = [] if no_versions else list(described.starts("train"))
    planned = [version for track in training for version in versions.plan(track, params.augment.copies, params.seed)]
    jobs = []
    for version in planned:
        change = partial(transform, pitch_semitones=version.pitch_semitones, tempo_rate=version.tempo_rate)
        jobs.append(extract.Job(version.copy, RAW / described.tracks[version.track].path, change))
    spec = FeatureSpec.of(params.features)
    compute = partial(extract.log_features, spec=spec)
    frames = extract.extract(jobs, spec, AUGMENTED, compute, workers=params.parallel.chosen, cache=cache, label="augment")
    versions.write_versions(VERSIONS, planned)
    if described.split["protocol"] == "segment":
        return f"augment: no versions under protocol segment (they would hold the audio of test windows); {AUGMENTED} is empty"
    if PRECOMPUTED.is_file():
        return f"augment: no versions: the data set holds features, not audio; {AUGMENTED} is empty"
    return f"augment: {len(planned)} versions of {len(training)} training tracks, {frames} frames in {AUGMENTED}"


if __name__ == "__main__":
    run(main)
