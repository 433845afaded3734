"""The book is built from a small executed run and opened in a browser, as a reader would open it."""

from __future__ import annotations

import functools
import http.server
import json
import re
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from xlam_lib import build as book
from xlam_lib.errors import ArtifactError

# A grey image of 8 x 8 pixels, so that the pages hold a real PNG.
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAAAAADhZOFXAAAADklEQVR4nGNogAIGyhgAgIQgAQ2AJGEAAAAASUVORK5CYII="
BAR = (
    "steps:  40%|####      | 2/5 [00:01<00:02,  1.50it/s]\rsteps: 100%|#########| 5/5 [00:03<00:00, 1it/s]\n"
)
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def notebook(name: str) -> nbformat.NotebookNode:
    """A notebook as papermill leaves it, with each kind of output that the book has to show or drop."""
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
            new_output("display_data", data={"image/png": PNG, "text/plain": "<Figure>"}),
            new_output(
                "display_data",
                data={"text/html": "<table><tr><td>marmalade</td></tr></table>", "text/plain": "marmalade"},
            ),
        ],
        metadata={"papermill": {"duration": 1.5, "exception": False}},
    )
    cells = [
        new_markdown_cell(
            f"# Page {name}\n\nIt cites {{cite}}`zhang2024xlam` and shows $\\sigma(x) = \\frac{{1}}{{2}}$."
        ),
        parameters,
        injected,
        work,
        new_markdown_cell("$$\\mathcal{L} = -\\log \\sigma(\\beta \\Delta)$$"),
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
    names = [name for name in book.chapter_names(book.sources()) if name != "run"]
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
    names = [name for name in book.chapter_names(book.sources()) if name != "run"]
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


def test_building_leaves_the_sources_alone(site: Path) -> None:
    assert not (book.sources() / "chapters").exists()


def test_a_page_with_a_warning_is_an_error_and_keeps_the_old_site(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = tmp_path / "book"
    small.mkdir()
    for name in ("_config.yml", "references.bib", "_ext", "_static"):
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
    import yaml

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


def test_a_browser_reads_the_whole_book_without_any_other_host(served: str) -> None:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip(f"no browser in PATH ({', '.join(BROWSERS)}), so the book cannot be opened")
    host = urlsplit(served).netloc
    faults: list[str] = []
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=found,
            args=[
                "--no-sandbox",
                "--disable-gpu",
                "--disable-background-networking",
                "--disable-dev-shm-usage",
            ],
        )
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.on(
            "console",
            lambda entry: faults.append(f"{page.url}: {entry.text}") if entry.type == "error" else None,
        )
        page.on("pageerror", lambda error: faults.append(f"{page.url}: {error}"))
        # A request that the next navigation cuts short is no fault; everything else is.
        page.on(
            "requestfailed",
            lambda request: (
                None
                if request.failure == "net::ERR_ABORTED"
                else faults.append(f"{page.url}: {request.failure} {request.url}")
            ),
        )
        page.on(
            "request",
            lambda request: (
                None
                if request.url.startswith(("data:", "blob:")) or urlsplit(request.url).netloc == host
                else faults.append(f"{page.url}: asks {request.url}")
            ),
        )
        page.on(
            "response",
            lambda answer: faults.append(f"{answer.status} {answer.url}") if answer.status >= 400 else None,
        )

        pictures = 0
        for name in pages():
            answer = page.goto(f"{served}/{name}.html", wait_until="load")
            assert answer is not None and answer.status == 200
            assert page.locator("article h1").count() >= 1, f"{name} has no title"
            # Pictures far down are loaded lazily in some themes: ask for each.
            for picture in page.locator("article img").all():
                picture.scroll_into_view_if_needed()
                assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0
                pictures += 1
        assert pictures >= len(book.chapter_names(book.sources())) - 1

        page.goto(f"{served}/index.html")
        page.wait_for_url("**/intro.html")
        page.locator("a.right-next").click()
        page.wait_for_url(f"**/{pages()[1]}.html")

        page.goto(f"{served}/search.html?q=marmalade")
        page.wait_for_selector("#search-results li")
        assert page.locator("#search-results li").count() >= 1

        page.set_viewport_size({"width": 390, "height": 844})
        for name in ("intro", "paper_at_a_glance", "chapters/run"):
            page.goto(f"{served}/{name}.html")
            width = page.evaluate("document.documentElement.scrollWidth")
            assert width <= 390, f"{name} is {width} pixels wide on a phone"
        browser.close()
    assert not faults, "\n".join(faults)
