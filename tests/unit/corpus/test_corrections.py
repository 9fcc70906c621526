"""A user's corrections of labels: what they change, and what is refused."""

import pytest

from genre_core.corpus.catalogue import Track
from genre_core.corpus.corrections import correct, read_corrections
from genre_core.corpus.index import read_tracks
from genre_core.corpus.segment import build
from genre_core.errors import GenreError
from genre_core.util.files import read_csv, write_csv

TRACKS = [
    Track("a", "rock/a.wav", "rock"),
    Track("b", "rock/b.wav", "rock"),
    Track("c", "pop/c.wav", "pop"),
    Track("d", "pop/caf\u00e9.wav", "pop"),
]


def corrected(tmp_path, text):
    path = tmp_path / "labels.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return correct(TRACKS, read_corrections(path), path)


def genres(result):
    return {track.track: track.genre for track in result.tracks}


def test_a_header_alone_changes_nothing(tmp_path):
    result = corrected(tmp_path, "path,genre\n")
    assert (result.tracks, result.left_out, result.changed) == (TRACKS, [], 0)


def test_a_row_replaces_the_genre_and_an_empty_one_leaves_the_track_out(tmp_path):
    rows = "rock/a.wav, pop ,pop,0.1,0.9,-0.8\nrock/b.wav,rock\npop/c.wav,,x\n"
    result = corrected(tmp_path, f"path,genre,suggested,p_genre,p_suggested,margin\n{rows}")
    assert genres(result) == {"a": "pop", "b": "rock", "d": "pop"}
    assert [track.track for track in result.left_out] == ["c"]
    assert result.changed == 1


def test_rows_appended_to_a_file_with_two_columns_are_read(tmp_path):
    assert genres(corrected(tmp_path, "path,genre\npop/c.wav,rock,rock,0.1,0.9,-0.8\n"))["c"] == "rock"


def test_letters_may_be_decomposed_and_lines_may_end_as_on_windows(tmp_path):
    text = "\ufeffpath,genre\r\npop/cafe\u0301.wav,rock\r\n,,\r\n\r\n"
    assert genres(corrected(tmp_path, text))["d"] == "rock"


def test_a_name_like_a_formula_comes_back(tmp_path):
    track = Track("=a", "=x/a.wav", "=x")
    write_csv(tmp_path / "labels.csv", ["path", "genre"], [{"path": track.path, "genre": "rock"}])
    result = correct([track, *TRACKS], read_corrections(tmp_path / "labels.csv"), "labels.csv")
    assert genres(result)["=a"] == "rock"


def test_unknown_paths_and_new_genres_are_said(tmp_path):
    with pytest.warns(UserWarning, match=r"2 rows have no effect.*line 2, 'gone/x.wav'"):
        assert corrected(tmp_path, "path,genre\ngone/x.wav,rock\n../../etc/passwd,rock\n").tracks == TRACKS
    with pytest.warns(UserWarning, match="line 3: genre 'Rok' is new"):
        assert genres(corrected(tmp_path, "path,genre\nrock/b.wav,rock\nrock/a.wav,Rok\n"))["a"] == "Rok"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("path,genre\nrock/a.wav,rock\nrock/a.wav,pop\n", "line 3: path 'rock/a.wav' has another genre in line 2; keep one row"),
        ("path,genre\n,rock\n", "line 2: no path"),
        ("path;genre\nrock/a.wav;pop\n", "no column path, genre; the header is: path;genre"),
        ("", "no column path, genre; the header is: (empty file)"),
        ("path,genre\nrock/a.wav,<script>alert(1)</script>\n", "line 2: genre '<script>alert(1)</script>' of 'rock/a.wav' holds HTML"),
        ('path,genre\nrock/a.wav,"po\x07p"\n', "has control characters"),
        ("path,genre\nrock/a.wav,\nrock/b.wav,\n", "leaves 2 tracks of 1 genres; at least two genres are needed"),
        (b"path,genre\nrock/a.wav,caf\xe9\n", "not readable as UTF-8 CSV"),
        (b"\x89PNG\0\0", "labels.csv"),
        ("path,genre\n" + "x" * 200_000 + ",rock\n", "not readable as UTF-8 CSV: field larger than field limit"),
    ],
)
def test_hostile_corrections_are_refused_in_one_line(tmp_path, text, words):
    with pytest.raises(GenreError) as caught:
        corrected(tmp_path, text)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    for path in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(GenreError, match=path.name):
            read_corrections(path)


def test_a_left_out_track_still_links_its_copies(tmp_path, write_tone):
    """Two copies of a track that is left out are copies of each other."""
    tracks = [Track(f"{g}{i}", f"{g}{i}.wav", g) for g in ("pop", "rock") for i in range(6)]
    for n, track in enumerate(tracks):
        write_tone(f"raw/{track.path}", hz=200 + 20 * n)
    write_csv(tmp_path / "raw/catalogue.csv", ["track", "path", "genre", "artist", "split"], [vars(t) for t in tracks])
    write_csv(tmp_path / "labels.csv", ["path", "genre"], [{"path": "pop1.wav", "genre": ""}, {"path": "pop5.wav", "genre": "rock"}])
    options = {"protocol": "track", "folds": 3, "fold": 0, "seed": 0, "seconds": 1.0, "hop_seconds": 1.0, "silence_dbfs": -60.0}
    pairs = [("pop0.wav", "pop1.wav"), ("pop1.wav", "pop2.wav")]
    summary = build(tmp_path / "raw", tmp_path / "i", copies="exclude", labels=tmp_path / "labels.csv", pairs=pairs, workers=1, **options)
    reasons = {row["track"]: row["reason"] for row in read_csv(tmp_path / "i/rejected.csv")}
    assert reasons == {"pop1": f"left out by {tmp_path / 'labels.csv'}", "pop2": "a copy of pop0"}
    assert (read_tracks(tmp_path / "i")["pop5"].genre, summary["corrected"]) == ("rock", 1)
