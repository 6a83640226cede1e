"""Make ansible_collections.emperor.web importable from a checkout in any folder, the way Ansible does it."""

from __future__ import annotations

import sys
from pathlib import Path

from ansible.utils.collection_loader._collection_finder import _AnsibleCollectionFinder

# The link beside the playbooks makes the checkout look like an installed collection.
COLLECTIONS = Path(__file__).resolve().parents[2] / "playbooks" / "collections"

if not any(isinstance(finder, _AnsibleCollectionFinder) for finder in sys.meta_path):
    _AnsibleCollectionFinder(paths=[str(COLLECTIONS)])._install()
