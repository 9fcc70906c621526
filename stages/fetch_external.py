"""Fetch stage: clips of the external list.

Clips are local files, and downloads by yt-dlp if ``external.online`` is true.
"""

import shutil
import sys
from collections import Counter

from genre_core import config
from genre_core.datasets import external, ytdlp
from genre_core.project import DOWNLOADS, EXTERNAL
from genre_core.terminal import say
from stages.run import run


def main() -> str:
    params = config.load().external
    shutil.rmtree(EXTERNAL, ignore_errors=True)
    limits = ytdlp.Limits(
        params.max_megabytes,
        params.max_minutes,
        params.cookies_file,
        params.cookies_from_browser,
        private_addresses=params.private_addresses,
    )
    clips = external.fetch(params.list, EXTERNAL, online=params.online, limits=limits, downloads=DOWNLOADS / "external")
    counts = Counter(clip.status for clip in clips)
    for clip in clips:
        if clip.status == "failed":
            say(f"NOT FETCHED: {clip.clip} ({clip.url or clip.file}): {clip.reason}", sys.stderr)
    advice = ""
    if counts["failed"]:
        advice = "; `dvc repro -f fetch_external` tries the failed ones again"
    elif counts["skipped"]:
        advice = "; `dvc exp run -S external.online=true` fetches the skipped ones"
    missing = f"{counts['failed']} failed, {counts['skipped']} skipped{advice}"
    return f"fetch_external: {counts['ok']} of {len(clips)} clips, {missing}; in {EXTERNAL}"


if __name__ == "__main__":
    run(main)
