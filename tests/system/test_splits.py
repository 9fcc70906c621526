import csv

import numpy as np
import pytest
import soundfile

from genre_core.corpus import index
from genre_core.corpus import segment as corpus_segment
from genre_core.corpus.catalogue import Track, write_catalogue
from genre_core.errors import GenreError


def test_the_index_names_what_it_rejects_and_goes_on(tmp_path, rng):
    raw = tmp_path / "raw"
    raw.mkdir()
    tracks = []
    for genre in ("jazz", "rock"):
        for i in range(4):
            name = f"{genre}{i}.wav"
            soundfile.write(raw / name, rng.normal(0, 0.1, 4 * 8000), 8000)
            tracks.append(Track(name, name, genre))
    (raw / "jazz-empty.wav").touch()
    (raw / "jazz-text.wav").write_text("no audio")
    soundfile.write(raw / "jazz-silent.wav", np.zeros(4 * 8000), 8000)
    soundfile.write(raw / "jazz-short.wav", rng.normal(0, 0.1, 8000), 8000)
    bad = ["jazz-empty.wav", "jazz-text.wav", "jazz-silent.wav", "jazz-short.wav", "jazz-gone.wav"]
    write_catalogue(raw, [*tracks, *(Track(name, name, "jazz") for name in bad)])
    options = {"protocol": "track", "folds": 3, "fold": 0, "seed": 0, "seconds": 2.0, "hop_seconds": 1.0, "silence_dbfs": -60.0}
    made = corpus_segment.build(raw, tmp_path / "index", **options, workers=2)
    assert made["rejected"] == 5
    assert sum(made["tracks"].values()) == 8
    with (tmp_path / "index/rejected.csv").open() as file:
        reasons = {row["track"]: row["reason"] for row in csv.DictReader(file)}
    for name, words in zip(bad, ["empty file", "not audio", "silent as mono: peak -120", "too short: 1.00 s", "No such file"], strict=True):
        assert words in reasons[name]
    described = index.read(tmp_path / "index")
    assert set(described.tracks) == {t.track for t in tracks}
    assert len(described.windows) == 8 * 3
    assert described.tracks["jazz0.wav"].seconds == 4
    assert described.genres == ["jazz", "rock"]

    for i in range(4):
        (raw / f"rock{i}.wav").write_text("no audio")
    with pytest.raises(GenreError, match=r"no usable track is left in genre rock: rock0\.wav: not audio"):
        corpus_segment.build(raw, tmp_path / "index", **options, workers=1)
