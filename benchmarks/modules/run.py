#!/usr/bin/env python3
"""Measure django_collectstatic and django_migrate beside community.general.django_manage.

    run.py [--rounds N] [--django VERSION] [--output FILE]
    run.py --smoke    small projects and one round: shows that this still works, the figures mean nothing

Every task of either side is run by one ansible-playbook, over the local connection, with the same interpreter for the
modules and the same virtual environment for Django, in turns; what counts is the task's duration as Ansible reports it.
Each round begins with nothing: first runs, then runs with nothing to do. At the end both sides must have done the same.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from datetime import date, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from common import RESULTS, lab, machine, publish, revision, spread
from project import write_project

OURS, THEIRS = "emperor.web", "django_manage"
# Name, folder of the project, what it does, goal as a ratio.
CASES = {
    "static files, first": ("static", "collectstatic", 1.0),
    "static files, nothing to do": ("static", "collectstatic", 0.1),
    "migrations, from empty": ("migrations", "migrate", 1.0),
    "migrations, nothing to do": ("migrations", "migrate", 0.5),
}


class Odd(Exception):
    """The two sides did not do the same work, so their times cannot be compared."""


# What is run.


def tasks_of(case: str, place: Path, environment: Path) -> dict[str, dict]:
    """The same work as a task of either side; each has a database and a folder of static files of its own."""
    folder, command, _goal = CASES[case]
    targets = {side: {"BENCHMARK_TARGET": str(place / side)} for side in (OURS, THEIRS)}
    project = str(place / folder)
    return {
        OURS: {
            f"emperor.web.django_{command}": {
                "project": project,
                "virtualenv": str(environment),
                "settings": "site_settings",
                "environment": targets[OURS],
            },
        },
        THEIRS: {
            "community.general.django_manage": {
                "command": command,
                "project_path": project,
                "virtualenv": str(environment),
                "settings": "site_settings",
            },
            "environment": targets[THEIRS],
        },
    }


def floors(place: Path, environment: Path) -> dict[str, dict]:
    """Tasks that no module can be faster than: one of Ansible's that does nothing, and one that only starts Django."""
    start = [str(environment / "bin/python"), "-c", "import django; django.setup()"]
    variables = {"DJANGO_SETTINGS_MODULE": "site_settings", "BENCHMARK_TARGET": str(place / OURS)}
    return {
        "a task that does nothing (ping)": {"ansible.builtin.ping": {}},
        "a task that starts Django, and no more": {
            "ansible.builtin.command": {"argv": start, "chdir": str(place / "migrations")},
            "environment": variables | {"PYTHONPATH": "."},
        },
    }


def playbook(place: Path, environment: Path, rounds: range, repeats: int) -> list[dict]:
    """All tasks of all rounds; the names of those that count say what they are."""
    tasks = []
    for number in rounds:
        tasks.append({"name": "clear", "ansible.builtin.shell": f"rm -rf {place}/{OURS}* {place}/{THEIRS}*"})
        for case in CASES:
            pair = tasks_of(case, place, environment)
            for repeat in range(1 if "nothing" not in case else repeats):
                order = [OURS, THEIRS] if (number + repeat) % 2 else [THEIRS, OURS]
                for side in order:
                    name = json.dumps({"case": case, "side": side, "round": number, "repeat": repeat})
                    tasks.append({"name": name, **pair[side]})
        for case, task in floors(place, environment).items():
            tasks.append({"name": json.dumps({"case": case, "side": "", "round": number, "repeat": 0}), **task})
    play = {"name": "measure", "hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": tasks}
    return [
        play | {"vars": {"ansible_python_interpreter": "{{ ansible_playbook_python }}", "ansible_pipelining": True}}
    ]


def play(tools: Path, plays: list[dict], place: Path) -> list[dict]:
    """Run the plays; one sample for each task that counts."""
    path = place / "measure.yml"
    path.write_text(json.dumps(plays))
    variables = {
        "ANSIBLE_COLLECTIONS_PATH": str(lab.ROOT / "playbooks/collections"),
        "ANSIBLE_HOME": str(lab.ROOT / ".ansible"),
        "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json",
        "ANSIBLE_LOCALHOST_WARNING": "false",
        "ANSIBLE_INVENTORY_UNPARSED_WARNING": "false",
    }
    done = subprocess.run(
        [tools / "bin/ansible-playbook", path],
        cwd=place,
        env=os.environ | variables,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        raise lab.Missing(f"ansible-playbook failed:\n{failures(done.stdout)}")
    found = json.loads(done.stdout[done.stdout.index("{") :])
    return [
        sample
        for task in found["plays"][0]["tasks"]
        if task["task"]["name"].startswith("{")
        for sample in [json.loads(task["task"]["name"]) | measured(task)]
        if sample["round"]
    ]


def failures(output: str) -> str:
    """What the failed tasks said."""
    try:
        tasks = [task for play in json.loads(output[output.index("{") :])["plays"] for task in play["tasks"]]
    except ValueError:
        return output[-4000:]
    results = [(task["task"]["name"], result) for task in tasks for result in task["hosts"].values()]
    return "\n".join(f"{name}: {result.get('msg')}" for name, result in results if result.get("failed"))


def measured(task: dict) -> dict:
    start, end = (datetime.fromisoformat(task["task"]["duration"][key]) for key in ("start", "end"))
    return {"seconds": (end - start).total_seconds(), "changed": task["hosts"]["localhost"].get("changed", False)}


# What comes out.


def verify(samples: list[dict], place: Path) -> None:
    """Our modules told the truth, and both sides have left the same files and the same schema."""
    for sample in samples:
        if sample["side"] == OURS and sample["changed"] is ("nothing" in sample["case"]):
            raise Odd(f"{sample['case']}: our module reported changed={sample['changed']}")
    for what, look in (("static files", files_below), ("schema or rows", rows)):
        if look(place, OURS) != look(place, THEIRS):
            raise Odd(f"the two sides do not have the same {what}; look at {place}")


def files_below(place: Path, side: str) -> dict[str, str]:
    top = place / f"{side}-static"
    found = {str(path.relative_to(top)): path for path in top.rglob("[!.]*") if path.is_file()}
    return {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in found.items()}


def rows(place: Path, side: str) -> list:
    with sqlite3.connect(place / f"{side}.sqlite3") as database:
        schema = database.execute("SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
        counts = [
            (name, database.execute(f'SELECT count(*) FROM "{name}"').fetchone())
            for kind, name, _sql in schema
            if kind == "table"
        ]
        applied = database.execute("SELECT app, name FROM django_migrations").fetchall()
    return [sorted(schema), sorted(counts), sorted(applied)]


def evaluate(samples: list[dict]) -> dict[str, dict]:
    """Seconds of both sides, and the ratio of the two tasks that ran one after the other."""
    found = {}
    for case, (_folder, _command, goal) in CASES.items():
        seconds = {
            side: {(s["round"], s["repeat"]): s["seconds"] for s in samples if (s["case"], s["side"]) == (case, side)}
            for side in (OURS, THEIRS)
        }
        ratios = [seconds[OURS][turn] / seconds[THEIRS][turn] for turn in seconds[OURS]]
        found[case] = {
            "samples": len(ratios),
            "ours": spread(list(seconds[OURS].values())),
            "django_manage": spread(list(seconds[THEIRS].values())),
            "ratio": spread(ratios),
            "goal": goal,
        }
    return found


def table(report: dict) -> str:
    """The figures as a table of Markdown, as docs/performance.md has them."""
    lines = [
        "| | ours, s | django_manage, s | ratio | goal | pairs |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for case, found in report["cases"].items():
        figures = [
            f"{f['median']:.2f} ({f['q1']:.2f} to {f['q3']:.2f})" for f in (found["ours"], found["django_manage"])
        ]
        ratio = "**{median:.2f}** ({q1:.2f} to {q3:.2f})".format(**found["ratio"])
        met = "met" if found["ratio"]["median"] <= found["goal"] else "not met"
        lines.append(
            f"| {case} | {figures[0]} | {figures[1]} | {ratio} | {found['goal']}, {met} | {found['samples']} |"
        )
    for case, found in report["floors"].items():
        lines.append("| {} | {median:.2f} ({q1:.2f} to {q3:.2f}) | | | | |".format(case, **found))
    return "\n".join(lines)


def versions(tools: Path, environment: Path) -> dict[str, str]:
    """What was measured."""
    code = "import platform, django; print(platform.python_version(), django.__version__)"
    python, django = lab.run(environment / "bin/python", "-c", code).stdout.split()
    manifest = next(tools.glob("lib/python*/site-packages/ansible_collections/community/general/MANIFEST.json"))
    core = lab.run(tools / "bin/ansible-playbook", "--version").stdout.split("]")[0].split()[-1]
    return {
        "emperor.web": revision(),
        "community.general": json.loads(manifest.read_text())["collection_info"]["version"],
        "ansible-core": core,
        "Python": python,
        "Django": django,
    }


def have_django(tools: Path, version: str) -> Path:
    """A virtual environment with Django, made with the interpreter of the tools."""
    folder = RESULTS / f"django-{version}-{tools.name}"
    with lab.locked("benchmarks"):
        if not (folder / "complete").exists():
            shutil.rmtree(folder, ignore_errors=True)
            lab.run(tools / "bin/uv", "venv", "--quiet", "--python", tools / "bin/python", folder)
            install = [
                tools / "bin/uv",
                "pip",
                "install",
                "--quiet",
                "--compile-bytecode",
                f"--python={folder}/bin/python",
            ]
            lab.run(*install, f"Django~={version}.0", env=os.environ | {"UV_SYSTEM_CERTS": "true"})
            (folder / "complete").touch()
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, help="rounds that count, one more is made first; default 7")
    parser.add_argument("--django", default="5.2", help="version of Django, as 5.2, the default")
    parser.add_argument("--output", type=Path, default=RESULTS / "modules.json", help="gets all samples")
    parser.add_argument("--smoke", action="store_true", help="small projects and one round, to see that this works")
    given = parser.parse_args()
    if given.rounds < 1:
        parser.error("--rounds has to be 1 or more")
    static_files, migrations, repeats = (60, 24, 1) if given.smoke else (5000, 300, 3)
    rounds = range(1, 2) if given.smoke else range(given.rounds + 1)  # round 0 warms up, and does not count
    tools = lab.virtualenv()
    RESULTS.mkdir(parents=True, exist_ok=True)
    environment = have_django(tools, given.django)
    with tempfile.TemporaryDirectory(prefix="emperor-benchmark-", dir=RESULTS) as folder:
        place = Path(folder)
        write_project(place / "static", static_files=static_files)
        write_project(place / "migrations", migrations=migrations)
        # Both sides find compiled files, as they do on a host where the project has run before.
        lab.run(environment / "bin/python", "-m", "compileall", "-q", place)
        lab.say(f"Measuring {rounds[-1]} rounds with {static_files} static files and {migrations} migrations …")
        samples = play(tools, playbook(place, environment, rounds, repeats), place)
        verify(samples, place)
    report = {
        "date": date.today().isoformat(),
        "command": " ".join(["python3", "benchmarks/modules/run.py", *sys.argv[1:]]),
        "machine": machine(),
        "versions": versions(tools, environment),
        "static_files": static_files,
        "migrations": migrations,
        "rounds": rounds[-1],
        "cases": evaluate(samples),
        "floors": {
            case: spread([sample["seconds"] for sample in samples if sample["case"] == case])
            for case in floors(place, environment)
        },
        "samples": samples,
    }
    text = "These figures mean nothing, --smoke is a test." if given.smoke else table(report)
    publish(report, given.output, text, ("date", "machine", "versions"))


if __name__ == "__main__":
    try:
        main()
    except (Odd, lab.Missing) as failure:
        sys.exit(str(failure))
