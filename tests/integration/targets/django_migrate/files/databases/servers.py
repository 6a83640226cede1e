"""A PostgreSQL and a MariaDB of Debian's packages, each in a folder of its own, on a Unix socket, as nobody.

Nothing of the machine's own servers is touched, and what is stopped is what was started here.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path

USER = "nobody"
PASSWORD = "the-word-of-the-shop"


class Failed(Exception):
    """A server does not start; the text is the end of its log."""


def postgresql_programs() -> Path | None:
    """The folder of the newest PostgreSQL that is installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4]))
    return found[-1].parent if found else None


def mariadb_program() -> str | None:
    """The server, if what sets it up is installed too."""
    if not (shutil.which("mariadb-install-db") and shutil.which("my_print_defaults")):
        return None
    return shutil.which("mariadbd", path="/usr/sbin:/usr/bin")


def missing() -> list[str]:
    """Debian's packages that these tests need and the machine lacks."""
    lacking = [] if postgresql_programs() else ["postgresql"]
    return lacking + ([] if mariadb_program() else ["mariadb-server-core", "mariadb-client-core"])


def identity() -> dict:
    """As root both servers refuse to run, or should."""
    return {"user": USER, "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}


def make_folder(path: Path) -> Path:
    path.mkdir(mode=0o755)
    if os.geteuid() == 0:
        shutil.chown(path, USER, "nogroup")
    return path


def start(argv: list, folder: Path, stack: ExitStack, stop: int) -> subprocess.Popen:
    """Run a server until the stack is closed."""
    with open(folder / "log", "wb") as log:
        server = subprocess.Popen(argv, cwd=folder, stdout=log, stderr=log, stdin=subprocess.DEVNULL, **identity())

    def end() -> None:
        server.send_signal(stop)
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()

    stack.callback(end)
    return server


def wait_for(server: subprocess.Popen, folder: Path, text: str) -> None:
    """Return when a server's log says that it is ready."""
    deadline = time.monotonic() + 60
    while text not in (folder / "log").read_text(errors="replace"):
        if server.poll() is not None or time.monotonic() > deadline:
            raise Failed((folder / "log").read_text(errors="replace")[-3000:])
        time.sleep(0.05)


def run(argv: list, folder: Path) -> None:
    done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, **identity())
    if done.returncode:
        raise Failed(f"{argv[0]}: {(done.stdout + done.stderr)[-3000:]}")


def postgresql(top: Path, stack: ExitStack) -> tuple[dict, Path]:
    """A cluster whose log has each statement; its entry for DATABASES, and its log."""
    folder = make_folder(top / "postgresql")
    (folder / "password").write_text(PASSWORD)
    programs = postgresql_programs()
    options = ["--username=shop", f"--pwfile={folder}/password", "--auth=scram-sha-256", "--no-sync"]
    run([programs / "initdb", *options, "--encoding=UTF8", "--locale=C", folder / "data"], folder)
    settings = {
        "listen_addresses": "",
        "unix_socket_directories": folder,
        "fsync": "off",
        "shared_buffers": "16MB",
        "log_statement": "all",
        "log_line_prefix": "%d: ",
    }
    given = [f"-c{name}={value}" for name, value in settings.items()]
    server = start([programs / "postgres", "-D", folder / "data", *given], folder, stack, signal.SIGINT)
    wait_for(server, folder, "database system is ready to accept connections")
    login = {"USER": "shop", "PASSWORD": PASSWORD, "HOST": str(folder), "PORT": "5432"}
    return {"ENGINE": "django.db.backends.postgresql", "NAME": "postgres", **login}, folder / "log"


def mariadb(top: Path, stack: ExitStack) -> dict:
    """A server, and its entry for DATABASES."""
    folder = make_folder(top / "mariadb")
    options = ["--no-defaults", f"--datadir={folder}/data"]
    run(["mariadb-install-db", *options, "--skip-test-db", "--auth-root-authentication-method=normal"], folder)
    (folder / "users.sql").write_text(
        f"CREATE USER shop@localhost IDENTIFIED BY '{PASSWORD}';\nGRANT ALL ON *.* TO shop@localhost;\n"
    )
    options += [f"--socket={folder}/socket", "--skip-networking", f"--init-file={folder}/users.sql"]
    options += ["--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=16M"]
    server = start([mariadb_program(), *options], folder, stack, signal.SIGTERM)
    wait_for(server, folder, "ready for connections")
    login = {"USER": "shop", "PASSWORD": PASSWORD, "HOST": f"{folder}/socket", "PORT": ""}
    return {"ENGINE": "django.db.backends.mysql", "NAME": "", **login}
