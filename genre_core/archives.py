"""Unpack chosen files of a tar or zip archive, trusting nothing that the archive says."""

from __future__ import annotations

import bz2
import gzip
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, cast

from genre_core.errors import GenreError
from genre_core.files import atomic

_BLOCK_BYTES = 1 << 20
MAX_MEMBERS = 50_000
_BROKEN = (
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError),
    *(EOFError, OSError, NotImplementedError, RuntimeError, ValueError),
)


class ArchiveError(GenreError):
    """An archive that is broken or not to be trusted."""


def unpack(
    archive: str | Path,
    place: Callable[[PurePosixPath], str | None],
    out: str | Path,
    *,
    max_file_bytes: int = 100_000_000,
    max_total_bytes: int = 8_000_000_000,
) -> dict[str, str]:
    """Copy the members that `place` names to `out`.

    Nothing is written where a member's own name says: `place` gives the target. An archive with a name that is absolute or
    climbs, a link or device that `place` names, or two members for one target, is refused.

    Parameters
    ----------
    archive : str or Path
        ``.tar``, ``.tar.gz`` (or another compression) or ``.zip``.
    place : callable
        From a member's name to a path below `out`, or None to leave it.
    out : str or Path
    max_file_bytes, max_total_bytes : int > 0
        Of what comes out, measured while it does.

    Returns
    -------
    dict
        Target to member's name.

    Raises
    ------
    ArchiveError
        The archive is broken, hostile or too large.
    """
    archive, out = Path(archive), Path(out)
    done: dict[str, str] = {}
    seen: dict[str, str] = {}
    total = 0
    try:
        for number, (name, plain, open_member) in enumerate(_members(archive)):
            if number >= MAX_MEMBERS:
                raise ArchiveError(f"{archive}: more than {MAX_MEMBERS:,} members")
            path = PurePosixPath(name.replace("\\", "/"))
            if path.is_absolute() or ".." in path.parts or (path.parts[:1] and path.parts[0].endswith(":")) or "\0" in name:
                raise ArchiveError(f"{archive}: member {name!r} would leave its folder; this archive is not to be trusted")
            target = place(path)
            if target is None:
                continue
            if not plain:
                raise ArchiveError(f"{archive}: member {name!r} is no plain file (a link or device); this archive is not to be trusted")
            if (other := seen.setdefault(target.casefold(), name)) != name or target in done:
                raise ArchiveError(f"{archive}: members {other!r} and {name!r} are both {target}; keep one")
            with open_member() as source, atomic(out / target) as part, part.open("wb") as file:
                written = 0
                while block := source.read(_BLOCK_BYTES):
                    written += len(block)
                    total += len(block)
                    if written > max_file_bytes or total > max_total_bytes:
                        raise ArchiveError(
                            f"{archive}: member {name!r} unpacks to more than is allowed "
                            f"({max_file_bytes:,} bytes a file, {max_total_bytes:,} in all)"
                        )
                    file.write(block)
            done[target] = name
    except _BROKEN as error:
        if isinstance(error, OSError) and error.filename is not None:
            raise  # our own disk, not the archive
        raise ArchiveError(f"{archive}: broken or not readable as tar or zip ({' '.join(str(error).split())}); fetch it anew") from None
    return done


def _members(archive: Path) -> Iterator[tuple[str, bool, Callable[[], IO[bytes]]]]:
    """Name, whether it is a plain file, and how to open it, of each member that is no folder."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as opened:
            for member in opened.infolist():
                if not member.is_dir():
                    kind = member.external_attr >> 28  # of a Unix mode: 8 a file, 0 not said, 10 a link
                    yield member.filename, kind in (0, 8), lambda member=member: opened.open(member)  # type: ignore[misc]
        return
    with archive.open("rb") as file, _decompressed(file) as stream:
        with tarfile.open(fileobj=stream, mode="r|", tarinfo=_Limited) as tar:
            for entry in tar:
                if not entry.isdir():
                    yield entry.name, entry.isreg(), lambda entry=entry: tar.extractfile(entry)  # type: ignore[misc]
        while stream.read(_BLOCK_BYTES):  # to the checksum at the end, which tarfile never reads
            pass


def _decompressed(file: IO[bytes]) -> IO[bytes]:
    """A compressed tar's content, as a stream."""
    start = file.read(6)
    file.seek(0)
    if start.startswith(b"\x1f\x8b"):
        return cast(IO[bytes], gzip.GzipFile(fileobj=file))
    if start.startswith(b"BZh"):
        return bz2.BZ2File(file)
    return lzma.LZMAFile(file) if start == b"\xfd7zXZ\x00" else file


class _Limited(tarfile.TarInfo):
    """A header that claims a longer name than any has is refused before it is read into memory."""

    def _proc_gnulong(self, tar: tarfile.TarFile) -> tarfile.TarInfo:
        self._refuse_long()
        return super()._proc_gnulong(tar)  # type: ignore[misc]

    def _proc_pax(self, tar: tarfile.TarFile) -> tarfile.TarInfo:
        self._refuse_long()
        return super()._proc_pax(tar)  # type: ignore[misc]

    def _refuse_long(self) -> None:
        if self.size > _BLOCK_BYTES:
            raise tarfile.TarError(f"a name of {self.size:,} bytes")
