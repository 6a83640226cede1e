# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: for this collection's modules only; it may change in any release.

"""The files that collecting static files takes in the app's interpreter; see _django_runner."""

from __future__ import annotations

import hashlib
import inspect

from ansible_collections.emperor.web.plugins.module_utils import (
    _django_collectstatic,
    _django_static_compress,
    _django_static_files,
    _django_static_remote,
    _django_static_state,
    _django_static_storage,
)

# In the order in which they import each other.
STATIC_PARTS = (
    _django_static_files,
    _django_static_state,
    _django_static_compress,
    _django_static_storage,
    _django_static_remote,
)


def static_code() -> str:
    """A digest of what runs in the app's interpreter: what another version has remembered is not relied on."""
    texts = "".join(inspect.getsource(part) for part in (_django_collectstatic, *STATIC_PARTS))
    return hashlib.sha256(texts.encode()).hexdigest()
