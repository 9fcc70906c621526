import contextlib
import io
import stat
import tarfile
import tempfile
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile
from helpers import servers
from hypothesis import given
from hypothesis import strategies as st

from genre_core.corpus.catalogue import read_catalogue
from genre_core.datasets import gtzan
from genre_core.datasets.gtzan import Mirror, place
from genre_core.errors import GenreError
from genre_core.util.archives import ArchiveError, unpack

TRACKS = ["blues.00000", "jazz.00054", "rock.00099", "metal.00001"]


def audio(track, suffix="wav"):
    buffer = io.BytesIO()
    n = gtzan.table()[track].n_samples
    y = np.random.default_rng(0).normal(0, 0.1, n).astype(np.float32)
    soundfile.write(buffer, y, 22050, format=suffix.upper(), subtype="PCM_16")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def sounds():
    return {(track, suffix): audio(track, suffix) for track in TRACKS for suffix in ("wav", "au")}


def tar(path, members, mode="w:gz"):
    with tarfile.open(path, mode) as archive:
        for name, content in members:
            info = content if isinstance(content, tarfile.TarInfo) else tarfile.TarInfo(name)
            data = b"" if isinstance(content, tarfile.TarInfo) else content
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def zipped(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


def bring(tmp_path, path="", partial=True, **options):
    return gtzan.download(
        tmp_path / "raw", path=str(path), partial=partial, downloads=tmp_path / "cache", private_addresses=True, **options
    )


def test_the_packaged_table():
    table = gtzan.table()
    assert len(table) == 1000
    assert Counter(k.genre for k in table.values()) == dict.fromkeys(
        ["blues", "classical", "country", "disco", "hiphop", "jazz", "metal", "pop", "reggae", "rock"], 100
    )
    assert Counter(k.split for k in table.values()) == {"train": 443, "valid": 197, "test": 290, "": 70}
    sides = {}
    for k in table.values():
        if k.artist and k.split:
            sides.setdefault(k.artist, set()).add(k.split)
    assert [artist for artist, used in sides.items() if len(used) > 1] == []
    for together, alone in gtzan.COLLABORATIONS.items():
        assert sides[together].isdisjoint(sides[alone])
    assert table["jazz.00054"].split == "train"


JUNK = [
    ("genres/._blues.00000.wav", b"x"),
    ("genres/.DS_Store", b"x"),
    ("genres/bextract.mf", b"x"),
    ("genres/blues/._blues.00001.au", b"x"),
]


@pytest.mark.parametrize(
    ("layout", "suffix"),
    [("genres/{g}/{t}", "au"), ("genres/{g}/{t}", "wav"), ("genres_original/{g}/{t}", "wav"), ("Data/genres_original/{g}/{t}", "wav")],
)
@pytest.mark.parametrize("kind", ["tar.gz", "zip", "folder"])
def test_every_layout_of_every_kind(tmp_path, sounds, capsys, layout, suffix, kind):
    members = [(layout.format(g=t.split(".")[0], t=t) + "." + suffix, sounds[t, suffix]) for t in TRACKS] + JUNK
    if kind == "folder":
        for name, content in members:
            (tmp_path / "copy" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "copy" / name).write_bytes(content)
        path = tmp_path / "copy"
    else:
        path = (tar if kind == "tar.gz" else zipped)(tmp_path / f"genres.{kind}", members)
    tracks = bring(tmp_path, path)
    assert {t.track for t in tracks} == set(TRACKS)
    assert read_catalogue(tmp_path / "raw") == tracks
    assert {t.track: (t.split, t.artist) for t in tracks} == {t: (gtzan.table()[t].split, gtzan.table()[t].artist) for t in TRACKS}
    for track in tracks:
        assert (tmp_path / "raw" / track.path).read_bytes() == sounds[track.track, suffix]
    assert "996 missing" in capsys.readouterr().out


def test_everything_that_is_wrong_is_in_one_table(tmp_path, sounds, capsys):
    short = sounds["rock.00099", "wav"][: len(sounds["rock.00099", "wav"]) // 2]
    y, _ = soundfile.read(io.BytesIO(short))
    buffer = io.BytesIO()
    soundfile.write(buffer, y, 22050, format="WAV")
    members = [
        ("genres/blues/blues.00000.wav", sounds["blues.00000", "wav"]),
        ("genres/jazz/jazz.00054.wav", b"\0" * 1000),
        ("genres/rock/rock.00099.wav", buffer.getvalue()),
        ("genres/polka/polka.00000.wav", sounds["blues.00000", "wav"]),
    ]
    tracks = bring(tmp_path, zipped(tmp_path / "k.zip", members))
    assert {t.track for t in tracks} == {"blues.00000", "jazz.00054", "rock.00099"}
    report = (tmp_path / "raw/report.csv").read_text()
    assert "jazz.00054,unreadable," in report
    assert "rock.00099,other length," in report
    assert "polka.00000,unknown," in report
    assert report.count(",missing,") == 997
    assert "1 unreadable" in (said := capsys.readouterr().out)
    assert "(jazz.00054)" in said


def test_a_partial_copy_must_be_asked_for(tmp_path, sounds):
    path = zipped(tmp_path / "k.zip", [("blues/blues.00000.wav", sounds["blues.00000", "wav"])])
    with pytest.raises(GenreError, match=r"999 of GTZAN's 1,000 tracks are missing .*dataset\.gtzan\.partial: true"):
        bring(tmp_path, path, partial=False)
    with pytest.raises(GenreError, match="holds no track of GTZAN"):
        bring(tmp_path / "b", zipped(tmp_path / "other.zip", [("readme.txt", b"x")]))
    with pytest.raises(GenreError, match=r"dataset\.gtzan\.path: .*neither an archive nor a folder"):
        bring(tmp_path, tmp_path / "nothing")


def test_mirrors_fall_through_with_their_reasons(tmp_path, sounds, capsys):
    good = tar(tmp_path / "good.tar.gz", [("genres/blues/blues.00000.au", sounds["blues.00000", "au"])]).read_bytes()
    options = {"timeout_s": 0.5, "tries": 2, "sleep": lambda s: None}
    allowed = {**options, "private_addresses": True}
    with (
        servers.serve(servers.status(404)) as dead,
        servers.serve(servers.page) as sign_in,
        servers.serve(servers.whole(b"no archive" * 100)) as junk,
        servers.serve(servers.cut(good, len(good) // 2), servers.whole(good)) as flaky,
    ):
        mirrors = tuple(Mirror(s.url) for s in (dead, sign_in, junk, flaky))
        assert [t.track for t in bring(tmp_path, mirrors=mirrors, **options)] == ["blues.00000"]
        said = capsys.readouterr().out
        assert "answered 404" in said
        assert "a web page" in said
        assert "broken or not readable as tar or zip" in said
        asked = len(flaky.asked)
        gtzan.download(tmp_path / "raw2", path="", partial=True, downloads=tmp_path / "cache", mirrors=(mirrors[3],), **allowed)
        assert len(flaky.asked) == asked  # kept outside of what DVC deletes
        (cached,) = (tmp_path / "cache").glob("*.tar.gz")
        cached.write_bytes(good[:-9] + b"\0" + good[-8:])  # a rotten byte: its digest is no longer that of the copy that was whole
        gtzan.download(tmp_path / "raw2", path="", partial=True, downloads=tmp_path / "cache", mirrors=(mirrors[3],), **allowed)
        assert len(flaky.asked) > asked
        assert cached.read_bytes() == good
        with pytest.raises(GenreError) as caught:
            gtzan.download(tmp_path / "raw3", path="", partial=True, downloads=tmp_path / "cache3", mirrors=mirrors[:3], **allowed)
    message = str(caught.value)
    assert all(m.url in message for m in mirrors[:3])
    assert "dataset.gtzan.path=/path/to/copy" in message
    assert "\n" not in message


def link(name, target, kind=tarfile.SYMTYPE):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return name, info


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ([("../blues.00000.wav", b"x")], "would be written outside the target folder"),
        ([("genres/../../blues.00000.wav", b"x")], "would be written outside the target folder"),
        ([("/etc/blues.00000.wav", b"x")], "would be written outside the target folder"),
        ([("C:\\blues.00000.wav", b"x")], "would be written outside the target folder"),
        ([("genres\\..\\..\\blues.00000.wav", b"x")], "would be written outside the target folder"),
        ([("a/blues.00000.wav", b"x"), ("b/blues.00000.wav", b"y")], "are both blues/blues.00000.wav"),
        ([("blues/blues.00000.wav", b"x"), ("Blues/Blues.00000.WAV", b"y")], "are both blues/blues.00000.wav"),
        ([("blues/blues.00000.wav", b"x"), ("blues/blues.00000.au", b"y")], "two files of track blues.00000"),
    ],
)
@pytest.mark.parametrize("kind", ["tar.gz", "zip"])
def test_hostile_names_are_refused(tmp_path, members, words, kind):
    path = (tar if kind == "tar.gz" else zipped)(tmp_path / f"a.{kind}", members)
    with pytest.raises(GenreError, match=words):
        bring(tmp_path / "in", path)
    assert {p.relative_to(tmp_path).parts[0] for p in tmp_path.rglob("*")} <= {"in", f"a.{kind}"}


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_are_refused(tmp_path, kind):
    path = tar(tmp_path / "a.tar", [link("genres/blues/blues.00000.wav", "/etc/passwd", kind)], mode="w")
    with pytest.raises(ArchiveError, match="not a plain file"):
        bring(tmp_path, path)


def test_a_link_in_a_zip_is_refused(tmp_path):
    info = zipfile.ZipInfo("blues/blues.00000.wav")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(ArchiveError, match="not a plain file"):
        bring(tmp_path, tmp_path / "a.zip")


@pytest.mark.parametrize("kind", ["tar.gz", "zip"])
def test_bombs_are_stopped_while_they_unpack(tmp_path, kind):
    path = (tar if kind == "tar.gz" else zipped)(tmp_path / f"a.{kind}", [(f"blues/blues.0000{i}.wav", bytes(3_000_000)) for i in range(4)])
    assert path.stat().st_size < 100_000
    for limits in ({"max_file_bytes": 1_000_000}, {"max_total_bytes": 7_000_000}):
        with pytest.raises(ArchiveError, match="unpacks to more than is allowed"):
            unpack(path, place, tmp_path / "out", **limits)
    assert not list((tmp_path / "out").rglob("*.part*"))


@pytest.mark.parametrize("kind", ["tar.gz", "zip"])
def test_a_truncated_archive_is_refused(tmp_path, sounds, kind):
    path = (tar if kind == "tar.gz" else zipped)(tmp_path / f"a.{kind}", [("blues/blues.00000.wav", sounds["blues.00000", "wav"])])
    path.write_bytes(path.read_bytes()[:-50_000])
    with pytest.raises(ArchiveError, match="broken or not readable"):
        bring(tmp_path, path)


@pytest.mark.parametrize("kind", ["w:gz", "w:bz2", "w:xz"])
def test_a_rotten_bit_is_noticed(tmp_path, sounds, kind):
    path = tar(tmp_path / "x.tar", [("genres/blues/blues.00000.wav", sounds["blues.00000", "wav"])], kind)
    data = bytearray(path.read_bytes())
    for place_of_bit in range(len(data) // 4, len(data) - 100, len(data) // 6):
        rotten = bytearray(data)
        rotten[place_of_bit] ^= 4
        path.write_bytes(rotten)
        with pytest.raises(ArchiveError):
            unpack(path, place, tmp_path / f"out{place_of_bit}")


def test_a_name_that_claims_gigabytes_is_refused_before_it_is_read(tmp_path):
    header = tarfile.TarInfo("././@LongLink")
    header.type, header.size = tarfile.GNUTYPE_LONGNAME, 600_000_000
    (tmp_path / "x.tar").write_bytes(header.tobuf(tarfile.GNU_FORMAT) + b"a" * 2_000_000)
    with pytest.raises(ArchiveError, match="a name of 600,000,000 bytes"):
        unpack(tmp_path / "x.tar", place, tmp_path / "out")


def test_a_mirror_whose_archive_lacks_tracks_falls_through(tmp_path, sounds):
    empty = tar(tmp_path / "empty.tar.gz", [("readme", b"x")]).read_bytes()
    good = tar(tmp_path / "good.tar.gz", [("blues.00000.wav", sounds["blues.00000", "wav"])]).read_bytes()
    with servers.serve(servers.whole(empty)) as first, servers.serve(servers.whole(good)) as second:
        mirrors = (Mirror(first.url), Mirror(second.url))
        assert [t.track for t in bring(tmp_path, mirrors=mirrors)] == ["blues.00000"]
        with pytest.raises(
            GenreError, match=r"could not be fetched: .*lacks 1000 .*lacks 999 of GTZAN's 1,000 tracks.*dataset\.gtzan\.path"
        ):
            gtzan.download(
                tmp_path / "raw2", path="", partial=False, downloads=tmp_path / "cache2", mirrors=mirrors, private_addresses=True
            )
    assert list((tmp_path / "cache2").glob("*")) == []


def test_a_file_cut_in_its_midst_is_in_the_report(tmp_path, sounds):
    buffer = io.BytesIO()
    y = np.random.default_rng(0).normal(0, 0.1, gtzan.table()["rock.00099"].n_samples)
    soundfile.write(buffer, y, 22050, format="FLAC")
    (tmp_path / "copy/genres").mkdir(parents=True)
    (tmp_path / "copy/genres/rock.00099.flac").write_bytes(buffer.getvalue()[:100_000])
    (tmp_path / "copy/genres/blues.00000.wav").write_bytes(sounds["blues.00000", "wav"])
    bring(tmp_path, tmp_path / "copy")
    report = (tmp_path / "raw/report.csv").read_text()
    assert "rock.00099,unreadable" in report or "rock.00099,other length" in report
    assert "blues.00000" not in report


def test_links_that_leave_the_copy_are_not_followed(tmp_path, sounds):
    for name in ("elsewhere", "copy/genres"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "elsewhere/blues.00001.wav").write_bytes(sounds["blues.00000", "wav"])
    (tmp_path / "copy/genres/blues.00000.wav").write_bytes(sounds["blues.00000", "wav"])
    (tmp_path / "copy/linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "copy/genres/blues.00001.wav").symlink_to(tmp_path / "elsewhere/blues.00001.wav")
    with pytest.warns(UserWarning, match="2 links that leave the folder"):
        assert [t.track for t in bring(tmp_path, tmp_path / "copy")] == ["blues.00000"]


@given(st.integers(0, 10_000), st.integers(0, 255), st.sampled_from(["w:gz", "w:bz2", "w:xz", "w"]))
def test_a_changed_byte_of_a_real_archive_is_read_or_refused(position, value, kind):
    with tempfile.TemporaryDirectory() as folder:
        path = tar(Path(folder) / "x", [("blues.00000.wav", b"RIFF" + bytes(range(256)) * 8)], kind)
        data = bytearray(path.read_bytes())
        data[position % len(data)] = value
        path.write_bytes(data)
        with contextlib.suppress(ArchiveError):
            unpack(path, place, Path(folder) / "out")


@given(st.binary(max_size=2000))
def test_any_bytes_are_an_archive_or_refused(data):
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.tar.gz")
        path.write_bytes(data)
        try:
            unpack(path, place, Path(folder, "out"))
        except ArchiveError as error:
            assert "\n" not in str(error)


@given(st.text(max_size=60))
def test_a_member_s_target_never_leaves(name):
    from pathlib import PurePosixPath

    target = place(PurePosixPath(name))
    assert target is None or (".." not in target and not target.startswith("/") and target.count("/") == 1)
