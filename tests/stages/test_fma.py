"""FMA through the pipeline: archives from loopback servers, the official split, licences in the card."""

import contextlib
from functools import partial

import pytest
from helpers import fma as small
from helpers import servers
from helpers.library import write_audio
from helpers.pipeline import metrics
from helpers.stages import run_stages

from genre_core.corpus import index
from genre_core.datasets import demo, fma
from genre_core.datasets.copies import Mirror
from genre_core.reports import model_card

GENRES = {"Rock": "rock", "Old-Time / Historic": "country"}
SIDES = ["training", "training", "validation", "test"]
LICENCES = [small.NONCOMMERCIAL, small.NONCOMMERCIAL, "Public Domain Mark 1.0", "Attribution | 4.0"]


@pytest.fixture
def addresses(tmp_path):
    """Servers of the two archives, and their addresses: 16 clips of 8 artists, one of them a known faulty one."""
    rows, clips = [], {}
    for number, (genre, style) in enumerate(GENRES.items()):
        for artist, (side, licence) in enumerate(zip(SIDES, LICENCES, strict=True)):
            for track in range(2):
                track_id = 1000 * number + 10 * artist + track
                y = demo.synthesise(style, seed=1, artist=artist, track=track, seconds=6.0)
                path = write_audio(tmp_path / f"{track_id}.mp3", y, demo.SAMPLE_RATE)
                clips[track_id] = path.read_bytes()
                rows.append(
                    small.row(
                        track_id,
                        artist_id=100 * number + artist,
                        artist_name=f"{genre} {artist}",
                        split=side,
                        genre_top=genre,
                        license=licence,
                    )
                )
    rows.append(small.row(99134, artist_id=1, artist_name="Rock 1"))
    rows.append(small.row(2000, artist_id=7, subset="large", genre_top=""))
    clips[99134] = b""
    metadata, audio = small.metadata_zip(rows), small.audio_zip(clips)
    with contextlib.ExitStack() as stack:
        table, store = (stack.enter_context(servers.serve(servers.whole(body))) for body in (metadata, audio))
        yield fma.Sources(
            (Mirror(table.url, sha1=small.sha1(metadata)),),
            {"small": (Mirror(store.url.replace(".tar.gz", ".zip"), sha1=small.sha1(audio)),)},
        )


def test_the_official_split_trains_and_the_card_counts_the_licences(own, addresses, monkeypatch, capsys):
    monkeypatch.setattr(fma, "download", partial(fma.download, sources=addresses, private_addresses=True))
    said = run_stages(
        own,
        *("download", "audit", "segment", "extract", "augment", "embed", "train", "evaluate"),
        dataset__name="fma",
        dataset__fma__subset="small",
        segment__protocol="official",
        segment__copies="keep",
        model__type="logistic",
        augment__copies__pitch=0,
        augment__copies__tempo=0,
    )
    assert said["download"] == "download: fma: 16 tracks of 2 genres in data/raw"
    split = index.read(own / "data/index")
    assert {side: sorted(split.starts(side)) for side in ("valid", "test")} == {
        "valid": ["000020", "000021", "001020", "001021"],
        "test": ["000030", "000031", "001030", "001031"],
    }
    assert {t.artist for t in split.tracks.values()} == {f"{genre} {artist}" for genre in GENRES for artist in range(4)}
    assert split.split["crossing_artists"] == 0
    assert metrics(own, "train")["data_set"] == "fma (16 tracks)"
    run_stages(own, "card")
    card = (own / "MODEL_CARD.md").read_text()
    assert (
        f"| licence | tracks |\n|---|---|\n| {small.NONCOMMERCIAL} | 8 |\n| Attribution \\| 4.0 | 4 |\n| Public Domain Mark 1.0 | 4 |\n"
        in card
    )
    assert "each recording has the licence that its artist chose" in card
    (own / "data/raw/licences.csv").unlink()
    run_stages(own, "card")
    assert "**the licences of its tracks are not listed**" in (own / "MODEL_CARD.md").read_text()


def test_the_artists_of_fma_are_kept_apart_by_the_default_protocol(own, addresses, monkeypatch):
    monkeypatch.setattr(fma, "download", partial(fma.download, sources=addresses, private_addresses=True))
    run_stages(own, "download", "audit", "segment", dataset__name="fma", segment__protocol="artist", segment__folds=4)
    split = index.read(own / "data/index")
    sides = {
        artist: {w.split for w in split.windows if split.tracks[w.track].artist == artist}
        for artist in {t.artist for t in split.tracks.values()}
    }
    assert len(sides) == 8
    assert all(len(used) == 1 for used in sides.values())


def test_a_card_of_many_licences_sums_the_rare_ones():
    lines = model_card._licence_lines({f"licence {n}": 100 - n for n in range(60)})
    assert lines[-1] == f"| 21 other licences | {sum(100 - n for n in range(39, 60))} |"
    assert len(lines) == 3 + 2 + 40
