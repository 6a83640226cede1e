#!/usr/bin/env python3
"""Write docs/settings.md, the reference of all variables, from what the roles say of them in meta/argument_specs.yml.

settings.py            writes it
settings.py --check    writes nothing, and fails where it is not current

It needs PyYAML, which comes with Ansible: `make docs` runs it with the Python of the tools.
"""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs/settings.md"
# What people write most comes first. The role host is the others' own.
ROLES = ("django", "nginx", "uwsgi", "locale")
HEAD = """\
# Settings

<!-- Written by dev/settings.py from roles/*/meta/argument_specs.yml: change it there, then run `make docs`. -->

All variables of the roles, with type, default, unit and meaning. They go where variables of Ansible go: the inventory,
`group_vars`, `host_vars`. `ansible-doc -t role emperor.web.django` shows the same in a terminal. In the tables of keys,
`health.path` is the key `path` of `health`.
"""
# How a description tells a default that the specification cannot hold, because the host or another option decides it.
UNLESS_GIVEN = re.compile(r"; ([^;]+?),? unless given\b")
PIPE = r"\|"
MARKUP = re.compile(r"\b(?:[BCEILMOPUV]|RV)\(")


def page() -> str:
    """The whole page."""
    found = "\n".join([HEAD, *(part for role in ROLES for part in section(role))])
    left = MARKUP.search(found)
    if left:
        raise ValueError(f"markup that is not understood: {found[left.start() :][:80]}")
    return found


def section(role: str) -> Iterator[str]:
    """What one role takes, each list of mappings in a table of its own."""
    entries = yaml.safe_load((ROOT / f"roles/{role}/meta/argument_specs.yml").read_text(encoding="utf-8"))[
        "argument_specs"
    ]
    main = entries["main"]["options"]
    yield f"## Role {role}\n\n{entries['main']['short_description']}. [More](../roles/{role}/README.md)\n"
    lists = {name: about for name, about in main.items() if "options" in about}
    for name, about in lists.items():
        yield f"### {name}\n\n{kind(about).capitalize()}, {default(about)}. {meaning(about)}\n"
        yield table("key", about["options"])
    if lists:
        yield "### Other variables\n"
    yield table("variable", {name: about for name, about in main.items() if name not in lists})
    more = {name: about for entry in entries.values() for name, about in entry["options"].items() if name not in main}
    if more:
        *others, last = [f"`{name}`" for name, entry in entries.items() if set(entry["options"]) & set(more)]
        yield f"### Variables of the entry points {', '.join(others)} and {last}\n"
        yield "The playbooks of these names set them, see [releases](releases.md).\n"
        yield table("variable", more)


def table(heading: str, options: dict[str, dict]) -> str:
    """A table of options and their own options."""
    lines = [f"| {heading} | type | default | meaning |", "| --- | --- | --- | --- |"]
    for name, about in rows(options):
        cells = (f"`{name}`", kind(about), default(about), meaning(about))
        lines.append("".join(f"| {cell.replace('|', PIPE)} " for cell in cells) + "|")
    return "\n".join([*lines, ""])


def rows(options: dict[str, dict], above: str = "") -> Iterator[tuple[str, dict]]:
    """Options, each followed by its own ones."""
    for name, about in options.items():
        yield above + name, about
        yield from rows(about.get("options", {}), f"{above}{name}.")


def kind(about: dict) -> str:
    """The type, or what can be chosen."""
    one = about.get("elements", about["type"])
    if "choices" in about:
        *others, last = [f"`{choice}`" for choice in about["choices"]]
        one = f"{', '.join(others)} or {last}"
    return f"list of {one}" if about["type"] == "list" else "any" if one == "raw" else one


def default(about: dict) -> str:
    """What holds when nothing is given."""
    if about.get("required"):
        return "required"
    if "default" not in about:
        told = UNLESS_GIVEN.search(plain(about))
        return markdown(told[1]) if told else "none"
    value = about["default"]
    if value in ("", [], {}):
        return "empty"
    if isinstance(value, dict):
        return ", ".join(f"`{key}: {part}`" for key, part in value.items())
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return ", ".join(f"`{part}`" for part in value) if isinstance(value, list) else f"`{value}`"


def meaning(about: dict) -> str:
    """The description, without the default where that has a cell."""
    text = plain(about)
    return markdown(text if "default" in about else UNLESS_GIVEN.sub("", text, count=1))


def plain(about: dict) -> str:
    """The description as one paragraph, in Ansible's markup."""
    given = about["description"]
    return " ".join(" ".join([given] if isinstance(given, str) else given).split())


def markdown(text: str) -> str:
    """Ansible's markup as Markdown; a key of the same table loses the path to it."""
    text = re.sub(r"\bO\((?:\w+:)?(?:\w+\[\]\.)?([\w.]+)(?:=([^()]*))?\)", option, text)
    text = re.sub(r"\b[MP]\(([\w.]+)(?:#\w+)?\)", r"`\1`", text)
    text = re.sub(r"\bB\(([^()]*)\)", r"**\1**", text)
    # What is code may have parentheses of its own, one level of them.
    return re.sub(r"\b[CV]\(((?:[^()]|\([^()]*\))*)\)", r"`\1`", text)


def option(found: re.Match[str]) -> str:
    return f"`{found[1]}: {found[2]}`" if found[2] else f"`{found[1]}`"


def main() -> None:
    wanted = page()
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(wanted, encoding="utf-8")
        return
    there = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    changes = difflib.unified_diff(there.splitlines(), wanted.splitlines(), str(PAGE), "as the roles say", lineterm="")
    if there != wanted:
        sys.exit("\n".join(["docs/settings.md is not current; run: make docs", *changes]))


if __name__ == "__main__":
    main()
