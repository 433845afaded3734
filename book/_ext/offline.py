"""Pages that need nothing from elsewhere and say what they show: formulas as MathML, light files, alt texts.

Jupyter Book always loads Thebe's script, twice, though live code is switched off; the second copy is an
error in the browser's console, and the script names a foreign host. The theme's icons come twice, too: as
fonts, and as a script of 1.5 MB, which goes. A figure of a notebook has its file's name as its alt text.
"""

from __future__ import annotations

import base64
import hashlib
import io
import re
import shutil
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

import nbformat
from docutils import nodes
from latex2mathml.converter import convert
from PIL import Image
from sphinx.application import Sphinx
from sphinx.util import logging

logger = logging.getLogger(__name__)

# Below _static/: what no page asks for, such as templates, maps of scripts, fonts for browsers of the past.
_UNUSED = ("scripts/fontawesome.js*", "**/*.map", "**/*.ttf", "*.html", "sphinx-thebe.*", "images", "locales")
_ICON_SCRIPT = re.compile(r'\s*<script [^>]*src="[^"]*scripts/fontawesome\.js[^>]*></script>')
_ICON = re.compile(r"fa-[a-z0-9-]+")
_ICON_RULE = re.compile(r'(?:\.fa-[a-z0-9-]+:before,?)+\{content:"[^"]*"\}')  # one of some two thousand
# How matplotlib shows a figure that has nothing better to say of itself.
_NAMELESS = re.compile(r"<Figure size .*>|<matplotlib\..*>|")


# ------------------------------------------------------------------------------------------- formulas


def _mathml(node: nodes.Element, display: str) -> str:
    source = node.astext()
    try:
        return convert(source, display=display)
    except Exception as error:  # the converter raises several unrelated types on bad input
        logger.warning("formula cannot be converted (%r): %s", error, source, location=node)
        return f"<code>{escape(source)}</code>"


def visit_inline(translator: Any, node: nodes.math) -> None:
    """Write an inline formula."""
    translator.body.append(_mathml(node, "inline"))
    raise nodes.SkipNode


def visit_block(translator: Any, node: nodes.math_block) -> None:
    """Write a displayed formula on its own line, with its number if it has one."""
    number = f'<span class="eqno">({node["number"]})</span>' if node.get("number") else ""
    label = f' id="{escape(node["ids"][0])}"' if node.get("ids") else ""
    translator.body.append(f'<div class="formula"{label}>{_mathml(node, "block")}{number}</div>')
    raise nodes.SkipNode


# -------------------------------------------------------------------------------------------- figures


def name_figures(app: Sphinx, doctree: nodes.document) -> None:
    """Give every figure of a notebook an alt text: what it says of itself, or else where it stands."""
    source = Path(app.env.doc2path(app.env.docname))
    if source.suffix != ".ipynb":
        return
    said = dict(_figures(nbformat.read(source, as_version=4)))
    places: dict[str, int] = {}
    for image in doctree.findall(nodes.image):
        file = Path(image["uri"]).stem
        if file not in said or image.get("alt"):
            continue
        if _NAMELESS.fullmatch(said[file]):
            section = _section(image)
            places[section] = places.get(section, 0) + 1
            image["alt"] = f"Figure {places[section]} of the section “{section}”"
        else:
            image["alt"] = said[file]


def _figures(notebook: Any) -> Iterator[tuple[str, str]]:
    """The outputs that are images: the hash that MyST-NB names the file by, and the output's plain text."""
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            if "image/png" in data:
                content = base64.b64decode("".join(data["image/png"]))
                yield hashlib.sha256(content).hexdigest(), "".join(data.get("text/plain", "")).strip()


def _section(node: nodes.Node) -> str:
    """The heading that a node stands under."""
    while node.parent is not None:
        node = node.parent
        if isinstance(node, nodes.section) and (title := node.next_node(nodes.title)):
            return title.astext()
    return "untitled"


# ---------------------------------------------------------------------------------------------- pages


def drop_thebe(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Take Thebe's scripts and styles out of a page."""
    for kind in ("script_files", "css_files"):
        context[kind] = [file for file in context[kind] if "thebe" not in _text(file)]


def _text(file: Any) -> str:
    return f"{file} {getattr(file, 'filename', '')} {getattr(file, 'attributes', '')}".lower()


def link_source(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Beside the links to the repository, one to the text that the page is made of, where there is one.

    A chapter's is its file in ``notebooks/``: the page itself is a run's copy, which the repository has not.
    """
    groups = [
        button for button in context.get("header_buttons", ()) if button.get("label") == "source-buttons"
    ]
    source = source_path(page)
    if not (groups and source and doctree):
        return
    theme = app.config.html_theme_options
    groups[0]["buttons"].insert(
        1,
        {
            "type": "link",
            "url": f"{theme['repository_url']}/blob/{theme['repository_branch']}/{source}",
            "tooltip": "The text of this page, in the repository",
            "text": "Source",
            "icon": "fas fa-code",
            "label": "source-file-button",
        },
    )


def source_path(page: str) -> str:
    """Where the repository has a page's text; empty for the pages that the build makes."""
    folder, _, name = page.rpartition("/")
    if folder == "chapters":
        return f"notebooks/{name}.md" if re.match(r"\d\d_", name) else ""
    return "" if page in ("search", "genindex") else f"book/{page}.md"


def slim(app: Sphinx, error: Exception | None) -> None:
    """Delete what no page asks for: files, the icons' script, rules for other icons; make figures smaller."""
    if error or app.builder.format != "html":
        return
    folder = Path(app.outdir)
    for pattern in _UNUSED:
        for path in sorted((folder / "_static").glob(pattern)):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    used: set[str] = set()
    for file in (*folder.rglob("*.html"), *folder.glob("_static/scripts/*.js")):
        page = file.read_text(encoding="utf-8")
        used |= set(_ICON.findall(page))
        file.write_text(_ICON_SCRIPT.sub("", page), encoding="utf-8")
    for file in folder.glob("_static/styles/*.css"):
        style = file.read_text(encoding="utf-8")
        kept = _ICON_RULE.sub(lambda rule: rule[0] if used & set(_ICON.findall(rule[0])) else "", style)
        file.write_text(kept, encoding="utf-8")
    for file in (folder / "_images").glob("*.png"):
        _few_colours(file)


def _few_colours(file: Path) -> None:
    """Store a figure with the 256 colours that come nearest to its own, if that makes it smaller."""
    with Image.open(file) as image:
        plain = image.convert("RGBA")
    if plain.getchannel("A").getextrema() != (255, 255):
        return  # it can be seen through, and a palette would keep that badly
    content = io.BytesIO()
    plain.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(content, "PNG", optimize=True)
    if len(content.getvalue()) < file.stat().st_size:
        file.write_bytes(content.getvalue())


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the formula renderer ``mathml``, the alt texts, and the clean-up of each page."""
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    app.connect("doctree-read", name_figures)
    app.connect("html-page-context", drop_thebe, priority=900)
    app.connect("html-page-context", link_source, priority=900)
    app.connect("build-finished", slim, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
