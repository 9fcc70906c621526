"""Safe unpacking of selected files from untrusted tar and zip archives."""

from __future__ import annotations

import bz2
import copy
import errno
import gzip
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, NoReturn, cast

from tqdm import tqdm

from genre_core.errors import GenreError
from genre_core.util.files import atomic, plain_file

_BLOCK_BYTES = 1 << 20
MAX_MEMBERS = 50_000
# zipfile decompresses the other methods without a size limit per block; `unpack` reads bzip2 by itself.
SAFE_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_MAX_CONTENTS_BYTES = 32_000_000  # limit for the table of contents of a ZIP file
_MAX_GLOBAL_HEADERS = 100
_MAX_HEADER_BYTES = 65_536  # limit for a header that contains a long name or other metadata
_MAX_XZ_MEMORY_BYTES = 256_000_000
FULL_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}  # error numbers of a write, which names no file
_READ_ERRORS = (
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError),
    *(EOFError, OSError, NotImplementedError, RuntimeError, ValueError),
)


class ArchiveError(GenreError):
    """Error about a broken or unsafe archive."""


def unpack(
    archive: str | Path,
    place: Callable[[PurePosixPath], str | None],
    out: str | Path,
    *,
    max_file_bytes: int = 100_000_000,
    max_total_bytes: int = 8_000_000_000,
    max_members: int = MAX_MEMBERS,
) -> dict[str, str]:
    """Unpack the members that `place` selects into the folder `out`.

    The target path of each file comes from `place`, never from the archive. An archive is refused if the name of a member is
    absolute or contains "..", if `place` selects a link or a device, or if two members have the same target.

    Parameters
    ----------
    archive : str or Path
        Path of a ``.tar`` (plain, or compressed by gzip, bzip2 or xz) or ``.zip`` file.
    place : callable
        Function from the name of a member to its path below `out`, or to None for a member to skip.
    out : str or Path
        Folder for the files.
    max_file_bytes, max_total_bytes : int > 0
        Largest size of one file and of all files together, in bytes, counted during unpacking.
    max_members : int > 0
        Largest number of members, including those that `place` skips.

    Returns
    -------
    dict of str to str
        Name of the unpacked member, by path below `out`.

    Raises
    ------
    ArchiveError
        The archive is broken, hostile or too large, or has more than `max_members` members.
    GenreError
        The archive is missing or not a plain file.
    OSError
        `out` cannot be written.
    """
    archive, out = Path(archive), Path(out)
    unpacked: dict[str, str] = {}
    first_members: dict[str, str] = {}
    total = 0
    try:
        members = _members(archive, max_total_bytes, max_members)
        for number, (name, kind, open_member) in enumerate(tqdm(members, desc="unpack", unit="file", disable=None)):
            if number >= max_members:
                raise ArchiveError(f"{archive}: more than {max_members:,} members")
            path = PurePosixPath(name.replace("\\", "/"))
            if path.is_absolute() or ".." in path.parts or (path.parts[:1] and path.parts[0].endswith(":")) or "\0" in name:
                raise ArchiveError(f"{archive}: member {name!r} would be written outside the target folder; do not trust this archive")
            target = None if kind == "folder" else place(path)
            if target is None:
                continue
            if kind != "file":
                raise ArchiveError(f"{archive}: member {name!r} is not a plain file (a link or device); do not trust this archive")
            if (first := first_members.setdefault(target.casefold(), name)) != name or target in unpacked:
                raise ArchiveError(f"{archive}: members {first!r} and {name!r} are both {target}; keep one of them")
            with open_member() as source, atomic(out / target) as part, part.open("wb") as file:
                written = 0
                while block := source.read(_BLOCK_BYTES):
                    written += len(block)
                    total += len(block)
                    if written > max_file_bytes or total > max_total_bytes:
                        raise ArchiveError(
                            f"{archive}: member {name!r} unpacks to more than is allowed "
                            f"({max_file_bytes:,} bytes per file, {max_total_bytes:,} bytes in total)"
                        )
                    file.write(block)
            unpacked[target] = name
    except _READ_ERRORS as error:
        if isinstance(error, OSError) and (error.filename is not None or error.errno in FULL_DISK):
            raise  # an error of the output folder, not of the archive
        raise ArchiveError(f"{archive}: broken or not readable as tar or zip ({' '.join(str(error).split())}); download it again") from None
    return unpacked


def _members(archive: Path, max_total_bytes: int, max_members: int) -> Iterator[tuple[str, str, Callable[[], IO[bytes]]]]:
    """Yield name, kind (file, folder or other) and opener of each member."""
    plain_file(archive, max_bytes=2**40)
    if zipfile.is_zipfile(archive):
        check_zip(archive, max_members=max_members)
        with zipfile.ZipFile(archive) as opened:
            for member in opened.infolist():
                mode = member.external_attr >> 28  # file type in the Unix mode: 8 file, 10 link, 0 unknown
                kind = "folder" if member.is_dir() else "file" if mode in (0, 8) else "other"
                if member.compress_type not in (*SAFE_COMPRESSIONS, zipfile.ZIP_BZIP2):
                    raise ArchiveError(f"{archive}: member {member.filename!r} is compressed by an unusual method; use plain zip")
                yield member.filename, kind, lambda member=member: _open_in_zip(opened, member)  # type: ignore[misc]
        return
    with archive.open("rb") as file, _decompressed(file) as inner:
        stream = cast(IO[bytes], _LimitedStream(inner, archive, max_total_bytes + max_members * 2048))
        with tarfile.open(fileobj=stream, mode="r|", tarinfo=_LimitedTarInfo) as tar:
            while (entry := tar.next()) is not None:
                tar.members.clear()  # type: ignore[attr-defined]  # otherwise tarfile keeps every header
                kind = "folder" if entry.isdir() else "file" if entry.isreg() else "other"
                yield entry.name, kind, lambda entry=entry: tar.extractfile(entry)  # type: ignore[misc]
        # tarfile stops before the checksum at the end; only a read to the end verifies it.
        while stream.read(_BLOCK_BYTES):
            pass


class _LimitedStream:
    """Stream with a limit on the number of bytes read.

    Skipped members, and data after the end of the archive, count too.
    """

    def __init__(self, stream: IO[bytes], archive: Path, max_bytes: int) -> None:
        self.stream, self.archive, self.bytes_left, self.max_bytes = stream, archive, max_bytes, max_bytes

    def read(self, size: int = -1) -> bytes:
        block = self.stream.read(min(size, _BLOCK_BYTES) if size >= 0 else _BLOCK_BYTES)
        self.bytes_left -= len(block)
        if self.bytes_left < 0:
            raise ArchiveError(
                f"{self.archive}: unpacks to more than {self.max_bytes:,} bytes, including members that are not used; "
                "do not trust this archive"
            )
        return block


def _decompressed(file: IO[bytes]) -> IO[bytes]:
    """Open a tar file as a stream of its decompressed content."""
    magic = file.read(6)
    file.seek(0)
    if magic.startswith(b"\x1f\x8b"):
        return cast(IO[bytes], gzip.GzipFile(fileobj=file))
    if magic.startswith(b"BZh"):
        return bz2.BZ2File(file)
    # `lzma.LZMAFile` has no memory limit
    xz = partial(lzma.LZMADecompressor, memlimit=_MAX_XZ_MEMORY_BYTES)
    return cast(IO[bytes], _Decompressed(file, xz)) if magic == b"\xfd7zXZ\x00" else file


def _open_in_zip(opened: zipfile.ZipFile, member: zipfile.ZipInfo) -> IO[bytes]:
    """Open a member of a ZIP file for reading in blocks of limited size."""
    if member.compress_type != zipfile.ZIP_BZIP2:
        return opened.open(member)
    raw = copy.copy(member)  # the compressed bytes as they are, because zipfile would decompress a whole block of them at once
    raw.compress_type, raw.file_size = zipfile.ZIP_STORED, raw.compress_size
    del raw.CRC  # it is the one of the decompressed bytes
    return cast(IO[bytes], _Checked(_Decompressed(opened.open(raw), bz2.BZ2Decompressor), member))


class _Checked:
    """Stream of a ZIP member that checks length and CRC at its end."""

    def __init__(self, stream: _Decompressed, member: zipfile.ZipInfo) -> None:
        self.stream, self.member, self.crc, self.length = stream, member, 0, 0

    def read(self, size: int) -> bytes:
        block = self.stream.read(size)
        self.crc = zlib.crc32(block, self.crc)
        self.length += len(block)
        if not block and (self.crc, self.length) != (self.member.CRC, self.member.file_size):
            raise zipfile.BadZipFile(f"bad CRC-32 or length of {self.member.filename!r}")
        return block

    def __enter__(self) -> _Checked:
        return self

    def __exit__(self, *rest: object) -> None:
        self.stream.file.close()


class _Decompressed:
    """Stream of decompressed bytes that holds no more than it is asked for.

    Parameters
    ----------
    file : binary file
        Compressed bytes; several streams may follow each other.
    new : callable
        Makes the decompressor of a stream: of `bz2` or `lzma`.
    """

    def __init__(self, file: IO[bytes], new: Callable[[], bz2.BZ2Decompressor | lzma.LZMADecompressor]) -> None:
        self.file, self.new = file, new
        self.decompressor = new()

    def read(self, size: int) -> bytes:
        while True:
            data = b""
            if self.decompressor.eof:
                data = self.decompressor.unused_data or self.file.read(_BLOCK_BYTES)
                if not data:
                    return b""
                self.decompressor = self.new()
            elif self.decompressor.needs_input:
                data = self.file.read(_BLOCK_BYTES)
                if not data:
                    raise EOFError("the file ends too early")
            if out := self.decompressor.decompress(data, size):
                return out

    def __enter__(self) -> _Decompressed:
        return self

    def __exit__(self, *rest: object) -> None:
        pass


def check_zip(path: Path, *, max_members: int = MAX_MEMBERS) -> None:
    """Refuse a ZIP file whose table of contents would fill the memory.

    Call this function before `zipfile` opens the file, because `zipfile` reads the whole table. A file without such a table passes.

    Parameters
    ----------
    path : Path
        Path of the ZIP file.
    max_members : int > 0
        Largest number of members.

    Raises
    ------
    ArchiveError
        The file has more than `max_members` members, or a table of contents of more than 32 MB.
    """
    with path.open("rb") as file:
        record = zipfile._EndRecData(file)  # type: ignore[attr-defined]  # the same record that `zipfile` uses
    if record is None:
        return
    entries, length = record[zipfile._ECD_ENTRIES_TOTAL], record[zipfile._ECD_SIZE]  # type: ignore[attr-defined]
    if entries > max_members or length > _MAX_CONTENTS_BYTES:
        raise ArchiveError(f"{path}: more than {max_members:,} members, or a table of contents of {length:,} bytes")


class _LimitedTarInfo(tarfile.TarInfo):
    """Tar header that refuses long names and sparse files, unread."""

    def _proc_gnulong(self, tar: tarfile.TarFile) -> tarfile.TarInfo:
        self._refuse_long()
        return super()._proc_gnulong(tar)  # type: ignore[misc]

    def _proc_pax(self, tar: tarfile.TarFile) -> tarfile.TarInfo:
        self._refuse_long()
        if self.type == tarfile.XGLTYPE and len(tar.pax_headers) > _MAX_GLOBAL_HEADERS:
            raise tarfile.TarError(f"more than {_MAX_GLOBAL_HEADERS} global headers")
        return super()._proc_pax(tar)  # type: ignore[misc]

    def _refuse_sparse(self, *rest: object) -> NoReturn:
        raise tarfile.TarError("a sparse file, in which a few bytes can expand to gigabytes")

    _proc_sparse = _proc_gnusparse_00 = _proc_gnusparse_01 = _proc_gnusparse_10 = _refuse_sparse

    def _refuse_long(self) -> None:
        if self.size > _MAX_HEADER_BYTES:
            raise tarfile.TarError(f"a name of {self.size:,} bytes")
