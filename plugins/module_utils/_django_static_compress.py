# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: for this collection's modules only; it may change in any release.

"""Compressed variants beside static files, as Nginx's gzip_static serves them, for django_collectstatic.

It runs inside the app's interpreter and needs nothing but the standard library; brotli and zstandard where they are.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import os
import re
import zlib
from concurrent.futures import ThreadPoolExecutor

SUFFIXES = {"gzip": ".gz", "brotli": ".br", "zstd": ".zst"}
COMPRESSIBLE = re.compile(
    r"\.(atom|bmp|cjs|css|csv|eot|geojson|html?|ico|js|json|map|md|mjs|otf|rss|svg|ttf|txt|vtt|wasm|webmanifest|xml|xsl)$",
    re.IGNORECASE,
)
SMALLEST = 256  # below it the headers of a response are most of it
GAIN = 0.95  # of the size: a variant that saves less is not worth a file


def gzip(data: bytes) -> bytes:
    """The same bytes at any time: no name and no time in the header."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31, 9)
    return packer.compress(data) + packer.flush()


def methods(wanted: list) -> tuple[dict, dict, list]:
    """Functions and versions of the methods that can be had, and a warning for each that cannot."""
    functions, versions, warnings = {}, {}, []
    for method in wanted:
        try:
            functions[method], versions[method] = COMPRESSORS[method]()
        except ImportError as error:
            warnings.append(
                f"precompress has {method}, but the package {error.name} is not in the app's virtual environment, so "
                f"no {SUFFIXES[method]} file is made; add it to the project's requirements, or leave {method} out"
            )
    return functions, versions, warnings


def brotli() -> tuple:
    """Brotli at its highest level, and its version."""
    library = importlib.import_module("brotli")
    return lambda data: library.compress(data, quality=11), str(getattr(library, "__version__", ""))


def zstd() -> tuple:
    """Zstandard at the highest of its usual levels, and its version."""
    try:
        library = importlib.import_module("zstandard")
    except ImportError as missing:
        try:
            library = importlib.import_module("compression.zstd")  # Python 3.14
        except ImportError:
            raise missing from None
        return lambda data: library.compress(data, level=19), library.zstd_version
    # A compressor is for one thread.
    return lambda data: library.ZstdCompressor(level=19).compress(data), library.__version__


COMPRESSORS = {"gzip": lambda: (gzip, zlib.ZLIB_RUNTIME_VERSION), "brotli": brotli, "zstd": zstd}


def compressible(name: str, found: tuple) -> bool:
    """Whether a file is of a kind and size that compresses well."""
    return (
        found[1] >= SMALLEST
        and bool(COMPRESSIBLE.search(name))
        and not found[0].startswith("-> ")
        and not os.path.isabs(name)
    )


def base_of(name: str) -> tuple[str, str]:
    """The name of the file that a variant would belong to, and the method; two empty ones if it is no variant."""
    for method, suffix in SUFFIXES.items():
        if name.endswith(suffix):
            return name[: -len(suffix)], method
    return "", ""


def made_by_storage(wanted, sources) -> bool:
    """Whether the project's storage makes variants itself."""
    return any(base_of(name)[0] in wanted and name not in sources for name in wanted if base_of(name)[0])


class Precompressor:
    """Makes variants of files in a folder, each content once, in as many threads as there are processors."""

    def __init__(self, fresh: str, functions: dict, mode: int | None) -> None:
        self.fresh, self.functions, self.mode = fresh, functions, mode

    def plan(self, wanted: dict, skip: set, remembered: dict, variants: set) -> dict:
        """Content and size of each variant; those that are remembered for a file's content are not made again."""
        planned: dict[str, tuple] = {}
        todo: dict[tuple, list] = {}
        for name, found in wanted.items():
            if name in skip or not compressible(name, found):
                continue
            known = name in remembered and tuple(remembered[name][:2]) == found[:2]
            for method in self.functions:
                variant = name + SUFFIXES[method]
                if variant in wanted:
                    continue
                if not known:
                    todo.setdefault((found[0], method), []).append(name)
                elif variant in variants and variant in remembered:
                    planned[variant] = tuple(remembered[variant][:2])
        for made in self._run(todo.items()):
            planned.update(made)
        return planned

    def make(self, names) -> None:
        """Make remembered variants after all, because the target has lost them."""
        missing = [name for name in names if not os.path.lexists(os.path.join(self.fresh, name))]
        bases = [base_of(name) for name in missing]
        list(self._run([((base, method), [base]) for base, method in bases]))

    def _run(self, jobs):
        jobs = list(jobs)
        if not jobs:
            return []
        with ThreadPoolExecutor(min(8, len(os.sched_getaffinity(0)))) as pool:
            return list(pool.map(self._pack, jobs))

    def _pack(self, job: tuple) -> dict[str, tuple]:
        (_content, method), names = job
        with open(os.path.join(self.fresh, names[0]), "rb") as file:
            data = file.read()
        packed = self.functions[method](data)
        if len(packed) > GAIN * len(data):
            return {}
        found = (hashlib.blake2b(packed, digest_size=16).hexdigest(), len(packed))
        made = {}
        for name in names:
            made[name + SUFFIXES[method]] = found
            self._write(os.path.join(self.fresh, name + SUFFIXES[method]), packed)
        return made

    def _write(self, path: str, data: bytes) -> None:
        with open(path, "xb") as file:
            file.write(data)
            if self.mode is not None:
                os.fchmod(file.fileno(), self.mode)
            with contextlib.suppress(OSError):  # the group of the target, as Django does it
                os.fchown(file.fileno(), -1, os.stat(self.fresh).st_gid)
