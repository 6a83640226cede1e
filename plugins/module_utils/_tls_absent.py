# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: for this collection's modules only; it may change in any release.

"""Certificates of sites that are gone: their keys do not lie about, and nothing tries to renew them."""

from __future__ import annotations

import glob
import os
from typing import Any

from ansible_collections.emperor.web.plugins.module_utils._files import read_text
from ansible_collections.emperor.web.plugins.module_utils._process import run
from ansible_collections.emperor.web.plugins.module_utils._tls import TlsError, proxies


class Absent:
    """The certificate of one site, made here, given or issued, that is not wanted any more."""

    def __init__(self, name: str, options: dict[str, Any]) -> None:
        self.name = name
        self.options = options
        self.pair = os.path.join(options["folder"], f"{name}.pem")
        self.lineage = f"emperor-{name}"
        self.renewal = os.path.join(options["certbot"], "renewal", f"{self.lineage}.conf")

    def there(self) -> bool:
        """Whether there is anything of it."""
        return any(map(os.path.lexists, (self.pair, self.renewal)))

    def used_by(self) -> list[str]:
        """Files of the web server that name it, besides the site's own; it would not start without."""
        places = (self.pair, os.path.join(self.options["certbot"], "live", self.lineage, ""))
        files = glob.glob(os.path.join(self.options["configuration"], "**"), recursive=True)
        texts = {path: read_text(path) or "" for path in files if os.path.isfile(path)}
        own = f"emperor-{self.name}.conf"
        users = [path for path, text in texts.items() if any(place in text for place in places)]
        return sorted(path for path in users if os.path.basename(path) != own)

    def remove(self) -> None:
        """Take it away; certbot forgets its own with all its copies."""
        if os.path.lexists(self.pair):
            os.unlink(self.pair)
        if os.path.lexists(self.renewal):
            argv = ["certbot", "delete", "--non-interactive", f"--cert-name={self.lineage}"]
            argv.append(f"--config-dir={self.options['certbot']}")
            outcome = run(argv, environment=proxies(), timeout=60)
            if outcome.rc:
                raise TlsError(f"certbot does not delete {self.lineage}: {outcome.last_lines()}")
