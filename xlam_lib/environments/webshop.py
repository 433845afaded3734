"""WebShop as a text environment: search for a product, read its pages, choose options, buy (section 4.2.1).

The agent has two tools, ``search`` and ``click``. A goal names a kind of product, what it must be like, the
options to choose and a price limit; the purchase is scored by :mod:`xlam_lib.environments.webshop_reward`.
The report follows AgentBoard, which shows 15 results on pages of three, ends after 30 steps and measures
progress: the mean of the best reward on any page of results that was seen, the one of the best product
that was opened, and the purchase's own. WebShop itself shows 50 results on pages of ten.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec

from xlam_lib.environments import webshop_pages as pages
from xlam_lib.environments import webshop_reward as rule
from xlam_lib.environments.core import Reply, Result, Task
from xlam_lib.environments.webshop_catalogue import Catalogue, Goal, GoalKind, Product, read
from xlam_lib.environments.webshop_search import Index
from xlam_lib.errors import ArtifactError, ProfileError
from xlam_lib.schema import Tool, ToolCall

KEYWORDS_LIMIT = 1000  # characters; more than the longest product name
TOOLS = [
    Tool(
        "search",
        "Search the shop. Possible on the search page only; click 'Back to Search' to return to it.",
        {"keywords": {"type": "string", "description": "Words to look for.", "required": True}},
    ),
    Tool(
        "click",
        "Click something that the page shows in square brackets: a button, a product id or an option.",
        {"value": {"type": "string", "description": "The words in the brackets.", "required": True}},
    ),
]
_ARGUMENT = {"search": "keywords", "click": "value"}


class WebShop:
    """A shop and the goals to buy for.

    Parameters
    ----------
    catalogue
        By default our own (:func:`xlam_lib.environments.webshop_own.catalogue`).
    data
        What it is, in words for tables.
    page_size, results
        Products on a page of results, and results in all.
    attributes_page
        Whether a product's page offers its list of attributes, as the published one does on request.

    Raises
    ------
    ProfileError
        A number is not positive.
    """

    name = "webshop"
    max_steps = 30

    def __init__(
        self,
        catalogue: Catalogue | None = None,
        data: str = "our own catalogue",
        *,
        page_size: int = 3,
        results: int = 15,
        attributes_page: bool = False,
    ) -> None:
        if page_size < 1 or results < 1:
            raise ProfileError(f"page_size {page_size} and results {results} must be positive")
        if catalogue is None:
            self.catalogue, self.index = _own()
        else:
            self.catalogue, self.index = catalogue, Index([product.text for product in catalogue.products])
        self.data = data
        self.page_size = page_size
        self.results = results
        self.attributes_page = attributes_page
        self._tasks = [
            Task(f"webshop/{number}", goal.text, TOOLS, pages.HOME, {"goal": msgspec.to_builtins(goal)})
            for number, goal in enumerate(self.catalogue.goals)
        ]
        self._solutions: dict[bytes, list[ToolCall]] = {}
        self._by_id = {product.id: product for product in self.catalogue.products}

    @classmethod
    def from_files(
        cls, folder: Path | str, goals: GoalKind = "human", *, products: int | None = None, **settings: Any
    ) -> WebShop:
        """The official products and goals; parameters and errors are :func:`webshop_catalogue.read`'s."""
        catalogue = read(folder, goals, products)
        count = len(catalogue.products)
        return cls(catalogue, f"official files: {count:,} products, {goals} goals", **settings)

    def tasks(self) -> list[Task]:
        return list(self._tasks)

    def open(self, task: Task) -> Shopping:
        return Shopping(self, task)

    def find(self, keywords: str) -> list[Product]:
        """The results of a search, best first."""
        return [self.catalogue.products[place] for place in self.index.search(keywords, self.results)]

    def solution(self, task: Task) -> list[ToolCall]:
        """Calls that buy a product with a reward of 1: the goal's own if it earns it, else another.

        Raises
        ------
        ArtifactError
            No product earns it, or no search brings one that does onto a page.
        """
        key = msgspec.json.encode(task.meta["goal"])
        if key not in self._solutions:
            self._solutions[key] = self._solve(task)
        return self._solutions[key]

    def _solve(self, task: Task) -> list[ToolCall]:
        goal = _goal(task)
        found = False
        for product in self._candidates(goal):
            price = self.catalogue.prices[product.id]
            # Options are the dear part of the rule, and most products fail before.
            if price > goal.price_upper or not all(
                rule.has_attribute(product, one) for one in goal.attributes
            ):
                continue
            if rule.best(product, goal, price).reward < 1:
                continue
            found = True
            options = rule.choices(product, goal)
            chosen = options[max(options, key=int.bit_count)]
            for path in self._paths(product):
                calls = [*path, *(_click(value) for value in chosen.values()), _click(pages.BUY)]
                if self._earns_all(task, calls):
                    return calls
        why = (
            "no search brings a product that fits onto a page" if found else "no product fits all of the goal"
        )
        raise ArtifactError(f"{task.id} ({task.goal[:80]!r}) cannot be solved: {why}")

    def _candidates(self, goal: Goal) -> Iterator[Product]:
        own = self._by_id.get(goal.product)
        if own:
            yield own
        yield from (product for product in self.catalogue.products if product is not own)

    def _paths(self, product: Product) -> Iterator[list[ToolCall]]:
        """Ways to a product's page: searches that bring it up, from the goal's words to its whole text."""
        for keywords in (
            product.query,
            f"{product.query} {' '.join(product.attributes)}",
            product.name,
            product.text,
        ):
            keywords = keywords[:KEYWORDS_LIMIT]
            hits = self.find(keywords)
            if product in hits:
                page = hits.index(product) // self.page_size
                search = ToolCall("search", {"keywords": keywords})
                yield [search, *[_click(pages.NEXT)] * page, _click(product.id)]

    def _earns_all(self, task: Task, calls: Sequence[ToolCall]) -> bool:
        session = self.open(task)
        for call in calls:
            session.act(call)
        return session.result().success


@lru_cache(maxsize=1)
def _own() -> tuple[Catalogue, Index]:
    from xlam_lib.environments.webshop_own import catalogue

    own = catalogue()
    return own, Index([product.text for product in own.products])


def _goal(task: Task) -> Goal:
    return msgspec.convert(task.meta["goal"], Goal)


def _click(value: str) -> ToolCall:
    return ToolCall("click", {"value": value})


def _printable(text: str) -> str:
    """A text that can be written as UTF-8, on one line and not too long to repeat to an agent."""
    text = text.encode("utf-8", "replace").decode("utf-8")
    text = "".join(letter if letter.isprintable() else " " for letter in text[:KEYWORDS_LIMIT])
    return text if len(text) <= 200 else text[:200] + "..."


class Shopping:
    """A visit to the shop; one page at a time."""

    def __init__(self, shop: WebShop, task: Task) -> None:
        self.shop = shop
        self._task = task
        self._goal = _goal(task)
        self._keywords = ""
        self._hits: list[Product] = []
        self._page = 0  # of the results; 0 on the search page
        self._product: Product | None = None
        self._subpage = ""
        self._chosen: dict[str, str] = {}
        self._score: rule.Score | None = None
        self._best_listed = self._best_opened = 0.0
        self._log: list[dict[str, Any]] = []
        self._text, self._buttons = self._show()

    @property
    def task(self) -> Task:
        return self._task

    def act(self, call: ToolCall) -> Reply:
        if self._score:
            return Reply("The visit is over: something was bought.", done=True, error="invalid_action")
        argument = _ARGUMENT.get(call.name)
        if argument is None:
            known = " and ".join(_ARGUMENT)
            return Reply(
                f"There is no tool {_printable(call.name)!r}; there are {known}.", error="unknown_tool"
            )
        value = call.arguments.get(argument)
        if set(call.arguments) != {argument} or not isinstance(value, str) or not value.strip():
            message = f"{call.name} takes one argument, {argument}, a text that is not empty."
            return Reply(message, error="bad_arguments")
        if len(value) > KEYWORDS_LIMIT:
            message = f"{argument} has {len(value)} characters; at most {KEYWORDS_LIMIT} are possible."
            return Reply(message, error="bad_arguments")
        return self._search(value) if call.name == "search" else self._click(value)

    def _search(self, keywords: str) -> Reply:
        if self._page:
            message = f"There is no search box on this page; click [{pages.BACK}] first.\n{self._text}"
            return Reply(message, error="invalid_action")
        self._keywords = _printable(keywords)
        self._hits = self.shop.find(keywords)
        self._page = 1
        return self._turn()

    def _click(self, value: str) -> Reply:
        # As published, letter case does not matter; models often repeat the brackets.
        wanted = value.strip().removeprefix("[").removesuffix("]").strip().lower()
        button = next((one for one in self._buttons if one.lower() == wanted), None)
        if button is None:
            return self._choose(wanted, value)
        if button == pages.BUY:
            return self._buy()
        if button == pages.BACK:
            self._page, self._product, self._subpage, self._chosen = 0, None, "", {}
        elif button == pages.NEXT:
            self._page += 1
        elif button == pages.PREVIOUS and self._subpage:
            self._subpage = ""
        elif button == pages.PREVIOUS and self._product:
            self._product, self._chosen = None, {}
        elif button == pages.PREVIOUS:
            self._page -= 1
        elif self._product:
            self._subpage = button
        else:
            self._product = self.shop._by_id[button]
        return self._turn()

    def _choose(self, wanted: str, value: str) -> Reply:
        options = self._product.options if self._product and not self._subpage else {}
        # As published: of options that share a value, the last one is meant.
        name = next((name for name in reversed(options) if wanted in map(str.lower, options[name])), None)
        if name is None:
            message = f"There is no [{_printable(value)}] on this page:\n{self._text}"
            return Reply(message, error="invalid_action")
        self._chosen[name] = next(one for one in options[name] if one.lower() == wanted)
        return self._turn()

    def _buy(self) -> Reply:
        assert self._product is not None
        price = self.shop.catalogue.prices[self._product.id]
        self._score = rule.judge(self._product, self._goal, price, self._chosen.values())
        chosen = ", ".join(f"{name}: {value}" for name, value in self._chosen.items())
        self._log.append({"page": "bought", "product": self._product.id, "options": dict(self._chosen)})
        with_options = f" ({chosen})" if chosen else ""
        return Reply(f"Bought: {self._product.name}{with_options} for ${price:.2f}.", done=True)

    def _turn(self) -> Reply:
        self._text, self._buttons = self._show()
        return Reply(self._text)

    def _show(self) -> tuple[str, list[str]]:
        """The page where the visit stands; notes it, and what was seen on it."""
        product = self._product
        if not self._page:
            self._log.append({"page": "search"})
            return pages.HOME, []
        if product is None:
            size = self.shop.page_size
            listed = self._hits[(self._page - 1) * size : self._page * size]
            self._best_listed = max([self._best_listed, *(self._worth(one)[0] for one in listed)])
            self._log.append(
                {
                    "page": "results",
                    "keywords": self._keywords,
                    "number": self._page,
                    "products": [one.id for one in listed],
                }
            )
            return pages.results(self._keywords, self._page, size, len(self._hits), listed)
        self._best_opened = max(self._best_opened, self._worth(product)[1])
        if self._subpage:
            self._log.append({"page": self._subpage.lower(), "product": product.id})
            return pages.subpage(product, self._subpage)
        self._log.append({"page": "item", "product": product.id, "options": dict(self._chosen)})
        return pages.item(product, self._chosen, self.shop.attributes_page)

    def _worth(self, product: Product) -> tuple[float, float]:
        return rule.shown(product, self._goal, self.shop.catalogue.prices[product.id])

    def result(self) -> Result:
        """Reward and progress so far, with the pages that were seen and how the purchase was scored."""
        reward = self._score.reward if self._score else 0.0
        details: dict[str, Any] = {
            "pages": list(self._log),
            "best_listed": self._best_listed,
            "best_opened": self._best_opened,
        }
        if self._score and self._product:
            details["bought"] = {
                "product": self._product.id,
                "name": self._product.name,
                "options": dict(self._chosen),
                "price": self.shop.catalogue.prices[self._product.id],
                **msgspec.to_builtins(self._score),
            }
        progress = (self._best_listed + self._best_opened + reward) / 3
        return Result(reward == 1, progress, reward, details)

    def close(self) -> None:
        """Nothing is held open."""
