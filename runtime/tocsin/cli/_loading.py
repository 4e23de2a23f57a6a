"""Finding the declared bus: the one place where the user's module is imported.

The current directory is not searched unless `--app-dir` names it: a file `json.py` that happens to lie where a daemon
is started must not become part of it.
"""

from __future__ import annotations

import importlib
import inspect
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from tocsin import EventBus
from tocsin_supervisors import qualified_name

from ._load_errors import CannotLoad, failed_in_code, no_such_module

if TYPE_CHECKING:
    from ._target import Target


def load_bus(target: Target, *, app_dir: Path | None, factory: bool) -> EventBus:
    """Import the module of *target* and give its bus, or what its factory makes.

    *app_dir* comes first on the path of modules, for good. Raise CannotLoad, with a text for people.
    """
    if app_dir is not None:
        sys.path.insert(0, str(app_dir.resolve()))
    found: Any = _imported(target)
    for name in target.attributes:
        try:
            found = getattr(found, name)
        except AttributeError as error:
            where = f"{target.module}.{'.'.join(target.attributes)}"
            raise CannotLoad(target, f"{where} does not exist: {name!r} is missing") from error
    if factory:
        found = _made_by(target, found)
    return _checked(target, found, factory=factory)


def _imported(target: Target) -> object:
    try:
        return importlib.import_module(target.module)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if f"{target.module}.".startswith(f"{missing}."):
            in_current = _is_in(Path(os.curdir), missing)
            raise CannotLoad(target, no_such_module(missing, in_current_directory=in_current)) from error
        raise CannotLoad(target, failed_in_code(error, "its import failed")) from error
    except (Exception, SystemExit) as error:  # the user's module may raise anything while it is imported
        raise CannotLoad(target, failed_in_code(error, "its import failed")) from error


def _is_in(folder: Path, module: str) -> bool:
    place = folder.joinpath(*module.split("."))
    return place.is_dir() or place.with_suffix(".py").is_file()


def _made_by(target: Target, factory: Any) -> object:
    if not callable(factory):
        kind = qualified_name(type(cast("object", factory)))
        raise CannotLoad(target, f"it is of {kind}, which cannot be called: leave --factory out")
    try:
        return factory()
    except (Exception, SystemExit) as error:  # the user's function may raise anything
        raise CannotLoad(target, failed_in_code(error, "the factory failed")) from error


def _checked(target: Target, found: object, *, factory: bool) -> EventBus:
    if isinstance(found, EventBus):
        return found
    if inspect.iscoroutine(found):
        found.close()
        raise CannotLoad(target, "the factory is asynchronous: it must be a plain function that gives the bus")
    hint = "; is it a function that makes the bus? then add --factory" if callable(found) and not factory else ""
    what = "the factory gave" if factory else "it is"
    raise CannotLoad(target, f"{what} an object of {qualified_name(type(found))}, and no EventBus{hint}")
