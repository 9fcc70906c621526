"""A library of Artist/Album/song that trains without a table."""

from helpers.library import demo_library
from helpers.pipeline import metrics
from helpers.stages import run_stages

from genre_core.corpus import index


def test_an_artist_album_library_trains_by_artist(own, tmp_path):
    library = demo_library(tmp_path / "music", ["jazz", "metal"], artists=3, tracks=2, seconds=6.0)
    run_stages(
        own,
        *("download", "audit", "segment", "extract", "augment", "embed", "train", "evaluate"),
        dataset__name="folder",
        dataset__folder__path=str(library),
        dataset__folder__labels="tags",
        segment__protocol="artist",
        segment__folds=3,
        model__type="logistic",
        augment__copies__pitch=0,
        augment__copies__tempo=0,
    )
    assert (own / "data/index/rejected.csv").read_text().count("\n") == 1
    split = index.read(own / "data/index")
    assert sorted(genre.casefold() for genre in split.genres) == ["jazz", "metal"]
    artists = {track.artist for track in split.tracks.values()}
    assert len({artist.casefold() for artist in artists}) == len(artists) == 6
    scores = metrics(own, "test")
    assert (scores["protocol"], scores["leaky"], scores["tracks"]) == ("artist", False, 4)
