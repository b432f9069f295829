"""``stillwatch doctor``: what is installed, what is missing, what to do."""

from __future__ import annotations

import typer


def doctor() -> None:
    """Look at what a scan needs of this machine; exit code 1 where no scan can run."""
    from stillwatch.doctor import examine

    findings = examine()
    width = max(len(finding.name) for finding in findings)
    for finding in findings:
        state = "FAIL" if finding.fatal else "note" if finding.remedy else "ok"
        typer.echo(f"{state:4}  {finding.name:{width}}  {finding.says}")
        if finding.remedy:
            typer.echo(f"{'':{width + 8}}{finding.remedy}")
    if any(finding.fatal for finding in findings):
        raise typer.Exit(1)
