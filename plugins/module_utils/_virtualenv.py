# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: for this collection's modules only; it may change in any release.

"""The virtual environment of a release: which file describes it, and how it is built."""

from __future__ import annotations

import contextlib
import functools
import glob
import hashlib
import json
import os
import re
import shutil
import tempfile
import time
from dataclasses import dataclass, field

from ansible_collections.emperor.web.plugins.module_utils._process import Result, run
from ansible_collections.emperor.web.plugins.module_utils._source import SourceError, folder_revision

CANDIDATES = (
    "uv.lock",
    "requirements.txt",
    "requirements/production.txt",
    "requirements/prod.txt",
    "pyproject.toml",
)

# Prints one requirement a line; tomllib is new in Python 3.11, before that pip carries the same parser.
_PYPROJECT_REQUIREMENTS = """
import sys
try:
    import tomllib
except ImportError:
    from pip._vendor import tomli as tomllib
with open(sys.argv[1], "rb") as handle:
    project = tomllib.load(handle).get("project", {})
wanted = list(project.get("dependencies", []))
for extra in sys.argv[2:]:
    wanted += project.get("optional-dependencies", {})[extra]
print("\\n".join(wanted))
"""


# A requirement that is a path, in a requirements file, in pyproject.toml or in uv.lock (but for the project itself).
_LOCAL = re.compile(
    r"""(?m)^\s*["']?(?:\.{0,2}/|\.\s*$)|@\s*file:|\b(?:directory|editable|path)\s*=\s*["'](?!\.["'])"""
)
# What compilers and the scripts that call them say of missing programs, headers and libraries.
_LACKING = re.compile(
    r"C compiler|Unknown compiler|linker `cc` not found|\.h: No such file|(?:pg|mysql|curl)[_-]config|pkg-config"
    r"|command '\S*(?:gcc|cc|g\+\+)' failed|cannot find -l",
    re.IGNORECASE,
)
_LIBRARIES = {"pg[_-]config|libpq": "libpq-dev", "mysql_config|mysqlclient": "default-libmysqlclient-dev"}
_EDITABLE = re.compile(r"(?m)^\s*(?:-e|--editable)[ =](?!.*://).*$")


@dataclass(frozen=True)
class Plan:
    """What decides the content of a virtual environment."""

    installer: str
    requirements: str
    python: str
    extras: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    uv: str = "uv"
    environment: dict[str, str] = field(default_factory=dict)
    timeout: int = 1800

    def key(self, folder: str) -> str:
        """The name of the environment: equal for equal requirements on the same Python."""
        checksum = hashlib.sha256()
        parts = [self.installer, python_version(self.python), *self.extras, "/", *self.groups]
        checksum.update(json.dumps(parts).encode())
        files = requirement_files(folder, self.requirements)
        for path in files:
            checksum.update(f"\0{path}\0{_text(folder, path)}".encode())
        if any(_LOCAL.search(_text(folder, path)) for path in files):
            # A package that is part of the sources: another revision may have another one under the same name.
            checksum.update(folder_revision(folder, sorted(_files_below(folder))).encode())
        return checksum.hexdigest()[:16]


def choose_requirements(folder: str, given: str | None) -> str:
    """The file that describes the requirements, relative to the folder."""
    if given:
        if not os.path.isfile(os.path.join(folder, given)):
            raise SourceError(f"requirements {given} does not exist in the sources; give a path relative to their top")
        return given
    for name in CANDIDATES:
        path = os.path.join(folder, name)
        if os.path.isfile(path) and (name != "pyproject.toml" or _has_project_table(path)):
            return name
    raise SourceError(
        f"nothing in the sources says what they need: none of {', '.join(CANDIDATES)}; "
        f"add one that lists Django, or give requirements, its path"
    )


def find_requirements(sources: str, project: str, given: str | None) -> tuple[str, str]:
    """The file with the requirements, and the folder it is relative to: beside C(manage.py), else the top one."""
    beside = os.path.join(sources, project)
    if not given:
        with contextlib.suppress(SourceError):
            return choose_requirements(beside, None), os.path.normpath(beside)
    return choose_requirements(sources, given), os.path.normpath(sources)


def _has_project_table(path: str) -> bool:
    return re.search(r"(?m)^\s*\[project\]", _text(*os.path.split(path))) is not None


def requirement_files(folder: str, name: str) -> list[str]:
    """The file and everything that its content depends on."""
    if name.endswith("uv.lock"):
        return [name, os.path.join(os.path.dirname(name), "pyproject.toml")]
    if name.endswith(".toml"):
        return [name]
    found: list[str] = []
    waiting = [os.path.normpath(name)]
    while waiting:
        current = waiting.pop()
        if current in found:
            continue
        found.append(current)
        try:
            text = _text(folder, current)
        except OSError:
            raise SourceError(f"requirements {name} refers to {current}, which does not exist in the sources") from None
        if found_line := _EDITABLE.search(text):
            # It would lead from an environment that releases share into the sources of one of them.
            raise SourceError(
                f"requirements {current} has an editable package ({found_line.group(0).strip()}); write it without -e"
            )
        for included in re.findall(r"(?m)^\s*(?:-r|-c|--requirement|--constraint)[ =]?\s*(\S+)", text):
            if "://" not in included:
                waiting.append(os.path.normpath(os.path.join(os.path.dirname(current), included)))
    return sorted(found)


def _text(folder: str, path: str) -> str:
    try:
        with open(os.path.join(folder, path), encoding="utf-8") as handle:
            return handle.read()
    except UnicodeDecodeError:
        raise SourceError(f"requirements {path} is no UTF-8 text; save it as UTF-8") from None


def _files_below(folder: str) -> list[str]:
    return [
        os.path.relpath(os.path.join(parent, name), folder)
        for parent, _folders, names in os.walk(folder)
        for name in names
        if not name.endswith(".pyc")
    ]


@functools.cache
def python_version(python: str) -> str:
    """Major and minor version of an interpreter, which is what compiled packages are bound to."""
    outcome = run([python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"], timeout=30)
    if outcome.rc != 0:
        raise SourceError(f"{python} does not run: {outcome.last_lines()}")
    return outcome.stdout.strip()


def required_python(folder: str) -> str | None:
    """C(requires-python) of the sources, as it is written there."""
    try:
        with open(os.path.join(folder, "pyproject.toml"), encoding="utf-8") as handle:
            found = re.search(r"""(?m)^\s*requires-python\s*=\s*["']([^"']+)["']""", handle.read())
    except FileNotFoundError:
        return None
    return found.group(1) if found else None


def accepts(specifier: str, version: str) -> bool:
    """Whether a version specifier (PEP 440, as far as C(requires-python) uses it) admits C(major.minor)."""
    have = tuple(int(part) for part in version.split("."))
    for clause in specifier.split(","):
        found = re.fullmatch(r"\s*(>=|<=|==|!=|~=|>|<|===)?\s*v?(\d+(?:\.\d+)*)(\.\*)?\s*", clause)
        if not found:
            continue  # what this cannot read, the installer will judge
        operator, wanted = found.group(1) or "==", tuple(int(part) for part in found.group(2).split("."))
        short = wanted[:2]
        verdict = {
            ">=": have >= short,
            ">": have >= short,  # 3.11.1 is later than 3.11
            "<=": have <= short,
            "<": have < short or (have == short and len(wanted) > 2 and any(wanted[2:])),
            "==": have[: len(short)] == short,
            "===": have[: len(short)] == short,
            "!=": have[: len(short)] != short or not found.group(3),
            "~=": have >= short and have[0] == wanted[0] and (len(wanted) < 3 or have == short),
        }[operator]
        if not verdict:
            return False
    return True


def ensure_uv(version: str, folder: str, python: str, environment: dict[str, str]) -> str:
    """Path of uv in the wanted version; installed, as a wheel alone, where it is not there yet."""
    target = os.path.join(folder, f"uv-{version}")
    uv = os.path.join(target, "bin", "uv")
    if os.path.exists(uv):
        return uv
    # Under another name until it is whole: a run that is killed must not leave half of it, and two apps may want it.
    os.makedirs(folder, exist_ok=True)
    for left in glob.glob(os.path.join(folder, ".uv-*")):
        if time.time() - os.stat(left).st_mtime > 3600:
            shutil.rmtree(left, ignore_errors=True)
    made = tempfile.mkdtemp(prefix=f".uv-{version}.", dir=folder)
    try:
        os.chmod(made, 0o755)
        install = [os.path.join(made, "bin", "python"), "-m", "pip", "install", "--quiet", "--only-binary=:all:"]
        for argv in ([python, "-m", "venv", made], [*install, f"uv=={version}"]):
            outcome = run(argv, environment=environment, timeout=600)
            if outcome.rc != 0:
                raise SourceError(
                    f"uv {version} cannot be installed: {outcome.last_lines()}; check the package index and proxy, "
                    f"or use installer: pip"
                )
        if not os.path.exists(uv):
            shutil.rmtree(target, ignore_errors=True)
            os.rename(made, target)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return uv


def build(plan: Plan, folder: str, target: str, user: str) -> None:
    """Make the environment in an existing empty folder, as the app's user: packages may run code while they build."""
    if plan.installer == "uv":
        _build_with_uv(plan, folder, target, user)
    else:
        _build_with_pip(plan, folder, target, user)


def _build_with_uv(plan: Plan, folder: str, target: str, user: str) -> None:
    _step(plan, [plan.uv, "venv", "--quiet", "--allow-existing", "--python", plan.python, target], folder, user)
    install = [plan.uv, "pip", "install", "--compile-bytecode", "--python", os.path.join(target, "bin", "python")]
    path = os.path.join(folder, plan.requirements)
    if plan.requirements.endswith("uv.lock"):
        # An export names no index, so a mirror that was given is used whatever index the lock was made with.
        export = [plan.uv, "export", "--quiet", "--frozen", "--no-dev", "--no-emit-project", "--no-editable"]
        export += [f"--extra={extra}" for extra in plan.extras] + [f"--group={group}" for group in plan.groups]
        locked = _step(plan, export, os.path.dirname(path), user).stdout
        _step(plan, [*install, "-r", "-"], os.path.dirname(path), user, stdin=locked)
        return
    if plan.requirements.endswith(".toml"):
        install += [f"--extra={extra}" for extra in plan.extras] + [f"--group={group}" for group in plan.groups]
    _step(plan, [*install, "-r", path], os.path.dirname(path), user)


def _build_with_pip(plan: Plan, folder: str, target: str, user: str) -> None:
    python = os.path.join(target, "bin", "python")
    path = os.path.join(folder, plan.requirements)
    if plan.requirements.endswith("uv.lock"):
        raise SourceError("uv.lock can only be read by uv; use installer: uv, or give requirements, another file")
    if plan.groups:
        raise SourceError("groups need uv; use installer: uv, or list the packages in a requirements file")
    _step(plan, [plan.python, "-m", "venv", target], folder, user)
    install = [
        python,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--prefer-binary",
        "--no-cache-dir",
        "--disable-pip-version-check",
    ]
    if plan.requirements.endswith(".toml"):
        wanted = _step(plan, [python, "-c", _PYPROJECT_REQUIREMENTS, path, *plan.extras], folder, user).stdout
        _step(plan, [*install, *wanted.split("\n")[:-1]], os.path.dirname(path), user)
        return
    _step(plan, [*install, "-r", path], os.path.dirname(path), user)


def _step(plan: Plan, argv: list[str], cwd: str, user: str, stdin: str = "") -> Result:
    outcome = run(argv, environment=plan.environment, cwd=cwd, user=user, timeout=plan.timeout, stdin=stdin)
    if outcome.rc != 0 or outcome.timed_out:
        reason = f"not done within {plan.timeout} s" if outcome.timed_out else outcome.last_lines(12)
        raise SourceError(f"the requirements in {plan.requirements} cannot be installed: {reason}{lacking(outcome)}")
    return outcome


def lacking(outcome: Result) -> str:
    """What to do where a package is built from its source and the host lacks what that takes."""
    said = outcome.stdout + outcome.stderr
    if not _LACKING.search(said):
        return ""
    packages = ["build-essential", "python3-dev"]
    packages += [package for word, package in _LIBRARIES.items() if re.search(word, said)]
    return (
        f". It is built on the host, for want of a wheel; name the Debian packages that this takes in packages of the "
        f"app, for example packages: [{', '.join(packages)}]"
    )


def network_environment(index_url: str | None, authorities: str, proxy: str | None) -> dict[str, str]:
    """Variables that lead uv, pip and Git through a package index, a proxy and a file of certificate authorities.

    They are variables and not arguments, because an index URL may hold a password and arguments can be seen.
    """
    variables = {
        "UV_NO_PROGRESS": "1",
        "UV_PYTHON_DOWNLOADS": "never",
        "UV_SYSTEM_CERTS": "true",
        "PIP_NO_INPUT": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }
    if os.path.exists(authorities):
        variables |= dict.fromkeys(("SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE", "GIT_SSL_CAINFO"), authorities)
    if index_url:
        variables |= {"UV_DEFAULT_INDEX": index_url, "PIP_INDEX_URL": index_url}
    if proxy:
        names = ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
        variables |= dict.fromkeys(names, proxy)
        variables |= {"no_proxy": "localhost,127.0.0.1,::1", "NO_PROXY": "localhost,127.0.0.1,::1"}
    return variables
