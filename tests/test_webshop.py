"""WebShop: the reward's rule, the shop's pages, our own catalogue, and the official files."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xlam_lib.agents.loop import run
from xlam_lib.agents.scripted import Oracle, Random
from xlam_lib.environments import webshop_reward as rule
from xlam_lib.environments.webshop import WebShop
from xlam_lib.environments.webshop_catalogue import Goal, Product, read
from xlam_lib.environments.webshop_ingredients import AISLES
from xlam_lib.environments.webshop_own import catalogue
from xlam_lib.errors import ArtifactError, ProfileError
from xlam_lib.schema import ToolCall

LAMP = Product(
    id="L000000001",
    name="Tollen Clip Lamp for Shelves",
    category="Home › Lighting › Lamps",
    query="clip lamp",
    prices=[20.0],
    description="Bends any way. Works with Dimmer switches.",
    features=["Energy saving bulb", "Clamp with felt"],
    attributes=["easy install", "glass shade"],
    options={"color": ["navy blue", "dark red"], "size": ["small", "tall"]},
)
GOAL = Goal(
    text="a lamp",
    product=LAMP.id,
    name=LAMP.name,
    category=LAMP.category,
    query=LAMP.query,
    attributes=["shade of glass", "energy saving", "rechargeable"],
    options=["blue", "tall"],
    price_upper=30.0,
)


def change(record, **fields):
    return msgspec.structs.replace(record, **fields)


@pytest.fixture(scope="module")
def shop() -> WebShop:
    return WebShop()


def click(value: str) -> ToolCall:
    return ToolCall("click", {"value": value})


def search(keywords: str) -> ToolCall:
    return ToolCall("search", {"keywords": keywords})


def test_the_reward_is_the_published_sum():
    score = rule.judge(LAMP, GOAL, 20.0, ["navy blue", "tall"])
    # By similarity, by substring of a feature, and not at all; both options; the price: 5 of 3 + 2 + 1.
    assert score.attributes_hit == ["shade of glass", "energy saving"]
    assert score.attributes_missed == ["rechargeable"]
    assert score.options_hit == ["blue", "tall"] and score.price_hit and score.r_type == 1
    assert score.reward == pytest.approx(5 / 6)
    poorer = rule.judge(LAMP, GOAL, 30.01, ["dark red"])
    assert poorer.options_missed == ["blue", "tall"] and not poorer.price_hit
    assert poorer.reward == pytest.approx(2 / 6)


@pytest.mark.parametrize(
    ("name", "query", "category", "factor"),
    [
        (LAMP.name, "other", "Other", 1.0),  # nouns alone
        ("Shelves and Boards", "clip lamp", "Other", 1.0),  # one of four and the query
        ("Shelves", "other", "Home › Lighting", 1.0),
        ("Grey Curtain", "clip lamp", LAMP.category, 0.0),  # no noun at all outweighs the rest
    ],
)
def test_the_type_factor(name, query, category, factor):
    product = change(LAMP, name=name, query=query, category=category)
    assert rule.type_factor(product, GOAL)[0] == factor


def test_few_nouns_in_common_without_query_or_category():
    words = "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda omega"
    goal = change(GOAL, name=words)
    for shared, factor in ((1, 0.1), (2, 0.5), (3, 1.0)):
        other = change(LAMP, name=" ".join(words.split()[:shared]), query="x", category="y")
        assert rule.type_factor(other, goal)[0] == factor


def test_colours_are_reduced_in_the_published_order():
    assert rule.base_colour("navy blue") == "blue" and rule.base_colour("dark red") == "dark"
    assert rule.base_colour("titanium") == "tan"
    assert rule.base_colour("checked") == "checked"


def test_options_by_name_count_the_name_too():
    goal = change(GOAL, options={"color": "navy blue", "size": "tall"})
    assert rule.wanted_options(goal) == ["color navy blue", "size tall"]
    assert not rule.judge(LAMP, goal, 20.0, ["navy blue", "tall"]).options_missed


def test_the_best_choice_is_the_best_of_all_combinations():
    goal = change(GOAL, options=["blue", "red", "tall"])
    every = [
        rule.judge(LAMP, goal, 20.0, [colour, size]).reward
        for colour in LAMP.options["color"]
        for size in LAMP.options["size"]
    ]
    assert rule.best(LAMP, goal, 20.0).reward == max(every)
    assert rule.shown(LAMP, goal, 20.0) == (max(every), every[-1])


def test_our_catalogue_is_deterministic_and_sound():
    one, two = catalogue(), catalogue()
    assert one == two
    assert len(one.products) == len({product.id for product in one.products}) == 336
    assert len(one.goals) == 60 and len({goal.text for goal in one.goals}) == 60
    assert {goal.query for goal in one.goals} == {kind.query for aisle in AISLES for kind in aisle.kinds}


def test_values_of_an_option_are_told_apart():
    for aisle in AISLES:
        for kind in aisle.kinds:
            assert set(kind.unlike) <= {trait.name for trait in aisle.traits}
            for choice in kind.choices:
                for place, value in enumerate(choice.values):
                    wanted = [rule.base_colour(value)]
                    hits = [other for other in choice.values if rule.option_mask(wanted, other)]
                    assert hits == [choice.values[place]], (kind.query, value)


def test_choosing_matters_in_our_catalogue(shop):
    """Few products fit a goal, all of the right kind, and several of that kind come close."""
    prices = shop.catalogue.prices
    for goal in shop.catalogue.goals[::4]:
        rewards = [(rule.best(one, goal, prices[one.id]).reward, one) for one in shop.catalogue.products]
        fitting = [one for reward, one in rewards if reward == 1]
        assert 1 <= len(fitting) <= 2 and all(one.query == goal.query for one in fitting)
        assert sum(0.6 <= reward < 1 and one.query == goal.query for reward, one in rewards) >= 3


def test_the_oracle_solves_all_and_random_none(shop):
    episodes = run(shop, Oracle(shop))
    assert all(episode.result.success and episode.result.progress == 1 for episode in episodes)
    assert max(len(episode.steps) for episode in episodes) <= 12
    episodes = run(shop, Random())
    assert sum(episode.result.reward for episode in episodes) / 60 < 0.05
    assert sum(episode.result.progress for episode in episodes) / 60 < 0.2


def test_the_first_hit_without_options_solves_nothing(shop):
    for task in shop.tasks():
        session = shop.open(task)
        session.act(search(task.goal))
        session.act(click(shop.find(task.goal)[0].id))
        assert session.act(click("Buy Now")).done
        assert 0 <= session.result().reward < 1


def test_a_visit_goes_through_all_pages(shop):
    task = shop.tasks()[0]
    session = shop.open(task)
    hits = shop.find("black")
    assert len(hits) == 15
    first = session.act(search("black")).observation
    assert "[Next >]" in first and "[< Prev]" not in first and f"[{hits[2].id}]" in first
    assert f"[{hits[3].id}]" not in first
    second = session.act(click("next >")).observation
    assert f"[{hits[3].id}]" in second and "Page 2 of 5" in second
    assert session.act(click("< Prev")).observation == first
    session.act(click("Next >"))
    product = hits[4]
    page = session.act(click(f"[{product.id}]")).observation
    name, values = next(iter(product.options.items()))
    assert f"[{values[0]}]" in page and "[Buy Now]" in page and "[Attributes]" not in page
    assert f"(chosen: {values[0]})" in session.act(click(values[0].upper())).observation
    assert product.description in session.act(click("Description")).observation
    assert session.act(click(values[0])).error == "invalid_action"
    assert f"(chosen: {values[0]})" in session.act(click("< Prev")).observation
    assert product.features[0] in session.act(click("Features")).observation
    session.act(click("< Prev"))
    assert session.act(search("other")).error == "invalid_action"
    end = session.act(click("buy now"))
    assert end.done and product.name in end.observation
    assert session.act(search("more")).error == "invalid_action"
    details = session.result().details
    assert details["bought"]["options"] == {name: values[0]} and details["bought"]["price_hit"] in (
        True,
        False,
    )
    kinds = [page["page"] for page in details["pages"]]
    assert kinds[:5] == ["search", "results", "results", "results", "results"]
    assert kinds[-1] == "bought" and "description" in kinds and "features" in kinds
    json.dumps(details)


def test_leaving_a_product_forgets_its_options(shop):
    session = shop.open(shop.tasks()[0])
    session.act(search("kettle"))
    product = shop.find("kettle")[0]
    session.act(click(product.id))
    session.act(click(next(iter(product.options.values()))[0]))
    session.act(click("< Prev"))
    assert "chosen" not in session.act(click(product.id)).observation
    assert session.act(click("Back to Search")).observation == shop.tasks()[0].context


def test_the_attributes_page_is_shown_on_request():
    shop = WebShop(attributes_page=True)
    session = shop.open(shop.tasks()[0])
    session.act(search("kettle"))
    product = shop.find("kettle")[0]
    assert "[Attributes]" in session.act(click(product.id)).observation
    assert product.attributes[0] in session.act(click("attributes")).observation


def test_progress_is_the_mean_of_listed_opened_and_bought(shop):
    task = shop.tasks()[0]
    *before, last = shop.solution(task)
    session = shop.open(task)
    assert session.result().progress == 0
    for call in before:
        session.act(call)
    assert session.result().progress == pytest.approx(2 / 3) and not session.result().success
    session.act(last)
    assert session.result().progress == session.result().reward == 1


def test_a_search_without_hits(shop):
    session = shop.open(shop.tasks()[0])
    assert "No product" in session.act(search("qqqqzz")).observation
    assert session.act(click("Next >")).error == "invalid_action"


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (ToolCall("buy", {}), "unknown_tool"),
        (ToolCall("\ud800\x00", {}), "unknown_tool"),
        (ToolCall("search", {}), "bad_arguments"),
        (ToolCall("search", {"keywords": 3}), "bad_arguments"),
        (ToolCall("search", {"keywords": "lamp", "page": 2}), "bad_arguments"),
        (ToolCall("search", {"keywords": " "}), "bad_arguments"),
        (ToolCall("search", {"keywords": "x" * 1_000_000}), "bad_arguments"),
        (ToolCall("click", {"value": "Buy Now"}), "invalid_action"),
        (ToolCall("click", {"value": ["a"]}), "bad_arguments"),
    ],
)
def test_wrong_calls_are_answered(shop, call, error):
    reply = shop.open(shop.tasks()[0]).act(call)
    assert reply.error == error and not reply.done
    reply.observation.encode()


LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None))
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=5)
WORDS = st.sampled_from(
    ["kettle", "Next >", "< Prev", "Back to Search", "Buy Now", "Features", "black", "[", "*"]
)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["search", "click"]) | st.text(st.characters(codec=None)),
            WORDS | VALUES,
            st.booleans(),
        ),
        max_size=8,
    )
)
def test_whatever_is_called_is_answered(shop, moves):
    sessions = [shop.open(shop.tasks()[0]) for _ in range(2)]
    for name, value, extra in moves:
        argument = "keywords" if name == "search" else "value"
        call = ToolCall(name, {argument: value, **({"more": value} if extra else {})})
        one, two = (session.act(call) for session in sessions)
        assert one == two and one.observation
        one.observation.encode()
    assert sessions[0].result() == sessions[1].result()
    assert 0 <= sessions[0].result().progress <= 1
    msgspec.json.encode(sessions[0].result())


def official(folder, **changes):
    """A few products in the official layout, of our own invention."""
    items = [
        {
            "asin": f"T00000000{n}",
            "name": name,
            "category": "garden",
            "query": "Clip Lamps ",
            "product_category": "Home › Lighting",
            "full_description": "Bends.",
            "small_description": ["Felt pads"],
            "pricing": price,
            "customization_options": {"Color": [{"value": "Navy/Blue "}, {"value": "Red"}], "Size": None},
            "images": ["x"],
        }
        for n, (name, price) in enumerate([("Clip Lamp", "$9.50"), ("Desk Lamp", "$12.00 - $1,014.00")])
    ]
    items += [items[0], {**items[0], "asin": "nan"}]
    described = {
        "T000000000": {"attributes": ["easy install"], "instruction": "Find me easy install lamps",
                       "instruction_attributes": ["easy install"]},
    }  # fmt: skip
    human = {
        "T000000001": [
            {"instruction": "i want a desk lamp.", "instruction_attributes": ["felt pads"],
             "instruction_options": ["red"], "worker_id": "w"},
            {"instruction": "any lamp", "instruction_attributes": [], "instruction_options": []},
        ]
    }  # fmt: skip
    board = {
        "goal": "a clip lamp",
        "additional_info": {
            "product_id": "T000000000", "query": "clip lamps", "product_name": "Clip Lamp",
            "product_category": "Home › Lighting", "attributes": ["easy install"], "price_upper": 20.0,
            "product_options": ["red"], "weight": 1,
        },
    }  # fmt: skip
    files = {
        "items_shuffle_1000.json": items,
        "items_ins_v2_1000.json": described,
        "items_human_ins.json": human,
        "test.jsonl": board,
        "reviews.json": [
            {"asin": "T000000000", "average_rating": 4.5, "reviews": [{"title": "Nice", "review": "Yes"}]}
        ],
        **changes,
    }
    for name, content in files.items():
        (folder / name).write_text(content if isinstance(content, str) else json.dumps(content))
    return folder


def test_the_official_layout_is_read(tmp_path):
    shop = read(official(tmp_path))
    assert shop.skipped == {
        "products that came twice": 1,
        "products without a proper id": 1,
        "goals without attributes": 1,
    }
    first, second = shop.products
    assert first.options == {"color": ["navy | blue", "red"]} and first.query == "clip lamps"
    assert first.attributes == ["easy install"] and second.attributes == ["DUMMY_ATTR"]
    assert first.reviews == ["Nice: Yes"] and first.rating == "4.5"
    assert second.prices == [12.0, 1014.0] and 12 <= shop.prices[second.id] <= 1014
    (goal,) = shop.goals
    assert goal.options == ["red"] and goal.text.startswith("i want a desk lamp")
    assert goal.price_upper > shop.prices[second.id]


@pytest.mark.parametrize(("kind", "count"), [("human", 1), ("synthetic", 2), ("agentboard", 1)])
def test_the_oracle_solves_each_kind_of_goal(tmp_path, kind, count):
    shop = WebShop.from_files(official(tmp_path), kind)
    assert len(shop.tasks()) == count and kind in shop.data
    assert all(episode.result.success for episode in run(shop, Oracle(shop)))
    assert [task.goal for task in shop.tasks()] == [
        task.goal for task in WebShop.from_files(tmp_path, kind).tasks()
    ]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"items_shuffle_1000.json": "[{]"}, "items_shuffle_1000.json is not JSON"),
        ({"items_shuffle_1000.json": [{"asin": "x"}]}, "items_shuffle_1000.json: record 0 .*name"),
        ({"items_ins_v2_1000.json": {"T000000000": {"attributes": 3}}}, "record T000000000"),
        ({"items_shuffle_2.json": []}, "several files"),
        ({"items_human_ins.json": {}}, "no human goals"),
        ({"items_human_ins.json": {"T000000001": [{}]}}, "items_human_ins.json: record T000000001"),
    ],
)
def test_faulty_files_are_named(tmp_path, changes, message):
    with pytest.raises(ArtifactError, match=message):
        read(official(tmp_path, **changes))


def test_missing_files_and_wrong_settings(tmp_path):
    with pytest.raises(ArtifactError, match="download"):
        read(tmp_path)
    with pytest.raises(ProfileError, match="human"):
        read(official(tmp_path), "mine")  # type: ignore[arg-type]
    with pytest.raises(ProfileError):
        read(tmp_path, products=0)
    with pytest.raises(ProfileError):
        WebShop(page_size=0)


def test_a_goal_that_nothing_fits_has_no_solution(shop):
    task = shop.tasks()[0]
    goal = {**task.meta["goal"], "attributes": ["made of moonlight"]}
    with pytest.raises(ArtifactError, match="no product fits"):
        shop.solution(change(task, meta={"goal": goal}))


def test_real_products(xlam_data):
    """The thousand real products: people's goals all, and a sample of the synthetic ones."""
    people = WebShop.from_files(xlam_data / "webshop")
    assert len(people.catalogue.products) == 1000 and len(people.tasks()) == 13
    assert all(episode.result.success for episode in run(people, Oracle(people)))
    shop = WebShop.from_files(xlam_data / "webshop", "synthetic")
    assert len(shop.tasks()) == 6910
    solvable = []
    for task in shop.tasks()[:30]:
        try:
            shop.solution(task)
            solvable.append(task)
        except ArtifactError as error:
            assert "no product fits" in str(error)
    assert len(solvable) >= 27
    assert all(episode.result.success for episode in run(shop, Oracle(shop), solvable))
    episodes = run(shop, Random(), shop.tasks()[:30])
    assert sum(episode.result.reward for episode in episodes) / 30 < 0.05
