# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What becomes of the files that choose a locale, whatever they held before."""

from __future__ import annotations

import pytest
from ansible_collections.emperor.web.plugins.module_utils import _locale

SUPPORTED = "de_DE.UTF-8 UTF-8\nde_DE@euro ISO-8859-15\nsr_RS@latin UTF-8\n"


@pytest.mark.parametrize(
    ("names", "supported", "said"),
    [
        (["C.UTF-8", "de_DE.UTF-8", "sr_RS@latin"], SUPPORTED, ""),
        (["de_DE.UTF-8"], None, ""),
        (["en_US", "de_DE.UTF-8"], SUPPORTED, "en_US is no UTF-8 locale"),
        (["de_DE.UTF-8\nLC_ALL=C"], SUPPORTED, "is no UTF-8 locale"),
        (["xx_XX.UTF-8"], SUPPORTED, "xx_XX.UTF-8 is no locale of this system"),
        (["de_DE@euro"], SUPPORTED, "de_DE@euro is no locale of this system"),
    ],
)
def test_names_that_cannot_be(names, supported, said):
    assert said in (problem := _locale.problem_of(names, supported))
    assert bool(problem) == bool(said)


def test_what_is_missing_is_known_in_the_words_of_the_system():
    present = "C\nC.utf8\nPOSIX\nde_DE.utf8\nsr_RS@latin\n"
    assert _locale.missing(["C.UTF-8", "de_DE.UTF-8", "sr_RS@latin", "fr_FR.UTF-8"], present) == ["fr_FR.UTF-8"]
    # Where the C library lists no C.utf8 there is nothing that would generate it.
    assert _locale.missing(["C.UTF-8"], "C\n") == []


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "de_DE.UTF-8 UTF-8\n"),
        ("# about\n# de_DE.UTF-8 UTF-8  \n", "# about\nde_DE.UTF-8 UTF-8\n"),
        ("#de_DE.UTF-8 UTF-8\nfr_FR.UTF-8 UTF-8", "de_DE.UTF-8 UTF-8\nfr_FR.UTF-8 UTF-8\n"),
        ("# de_DE.UTF-8@x UTF-8\n", "# de_DE.UTF-8@x UTF-8\nde_DE.UTF-8 UTF-8\n"),
        ("# de_DE.UTF-8 UTF-8\nde_DE.UTF-8 UTF-8\n", "# de_DE.UTF-8 UTF-8\nde_DE.UTF-8 UTF-8\n"),
    ],
)
def test_locales_are_switched_on_once(before, after):
    assert _locale.with_locales(before, ["de_DE.UTF-8"]) == after
    assert _locale.with_locales(after, ["de_DE.UTF-8"]) == after


def test_only_locales_leave_the_environment():
    before = 'PATH="/bin"\nLANG=xx\n export LC_ALL="C"\nLANGUAGE=de\nLANGER=1\nMY_LC_ALL=1'
    assert _locale.without_locale(before) == 'PATH="/bin"\nLANGER=1\nMY_LC_ALL=1'


def test_sshd_sets_the_hosts_locale_or_leaves_it_to_clients():
    host = _locale.sshd_settings("de_DE.UTF-8", "host").splitlines()
    assert host[-1].startswith("SetEnv LANG=de_DE.UTF-8 LC_ALL= ") and host[-1].endswith(" LANGUAGE=")
    assert all(line.startswith("#") for line in _locale.sshd_settings("de_DE.UTF-8", "client").splitlines())


def test_a_locale_that_is_not_there_is_found():
    assert _locale.usable("C.UTF-8") == ""
    assert "locale" in _locale.usable("xx_XX.UTF-8")
