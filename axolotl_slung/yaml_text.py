"""Reads YAML without surprises: a key that is there twice is an error, and every error is a `yaml.YAMLError`."""

from __future__ import annotations

from typing import Any

import yaml
from yaml.composer import ComposerError
from yaml.constructor import ConstructorError

_MERGE = "tag:yaml.org,2002:merge"


def load_yaml(text: str) -> Any:
    """The content of a YAML text.

    Raises:
        yaml.YAMLError: the text is not valid, a key is there twice, a value is not what its form or tag says (such as the
            date 2020-13-45), or it is nested too deeply. `errors.yaml_problem` says where, and quotes nothing.
    """
    try:
        return yaml.load(text, _Loader)
    except RecursionError:
        raise ConstructorError(problem="found too deep nesting") from None


class _Loader(yaml.SafeLoader):
    def compose_mapping_node(self, anchor):
        node = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != _MERGE:
                if (key.tag, key.value) in seen:
                    # PyYAML itself would keep only the last value
                    raise ComposerError(problem="found a key that is there twice", problem_mark=key.start_mark)
                seen.add((key.tag, key.value))
        return node

    def construct_object(self, node, deep=False):
        try:
            return super().construct_object(node, deep)
        except (ValueError, LookupError, AttributeError, OverflowError):
            raise ConstructorError(
                problem="found a value that is not what its form says", problem_mark=node.start_mark
            ) from None
