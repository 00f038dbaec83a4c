"""reefline/report/page.py: one file, a policy that fits it, and data that cannot become script."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import subprocess
import sys

import pytest

from reefline.report.page import PageHeader, as_json_block, assemble_page, assemble_plain
from reefline.report.section import TEMPLATE_DIR, Section
from reefline.report.summary import Verdict

SECTIONS = (Section("verdict", "Verdict", "<p>yes</p>"), Section("data", "Data & <more>", "<p>images</p>"))


def _policy(html: str) -> str:
    found = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', html)
    assert found
    return found.group(1).replace("&#39;", "'")


def _hash(html: str, element: str) -> str:
    (content,) = re.findall(rf"<{element}>(.*?)</{element}>", html, flags=re.DOTALL)
    return f"sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}"


def test_a_page_has_its_sections_and_links_to_them() -> None:
    html = assemble_page("Cells", SECTIONS)
    assert re.findall(r'<li><a href="#(\w+)">(.*?)</a>', html) == [
        ("verdict", "Verdict"),
        ("data", "Data &amp; &lt;more&gt;"),
    ]
    assert '<section id="data" aria-labelledby="data-title">' in html
    assert '<h2 id="data-title">Data &amp; &lt;more&gt;</h2>\n<p>images</p>' in html
    assert html.startswith('<!doctype html>\n<html lang="en">')


def test_the_header_shows_what_is_known() -> None:
    html = assemble_page("<b>", SECTIONS, header=PageHeader("run-7<i>", "2 May", Verdict.NOT_BLESSED, "../index.html"))
    for expected in (
        "<title>&lt;b&gt; · run-7&lt;i&gt;</title>",
        "<h1><bdi>&lt;b&gt;</bdi></h1>",
        "<dd><bdi>run-7&lt;i&gt;</bdi></dd>",
        "2 May",
        '<span class="badge warn">NOT BLESSED</span>',
        '<a class="brand" href="../index.html">',
    ):
        assert expected in html
    bare = assemble_page("x", SECTIONS).partition("<script>")[0]
    assert "<title>x</title>" in bare
    assert "<dt>" not in bare and 'class="badge' not in bare and "all runs" not in bare


def test_the_policy_allows_this_style_and_this_script_alone() -> None:
    html = assemble_page("x", SECTIONS)
    directives = dict(part.split(" ", 1) for part in _policy(html).split("; "))
    assert directives == {
        "default-src": "'none'",
        "img-src": "data:",
        "style-src": f"'{_hash(html, 'style')}'",
        "script-src": f"'{_hash(html, 'script')}'",
        "base-uri": "'none'",
        "form-action": "'none'",
    }


def test_a_plain_page_holds_a_body_and_no_table_of_contents() -> None:
    html = assemble_plain("All runs", "<p>body</p>")
    assert "<p>body</p>" in html and 'class="toc"' not in html
    assert "connect-src" not in _policy(html)
    assert "connect-src 'self'" in _policy(assemble_plain("All runs", "", live=True))


@pytest.mark.parametrize(
    ("html", "scripts"),
    [
        pytest.param(assemble_page("x", SECTIONS), {"page.js", "quality.js"}, id="run"),
        pytest.param(assemble_plain("x", ""), {"page.js"}, id="statistics"),
        pytest.param(assemble_plain("x", "", scripts=("index.js",)), {"page.js", "index.js"}, id="index"),
    ],
)
def test_a_page_has_only_the_scripts_that_it_needs(html: str, scripts: set[str]) -> None:
    script = html.rpartition("<script>")[2]
    assert {path.name for path in TEMPLATE_DIR.glob("*.js") if path.read_text(encoding="utf-8") in script} == scripts


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("</script><script>alert(1)</script>", id="end-tag"),
        pytest.param("<!--<script>", id="comment"),
        pytest.param("a\u2028b\u2029c & d", id="separators"),
        pytest.param('"\\u003c', id="quotes"),
    ],
)
def test_data_for_scripts_stay_data(text: str) -> None:
    block = as_json_block('a"b', {text: [text, 1.5, None]})
    found = re.fullmatch(r'<script type="application/json" id="a&#34;b">([^<>&\u2028\u2029]*)</script>', block)
    assert found
    assert json.loads(found.group(1)) == {text: [text, 1.5, None]}


def test_data_that_are_not_json_are_refused() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        as_json_block("x", float("nan"))


def test_a_page_of_cached_sections_needs_no_heavy_import() -> None:
    program = """
import sys
from reefline.report import charts
from reefline.report.page import assemble_page
from reefline.report.sections import training
from reefline.report.sections.verdict import make_verdict_section
from reefline.report.summary import RunRecords
assemble_page("x", [make_verdict_section(RunRecords("1", "m"))])
print(sorted({"matplotlib", "numpy", "tensorflow", "PIL"} & set(sys.modules)))
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
