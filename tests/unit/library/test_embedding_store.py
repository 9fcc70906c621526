"""The store of embeddings keeps what it gets, computes nothing twice, and believes nobody."""

import shutil
import sqlite3

import mutagen.flac
import numpy as np
import pytest
import soundfile
from helpers.serving import music

from genre_core.audio.io import decode
from genre_core.errors import GenreError
from genre_core.inference.predictor import Predictor
from genre_core.library import embedding_store, embeddings
from genre_core.library.embedding_store import Embedding, EmbeddingStore, File
from genre_core.models.frontend import compute_spectrograms, features

VERSION = "v"
AUDIO = bytes(range(32))
MEAN = np.linspace(-3, 3, 200).astype(np.float16)
FILE = File("/m/a\udce9.flac", 10, 20, bytes(32), AUDIO, "Nina Simone")


@pytest.fixture(scope="module")
def embedder():
    return embeddings.Embedder()


@pytest.fixture
def folder(tmp_path):
    """Three files of music, one of them with an artist in its tags."""
    (tmp_path / "m").mkdir()
    for seed in range(3):
        soundfile.write(tmp_path / f"m/{seed}.flac", music(4, seed=seed), 22050)
    tag(tmp_path / "m/0.flac", "Nina Simone")
    return tmp_path / "m"


@pytest.fixture
def filled(tmp_path):
    with EmbeddingStore(tmp_path / "s.sqlite", VERSION) as store:
        store.add([FILE], [Embedding(AUDIO, 30.0, MEAN)])
    return tmp_path / "s.sqlite"


def tag(path, artist):
    flac = mutagen.flac.FLAC(path)
    flac["artist"] = artist
    flac.save()


def execute(path, *statements):
    """Change a store as a stranger would."""
    db = sqlite3.connect(path)
    for statement in statements:
        db.execute(*([statement] if isinstance(statement, str) else statement))
    db.commit()
    db.close()


def everything(path):
    with EmbeddingStore(path, VERSION) as store:
        return store.files(), store.embeddings()


def test_what_is_stored_is_read_again(filled):
    files, found = everything(filled)
    assert files == {FILE.path: FILE}
    assert found[AUDIO].seconds == 30.0
    np.testing.assert_array_equal(found[AUDIO].mean, MEAN)


def test_files_of_a_folder_and_embeddings_of_a_version_are_read_apart(filled):
    with EmbeddingStore(filled, VERSION) as store:
        assert list(store.files("/m")) == [FILE.path]
        assert list(store.files("/")) == [FILE.path]
        assert store.files("/m/a") == store.files("/n") == {}
        assert store.embeddings([bytes(32)]) == {}
    with EmbeddingStore(filled, "another") as store:
        assert store.known() == set()
        assert store.embeddings() == {}


def test_a_second_run_computes_nothing(tmp_path, folder, embedder):
    with EmbeddingStore(tmp_path / "s.sqlite", embedder.version) as store:
        first = embeddings.update(store, embedder, sorted(folder.iterdir()))
        assert (first.computed, first.failed) == (3, {})
        assert first.files[str(folder / "0.flac")].artist == "Nina Simone"
    with EmbeddingStore(tmp_path / "s.sqlite", embedder.version) as store:
        second = embeddings.update(store, embedder, sorted(folder.iterdir()))
        assert (second.computed, second.files) == (0, first.files)


def test_only_new_audio_is_computed_not_new_names_times_or_tags(tmp_path, folder, embedder, monkeypatch):
    decoded = []
    monkeypatch.setattr(embeddings, "decode", lambda path, **more: decoded.append(path) or decode(path, **more))
    with EmbeddingStore(tmp_path / "s.sqlite", embedder.version) as store:
        before = embeddings.update(store, embedder, folder.iterdir()).files
        (folder / "0.flac").rename(folder / "moved.flac")
        tag(folder / "1.flac", "Miles Davis")
        (folder / "2.flac").touch()
        shutil.copy(folder / "2.flac", folder / "copy.flac")
        decoded.clear()
        done = embeddings.update(store, embedder, folder.iterdir())
        assert done.computed == 0
        assert decoded == [str(folder / "1.flac")]  # the only one with a new content
        assert done.files[str(folder / "1.flac")].artist == "Miles Davis"
        assert done.files[str(folder / "moved.flac")].audio == before[str(folder / "0.flac")].audio
        assert done.files[str(folder / "copy.flac")].audio == before[str(folder / "2.flac")].audio
        soundfile.write(folder / "1.flac", music(4, seed=7), 22050)
        done = embeddings.update(store, embedder, folder.iterdir())
        assert done.computed == 1
        assert done.files[str(folder / "1.flac")].audio != before[str(folder / "1.flac")].audio
        np.testing.assert_array_equal(
            store.embeddings()[done.files[str(folder / "1.flac")].audio].mean,
            embedder.embed(decode(folder / "1.flac", sample_rate=embedder.sample_rate)).mean,
        )


def test_artists_are_read_once_tags_can_be_read(tmp_path, folder, embedder, monkeypatch):
    with EmbeddingStore(tmp_path / "s.sqlite", embedder.version) as store:
        monkeypatch.setattr(embeddings, "find_spec", lambda name: None)
        assert {file.artist for file in embeddings.update(store, embedder, folder.iterdir()).files.values()} == {None}
        monkeypatch.undo()
        done = embeddings.update(store, embedder, folder.iterdir())
        assert done.computed == 0
        assert sorted(file.artist for file in done.files.values()) == ["", "", "Nina Simone"]


def test_a_file_that_cannot_be_used_is_one_line_and_the_rest_goes_on(tmp_path, folder, embedder):
    (folder / "text.mp3").write_text("no audio at all, only text")
    (folder / "empty.wav").touch()
    soundfile.write(folder / "short.wav", music(1), 22050)
    soundfile.write(folder / "silent.wav", np.zeros(5 * 22050), 22050)
    with EmbeddingStore(tmp_path / "s.sqlite", embedder.version) as store:
        done = embeddings.update(store, embedder, [*folder.iterdir(), folder / "missing.wav", folder])
        assert done.computed == len(store.known()) == 3
    reasons = {path.rsplit("/", 1)[1]: reason for path, reason in done.failed.items()}
    assert all(reason.startswith(path) and "\n" not in reason for path, reason in done.failed.items())
    assert "not audio that can be decoded" in reasons["text.mp3"]
    assert "empty file" in reasons["empty.wav"]
    assert "too short: 1.00 s, at least 3 s" in reasons["short.wav"]
    assert "silent" in reasons["silent.wav"]
    assert "no such file" in reasons["missing.wav"]
    assert "is a folder" in reasons["m"]


def test_an_embedding_is_the_mean_of_what_the_predictor_reads(tmp_path, folder, embedder):
    predictor = Predictor("pretrained")
    audio = decode(folder / "0.flac", sample_rate=predictor.sample_rate)
    rows = features(predictor.model, compute_spectrograms(predictor.model, audio.y, audio.sample_rate))["musicnn"]
    np.testing.assert_array_equal(embedder.embed(audio).mean, rows[:, 50:250].astype("f8").mean(0).astype("f2"))


def test_the_level_of_a_recording_does_not_matter(folder, embedder):
    audio = decode(folder / "0.flac", sample_rate=embedder.sample_rate)
    soft = type(audio)(audio.y * np.float32(0.1), audio.sample_rate, audio.source)
    a, b = (embedder.embed(one).mean.astype("f4") for one in (audio, soft))
    assert a @ b / np.linalg.norm(a) / np.linalg.norm(b) > 0.9999


def test_a_store_that_cannot_be_written_keeps_what_it_has(filled):
    with EmbeddingStore(filled, VERSION) as store:
        store._db.execute("PRAGMA max_page_count = 5")  # a full disk
        many = [Embedding(bytes([i % 256, i // 256]) + bytes(30), 1.0, MEAN) for i in range(500)]
        with pytest.raises(GenreError, match=r"s\.sqlite: database or disk is full; name another file with --store PATH$"):
            store.add([], many)
        assert store.known() == {AUDIO}
    assert everything(filled)[0] == {FILE.path: FILE}


def test_a_call_is_written_whole_or_not_at_all(filled):
    too_long = File("/m/b.flac", 1, 1, bytes(32), bytes(32), "a" * 200_000)
    with EmbeddingStore(filled, VERSION) as store:
        with pytest.raises(GenreError, match="too big"):
            store.add([too_long], [Embedding(bytes(32), 1.0, MEAN)])
        assert store.known() == {AUDIO}
    assert everything(filled)[0] == {FILE.path: FILE}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"only text " * 1000, "is not a store of embeddings; name another file"),
        (b"SQLite format 3\0" + bytes(5000), "is not a store of embeddings"),
        (b"", "is not a store of embeddings"),
    ],
)
def test_a_file_that_is_no_store_is_refused_and_stays(tmp_path, content, message):
    (tmp_path / "s.sqlite").write_bytes(content)
    with pytest.raises(GenreError, match=rf"s\.sqlite: .*{message}"):
        EmbeddingStore(tmp_path / "s.sqlite", VERSION, create=False)
    assert (tmp_path / "s.sqlite").read_bytes() == content


def test_a_missing_store_is_created_only_on_demand(tmp_path):
    with pytest.raises(GenreError, match="no such file"):
        EmbeddingStore(tmp_path / "s.sqlite", VERSION, create=False)
    (tmp_path / "file").touch()
    with pytest.raises(GenreError, match=r"cannot be created: .*; name another file with --store PATH"):
        EmbeddingStore(tmp_path / "file/s.sqlite", VERSION)
    with pytest.raises(GenreError, match="is a folder"):
        EmbeddingStore(tmp_path, VERSION)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_damage_is_one_clear_error(filled):
    whole = filled.read_bytes()
    for damaged in (whole[:5000], whole[:4096] + bytes(len(whole) - 4096), whole[:4096] + b"\xff" * (len(whole) - 4096)):
        filled.write_bytes(damaged)
        with pytest.raises(GenreError, match=r"s\.sqlite: damaged: .*; remove the file, and its embeddings are computed again"):
            everything(filled)


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("PRAGMA application_id = 1", "is not a store of embeddings"),
        ("PRAGMA user_version = 2", "has version 2 of the store, this program reads version 1"),
        ("CREATE TRIGGER t AFTER INSERT ON files BEGIN DELETE FROM embeddings; END", "its tables are not those"),
        ("CREATE VIEW v AS SELECT randomblob(1000000000)", "its tables are not those"),
        ("CREATE TABLE more (x)", "its tables are not those"),
        ("ALTER TABLE files ADD COLUMN x AS (zeroblob(1000000000))", "its tables are not those"),
        ("DROP TABLE files", "its tables are not those"),
        ("UPDATE embeddings SET mean = zeroblob(399)", "an embedding has values"),
        ("UPDATE embeddings SET mean = zeroblob(400)", "only zeros"),
        (("UPDATE embeddings SET mean = ?", (np.full(200, np.nan, "<f2").tobytes(),)), "not finite"),
        (("UPDATE embeddings SET mean = ?", (np.full(200, np.inf, "<f2").tobytes(),)), "not finite"),
        ("UPDATE embeddings SET mean = 'text'", "an embedding has values"),
        ("UPDATE embeddings SET audio = zeroblob(31)", "an embedding has values"),
        ("UPDATE embeddings SET audio = 'text'", "an embedding has values"),
        ("UPDATE embeddings SET seconds = 1e300", "an embedding has values"),
        ("UPDATE embeddings SET seconds = -1.0", "an embedding has values"),
        ("UPDATE embeddings SET seconds = 'text'", "an embedding has values"),
        ("UPDATE embeddings SET mean = zeroblob(2000000)", "damaged"),
        ("UPDATE files SET path = x'2f00'", "a file has values"),
        ("UPDATE files SET size = 'text'", "a file has values"),
        ("UPDATE files SET content = zeroblob(31)", "a file has values"),
        ("UPDATE files SET artist = replace(hex(zeroblob(1000)), '0', 'a')", "a file has values"),
        ("UPDATE files SET artist = x'ff'", "a file has values"),
        ("UPDATE files SET artist = CAST(x'ff' AS TEXT)", "damaged"),
    ],
)
def test_a_hostile_store_is_refused(filled, statement, message):
    execute(filled, statement)
    before = filled.read_bytes()
    with pytest.raises(GenreError, match=rf"s\.sqlite: .*{message}"):
        everything(filled)
    assert filled.read_bytes() == before


def test_the_default_place_is_the_cache_of_the_user(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert embedding_store.default_path() == tmp_path / "genre-pipeline/embeddings.sqlite"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert embedding_store.default_path() == tmp_path / ".cache/genre-pipeline/embeddings.sqlite"
