"""FMA from loopback servers and local copies: what its authors publish, in small."""

import bz2
import contextlib
import io
import re
import tracemalloc
import warnings
import zipfile

import pytest
from helpers import fma as small
from helpers import servers

from genre_core.corpus.catalogue import count_licences, read_catalogue
from genre_core.datasets import fma, fma_table
from genre_core.datasets.copies import Mirror
from genre_core.errors import GenreError
from genre_core.util.archives import ArchiveError, unpack
from genre_core.util.files import read_csv

MP3 = b"ID3\x04" + bytes(range(256)) * 20  # `download` does not decode
ROWS = [
    small.row(2, genre_top="Hip-Hop", artist_id=1, artist_name="AWOL"),
    small.row(5, genre_top="Hip-Hop", artist_id=1, artist_name="AWOL", license="Public Domain Mark 1.0"),
    small.row(10, genre_top="Old-Time / Historic", artist_id=6, artist_name="Kurt Vile", split="validation"),
    small.row(140, artist_id=7, artist_name="=Sum(A1)", split="test", license=""),
    small.row(98565, artist_id=8),  # a known faulty clip
    small.row(3, artist_id=9, subset="medium", split="test"),
    small.row(20, artist_id=10, subset="large", genre_top=""),
    small.row(21, artist_id=10, subset="large"),
]
SMALL = {n: MP3 + bytes([n % 256]) for n in (2, 5, 10, 140, 98565)}
OPTIONS = {"timeout_s": 0.5, "tries": 3, "sleep": lambda s: None, "private_addresses": True}


def sources(metadata, audio, *, metadata_sha1=None, audio_sha1=None):
    return fma.Sources((Mirror(metadata, sha1=metadata_sha1),), dict.fromkeys(fma_table.SUBSETS, (Mirror(audio, sha1=audio_sha1),)))


def bring(tmp_path, *, subset="small", path="", partial=False, out="raw", **more):
    return fma.download(tmp_path / out, subset=subset, path=str(path), partial=partial, downloads=tmp_path / "cache", **{**OPTIONS, **more})


def bring_quietly(*arguments, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return bring(*arguments, **options)


def local(tmp_path, rows=ROWS, clips=None, kind="folder", subset="small"):
    root = tmp_path / "copy"
    root.mkdir()
    clips = SMALL if clips is None else clips
    if kind == "archives":
        (root / "fma_metadata.zip").write_bytes(small.metadata_zip(rows))
        (root / f"fma_{subset}.zip").write_bytes(small.audio_zip(clips, subset))
        return root
    (root / "fma_metadata").mkdir()
    (root / "fma_metadata/tracks.csv").write_text(small.tracks_csv(rows))
    for number, content in clips.items():
        target = root / f"fma_{subset}" / small.clip_path(number)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    return root


def test_the_published_archives_are_named_with_their_checksums():
    published = fma.Sources()
    assert [m.sha1 for m in published.metadata] == ["f0df49ffe5f2a6008d7dc83c6915b31835dfe733"]
    assert {subset: [m.url for m in mirrors] for subset, mirrors in published.audio.items()} == {
        subset: [f"https://os.unil.cloud.switch.ch/fma/fma_{subset}.zip"] for subset in ("small", "medium", "large")
    }
    assert all(re.fullmatch("[0-9a-f]{40}", m.sha1) for mirrors in published.audio.values() for m in mirrors)
    assert len(fma.FAULTY) == 21


def test_a_redirected_broken_download_is_resumed_verified_and_unpacked(tmp_path):
    metadata, audio = small.metadata_zip(ROWS), small.audio_zip(SMALL)
    with contextlib.ExitStack() as stack:
        store = stack.enter_context(servers.serve(servers.cut(audio, 3000), servers.whole(audio)))
        table = stack.enter_context(servers.serve(servers.whole(metadata)))
        front = stack.enter_context(servers.serve(servers.redirect(store.url)))
        addresses = sources(table.url, front.url, metadata_sha1=small.sha1(metadata), audio_sha1=small.sha1(audio))
        with pytest.warns(UserWarning, match="1 known faulty clips, .* left out: 098565"):
            tracks = bring(tmp_path, sources=addresses)
        assert store.asked == ["", "bytes=3000-"]
        asked = len(front.asked)
        bring_quietly(tmp_path, out="raw2", sources=addresses)
        assert len(front.asked) == asked  # the archives are kept
    assert read_catalogue(tmp_path / "raw") == tracks
    assert [(t.track, t.path, t.genre, t.artist, t.split) for t in tracks] == [
        ("000002", "000/000002.mp3", "Hip-Hop", "AWOL", "train"),
        ("000005", "000/000005.mp3", "Hip-Hop", "AWOL", "train"),
        ("000010", "000/000010.mp3", "Old-Time / Historic", "Kurt Vile", "valid"),
        ("000140", "000/000140.mp3", "Rock", "=Sum(A1)", "test"),
    ]
    assert {t.track: (tmp_path / "raw" / t.path).read_bytes() for t in tracks} == {f"{n:06d}": SMALL[n] for n in (2, 5, 10, 140)}
    assert not (tmp_path / "raw/098").exists()
    assert [row["track"] for row in read_csv(tmp_path / "raw/report.csv")] == ["098565"]
    assert count_licences(tmp_path / "raw", [t.track for t in tracks]) == {
        small.NONCOMMERCIAL: 2,
        "Public Domain Mark 1.0": 1,
        "not stated": 1,
    }
    assert not (tmp_path / "cache/tracks").exists()


@pytest.mark.parametrize(("subset", "expected"), [("small", 4), ("medium", 5), ("large", 6)])
def test_a_larger_subset_holds_the_smaller_ones_and_tracks_without_a_top_genre_are_counted(tmp_path, subset, expected):
    root = local(tmp_path, clips={**SMALL, 3: MP3, 20: MP3, 21: MP3}, subset="large")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert len(bring(tmp_path, subset=subset, path=root)) == expected
    without_genre = [str(w.message) for w in caught if "no top genre" in str(w.message)]
    assert without_genre == (["fma large: 1 of 8 tracks have no top genre and are left out"] if subset == "large" else [])


@pytest.mark.parametrize("kind", ["folder", "archives"])
@pytest.mark.parametrize("named", ["", "audio"])
def test_a_local_copy_in_every_layout(tmp_path, kind, named):
    root = local(tmp_path, kind=kind)
    path = root if not named else root / ("fma_small" if kind == "folder" else "fma_small.zip")
    tracks = bring_quietly(tmp_path, path=path)
    assert [t.track for t in tracks] == ["000002", "000005", "000010", "000140"]
    assert (tmp_path / "raw/000/000140.mp3").read_bytes() == SMALL[140]


def test_an_incomplete_copy_must_be_asked_for(tmp_path):
    root = local(tmp_path, clips={2: MP3, 140: MP3})
    with pytest.raises(GenreError, match=r"2 of 4 clips of FMA's subset small are missing \(000005, 000010, .*dataset\.fma\.partial: true"):
        bring_quietly(tmp_path, path=root)
    assert not (tmp_path / "raw/catalogue.csv").exists()
    with pytest.warns(UserWarning, match="2 clips are missing"), pytest.warns(UserWarning, match="known faulty"):
        assert len(bring(tmp_path / "b", path=root, partial=True)) == 2
    assert [(r["track"], r["problem"]) for r in read_csv(tmp_path / "b/raw/report.csv")][:2] == [
        ("000005", "missing"),
        ("000010", "missing"),
    ]
    (root / "fma_small").rename(root / "elsewhere")
    (root / "elsewhere/000").rename(root / "elsewhere/x")
    with pytest.raises(GenreError, match=r"holds no clip of FMA's subset small; expected fma_small\.zip, or a folder fma_small"):
        bring_quietly(tmp_path / "c", path=root, partial=True)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("nothing", r"dataset\.fma\.path: .*nothing.* is missing"),
        ("empty/in", "holds neither fma_metadata.zip nor fma_metadata/tracks.csv"),
    ],
)
def test_a_wrong_path_names_the_remedy(tmp_path, path, words):
    (tmp_path / "empty/in").mkdir(parents=True)
    with pytest.raises(GenreError, match=words):
        bring(tmp_path, path=tmp_path / path)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (servers.page, "a web page, not with the file"),
        (servers.status(404), "answered 404"),
        (servers.whole(b"PK\x03\x04" + b"no archive" * 300), "the SHA-1 is .*, expected"),
        (servers.cut(b"x" * 9000, 10), "the connection ended after|given up after"),
    ],
)
def test_a_server_that_fails_costs_one_line_and_leaves_nothing(tmp_path, capsys, answer, words):
    metadata = small.metadata_zip(ROWS)
    with servers.serve(servers.whole(metadata)) as table, servers.serve(answer) as store:
        addresses = sources(table.url, store.url, audio_sha1=small.sha1(b"the right one"))
        with pytest.raises(GenreError, match=f"fma could not be fetched: .*({words}).*dataset.fma.path=/path/to/folder") as caught:
            bring_quietly(tmp_path, sources=addresses)
    assert "\n" not in str(caught.value)
    assert capsys.readouterr().out.count("mirror failed") == 1
    assert not (tmp_path / "raw").exists()


def damaged(archive):
    """One bit of a clip is wrong, which only its CRC tells."""
    stored = small.audio_zip(SMALL, compression=zipfile.ZIP_STORED)
    at = stored.index(MP3)
    return stored[: at + 100] + bytes([stored[at + 100] ^ 1]) + stored[at + 101 :] if archive == "bit" else small.audio_zip(SMALL)[:-3000]


@pytest.mark.parametrize("archive", ["bit", "cut"])
def test_damage_inside_an_archive_without_a_checksum_is_noticed(tmp_path, archive):
    with contextlib.ExitStack() as stack:
        table, store = (stack.enter_context(servers.serve(servers.whole(b))) for b in (small.metadata_zip(ROWS), damaged(archive)))
        stack.enter_context(pytest.raises(GenreError, match="broken or not readable"))
        bring_quietly(tmp_path, sources=sources(table.url, store.url))
    assert not (tmp_path / "raw").exists()
    assert len(list((tmp_path / "cache").glob("*.tar.gz"))) == 1  # the metadata; a later run must not use the broken archive


def test_a_bomb_of_bzip2_is_stopped_in_little_memory(tmp_path):
    zeros = 200_000_000
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_BZIP2) as opened, opened.open("fma_small/000/000002.mp3", "w") as member:
        for _ in range(zeros // 1_000_000):
            member.write(bytes(1_000_000))
    (tmp_path / "bomb.zip").write_bytes(buffer.getvalue())
    assert len(buffer.getvalue()) < 2_000
    tracemalloc.start()
    try:
        with pytest.raises(ArchiveError, match="unpacks to more than is allowed"):
            unpack(tmp_path / "bomb.zip", lambda member: "x.mp3", tmp_path / "out", max_file_bytes=20_000_000)
        assert tracemalloc.get_traced_memory()[1] < 30_000_000
    finally:
        tracemalloc.stop()
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize("size", [0, 1, 1_048_576, 3_000_001])
def test_bzip2_members_keep_every_byte_and_a_wrong_one_is_noticed(tmp_path, size, rng):
    content = rng.bytes(size)
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_BZIP2) as opened:
        opened.writestr("a.mp3", content)
    unpack(path, lambda member: member.name, tmp_path / "out")
    assert (tmp_path / "out/a.mp3").read_bytes() == content
    other = bz2.compress(content + b"x")  # a valid stream of other bytes than the table of contents says
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as opened:
        opened.writestr("a.mp3", other)
    data = bytearray(path.read_bytes())
    data[8] = 12  # method bzip2, in both headers
    data[data.index(b"PK\x01\x02") + 10] = 12
    path.write_bytes(data)
    with pytest.raises(ArchiveError, match=r"bad CRC-32 or length of 'a\.mp3'"):
        unpack(path, lambda member: member.name, tmp_path / "out2")
    assert not list((tmp_path / "out2").iterdir())


def read_rows(tmp_path, rows, subset="small"):
    (tmp_path / "tracks.csv").write_text(small.tracks_csv(rows), encoding="utf-8")
    return fma_table.read(tmp_path / "tracks.csv", subset)


def test_two_artists_of_one_name_stay_two_in_every_subset(tmp_path):
    rows = [
        small.row(1, artist_id=1, artist_name="Them"),
        small.row(2, artist_id=2, artist_name="Them", split="test"),
        small.row(3, artist_id=3, artist_name="Cafe\u0301"),
        small.row(4, artist_id=4, artist_name="Caf\u00e9", subset="large"),
        small.row(5, artist_id=5, artist_name="Alone"),
    ]
    assert [c.artist for c in read_rows(tmp_path, rows)] == ["Them (1)", "Them (2)", "Caf\u00e9 (3)", "Alone"]


def test_unusable_names_and_licences_are_replaced_not_fatal(tmp_path):
    names = ["a</script>b", "a\x1b[2Jb", "x" * 5000, ""]
    rows = [small.row(n, artist_id=n + 1, artist_name=name) for n, name in enumerate(names)]
    rows[0]["license"], rows[1]["license"] = "<!-- x", "Attribution\n4.0"
    clips = read_rows(tmp_path, rows)
    assert [(c.artist, c.renamed) for c in clips] == [("artist 1", True), ("artist 2", True), ("artist 3", True), ("artist 4", False)]
    assert [c.licence for c in clips][:2] == ["not readable", "Attribution 4.0"]
    with pytest.warns(UserWarning, match="names of 3 artists have control characters, HTML or more than 200 letters"):
        bring(tmp_path, path=local(tmp_path, rows=rows, clips=dict.fromkeys(range(4), MP3)))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"track_id": "../../etc"}, r"line 4: track_id '\.\./\.\./etc' is not a number"),
        ({"track_id": "1234567"}, "not a number of at most six digits"),
        ({"split": "train"}, "subset 'small' and split 'train'; expected small, medium, large and training, validation, test"),
        ({"subset": "tiny"}, "subset 'tiny'"),
        ({"genre_top": "Rock</script>"}, "genre 'Rock</script>' holds HTML"),
        ({"genre_top": "Rock\x00"}, "has control characters|not readable"),
        ({"artist_id": "one"}, "artist id 'one' is not a number"),
    ],
)
def test_a_table_that_is_not_fma_s_is_refused_with_its_line(tmp_path, change, words):
    with pytest.raises(GenreError, match=words):
        read_rows(tmp_path, [small.row(1, **change)])


def test_other_tables_are_refused(tmp_path):
    path = tmp_path / "tracks.csv"
    with pytest.raises(GenreError, match="track 000002 occurs twice"):
        read_rows(tmp_path, [small.row(2), small.row(2)])
    with pytest.raises(GenreError, match="164 top genres, FMA has 16"):
        read_rows(tmp_path, [small.row(n, genre_top=f"genre {n}") for n in range(164)])
    with pytest.raises(GenreError, match="no track of the subset small"):
        read_rows(tmp_path, [small.row(2, subset="large")])
    path.write_text(small.tracks_csv([small.row(2)], [title for title in small.TITLES if title != ("set", "split")]))
    with pytest.raises(GenreError, match=r"no column set\.split in the three header rows"):
        fma_table.read(path, "small")
    path.write_text("track_id,genre\n2,Rock\n")
    with pytest.raises(GenreError, match="three header rows"):
        fma_table.read(path, "small")
    path.write_text(small.tracks_csv([small.row(2)]) + "3,1\n")
    with pytest.raises(GenreError, match=r"line 6: 2 cells, expected 53"):
        fma_table.read(path, "small")
    path.write_bytes(small.tracks_csv([small.row(2)]).encode() + b"\xff\xfe\n")
    with pytest.raises(GenreError, match="not readable as UTF-8 CSV"):
        fma_table.read(path, "small")
    path.write_text(small.tracks_csv([small.row(2)]) + '3,"' + "x" * 11_000_000)
    with pytest.raises(GenreError, match="field larger than field limit"):
        fma_table.read(path, "small")


def test_a_long_biography_is_read_and_not_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(small, "BIOGRAPHY", "x" * 200_000)  # more than the csv module's own limit
    (tmp_path / "tracks.csv").write_text(small.tracks_csv([small.row(n) for n in range(100)]))
    tracemalloc.start()
    try:
        assert len(fma_table.read(tmp_path / "tracks.csv", "small")) == 100
        assert tracemalloc.get_traced_memory()[1] < 5_000_000  # of 20 MB
    finally:
        tracemalloc.stop()
