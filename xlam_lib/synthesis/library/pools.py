"""Value pools shared by the themes: places, people, words. All made up or common knowledge."""

from __future__ import annotations

CITIES = (
    "Oslo Rome Lima Cairo Nairobi Lisbon Madrid Vienna Prague Dublin Athens Warsaw Helsinki Stockholm "
    "Copenhagen Berlin Munich Hamburg Paris Lyon Marseille London Manchester Edinburgh Glasgow Tokyo Osaka "
    "Kyoto Seoul Busan Beijing Shanghai Singapore Bangkok Jakarta Manila Hanoi Mumbai Delhi Chennai Karachi "
    "Dhaka Istanbul Ankara Tehran Dubai Doha Sydney Melbourne Perth Auckland Wellington Toronto Montreal "
    "Vancouver Chicago Boston Seattle Denver Houston Miami Atlanta Phoenix Dallas Portland Havana Bogota "
    "Quito Santiago Montevideo Accra Lagos Casablanca Tunis Dakar Kampala Budapest Bucharest Sofia Zagreb "
    "Brussels Amsterdam Rotterdam Zurich Geneva Milan Naples Turin Barcelona Valencia Porto Krakow Reykjavik"
).split() + [
    "New York", "Los Angeles", "San Francisco", "Buenos Aires", "Rio de Janeiro", "Cape Town", "Hong Kong",
    "Mexico City", "Kuala Lumpur", "Tel Aviv", "Addis Ababa", "New Orleans", "San Diego", "Las Vegas",
]  # fmt: skip

US_PLACES = [
    (f"{city}, {short}", f"{city}, {short}", f"{city}, {state}")
    for city, short, state in (
        ("San Francisco", "CA", "California"), ("Los Angeles", "CA", "California"),
        ("Sacramento", "CA", "California"), ("Austin", "TX", "Texas"), ("Houston", "TX", "Texas"),
        ("Seattle", "WA", "Washington"), ("Spokane", "WA", "Washington"), ("Denver", "CO", "Colorado"),
        ("Boulder", "CO", "Colorado"), ("Miami", "FL", "Florida"), ("Orlando", "FL", "Florida"),
        ("Boston", "MA", "Massachusetts"), ("Chicago", "IL", "Illinois"), ("Portland", "OR", "Oregon"),
        ("Phoenix", "AZ", "Arizona"), ("Tucson", "AZ", "Arizona"), ("Atlanta", "GA", "Georgia"),
        ("Savannah", "GA", "Georgia"), ("Nashville", "TN", "Tennessee"), ("Albany", "NY", "New York"),
        ("Buffalo", "NY", "New York"), ("Madison", "WI", "Wisconsin"), ("Omaha", "NE", "Nebraska"),
        ("Salt Lake City", "UT", "Utah"), ("Charlotte", "NC", "North Carolina"),
    )
]  # fmt: skip

COUNTRIES = (
    "Norway Italy Peru Egypt Kenya Portugal Spain Austria Ireland Greece Poland Finland Sweden Denmark "
    "Germany France Japan China Thailand Indonesia Vietnam India Turkey Australia Canada Brazil Chile "
    "Argentina Colombia Mexico Ghana Nigeria Morocco Hungary Romania Bulgaria Croatia Belgium Netherlands "
    "Switzerland Iceland"
).split()

FIRST_NAMES = (
    "Amara Bjorn Carla Deepak Elena Farid Greta Hiro Ines Jamal Katya Liam Mei Nadia Omar Priya Quentin "
    "Rosa Sven Tara Umar Vera Wendy Xavier Yara Zane Alice Bob Chloe Daniel Emma Felix Grace Henry Isla "
    "Jack Kofi Laura Marco Nina Oscar Paula Ravi Sofia Tom Ursula Victor Zoe Aisha Bruno Dmitri Fatima"
).split()

SURNAMES = (
    "Okafor Lindqvist Moreno Patel Novak Haddad Keller Tanaka Costa Brooks Petrov Walsh Chen Rahman Silva "
    "Larsen Dubois Ferrari Nakamura Schmidt Kowalski Adeyemi Castillo Bennett Holm Fischer Ivanov Suzuki "
    "Murphy Hughes Romero Andersson Bauer Singh Park Nguyen Ortiz Reid Vance Whitfield"
).split()

FULL_NAMES = [
    f"{first} {last}" for index, first in enumerate(FIRST_NAMES) for last in SURNAMES[index % 7 :: 7]
]

EMAILS = [
    f"{first.lower()}.{SURNAMES[index * 3 % len(SURNAMES)].lower()}@{domain}"
    for index, first in enumerate(FIRST_NAMES)
    for domain in ("example.com", "mailbox.org", "northwind.io")
]

COMPANIES = [
    "Northwind Traders", "Bluebird Logistics", "Cedar & Stone", "Helio Robotics", "Juniper Foods",
    "Quarry Software", "Silverline Media", "Tidewater Energy", "Violet Health", "Aster Bank", "Maple Motors",
    "Orchid Textiles", "Pinecone Press", "Redwood Analytics", "Skylark Airways", "Granite Insurance",
]  # fmt: skip

PRODUCTS = [
    "wireless mouse", "standing desk", "noise-cancelling headphones", "espresso machine", "yoga mat",
    "trail running shoes", "desk lamp", "mechanical keyboard", "water bottle", "backpack", "electric kettle",
    "monitor arm", "rain jacket", "office chair", "air purifier", "bluetooth speaker", "cast iron skillet",
    "hiking boots", "portable charger", "smart watch", "laptop sleeve", "camping tent", "bread maker",
    "robot vacuum", "reading light", "board game", "phone case", "garden hose", "travel pillow",
    "bike helmet",
]  # fmt: skip

LANGUAGES = (
    "English French Spanish German Italian Portuguese Japanese Korean Hindi Arabic Turkish Dutch Swedish "
    "Polish Greek Russian Vietnamese Thai"
).split()

PHRASES = [
    "Good morning, everyone", "Where is the train station?", "The meeting has been moved to Friday",
    "Thank you for your help", "I would like a cup of tea", "Happy birthday to you", "See you tomorrow",
    "The museum opens at nine", "How much does this cost?", "My luggage is lost", "Please close the window",
    "We are out of milk", "It rained all night", "Call me when you arrive", "The soup is too salty",
]  # fmt: skip

SENTENCES = [
    "The quick brown fox jumps over the lazy dog", "Our flight was delayed but the crew were wonderful",
    "The battery died after two days and support never answered", "Simple tools often last the longest",
    "I love how quiet this dishwasher is", "Rain is expected in the north by evening",
    "The new library opens next month with free coffee", "Nobody told me the office was closed",
    "She sells sea shells by the sea shore", "Great value, fast delivery, would buy again",
    "The hotel room was dirty and the breakfast was cold",
    "A journey of a thousand miles begins with one step",
    "Data without context is only noise", "We ran out of time before the final question",
    "Please water the plants while I am away", "The concert was loud, late and absolutely brilliant",
    "Never trust a map that shows no scale", "Hello World", "My password is correct horse battery staple",
    "Fresh bread and good cheese make a fine lunch", "Level up your skills one day at a time",
]  # fmt: skip

WORDS = (
    "radar banana lighthouse committee rhythm kayak Mississippi bookkeeper algorithm serendipity level "
    "python harbor marmalade velocity orchard galaxy notebook umbrella civic puzzle zeppelin thunder "
    "cinnamon riverbank deified telescope avocado quartz meadow"
).split()

FILES = [
    "/home/ana/report.pdf", "/var/log/syslog", "C:\\Users\\Tom\\notes.txt", "./data/train.csv",
    "photo_2024.jpg",
    "backup.tar.gz", "/srv/www/index.html", "invoices/march.xlsx", "~/music/demo take 3.mp3", "README.md",
    "src/main.rs", "/etc/hosts", "slides/final_v2.pptx", "archive/2021/budget.ods", "/tmp/cache.db",
]  # fmt: skip

URLS = [
    "https://example.com", "https://shop.example.com/items?id=42&color=red", "http://localhost:8080/health",
    "https://docs.northwind.io/api/v2#errors", "https://blog.example.org/2024/05/hello-world",
    "ftp://files.example.net/pub/data.zip", "https://example.com/search?q=blue+shoes&page=3",
    "https://api.helio.dev/v1/robots/17", "https://maps.example.com/?lat=59.9&lon=10.7",
]  # fmt: skip

INGREDIENTS = (
    "eggs flour butter sugar milk rice chicken tofu spinach tomatoes onions garlic potatoes carrots beans "
    "lentils cheese yogurt salmon mushrooms lemons apples bananas honey oats pasta basil ginger"
).split()
