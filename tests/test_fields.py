"""Plain values become dataclasses, or an error that names the field and says in words what it expects."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from ctacal.errors import UsageError
from ctacal.fields import from_fields, read_toml


@dataclass(frozen=True)
class Inner:
    size_mm: float
    sides: tuple[int, int] = (1, 1)

    def __post_init__(self) -> None:
        if self.size_mm <= 0:
            raise ValueError(f"size_mm must be above 0, got {self.size_mm}")


@dataclass(frozen=True)
class Outer:
    name: str
    inner: Inner
    shape: Literal["round", "square"] = "round"
    parts: tuple[Inner, ...] = ()
    weights: dict[str, float] = field(default_factory=dict)
    limit: float | None = None
    count: int = 0
    shown: bool = True
    place: Path | None = None


WHOLE: dict[str, Any] = {"name": "a", "inner": {"size_mm": 2}}


def test_nested_values_take_their_types() -> None:
    made = from_fields(
        Outer, {**WHOLE, "parts": [{"size_mm": 1, "sides": [3, 4]}], "weights": {"x": 1}, "limit": 5, "shape": "square"}
    )
    assert made == Outer("a", Inner(2.0), "square", (Inner(1.0, (3, 4)),), {"x": 1.0}, 5.0)
    assert isinstance(made.limit, float)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"colour": 1}, "colour: unknown; known are name, inner"),
        ({"inner": {}}, "inner.size_mm: missing"),
        ({"inner": {"size_mm": 0}}, "inner.size_mm must be above 0, got 0.0"),
        ({"inner": 3}, "inner: expected a table of fields, got 3"),
        ({"inner": {"size_mm": 1, "sides": [1]}}, "inner.sides: expected a list of 2 values"),
        ({"shape": "oval"}, "shape: expected one of round, square, got 'oval'"),
        ({"parts": 3}, "parts: expected a list, each item a table of fields, got 3"),
        ({"weights": {"x": "a"}}, "weights.x: expected a number, got 'a'"),
        ({"limit": True}, "limit: expected a number, got True"),
        ({"count": 1.5}, "count: expected a whole number, got 1.5"),
        ({"shown": 1}, "shown: expected true or false, got 1"),
        ({"name": 1}, "name: expected text, got 1"),
        ({"place": ""}, "place: expected a path, got ''"),
        ({"place": 1}, "place: expected a path, got 1"),
    ],
)
def test_an_error_names_the_field(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as raised:
        from_fields(Outer, WHOLE | changed)
    assert str(raised.value).startswith(message)


def test_null_is_a_value_where_a_field_may_be_none() -> None:
    assert from_fields(Outer, {**WHOLE, "limit": None, "place": None}) == from_fields(Outer, WHOLE)
    with pytest.raises(UsageError, match="count: expected a whole number, got None"):
        from_fields(Outer, {**WHOLE, "count": None})


def test_an_error_names_the_file(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_text('name = "a"\n[inner]\nsize_mm = "x"\n')
    with pytest.raises(UsageError, match=r"a\.toml: inner\.size_mm: expected a number"):
        read_toml(Outer, file)
    with pytest.raises(UsageError, match=r"b\.toml: No such file"):
        read_toml(Outer, tmp_path / "b.toml")
