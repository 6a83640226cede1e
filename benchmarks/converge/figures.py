"""What the samples say: medians, ratios and whether the goals are met, as a table and as plots."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from common import spread
from ways import OURS, PYINFRA_ALL, STOCK

FIRST, SECOND, CODE, UNWATCHED, DEPENDENCY, BACK = (
    "first run",
    "second run",
    "change of code, until it is live",
    "the same without health.settle",
    "new dependency, until it is live",
    "rollback, until it is live",
)
CASES = (FIRST, SECOND, CODE, UNWATCHED, DEPENDENCY, BACK)
RATIO_GOALS = {PYINFRA_ALL: 1.0, STOCK: 0.25}
SECONDS_GOALS = {CODE: 8.0, UNWATCHED: 8.0, BACK: 5.0}
Samples = dict[str, dict[str, list[float]]]


def evaluate(samples: Samples) -> dict[str, dict[str, dict[str, Any]]]:
    """For each case and way the seconds and, beside a peer, the ratio of ours to it, both of one round."""
    return {
        case: {
            way: {"seconds": spread(values), "samples": len(values), "ratio": ratio(ways.get(OURS, []), values)}
            for way, values in ways.items()
            if values
        }
        for case in CASES
        if (ways := samples.get(case))
    }


def ratio(ours: list[float], theirs: list[float]) -> dict[str, float] | None:
    """The spread of the ratios of rounds; of a way itself it is none."""
    if ours is theirs or not ours:
        return None
    return spread([one / other for one, other in zip(ours, theirs, strict=True)])


def table(found: dict[str, dict[str, dict[str, Any]]]) -> str:
    """All figures as a table of Markdown, then the goals."""
    lines = ["| | by | s | ours to theirs | times |", "| --- | --- | --- | --- | --- |"]
    for case, ways in found.items():
        for way, row in ways.items():
            compared = cell(row["ratio"], 2, bold=True) if row["ratio"] else ""
            lines.append(f"| {case} | {way} | {cell(row['seconds'], 1)} | {compared} | {row['samples']} |")
    return "\n".join([*lines, "", "Goals, at most: " + "; ".join(goals(found)) + "."])


def cell(value: dict[str, float], digits: int, bold: bool = False) -> str:
    median, low, high = (f"{value[key]:.{digits}f}" for key in ("median", "q1", "q3"))
    return f"{'**' if bold else ''}{median}{'**' if bold else ''} ({low} to {high})"


def goals(found: dict[str, dict[str, dict[str, Any]]]) -> list[str]:
    """Each goal of what was measured, and whether it is met."""
    second = found.get(SECOND, {})
    told = [
        f"{SECOND} {goal:g} times that of {way}, {judged(second[way]['ratio']['median'], goal)}"
        for way, goal in RATIO_GOALS.items()
        if way in second and second[way]["ratio"]
    ]
    told += [
        f"{case} {goal:g} s, {judged(found[case][OURS]['seconds']['median'], goal)}"
        for case, goal in SECONDS_GOALS.items()
        if OURS in found.get(case, {})
    ]
    return told or ["none, without emperor.web"]


def judged(value: float, goal: float) -> str:
    return "met" if value <= goal else "not met"


# What grows.


def growth_table(what: str, found: dict[str, dict[float, list[float]]]) -> str:
    """Seconds of a second run for each way (row) and each number of hosts or delay (column)."""
    sizes = sorted({size for values in found.values() for size in values})
    lines = [f"| second run, s; {what} | " + " | ".join(f"{size:g}" for size in sizes) + " |"]
    lines.append("| --- " * (len(sizes) + 1) + "|")
    for way, values in found.items():
        lines.append(f"| {way} | " + " | ".join(cell(spread(values[size]), 1) for size in sizes) + " |")
    return "\n".join(lines)
