"""The map of the library is what the code says; so are the paths and commands of CONTRIBUTING."""

from __future__ import annotations

import itertools
import re
import xml.etree.ElementTree as ElementTree
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from xlam_lib import bench, library_map, runs
from xlam_lib.stages import STAGES

FILES = {
    "__init__.py": '"""The package."""',
    "one.py": '"""First | of ``one|two``.\n\nMore."""\nfrom toy import two\nfrom toy.room.deep import x\n',
    "two.py": "",
    "room/__init__.py": '"""A room."""\nfrom toy.room import inner\n',
    "room/inner.py": '"""Inner."""\ndef late():\n    import toy.hall.door\n',
    "room/deep/__init__.py": '"""Deep."""\nimport json, toyota\n',
    "hall/__init__.py": '"""A hall."""\n',
    "hall/door.py": '"""Door, by :mod:`~toy.room`."""\nfrom toy.room.inner import late\nfrom . import door\n',
    "attic/__init__.py": '"""An attic."""\nfrom toy.room import inner\nfrom toy.hall import door\n',
}


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        file = tmp_path / "toy" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return tmp_path / "toy"


@pytest.fixture(scope="module")
def library() -> tuple[library_map.Module, ...]:
    return library_map.modules()


def test_modules_are_read_from_their_files(toy: Path) -> None:
    found = {module.name: module for module in library_map.modules(toy)}
    assert list(found) == ["attic", "hall", "hall.door", "one", "room", "room.deep", "room.inner", "two"]
    assert found["one"].summary == "First | of ``one|two``." and found["two"].summary == ""
    assert found["one"].imports == {"two", "room.deep"} and found["one"].room == ""
    assert found["room"].imports == {"room.inner"}
    assert found["room.inner"].imports == {"hall.door", "hall"} - {"hall"}
    assert found["room.deep"].imports == set() and found["room.deep"].room == "room"
    assert found["attic"].imports == {"room", "room.inner", "hall", "hall.door"}


def test_rooms_that_use_one_another_are_put_in_the_order_with_fewer_imports_upwards(toy: Path) -> None:
    (toy / "room" / "more.py").write_text('"""More."""\nfrom toy.hall.door import late\n')
    found = library_map.modules(toy)
    pairs = library_map.dependencies(found)
    assert pairs == {("room", "hall"): 2, ("hall", "room"): 1, ("attic", "room"): 1, ("attic", "hall"): 1}
    assert library_map.order(pairs) == ["attic", "room", "hall"]
    assert library_map.layers(pairs) == [["attic"], ["room"], ["hall"]]
    assert "Against the order: hall uses room." in library_map.alt_text(found)


names = st.sampled_from("abcde")


@given(st.dictionaries(st.tuples(names, names).filter(lambda p: p[0] != p[1]), st.integers(1, 4), min_size=1))
def test_no_other_order_has_fewer_imports_upwards(pairs: dict[tuple[str, str], int]) -> None:
    counted = Counter(pairs)

    def upwards(order: tuple[str, ...] | list[str]) -> int:
        return sum(counted[below, above] for above, below in itertools.combinations(order, 2))

    order = library_map.order(counted)
    rooms = sorted({room for pair in pairs for room in pair})
    assert sorted(order) == rooms
    assert upwards(order) == min(map(upwards, itertools.permutations(rooms)))
    at = {room: level for level, inside in enumerate(library_map.layers(counted)) for room in inside}
    assert all(at[a] < at[b] or order.index(a) > order.index(b) for a, b in pairs)


def test_arrows_that_follow_from_others_are_left_out_and_no_other(
    library: tuple[library_map.Module, ...],
) -> None:
    pairs = library_map.dependencies(library)
    levels = library_map.layers(pairs)
    drawn = set(library_map._direct(pairs, levels))

    def reached(edges: set[tuple[str, str]]) -> set[tuple[str, str]]:
        while more := {(a, d) for a, b in edges for c, d in edges if b == c} - edges:
            edges = edges | more
        return edges

    down = set(pairs) - set(library_map._upward(pairs, levels))
    assert drawn <= down and reached(drawn) == reached(down)
    assert all(reached(drawn - {arrow}) != reached(down) for arrow in drawn)


def test_every_module_of_the_library_has_a_line_and_its_chapters(
    library: tuple[library_map.Module, ...],
) -> None:
    page = library_map.page(library)
    assert [module.name for module in library if not module.summary] == []
    for module in library:
        name = module.name.removeprefix(f"{module.room}.")
        assert f"| `{name}` |" in page or f"## {module.room}\n" in page, module.name
    lines = [line for line in page.splitlines() if line.startswith("| `")]
    rooms = {module.room for module in library if module.room}
    assert len(lines) == len(library) - len(rooms)
    (sft,) = (line for line in lines if line.startswith("| `sft` |"))
    named = [stage for stage, spec in STAGES.items() if {"train", "train/sft.py"} & set(spec.modules)]
    assert re.findall(r"\]\((\w+)\)", sft) == named and "06_sft" in named
    html = MarkdownIt("commonmark").enable("table").render(page)
    assert html.count("<tr>") == len(lines) + html.count("<table>")


@pytest.mark.parametrize(
    ("line", "markdown"),
    [
        ("A ``b|c`` and `d`_ | e", "A `b\\|c` and \\`d\\`\\_ \\| e"),
        ("See :mod:`~xlam_lib.runs` and $x$", "See `xlam_lib.runs` and \\$x\\$"),
    ],
)
def test_docstrings_become_markdown(line: str, markdown: str) -> None:
    assert library_map._plain(line) == markdown


def test_the_same_code_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        assert library_map.write(tmp_path / name) == tmp_path / name / "library_map.md"
    for file in ("library_map.md", library_map.FIGURE):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    page = (tmp_path / "a" / "library_map.md").read_text()
    (alt,) = re.findall(r":alt: (.+)", page)
    assert f"{{image}} {library_map.FIGURE}" in page and "layers" in alt
    root = ElementTree.parse(tmp_path / "a" / library_map.FIGURE).getroot()
    width = float(root.attrib["width"].removesuffix("pt"))
    assert width <= 360, "wider than a phone shows without shrinking the letters"


# ------------------------------------------------------------------------------------------ contributing


def test_paths_and_commands_of_contributing_exist(root: Path) -> None:
    text = (root / "CONTRIBUTING.md").read_text()
    made = (".venv", "book/_build")  # by the commands that the text names, so not in a fresh clone
    paths = [path for path in re.findall(r"`([\w./-]+)`", text) if "/" in path and not path.startswith(made)]
    assert len(paths) > 30
    assert [path for path in paths if "NN_" not in path and not (root / path).exists()] == []
    targets = set(re.findall(r"^([a-z]+):", (root / "Makefile").read_text(), re.M))
    named = {word for line in re.findall(r"make ([a-z ]+)", text) for word in line.split()[:1]}
    assert named <= targets
    assert set(re.findall(r"xlam_lib bench ([a-z]+)", text)) <= set(bench.names())
    assert set(re.findall(r"profiles? `([\w-]+)`", text)) <= set(runs.profiles())


def test_names_of_contributing_exist(root: Path) -> None:
    """Names in capitals and of functions, wherever the library or its tests define them."""
    text = (root / "CONTRIBUTING.md").read_text()
    code = "\n".join(
        file.read_text() for folder in ("xlam_lib", "tests") for file in sorted((root / folder).rglob("*.py"))
    )
    for name in set(re.findall(r"`([A-Z][A-Za-z_]+)`", text)) - {"CHANGELOG"}:
        assert re.search(rf"\b{name}\b( =|:|\(|\b)", code) and f"{name}" in code, name
    for name in set(re.findall(r"`([a-z_]+)`", text)):
        assert re.search(rf"\b{name}\b", code), name
