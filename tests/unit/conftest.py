# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Make ansible_collections.emperor.web importable from a checkout in any folder, the way Ansible does it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.common.parameters import PASS_VARS
from ansible.module_utils.testing import patch_module_args
from ansible.utils.collection_loader._collection_finder import _AnsibleCollectionFinder

# The link beside the playbooks makes the checkout look like an installed collection.
COLLECTIONS = Path(__file__).resolve().parents[2] / "playbooks" / "collections"

if not any(isinstance(finder, _AnsibleCollectionFinder) for finder in sys.meta_path):
    _AnsibleCollectionFinder(paths=[str(COLLECTIONS)])._install()

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "callbacks"))
from ansible_collections.emperor.web.plugins.module_utils import _unit_links  # noqa: E402
from documented import unlike_documented  # noqa: E402

# Modules whose unit tests answer in the project's place, with less than a project does.
OF_STAND_INS = ("django_check", "django_migrate")


@pytest.fixture(autouse=True)
def hermetic(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither the person's Git settings, nor a Git hook that runs the tests, nor what is around them matter."""
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.setattr(AnsibleModule, "log", lambda *_arguments, **_options: None)  # no syslog
    # Where systemd is a stand-in, its units have no links on this machine.
    monkeypatch.setattr(_unit_links, "is_linked", lambda _unit: True)


@pytest.fixture
def run_module(capsys: pytest.CaptureFixture):
    """Call a module's main() with arguments as Ansible gives them; returns what the module printed."""

    def run(module, arguments: dict, *, check: bool = False) -> dict:
        # Newer cores show the invocation on request only, older ones always.
        wanted = {"diff": True, "check_mode": check, "inject_invocation": True}
        given = arguments | {f"_ansible_{name}": value for name, value in wanted.items() if name in PASS_VARS}
        with patch_module_args(given), pytest.raises(SystemExit) as end:
            (module.main if hasattr(module, "main") else module)()
        result = json.loads(capsys.readouterr().out)
        assert bool(end.value.code) == result.get("failed", False)
        if hasattr(module, "main"):
            name = module.__name__.rpartition(".")[2].removeprefix("_module_")
            assert name in OF_STAND_INS or unlike_documented(name, result) == []
        return result

    return run


class Repository:
    """A Git repository with a work tree."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.url = f"file://{path}"
        path.mkdir()
        self.git("init", "--quiet", "--initial-branch=main")

    def git(self, *arguments: str) -> str:
        person = ["-c", "user.name=x", "-c", "user.email=x"]
        done = subprocess.run(["git", "-C", self.path, *person, *arguments], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def commit(self, files: dict[str, str | None] | None = None) -> str:
        """Write files, None takes one away; commit all, and return the commit's id."""
        for name, content in (files or {}).items():
            path = self.path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if content is None:
                path.unlink()
            else:
                path.write_text(content, encoding="utf-8")
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message=change")
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """An empty Git repository."""
    return Repository(tmp_path / "repository")


@pytest.fixture
def http_server():
    """Serve HTTP on the loopback interface; the given function makes (status, headers, body) of a request."""

    @contextmanager
    def serve(answer):
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, headers, body = answer(self)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_arguments) -> None:
                pass

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
            thread.start()
            try:
                yield f"http://127.0.0.1:{server.server_address[1]}"
            finally:
                server.shutdown()
                thread.join()

    return serve
