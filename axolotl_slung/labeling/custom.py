"""Runs a user's own labeler class."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import os
import sys
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from numbers import Integral, Real
from pathlib import Path
from typing import Any

from ..errors import kind_of
from ..storage import walk
from .base import Labeler, LabelerError, RowError, Span, TextProblem
from .scores import NAME

_TRAITS = ("scope", "reads_escapes", "reads_row", "text_field", "packages", "cached", "most_processes")


class CustomLabeler(Labeler):
    """The checked spans of a user's class.

    The class has a method `label(texts, rows)` that returns a list of `(start, end, score)` for each text. It raises
    `RowError` for single texts that it cannot label. Any other error of it is about the whole batch. It may also
    have `check()`, `files()` and the attributes of `Labeler`, or derive from `Labeler`. Each worker process creates its
    own object. The class's source file counts as one of its `files()`. So do files and folders that its options name,
    at any depth. Modules that it imports do not.

    Args:
        key: the labeler's place in the YAML.
        class_path: `package.module:Class` or `folder/file.py:Class`. A module is imported as usual; the current folder
            is searched last.
        options: keyword arguments for the class. A class that derives from `Labeler` gets `key` before them.
    """

    lazy = ("_labeler",)

    def __init__(self, key: str, class_path: str, options: Mapping | None = None):
        super().__init__(key)
        self.class_path = class_path
        self.options = dict(options or {})
        self.text_field: str | None = None
        self._source: Path | None = None
        self._labeler = None

    def check(self) -> None:
        """Import the class, create an object and call its `check()`."""
        if hasattr(self.labeler, "check"):
            self._guarded("check()", self.labeler.check)
        for path in self.files():
            if not path.is_file():
                raise self._wrong(f"files() returned {path}, which is not a file; return existing files only")

    def files(self) -> list[Path]:
        """The class's source file, its own `files()` and those that `options` name. They exist after `check`."""
        own: Any = self._guarded("files()", self.labeler.files) if hasattr(self.labeler, "files") else []
        own = list(own) if isinstance(own, Iterable) and not isinstance(own, (str, bytes)) else own
        if not _is_list_of(own, (str, Path)):
            raise self._wrong(f"files(): expected a list of paths, got {kind_of(own)}; return [] if there are none")
        named = [path for text in _strings(self.options) for path in _files_at(text)]
        return list(dict.fromkeys([*([self._source] if self._source else []), *map(Path, own), *named]))

    @property
    def labeler(self) -> Any:
        """The user's object, created on first use."""
        if self._labeler is None:
            kind = self._import()
            first = (self.key,) if issubclass(kind, Labeler) else ()
            made = self._guarded("its creation", lambda: kind(*first, **self.options), "options")
            for name in _TRAITS:
                if hasattr(made, name):
                    setattr(self, name, getattr(made, name))
            self._check_traits()
            self._labeler = made
        return self._labeler

    def label(self, texts: Sequence[str], rows: Sequence[Mapping]) -> list[list[Span]]:
        """The class's spans, in order of `start`; see `Labeler.label`."""
        try:
            # copies, because a class may empty the lists that it gets
            found = self._guarded("label()", lambda: self.labeler.label(list(texts), list(rows)))
        except RowError as error:
            raise error.moved(range(len(texts))) from None
        if not isinstance(found, (list, tuple)) or len(found) != len(texts):
            what = f"length {len(found)}" if isinstance(found, (list, tuple)) else f"a {type(found).__name__}"
            raise self._wrong(f"label(): expected one list of spans for each of {len(texts)} texts, got {what}")
        checked, problems = [], {}
        for number, (spans, text) in enumerate(zip(found, texts)):
            try:
                checked.append(self._spans(spans, len(text)))
            except TextProblem as problem:
                problems[number] = f"{self.class_path}: label(): {problem}"
        if problems:
            raise RowError(self.key, problems)
        return checked

    def _spans(self, spans, length: int) -> list[Span]:
        if not isinstance(spans, (list, tuple)):
            raise TextProblem(f"expected a list of spans for each text, got a {type(spans).__name__}")
        checked = []
        for span in spans:
            if not isinstance(span, (tuple, list)) or len(span) not in (3, 4, 5):
                problem = f"expected (start, end, score), got a {type(span).__name__}"
            else:
                start, end, score, *names = span
                problem = _problem(start, end, score, length) or _problem_of_names(*names)
            if problem:
                raise TextProblem(f"a span: {problem}")
            checked.append(Span(int(start), int(end), float(score), *names))
        return sorted(checked)

    def _import(self) -> type:
        module_path, _, name = self.class_path.rpartition(":")
        if os.getcwd() not in sys.path:
            # last, because files here must not hide installed modules
            sys.path.append(os.getcwd())
        load = _from_file if module_path.endswith(".py") else importlib.import_module
        module = self._guarded("import", lambda: load(module_path), "class_path")
        kind = getattr(module, name, None)
        if not inspect.isclass(kind):
            raise self._wrong(f"is not a class in {module.__file__}; check the name", "class_path")
        if not callable(getattr(kind, "label", None)):
            raise self._wrong("has no method label(texts, rows); add it", "class_path")
        source = getattr(sys.modules.get(kind.__module__), "__file__", None)
        self._source = Path(source).resolve() if source else None
        return kind

    def _check_traits(self) -> None:
        if self.scope not in ("text", "document"):
            raise self._wrong(f"scope: expected 'text' or 'document', got {self.scope!r}", "class_path")
        if self.reads_escapes not in (True, False, None):
            raise self._wrong(f"reads_escapes: expected True, False or None, got {self.reads_escapes!r}", "class_path")
        if not _is_list_of(self.packages, str):
            raise self._wrong(
                f"packages: expected a list of names, got {kind_of(self.packages)}; write ('name',)", "class_path"
            )
        most = self.most_processes
        if most is not None and (isinstance(most, bool) or not isinstance(most, int) or most < 1):
            raise self._wrong(f"most_processes: expected a number at least 1 or None, got {most!r}", "class_path")
        if not isinstance(self.text_field, str | None):
            raise self._wrong(f"text_field: expected text or None, got {self.text_field!r}", "class_path")
        for package in self.packages:
            try:
                version(package)
            except PackageNotFoundError:
                raise self._wrong(
                    f"packages: {package!r} is not installed; install or remove it", "class_path"
                ) from None

    def _guarded(self, what: str, action, field: str | None = None):
        """Run the user's code.

        Its errors may quote texts and names. Only their place is reported, unless the call itself failed.
        """
        try:
            return action()
        except LabelerError:
            raise
        except (Exception, SystemExit) as error:  # a library that calls `sys.exit` must not end a worker silently
            frames = traceback.extract_tb(error.__traceback__)
            if isinstance(error, ImportError) and error.name:
                reason = f"{type(error).__name__} for {error.name!r}; install it or check the name"
            elif isinstance(error, SyntaxError):
                reason = f"SyntaxError in {Path(error.filename or '').name}, line {error.lineno}"
            elif isinstance(error, TypeError) and frames[-1].filename == __file__:
                reason = f"TypeError: {error}"  # wrong arguments
            else:
                place = next((f for f in reversed(frames) if Path(f.filename).resolve() == self._source), frames[-1])
                reason = f"{type(error).__name__} in {Path(place.filename).name}, line {place.lineno}"
            raise self._wrong(f"{what} failed: {reason}", field) from None

    def _wrong(self, problem: str, field: str | None = None) -> LabelerError:
        return LabelerError(f"{self.key}{'.' if field else ''}{field or ''}: {self.class_path}: {problem}")


def _problem(start, end, score, length: int) -> str | None:
    """What is wrong with a span in a text of `length` characters, or None. It never quotes text."""
    if any(isinstance(number, bool) or not isinstance(number, Integral) for number in (start, end)):
        kinds = f"{type(start).__name__} and {type(end).__name__}"
        return f"start and end: expected integers, got {kinds}"
    if not 0 <= start < end <= length:
        return f"[{start}, {end}) is empty or outside the text of {length} characters"
    if isinstance(score, bool) or not isinstance(score, Real) or not 0 <= float(score) <= 1:
        return "score: expected a number from 0 to 1"
    return None


def _problem_of_names(name="", kind="") -> str | None:
    """What is wrong with the name that a span's score goes under, or with its kind. They may be data."""
    for what, value in (("name", name), ("kind", kind)):
        if not isinstance(value, str):
            return f"its {what}: expected text, got {kind_of(value)}"
    return None if not name or NAME.fullmatch(name) else "its name: expected only letters, digits and _ . -"


def _is_list_of(value, kinds) -> bool:
    return isinstance(value, (list, tuple, set, frozenset)) and all(isinstance(one, kinds) for one in value)


def _strings(value) -> Iterator[str]:
    """Every string in nested lists and mappings, in order."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, (Mapping, list, tuple)):
        for inner in value.values() if isinstance(value, Mapping) else value:
            yield from _strings(inner)


def _files_at(text: str) -> list[Path]:
    """The file at this path, or the files in this folder. Empty if the string is neither."""
    name = os.path.expanduser(text) if text.startswith("~/") else text
    if os.path.isfile(name):
        return [Path(name)]
    # a folder that contains the current one ("/", ".") is another kind of option
    if not text or not os.path.isdir(name) or Path.cwd().is_relative_to(Path(name).resolve()):
        return []
    return [path for _, path in walk(Path(name))]


def _from_file(name: str):
    """The module in a file, loaded again at each call."""
    path = Path(name).expanduser().resolve()
    name = f"slung_labeler_{path.stem}"
    if not path.is_file():
        raise ImportError("no such file", name=str(path))
    specification = importlib.util.spec_from_file_location(name, path)
    assert specification is not None and specification.loader is not None  # a .py file has both
    module = importlib.util.module_from_spec(specification)
    sys.modules[name] = module
    specification.loader.exec_module(module)
    return module
