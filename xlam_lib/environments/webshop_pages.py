"""WebShop's pages as text: what can be clicked stands in square brackets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from xlam_lib.environments.webshop_catalogue import Product

BACK, PREVIOUS, NEXT, BUY = "Back to Search", "< Prev", "Next >", "Buy Now"
SUBPAGES = ("Description", "Features", "Reviews", "Attributes")
HOME = "WebShop. This is the search page: search with a few keywords."


def price(prices: Sequence[float]) -> str:
    """A price or a range of prices."""
    return " to ".join(f"${amount:.2f}" for amount in prices)


def results(
    keywords: str, page: int, size: int, total: int, products: Sequence[Product]
) -> tuple[str, list[str]]:
    """A page of search results and what can be clicked on it; pages count from 1."""
    if not total:
        return f"No product was found for: {keywords}\n[{BACK}]", [BACK]
    buttons = [BACK]
    if page > 1:
        buttons.append(PREVIOUS)
    if page * size < total:
        buttons.append(NEXT)
    lines = [
        f"Results for: {keywords}",
        f"Page {page} of {-(-total // size)} ({total} results)",
        _row(buttons),
    ]
    for product in products:
        lines += [f"[{product.id}] {product.name}", f"  {price(product.prices)}"]
    return "\n".join(lines), [*buttons, *(product.id for product in products)]


def item(product: Product, chosen: Mapping[str, str], attributes: bool) -> tuple[str, list[str]]:
    """A product's own page and what can be clicked on it, but for its options."""
    subpages = SUBPAGES if attributes else SUBPAGES[:3]
    lines = [_row([BACK, PREVIOUS]), product.name, f"Price: {price(product.prices)}"]
    lines.append(f"Rating: {product.rating}")
    for name, values in product.options.items():
        mark = f" (chosen: {chosen[name]})" if name in chosen else ""
        lines.append(f"{name}: {_row(values)}{mark}")
    lines.append(_row([*subpages, BUY]))
    return "\n".join(lines), [BACK, PREVIOUS, *subpages, BUY]


def subpage(product: Product, which: str) -> tuple[str, list[str]]:
    """One of a product's :data:`SUBPAGES` and what can be clicked on it."""
    content = {
        "Description": [product.description],
        "Features": product.features,
        "Reviews": product.reviews,
        "Attributes": product.attributes,
    }[which]
    lines = [line.strip() for line in content if line.strip()]
    listed = [f"- {line}" for line in lines] if len(lines) > 1 else lines
    return "\n".join([_row([BACK, PREVIOUS]), f"{which}:", *(listed or ["(none)"])]), [BACK, PREVIOUS]


def _row(values: Sequence[str]) -> str:
    return " ".join(f"[{value}]" for value in values)
