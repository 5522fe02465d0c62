"""The ``ctacal`` command lines in texts, held against the commands and options that the program has."""

import re
import shlex
from collections.abc import Iterator
from typing import Any

from typer.main import get_command

from ctacal.cli.app import app

_SHELL = re.compile(r"^```(?:sh|bash|console|toml|yaml|ini|text)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`(ctacal [a-z][^`\n]*)`")
_ENDS = {"|", "||", "&&", ";", "&", ">", ">>", "2>", "<", "2>&1", "...", "…"}


def command_lines(text: str) -> Iterator[str]:
    """Yield the command lines in the blocks of a page, continued lines joined, and those between back quotes."""
    for block in _SHELL.findall(text):
        for line in block.replace("\\\n", " ").splitlines():
            for part in re.split(r"&&|\|\||;|\||\$\(", line.removeprefix("$ ")):
                if re.match(r"(\w+=\S+ )*(\S+/)?ctacal [a-z]", part.strip()):
                    yield part.strip()
    yield from _INLINE.findall(text)


def faults(line: str) -> list[str]:
    """Return the commands and options of a line that the program does not have."""
    try:
        words = shlex.split(line, comments=True)
    except ValueError:  # an apostrophe in a sentence
        return []
    while words and not words[0].endswith("ctacal"):
        words = words[1:]
    command: Any = get_command(app)
    found: list[str] = []
    for word in words[1:]:
        if word in _ENDS:
            break
        commands = getattr(command, "commands", {})
        if commands and not word.startswith("-"):
            if word not in commands:
                return [*found, word] if re.fullmatch(r"[a-z][a-z-]*", word) else found
            command = commands[word]
        elif word.startswith("-") and word != "-" and word.partition("=")[0] not in _options(command):
            found.append(word)
    return found


def _options(command: Any) -> set[str]:
    return {name for one in command.params for name in (*one.opts, *one.secondary_opts)} | {"--help"}
