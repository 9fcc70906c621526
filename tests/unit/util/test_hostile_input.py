"""Files that claim what they do not hold: one line, exit code 2, bounded memory and time."""

import io
import json
import os
import shutil
import struct
import tarfile
import time
import tracemalloc
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from helpers.closure import ROOT
from helpers.hostile_input import ESCAPES, YAML_BOMB, change, header, raw_escapes
from helpers.made_features import HOW
from helpers.made_features import write as write_features
from helpers.project import SPEC
from helpers.training import data, fit, new_model

from genre_core import config, networks
from genre_core.datasets import precomputed
from genre_core.datasets.gtzan import place
from genre_core.errors import GenreError
from genre_core.features.store import FeatureStore, write_store
from genre_core.models import file as model_file
from genre_core.terminal import say, say_json
from genre_core.util import archives, files
from genre_core.util.archives import ArchiveError, unpack


@pytest.mark.parametrize(
    "content", [header({}, 2**62), header({}, 90_000_000), header(b"[" * 1_000_000), header({"x": 1}), b"\0" * 8, b"\xff" * 100]
)
def test_headers_of_models_that_lie(tmp_path, content):
    (tmp_path / "m.safetensors").write_bytes(content)
    with pytest.raises(GenreError, match=r"m\.safetensors") as caught:
        model_file.load(tmp_path / "m.safetensors")
    assert "\n" not in str(caught.value)


def test_a_model_that_is_a_pipe_or_a_folder(tmp_path):
    os.mkfifo(tmp_path / "m.safetensors")
    for path in (tmp_path / "m.safetensors", tmp_path):
        with pytest.raises(GenreError, match="not a file"):
            model_file.load(path)


def npz(path, members, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def npy(array, shape=None):
    buffer = io.BytesIO()
    np.save(buffer, array)
    data = buffer.getvalue()
    if shape is not None:
        buffer = io.BytesIO()
        np.lib.format.write_array_header_1_0(buffer, {"descr": array.dtype.str, "fortran_order": False, "shape": shape})
        data = buffer.getvalue() + data[128:]
    return data


TEXT = {"track.npy": npy(np.array(["a", "b"])), "genre.npy": npy(np.array(["x", "y"]))}


X = {"X.npy": npy(np.zeros((2, 16, 50), np.float32))}


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"X.npy": npy(np.zeros((2, 16, 50), np.float32), (2, 16, 10**12)), **TEXT}, "its header states"),
        ({"X.npy": npy(np.zeros((2, 16, 50), np.float32), (10**9, 10**9, 10**9)), **TEXT}, "its header states"),
        ({"X.npy": npy(np.zeros((2, 16, 50), np.float32), (2, 16, 50, 0)), **TEXT}, r"X is float32 \(2, 16, 50, 0\)"),
        ({**X, **TEXT, "track.npy": b"just some bytes"}, "not readable as .npz"),
        ({**X, **TEXT, "track": b"just some bytes"}, "is not a .npy file"),
        ({"X": b"just some bytes", **TEXT}, "is not a .npy file"),
        ({**X, **TEXT, "track.npy": npy(np.array([b"a", b"\xff"]))}, "not readable as .npz"),
        ({**X, **TEXT, "track.npy": npy(np.array(["a", "\ud800"]))}, "not readable as .npz"),
        ({**X, **TEXT, "track.npy": npy(np.array([[1, 2]]))}, "expected text"),
        ({**X, **TEXT, "track.npy": npy(np.array(["a", "b"]))[:-3]}, "ends too early"),
        ({"X.npy": npy(np.asfortranarray(np.zeros((2, 16, 50), np.float32))), **TEXT}, "Fortran order"),
        ({"X.npy": npy(np.zeros((2, 16, 50), np.complex64)), **TEXT}, "X is complex64"),
        ({"X.npy": npy(np.full((2, 16, 50), 1e38, np.float32)), **TEXT}, "not finite in dB"),
        (
            {"X.npy": npy(np.zeros((0, 16, 50), np.float32)), "track.npy": npy(np.zeros(0, "U1")), "genre.npy": npy(np.zeros(0, "U1"))},
            "tracks of at",
        ),
        ({"X.npy": npy(np.zeros((2, 16, 0), np.float32)), **TEXT}, "tracks of at least one frame"),
        ({"X.npy": b"\x93NUMPY\x01\x00" + struct.pack("<H", 1500) + b"(" * 1499 + b"\n", **TEXT}, "not readable as .npz"),
        ({**X, **TEXT, "track.npy": npy(np.array(["a", "b"]))[:-4] + b"\0\0\x11\0"}, "not readable as .npz"),
        ({"X.npy": b"\x93NUMPY\x01\x00" + struct.pack("<H", 60000) + b"{" * 60000, **TEXT}, "not readable as .npz"),
    ],
)
def test_arrays_that_lie(tmp_path, members, words):
    with pytest.raises(GenreError, match=words) as caught:
        precomputed.download(npz(tmp_path / "x.npz", members), tmp_path / "raw", scale_db=1.0, offset_db=0.0, **HOW)
    assert "x.npz" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "raw/catalogue.csv").exists()


def test_bytes_that_are_text_are_names(tmp_path):
    path = npz(tmp_path / "x.npz", {**X, **TEXT, "track.npy": npy(np.array([b"a", "ü".encode()]))})
    assert [t.track for t in precomputed.download(path, tmp_path / "raw", scale_db=1.0, offset_db=0.0, **HOW)] == ["a", "ü"]


def test_a_bomb_of_features_costs_neither_memory_nor_disk(tmp_path):
    path = tmp_path / "bomb.npz"
    header_ = npy(np.zeros((1, 16, 50), np.float32), (2, 256, 1_900_000))[:128]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in TEXT.items():
            archive.writestr(name, content)
        with archive.open("X.npy", "w", force_zip64=True) as member:
            member.write(header_)
            for _ in range(2 * 256 * 19):
                member.write(bytes(400_000))
    assert path.stat().st_size < 10_000_000
    began = time.monotonic()
    with pytest.raises(GenreError, match=r"would unpack from .* to 3,891,200,128 bytes"):
        precomputed.download(path, tmp_path / "raw", scale_db=1.0, offset_db=0.0, **HOW)
    assert time.monotonic() - began < 5
    assert not (tmp_path / "raw").exists()


def test_encrypted_and_oddly_packed_features(tmp_path, rng):
    raw = bytearray(write_features(tmp_path / "x.npz", rng).read_bytes())
    at = raw.index(b"PK\1\2")
    while at >= 0:  # the flag "encrypted" in each entry of the table of contents
        raw[at + 8] |= 1
        at = raw.find(b"PK\1\2", at + 1)
    (tmp_path / "encrypted.npz").write_bytes(raw)
    npz(tmp_path / "odd.npz", {**X, **TEXT}, zipfile.ZIP_LZMA)
    for name in ("encrypted.npz", "odd.npz"):
        with pytest.raises(GenreError, match="encrypted, or compressed by an unusual method"):
            precomputed.download(tmp_path / name, tmp_path / "raw", scale_db=1.0, offset_db=0.0, **HOW)


@pytest.fixture
def store(tmp_path, rng):
    path = tmp_path / "store.h5"
    rows = [(f"t{i}", {"mel": rng.normal(-40, 10, (700, 128)).astype(np.float16)}) for i in range(3)]
    write_store(path, SPEC, rows)
    return path, dict(rows)


def all_of(path):
    with FeatureStore(path) as opened:
        return {track: opened.read("mel", track) for track in opened.tracks}


def test_many_files_of_a_folder_are_written_in_linear_time(tmp_path):
    def seconds(count):
        began = time.process_time()
        for i in range(count):
            files.write_json(tmp_path / f"{count}-{i}.json", {})
        return time.process_time() - began

    seconds(200)
    assert seconds(4000) < 20 * max(seconds(400), 0.05)


def test_any_damaged_byte_of_a_store_is_named_or_harmless(store, rng):
    path, rows = store
    whole = path.read_bytes()
    refused = 0
    positions = [*range(0, 3000, 7), *rng.integers(3000, len(whole), 300)]
    for position in positions:
        raw = bytearray(whole)
        raw[position] ^= 1 << int(rng.integers(8))
        path.write_bytes(raw)
        try:
            found = all_of(path)
        except GenreError as error:
            assert str(path) in str(error)
            assert "\n" not in str(error)
            refused += 1
        else:
            assert found.keys() == rows.keys()
            assert all(np.array_equal(found[track], rows[track]["mel"]) for track in rows)
    assert refused > 250


def replaced(file, name, **options):
    old = file[name][:]
    del file[name]
    return file.create_dataset(name, **{"data": old, **options})


def virtual(file):
    shutil.copyfile(file.filename, Path(file.filename).with_name("other.h5"))
    layout = h5py.VirtualLayout(file["mel"].shape, file["mel"].dtype)
    layout[:] = h5py.VirtualSource("other.h5", "mel", file["mel"].shape)
    del file["mel"]
    file.create_virtual_dataset("mel", layout)


def external(file):
    shape = file["mel"].shape
    del file["mel"]
    file.create_dataset("mel", shape, np.float16, external=[("/etc/passwd", 0, h5py.h5f.UNLIMITED)])


def linked(file):
    file.move("mel", "kept")
    file["mel"] = h5py.SoftLink("/kept")


def linked_out(file):
    del file["mel"]
    file["mel"] = h5py.ExternalLink("other.h5", "/mel")


def chunk(file):
    rows = file["mel"][:]
    del file["mel"]
    file.create_dataset("mel", data=rows, maxshape=(None, 128), chunks=(8_000_000, 128), compression="gzip")


def texts(file):
    del file["track/id"]
    file.create_dataset("track/id", data=["t0", "t1", "t" * 10_000_000], dtype=h5py.string_dtype())


def huge(file):
    del file["mel"]
    file.create_dataset("mel", (10**9, 128), np.float16, chunks=(512, 128))
    file["track/frames"][...] = 3 * 10**8


@pytest.mark.parametrize(
    "alter",
    [
        *(virtual, external, linked, linked_out, huge, chunk, texts),
        lambda f: replaced(f, "mel", data=np.zeros((2100, 128), "S4")),
        lambda f: replaced(f, "mel", data=np.zeros(2100, np.float16)),
        lambda f: replaced(f, "track/start", data=np.array([0, 700])),
        lambda f: replaced(f, "track/start", data=np.array([0, 700, 5000])),
        lambda f: replaced(f, "track/start", data=np.array([0, -700, 1400])),
        lambda f: replaced(f, "track/start", data=np.array([0.0, 700.0, 1400.0])),
        lambda f: replaced(f, "track/id", data=np.array([1, 2, 3])),
        lambda f: replaced(f, "track/id", data=np.array([b"t0", b"t0", b"t2"])),
        lambda f: f.attrs.update({"hop_length": "many"}),
        lambda f: f.attrs.update({"hop_length": np.zeros(7)}),
        lambda f: f.attrs.update({"sample_rate": np.nan}),
        lambda f: f.attrs.clear(),
        lambda f: f.attrs.update({"hop_length": "512"}),
    ],
)
def test_stores_that_lie(store, alter):
    path, _ = store
    change(path, alter)
    with pytest.raises(GenreError, match=r"store\.h5") as caught:
        all_of(path)
    assert "\n" not in str(caught.value)


def test_a_damaged_checkpoint_is_named_as_such(tmp_path, params, rng):
    path = tmp_path / "checkpoint.pt"
    tracks, valid = data(rng)

    def train():
        return fit(new_model(tracks), tracks, valid, params, tmp_path, epochs=2)

    train()
    whole = path.read_bytes()
    assert train()["resumed_from"] == 2
    for position in (len(whole) // 3, len(whole) // 2, len(whole) - 5):
        raw = bytearray(whole)
        raw[position] ^= 64
        path.write_bytes(raw)
        with pytest.raises(GenreError, match=r"checkpoint .*checkpoint\.pt is (damaged|not readable).*remove it to train from the start"):
            train()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (YAML_BOMB, "an alias"),
        ("a: &a\n  b: *a\n", "an alias"),
        ("[" * 100_000, "not readable as YAML"),
        ("{a: " * 5_000 + "1" + "}" * 5_000, "not readable as YAML"),
        ("seed: " + "9" * 5000, "not readable as YAML"),
        ("seed: " + "9" * 400, "params.yaml"),
        ("x: " + "y" * 2_000_000, "bytes, at most"),
        ("seed: 2026-13-45T99:99:99", "not readable as YAML"),
        ("? [a, b]\n: 1", "params.yaml"),
        ("1: 2\nnull: 3", "params.yaml"),
        ("seed: 0x" + "f" * 4000, "not a whole number in decimal digits"),
        ("seed: " + "1:" * 100_000 + "1", "not a whole number in decimal digits|params.yaml"),
    ],
)
def test_params_that_are_bombs(tmp_path, text, words):
    path = tmp_path / "params.yaml"
    path.write_text(text)
    began = time.monotonic()
    with pytest.raises(GenreError, match=words) as caught:
        config.load(path)
    assert time.monotonic() - began < 10
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 10_000


@pytest.mark.parametrize("number", ["9" * 400, "1e400", "-" + "9" * 400, ".nan", ".inf", "9" * 5000])
def test_numbers_of_any_length_are_refused_in_one_line(tmp_path, number):
    import yaml

    for key in ("seed", "train.lr", "train.epochs", "model.cnn.width", "features.fmin_hz"):
        tree = yaml.safe_load((ROOT / "params.yaml").read_text())
        *sections, last = key.split(".")
        node = tree
        for section in sections:
            node = node[section]
        node[last] = "PLACE"
        (tmp_path / "params.yaml").write_text(yaml.safe_dump(tree).replace("PLACE", number))
        with pytest.raises(GenreError) as caught:
            params = config.load(tmp_path / "params.yaml")
            config.parse(networks.architecture("cnn").Hyperparameters, params.model.chosen(), "params.yaml")
        assert "\n" not in str(caught.value)


def tar_of(path, entries, mode="w:gz", tail=b""):
    with tarfile.open(path, mode) as tar:
        for info, content in entries:
            info.size = len(content) if content is not None else info.size
            tar.addfile(info, io.BytesIO(content) if content is not None else None)
        if tail:
            tar.fileobj.write(tail)
    return path


def folders(count):
    for i in range(count):
        info = tarfile.TarInfo(f"d{i}")
        info.type = tarfile.DIRTYPE
        yield info, None


def test_folders_count_as_members(tmp_path):
    with pytest.raises(ArchiveError, match="more than 100 members"):
        unpack(tar_of(tmp_path / "a.tar.gz", folders(200)), place, tmp_path / "out", max_members=100)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for i in range(200):
            archive.mkdir(f"d{i}")
    with pytest.raises(ArchiveError, match="more than 100 members"):
        unpack(tmp_path / "a.zip", place, tmp_path / "out", max_members=100)


def test_old_sparse_headers_are_refused(tmp_path):
    info = tarfile.TarInfo("blues.00000.wav")
    info.type = tarfile.GNUTYPE_SPARSE
    raw = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    raw[386:410] = b"00000000000\0" + b"00000000100\0"  # offset and length of one piece
    raw[482] = 1  # more of them follow
    raw[483:495] = b"77777777777\0"  # its real size: 8 GB
    raw[148:156] = b" " * 8
    raw[148:156] = f"{sum(raw[:512]):06o}\0 ".encode()
    (tmp_path / "old.tar").write_bytes(bytes(raw) + (bytes(504) + b"\1" + bytes(7)) * 100_000)
    pax = tarfile.TarInfo("blues.00000.wav")
    pax.pax_headers = {"GNU.sparse.map": "0,1," * 100_000 + "0,1", "GNU.sparse.size": str(10**11), "GNU.sparse.name": "blues.00000.wav"}
    tar_of(tmp_path / "pax.tar", [(pax, b"x")], "w")
    for name in ("old.tar", "pax.tar"):
        with pytest.raises(ArchiveError, match=r"a sparse file|a name of"):
            unpack(tmp_path / name, place, tmp_path / "out")


@pytest.mark.parametrize("mode", ["w:gz", "w:bz2", "w:xz"])
def test_what_is_skipped_or_stands_behind_the_end_is_not_unpacked_for_ever(tmp_path, mode):
    zeros = bytes(60_000_000)
    skipped = tar_of(tmp_path / "skipped", [(tarfile.TarInfo("readme.txt"), zeros)], mode)
    behind = tmp_path / "behind"
    opener = {"w:gz": "gzip", "w:bz2": "bz2", "w:xz": "lzma"}[mode]
    with __import__(opener).open(behind, "wb") as file:
        file.write(bytes(1024))
        file.write(zeros)
    for path in (skipped, behind):
        assert path.stat().st_size < 100_000
        with pytest.raises(ArchiveError, match="unpacks to more than"):
            unpack(path, place, tmp_path / "out", max_total_bytes=1_000_000 - archives.MAX_MEMBERS * 2048)


def test_an_xz_that_asks_for_gigabytes_of_memory_is_refused(tmp_path):
    import lzma

    filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 1 << 30}]
    (tmp_path / "a.tar.xz").write_bytes(lzma.compress(bytes(1024), filters=filters))
    with pytest.raises(ArchiveError, match=r"[Mm]emory"):
        unpack(tmp_path / "a.tar.xz", place, tmp_path / "out")


def test_a_zip_with_a_table_of_contents_of_gigabytes_is_refused_before_it_is_read(tmp_path):
    path = tmp_path / "a.zip"
    with path.open("wb") as file:
        file.truncate(3_000_000_000)
        file.seek(0, 2)
        file.write(b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, 60000, 60000, 2_900_000_000, 0, 0))
    for read in (
        lambda: unpack(path, place, tmp_path / "out"),
        lambda: precomputed.download(path, tmp_path / "raw", scale_db=1.0, offset_db=0.0, **HOW),
    ):
        began = time.monotonic()
        with pytest.raises(GenreError, match="members, or a table of contents"):
            read()
        assert time.monotonic() - began < 2


def peak_mb(function):
    """Highest memory that Python's own allocations reach in a call, in MB."""
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1] / 1e6
    finally:
        tracemalloc.stop()


def test_members_packed_in_an_unusual_way_are_refused_before_they_are_unpacked(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("blues.00000.wav", bytes(20_000_000))
    with pytest.raises(ArchiveError, match="compressed by an unusual method"):
        unpack(path, place, tmp_path / "out")


def test_a_table_of_contents_hides_behind_no_trick(tmp_path):
    end = struct.pack("<HHHHII", 0, 0, 10, 10, 400_000_000, 0x06054B50)  # the offset looks like the record's own mark
    wide = struct.pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, 10, 10, 400_000_000, 0)
    locator = struct.pack("<IQI", 0, 400_000_000, 1)
    small = struct.pack("<HHHHIIH", 0, 0, 1, 1, 46, 0, 0)
    tails = {"mark": b"PK\5\6" + end + b"\0\0", "wide": b"PK\6\6" + wide + b"PK\6\7" + locator + b"PK\5\6" + small}
    for name, tail in tails.items():
        path = tmp_path / f"{name}.zip"
        with path.open("wb") as file:
            file.truncate(400_000_000)
            file.seek(0, 2)
            file.write(tail)

        def attempt(path=path):
            with pytest.raises(GenreError):
                unpack(path, place, tmp_path / "out")

        assert peak_mb(attempt) < 50


def test_headers_of_many_members_are_not_kept(tmp_path):
    def entries():
        for i in range(300):
            info = tarfile.TarInfo(f"d{i}")
            info.type = tarfile.DIRTYPE
            info.pax_headers = {"comment": "x" * 60_000}
            yield info, None

    path = tar_of(tmp_path / "a.tar.gz", entries())
    assert peak_mb(lambda: unpack(path, place, tmp_path / "out")) < 5
    long = tarfile.TarInfo("d")
    long.type, long.pax_headers = tarfile.DIRTYPE, {"comment": "x" * 500_000}
    with pytest.raises(ArchiveError, match="a name of"):
        unpack(tar_of(tmp_path / "b.tar.gz", [(long, None)]), place, tmp_path / "out")


def test_a_track_of_features_is_bounded_by_its_values(tmp_path):
    path = npz(tmp_path / "x.npz", {"X.npy": npy(np.zeros((2, 256, 100_000), np.uint8)), **TEXT}, zipfile.ZIP_STORED)
    with pytest.raises(GenreError, match="X has 100,000 frames per track; at most 20,000,000 values"):
        precomputed.download(path, tmp_path / "raw", scale_db=1.0, offset_db=0.0, **HOW)


@pytest.mark.parametrize(
    ("starts", "frames"),
    [
        (np.array([0, 70, 140], np.uint8), np.array([70, 240, 70], np.uint8)),
        (np.array([0, 2**63 - 1, 0]), np.array([700, 700, 700])),
        (np.array([0, 2**64 - 1, 0], np.uint64), np.array([700, 700, 700], np.uint64)),
    ],
)
def test_sums_that_overflow_are_no_rows(tmp_path, rng, starts, frames):
    path = tmp_path / "store.h5"
    write_store(path, SPEC, [(f"t{i}", {"mel": rng.normal(-40, 10, (70, 128)).astype(np.float16)}) for i in range(3)])
    change(path, lambda file: (replaced(file, "track/start", data=starts), replaced(file, "track/frames", data=frames)))
    with pytest.raises(GenreError, match="reach beyond the 210 rows"):
        FeatureStore(path)


def test_json_says_any_text_and_prints_no_control(capsys):
    text = ESCAPES + "ü音\U0001f600\udcff\x7f"
    say_json({"a": text})
    said = capsys.readouterr().out
    assert raw_escapes(said) == []
    assert json.loads(said)["a"] == text
    assert "ü音" in said
    say("a\nb\x1b")
    assert capsys.readouterr().out == "a\\nb\\x1b\n"


def test_a_server_s_reason_is_not_printed_raw(tmp_path):
    from helpers import servers

    from genre_core.util.download import FetchError, fetch

    def answer(handler):
        handler.wfile.write(b"HTTP/1.1 404 \x1b]0;owned\x07 no\r\nContent-Length: 0\r\n\r\n")

    with servers.serve(answer) as server, pytest.raises(FetchError, match="404") as caught:
        fetch(server.url, tmp_path / "x", max_bytes=10, private_addresses=True)
    assert raw_escapes(str(caught.value)) == []
