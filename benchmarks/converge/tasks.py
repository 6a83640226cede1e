"""Where the time of one run of Ansible goes, task by task."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

from hosts import lab
from ways import Target, Way

CALLBACKS = Path(__file__).with_name("callbacks")


def measure(way: Way, what: str, version: str, target: Target) -> list[dict[str, Any]]:
    """One run with the callback."""
    times = way.setting.place / "times.json"
    variables = {
        "ANSIBLE_CALLBACK_PLUGINS": str(CALLBACKS),
        "ANSIBLE_CALLBACKS_ENABLED": "task_times",
        "EMPEROR_TIMES": str(times),
    }
    processors = processor_time(target.server.name)
    if processors:
        variables["EMPEROR_TARGET_CPU"] = str(processors)
    way.run(what, version, [target], **variables)
    return steps(json.loads(times.read_text()))


def processor_time(name: str) -> Path | None:
    """The file with the processor time that a container has used, of cgroup v1 or v2; none where it is elsewhere."""
    identity = lab.run("docker", "inspect", "--format", "{{.Id}}", name).stdout.strip()
    names = (
        f"cpuacct/docker/{identity}/cpuacct.usage",
        f"docker/{identity}/cpu.stat",
        f"system.slice/docker-{identity}.scope/cpu.stat",
    )
    return next((path for path in (Path("/sys/fs/cgroup") / name for name in names) if path.exists()), None)


def steps(times: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Seconds of each task: on the clock, of the controller's processors, and of the host's.

    A worker's processor time counts when Ansible notices its end, which can be in the task after it.
    """
    found = []
    for this, following in pairwise(times):
        wall = following["at"] - this["at"]
        controller = following["controller"] - this["controller"]
        known = this["target"] is not None
        target = following["target"] - this["target"] if known else float("nan")
        found.append({"name": this["name"], "wall": wall, "controller": controller, "target": target})
    return found


def table(found: list[dict[str, Any]], least: float = 0.05) -> str:
    """The tasks that take the most, the rest in one line."""
    shown = sorted((step for step in found if step["wall"] >= least), key=lambda step: -step["wall"])
    rest = [step for step in found if step["wall"] < least]
    lines = ["| task | s | controller's processors, s | host's processors, s |", "| --- | --- | --- | --- |"]
    lines += [row(step["name"], [step]) for step in shown]
    lines += [row(f"{len(rest)} more, each below {least} s", rest)] if rest else []
    return "\n".join([*lines, row(f"all {len(found)}", found)])


def row(name: str, found: list[dict[str, Any]]) -> str:
    sums = (sum(step[key] for step in found) for key in ("wall", "controller", "target"))
    return f"| {name} | {' | '.join(f'{seconds:.2f}' for seconds in sums)} |"
