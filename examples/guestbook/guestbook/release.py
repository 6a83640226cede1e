"""What is running: shown in the footer and at /release, so that a deployment can be checked from outside."""

import locale
import os
import platform
import sys
from typing import Any

from django.http import HttpRequest


def release_id() -> str:
    return os.environ.get("EMPEROR_RELEASE", "")


def describe() -> dict[str, Any]:
    return {
        "release": release_id(),
        "revision": os.environ.get("EMPEROR_REVISION", ""),
        "python": platform.python_version(),
        # These three decide whether an upload named "한글.txt" can be stored at all.
        "encoding": sys.getfilesystemencoding(),
        "locale": os.environ.get("LC_ALL") or os.environ.get("LANG", ""),
        "lc_ctype": locale.setlocale(locale.LC_CTYPE),
        "uid": os.getuid(),
        "gid": os.getgid(),
        "pid": os.getpid(),
    }


def context_processor(request: HttpRequest) -> dict[str, str]:
    return {"release_id": release_id()}
