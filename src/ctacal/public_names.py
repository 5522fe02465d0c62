"""Public names of a package that are imported from its modules when they are first used."""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module


def imported_on_use(package: str, names: Mapping[str, Sequence[str]], extra: str = "") -> Callable[[str], object]:
    """Return the ``__getattr__`` (PEP 562) of a package, from the public ``names`` of each of its modules.

    If a name cannot be imported because a package is missing, the error says which ``extra`` of ctacal installs it.
    """
    module_of = {name: module for module, public in names.items() for name in public}

    def import_name(name: str) -> object:
        if name not in module_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        try:
            return getattr(import_module(f"{package}.{module_of[name]}"), name)
        except ModuleNotFoundError as missing:
            if not extra or (missing.name or "").startswith("ctacal"):
                raise
            message = f"{package}.{name} needs {missing.name}: pip install 'ctacal[{extra}]'"
            raise ModuleNotFoundError(message, name=missing.name) from missing

    return import_name
