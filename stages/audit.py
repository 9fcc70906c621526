"""Audit stage: duplicates, artists on two sides of a split, damaged audio.

The audit runs before the split.
"""

from genre_core import config
from genre_core.corpus import audit as auditing
from genre_core.corpus.catalogue import read_catalogue
from genre_core.project import AUDIT, RAW
from genre_core.reports import audit as report
from genre_core.util.result_cache import open_cache
from stages.run import run


def main() -> str:
    params = config.load()
    cache = open_cache(**params.cache.model_dump())
    options = params.audit
    result = auditing.audit(
        RAW,
        read_catalogue(RAW),
        similarity=options.similarity,
        overlap_seconds=options.overlap_seconds,
        workers=params.parallel.chosen,
        cache=cache,
    )
    report.write(result, AUDIT, title=params.dataset.name, picture="../explore/audit.png")
    summary = result.summary()
    problems = sum(summary["problems"].values())
    if summary["not_looked_at"]:
        return (
            f"audit: {summary['not_looked_at']} of {summary['tracks']} tracks are precomputed features without audio: they were not audited"
        )
    return (
        f"audit: {summary['tracks']} tracks: {problems} problems in files, {summary['pairs']} pairs of duplicates; in {AUDIT / 'report.md'}"
    )


if __name__ == "__main__":
    run(main)
