"""Public names of a package that are imported from its modules when they are first used."""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module


def imported_on_use(package: str, names: Mapping[str, Sequence[str]]) -> Callable[[str], object]:
    """Return the ``__getattr__`` (PEP 562) of a package, from the public ``names`` of each of its modules."""
    module_of = {name: module for module, public in names.items() for name in public}

    def import_name(name: str) -> object:
        if name not in module_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(f"{package}.{module_of[name]}"), name)

    return import_name
