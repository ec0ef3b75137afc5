"""Putting something else in a place for a while."""

from types import ModuleType

import pytest

from simulations.patching import replaced


class Owner:
    """Somebody with a function, a class method and a plain one."""

    @classmethod
    def of_the_class(cls) -> str:
        return cls.__name__

    def of_one(self) -> str:
        return "one"


def test_what_was_there_is_there_again_whatever_happened() -> None:
    before = dict(vars(Owner))
    with pytest.raises(KeyError), replaced(Owner, "of_one", lambda _: "other"):
        with replaced(Owner, "of_the_class", lambda: "another"):
            assert (Owner().of_one(), Owner.of_the_class()) == ("other", "another")
        raise KeyError
    assert dict(vars(Owner)) == before and Owner.of_the_class() == "Owner"


class Heir(Owner):
    """Somebody who has inherited it all."""


def test_what_is_inherited_is_inherited_again() -> None:
    with replaced(Heir, "of_one", lambda _: "other"):
        assert (Heir().of_one(), Owner().of_one()) == ("other", "one")
    assert Heir().of_one() == "one" and "of_one" not in vars(Heir)


def test_nothing_is_put_where_nothing_is() -> None:
    module = ModuleType("module")
    with pytest.raises(AttributeError, match="module has no name"), replaced(module, "name", 1):
        pytest.fail("it was put there")
