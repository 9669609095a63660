"""Keep strings tracked while Axolotl joins them and a chat template renders them.

Jinja joins strings in macros, blocks, `~` and filters. The results are plain strings with marks in them, and a template
may cut or compare them later. While a row is rendered for its places, such results are turned into tracked strings.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from jinja2 import Environment
from transformers.utils import chat_template_utils

from .flags import parts_of, text_of
from .tracked import again, joined, written


class _MarkingJson:
    """The module `json` with a `dumps` that writes tracked strings with their marks."""

    def __getattr__(self, name):
        return getattr(json, name)

    @staticmethod
    def dumps(value, sort_keys=False, **options):
        return json.dumps(written(value, sort_keys), **options)


class _Filters(dict):
    """Filters whose results are tracked."""

    def __getitem__(self, name):
        return _tracking(super().__getitem__(name))


def _tracking(function):
    @functools.wraps(function)
    def tracked(*args, **kwargs):
        return again(function(*args, **kwargs))

    return tracked


@contextmanager
def following(template: str | None, strategy: Any) -> Iterator[None]:
    """Let a chat template and Axolotl's strategy keep strings tracked.

    Args:
        template: the template's text, or None for a type without a template.
        strategy: Axolotl's strategy.
    """
    concat, plain_json = Environment.concat, chat_template_utils.json
    Environment.concat = staticmethod(lambda parts: again("".join(map(str, parts))))
    chat_template_utils.json = _MarkingJson()
    undo, undo_parts = _follow(template), _follow_parts(strategy)
    try:
        yield
    finally:
        Environment.concat, chat_template_utils.json = concat, plain_json
        undo()
        undo_parts()


def _follow(template: str | None):
    """Let the compiled template's own functions keep strings tracked. Returns a function that undoes this."""
    if not template:
        return lambda: None
    compiled = chat_template_utils._compile_jinja_template(template)
    environment, names = compiled.environment, compiled.root_render_func.__globals__
    before = {name: names[name] for name in ("str_join", "markup_join") if name in names}
    filters = environment.filters
    names.update({name: _tracking(function) for name, function in before.items()})
    environment.filters = _Filters(filters)
    environment.call = _tracking(environment.call)

    def undo():
        names.update(before)
        environment.filters = filters
        del environment.call

    return undo


def _follow_parts(strategy: Any) -> Callable[[], None]:
    """Let the strategy keep content parts tracked where it joins them. Returns a function that undoes this."""
    convert = getattr(strategy, "_convert_content_parts", None)
    if convert is None:
        return lambda: None

    def tracked(content):
        result = convert(content)
        together = joined(text_of(part)[0] for _, part in parts_of(content))
        return result if result is None or result[0] != together else (together, *result[1:])

    strategy._convert_content_parts = tracked

    def undo():
        del strategy._convert_content_parts

    return undo
