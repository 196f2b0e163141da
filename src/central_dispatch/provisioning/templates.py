"""Typed templates: a substituted value is written as a literal of the file's language, whatever it holds.

A template is trusted (it lies in a root-owned file of the host); a value is not. Undefined names are errors.
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Literal

from jinja2 import StrictUndefined, TemplateError, Undefined
from jinja2.sandbox import SandboxedEnvironment

from central_dispatch.provisioning.problem import Problem

Language = Literal["php", "env", "ini", "json", "apache", "fpm"]
# What a word of an Apache or PHP-FPM configuration may hold unquoted; paths with spaces are quoted by us.
_WORD = re.compile(r"[A-Za-z0-9_./:*@=,+|-]+")
_QUOTABLE = re.compile(r"[A-Za-z0-9_./:*@=,+|() -]+")


class UnsafeValue(ValueError):
    """A value that the file's language cannot hold safely."""


def php_literal(value: object) -> str:
    """Return `value` as a PHP literal: a single-quoted string knows two escapes only."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    text = str(value)
    if "\x00" in text:
        raise UnsafeValue("a NUL character")
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def env_literal(value: object) -> str:
    """Return `value` for a dotenv file, double-quoted, with everything that phpdotenv would expand escaped."""
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value)
    if re.search(r"[\x00-\x1f\x7f]", text):
        raise UnsafeValue("a control character")
    return '"' + re.sub(r'([\\"$])', r"\\\1", text) + '"'


def ini_literal(value: object) -> str:
    """Return `value` for PHP's INI files, double-quoted; what INI cannot escape is refused."""
    if isinstance(value, bool):
        return "On" if value else "Off"
    text = str(value)
    if re.search(r'[\x00-\x1f\x7f"\\$]', text):
        raise UnsafeValue('a control character, ", \\ or $')
    return f'"{text}"'


def server_word(value: object) -> str:
    """Return `value` as one word of a server's configuration, quoted where it holds a space."""
    text = str(value)
    if _WORD.fullmatch(text):
        return text
    if _QUOTABLE.fullmatch(text):
        return f'"{text}"'
    raise UnsafeValue("a character that a server's configuration could misread")


LITERALS: Mapping[Language, Callable[[object], str]] = {
    "php": php_literal,
    "env": env_literal,
    "ini": ini_literal,
    "json": lambda value: json.dumps(value, ensure_ascii=False),
    "apache": server_word,
    "fpm": server_word,
}


def render(template: str, language: Language, values: Mapping[str, Any], path: str) -> str | Problem:
    """Fill a template in; `path` is named in the problem."""
    literal = LITERALS[language]

    def finalize(value: object) -> str:
        if isinstance(value, Undefined):
            return str(value)  # StrictUndefined raises here
        return literal(value)

    environment = SandboxedEnvironment(
        undefined=StrictUndefined, finalize=finalize, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    try:
        return environment.from_string(template).render(**values)
    except (TemplateError, UnsafeValue) as error:
        return Problem(f"The template {path} could not be filled in", str(error), "Correct the template or the value.")
