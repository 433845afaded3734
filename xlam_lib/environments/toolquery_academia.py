"""ToolQuery's academia tools: a net of papers that cite one another, and one of authors who wrote together.

Tool names and parameters are AgentBoard's; its own graphs come as pickles, which are programs and are never
loaded here. A user's graph is one JSON file in the layout of :class:`Graph`. The embedded papers and authors
are invented.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any

import msgspec

from xlam_lib.environments.toolquery_base import CHECK_VALID_ACTIONS, FINISH, Refused, show, text_of, tool
from xlam_lib.errors import SchemaError
from xlam_lib.records import read_json

_FILE = Path(__file__).parent / "data" / "toolquery_academia.json"
_PAPER = ("string", "The paper's title, letter by letter.")
_AUTHOR = ("string", "The author's name, letter by letter.")

TOOLS = [
    tool("loadPaperNet", "Load PaperNet: its nodes are papers, its edges citations."),
    tool("loadAuthorNet", "Load AuthorNet: its nodes are authors, its edges papers written together."),
    tool(
        "neighbourCheck",
        "List a node's neighbours: the papers that a paper cites, or the people an author wrote with.",
        graph={"type": "string", "enum": ["PaperNet", "AuthorNet"], "description": "Which of the two nets."},
        node=("string", "The paper's title or the author's name, letter by letter."),
    ),
    tool(
        "paperNodeCheck",
        "A paper's authors, year, venue, number of citations, keywords and document type.",
        node=_PAPER,
    ),
    tool("authorNodeCheck", "An author's name and organisation.", node=_AUTHOR),
    tool("authorEdgeCheck", "The papers that two authors wrote together.", node1=_AUTHOR, node2=_AUTHOR),
    tool("paperEdgeCheck", "What is known of one paper's citation of another.", node1=_PAPER, node2=_PAPER),
    CHECK_VALID_ACTIONS,
    FINISH,
]


class Paper(msgspec.Struct, forbid_unknown_fields=True):
    """A paper; ``cites`` are titles of other papers of the graph."""

    title: str
    authors: list[str]
    year: int
    venue: str
    n_citation: int
    keywords: list[str]
    doc_type: str
    cites: list[str] = []


class Author(msgspec.Struct, forbid_unknown_fields=True):
    """An author and where they work."""

    name: str
    org: str


class Graph(msgspec.Struct, forbid_unknown_fields=True):
    """Papers and authors; the net of authors follows from who wrote with whom."""

    papers: list[Paper]
    authors: list[Author]


class Nets:
    """A graph made ready for questions.

    Raises
    ------
    SchemaError
        A title or name stands twice, or a paper names one that is not in the graph.
    """

    def __init__(self, graph: Graph, origin: str = "the graph") -> None:
        self.papers = {paper.title: paper for paper in graph.papers}
        self.authors = {author.name: author for author in graph.authors}
        if len(self.papers) < len(graph.papers) or len(self.authors) < len(graph.authors):
            raise SchemaError(f"{origin}: a title or an author's name stands twice; make each one unique")
        self.together: dict[str, dict[str, list[str]]] = {name: {} for name in self.authors}
        for paper in graph.papers:
            strange = [name for name in paper.authors if name not in self.authors]
            strange += [title for title in paper.cites if title not in self.papers]
            if strange:
                raise SchemaError(
                    f"{origin}: paper {paper.title!r} names {strange[0]!r}, which is not listed"
                )
            for first, second in combinations(paper.authors, 2):
                self.together[first].setdefault(second, []).append(paper.title)
                self.together[second].setdefault(first, []).append(paper.title)

    @classmethod
    def from_file(cls, path: str | Path) -> Nets:
        """Read a graph in the layout of :class:`Graph`; errors name the file."""
        return cls(read_json(path, Graph), str(path))


@cache
def invented() -> Nets:
    """The embedded papers and authors."""
    return Nets.from_file(_FILE)


class AcademiaTools:
    """The academia tools for one session; a net must be loaded before it is asked."""

    def __init__(self, nets: Nets) -> None:
        self.nets = nets
        self.loaded: set[str] = set()

    def call(self, name: str, arguments: Mapping[str, Any]) -> Any:
        if name in ("loadPaperNet", "loadAuthorNet"):
            self.loaded.add(name.removeprefix("load"))
            return f"{name.removeprefix('load')} is loaded."
        if name in ("neighbourCheck", "neighborCheck"):
            net = text_of(arguments, "graph")
            if net not in ("PaperNet", "AuthorNet"):
                raise Refused("bad_arguments", f"no net is called {show(net)}; say PaperNet or AuthorNet")
            node = self._node(net, text_of(arguments, "node"))
            return list(self.nets.papers[node].cites if net == "PaperNet" else self.nets.together[node])
        if name == "paperNodeCheck":
            paper = self.nets.papers[self._node("PaperNet", text_of(arguments, "node"))]
            kept = ("authors", "year", "venue", "n_citation", "keywords", "doc_type")
            return {key: msgspec.to_builtins(getattr(paper, key)) for key in kept}
        if name == "authorNodeCheck":
            return msgspec.to_builtins(self.nets.authors[self._node("AuthorNet", text_of(arguments, "node"))])
        if name == "authorEdgeCheck":
            first, second = self._edge("AuthorNet", arguments)
            if second not in self.nets.together[first]:
                raise Refused("invalid_action", f"{show(first)} and {show(second)} wrote nothing together")
            return {"collaborative_papers": list(self.nets.together[first][second])}
        if name == "paperEdgeCheck":
            first, second = self._edge("PaperNet", arguments)
            if second not in self.nets.papers[first].cites:
                raise Refused("invalid_action", f"{show(first)} does not cite {show(second)}")
            theirs = self.nets.papers[second].authors
            return {"common_authors": [name for name in self.nets.papers[first].authors if name in theirs]}
        raise Refused("unknown_tool", f"no action is called {show(name)}")

    def subgoal(self, value: Any) -> Any:
        """A result is compared whole."""
        return value

    def _edge(self, net: str, arguments: Mapping[str, Any]) -> tuple[str, str]:
        first, second = text_of(arguments, "node1"), text_of(arguments, "node2")
        return self._node(net, first), self._node(net, second)

    def _node(self, net: str, node: str) -> str:
        if net not in self.loaded:
            raise Refused("invalid_action", f"{net} is not loaded; load it first")
        if node not in (self.nets.papers if net == "PaperNet" else self.nets.authors):
            raise Refused("invalid_action", f"{net} has no node {show(node)}")
        return node
