# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import pwd
import sys
from dataclasses import replace

import pytest
from ansible_collections.emperor.web.plugins.module_utils import _virtualenv
from ansible_collections.emperor.web.plugins.module_utils._process import Result
from ansible_collections.emperor.web.plugins.module_utils._source import SourceError
from ansible_collections.emperor.web.plugins.module_utils._virtualenv import (
    Plan,
    accepts,
    build,
    choose_requirements,
    lacking,
    network_environment,
    python_version,
    required_python,
    requirement_files,
)

MYSELF = pwd.getpwuid(os.geteuid()).pw_name
HERE = f"{sys.version_info.major}.{sys.version_info.minor}"


@pytest.fixture
def folder(tmp_path):
    """Write files and return their folder."""

    def write(files: dict[str, str], name: str = "src") -> str:
        for path in (tmp_path / name / file for file in files):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(files[str(path.relative_to(tmp_path / name))])
        return str(tmp_path / name)

    return write


# Which file.


PROJECT_TABLE = '[project]\nname = "shop"\n'


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        pytest.param(
            {"uv.lock": "", "requirements.txt": "", "pyproject.toml": PROJECT_TABLE}, "uv.lock", id="a lock file first"
        ),
        pytest.param(
            {"requirements.txt": "", "requirements/production.txt": "", "pyproject.toml": PROJECT_TABLE},
            "requirements.txt",
            id="then requirements.txt",
        ),
        pytest.param(
            {"requirements/production.txt": "", "requirements/prod.txt": ""},
            "requirements/production.txt",
            id="then production's",
        ),
        pytest.param(
            {"requirements/prod.txt": "", "requirements/dev.txt": ""}, "requirements/prod.txt", id="then prod's"
        ),
        pytest.param({"pyproject.toml": PROJECT_TABLE}, "pyproject.toml", id="then pyproject.toml"),
    ],
)
def test_the_file_is_chosen(folder, files, expected):
    assert choose_requirements(folder(files), None) == expected


@pytest.mark.parametrize("files", [{"README": ""}, {"pyproject.toml": "[tool.ruff]\n"}, {"requirements/dev.txt": ""}])
def test_no_file_says_what_to_add(folder, files):
    with pytest.raises(
        SourceError, match=r"none of uv.lock, requirements.txt, .*; add one that lists Django, or give req"
    ):
        choose_requirements(folder(files), None)


def test_a_given_file_wins_and_has_to_exist(folder):
    sources = folder({"uv.lock": "", "deploy/live.txt": ""})
    assert choose_requirements(sources, "deploy/live.txt") == "deploy/live.txt"
    with pytest.raises(
        SourceError, match="requirements live.txt does not exist in the sources; give a path relative to"
    ):
        choose_requirements(sources, "live.txt")


@pytest.mark.parametrize(
    ("files", "name", "expected"),
    [
        pytest.param(
            {"requirements.txt": "Django\n-e git+https://x/y#egg=z\n# -r not.txt\n"},
            "requirements.txt",
            ["requirements.txt"],
            id="nothing included",
        ),
        pytest.param(
            {
                "requirements/prod.txt": "-r base.txt\n  -c ../constraints.txt\n",
                "constraints.txt": "-r requirements/more.txt",
                "requirements/base.txt": "--requirement=more.txt\n-rdb.txt",
                "requirements/more.txt": "",
                "requirements/db.txt": "",
            },
            "requirements/prod.txt",
            [
                "constraints.txt",
                "requirements/base.txt",
                "requirements/db.txt",
                "requirements/more.txt",
                "requirements/prod.txt",
            ],
            id="files of files",
        ),
        pytest.param({"a.txt": "-r b.txt", "b.txt": "--constraint a.txt"}, "a.txt", ["a.txt", "b.txt"], id="a circle"),
        pytest.param({"a.txt": "-c https://example.com/constraints.txt"}, "a.txt", ["a.txt"], id="a URL"),
        pytest.param(
            {"app/uv.lock": "", "app/pyproject.toml": ""},
            "app/uv.lock",
            ["app/uv.lock", "app/pyproject.toml"],
            id="lock",
        ),
        pytest.param({"pyproject.toml": ""}, "pyproject.toml", ["pyproject.toml"], id="pyproject.toml"),
    ],
)
def test_files_that_decide_the_content(folder, files, name, expected):
    assert requirement_files(folder(files), name) == expected


def test_a_missing_include_is_named(folder):
    sources = folder({"requirements/prod.txt": "-r base.txt\n"})
    with pytest.raises(
        SourceError, match=r"requirements requirements/prod.txt refers to requirements/base.txt, which does"
    ):
        requirement_files(sources, "requirements/prod.txt")


def test_a_file_in_utf16_is_explained(tmp_path):
    """What PowerShell 5 makes of pip freeze > requirements.txt."""
    (tmp_path / "requirements.txt").write_text("Django==5.2\n", encoding="utf-16")
    with pytest.raises(SourceError, match=r"requirements.txt.*UTF-8"):
        requirement_files(str(tmp_path), "requirements.txt")


# The key.


FILES = {"requirements.txt": "-r base.txt\n", "base.txt": "Django==5.2\n"}
PLAN = Plan("uv", "requirements.txt", "python3.12", ("s3",), ("prod",))


@pytest.fixture
def versions(monkeypatch):
    """Interpreters that need not exist."""
    known = {"python3.12": "3.12", "/usr/bin/python3": "3.12", "python3.13": "3.13"}
    monkeypatch.setattr(_virtualenv, "python_version", known.__getitem__)


def test_equal_requirements_share_an_environment(folder, versions):
    key = PLAN.key(folder(FILES, "release-1"))
    assert key == PLAN.key(folder(FILES | {"shop/views.py": "x"}, "release-2"))
    other_paths = replace(PLAN, python="/usr/bin/python3", uv="/opt/uv", environment={"A": "1"}, timeout=1)
    assert key == other_paths.key(folder(FILES, "release-1"))
    assert len(key) == 16


@pytest.mark.parametrize(
    ("change", "files"),
    [
        pytest.param({}, FILES | {"base.txt": "Django==5.2.1\n"}, id="content of an included file"),
        pytest.param({}, FILES | {"requirements.txt": "-r base.txt\n\n"}, id="content of the file"),
        pytest.param({"python": "python3.13"}, FILES, id="Python"),
        pytest.param({"installer": "pip"}, FILES, id="installer"),
        pytest.param({"extras": ("s3", "redis")}, FILES, id="extras"),
        pytest.param({"groups": ()}, FILES, id="groups"),
        pytest.param({"extras": (), "groups": ("s3", "prod")}, FILES, id="an extra is no group"),
        pytest.param({"requirements": "base.txt"}, FILES, id="another file"),
    ],
)
def test_other_requirements_are_another_environment(folder, versions, change, files):
    assert replace(PLAN, **change).key(folder(files, "changed")) != PLAN.key(folder(FILES))


@pytest.mark.parametrize("line", ["./libs/common", "-e ./libs/common", "common @ file:libs/common"])
def test_a_package_of_the_sources_is_never_taken_from_an_earlier_release(folder, versions, line):
    """A key of the file alone would give a release the package as an earlier one had it; a refusal is as good."""
    files = {
        "requirements.txt": f"Django\n{line}\n",
        "libs/common/common.py": "NEW = False",
        "libs/common/setup.py": "",
    }
    try:
        before = PLAN.key(folder(files, "old"))
        after = PLAN.key(folder(files | {"libs/common/common.py": "NEW = True"}, "new"))
    except SourceError as error:
        assert "libs/common" in str(error)
    else:
        assert before != after


# Python.


def test_python_version_is_asked_of_the_interpreter(tmp_path):
    assert python_version(sys.executable) == HERE
    broken = tmp_path / "python3"
    broken.write_text("#!/bin/sh\necho no such library >&2\nexit 127\n")
    broken.chmod(0o755)
    with pytest.raises(SourceError, match=r"/python3 does not run: no such library"):
        python_version(str(broken))


def test_an_interpreter_that_is_not_there_is_named(tmp_path):
    with pytest.raises(SourceError, match=r"/python9.9 does not"):
        python_version(str(tmp_path / "python9.9"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('[project]\nname = "x"\nrequires-python = ">=3.10,<3.13"\n', ">=3.10,<3.13"),
        ("[project]\n  requires-python='~=3.11'\n", "~=3.11"),
        ("[project]\n", None),
        ('# requires-python = ">=3.14"\n', None),
    ],
)
def test_required_python(folder, text, expected):
    assert required_python(folder({"pyproject.toml": text})) == expected


def test_sources_without_pyproject_require_nothing(tmp_path):
    assert required_python(str(tmp_path)) is None


# A version stands for all its patch releases: it is refused only when none of them would be accepted.
ACCEPTED = {
    ">=3.10": {"3.9": False, "3.10": True, "3.13": True},
    ">=3.10.5": {"3.9": False, "3.10": True},
    "<3.13": {"3.12": True, "3.13": False, "3.14": False},
    "<3.12.0": {"3.11": True, "3.12": False},
    "<3.12.4": {"3.12": True, "3.13": False},
    "<=3.12": {"3.12": True, "3.13": False},
    ">3.11": {"3.10": False, "3.11": True, "3.12": True},
    ">3.11.2": {"3.10": False, "3.11": True},
    "==3.12.*": {"3.11": False, "3.12": True, "3.13": False},
    "==3.*": {"2.7": False, "3.13": True},
    "==3.12.3": {"3.12": True, "3.13": False},
    "~=3.11": {"3.10": False, "3.11": True, "3.13": True, "4.0": False},
    "~=3.11.2": {"3.11": True, "3.12": False},
    "!=3.12.*": {"3.11": True, "3.12": False, "3.13": True},
    "!=3.12.1": {"3.12": True},
    "!=3.12": {"3.12": True},
    ">=3.10,<3.12": {"3.9": False, "3.10": True, "3.11": True, "3.12": False},
    " >= 3.10 , != 3.11.* ": {"3.10": True, "3.11": False, "3.12": True},
    ">=3": {"3.9": True},
    ">=3.9": {"3.10": True},
    ">=3.13.0rc1": {"3.13": True},
}


@pytest.mark.parametrize(
    ("specifier", "version", "expected"),
    [(specifier, version, verdict) for specifier, table in ACCEPTED.items() for version, verdict in table.items()],
)
def test_accepts(specifier, version, expected):
    assert accepts(specifier, version) is expected


# Building.


@pytest.fixture
def recorder(tmp_path):
    """A program that writes down how it was called, says something, and returns the calls."""
    log = tmp_path / "calls"

    def make(path, says: str = "", fails: str = "") -> str:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(
            f"#!{sys.executable}\nimport json, os, sys\n"
            f"call = dict(argv=sys.argv[1:], cwd=os.getcwd(), env=dict(os.environ), stdin=sys.stdin.read())\n"
            f"open({str(log)!r}, 'a').write(json.dumps(call) + '\\n')\n"
            f"print({says!r}, end='')\n"
            f"if {fails!r} and {fails!r} in sys.argv: sys.exit('No matching distribution for Djagno')\n"
        )
        path.chmod(0o755)
        return str(path)

    make.calls = lambda: [json.loads(line) for line in log.read_text().splitlines()]
    return make


SECRET_INDEX = "https://user:t0ken@pypi.example.com/simple"
NETWORK = network_environment(SECRET_INDEX, "/etc/passwd", "http://proxy.example.com:3128")


def plan(program: str, **changes) -> Plan:
    return Plan("uv", "requirements.txt", "/usr/bin/python3", uv=program, environment=NETWORK, timeout=60, **changes)


def arguments(calls) -> list[list[str]]:
    return [call["argv"] for call in calls]


INSTALL = ["pip", "install", "--compile-bytecode", "--python", "/venv/bin/python"]


def test_uv_installs_a_requirements_file(tmp_path, folder, recorder):
    sources = folder({"requirements/prod.txt": "Django"})
    uv = recorder(tmp_path / "uv")
    build(replace(plan(uv), requirements="requirements/prod.txt"), sources, "/venv", MYSELF)
    calls = recorder.calls()
    assert arguments(calls) == [
        ["venv", "--quiet", "--allow-existing", "--python", "/usr/bin/python3", "/venv"],
        [*INSTALL, "-r", f"{sources}/requirements/prod.txt"],
    ]
    assert calls[1]["cwd"] == f"{sources}/requirements"


def test_uv_installs_a_project_with_extras_and_groups(tmp_path, folder, recorder):
    sources = folder({"pyproject.toml": PROJECT_TABLE})
    build(
        replace(plan(recorder(tmp_path / "uv")), requirements="pyproject.toml", extras=("s3", "pg"), groups=("prod",)),
        sources,
        "/venv",
        MYSELF,
    )
    options = ["--extra=s3", "--extra=pg", "--group=prod"]
    assert arguments(recorder.calls())[1] == [*INSTALL, *options, "-r", f"{sources}/pyproject.toml"]


def test_uv_installs_exactly_what_is_locked(tmp_path, folder, recorder):
    sources = folder({"app/uv.lock": "", "app/pyproject.toml": PROJECT_TABLE})
    uv = recorder(tmp_path / "uv", says="django==5.2 --hash=sha256:00\n")
    build(replace(plan(uv), requirements="app/uv.lock", extras=("s3",)), sources, "/venv", MYSELF)
    _venv, export, install = recorder.calls()
    assert {"export", "--frozen", "--no-dev", "--no-emit-project", "--extra=s3"} <= set(export["argv"])
    assert export["cwd"] == install["cwd"] == f"{sources}/app"
    assert install["argv"] == [*INSTALL, "-r", "-"]
    assert install["stdin"] == "django==5.2 --hash=sha256:00\n"


def test_pip_installs_a_requirements_file(tmp_path, folder, recorder):
    sources = folder({"requirements.txt": "Django"})
    python = recorder(tmp_path / "python3")
    recorder(tmp_path / "venv" / "bin" / "python")
    how = replace(plan("uv"), installer="pip", python=python)
    build(how, sources, str(tmp_path / "venv"), MYSELF)
    create, install = arguments(recorder.calls())
    assert create == ["-m", "venv", str(tmp_path / "venv")]
    assert install[:3] == ["-m", "pip", "install"]
    assert install[-2:] == ["-r", f"{sources}/requirements.txt"]


def test_pip_gets_the_requirements_of_a_project(tmp_path, folder, recorder):
    sources = folder(
        {
            "pyproject.toml": '[project]\nname = "shop"\ndependencies = ["Django>=5.2 ; python_version > \'3\'", "x"]\n'
            '[project.optional-dependencies]\ns3 = ["boto3"]\n'
        }
    )
    target = tmp_path / "venv"
    (target / "bin").mkdir(parents=True)
    # The environment's own interpreter reads the file; what it would install is only written down.
    pip = recorder(tmp_path / "pip")
    (target / "bin" / "python").write_text(f'#!/bin/sh\n[ "$1" = -m ] && exec {pip} "$@"\nexec {sys.executable} "$@"\n')
    (target / "bin" / "python").chmod(0o755)
    how = replace(plan("uv"), installer="pip", python="/bin/true", requirements="pyproject.toml", extras=("s3",))
    build(how, sources, str(target), MYSELF)
    assert recorder.calls()[-1]["argv"][-3:] == ["Django>=5.2 ; python_version > '3'", "x", "boto3"]


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        ('raise Exception("you need a C compiler to build uWSGI")', "python3-dev]"),
        ("Error: pg_config executable not found.", "python3-dev, libpq-dev]"),
        ("/bin/sh: 1: mysql_config: not found", "python3-dev, default-libmysqlclient-dev]"),
        ("fatal error: Python.h: No such file or directory", "python3-dev]"),
        ("error: command 'x86_64-linux-gnu-gcc' failed: No such file or directory", "python3-dev]"),
        ("/usr/bin/ld: cannot find -lxml2", "python3-dev]"),
        ("No solution found: there is no version of django==99", ""),
        ("error sending request for url (https://index.example/simple/django/)", ""),
    ],
)
def test_what_a_host_lacks_to_build_a_package_is_hinted_at(said, hint):
    told = lacking(Result([], 1, "", said))
    assert told.endswith(f"packages: [build-essential, {hint}") if hint else told == ""


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        (
            {"requirements": "uv.lock"},
            "uv.lock can only be read by uv; use installer: uv, or give requirements, another file",
        ),
        ({"groups": ("prod",)}, "groups need uv; use installer: uv, or list the packages in a requirements file"),
    ],
)
def test_pip_refuses_what_only_uv_can(tmp_path, changes, problem):
    with pytest.raises(SourceError) as error:
        build(replace(plan("uv"), installer="pip", python="/bin/false", **changes), str(tmp_path), "/venv", MYSELF)
    assert str(error.value) == problem


def test_no_secret_is_an_argument(tmp_path, folder, recorder):
    sources = folder({"requirements.txt": "Django"})
    build(plan(recorder(tmp_path / "uv")), sources, "/venv", MYSELF)
    for call in recorder.calls():
        assert "t0ken" not in " ".join(call["argv"])
        assert call["env"]["UV_DEFAULT_INDEX"] == SECRET_INDEX


def test_a_failure_says_which_file_and_why(tmp_path, folder, recorder):
    sources = folder({"requirements.txt": "Djagno"})
    uv = recorder(tmp_path / "uv", fails="pip")
    with pytest.raises(
        SourceError, match=r"the requirements in requirements.txt cannot be installed: No matching dist"
    ):
        build(plan(uv), sources, "/venv", MYSELF)


def test_a_build_that_takes_too_long_is_given_up(tmp_path, folder):
    sources = folder({"requirements.txt": "Django"})
    slow = tmp_path / "uv"
    slow.write_text("#!/bin/sh\nsleep 60\n")
    slow.chmod(0o755)
    with pytest.raises(SourceError, match="requirements.txt cannot be installed: not done within 0.3 s"):
        build(replace(plan(str(slow)), timeout=0.3), sources, "/venv", MYSELF)


def test_uv_that_is_not_there_is_named(tmp_path, folder):
    sources = folder({"requirements.txt": "Django"})
    with pytest.raises(SourceError, match=r"/nowhere/uv"):
        build(plan(str(tmp_path / "nowhere" / "uv")), sources, "/venv", MYSELF)


# The network.


def test_a_plain_network_needs_no_variables_of_its_own(tmp_path):
    variables = network_environment(None, str(tmp_path / "none.crt"), None)
    assert not {"UV_DEFAULT_INDEX", "PIP_INDEX_URL", "SSL_CERT_FILE", "https_proxy"} & set(variables)
    assert variables["UV_PYTHON_DOWNLOADS"] == "never"  # uWSGI runs the distribution's Python only


def test_index_proxy_and_authorities_reach_uv_pip_and_git():
    assert NETWORK["UV_DEFAULT_INDEX"] == NETWORK["PIP_INDEX_URL"] == SECRET_INDEX
    assert {NETWORK[name] for name in ("SSL_CERT_FILE", "PIP_CERT", "GIT_SSL_CAINFO")} == {"/etc/passwd"}
    assert {NETWORK[name] for name in ("http_proxy", "HTTPS_PROXY")} == {"http://proxy.example.com:3128"}
    assert "127.0.0.1" in NETWORK["no_proxy"]


def fake_python(tmp_path, script: str) -> str:
    """An interpreter whose module venv makes a folder with a python that runs a script."""
    body = f"#!/bin/sh\n{script}\n"
    (tmp_path / "inner").write_text(body)
    python = tmp_path / "python"
    python.write_text(
        f'#!/bin/sh\nmkdir -p "$3/bin" && cp {tmp_path}/inner "$3/bin/python" && chmod +x "$3/bin/python"\n'
    )
    python.chmod(0o755)
    return str(python)


def test_uv_is_installed_once_and_its_index_stays_out_of_the_arguments(tmp_path):
    note = f'echo "$@" >> {tmp_path}/arguments; echo "$PIP_INDEX_URL" >> {tmp_path}/index; touch "${{0%/*}}/uv"'
    python = fake_python(tmp_path, note)
    for _time in range(2):
        uv = _virtualenv.ensure_uv("1.2.3", str(tmp_path), python, {"PIP_INDEX_URL": "https://u:secret@index.test/"})
        assert uv == f"{tmp_path}/uv-1.2.3/bin/uv"
    assert (tmp_path / "arguments").read_text() == "-m pip install --quiet --only-binary=:all: uv==1.2.3\n"
    assert (tmp_path / "index").read_text() == "https://u:secret@index.test/\n"


def test_uv_that_cannot_be_installed_leaves_nothing_behind(tmp_path):
    python = fake_python(tmp_path, "echo No matching distribution found for uv >&2; exit 1")
    with pytest.raises(SourceError, match="uv 9.9.9 cannot be installed: No matching distribution.*installer: pip"):
        _virtualenv.ensure_uv("9.9.9", str(tmp_path), python, {})
    assert not (tmp_path / "uv-9.9.9").exists()
