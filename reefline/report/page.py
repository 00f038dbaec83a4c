"""The shell of every HTML page: one self-contained file with its style, its script and a Content-Security-Policy."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reefline.report.section import TEMPLATE_DIR, Section, render
from reefline.report.summary import Verdict

if TYPE_CHECKING:
    from markupsafe import Markup

# Every page has the first one, every page of a run the others.
_SCRIPT = "page.js"
_RUN_SCRIPTS = ("quality.js",)
# Escaped as \uXXXX, JSON cannot end its <script> element, and stays the same JSON.
_ESCAPES = {ord(character): f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"}


@dataclass(frozen=True)
class PageHeader:
    """What stands above the sections; "" and None are left out.

    `date` is shown as it is. `home` is the relative address of the page over all runs.
    """

    run_id: str = ""
    date: str = ""
    verdict: Verdict | None = None
    home: str = ""


def assemble_page(title: str, sections: Sequence[Section], *, header: PageHeader | None = None) -> str:
    """Return a run's page with a table of contents, as one HTML file that loads nothing."""
    return _assemble(title, header or PageHeader(), _RUN_SCRIPTS, sections=sections)


def assemble_plain(title: str, body: str, *, scripts: Sequence[str] = (), live: bool = False) -> str:
    """Return a page without a table of contents around `body`, which is HTML and already escaped.

    `scripts` are names in `templates/`. Those of a `live` page may fetch from the server that the page comes from.
    """
    return _assemble(title, PageHeader(), scripts, body=body, live=live)


def as_json_block(id: str, value: Any) -> Markup:
    """Return data for a script as `<script type="application/json" id="…">`; nothing in it can end the element.

    Raises:
        ValueError: the data contain NaN or infinity, which JSON does not have.
    """
    from markupsafe import Markup

    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).translate(_ESCAPES)
    return Markup('<script type="application/json" id="{}">{}</script>').format(id, Markup(text))


def _assemble(
    title: str,
    header: PageHeader,
    scripts: Sequence[str],
    *,
    sections: Sequence[Section] = (),
    body: str = "",
    live: bool = False,
) -> str:
    from markupsafe import Markup

    style, script = _read("page.css"), "\n".join(map(_read, (_SCRIPT, *scripts)))
    return render(
        "page.html",
        title=title,
        header=header,
        sections=[(section, Markup(section.html)) for section in sections],
        body=Markup(body),
        style=Markup(style),
        script=Markup(script),
        policy=_make_policy(style, script, live=live),
    )


def _make_policy(style: str, script: str, *, live: bool) -> str:
    """Return a Content-Security-Policy that allows this style, this script and embedded images, and nothing else."""
    parts = [
        "default-src 'none'",
        "img-src data:",
        f"style-src '{_hash(style)}'",
        f"script-src '{_hash(script)}'",
        "base-uri 'none'",
        "form-action 'none'",
    ]
    return "; ".join([*parts, "connect-src 'self'"] if live else parts)


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode('utf-8')).digest()).decode('ascii')}"


def _read(name: str) -> str:
    return (TEMPLATE_DIR / name).read_text(encoding="utf-8")
