"""Audio files inside parquet files, in the layout of the Hugging Face hub.

The column ``audio`` is a struct of ``bytes``, the audio file, and ``path``, its name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath

from tqdm import tqdm

from genre_core.errors import GenreError
from genre_core.util.archives import FULL_DISK
from genre_core.util.files import atomic, plain_file

_MAX_ROWS = 100_000  # per file
_MAX_ROW_GROUP_BYTES = 1_000_000_000  # the hub's files have 100 rows of audio per group
_MAX_FILE_BYTES = 100_000_000
_ROWS_AT_ONCE = 8


def check_installed() -> None:
    """Check that pyarrow, which reads parquet, is installed.

    Raises
    ------
    GenreError
        It is not.
    """
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError:
        raise GenreError("parquet files need pyarrow; pip install '.[parquet]'") from None


def unpack(files: Sequence[Path], place: Callable[[PurePosixPath], str | None], out: Path) -> list[str]:
    """Write the audio files that `place` selects into the folder `out`.

    Parameters
    ----------
    files : sequence of Path
        Parquet files.
    place : callable
        Function from the name of an audio file to its path below `out`, or to None for a file to skip.
    out : Path
        Folder for the audio files.

    Returns
    -------
    list of str
        Paths of the written files, relative to `out`.

    Raises
    ------
    GenreError
        pyarrow is missing, or a file is broken, too large, or lacks audio with names.
    OSError
        `out` cannot be written.
    """
    check_installed()
    import pyarrow.lib
    import pyarrow.parquet

    written: list[str] = []
    for file in files:
        plain_file(file, max_bytes=2**40)
        try:
            with pyarrow.parquet.ParquetFile(file) as opened:
                _check(opened, file)
                batches = opened.iter_batches(batch_size=_ROWS_AT_ONCE, columns=["audio"])
                with tqdm(total=opened.metadata.num_rows, desc="unpack", unit="file", disable=None) as bar:
                    for batch in batches:
                        for audio in batch.column("audio").to_pylist():
                            bar.update()
                            name, content = (audio or {}).get("path"), (audio or {}).get("bytes")
                            target = place(PurePosixPath(name.replace("\\", "/"))) if isinstance(name, str) else None
                            if target is None:
                                continue
                            if not isinstance(content, bytes) or len(content) > _MAX_FILE_BYTES:
                                raise GenreError(f"{file}: {name!r} holds no audio, or more than {_MAX_FILE_BYTES:,} bytes")
                            with atomic(out / target) as part:
                                part.write_bytes(content)
                            written.append(target)
        except (pyarrow.lib.ArrowException, OSError, ValueError) as error:
            if isinstance(error, OSError) and (error.filename is not None or error.errno in FULL_DISK):
                raise  # an error of the output folder, not of the file
            reason = " ".join(str(error).split())[:200]
            raise GenreError(f"{file}: broken or not readable as parquet ({reason}); download it again") from None
    return written


def _check(opened: pyarrow.parquet.ParquetFile, file: Path) -> None:  # type: ignore[name-defined]  # noqa: F821
    """Refuse a file without audio, or with more than the memory holds."""
    schema, metadata = opened.schema_arrow, opened.metadata
    audio = schema.field("audio").type if "audio" in schema.names else None
    fields = {audio.field(i).name for i in range(audio.num_fields)} if audio is not None else set()
    if not {"bytes", "path"} <= fields:
        raise GenreError(f"{file}: no column audio with the fields bytes and path; the columns are: {', '.join(schema.names)[:200]}")
    largest = max((metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups)), default=0)
    if metadata.num_rows > _MAX_ROWS or largest > _MAX_ROW_GROUP_BYTES:
        raise GenreError(
            f"{file}: {metadata.num_rows:,} rows, groups of up to {largest:,} bytes; at most {_MAX_ROWS:,} rows and "
            f"{_MAX_ROW_GROUP_BYTES:,} bytes in a group are read"
        )
