"""Which options go together: one that would change nothing is refused."""

from collections.abc import Set as AbstractSet

import typer

from replay.errors import SettingError


class NotTogetherError(SettingError):
    """Options were given that mean nothing beside another one."""

    def __init__(self, beside: str, useless: tuple[str, ...]) -> None:
        super().__init__(f"{beside} does not go together with {', '.join(useless)}")
        self.beside = beside
        self.useless = useless


def refuse_useless(context: typer.Context, beside: str, used: AbstractSet[str]) -> None:
    """Makes sure that every option which was given means something.

    Args:
        context: of the command.
        beside: the option that says what is done.
        used: names of the command's parameters that mean something then; so does the directory of
            the data, which is often given once and for all.

    Raises:
        NotTogetherError: if another one was given on the command line.
    """
    useless = tuple(
        parameter.opts[0]
        for parameter in context.command.params
        if parameter.name not in {"data", *used} and _is_given(context, parameter.name)
    )
    if useless:
        raise NotTogetherError(beside, useless)


def _is_given(context: typer.Context, name: str | None) -> bool:
    source = context.get_parameter_source(name or "")
    return source is not None and source.name == "COMMANDLINE"  # Typer does not show the type
