"""What processes leave for the test to see, in the folder that outlives releases."""

import locale
import os
import sys
from pathlib import Path

NAME = "é ü 한글"
SHARED = Path(os.environ["HOME"])


def line(key, what):
    """One line, in one write."""
    with open(SHARED / "tasks.log", "a") as log:
        log.write(f"{key} {what} {os.environ['EMPEROR_RELEASE']}\n")


def live():
    """The release that is live."""
    return (SHARED.parent / "current").resolve().name


def write(kind):
    """A file with such a name and such a text, and the text printed; all encodings are the process's own."""
    folder = SHARED / f"{kind} {NAME}"
    folder.mkdir(exist_ok=True)
    with open(folder / f"{NAME}.txt", "w") as file:
        file.write(f"{NAME} {os.environ['GREETING']}")
    print(f"{kind} prints {NAME}", flush=True)
    encodings = [
        sys.getfilesystemencoding(),
        locale.getpreferredencoding(False),
        getattr(sys.stdout, "encoding", None) or "none",
    ]
    (folder / "encodings").write_text(" ".join(encodings).lower())
    return encodings
