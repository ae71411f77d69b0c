"""A CloudFormation template from its text: JSON, or YAML with the short forms of its functions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import yaml

from passerelle.errors import InputError

#: libyaml's, where PyYAML was built with it: ten times as quick.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
#: Short forms that are not `Fn::` and the name.
_PLAIN = ("Ref", "Condition")


class _TemplateLoader(_Loader):  # type: ignore[misc]
    """Reads `!Sub …` as `{"Fn::Sub": …}`; dates stay text, as CloudFormation takes them."""


def _short_form(loader: Any, suffix: str, node: yaml.Node) -> dict[str, Any]:
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
        if suffix == "GetAtt":
            value = value.split(".", 1)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    return {suffix if suffix in _PLAIN else f"Fn::{suffix}": value}


_TemplateLoader.add_multi_constructor("!", _short_form)
_TemplateLoader.add_constructor("tag:yaml.org,2002:timestamp", lambda loader, node: loader.construct_scalar(node))


def read_template(text: str, *, source: str) -> Mapping[str, Any]:
    """Return the template of a text.

    Raises InputError that names the source, and the line where there is one.
    """
    try:
        document = json.loads(text) if text.lstrip().startswith("{") else yaml.load(text, Loader=_TemplateLoader)
    except json.JSONDecodeError as error:
        raise InputError(f"{source}:{error.lineno}: this is not JSON: {error.msg}.") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError(f"{source} is not YAML: {error}") from error
    if not isinstance(document, dict) or not isinstance(document.get("Resources"), dict):
        raise InputError(
            f"{source}: a CloudFormation template is a mapping with `Resources`; this has none. "
            "Give the file that `cdk synth` or your template is."
        )
    return document
