"""A change of tags: mutagen reads the new values, nothing else differs, and its reverse gives the same bytes."""

import mutagen
import numpy as np
import pytest
from helpers.tagged import FORMATS, PICTURE, make_all, other_fields, samples
from mutagen import flac, id3, mp3, mp4, oggopus, oggvorbis

from genre_core.errors import AudioError
from genre_core.library.tag_formats.edits import Edit, Fields, LayoutError, in_order, reverse, splice
from genre_core.library.tag_formats.formats import audio_digest, edits_for, format_of
from genre_core.library.tag_formats.reading import check_copy, read_fields

SEVERAL = Fields(("Hip-Hop", "Räp"), ("chill", "sad"), "genre=hiphop; probability=0.900; model=0123456789ab")
LONG = Fields(tuple(f"{i} " + "ü" * 150 for i in range(40)), (), "x" * 150)  # more than any padding
SHORT = Fields(("Rock",), (), "y")


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    return make_all(tmp_path_factory.mktemp("formats"), 2.0)[0].parent


def changed(path, fields):
    """Change a file as a copy that replaces it; return the edits that undo it."""
    edits = edits_for(path, fields)
    copy = path.with_name(f"copy-{path.name}")
    with path.open("rb") as source, copy.open("wb") as target:
        splice(source, target, edits)
        backwards = reverse(source, edits)
    check_copy(path, copy, fields)
    copy.replace(path)
    return backwards


def apply(path, edits):
    copy = path.with_name(f"copy-{path.name}")
    with path.open("rb") as source, copy.open("wb") as target:
        splice(source, target, edits)
    return copy.read_bytes()


@pytest.fixture(params=FORMATS)
def file(request, originals, tmp_path):
    path = tmp_path / request.param
    path.write_bytes((originals / request.param).read_bytes())
    return path


def test_values_are_separate_and_all_else_stays(file):
    audio, others, digest = samples(file), other_fields(file), audio_digest(file)
    assert read_fields(file) == Fields()
    for fields in (SEVERAL, LONG, SHORT, SEVERAL):
        before = file.read_bytes()
        moods = read_fields(file).moods
        backwards = changed(file, fields)
        assert read_fields(file) == Fields(fields.genres, fields.moods or moods, fields.note)
        assert samples(file) == audio
        assert audio_digest(file) == digest
        assert other_fields(file) == others
        assert apply(file, backwards) == before


def test_a_picture_is_not_copied_to_the_journal(file):
    backwards = changed(file, SHORT)
    assert sum(len(edit.data) for edit in backwards) < 10_000 < len(PICTURE)


def test_the_same_values_again_change_no_length(file):
    changed(file, SEVERAL)
    size = file.stat().st_size
    changed(file, SEVERAL)
    assert file.stat().st_size == size


def test_a_padding_is_used(originals, tmp_path):
    for name in ("v24.mp3", "tagged.flac", "tagged.m4a"):
        path = tmp_path / name
        path.write_bytes((originals / name).read_bytes())
        changed(path, SHORT)
        assert path.stat().st_size == (originals / name).stat().st_size, name


@pytest.mark.parametrize(("name", "version"), [("v22.mp3", 2), ("v23_v1.mp3", 3), ("v24.mp3", 4), ("tagged.aiff", 3)])
def test_the_version_of_id3_stays(originals, tmp_path, name, version):
    path = tmp_path / name
    path.write_bytes((originals / name).read_bytes())
    changed(path, SEVERAL)
    data = path.read_bytes()
    assert data[data.index(b"ID3") + 3] in (version, ord(" ")), name
    tags = mutagen.File(path).tags
    assert tags.version[1] == version
    assert ("TMOO" in tags) == (version == 4)  # version 2.3 has no such frame


def test_the_genre_of_id3v1_follows(originals, tmp_path):
    path = tmp_path / "a.mp3"
    path.write_bytes((originals / "v23_v1.mp3").read_bytes())
    before = path.read_bytes()
    changed(path, Fields(("Hip-Hop",), (), "n"))
    assert path.read_bytes()[-128:-1] == before[-128:-1]
    assert id3.TCON.GENRES[path.read_bytes()[-1]] == "Hip-Hop"
    changed(path, Fields(("hiphop",), (), "n"))
    assert path.read_bytes()[-1] == 7
    changed(path, Fields(("No such genre",), (), "n"))
    assert path.read_bytes()[-1] == 255
    changed(path, Fields((), ("sad",), "n"))
    assert path.read_bytes()[-1] == 255


def test_only_an_id3v1_genre_counts_as_a_genre(originals, tmp_path):
    path = tmp_path / "a.mp3"
    path.write_bytes((originals / "bare.mp3").read_bytes() + b"TAG" + bytes(124) + bytes([17]))
    assert read_fields(path).genres == ("Rock",)


def test_a_genre_of_ape_counts_and_is_not_contradicted(originals, tmp_path):
    path = tmp_path / "a.mp3"
    path.write_bytes((originals / "bare.mp3").read_bytes())
    from mutagen.apev2 import APEv2

    tags = APEv2()
    tags["Genre"] = "Polka"
    tags.save(path)
    assert read_fields(path).genres == ("Polka",)
    with pytest.raises(AudioError, match="APEv2"):
        changed(path, SHORT)


def test_a_genre_in_an_info_list_follows(originals, tmp_path):
    path = tmp_path / "a.wav"
    fields = b"INFO" + b"IGNR" + (5).to_bytes(4, "little") + b"Polka\0" + b"INAM" + (2).to_bytes(4, "little") + b"T\0"
    data = (originals / "bare.wav").read_bytes() + b"LIST" + len(fields).to_bytes(4, "little") + fields
    path.write_bytes(data[:4] + (len(data) - 8).to_bytes(4, "little") + data[8:])
    before, audio = path.read_bytes(), samples(path)
    assert read_fields(path).genres == ("Polka",)
    backwards = changed(path, Fields(("Drum and Bass", "x"), (), "n"))
    assert b"IGNR\x0e\0\0\0Drum and Bass\0INAM\2\0\0\0T\0" in path.read_bytes()
    assert samples(path) == audio
    assert apply(path, backwards) == before


def test_a_wav_without_its_last_byte_gets_it(originals, tmp_path):
    path = tmp_path / "a.wav"
    data = bytearray((originals / "bare.wav").read_bytes()[:-1])
    data[4:8], data[40:44] = (len(data) - 8).to_bytes(4, "little"), (len(data) - 44).to_bytes(4, "little")
    path.write_bytes(data)
    changed(path, SHORT)
    assert int.from_bytes(path.read_bytes()[4:8], "little") == path.stat().st_size - 8
    assert mutagen.File(path)["TCON"].text == ["Rock"]


def test_a_genre_in_numbers_is_replaced(originals, tmp_path):
    path = tmp_path / "a.m4a"
    path.write_bytes((originals / "tagged.m4a").read_bytes())
    file = mp4.MP4(path)
    file["\xa9gen"] = "XXXX"
    file.save()
    data = path.read_bytes()  # an atom of the same length: gnre, 17 + 1
    old = (28).to_bytes(4, "big") + b"\xa9gen" + (20).to_bytes(4, "big") + b"data" + b"\0\0\0\1" + bytes(4) + b"XXXX"
    assert data.count(old) == 1
    new = (26).to_bytes(4, "big") + b"gnre" + (18).to_bytes(4, "big") + b"data" + bytes(8) + b"\0\x12"
    path.write_bytes(data.replace(old, new[:3] + b"\x1c" + new[4:11] + b"\x12" + new[12:] + b"\0\0"))
    changed(path, SHORT)
    assert mp4.MP4(path)["\xa9gen"] == ["Rock"]
    assert b"gnre" not in path.read_bytes()


def test_fields_that_mutagen_would_drop_or_repair_keep_their_bytes(originals, tmp_path):
    """Two frames of one name, an unknown frame, bytes that are not UTF-8, a comment without "="."""
    path = tmp_path / "a.mp3"
    frames = b"".join(
        name + len(content).to_bytes(4, "big") + b"\0\0" + content
        for name, content in (
            (b"TCON", b"\0Old"),
            (b"XQQQ", b"\1\2"),
            (b"TYER", b"\x001999"),
            (b"TDAT", b"\x000102"),
            (b"TIT2", b"\3\xff\xfe"),
        )
    )
    size = len(frames).to_bytes(4, "big")
    path.write_bytes(b"ID3\3\0\0" + size + frames + (originals / "bare.mp3").read_bytes())
    changed(path, SHORT)
    assert frames[14:] in path.read_bytes()
    path = tmp_path / "a.flac"
    path.write_bytes((originals / "bare.flac").read_bytes())
    entries = [b"no equals sign", b"TITLE=\xff\xfe", b"Genre=", b"title=second"]
    vendor = b"\4\0\0\0test" + len(entries).to_bytes(4, "little")
    comment = vendor + b"".join(len(entry).to_bytes(4, "little") + entry for entry in entries)
    data = path.read_bytes()
    path.write_bytes(data[:42] + b"\4" + len(comment).to_bytes(3, "big") + comment + data[42:])
    assert read_fields(path).genres == ()
    backwards = changed(path, SHORT)
    assert b"no equals sign" in path.read_bytes()
    assert b"TITLE=\xff\xfe" in path.read_bytes()
    assert flac.FLAC(path)["genre"] == ["Rock"]
    assert (
        apply(path, backwards)[: len(data)]
        == data[:42] + b"\4" + len(comment).to_bytes(3, "big") + comment + data[42:][: -len(comment) - 4]
    )


def test_ogg_pages_are_renumbered_where_the_comment_needs_more(originals, tmp_path):
    for name, kind in (("tagged.ogg", oggvorbis.OggVorbis), ("bare.opus", oggopus.OggOpus)):
        path = tmp_path / name
        path.write_bytes((originals / name).read_bytes())
        audio, before = samples(path), path.read_bytes()
        huge = Fields(tuple(f"{i}" + "x" * 190 for i in range(60)) * 8, (), "n")
        edits = edits_for(path, huge)
        assert len(edits) > 1, name
        with path.open("rb") as source:
            backwards = reverse(source, edits)
        path.write_bytes(apply(path, edits))
        assert len(kind(path)["genre"]) == 480
        assert samples(path) == audio
        numbers = {}
        from mutagen.ogg import OggPage

        with path.open("rb") as stream:
            while stream.tell() < path.stat().st_size:
                start = stream.tell()
                page = OggPage(stream)
                assert path.read_bytes()[start : start + page.size] == page.write()  # its checksum is right
                assert page.sequence == numbers.get(page.serial, -1) + 1
                numbers[page.serial] = page.sequence
        assert apply(path, backwards) == before


@pytest.mark.parametrize(
    ("head", "what"),
    [
        (b"\x30\x26\xb2\x75", "WMA"),
        (b"MAC ", "APE"),
        (b"wvpk", "WavPack"),
        (b"\x1aE\xdf\xa3", "Matroska"),
        (b"RF64", "RF64"),
        (b"\xff\xf1\x50\x80", "raw AAC"),
        (b"ID3\4\0\0\0\0\0\0\xff\xf1", "raw AAC"),
        (b"nothing at all", "this format"),
    ],
)
def test_other_formats_are_refused_by_name(tmp_path, head, what):
    path = tmp_path / "a.bin"
    path.write_bytes(head + bytes(1000))
    with pytest.raises(AudioError, match=what):
        format_of(path)


def test_damage_at_any_place_is_one_error_or_a_whole_file(originals, tmp_path, rng):
    """Tags cut, overwritten or with wrong sizes: refused in one line, or changed so that the reverse gives the same bytes."""
    refused = 0
    for name in FORMATS:
        data = (originals / name).read_bytes()
        for trial in range(30):
            broken = bytearray(data)
            place = int(rng.integers(0, min(len(data), 400 if trial % 2 else len(data))))
            if trial % 3 == 0:
                broken = broken[: place + 1]
            else:
                size = int(rng.integers(1, 9))
                broken[place : place + size] = rng.bytes(size) if trial % 3 == 1 else b"\xff" * size
            path = tmp_path / name
            path.write_bytes(broken)
            try:
                read_fields(path)
                backwards = changed(path, SEVERAL)
            except AudioError as error:
                assert len(str(error).splitlines()) == 1
                assert path.read_bytes() == broken
                refused += 1
                continue
            assert apply(path, backwards) == broken, (name, trial)
    assert refused > 50


def test_edits_inside_one_another_are_refused():
    assert in_order([Edit(5, 1, b""), Edit(2, 0, b"a"), Edit(3, 0, b"")]) == [Edit(2, 0, b"a"), Edit(5, 1, b"")]
    with pytest.raises(LayoutError):
        in_order([Edit(2, 4, b""), Edit(5, 1, b"x")])


def test_a_change_of_the_audio_is_noticed(originals, tmp_path):
    path, copy = tmp_path / "a.flac", tmp_path / "b.flac"
    path.write_bytes((originals / "tagged.flac").read_bytes())
    for name, fields in (("its audio", SHORT), ("its genre", LONG)):
        data = bytearray(apply(path, edits_for(path, SHORT)))
        data[-100] ^= name == "its audio"
        copy.write_bytes(data)
        with pytest.raises(AudioError, match=name):
            check_copy(path, copy, fields)
    copy.write_bytes(apply(path, edits_for(path, SHORT)))
    file = flac.FLAC(copy)
    file["title"] = "other"
    file.save()
    with pytest.raises(AudioError, match="another field"):
        check_copy(path, copy, SHORT)
    assert np.array_equal(mp3.MP3(originals / "v24.mp3")["APIC:front"].data, PICTURE)
