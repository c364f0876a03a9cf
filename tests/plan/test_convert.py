"""Values become the dataclass that their annotations describe, or one error names what is wrong."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

import pytest

from bench.plan.convert import ConvertError, convert


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True, slots=True)
class Wheel:
    size: float
    spokes: int | None = None


@dataclass(frozen=True, slots=True)
class Cart:
    name: str
    wheels: tuple[Wheel, ...] = ()
    loads: dict[str, float | int | None] = field(default_factory=dict)
    points: list[list[float]] = field(default_factory=list)
    colour: Colour = Colour.RED
    side: Literal["left", "right"] = "left"
    tags: tuple[str, ...] = ()
    is_new: bool = True
    spare: Wheel | None = None


def test_values_are_converted_down_to_the_last_field() -> None:
    values = {
        "name": "a",
        "wheels": [{"size": 1}, {"size": 1.5, "spokes": 3}],
        "loads": {"x": 1, "y": 1.5, "z": None},
        "points": [[1, 2.5]],
        "colour": "blue",
        "tags": ["t"],
        "spare": {"size": 2},
    }
    cart = convert(values, Cart, "cart")
    assert cart == Cart(
        "a",
        (Wheel(1.0), Wheel(1.5, 3)),
        {"x": 1, "y": 1.5, "z": None},
        [[1.0, 2.5]],
        Colour.BLUE,
        tags=("t",),
        spare=Wheel(2.0),
    )
    assert isinstance(cart.wheels[0].size, float)
    assert isinstance(cart.colour, Colour)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"name": None}, "cart.name = None is not a text"),
        ({"name": 1}, "cart.name = 1 is not a text"),
        ({"is_new": 1}, "cart.is_new = 1 is not true or false"),
        ({"wheels": {}}, "cart.wheels = {} is not a list"),
        ({"wheels": [{"size": 1}, {"size": "1"}]}, "cart.wheels.1.size = '1' is not a number"),
        ({"wheels": [{}]}, "cart.wheels.0.size is missing"),
        ({"wheels": [{"size": True}]}, "cart.wheels.0.size = True is not a number"),
        ({"wheels": [{"size": 1, "spokes": 1.5}]}, "cart.wheels.0.spokes = 1.5 is not a whole number"),
        ({"wheels": [{"size": 1, "spokes": True}]}, "cart.wheels.0.spokes = True is not a whole number"),
        ({"wheels": [{"size": math.nan}]}, "cart.wheels.0.size = nan is not a finite number"),
        ({"loads": {"x": 1, "y": "2"}}, "cart.loads.y = '2' is not a number"),
        ({"loads": {"x": math.inf}}, "cart.loads.x = inf is not a finite number"),
        ({"loads": [1]}, "cart.loads = [1] is not a table"),
        ({"points": [[1.0], ["x"]]}, "cart.points.1.0 = 'x' is not a number"),
        ({"colour": "green"}, "cart.colour = 'green' is not one of red, blue"),
        ({"side": "top"}, "cart.side = 'top' is not one of left, right"),
        ({"tags": "t"}, "cart.tags = 't' is not a list of texts"),
        ({"spare": {"size": None}}, "cart.spare.size = None is not a number"),
        ({"spare": 3}, "cart.spare = 3 is not a table"),
    ],
)
def test_an_error_names_the_path_the_value_and_what_it_should_be(given: Any, message: str) -> None:
    with pytest.raises(ConvertError) as caught:
        convert({"name": "a", **given}, Cart, "cart")
    assert str(caught.value) == message


def test_what_is_missing_or_no_table_is_named() -> None:
    with pytest.raises(ConvertError, match=r"^cart\.name is missing$"):
        convert({}, Cart, "cart")
    with pytest.raises(ConvertError, match=r"^name is missing$"):
        convert({}, Cart, "")
    with pytest.raises(ConvertError, match=r"^cart = \[1\] is not a table$"):
        convert([1], Cart, "cart")


def test_unknown_keys_are_ignored_or_refused_as_the_caller_says() -> None:
    values = {"name": "a", "spare": {"size": 1, "rim": 2}}
    assert convert(values, Cart, "").spare == Wheel(1.0)
    with pytest.raises(ConvertError, match=r"^unknown key spare\.rim; known here: size, spokes$"):
        convert(values, Cart, "", unknown="refused")


def test_texts_are_read_as_numbers_only_where_everything_is_text() -> None:
    assert convert({"size": "1.5", "spokes": "3"}, Wheel, "row", from_text=True) == Wheel(1.5, 3)
    with pytest.raises(ConvertError, match=r"^row\.spokes = 'x' is not a whole number$"):
        convert({"size": "1", "spokes": "x"}, Wheel, "row", from_text=True)
    with pytest.raises(ConvertError, match=r"^row\.size = nan is not a finite number$"):
        convert({"size": "nan"}, Wheel, "row", from_text=True)
