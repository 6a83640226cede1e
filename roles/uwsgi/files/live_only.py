# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Leave an Emperor that is about to start no vassal but the live release's. Installed by the role uwsgi of emperor.web.

    python3 -I live_only.py VASSALS ROOT    VASSALS is the Emperor's folder, ROOT the app's, which has the link current

A deploy that was killed, or a power cut in the middle of one, leaves the file of a release that nobody has found good.
Files are renamed, not deleted: the next deploy clears them away.
"""

from __future__ import annotations

import os
import sys

# As in _vassals.py of the collection.
PARKED = ".ini.stopped"


def main(vassals: str, root: str) -> None:
    """Rename what is not the live release's file, and put that one back where a deploy had taken it away."""
    if not os.path.isdir(root):
        return  # on a file system that is not mounted; nothing is known of what is live
    try:
        live = os.path.basename(os.readlink(os.path.join(root, "current")))
    except OSError:
        live = ""  # nothing has been live yet
    for name in sorted(os.listdir(vassals)):
        release, ending = name.partition(".")[0], name[name.find(".") :]
        path = os.path.join(vassals, name)
        if ending == ".ini" and release != live:
            print(f"{release} is not the live release and is not started")
            os.rename(path, os.path.join(vassals, release + PARKED))
        elif ending == PARKED and release == live and not os.path.exists(os.path.join(vassals, f"{live}.ini")):
            print(f"{release} is the live release and is started again")
            os.rename(path, os.path.join(vassals, f"{live}.ini"))


if __name__ == "__main__":
    main(*sys.argv[1:])
