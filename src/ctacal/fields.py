"""Plain values (TOML, JSON) to dataclasses, with errors that name the field."""

import dataclasses
import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from ctacal.errors import UsageError

T = TypeVar("T")


def from_fields(kind: type[T], fields: Mapping[str, Any], prefix: str = "") -> T:
    """Make a dataclass, nested ones included, from plain values (TOML, JSON).

    ``prefix`` goes before field names in messages. Raises ``UsageError`` naming the field that is unknown, missing, or
    has an impossible value.
    """
    hints = get_type_hints(kind)
    if unknown := set(fields) - set(hints):
        raise UsageError(f"{prefix}{min(unknown)}: unknown; known are {', '.join(hints)}")
    values = {name: _value(hints[name], value, f"{prefix}{name}") for name, value in fields.items()}
    required = [field.name for field in dataclasses.fields(kind) if _is_required(field)]  # type: ignore[arg-type]
    if absent := [name for name in required if name not in values]:
        raise UsageError(f"{prefix}{absent[0]}: missing")
    try:
        return kind(**values)
    except ValueError as problem:
        raise UsageError(f"{prefix}{problem}") from problem


def read_toml(kind: type[T], path: Path, **defaults: Any) -> T:
    """Read a dataclass from a TOML file; ``defaults`` are the values of fields that the file may leave out.

    Raises ``UsageError`` naming the file and the field.
    """
    try:
        return from_fields(kind, {**defaults, **tomllib.loads(path.read_text(encoding="utf-8"))})
    except OSError as problem:
        raise UsageError(f"{path}: {problem.strerror}") from problem
    except (ValueError, UsageError) as problem:
        raise UsageError(f"{path}: {problem}") from problem


def _is_required(field: "dataclasses.Field[Any]") -> bool:
    return field.init and field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _value(hint: Any, value: Any, name: str) -> Any:
    """Return the value as its type hint demands; ``name`` is the field's in messages."""
    if isinstance(hint, type) and dataclasses.is_dataclass(hint) and isinstance(value, Mapping):
        return from_fields(hint, value, f"{name}.")
    if get_origin(hint) is tuple and isinstance(value, (list, tuple)):
        kinds = get_args(hint)
        kinds = kinds[:1] * len(value) if kinds[1:] == (...,) else kinds
        if len(kinds) == len(value):
            return tuple(_value(kind, part, name) for kind, part in zip(kinds, value, strict=True))
    elif get_origin(hint) in (Union, UnionType) and type(None) in get_args(hint):
        (kind,) = (kind for kind in get_args(hint) if kind is not type(None))
        return None if value is None else _value(kind, value, name)
    elif get_origin(hint) is dict and isinstance(value, Mapping):
        return {str(key): _value(get_args(hint)[1], part, f"{name}.{key}") for key, part in value.items()}
    elif get_origin(hint) is Literal and value in get_args(hint):
        return value
    elif hint is Path and isinstance(value, str) and value:
        return Path(value)
    elif hint is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    elif isinstance(hint, type) and type(value) is hint:
        return value
    raise UsageError(f"{name}: expected {_in_words(hint)}, got {value!r}")


_WORDS = {Path: "a path", float: "a number", int: "a whole number", str: "text", bool: "true or false"}


def _in_words(hint: Any) -> str:
    """Describe the values that a type hint allows.

    >>> _in_words(Literal[4, 8]), _in_words(tuple[float, ...]), _in_words(tuple[int, int])
    ('one of 4, 8', 'a list, each item a number', 'a list of 2 values')
    """
    parts = get_args(hint)
    if get_origin(hint) is Literal:
        return f"one of {', '.join(map(str, parts))}"
    if get_origin(hint) is tuple:
        return f"a list, each item {_in_words(parts[0])}" if parts[1:] == (...,) else f"a list of {len(parts)} values"
    return _WORDS.get(hint, "a table of fields")
