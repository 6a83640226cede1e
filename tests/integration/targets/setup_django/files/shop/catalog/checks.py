"""A message of each level that SHOP_MESSAGES names, and one of the databases that are to be checked."""

import os

from django.core import checks
from django.core.checks import register

LEVELS = {"info": checks.Info, "warning": checks.Warning, "error": checks.Error, "critical": checks.Critical}

TOLD = os.environ.get("SHOP_CHECKS_TOKEN", "")  # a check that tells a secret


@register("shop")
def messages(app_configs, **kwargs):
    levels = [level for level in os.environ.get("SHOP_MESSAGES", "").split(",") if level]
    return [
        LEVELS[level](
            f"a message of level {level}", hint=f"a hint of level {level}{TOLD}", obj="catalog", id=f"catalog.{level}"
        )
        for level in levels
    ]


@register(checks.Tags.database)
def aliases(app_configs, databases, **kwargs):
    if not os.environ.get("SHOP_ALIASES"):
        return []
    return [checks.Info(f"to be checked: {', '.join(databases or ['none'])}", id="catalog.aliases")]
