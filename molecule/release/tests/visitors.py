"""The load of ../../shared/load.py inside the host, and what it wrote down."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from testinfra.host import Host

SHARED = Path(__file__).parents[2] / "shared"
sys.path.insert(0, str(SHARED))
from load import Record, percentile, read_records  # noqa: E402

__all__ = ["LINK", "Record", "Visitors", "percentile"]

LINK = "/srv/django/probe/current"
PLACE = "/root/visitors"


class Visitors:
    """Requests without a break, from entry to exit; what became of them is known after that."""

    def __init__(self, host: Host, *options: str) -> None:
        self.host = host
        self.options = ["--host", "probe.example.com", "--watch", LINK, *options]
        self.records: list[Record] = []
        self.summary: dict = {}

    def __enter__(self) -> Visitors:
        self.host.check_output(
            f"mkdir -p {PLACE} && cat > {PLACE}/load.py <<'END'\n{(SHARED / 'load.py').read_text()}END"
        )
        command = ["/usr/bin/python3", f"{PLACE}/load.py", *self.options]
        command += ["--log", f"{PLACE}/log", "--summary", f"{PLACE}/summary.json"]
        unit = "systemd-run --quiet --collect --unit=visitors --property=TimeoutStopSec=60 --property=LimitNOFILE=65536"
        self.host.check_output(f"rm -f {PLACE}/summary.json; {unit} {' '.join(command)}")
        return self

    def count(self) -> int:
        return int(self.host.check_output(f"wc -l < {PLACE}/log"))

    def __exit__(self, *_error: object) -> None:
        self.host.check_output("systemctl stop visitors")
        self.summary = json.loads(self.host.file(f"{PLACE}/summary.json").content_string)
        self.records = read_records(self.host.file(f"{PLACE}/log").content_string.splitlines())
