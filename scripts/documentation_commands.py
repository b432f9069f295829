"""What the documents say of the command line, out of the functions of its commands."""

from __future__ import annotations

import inspect
from collections.abc import Callable

from typer.models import ArgumentInfo, OptionInfo

from documentation_markdown import code, prose, table
from stillwatch.cli import app


def _command(name: str) -> str:
    callback = commands()[name]
    arguments, options = [], []
    for parameter in inspect.signature(callback).parameters.values():
        info = parameter.default
        if isinstance(info, ArgumentInfo):
            arguments.append(str(info.metavar))
            options.append((code(info.metavar), "required" if info.default is ... else "", info.help))
        elif isinstance(info, OptionInfo):
            options.append((_option_names(info), _option_default(info), info.help))
    usage = " ".join(
        ["stillwatch", name, *arguments, *(["[OPTIONS]"] if len(options) > len(arguments) else [])]
    )
    heading = [f"## stillwatch {name}", prose(callback.__doc__), f"```\n{usage}\n```"]
    if options:
        heading.append(table(("option", "default", "meaning"), options))
    return "\n\n".join(heading)


def _option_names(info: OptionInfo) -> str:
    names = " / ".join(name.replace("/", " / ") for name in info.param_decls or ())
    return code(f"{names} {info.metavar}" if info.metavar else names)


def _option_default(info: OptionInfo) -> str:
    if info.default is ...:
        return "required"
    if isinstance(info.default, bool):
        return "on" if info.default else "off"
    return "" if info.default in (None, []) else code(info.default)


def commands() -> dict[str, Callable[..., object]]:
    """Every command with its function; those of a sub-app by both names, as in ``lab run``."""
    found = {str(command.name): command.callback for command in app.registered_commands}
    for group in app.registered_groups:
        rooms = group.typer_instance.registered_commands if group.typer_instance else []
        found |= {f"{group.name} {command.name}": command.callback for command in rooms}
    return {name: callback for name, callback in found.items() if callback is not None}


def sections() -> str:
    """A section for each command."""
    return "\n\n".join(map(_command, commands()))
