"""Which options the command line names, so that those are told that can have no effect."""

from __future__ import annotations

from collections.abc import Sequence

import typer


def given(context: typer.Context, names: Sequence[str]) -> list[str]:
    """Flags of the parameters of these names that stand on the command line, in the order of the command's help."""
    return [
        parameter.opts[0] for parameter in context.command.params if _is_given(context, parameter.name, names)
    ]


def _is_given(context: typer.Context, name: str | None, names: Sequence[str]) -> bool:
    source = context.get_parameter_source(name) if name is not None and name in names else None
    return source is not None and source.name == "COMMANDLINE"


def refuse_without(context: typer.Context, needed: str, *names: str) -> None:
    """Refuse parameters that have no effect without another option, ``needed``. Raises ``typer.BadParameter``."""
    for flag in given(context, names):
        raise typer.BadParameter(f"it has no effect without {needed}; give both or neither", param_hint=flag)
