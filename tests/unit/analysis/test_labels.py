"""Planted wrong labels are found; what cannot be judged is said."""

from dataclasses import replace

import numpy as np
import pytest

from experiments.labels import confident_learning
from genre_core.analysis import labels
from genre_core.corpus.catalogue import Track
from genre_core.reports import labels as labels_report
from genre_core.util.files import read_csv

GENRES = ("jazz", "pop", "rock")


def library(rng, artists=8, tracks=3, spread=1.0):
    """Tracks of three genres, and statistics around a point of each genre."""
    made, x = [], []
    for i, genre in enumerate(GENRES):
        for artist in range(artists):
            for n in range(tracks):
                name = f"{genre}/{artist}-{n}.wav"
                made.append(Track(name, name, genre, f"{genre} artist {artist}"))
                x.append(3 * np.eye(3)[i].repeat(4) + rng.normal(0, spread, 12))
    return made, np.array(x)


def test_an_example_that_can_be_followed_by_hand():
    p = np.array(
        [
            [0.8, 0.1, 0.1],  # right
            [0.2, 0.7, 0.1],  # below a third, and another genre is more probable: listed
            [0.1, 0.2, 0.7],  # the same, and less probable: before it
            [0.36, 0.44, 0.2],  # another genre is more probable, but not less probable than by chance
            [0.05, 0.9, 0.05],  # cannot be judged
            [0.0, 0.3, 0.7],  # another label, listed after the lowest
        ]
    )
    given, judged = np.array([0, 0, 0, 0, 0, 1]), np.array([True, True, True, True, False, True])
    assert labels.suspicious(p, given, judged) == [2, 1, 5]


@pytest.mark.parametrize("seed", range(10))
def test_the_comparison_is_confident_learning_as_the_paper_words_it(seed):
    rng = np.random.default_rng(seed)
    p, given, judged = rng.dirichlet(np.full(4, 0.5), 60), rng.integers(0, 4, 60), rng.random(60) < 0.8
    judged[given == seed % 5] = False  # in most cases, one genre has no judged track
    means = {}
    for genre in range(4):
        if values := [p[i][genre] for i in range(60) if judged[i] and given[i] == genre]:
            means[genre] = sum(values) / len(values)
    thresholds = [means.get(genre, sum(means.values()) / len(means)) for genre in range(4)]
    listed = []
    for i in range(60):
        above = [genre for genre in range(4) if p[i][genre] >= thresholds[genre]]
        confident = max(above, key=lambda genre: p[i][genre], default=given[i])
        if judged[i] and confident != given[i] and max(p[i]) > p[i][given[i]]:
            listed.append((p[i][given[i]], i))
    assert confident_learning(p, given, judged) == [i for _, i in sorted(listed)]


def test_planted_labels_come_first_with_the_right_suggestion(rng):
    tracks, x = library(rng)
    planted = {5: "rock", 30: "jazz", 40: "rock", 60: "pop"}
    wrong = [replace(track, genre=planted.get(i, track.genre)) for i, track in enumerate(tracks)]
    found = labels.find(wrong, x)
    assert {s.path for s in found.suspects[:4]} == {tracks[i].path for i in planted}
    truth = {track.path: track.genre for track in tracks}
    assert all(s.suggested == truth[s.path] for s in found.suspects[:4])
    assert [s.p_genre for s in found.suspects] == sorted(s.p_genre for s in found.suspects)
    assert all(s.margin == pytest.approx(s.p_genre - s.p_suggested, abs=1e-3) and s.margin < 0 for s in found.suspects)
    assert (found.judged, found.notes) == (72, [])
    assert len(labels.find(tracks, x).suspects) <= 1


def test_a_track_is_not_judged_by_its_copy(rng):
    """A copy of a recording in another genre teaches the wrong label: a pair keeps the two in one fold."""
    tracks, x = library(rng)
    copies = [Track(f"rock/copy-{i}.wav", f"rock/copy-{i}.wav", "rock", f"sampler {i}") for i in range(3)]
    alone = [0, 24, 4]  # jazz, pop, jazz
    far = x[alone] + 6 * rng.normal(0, 1, (3, 12))  # unlike all others: only its copy is like it
    x[alone] = far
    everything, values = [*tracks, *copies], np.vstack([x, far])
    pairs = [(tracks[i].path, copy.path) for i, copy in zip(alone, copies, strict=True)]

    def probabilities(pairs):
        made = []
        labels.find(everything, values, pairs, select=lambda p, given, judged: made.append(p) or [])
        return made[0]

    together, apart = probabilities(pairs), probabilities([])
    numbers = list(zip(alone, range(len(tracks), len(everything)), strict=True))
    assert all(together[first] == pytest.approx(together[copy]) for first, copy in numbers)  # one head judges both
    assert any(apart[first] != pytest.approx(apart[copy]) for first, copy in numbers)


def test_a_genre_of_one_artist_is_not_judged_but_can_be_suggested(rng):
    tracks, x = library(rng)
    tracks = [replace(track, artist="Bach") if track.genre == "jazz" else track for track in tracks]
    tracks[40] = replace(tracks[40], genre="rock")
    x[40] = x[:24].mean(0)  # sounds like jazz
    found = labels.find(tracks, x)
    assert [(s.path, s.suggested) for s in found.suspects[:1]] == [(tracks[40].path, "jazz")]
    assert not [s for s in found.suspects if s.genre == "jazz"]
    assert found.notes == ["jazz: 24 of 24 labels are not judged: there are fewer than 3 tracks by other artists"]
    assert found.judged == 48


def test_unknown_artists_are_artists_of_their_own(rng):
    tracks, x = library(rng)
    assert labels.find([replace(track, artist="") for track in tracks], x).judged == 72


def test_too_little_to_judge_is_said_and_does_not_fail(rng):
    tracks, x = library(rng, artists=1)
    assert labels.find(tracks, x).suspects == []
    assert len(labels.find(tracks, x).notes) == 3
    assert "two genres are needed" in labels.find(tracks[:3], x[:3]).notes[0]
    assert "0 genres" in labels.find([], np.zeros((0, 12))).notes[0]


def test_the_page_and_the_table_hold_the_list_and_escape_it(tmp_path):
    suspects = [labels.Suspect("rock/a|b\n.wav", "rock", "=jazz", 0.01, 0.9, -0.89)]
    found = labels.LabelCheck(suspects, 9, ["a note"])
    labels_report.write_table(suspects, tmp_path)
    labels_report.write_page(found, tmp_path, title="mine")
    page = (tmp_path / "report.md").read_text()
    assert "| rock/a\\|b\\\\n.wav | rock | =jazz | 0.01 | 0.9 | -0.89 |" in page.replace("\\n", "\\\\n")
    assert "- a note" in page
    (row,) = read_csv(tmp_path / "labels.csv", strip=False)
    assert (row["path"], row["suggested"], list(row)) == (
        "rock/a|b\n.wav",
        "=jazz",
        ["path", "genre", "suggested", "p_genre", "p_suggested", "margin"],
    )
    labels_report.write_page(None, tmp_path, title="mine")
    assert "were not checked" in (tmp_path / "report.md").read_text()
