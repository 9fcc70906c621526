"""What tests of external share."""

from genre_core.datasets import external as external_clips
from genre_core.datasets import ytdlp

LIMITS = ytdlp.Limits(megabytes=5, minutes=1, backoff_s=0.01, deadline_s=20, private_addresses=True)


def listed(tmp_path, *rows, header="url,file,genre,title,start,seconds"):
    path = tmp_path / "list.csv"
    path.write_text("# a comment, with a comma\n" + "\n".join([header, *rows]) + "\n")
    return path


def fetch(path, tmp_path, online=True, limits=LIMITS):
    return external_clips.fetch(path, tmp_path / "out", online=online, limits=limits, downloads=tmp_path / "cache")
