"""A callback of Ansible that compares what our modules return with what ansible-doc shows of it, keys and types."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import yaml
from ansible.plugins.callback import CallbackBase
from ansible_collections.emperor.web.plugins.module_utils._hooks import STEPS as HOOKS

DOCUMENTATION = """
name: documented
type: aggregate
short_description: Returned values that are not like their samples
description:
  - Adds a line for each to the file that C(EMPEROR_UNLIKE_DOCUMENTED) names.
"""

ROOT = Path(__file__).parents[2]

# What modules may return without documenting it: Ansible's own, and what a failed command leaves.
STANDARD = {"changed", "diff", "failed", "invocation", "msg", "warnings", "cmd", "rc", "stdout", "stderr"}
STANDARD |= {"wants_archive", "busy", "by_step"}  # between modules and their action plugins
# What Ansible adds to the results of tasks, the first of them where a result has a path.
STANDARD |= {"owner", "group", "mode", "size", "state", "uid", "gid"}
STANDARD |= {"ansible_loop_var", "attempts", "failed_when_result", "failed_when_suppressed_exception", "item"}
STANDARD |= {"ansible_facts", "exception", "stdout_lines", "stderr_lines"}
# Dicts whose keys are names, of apps or of what was asked for: only their values can be like those of the sample.
BY_NAME = {"before", "certificates", "foreseen", "limits"}
# Keys that only some results have, as their descriptions say.
OPTIONAL = {"database.name"}
# What other modules have returned, which is compared where they run alone.
OF_OTHERS = {("settled", "results"), ("steps", "results")}
# Dicts of steps: those that were not taken are left out.
STEPS = {"seconds"}


def steps_of(value: object) -> Iterator[tuple[str, str]]:
    """Names and modules of the steps in a role's variables."""
    if isinstance(value, dict):
        if {"name", "module"} <= set(value):
            yield value["name"], value["module"]
        for part in value.values():
            yield from steps_of(part)


# The modules of the roles' steps by their names; those of hooks are named like them.
MODULES = dict.fromkeys(HOOKS, "django_hook") | {
    name: module
    for path in sorted(ROOT.glob("roles/*/vars/main.yml"))
    for name, module in steps_of(yaml.safe_load(path.read_text()))
}


def own(part: dict) -> dict:
    """What a module itself has returned for an app."""
    return {name: value for name, value in part.items() if name not in ("app", "took")}


@cache
def documented(module: str) -> dict[str, dict]:
    """The return values of one of our modules."""
    found = importlib.import_module(f"ansible_collections.emperor.web.plugins.modules.{module}")
    return yaml.safe_load(found.RETURN)


def unlike_documented(module: str, result: dict) -> list[str]:
    """In what a result differs from its documentation."""
    about = documented(module)
    own = {name for name in result if not name.startswith("_ansible_")}
    found = [f"{name} is not documented" for name in sorted(own - STANDARD - set(about))]
    known = {name for name in set(result) & set(about) if (module, name) not in OF_OTHERS}
    return found + [text for name in known for text in unlike(about[name], result[name], name)]


def unlike(about: dict, value: object, where: str) -> Iterator[str]:
    """In what a return value differs from its documentation."""
    if "contains" in about:  # a sample may be an excerpt then
        parts = about["contains"]
        for element in value if about["type"] == "list" else [value]:
            yield from other_keys(element, parts, where)
            for name in set(element) & set(parts):
                yield from unlike(parts[name], element[name], f"{where}.{name}")
    elif where in BY_NAME:
        for name in value:
            yield from unlike_sample(next(iter(about["sample"].values())), value[name], f"{where}.{name}")
    else:
        yield from unlike_sample(about.get("sample"), value, where)


def unlike_sample(sample: object, value: object, where: str) -> Iterator[str]:
    """In what a value differs from a sample; what is empty in the value tells nothing."""
    if isinstance(sample, dict) and isinstance(value, dict):
        yield from other_keys(value, sample, where) if value else ()
        for name in set(value) & set(sample):
            yield from unlike_sample(sample[name], value[name], f"{where}.{name}")
    elif isinstance(sample, list) and isinstance(value, list):
        for element in value:
            found = [list(unlike_sample(like, element, f"{where}[]")) for like in sample]
            none = [f"{where}: its elements have no sample"] if isinstance(element, dict) else []
            yield from min(found, key=len, default=none)
    elif None not in (sample, value) and type(value) is not type(sample):
        yield f"{where} is of type {type(value).__name__}, its sample of {type(sample).__name__}"


def other_keys(value: dict, sample: dict, where: str) -> Iterator[str]:
    """The keys that only one of both has."""
    yield from (f"{where}.{name} is not documented" for name in sorted(set(value) - set(sample)))
    lacking = set() if where.rpartition(".")[2] in STEPS else set(sample) - set(value)
    texts = {f"{where}.{name}" for name in lacking} - OPTIONAL
    yield from (f"{text} is documented, and not returned" for text in sorted(texts))


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "documented"
    CALLBACK_NEEDS_ENABLED = True

    def compare(self, result, **_options) -> None:
        module = result.task.resolved_action or ""
        answer = result.result
        of_loop = result.task.loop and "results" in answer
        if not module.startswith("emperor.web.") or of_loop or {"skipped", "censored", "module_stderr"} & set(answer):
            return
        module = module.removeprefix("emperor.web.")
        parts = [(module, answer)]
        if module == "steps":
            if "failed_step" in answer:  # with what the step's module has returned besides
                parts = [(module, {name: value for name, value in answer.items() if name in documented(module)})]
            for name, done in answer.get("results", {}).items():
                done_for = [part for part in done.get("results", [done]) if "skipped" not in part]
                parts += [(MODULES[name], own(part)) for part in done_for]
        found = {f"{name}: {text}" for name, part in parts for text in unlike_documented(name, part)}
        if found:
            with open(os.environ["EMPEROR_UNLIKE_DOCUMENTED"], "a", encoding="utf-8") as handle:
                handle.writelines(f"{text}\n" for text in sorted(found))

    v2_runner_on_ok = v2_runner_on_failed = v2_runner_item_on_ok = v2_runner_item_on_failed = compare
