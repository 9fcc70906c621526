"""What tests of audit share."""

import pytest
import soundfile

from genre_core.datasets import demo

RATE = 22050


TRACKS, ARTISTS = 2, 2


@pytest.fixture(scope="module")
def music(tmp_path_factory):
    """Forty synthetic tracks of twenty artists, ten genres, as samples."""
    folder = tmp_path_factory.mktemp("music")
    tracks = demo.download(folder, seed=3, artists_per_genre=ARTISTS, tracks_per_artist=TRACKS, seconds=12.0)
    return {t.track: soundfile.read(folder / t.path, dtype="float32")[0] for t in tracks}
