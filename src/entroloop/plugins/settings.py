"""Classes of settings, built in or of other packages: what they need, what they refuse."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from entroloop.errors import InputError, unknown_name
from entroloop.plugins.table import Plugin, PluginError


def settings_with(*methods: str) -> Callable[[Plugin, Any], type[BaseModel]]:
    """Return what checks that a plug-in is a class of settings with these methods."""

    def adopted(plugin: Plugin, found: Any) -> type[BaseModel]:
        if not (isinstance(found, type) and issubclass(found, BaseModel)):
            raise PluginError(f"{plugin} is no class of settings, a pydantic.BaseModel")
        known = set(dir(found)) | set(found.model_fields)
        if missing := [name for name in methods if name not in known]:
            raise PluginError(f"{plugin} lacks `{missing[0]}`")
        return found

    return adopted


def first_problem(error: ValidationError, where: str) -> str:
    """Describe the first problem found by pydantic, in one line."""
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"]) or "the whole"
    given = "" if first["type"] == "missing" else f" (got {_short(first.get('input'))})"
    message = first["msg"].removeprefix("Value error, ")
    return f"{key} in {where}: {message[0].lower()}{message[1:]}{given}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"


def validate_settings(model: type[BaseModel], raw: Mapping[str, Any], where: str) -> BaseModel:
    """Return the validated settings of a generator, source, …; an InputError names the key."""
    for key in raw:
        if key not in model.model_fields:
            raise unknown_name("key", key, model.model_fields, where)
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        raise InputError(first_problem(error, where)) from None
