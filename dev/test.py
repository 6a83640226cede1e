#!/usr/bin/env python3
"""Every check and test, the same here and in CI: quick ones first, hosts last, stop at the first stage that fails.

    test.py [STAGE ...]    all stages, or those whose name starts with one of the words

EMPEROR_IMAGES lists the images for the hosts, separated by spaces; without it all that can be had: Ubuntu's from a
registry, Debian's built here. EMPEROR_JOBS says how many hosts run at a time, 3 unless given. EMPEROR_RELEASES says how
many releases go live under load, 4 unless given; 20 are all of them, and take a quarter of an hour. EMPEROR_APPS says
how many apps share a host in the scenario many, 6 unless given; each of them takes a quarter of a minute.
EMPEROR_EXAMPLES says how many random series of edits of static files the stage unit tries, each time others; without it
always the same 14.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import lab
import website

LOGS = lab.CACHE / "logs"
# Hosts with Python 3.14 need ansible-core 2.20, which needs Python 3.12 here.
NEEDS_NEWER_CORE = ("debian:forky", "ubuntu:26.04")
# ubuntu-on-debian:trixie has the same packages, and the other branches of the roles; bookworm has this one's.
TWIN = "debian:trixie"
SCENARIOS = tuple(
    "faults interrupted sleep many processes nginx operate sources refusals foreign tls site".split()  # noqa: SIM905
)


class Failed(Exception):
    """A stage that found something; the text is what the person needs to see."""


@dataclass
class Run:
    """What the stages share, and what they found."""

    tools: Path = Path()
    newer_tools: Path | None = None
    results: list[tuple[str, str, float, str]] = field(default_factory=list)
    causes: list[str] = field(default_factory=list)


def call(run: Run, *argv: str | Path, cwd: Path = lab.ROOT, tools: Path | None = None, **variables: str) -> str:
    """Run a program of the tools; its output is returned, and shown when it fails."""
    folder = (tools or run.tools) / "bin"
    environment = os.environ | {
        "PATH": f"{folder}:{os.environ['PATH']}",
        "ANSIBLE_HOME": str(lab.ROOT / ".ansible"),
        "ANSIBLE_COLLECTIONS_PATH": str(lab.ROOT / "playbooks/collections"),
        "NO_COLOR": "1",
        **variables,
    }
    command = [str(folder / argv[0]) if (folder / str(argv[0])).exists() else str(argv[0])]
    command += [str(argument) for argument in argv[1:]]
    done = subprocess.run(
        command, cwd=cwd, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    if done.returncode:
        raise Failed(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}")
    return done.stdout


# Stages. Each returns a word on what it did.


def tools(run: Run) -> str:
    run.tools = lab.virtualenv()
    newer = lab.newer_python()
    run.newer_tools = lab.virtualenv(newer) if newer else None
    if not newer:
        record(run, "tools newest ansible-core", "skipped", 0, "it needs Python 3.12, which is not on this machine")
    elif len(both_tools(run)) == 1:
        record(run, "tools oldest ansible-core", "skipped", 0, "it needs Python 3.11: make test PYTHON=python3.11")
    versions = [call(run, "ansible-playbook", "--version", tools=t).split("]")[0].split()[-1] for t in both_tools(run)]
    return f"ansible-core {' and '.join(versions)}"


def both_tools(run: Run) -> list[Path]:
    """The environments of the oldest and the newest ansible-core that can be had here, which may be one."""
    return [run.tools, *([run.newer_tools] if run.newer_tools not in (None, run.tools) else [])]


def format_(run: Run) -> str:
    call(run, "ruff", "format", "--check", ".")
    call(run, "ruff", "check", ".")
    return "ruff format, ruff check"


def types(run: Run) -> str:
    """In the folder that makes the checkout a collection."""
    folder = lab.ROOT / "playbooks/collections"
    options = ("--config-file", lab.ROOT / "pyproject.toml", "--cache-dir", lab.CACHE / "mypy")
    return f"mypy: {call(run, 'mypy', *options, cwd=folder).strip().splitlines()[-1]}"


def yaml(run: Run) -> str:
    call(run, "yamllint", "--strict", ".")
    check_workflows(run, *sorted((lab.ROOT / ".github/workflows").glob("*.yml")))
    return "yamllint, and of GitHub's workflows the schema, actionlint and shellcheck"


def check_workflows(run: Run, *workflows: Path) -> None:
    """Their schema, then what they refer to; actionlint has shellcheck judge the scripts, where it is installed."""
    call(run, "check-jsonschema", "--builtin-schema", "vendor.github-workflows", *workflows)
    call(run, "actionlint", *workflows)


def unit(run: Run) -> str:
    return pytest(run, "tests/unit")


def pytest(run: Run, folder: str, *on_oldest: str) -> str:
    """Tests that need no host, on both cores side by side; options for the oldest one where there are two."""
    newest = both_tools(run)[-1]

    def count(tool: Path) -> int:
        options = on_oldest if tool != newest else ()
        return passed(call(run, "python", "-m", "pytest", "-q", folder, *options, tools=tool))

    with ThreadPoolExecutor() as pool:
        counts = pool.map(count, both_tools(run))
    return " and ".join(f"{count} passed" for count in counts)


def lint(run: Run) -> str:
    call(run, "ansible-lint", "--offline", "--profile", "production", "--strict")
    return "ansible-lint, profile production"


def docs(run: Run) -> str:
    call(run, "antsibull-docs", "lint-collection-docs", "--plugin-docs", "--validate-collection-refs=self", ".")
    call(run, "antsibull-changelog", "lint")
    call(run, "python", "dev/settings.py", "--check")
    return "antsibull-docs, antsibull-changelog, docs/settings.md is current"


def site(run: Run) -> str:
    """That the documentation can be built, and its links lead somewhere."""
    try:
        return website.build(run.tools)
    except subprocess.CalledProcessError as error:
        raise Failed(f"{error}; what was wrong is above") from None


def galaxy(run: Run) -> str:
    """The built collection: what Ansible Galaxy says of it, and that all of it works from an empty folder."""
    depend_on_core = "ansible_doc or playbooks or filter_work"
    return f"{pytest(run, 'tests/artifact', '-k', depend_on_core)}, the last with galaxy-importer and ansible-builder"


def sanity(run: Run) -> str:
    """On what users get, outside of this repository, in which Git ignores the copy and ansible-test would skip it."""
    source = lab.install_collection(run.tools) / "ansible_collections/emperor/web"
    bootstrap_pip()

    def test(tool: Path) -> str:
        # Pylint takes most of the time; that of the newest core knows the most rules.
        skip = [] if tool == both_tools(run)[-1] else ["--skip-test", "pylint"]
        version = call(run, "python", "-c", "import sys; print('%d.%d' % sys.version_info[:2])", tools=tool).strip()
        with tempfile.TemporaryDirectory() as top:
            target = Path(top) / "ansible_collections/emperor/web"
            shutil.copytree(source, target)
            (target / "tests").mkdir()
            shutil.copy(lab.ROOT / "tests/config.yml", target / "tests")
            command = ("ansible-test", "sanity", "--venv", "--python", version, "--color", "no", *skip)
            out = call(run, *command, cwd=target, tools=tool)
        ran = len(re.findall(r"^Running sanity test ", out, re.MULTILINE))
        if not ran:
            raise Failed(f"ansible-test sanity ran no test:\n{out[-4000:]}")
        return f"{ran} tests{' (not pylint)' if skip else ''} on Python {version}"

    with ThreadPoolExecutor() as pool:
        return f"ansible-test sanity: {' and '.join(pool.map(test, both_tools(run)))}"


def bootstrap_pip() -> None:
    """Let ansible-test find pip without downloading its installer: this file does the same with what Python brings."""
    folder = Path.home() / ".ansible/test/cache"
    folder.mkdir(parents=True, exist_ok=True)
    for version in ("24_2", "25_2"):
        if not (folder / f"get_pip_{version}.py").exists():
            shutil.copy(lab.ROOT / "dev/get_pip.py", folder / f"get_pip_{version}.py")


def integration(run: Run) -> str:
    tool = both_tools(run)[-1]
    have_databases(run)
    with as_documented("integration") as compare:
        out = call(run, "ansible-playbook", "tests/integration/run.yml", tools=tool, **compare)
    what, missing = integrated(out)
    for part, reason in missing.items():
        record(run, f"integration {part}", "skipped", 0, reason)
    return what


def integrated(out: str) -> tuple[str, dict[str, str]]:
    """What ran of the integration tests, and what did not with the reason: targets say so by "... left out: ..."."""
    missing = {}
    for text in re.findall(r'"msg": (".+ left out: .+")', out):
        part, _verb, reason = re.split(r" (is|are) left out: ", json.loads(text), maxsplit=1)
        missing[part] = reason
    ran = set(re.findall(r"^(django_\w+), Django ([0-9.]+)\s+: ok=", out, re.MULTILINE))
    versions = sorted({version for _target, version in ran})
    # One that is left out is a host, too, which only says so.
    projects = sorted(set(re.findall(r"^real_projects, (\w+)\s+: ok=", out, re.MULTILINE)) - missing.keys())
    what = f"{len(ran)} targets, on Django {', '.join(versions)}, and {' '.join(projects) or 'no real project'}"
    return what, missing


def benchmarks(run: Run) -> str:
    """That the comparison still runs, and both sides do the same work; the figures of so small a run say nothing."""
    call(run, sys.executable, "benchmarks/modules/run.py", "--smoke", "--output", str(LOGS / "modules.json"))
    return "benchmarks/modules"


@contextmanager
def as_documented(name: str) -> Iterator[dict[str, str]]:
    """Variables by which Ansible compares what our modules return with what ansible-doc shows; what differs fails."""
    found = LOGS / f"{name}-unlike-documented.log"
    found.unlink(missing_ok=True)
    yield {
        "ANSIBLE_CALLBACK_PLUGINS": str(lab.ROOT / "tests/callbacks"),
        "ANSIBLE_CALLBACKS_ENABLED": "documented",
        "EMPEROR_UNLIKE_DOCUMENTED": str(found),
    }
    if found.exists():
        lines = sorted(set(found.read_text().splitlines()))
        raise Failed("what modules return is not as RETURN of the module shows it:\n" + "\n".join(lines))


def have_databases(run: Run) -> None:
    """Install the servers that django_migrate is tested on; the tests start their own, so the system gets none."""
    programs = {
        "postgresql": list(Path("/usr/lib/postgresql").glob("*/bin/initdb")),
        "mariadb-server-core": shutil.which("mariadbd", path="/usr/sbin:/usr/bin"),
        "mariadb-client-core": shutil.which("my_print_defaults"),
    }
    lacking = [package for package, found in programs.items() if not found]
    if not lacking:
        return
    try:
        if "postgresql" in lacking and os.geteuid() == 0:
            keep = Path("/etc/postgresql-common/createcluster.d/emperor-web.conf")
            keep.parent.mkdir(parents=True, exist_ok=True)
            keep.write_text("create_main_cluster = false\n")
        lab.apt_install(*lacking, why="django_migrate is tested on real databases")
    except lab.Missing as reason:
        record(run, "integration databases", "skipped", 0, f"{', '.join(lacking)}: {reason}")


def have_browser(run: Run) -> None:
    """Install what the scenario tls looks at the example with; without it that one test is skipped."""
    try:
        lab.have_browser()
    except lab.Missing as reason:
        record(run, "hosts browser", "skipped", 0, str(reason))


def images(run: Run) -> str:
    wanted = host_images(run)
    with ThreadPoolExecutor(jobs()) as pool:
        for built in as_completed([pool.submit(lab.have_image, image) for image, reason in wanted if not reason]):
            built.result()
    return ", ".join(image for image, reason in wanted if not reason)


def host_images(run: Run) -> list[tuple[str, str]]:
    """Images of the hosts, each with the reason when it cannot be used."""
    lab.engine()
    given = os.environ.get("EMPEROR_IMAGES", "").split()
    found = []
    for image in given or [*lab.PULLED, *lab.BUILT]:
        reason = ""
        if image in NEEDS_NEWER_CORE and not run.newer_tools:
            reason = "it has Python 3.14, so ansible-core 2.20 is needed, and that needs Python 3.12 on this machine"
        elif image not in lab.BUILT and not lab.can_pull(image):
            reason = "no registry hands it out here"
        elif image in lab.BUILT and os.geteuid() != 0:
            reason = "it is built with debootstrap, which needs root"
        found.append((image, reason))
    return found


def usable_images(found: list[tuple[str, str]]) -> list[str]:
    """Those that any of the tools here can manage."""
    usable = [image for image, reason in found if not reason and image not in NEEDS_NEWER_CORE]
    if not usable:
        raise Failed("there is no image to run hosts from")
    return usable


def hosts(run: Run) -> str:
    """Molecule: the scenario default on every image but one of two twins, the others on one image each."""
    found = host_images(run)
    as_ubuntu = f"ubuntu-on-{TWIN}" in [image for image, reason in found if not reason]
    wanted = [("default", image, reason) for image, reason in found if not (as_ubuntu and image == TWIN)]
    usable = usable_images(found)
    have_browser(run)
    # The longest first, so that the last of them is not alone at the end.
    wanted = [(scenario, usable[number % len(usable)], "") for number, scenario in enumerate(SCENARIOS)] + wanted
    failures = []
    with ThreadPoolExecutor(jobs()) as pool:
        waiting = {pool.submit(scenario, run, *job[:2]): job for job in wanted if not job[2]}
        for name, image, reason in wanted:
            if reason:
                record(run, f"hosts {name} {image}", "skipped", 0, reason)
        for done in as_completed(waiting):
            name, image, _reason = waiting[done]
            try:
                record(run, f"hosts {name} {image}", "passed", *done.result())
            except Failed as failure:
                record(run, f"hosts {name} {image}", "failed", 0, "")
                failures.append(str(failure))
    if failures:
        raise Failed("\n\n".join(failures))
    return f"{len(waiting)} runs of Molecule"


def load(run: Run) -> str:
    """Releases and faults while visitors come in without a break; alone, because others would take their time."""
    usable = usable_images(host_images(run))
    count = os.environ.get("EMPEROR_RELEASES", "4")
    return f"{scenario(run, 'release', usable[-1], EMPEROR_RELEASES=count)[1]}, {count} releases on {usable[-1]}"


def scenario(run: Run, name: str, image: str, **variables: str) -> tuple[float, str]:
    """One scenario of Molecule on a host of its own; its seconds, and how many tests passed and were skipped."""
    started = time.monotonic()
    host = f"emperor-{name}-{re.sub('[^a-z0-9]+', '-', image)}"
    newer = run.newer_tools if image in NEEDS_NEWER_CORE else None
    variables |= {"EMPEROR_IMAGE": image, "EMPEROR_HOST": host}
    variables |= {"MOLECULE_EPHEMERAL_DIRECTORY": str(lab.CACHE / "molecule" / host)}
    try:
        with as_documented(host) as compare:
            out = call(run, "molecule", "test", "--scenario-name", name, tools=newer, **variables, **compare)
    except Failed as failure:
        (LOGS / f"{host}.log").write_text(str(failure))
        raise
    (LOGS / f"{host}.log").write_text(out)
    return time.monotonic() - started, outcome(out)


def demo(run: Run) -> str:
    """The demo, twice: the second time it finds everything as it should be. Then another project in its place."""
    port = {"EMPEROR_DEMO_PORT": os.environ.get("EMPEROR_DEMO_PORT", "8093")}
    lab.down("emperor-demo")
    try:
        for changed in (True, False):
            out = call(run, "make", "demo", **port)
            recap = re.search(r"emperor-demo\s+: .*changed=(\d+)", out)
            if (recap.group(1) != "0") is not changed:
                raise Failed(f"the demo changed {recap.group(1)} things:\n{out[-4000:]}")
            url = re.search(r"^URL: +(\S+)$", out, re.MULTILINE).group(1)
            if "Sign the guestbook" not in call(run, "python", "-c", READ_PAGE, url):
                raise Failed(f"{url} does not show the example")
            login = re.search(r"^Admin: +(\S+) +user (\S+), password (\S+)$", out, re.MULTILINE).groups()
            if "Log out" not in call(run, "python", "-c", LOG_IN, *login):
                raise Failed(f"the printed login does not open {login[0]}")
        with tempfile.TemporaryDirectory() as folder:
            another_project(run, Path(folder) / "other")
            call(run, "make", "demo", f"SOURCE={folder}/other", "VERSION=v2", **port)
        if "Sign another book" not in call(run, "python", "-c", READ_PAGE, url):
            raise Failed(f"{url} does not show version v2 of the other project")
        return f"make demo, twice, then of another project, answers at {url}"
    finally:
        call(run, "make", "demo-stop")


def another_project(run: Run, folder: Path) -> None:
    """A Git repository whose tag v2 is neither its first commit nor what lies in the folder."""
    shutil.copytree(lab.ROOT / "examples/guestbook", folder)
    template = folder / "entries/templates/entries/index.html"
    text = template.read_text()
    git = ["git", "-c", "user.name=Demo", "-c", "user.email=demo@example.com", "-C", folder]
    call(run, *git, "init", "--quiet")
    for version, words in (("v1", "Sign an old book"), ("v2", "Sign another book"), ("v3", "Sign a new book")):
        template.write_text(text.replace("Sign the guestbook", words))
        call(run, *git, "add", ".")
        call(run, *git, "commit", "--quiet", "--message", words)
        call(run, *git, "tag", version)


READ_PAGE = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1], timeout=30).read().decode())"
LOG_IN = """
import http.cookiejar, sys, urllib.parse, urllib.request
page, user, password = sys.argv[1:]
jar = http.cookiejar.CookieJar()
visitor = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))
visitor.open(page, timeout=30)
form = {"username": user, "password": password, "next": "/admin/"}
form["csrfmiddlewaretoken"] = next(cookie.value for cookie in jar if cookie.name == "csrftoken")
print(visitor.open(page + "login/", urllib.parse.urlencode(form).encode(), timeout=30).read().decode())
"""

STAGES: dict[str, Callable[[Run], str]] = {
    "tools": tools,
    "format": format_,
    "types": types,
    "yaml": yaml,
    "unit": unit,
    "lint": lint,
    "docs": docs,
    "site": site,
    "galaxy": galaxy,
    "sanity": sanity,
    "integration": integration,
    "benchmarks": benchmarks,
    "images": images,
    "demo": demo,
    "hosts": hosts,
    "load": load,
}


# These need one processor each, and nothing of each other.
SIDE_BY_SIDE = ("types", "yaml", "lint", "docs", "site", "galaxy", "sanity")


def passed(out: str) -> int:
    """The number of tests that pytest says have passed; none at all is a failure."""
    counts = counted("passed", out)
    if not counts:
        raise Failed(f"no test ran:\n{without_colours(out)[-4000:]}")
    return sum(counts)


def outcome(out: str) -> str:
    """How many tests pytest says have passed, and how many it left out, which nobody would see otherwise."""
    skipped = sum(counted("skipped", out))
    return f"{passed(out)} passed" + (f", {skipped} skipped" if skipped else "")


def counted(word: str, out: str) -> list[int]:
    """The numbers that pytest gives before a word; Ansible gives them after it, as in changed=9 skipped=12."""
    return [int(count) for count in re.findall(rf"(\d+) {word}\b(?!=)", without_colours(out))]


def without_colours(out: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", out)


def jobs() -> int:
    # A host often waits, for a release to settle or a limit to pass: three keep two processors busy.
    return int(os.environ.get("EMPEROR_JOBS", "3"))


def record(run: Run, stage: str, verdict: str, seconds: float, what: str) -> None:
    """Note a result, and say it at once."""
    run.results.append((stage, verdict, seconds, what))
    print(f"{verdict:8}{seconds:6.0f} s  {stage}: {what}", flush=True)


def main(chosen: list[str]) -> int:
    LOGS.mkdir(parents=True, exist_ok=True)
    run = Run()
    started = time.monotonic()
    # The tools are needed by all; they take no time when they are there.
    wanted = [name for name in STAGES if not chosen or name == "tools" or any(name.startswith(word) for word in chosen)]
    while wanted and not run.causes:
        together = [name for name in wanted if name in SIDE_BY_SIDE] if wanted[0] in SIDE_BY_SIDE else wanted[:1]
        with ThreadPoolExecutor(jobs()) as pool:
            for failure in filter(None, pool.map(partial(attempt, run), together)):
                run.causes = run.causes or causes(failure)
        wanted = [name for name in wanted if name not in together]
    summary(run, time.monotonic() - started)
    return any(verdict == "failed" for _stage, verdict, _seconds, _what in run.results)


def attempt(run: Run, name: str) -> str:
    """Run a stage and note what came of it; what it found is shown and returned."""
    begun = time.monotonic()
    try:
        what = STAGES[name](run)
        record(run, name, "passed", time.monotonic() - begun, what)
        return ""
    except (Failed, lab.Missing) as failure:
        record(run, name, "failed", time.monotonic() - begun, "")
        text = str(failure)
        (LOGS / f"{name}.log").write_text(text)
        shown = "\n".join(line if len(line) <= 900 else f"{line[:600]}[...]{line[-300:]}" for line in text.splitlines())
        print(f"\n{shown[:500]}\n[...]\n{shown[-8000:]}\n" if len(shown) > 8500 else f"\n{shown}\n", flush=True)
        return text


def summary(run: Run, seconds: float) -> None:
    """All results once more, and a last line that counts them."""
    print()
    for stage, verdict, took, what in run.results:
        print(f"{stage:42} {verdict:8} {took:6.0f} s  {what}")
    counts = {word: sum(result[1] == word for result in run.results) for word in ("passed", "failed", "skipped")}
    print(f"\nAll stages took {seconds / 60:.1f} minutes.")
    print(", ".join(f"{count} {word}" for word, count in counts.items()))
    for line in run.causes:
        print(line)


def causes(text: str) -> list[str]:
    """The lines that say what failed, short: of a CI log often only the end is shown."""
    patterns = (
        r"^(?:fatal|failed): \[.{0,400}",  # Ansible
        r"(?:FAIL|ERROR): test_\w+ \([\w.]+",  # unittest, perhaps inside Ansible's JSON
        r"^(?:E  |FAILED ).{0,300}",  # pytest
        r"\b\w*(?:Error|Exception): [^\n\\]{0,300}",
    )
    found = [match.group() for pattern in patterns for match in re.finditer(pattern, text, re.MULTILINE)]
    return list(dict.fromkeys(found))[:6] or text.strip().splitlines()[-4:]


if __name__ == "__main__":
    if sys.version_info < (3, 11):
        sys.exit("Python 3.11 or later is needed to test emperor.web; hosts need 3.10.")
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit("stopped")
