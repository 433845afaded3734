"""What the embedded WebShop catalogue is made of: kinds of products, what they can be like, and words."""

from __future__ import annotations

import msgspec


class Trait(msgspec.Struct, frozen=True):
    """An attribute: its name, the line that products with it have, and how a user asks for it."""

    name: str
    feature: str
    wish: str


class Choice(msgspec.Struct, frozen=True):
    """An option: its name, its values, and how a user asks for one (``{}`` is the value)."""

    name: str
    values: list[str]
    wish: str


class Kind(msgspec.Struct, frozen=True):
    """A kind of product.

    Attributes
    ----------
    query, leaf
        Its name in search words and as the last part of the category path.
    nouns
        What a title calls it.
    wish
        What a user calls it.
    prices
        The cheapest and the dearest, in dollars.
    choices
        Its options; a product has some of the values.
    about
        Sentences for descriptions.
    unlike
        Traits of its category that it never has.
    """

    query: str
    leaf: str
    nouns: list[str]
    wish: str
    prices: tuple[float, float]
    choices: list[Choice]
    about: list[str]
    unlike: list[str] = []


class Aisle(msgspec.Struct, frozen=True):
    """A category: its path, the traits its products share, and its kinds."""

    path: str
    traits: list[Trait]
    kinds: list[Kind]


def _traits(text: str) -> list[Trait]:
    return [Trait(*(part.strip() for part in line.split("|"))) for line in text.strip().splitlines()]


def _colours(text: str) -> Choice:
    return Choice("color", [value.strip() for value in text.split(",")], "in {}")


def _sizes(text: str, wish: str) -> Choice:
    return Choice("size", [value.strip() for value in text.split(",")], wish)


BRANDS = """
    Alderby Brackwell Caldern Dunmore Eastvale Fennick Garrow Hollin Inverley Jessop Kestrow Larkham Merrin
    Norwick Oakmere Pellard Quillon Rosmar Selwick Tarnby Ullock Venmoor Wexcombe Yarrand Zelbrook Ambrel
    Bexhall Corvane Drumlin Elmstead Farrish Glenmoss Harrowby Islay Kirrin Lowther Maddock Netherby Orrell
    Penshaw Ravick Stowell Thornby Upwey Vardon Wrenfield Ashgill Birkdale
""".split()

SERIES = """
    Aria Borealis Cinder Delta Echo Fable Grove Harbor Iris Juniper Kite Lumen Mosaic Nimbus Opal Prairie
    Quest Ridge Summit Tempo Umber Vista Willow Zephyr
""".split()

REVIEWS = [
    "Does what it says: Bought it a month ago and have used it nearly every day since. No complaints.",
    "Good, with one remark: Solid for the money, though the box arrived a little dented.",
    "Second one we own: The first went to my sister, who would not give it back.",
    "Not for me: Nothing wrong with it, I simply expected it to look different from the pictures.",
    "Exactly as described: I compared the list of features line by line and everything was there.",
    "Happy so far: Only two weeks in, but it feels well made and the price was fair.",
    "Arrived late: The parcel took nine days. The thing itself is fine.",
    "A present that worked: My father, who likes nothing, likes it.",
    "Better than my old one: I replaced a much dearer model and do not miss it.",
    "Average: It is all right. I would look around a little more next time.",
]

AISLES = [
    Aisle(
        "Home & Kitchen › Coffee & Tea",
        _traits("""
            stainless steel | The body is brushed stainless steel, inside and out. | made of stainless steel
            dishwasher safe | All parts that touch food are dishwasher safe. | fit for the dishwasher
            bpa free | Only bpa free plastics are used where there is plastic at all. | without any bpa
            quiet operation | Quiet operation lets the rest of the house sleep on. | that is quiet
            auto shutoff | Auto shutoff cuts the power once the work is done. | that switches itself off
            easy clean | Smooth corners make for an easy clean with a damp cloth. | that is easy to clean
            keep warm | A keep warm stage holds the temperature for an hour. | that keeps things warm
            drip free | The drip free edge leaves the counter tidy. | that does not drip
        """),
        [
            Kind(
                "electric kettle",
                "Kettles",
                ["Electric Kettle", "Tea Kettle"],
                "an electric kettle",
                (24, 92),
                [
                    _colours("matte black, white, copper, sage green"),
                    _sizes("half liter, one liter, two liter", "in the {} size"),
                ],
                [
                    "Boils a full load in a few minutes and pours in an even stream.",
                    "The wide handle stays cool, and the water level can be read from both sides.",
                    "Sits on a round base that turns freely, for left and right hands alike.",
                ],
                ["dishwasher safe"],
            ),
            Kind(
                "coffee grinder",
                "Grinders",
                ["Coffee Grinder", "Burr Grinder"],
                "a coffee grinder",
                (29, 138),
                [
                    _colours("black, silver, cream, red"),
                    _sizes("single cup, four cups, ten cups", "with room for {}"),
                ],
                [
                    "Conical burrs cut the beans instead of crushing them.",
                    "A dial with eighteen steps goes from espresso to French press.",
                    "The glass cup below lifts out without spilling grounds.",
                ],
                ["keep warm", "drip free"],
            ),
        ],
    ),
    Aisle(
        "Home & Kitchen › Bedding",
        _traits("""
            machine washable | Machine washable at forty degrees. | fit for the washing machine
            hypoallergenic | The hypoallergenic filling suits sensitive sleepers. | for people with allergies
            breathable | A breathable weave lets heat out on warm nights. | that breathes
            wrinkle resistant | Out of the dryer wrinkle resistant and ready. | free of creases
            organic cotton | Woven from organic cotton, certified from field to shelf. | of organic cotton
            moisture wicking | Moisture wicking fibres keep the surface dry. | that draws moisture away
            double stitched | Seams are double stitched along all four sides. | with doubled seams
            fade resistant | Reactive dyes keep it fade resistant over the years. | whose colour lasts
        """),
        [
            Kind(
                "duvet cover",
                "Duvet Covers",
                ["Duvet Cover", "Comforter Cover Set"],
                "a duvet cover",
                (28, 119),
                [
                    _colours("white, charcoal, teal, dusty rose, mustard"),
                    _sizes("twin, queen, king", "for a {} bed"),
                ],
                [
                    "Ties in the corners hold the inlay where it belongs.",
                    "A hidden row of buttons closes the foot end.",
                    "Comes with two matching shams in a cotton bag.",
                ],
            ),
            Kind(
                "bed pillow",
                "Pillows",
                ["Bed Pillow", "Sleeping Pillow"],
                "a pillow to sleep on",
                (18, 84),
                [
                    _sizes("standard, jumbo, travel", "in the {} size"),
                    Choice("firmness", ["plush", "medium", "firm"], "of {} firmness"),
                ],
                [
                    "Filled by hand so that the corners stay full.",
                    "A zip on the short side lets filling be taken out or added.",
                    "Springs back within seconds after a night's use.",
                ],
            ),
        ],
    ),
    Aisle(
        "Clothing & Shoes › Men",
        _traits("""
            water resistant | A water resistant finish turns light rain away. | that light rain cannot harm
            slim fit | Cut as a slim fit, close at the waist. | with a close cut
            light weight | Light weight, so that one forgets wearing it. | that weighs little
            quick drying | Quick drying fabric is ready again by morning. | drying fast
            hand wash | Hand wash in cool water and lay flat. | to be washed by hand
            rubber sole | The rubber sole grips wet pavement. | with a sole of rubber
            arch support | Built-in arch support carries long days on foot. | with support for the arch
            vegan leather | Upper and trim are vegan leather. | of leather that no animal gave
            reflective trim | Reflective trim is seen from afar at night. | that can be seen in the dark
        """),
        [
            Kind(
                "walking shoes",
                "Walking Shoes",
                ["Walking Shoes", "Everyday Sneakers"],
                "walking shoes for men",
                (38, 129),
                [_colours("black, tan, navy, olive"), _sizes("8, 9, 10, 11, 12", "in size {}")],
                [
                    "A roomy toe box and a padded collar spare the heel.",
                    "The insole lifts out and can be replaced by one's own.",
                    "Laces are waxed and stay tied.",
                ],
                ["slim fit"],
            ),
            Kind(
                "rain jacket",
                "Jackets",
                ["Rain Jacket", "Hooded Shell"],
                "a rain jacket for a man",
                (44, 164),
                [_colours("forest green, yellow, gray, burgundy"), _sizes("small, medium, large", "in {}")],
                [
                    "The hood adjusts at the back and folds into the collar.",
                    "Two hand pockets close with zips, a third sits inside.",
                    "Cuffs tighten with a strap, the hem with a cord.",
                ],
                ["rubber sole", "arch support", "vegan leather"],
            ),
        ],
    ),
    Aisle(
        "Clothing & Shoes › Women",
        _traits("""
            high waist | A high waist sits above the hips and stays there. | sitting high at the waist
            four way stretch | Four way stretch follows each movement. | stretching every way
            tummy control | A broad band gives gentle tummy control. | holding the belly in
            side pockets | Deep side pockets take a telephone. | with pockets at the sides
            squat proof | Dense knit, squat proof under bright lamps. | opaque when bending
            tumble dry | May tumble dry on low heat. | that may go into the dryer
            flat seams | Flat seams do not rub the skin. | with seams that do not rub
            recycled polyester | Spun from recycled polyester bottles. | of recycled material
        """),
        [
            Kind(
                "yoga leggings",
                "Leggings",
                ["Yoga Leggings", "Training Tights"],
                "leggings for yoga",
                (19, 78),
                [_colours("black, plum, teal, coral"), _sizes("small, medium, large", "in {}")],
                [
                    "The cuffs end just above the ankle.",
                    "Keeps its shape after a hundred washes, by our own count.",
                    "A loop at the back holds a towel.",
                ],
            ),
            Kind(
                "midi skirt",
                "Skirts",
                ["Midi Skirt", "Pleated Skirt"],
                "a midi skirt",
                (22, 88),
                [
                    _colours("ivory, navy, rust, lavender"),
                    Choice("length", ["petite", "regular", "tall"], "in the {} length"),
                ],
                [
                    "Falls to the middle of the calf with a soft swing.",
                    "The lining ends a hand above the hem.",
                    "A flat zip hides in the left seam.",
                ],
                ["squat proof"],
            ),
        ],
    ),
    Aisle(
        "Electronics › Audio",
        _traits("""
            noise cancelling | Noise cancelling microphones quiet trains and offices. | to shut out noise
            fast charging | Fast charging gives three hours in ten minutes. | with quick charging
            hands free | Hands free calls with one touch. | for calls without using the hands
            sweat proof | Sweat proof to the last seam. | that sweat cannot harm
            long battery life | Long battery life, thirty hours by the clock. | whose battery lasts
            stereo sound | Rich stereo sound from two drivers a side. | with stereo sound
            voice control | Voice control for volume and tracks. | to steer by voice
            low latency | A low latency mode keeps lips and words together. | without delay in films
        """),
        [
            Kind(
                "wireless earbuds",
                "Earbuds",
                ["Wireless Earbuds", "In-Ear Headphones"],
                "wireless earbuds",
                (25, 149),
                [
                    _colours("black, white, mint, rose gold"),
                    Choice("tip material", ["silicone", "memory foam"], "with {} tips"),
                ],
                [
                    "Each bud weighs less than five grams.",
                    "Three pairs of tips come in the box.",
                    "The case snaps shut with a magnet.",
                ],
            ),
            Kind(
                "bluetooth speaker",
                "Speakers",
                ["Bluetooth Speaker", "Outdoor Speaker"],
                "a bluetooth speaker",
                (22, 179),
                [
                    _colours("black, turquoise, orange, camo"),
                    Choice("style", ["single", "stereo pair"], "as a {}"),
                ],
                [
                    "A woven strap hangs it from a branch or a hook.",
                    "Two rubber feet keep it from walking off the table.",
                    "Reaches across a garden without shouting.",
                ],
                ["sweat proof"],
            ),
        ],
    ),
    Aisle(
        "Electronics › Computer Accessories",
        _traits("""
            plug and play | Plug and play, with no driver to install. | that works without installing anything
            aluminum alloy | Milled from aluminum alloy with rounded edges. | made of aluminum
            ergonomic design | An ergonomic design keeps the wrist straight. | kind to the wrist
            non slip | Non slip pads hold it in place. | that does not slide about
            backlit | Backlit in three steps of brightness. | that lights up
            space saving | The space saving shape leaves room on the desk. | that takes little room
            heat dissipation | Open ribs help heat dissipation. | that leads heat away
            braided cable | A braided cable that does not kink. | with a braided cable
            cable clip | A cable clip at the rear tidies cords. | that holds cords
        """),
        [
            Kind(
                "computer mouse",
                "Mice",
                ["Computer Mouse", "Optical Mouse"],
                "a computer mouse",
                (12, 79),
                [_colours("black, white, blue, pink"), Choice("hand", ["left", "right"], "for the {} hand")],
                [
                    "Five buttons, each good for ten million clicks.",
                    "The wheel turns in steps or freely.",
                    "Tracks on wood, cloth and paper.",
                ],
                ["heat dissipation", "cable clip"],
            ),
            Kind(
                "laptop stand",
                "Stands",
                ["Laptop Stand", "Notebook Riser"],
                "a stand for my laptop",
                (19, 98),
                [_colours("silver, slate, gold"), _sizes("compact, standard, extra wide", "in the {} size")],
                [
                    "Lifts the screen to the height of the eyes.",
                    "Folds flat into a sleeve for the bag.",
                    "Carries up to nine kilograms without a wobble.",
                ],
                ["braided cable", "backlit", "plug and play"],
            ),
        ],
    ),
    Aisle(
        "Beauty & Personal Care › Skin Care",
        _traits("""
            fragrance free | Fragrance free, for noses that mind. | without perfume
            cruelty free | Cruelty free at every step. | not tested on animals
            paraben free | Paraben free and short in its list of contents. | without parabens
            dry skin | Made for dry skin in cold months. | for skin that gets dry
            non greasy | A non greasy film that sinks in at once. | that leaves no grease
            hyaluronic acid | Hyaluronic acid binds water where it is needed. | with hyaluronic acid
            dermatologist tested | Dermatologist tested on two hundred volunteers. | tested by skin doctors
            fine lines | Softens fine lines around the eyes. | against small wrinkles
        """),
        [
            Kind(
                "face moisturizer",
                "Moisturizers",
                ["Face Moisturizer", "Day Cream"],
                "a moisturizer for the face",
                (9, 64),
                [
                    _sizes("30 ml, 50 ml, 100 ml", "in the {} jar"),
                    Choice("scent", ["unscented", "cucumber", "chamomile"], "{}"),
                ],
                [
                    "A pump keeps air and fingers out.",
                    "A pea is enough for the whole face.",
                    "Goes well under sunscreen and make-up.",
                ],
            ),
            Kind(
                "body scrub",
                "Scrubs",
                ["Body Scrub", "Exfoliating Polish"],
                "a body scrub",
                (8, 46),
                [
                    Choice("scent", ["vanilla", "grapefruit", "eucalyptus", "coconut"], "that smells of {}"),
                    _sizes("200 g, 400 g", "in the {} tub"),
                ],
                [
                    "Fine grains of sugar in a bed of oil.",
                    "Rinses off without a trace on the tiles.",
                    "Use twice a week, in small circles.",
                ],
                ["fine lines"],
            ),
        ],
    ),
    Aisle(
        "Grocery › Snacks",
        _traits("""
            gluten free | Gluten free and packed on its own line. | without gluten
            low sodium | Low sodium: a third of the usual salt. | with little salt
            non gmo | Non gmo, from growers we know. | without genetic engineering
            high protein | High protein, twelve grams a serving. | rich in protein
            dairy free | Dairy free, so milk is not missed. | without milk
            no added sugar | No added sugar, only what grew in it. | with no sugar put in
            individually wrapped | Individually wrapped for lunch boxes. | wrapped one by one
            kosher certified | Kosher certified, with the mark on each bag. | that is certified kosher
        """),
        [
            Kind(
                "trail mix",
                "Trail Mix",
                ["Trail Mix", "Nut and Fruit Mix"],
                "some trail mix",
                (7, 38),
                [
                    Choice(
                        "flavor name",
                        ["tropical", "cranberry almond", "smoky maple", "cocoa cherry"],
                        "in the {} flavor",
                    ),
                    _sizes("6 ounce, 12 ounce, 30 ounce", "in a {} bag"),
                ],
                [
                    "Roasted in small batches and mixed the same day.",
                    "The bag closes again with a press of the thumb.",
                    "Good on the trail, better on the sofa.",
                ],
            ),
            Kind(
                "crackers",
                "Crackers",
                ["Crackers", "Crispbread Thins"],
                "a box of crackers",
                (5, 29),
                [
                    Choice("flavor name", ["rosemary", "sesame", "cheddar", "black pepper"], "with {}"),
                    Choice("pack", ["single box", "three boxes", "dozen"], "as a {}"),
                ],
                [
                    "Baked thin so that they snap.",
                    "Made to carry cheese, dips and smoked fish.",
                    "Stays crisp for a week after opening.",
                ],
            ),
        ],
    ),
    Aisle(
        "Sports & Outdoors › Camping",
        _traits("""
            wind resistant | Wind resistant up to a fresh breeze. | that stands up to wind
            easy assemble | Easy assemble poles, marked by colour. | that goes up without trouble
            mildew proof | Mildew proof coating for wet seasons. | that will not go mouldy
            carrying bag | Packs into a carrying bag with a drawstring. | with a bag to carry it in
            tear resistant | Tear resistant ripstop threads every few millimetres. | that does not rip
            insulated | Insulated against cold ground. | with insulation
            uv protection | Fabric with uv protection rated at fifty. | that shields from the sun
            compact folding | Compact folding to the length of a forearm. | that folds up small
        """),
        [
            Kind(
                "camping tent",
                "Tents",
                ["Camping Tent", "Dome Tent"],
                "a tent for camping",
                (59, 289),
                [
                    _colours("green, orange, sand, blue"),
                    Choice("capacity", ["solo", "couple", "family"], "of the {} kind"),
                ],
                [
                    "Two doors, so that nobody climbs over anybody.",
                    "A gear loft hangs below the roof.",
                    "The flysheet can be pitched first in rain.",
                ],
            ),
            Kind(
                "camping chair",
                "Chairs",
                ["Camping Chair", "Folding Armchair"],
                "a chair for camping",
                (23, 118),
                [
                    _colours("red, navy, khaki, black"),
                    Choice("seat height", ["low", "mid", "tall"], "with a {} seat"),
                ],
                [
                    "Holds a heavy sleeper without a creak.",
                    "A mesh cup holder sits in the left arm.",
                    "Feet are broad enough for sand.",
                ],
                ["wind resistant"],
            ),
        ],
    ),
    Aisle(
        "Toys & Games › Learning",
        _traits("""
            non toxic | Non toxic paints, tested twice a year. | with harmless paint
            solid wood | Turned from solid wood with oiled faces. | of real wood
            battery free | Battery free: hands are all it needs. | that needs no batteries
            rounded edges | Rounded edges for small fingers. | without sharp corners
            storage box | Comes in a storage box with a lid. | that comes in a box
            motor skills | Trains motor skills from the first turn. | that trains small hands
            montessori | Follows montessori ideas of self-checking play. | in the montessori manner
            washable | Washable under the tap. | that can be washed
        """),
        [
            Kind(
                "building blocks",
                "Building Blocks",
                ["Building Blocks", "Stacking Bricks"],
                "building blocks for a child",
                (14, 76),
                [
                    _colours("rainbow, natural, gray"),
                    Choice("piece count", ["36", "72", "150"], "with {} pieces"),
                ],
                [
                    "Two blocks of one length make the next longer one.",
                    "A leaflet shows twelve towers and a bridge.",
                    "Sanded by hand and checked for splinters.",
                ],
            ),
            Kind(
                "jigsaw puzzle",
                "Puzzles",
                ["Jigsaw Puzzle", "Picture Puzzle"],
                "a jigsaw puzzle",
                (9, 42),
                [
                    Choice("theme", ["ocean", "farm", "planets", "dinosaurs"], "showing {}"),
                    Choice("piece count", ["24", "48", "96"], "of {} pieces"),
                ],
                [
                    "Pieces are thick and fit with a click.",
                    "The picture was drawn for this puzzle.",
                    "A poster shows what it will become.",
                ],
            ),
        ],
    ),
    Aisle(
        "Pet Supplies › Dogs",
        _traits("""
            chew proof | A chew proof core outlasts strong jaws. | that survives chewing
            machine wash | Machine wash with the blankets. | for the washing machine
            adjustable strap | An adjustable strap fits as the dog grows. | with a strap to adjust
            padded | Padded where it touches the coat. | with padding
            anti slip bottom | An anti slip bottom stays put on tiles. | that stays put on tiles
            reflective stitching | Reflective stitching shines in headlights. | that shines in headlights
            memory foam | Memory foam eases old joints. | with memory foam
            odor control | Odor control fibres keep the room fresh. | that does not smell
        """),
        [
            Kind(
                "dog harness",
                "Harnesses",
                ["Dog Harness", "No-Pull Vest"],
                "a harness for my dog",
                (14, 66),
                [_colours("red, black, lime, purple"), _sizes("small, medium, large", "in {}")],
                [
                    "Rings at the chest and at the back take the lead.",
                    "Goes on over the head and closes with two clicks.",
                    "A handle at the top helps across roads.",
                ],
                ["anti slip bottom", "memory foam"],
            ),
            Kind(
                "dog bed",
                "Beds",
                ["Dog Bed", "Pet Lounger"],
                "a bed for my dog",
                (26, 142),
                [
                    _colours("brown, gray, green"),
                    Choice("shape", ["round", "rectangle", "bolster"], "of the {} shape"),
                ],
                [
                    "The cover comes off with one long zip.",
                    "The low front lets short legs in.",
                    "Fits most crates when folded once.",
                ],
                ["adjustable strap", "reflective stitching"],
            ),
        ],
    ),
    Aisle(
        "Office Products › Stationery",
        _traits("""
            acid free | Acid free paper that will not yellow. | that does not yellow
            lay flat | A sewn spine lets it lay flat. | that stays open by itself
            thick paper | Thick paper of 120 grams shows nothing through. | on thick paper
            hard cover | A hard cover to write on anywhere. | with stiff covers
            refillable | Refillable, so only the inside is replaced. | that can be refilled
            recycled paper | Printed on recycled paper. | of recycled paper
            elastic closure | An elastic closure holds loose notes. | with a rubber band to close it
            archival quality | Archival quality for a hundred years. | that lasts for an archive
        """),
        [
            Kind(
                "notebook",
                "Notebooks",
                ["Notebook", "Writing Journal"],
                "a notebook",
                (7, 39),
                [
                    _colours("black, teal, mustard, burgundy"),
                    Choice("ruling", ["dotted", "lined", "blank"], "with {} pages"),
                ],
                [
                    "Numbered pages and three pages for a table of contents.",
                    "A pocket at the back keeps tickets and stamps.",
                    "Takes fountain pens without bleeding.",
                ],
            ),
            Kind(
                "weekly planner",
                "Planners",
                ["Weekly Planner", "Desk Agenda"],
                "a weekly planner",
                (9, 44),
                [
                    _colours("pink, navy, olive, cream"),
                    Choice("start", ["january", "july", "undated"], "in the {} edition"),
                ],
                [
                    "Each week has two pages, with room for notes at the side.",
                    "Two ribbons mark this week and the next.",
                    "Holidays of nine countries are listed at the back.",
                ],
            ),
        ],
    ),
]

# How users put it. {kind}, {wishes} and {options} are filled in; the price limit follows.
WORDINGS = [
    "i am looking for {kind} {wishes}, {options}",
    "i need {kind} {wishes}. please get it {options}",
    "could you find me {kind} {wishes}? i would like it {options}",
    "please buy {kind} {options}, and it must be one {wishes}",
    "my old one broke, so i want {kind} {wishes}, {options}",
    "for my sister's birthday: {kind} {wishes}, {options}",
    "show me {kind} {options} {wishes}",
    "order {kind} for me, {options}; i only want one {wishes}",
]
