"""``recsys completion``: what a shell needs to complete commands, options, files and names."""

from __future__ import annotations

import click


@click.command(name="completion", short_help="Print what a shell needs to complete with Tab.")
@click.argument("shell", type=click.Choice(("bash", "zsh", "fish")))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print the script that lets SHELL complete commands, options, files and names.

    The names are genres, tags and artists of the library, and recipes. bash must be 4.4 or newer.

    \b
    Examples:
      echo 'eval "$(recsys completion bash)"' >> ~/.bashrc
      echo 'eval "$(recsys completion zsh)"' >> ~/.zshrc
      recsys completion fish > ~/.config/fish/completions/recsys.fish
    """
    from click.shell_completion import get_completion_class

    from recsys.cli.completing import VARIABLE, register

    register()
    found = get_completion_class(shell)
    assert found is not None
    click.echo(found(ctx.find_root().command, {}, "recsys", VARIABLE).source())
