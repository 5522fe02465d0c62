"""Plain values (TOML, JSON) to dataclasses, with errors that name the field."""

import dataclasses
import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from ctacal.errors import UsageError

T = TypeVar("T")


def from_fields(kind: type[T], fields: Mapping[str, Any], where: str = "") -> T:
    """Make a dataclass of plain values (TOML, JSON), nested ones too.

    Raises ``UsageError`` naming the field that is unknown, missing, or has an impossible value.
    """
    hints = get_type_hints(kind)
    if unknown := set(fields) - set(hints):
        raise UsageError(f"{where}{min(unknown)}: unknown; known are {', '.join(hints)}")
    values = {name: _value(hints[name], value, f"{where}{name}") for name, value in fields.items()}
    if absent := [one.name for one in dataclasses.fields(kind) if _is_needed(one) and one.name not in values]:  # type: ignore[arg-type]
        raise UsageError(f"{where}{absent[0]}: missing")
    try:
        return kind(**values)
    except ValueError as problem:
        raise UsageError(f"{where}{problem}") from problem


def read_toml(kind: type[T], path: Path) -> T:
    """A dataclass from a TOML file. Raises ``UsageError`` naming the file, and the field as ``from_fields`` does."""
    try:
        return from_fields(kind, tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as problem:
        raise UsageError(f"{path}: {problem.strerror}") from problem
    except (ValueError, UsageError) as problem:
        raise UsageError(f"{path}: {problem}") from problem


def _is_needed(field: "dataclasses.Field[Any]") -> bool:
    return field.init and field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _value(hint: Any, value: Any, where: str) -> Any:
    """The value, if it is what the hint asks for."""
    if isinstance(hint, type) and dataclasses.is_dataclass(hint) and isinstance(value, Mapping):
        return from_fields(hint, value, f"{where}.")
    if get_origin(hint) is tuple and isinstance(value, (list, tuple)):
        kinds = get_args(hint)
        kinds = kinds[:1] * len(value) if kinds[1:] == (...,) else kinds
        if len(kinds) == len(value):
            return tuple(_value(one, part, where) for one, part in zip(kinds, value, strict=True))
    elif get_origin(hint) in (Union, UnionType) and type(None) in get_args(hint):
        (kind,) = (one for one in get_args(hint) if one is not type(None))
        return _value(kind, value, where)
    elif get_origin(hint) is dict and isinstance(value, Mapping):
        return {str(key): _value(get_args(hint)[1], part, f"{where}.{key}") for key, part in value.items()}
    elif get_origin(hint) is Literal and value in get_args(hint):
        return value
    elif hint is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    elif isinstance(hint, type) and type(value) is hint:
        return value
    raise UsageError(f"{where}: expected {getattr(hint, '__name__', hint)}, got {value!r}")
