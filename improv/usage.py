"""A command line that cannot be read is refused as all other bad input is: in one line, with exit code 2."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import typer
from typer.core import TyperGroup

# Some versions of typer bring a click of their own, others take the one that is installed.
UsageError = cast(type[typer.BadParameter], typer.BadParameter.__base__)


class Commands(TyperGroup):
    def make_context(self, info_name: str | None, args: list[str], *rest: Any, **extra: Any) -> Any:
        if not args:  # that is shown the help
            return super().make_context(info_name, args, *rest, **extra)
        with _one_line(info_name):
            return super().make_context(info_name, args, *rest, **extra)

    def invoke(self, ctx: Any) -> Any:
        with _one_line(ctx.info_name):
            return super().invoke(ctx)


@contextmanager
def _one_line(program: str | None) -> Iterator[None]:
    try:
        yield
    except UsageError as error:
        print(f"{program}: {' '.join(error.format_message().split())}", file=sys.stderr)
        raise typer.Exit(2) from None
