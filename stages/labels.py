"""Labels stage: tracks whose label looks wrong, if ``labels.check`` is true.

A track that the user's corrections name has been decided on: it is judged, but not listed again.
"""

from dataclasses import replace

from genre_core import config
from genre_core.analysis import labels
from genre_core.corpus import index
from genre_core.corpus.catalogue import Track, nfc
from genre_core.corpus.corrections import read_corrections
from genre_core.corpus.segment import read_pairs
from genre_core.project import AUDIT, INDEX, LABELS, RAW
from genre_core.reports import labels as report
from genre_core.util.result_cache import open_cache
from stages.run import run


def main() -> str:
    params = config.load()
    cache = open_cache(**params.cache.model_dump())
    found = None
    if params.labels.check:
        tracks = [Track(t.track, t.path, t.genre, t.artist) for t in index.read_tracks(INDEX).values()]
        pairs = read_pairs(AUDIT / "pairs.csv")
        decided = read_corrections(params.segment.labels)
        found = labels.check(RAW, tracks, pairs, level_dbfs=params.features.level_dbfs, workers=params.parallel.chosen, cache=cache)
        found = replace(found, suspects=[s for s in found.suspects if nfc(s.path) not in decided])
    report.write_table(found.suspects if found else [], LABELS)
    report.write_page(found, LABELS, title=params.dataset.name)
    if found is None:
        return f"labels: not checked (labels.check is false); {LABELS / report.TABLE} is empty"
    return f"labels: {found.judged} labels judged, {len(found.suspects)} look wrong; in {LABELS / report.TABLE}"


if __name__ == "__main__":
    run(main)
