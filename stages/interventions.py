"""Interventions stage: predict test tracks after changes that keep the genre."""

from dataclasses import asdict, fields

from genre_core import config
from genre_core.analysis import interventions
from genre_core.corpus import index
from genre_core.corpus.catalogue import artist_group
from genre_core.evaluation import intervals
from genre_core.project import INDEX, METRICS, MODEL, PRECOMPUTED, RAW
from genre_core.util.files import write_csv, write_json
from stages.run import run

OUT = METRICS / "interventions"


def main() -> str:
    params = config.load()
    split = index.read(INDEX)
    rows = [] if PRECOMPUTED.is_file() else [split.tracks[track] for track in split.starts("test")]
    outcomes = (
        interventions.measure(
            MODEL,
            [RAW / row.path for row in rows],
            [row.genre for row in rows],
            [artist_group(row.artist, row.track) for row in rows],
            samples=params.evaluate.bootstrap_samples,
            seed=params.seed,
            workers=params.parallel.chosen,
        )
        if rows
        else []
    )
    write_csv(OUT / "interventions.csv", [f.name for f in fields(interventions.Outcome)], map(asdict, outcomes))
    falls = [outcome.intervention for outcome in outcomes if outcome.verdict == "falls"]
    keys = ("accuracy", "change", "change_low", "change_high")
    shown = {outcome.intervention: {key: getattr(outcome, key) for key in keys} for outcome in outcomes}
    write_json(OUT / "metrics.json", {"tracks": outcomes[0].tracks if outcomes else 0, "falls": falls, "interventions": shown})
    if not outcomes:
        if rows:
            reason = "every test track is too short after the tempo change"
        elif split.split["protocol"] == "all":
            reason = "there are no test tracks: the model is fitted on all tracks"
        else:
            reason = "the data set holds features, not audio"
        return f"interventions: skipped: {reason}"
    worst = min(outcomes, key=lambda outcome: outcome.change)
    verdict = f"FALLS under {', '.join(falls)}" if falls else "holds: no interval lies below zero"
    change = intervals.interval(worst.change, worst.change_low, worst.change_high, sign="+")
    return f"interventions: {verdict}; worst {worst.intervention}: {change}; in {OUT}"


if __name__ == "__main__":
    run(main)
