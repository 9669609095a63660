"""HTML templates in which every value is escaped, unless the template marks it as `safe`."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ..visible import visible


def fill(template: Path, **values) -> str:
    """Fill a template.

    Texts may be hostile: they are escaped, and their invisible characters become visible ones.

    Args:
        template: a file in Jinja's language.
        values: by the names that the template uses.

    Raises:
        jinja2.UndefinedError: the template uses a name that has no value.
    """
    return _environment(template.parent).get_template(template.name).render(values)


@cache
def _environment(folder: Path) -> Environment:
    return Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=lambda value: value if hasattr(value, "__html__") else visible(str(value)),
        keep_trailing_newline=True,
    )
