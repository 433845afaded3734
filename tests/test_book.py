"""The book is built from a small executed run and opened in a browser, as a reader would open it."""

from __future__ import annotations

import base64
import functools
import html.parser
import http.server
import json
import re
import shutil
import struct
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import nbformat
import pytest
import yaml
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from xlam_lib import build as book
from xlam_lib import runs
from xlam_lib.errors import ArtifactError

BAR = (
    "steps:  40%|####      | 2/5 [00:01<00:02,  1.50it/s]\rsteps: 100%|#########| 5/5 [00:03<00:00, 1it/s]\n"
)
# Wider than any screen, as the tables of some chapters are.
WIDE = (
    "<table class='dataframe'><tbody><tr>"
    + "".join(f"<td>marmalade_{place}</td>" for place in range(24))
    + "</tr></tbody></table>"
)
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def png(side: int) -> str:
    """A grey image of ``side`` x ``side`` pixels, so that the pages hold real figures."""

    def part(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    rows = zlib.compress((b"\0" + b"\x80" * side) * side)
    image = b"\x89PNG\r\n\x1a\n" + part(b"IHDR", header) + part(b"IDAT", rows) + part(b"IEND", b"")
    return base64.b64encode(image).decode()


def prose(name: str) -> list[str]:
    """The texts of a chapter, as its notebook has them."""
    cells = nbformat.read(runs.root() / "notebooks" / f"{name}.ipynb", as_version=4).cells
    return [cell.source for cell in cells if cell.cell_type == "markdown"]


def notebook(name: str) -> nbformat.NotebookNode:
    """A chapter as papermill leaves it: its own text, and each kind of output that a page shows or drops."""
    first, *rest = prose(name)
    parameters = new_code_cell("seed = 0", execution_count=1, metadata={"tags": ["parameters"]})
    injected = new_code_cell("seed = 7", execution_count=2, metadata={"tags": ["injected-parameters"]})
    work = new_code_cell(
        "figure",
        execution_count=3,
        outputs=[
            new_output("stream", name="stderr", text=BAR),
            new_output("stream", name="stderr", text="a warning worth reading\n"),
            new_output(
                "display_data",
                data={"application/vnd.jupyter.widget-view+json": {"model_id": "0"}, "text/plain": "HBox()"},
            ),
            new_output("stream", name="stdout", text="a line of an answer that goes on " * 12 + "\n"),
            new_output(
                "display_data",
                data={"image/png": png(900), "text/plain": "<Figure size 900x900 with 1 Axes>"},
            ),
            new_output("display_data", data={"image/png": png(16), "text/plain": "SFT beats the base"}),
            new_output("display_data", data={"text/html": WIDE, "text/plain": "marmalade"}),
        ],
        metadata={"papermill": {"duration": 1.5, "exception": False}},
    )
    cells = [
        new_markdown_cell(
            f"{first}\n\nIt cites {{cite}}`zhang2024xlam` and shows $\\sigma(x) = \\frac{{1}}{{2}}$."
        ),
        parameters,
        injected,
        work,
        new_markdown_cell("$$\\mathcal{L} = -\\log \\sigma(\\beta \\Delta)$$"),
        *map(new_markdown_cell, rest),
    ]
    metadata = {
        "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
        "language_info": {"name": "python"},
        "papermill": {"duration": 2.0},
        "widgets": {"application/vnd.jupyter.widget-state+json": {"state": {}}},
    }
    return new_notebook(cells=cells, metadata=metadata)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an executed run."""
    folder = tmp_path_factory.mktemp("run")
    names = [name for name in book.chapter_names(book.sources()) if name not in book.MADE]
    for name in names:
        nbformat.write(notebook(name), folder / f"{name}.ipynb")
    manifest = {
        "profile": "tiny",
        "git": {"commit": "0123abc", "changed": True},
        "hardware": {"cpu": "a|b", "cores": 2, "gpus": []},
        "versions": {"torch": "2.13.0"},
        "notebooks": {
            name: {"seconds": 61.0, "outputs": {"unified": "ab" * 32}, "measures": {"peak_memory_gb": 1.25}}
            for name in names
        },
    }
    (folder / "run.json").write_text(json.dumps(manifest))
    return folder


@pytest.fixture(scope="module")
def site(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the built site; building it is itself the test that no page raises a warning."""
    out = tmp_path_factory.mktemp("out")
    index = book.build(run, out)
    assert index == out / "html" / "index.html" and index.is_file()
    assert [path.name for path in out.iterdir()] == ["html"], "the build left something behind"
    return index.parent


def test_every_page_of_the_contents_is_built(site: Path) -> None:
    for page in pages():
        assert (site / f"{page}.html").is_file()


def test_pages_show_results_and_not_machinery(site: Path) -> None:
    names = [name for name in book.chapter_names(book.sources()) if name not in book.MADE]
    assert names
    for name in names:
        text = (site / "chapters" / f"{name}.html").read_text(encoding="utf-8")
        assert "marmalade" in text and "a warning worth reading" in text
        assert "it/s]" not in text and "HBox" not in text and "widget" not in text
        for label in ("Parameters and their defaults", "Parameters of this run"):
            assert re.search(rf"<summary[^>]*>\s*<p[^>]*>{label}", text), "parameter cells are not folded"
        assert "<math " in text and "unpkg.com" not in text and "cdn" not in text
    about = (site / "chapters" / "run.html").read_text(encoding="utf-8")
    assert (
        "0123abc" in about
        and "abababababababab" in about
        and "1 min 01 s" in about
        and "1.2 GB" in about
        and "a|b" in about
    )
    assert "not committed" in about


def test_the_scorecard_and_the_map_are_made_with_the_site(site: Path) -> None:
    scorecard = (site / "chapters" / "scorecard.html").read_text(encoding="utf-8")
    assert scorecard.count("<table") >= 5 and "87.31" in scorecard and 'href="03_verify.html"' in scorecard
    assert 'href="#scorecard-commands"' in scorecard and 'id="scorecard-commands"' in scorecard
    assert "python -m xlam_lib run --profile h100-8x22b" in re.sub(r"<[^>]+>", "", scorecard)
    library = (site / "chapters" / "library_map.html").read_text(encoding="utf-8")
    (picture,) = re.findall(r"<img [^>]*library_map[^>]*>", library)
    assert 'alt="Rooms of the library in layers' in picture
    assert list(site.glob("_images/library_map*.svg")) and "sft" in library


def test_building_leaves_the_sources_alone(site: Path) -> None:
    assert not (book.sources() / "chapters").exists()


def test_of_a_widget_its_html_stays_on_the_page() -> None:
    view = "application/vnd.jupyter.widget-view+json"
    shown = new_output("display_data", data={view: {"model_id": "0"}, "text/html": "<p>a</p>"})
    bar = new_output("display_data", data={view: {"model_id": "1"}, "text/plain": "HBox()"})
    cell = new_code_cell("1", execution_count=1, outputs=[shown, bar])
    (kept,) = book.clean_notebook(new_notebook(cells=[cell]), Path("x.ipynb")).cells[0].outputs
    assert dict(kept.data) == {"text/html": "<p>a</p>"}


def test_a_page_with_a_warning_is_an_error_and_keeps_the_old_site(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = tmp_path / "book"
    small.mkdir()
    for name in ("_config.yml", "references.bib", "_ext", "_static", "_templates"):
        source = book.sources() / name
        if source.is_dir():
            shutil.copytree(source, small / name)
        else:
            shutil.copy(source, small / name)
    (small / "_toc.yml").write_text("format: jb-book\nroot: intro\n")
    (small / "intro.md").write_text("# A page\n\n[nowhere](nothing_here.md)\n")
    monkeypatch.setattr(book, "sources", lambda: small)
    (tmp_path / "html").mkdir()
    (tmp_path / "html" / "index.html").write_text("old")
    with pytest.raises(ArtifactError, match=r"intro\.md:3.*nothing_here"):
        book.build(run, tmp_path)
    assert (tmp_path / "html" / "index.html").read_text() == "old"
    assert not list(tmp_path.glob(".build-*"))


def test_a_missing_notebook_is_named_with_its_remedy(run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    (copy / "03_verify.ipynb").unlink()
    with pytest.raises(ArtifactError, match=r"03_verify\.ipynb missing.*xlam_lib run --profile tiny"):
        book.build(copy, tmp_path / "out")
    (copy / "run.json").unlink()
    with pytest.raises(ArtifactError, match=r"run\.json missing"):
        book.build(copy, tmp_path / "out")
    with pytest.raises(ArtifactError, match="no such run"):
        book.build("no-such-run", tmp_path / "out")


def test_a_failed_or_unfinished_notebook_is_named_with_its_cell(run: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "_toc.yml").write_text("format: jb-book\nroot: intro\nchapters:\n- file: chapters/06_sft\n")
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "run.json").write_text('{"profile": "tiny"}')
    failed = notebook("06_sft")
    failed.cells[3].outputs.append(
        new_output("error", ename="ValueError", evalue="loss is nan", traceback=[])
    )
    nbformat.write(failed, folder / "06_sft.ipynb")
    with pytest.raises(ArtifactError, match=r"06_sft\.ipynb, cell 4.*ValueError: loss is nan"):
        book.place_chapters(folder, source)
    unfinished = notebook("06_sft")
    unfinished.cells[3].execution_count = None
    nbformat.write(unfinished, folder / "06_sft.ipynb")
    with pytest.raises(ArtifactError, match=r"06_sft\.ipynb, cell 4: never executed"):
        book.place_chapters(folder, source)
    (folder / "06_sft.ipynb").write_text('{"cells": [')
    with pytest.raises(ArtifactError, match=r"06_sft\.ipynb: not a readable notebook"):
        book.place_chapters(folder, source)


def test_two_builds_may_put_their_site_at_one_place(tmp_path: Path) -> None:
    def publish(number: int) -> None:
        for turn in range(20):
            new = tmp_path / f"work-{number}-{turn}" / "html"
            new.mkdir(parents=True)
            (new / "index.html").write_text(str(number))
            book._replace(new, tmp_path / "html")

    failures: list[BaseException] = []

    def guarded(number: int) -> None:
        try:
            publish(number)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert (tmp_path / "html" / "index.html").read_text() in "012"


def pages() -> list[str]:
    """Every page that the table of contents names, the root first."""
    found: list[str] = []

    def walk(entry: object) -> None:
        if isinstance(entry, dict):
            found.extend(str(entry[key]) for key in ("root", "file") if key in entry)
            for value in entry.values():
                walk(value)
        elif isinstance(entry, list):
            for value in entry:
                walk(value)

    walk(yaml.safe_load((book.sources() / "_toc.yml").read_text(encoding="utf-8")))
    return found


@pytest.fixture(scope="module")
def served(site: Path) -> Iterator[str]:
    """The address of a local server of the site."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


# ------------------------------------------------------------------------------------ without a browser

MEGABYTE = 1_000_000


class Links(html.parser.HTMLParser):
    """What a page points to (address and tag), what it loads at once, and the names of its parts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.targets: list[tuple[str, str]] = []
        self.loaded: list[str] = []
        self.names: set[str] = {"", "top"}
        self.images: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.names |= {str(values[key]) for key in ("id", "name") if values.get(key)}
        self.targets += [(str(values[key]), tag) for key in ("href", "src") if values.get(key) is not None]
        if tag in ("img", "script", "iframe", "source") or values.get("rel") in ("stylesheet", "icon"):
            self.loaded += [str(values[key]) for key in ("href", "src") if values.get(key)]
        if tag == "img":
            self.images.append(str(values.get("alt") or ""))


@pytest.fixture(scope="module")
def read(site: Path) -> dict[Path, Links]:
    """Every page of the site."""
    return {path: Links(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))}


def local(page: Path, address: str) -> tuple[Path, str] | None:
    """The file that an address on a page means and the part of it, or ``None`` if it is another host's."""
    parts = urlsplit(address)
    if parts.scheme or parts.netloc:
        return None
    file = (page.parent / unquote(parts.path)).resolve() if parts.path else page.resolve()
    return file, unquote(parts.fragment)


def test_every_link_leads_to_a_page_and_its_part(site: Path, read: dict[Path, Links]) -> None:
    names = {path.resolve(): page.names for path, page in read.items()}
    broken = []
    followed = 0
    for path, page in read.items():
        for address, _ in page.targets:
            found = local(path, address)
            if found is None:
                continue
            file, part = found
            followed += 1
            if not file.is_file() or (file in names and part not in names[file]):
                broken.append(f"{path.relative_to(site)}: {address}")
    assert followed > 40 * len(pages()) and not broken, "\n".join(broken)


def test_pages_load_nothing_from_elsewhere(site: Path, read: dict[Path, Links]) -> None:
    for path, page in read.items():
        foreign = [address for address in page.loaded if urlsplit(address).netloc]
        assert not foreign, f"{path.relative_to(site)}: {foreign}"


def test_every_figure_says_what_it_shows(site: Path, read: dict[Path, Links]) -> None:
    for path, page in read.items():
        for alt in page.images:
            assert len(alt) > 8 and not re.search(r"\.(png|svg)$|<", alt), (
                f"{path.relative_to(site)}: {alt!r}"
            )
    images = read[site / "chapters" / "08_bfcl.html"].images
    heading = re.sub(r"^# ", "", prose("08_bfcl")[0].splitlines()[0])
    assert images == [f"Figure 1 of the section “{heading}”", "SFT beats the base"]


def test_the_site_is_light(site: Path, read: dict[Path, Links]) -> None:
    """No page asks a first visitor for more than 1.5 MB, fonts included; all files together are below 12."""
    fonts = sum(path.stat().st_size for path in site.rglob("*.woff2"))
    assert 0 < fonts < 0.5 * MEGABYTE and not list(site.rglob("*.map"))
    for path, page in read.items():
        files = {found[0] for address in page.loaded if (found := local(path, address))}
        size = sum(file.stat().st_size for file in {path, *files}) + fonts
        assert size < 1.5 * MEGABYTE, f"{path.relative_to(site)} needs {size / MEGABYTE:.2f} MB"
    assert sum(path.stat().st_size for path in site.rglob("*") if path.is_file()) < 12 * MEGABYTE


def test_buttons_lead_to_what_they_say(site: Path, read: dict[Path, Links], root: Path) -> None:
    """The repository of the settings, the text of the page in it, a notebook that can be read."""
    config = yaml.safe_load((book.sources() / "_config.yml").read_text(encoding="utf-8"))
    repository = config["repository"]["url"]
    for name in pages():
        path = site / f"{name}.html"
        addresses = [address for address, tag in read[path].targets if tag == "a"]
        assert repository in addresses, name
        assert any(a.startswith(f"{repository}/issues/new?title=") for a in addresses), name
        shown = [a for a in addresses if a.startswith(f"{repository}/blob/")]
        made = name.removeprefix("chapters/") in book.MADE
        assert len(shown) == (0 if made else 1), f"{name}: {shown}"
        if shown:
            branch, _, source = shown[0].removeprefix(f"{repository}/blob/").partition("/")
            assert branch == config["repository"]["branch"] and (root / source).is_file(), shown
            assert Path(source).stem == name.rpartition("/")[2]
        downloads = {str(found[0]) for a in addresses if "_sources/" in a and (found := local(path, a))}
        assert len(downloads) == 1, f"{name}: {downloads}"
        if re.match(r"chapters/\d\d_", name):
            assert nbformat.read(downloads.pop(), as_version=4).cells
        services = ("colab.research", "mybinder", "deepnote", "jupyterhub", "/lite/")
        assert not [a for a in addresses if any(service in a for service in services)], name


# ------------------------------------------------------------------------------------------ in a browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A headless Chromium."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip(f"no browser in PATH ({', '.join(BROWSERS)}), so the book cannot be opened")
    switches = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-dev-shm-usage"]
    with sync_api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=found, args=switches)
        yield running
        running.close()


@pytest.fixture
def reader(browser: Any, served: str) -> Iterator[Any]:
    """A page 1280 pixels wide; what the browser complains about, or asks of another host, is a failure."""
    host = urlsplit(served).netloc
    faults: list[str] = []
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()

    def say(fault: str) -> None:
        faults.append(f"{page.url}: {fault}")

    page.on("console", lambda entry: say(entry.text) if entry.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: say(str(error)))
    # A request that the next navigation cuts short is no fault; everything else is.
    page.on(
        "requestfailed", lambda r: None if r.failure == "net::ERR_ABORTED" else say(f"{r.failure} {r.url}")
    )
    page.on(
        "request",
        lambda r: (
            None
            if r.url.startswith(("data:", "blob:")) or urlsplit(r.url).netloc == host
            else say(f"asks {r.url}")
        ),
    )
    page.on("response", lambda answer: say(f"{answer.status} {answer.url}") if answer.status >= 400 else None)
    yield page
    context.close()
    assert not faults, "\n".join(faults)


def test_a_reader_gets_from_the_first_page_to_the_last_by_next(reader: Any, served: str) -> None:
    """In the order of the contents, each page with its title and its figures."""
    reader.goto(f"{served}/index.html")
    reader.wait_for_url("**/intro.html")
    order, pictures = [], 0
    for _ in range(len(pages()) + 1):
        order.append(urlsplit(reader.url).path.removeprefix("/").removesuffix(".html"))
        assert reader.locator("article h1").count() == 1, f"{order[-1]} has no title, or several"
        for picture in reader.locator("article img").all():
            picture.scroll_into_view_if_needed()  # pictures far down may be loaded late
            assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0
            pictures += 1
        onward = reader.locator("a.right-next")
        if not onward.count():
            break
        address = onward.get_attribute("href")
        onward.click()
        reader.wait_for_url(f"**/{Path(address).name}")
        reader.wait_for_load_state("load")
    assert order == pages()
    chapters = [name for name in book.chapter_names(book.sources()) if name not in book.MADE]
    assert pictures == 2 * len(chapters) + 1  # and the map of the library


def test_search_finds_a_word_and_leads_to_its_chapter(reader: Any, served: str) -> None:
    reader.goto(f"{served}/intro.html")
    reader.locator("button.search-button__button:visible").first.click()
    field = reader.locator("input[type=search]:visible").first
    field.fill("marmalade")
    field.press("Enter")
    reader.wait_for_url("**/search.html?q=marmalade")
    reader.wait_for_selector("#search-results li a")
    result = reader.locator("#search-results li a").first
    result.click()
    reader.wait_for_url("**/chapters/*")
    assert "marmalade" in reader.locator("article").inner_text()


def test_the_side_bar_lists_every_page_and_leads_there(reader: Any, served: str) -> None:
    reader.goto(f"{served}/intro.html")
    links = reader.locator(".bd-sidebar-primary nav a.reference")
    shown = [urlsplit(link.evaluate("a => a.href")).path for link in links.all()]
    assert [f"/{name}.html" for name in pages()] == list(dict.fromkeys(shown))
    links.filter(has_text="Evaluate").first.click()
    reader.wait_for_url("**/08_bfcl.html")
    reader.locator(".bd-sidebar-secondary a", has_text="Try it").click()
    assert urlsplit(reader.url).fragment == "try-it"
    # On a phone it is behind a button.
    reader.set_viewport_size({"width": 375, "height": 800})
    reader.goto(f"{served}/chapters/run.html")
    assert not reader.locator(".bd-sidebar-primary nav").is_visible()
    reader.locator("button.primary-toggle").click()
    reader.locator("dialog[open] a.reference", has_text="Glossary").click()
    reader.wait_for_url("**/glossary.html")


def test_no_page_is_wider_than_a_phone(reader: Any, served: str) -> None:
    """Wide tables, figures and lines of code scroll within a box of their own."""
    reader.set_viewport_size({"width": 375, "height": 800})
    for name in pages():
        reader.goto(f"{served}/{name}.html")
        width = reader.evaluate("document.documentElement.scrollWidth")
        assert width <= 375, f"{name} is {width} pixels wide on a phone"
    reader.goto(f"{served}/chapters/08_bfcl.html")
    table = reader.locator("article table", has_text="marmalade").first
    assert table.evaluate("t => t.getBoundingClientRect().width") > 375


# The contrast of every visible text with what lies behind it, as WCAG 2 computes it; the low ones are named.
CONTRAST = r"""() => {
  const read = text => { const n = text.match(/[\d.]+/g).map(Number); return [n[0], n[1], n[2], n[3] ?? 1]; };
  const over = (top, below) => [0, 1, 2].map(i => top[i] * top[3] + below[i] * (1 - top[3]));
  const behind = element => {
    const layers = [];
    for (let e = element; e; e = e.parentElement) {
      layers.push(read(getComputedStyle(e).backgroundColor));
      if (layers.at(-1)[3] === 1) break;
    }
    return layers.reverse().reduce((below, layer) => over(layer, below), [255, 255, 255]);
  };
  const light = colour => {
    const [r, g, b] = colour.map(v => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const low = new Set();
  let seen = 0;
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    const text = walker.currentNode.data.trim();
    if (!text || element.closest('script, style, .skip-link')) continue;
    if (!element.checkVisibility({opacityProperty: true, visibilityProperty: true})) continue;
    const ground = behind(element);
    const [a, b] = [light(over(read(getComputedStyle(element).color), ground)), light(ground)];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    seen += 1;
    const what = `${element.tagName}.${element.className}: ${text.slice(0, 30)}`;
    if (contrast < 4.5) low.add(`${what} (${contrast.toFixed(1)})`);
  }
  const all = names => [...document.querySelectorAll(names)];
  return {
    seen,
    low: [...low],
    page: light(behind(document.querySelector('article'))),
    grounds: all('article img').map(image => light(behind(image))),
    sizes: all('article :is(p, td, pre)').map(e => parseFloat(getComputedStyle(e).fontSize)),
  };
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_can_be_read_by_day_and_by_night(scheme: str, reader: Any, served: str) -> None:
    """Body, tables, code and outputs have a contrast of 4.5 or more; figures lie on a light ground."""
    reader.emulate_media(color_scheme=scheme)
    names = (
        "intro",
        "references",
        "chapters/08_bfcl",
        "chapters/run",
        "chapters/scorecard",
        "chapters/library_map",
    )
    for name in names:
        reader.goto(f"{served}/{name}.html")
        reader.add_style_tag(content="* { transition: none !important }")  # colours must have settled
        found = reader.evaluate(CONTRAST)
        assert found["seen"] > 50 and not found["low"], f"{name}: " + "\n".join(found["low"])
        assert (found["page"] > 0.5) == (scheme == "light"), name
        assert all(ground > 0.5 for ground in found["grounds"]), name
        assert min(found["sizes"]) >= 12, name
