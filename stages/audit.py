"""Look for copies of one recording, artists on two sides and damaged audio, before anything is split."""

from genre_core import config
from genre_core.corpus import audit as auditing
from genre_core.corpus.catalogue import read_catalogue
from genre_core.project import AUDIT, RAW
from genre_core.reports import audit as report
from stages.run import run


def main() -> str:
    params = config.load()
    options = params.audit
    found = auditing.audit(
        RAW, read_catalogue(RAW), similarity=options.similarity, overlap_seconds=options.overlap_seconds, workers=params.workers
    )
    report.write(found, AUDIT, title=params.dataset.name, picture="../explore/audit.png")
    said = found.summary()
    problems = sum(said["problems"].values())
    if said["not_looked_at"]:
        return f"audit: {said['not_looked_at']} of {said['tracks']} tracks are features made elsewhere: nothing was looked for in them"
    return f"audit: {said['tracks']} tracks: {problems} problems of files, {said['pairs']} pairs of copies; in {AUDIT / 'report.md'}"


if __name__ == "__main__":
    run(main)
