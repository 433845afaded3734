"""Technology and everyday tools."""
# ruff: noqa: E501 (a template is one line)

from __future__ import annotations

import datetime
import hashlib
from typing import Literal
from urllib.parse import urlsplit

from xlam_lib.synthesis.library.base import api, steady
from xlam_lib.synthesis.library.pools import CITIES, FILES, PHRASES, URLS, WORDS
from xlam_lib.synthesis.values import (
    clock,
    date,
    decimal,
    enum,
    flag,
    items,
    made,
    money,
    one,
    pair,
    percent,
    plain,
    quoted,
    rising,
    whole,
)

_SERVERS = [
    f"{name}-{number:02d}"
    for name in ("web", "db", "cache", "worker", "gateway", "mail")
    for number in range(1, 12)
]
_UNITS = {
    "meter": 1.0, "kilometer": 1000.0, "mile": 1609.344, "foot": 0.3048, "inch": 0.0254, "yard": 0.9144,
    "centimeter": 0.01, "nautical_mile": 1852.0,
}  # fmt: skip
_UNIT_TEXTS = [
    ("meter", "meters"), ("kilometer", "kilometers", "km"), ("mile", "miles"), ("foot", "feet", "ft"),
    ("inch", "inches"), ("yard", "yards"), ("centimeter", "centimeters", "cm"), ("nautical_mile", "nautical miles"),
]  # fmt: skip
_ZONES = {"UTC": 0, "CET": 1, "EET": 2, "EST": -5, "CST": -6, "PST": -8, "IST": 5.5, "JST": 9, "AEST": 10}


@api(
    "Technology",
    "restart_service",
    slots={
        "host": one(_SERVERS),
        "service": one(["nginx", "postgresql", "redis", "sshd", "docker", "rabbitmq", "prometheus"]),
        "graceful": flag(["gracefully"], ["forcefully, not gracefully"]),
        "timeout_seconds": plain(5, 300),
    },
    asks=[
        "Restart <{service} on {host}>[ {graceful}][ with a timeout of {timeout_seconds} seconds]",
        "Can {service} be restarted on {host}[ {graceful}]?",
        "<{service} on {host}> needs a restart[, {graceful}]",
        "Users report errors from {host}. Please restart {service} there[, {graceful}]",
        "Give <{service} on the host {host}> a restart[, waiting at most {timeout_seconds} seconds]",
    ],
    missing=["Restart {service}", "Please restart the service on {host}"],
)
def restart_service(host: str, service: str, graceful: bool = True, timeout_seconds: int = 30) -> dict:
    """Restart a service on a server.

    host: Name of the server, such as web-03.
    service: Name of the service to restart.
    graceful: Whether running requests may finish first.
    timeout_seconds: How long to wait for the service, in seconds.
    """
    return {
        "host": host,
        "service": service,
        "status": "running",
        "seconds": min(timeout_seconds, steady(1, 20, host, service)),
    }


@api(
    "Technology",
    "monitoring.getServerMetrics",
    slots={
        "hosts": items(one(_SERVERS), 1, 3),
        "metric": enum(
            {
                "cpu": ("CPU usage", "CPU load"),
                "memory": ("memory usage", "RAM usage"),
                "disk": ("disk usage",),
                "latency": ("latency", "response time"),
            }
        ),
        "minutes": plain(5, 240),
    },
    asks=[
        "Show the {metric} of <{hosts}>[ over the last {minutes} minutes]",
        "What is the {metric} on <{hosts}>[ in the past {minutes} minutes]?",
        "{metric} for <{hosts}>[, last {minutes} min]",
        "Something is slow. How does the {metric} look on {hosts}[ over the past {minutes} minutes]?",
        "Fetch the {metric} for <{hosts}>[ within {minutes} minutes]",
    ],
    missing=["Show the {metric}[ over the last {minutes} minutes]", "How are {hosts} doing?"],
)
def get_server_metrics(
    hosts: list[str], metric: Literal["cpu", "memory", "disk", "latency"], minutes: int = 15
) -> dict:
    """Read a metric of one or more servers.

    hosts: Names of the servers.
    metric: Which metric to read.
    minutes: Length of the window that ends now, in minutes.
    """
    return {host: steady(1, 99, host, metric, minutes, digits=1) for host in hosts}


@api(
    "Technology",
    "deploy_release",
    slots={
        "application": one(
            ["checkout", "billing-api", "search-ui", "mobile-backend", "auth-service", "report-builder"]
        ),
        "version": made("{a}.{b}.{c}", a=plain(0, 9), b=plain(0, 20), c=plain(0, 30)),
        "environment": enum(
            {"staging": ("staging",), "production": ("production", "prod"), "test": ("the test environment",)}
        ),
        "replicas": whole(2, 12),
        "dry_run": flag(["as a dry run"], ["for real, not as a dry run"]),
    },
    asks=[
        "Deploy <{application} version {version}> to {environment}[ with {replicas} replicas][ {dry_run}]",
        "Roll out <{application} {version}> to {environment}[, {replicas} replicas]",
        "Could you deploy version {version} of {application} to {environment}[, {dry_run}]?",
        "QA has signed off on {application} {version}, so please ship it to {environment}[ on {replicas} replicas]",
        "Deployment: <{application} v{version}>, {environment}[, {dry_run}]",
    ],
    missing=["Deploy {application} to {environment}", "Roll out version {version} to {environment}"],
)
def deploy_release(
    application: str,
    version: str,
    environment: Literal["staging", "production", "test"],
    replicas: int = 1,
    dry_run: bool = False,
) -> dict:
    """Deploy a version of an application.

    application: Name of the application.
    version: Version number, such as 1.4.2.
    environment: Where to deploy.
    replicas: Number of copies to run.
    dry_run: Only show what would happen.
    """
    return {
        "application": application,
        "version": version,
        "environment": environment,
        "replicas": 0 if dry_run else replicas,
    }


@api(
    "Technology",
    "parse_url",
    slots={
        "url": one(URLS),
        "part": enum(
            {"host": ("host", "domain"), "path": ("path",), "query": ("query string",), "port": ("port",)}
        ),
    },
    asks=[
        "What is the {part} of <{url}>?",
        "Parse <{url}>[ and return the {part}]",
        "Extract the {part} from <{url}>",
        "Take <{url}> apart[; I only need the {part}]",
        "In our logs I found {url} . Which {part} does it have?",
    ],
    missing=["Extract the {part} from the link", "Parse the URL I sent you"],
    kin="extraction",
)
def parse_url(
    url: str, part: Literal["host", "path", "query", "port"] | None = None
) -> dict | str | int | None:
    """Split a URL into its parts.

    url: The URL to parse.
    part: Return only this part; all of them if left out.
    """
    split = urlsplit(url)
    parts = {"host": split.hostname, "path": split.path, "query": split.query, "port": split.port}
    return parts[part] if part else parts


@api(
    "Technology",
    "createPassword",
    slots={
        "length": plain(8, 64),
        "symbols": flag(
            ["with special characters", "including symbols"],
            ["without symbols", "without special characters"],
        ),
        "digits": flag(["with digits", "including digits"], ["without any digits"]),
        "exclude": quoted(["0O1l", "aeiou", "xyz", "{}[]"]),
    },
    asks=[
        "Create a password <of {length} characters[ {symbols}]>",
        "I need a password that is <{length} characters long>[, {symbols}][, {digits}]",
        "Generate a password <of length {length}>[, {digits}][, leaving out the characters {exclude}]",
        "Password, <{length} characters>[, {symbols}]",
        "My bank wants a new password. Please make one with exactly {length} characters[, {symbols}]",
    ],
    missing=["Create a password {symbols}", "Generate a new password for me[ {digits}]"],
)
def create_password(length: int, symbols: bool = True, digits: bool = True, exclude: str = "") -> str:
    """Create a password.

    length: Number of characters.
    symbols: Whether to use special characters.
    digits: Whether to use digits.
    exclude: Characters that must not be used.
    """
    pool = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ" + "23456789" * digits + "!#$%&*+-?" * symbols
    pool = "".join(c for c in pool if c not in exclude)
    return "".join(pool[int(steady(0, len(pool) - 1, length, n))] for n in range(length))


@api(
    "Tools",
    "unit_length_convert",
    slots={
        "value": decimal(1, 3000, 2),
        "from_unit,to_unit": pair(one(_UNIT_TEXTS)),
        "decimals": plain(0, 6),
    },
    asks=[
        "Convert <{value} {from_unit} to {to_unit}>[, rounded to {decimals} decimals]",
        "How many {to_unit} are <{value} {from_unit}>?",
        "<{value} {from_unit} in {to_unit}>[, {decimals} decimals]",
        "The sign says {value} {from_unit}. What is that in {to_unit}?",
        "Express <{value} {from_unit} in {to_unit}>[ to {decimals} decimal places]",
    ],
    missing=["Convert {value} {from_unit}", "How long is it in {to_unit}?"],
    bad=None,
)
def unit_length_convert(
    value: float,
    from_unit: Literal["meter", "kilometer", "mile", "foot", "inch", "yard", "centimeter", "nautical_mile"],
    to_unit: Literal["meter", "kilometer", "mile", "foot", "inch", "yard", "centimeter", "nautical_mile"],
    decimals: int = 4,
) -> float:
    """Convert a length from one unit to another.

    value: The length to convert.
    from_unit: Unit of the given length.
    to_unit: Unit of the result.
    decimals: Decimal places of the result.
    """
    return round(value * _UNITS[from_unit] / _UNITS[to_unit], decimals)


@api(
    "Tools",
    "world_clock.convert",
    slots={
        "time": clock(0, 23),
        "from_zone,to_zone": pair(one(list(_ZONES))),
        "twelve_hour": flag(["on the 12-hour clock"], ["on the 24-hour clock"]),
    },
    asks=[
        "What is <{time} {from_zone} in {to_zone}>[ {twelve_hour}]?",
        "Convert <{time} from {from_zone} to {to_zone}>[, {twelve_hour}]",
        "<{time} {from_zone} to {to_zone}>",
        "My call starts at {time} {from_zone}. What time is that in {to_zone}[ {twelve_hour}]?",
        "Translate the time <{time} {from_zone} into {to_zone}>",
    ],
    missing=[
        "What is {time} in {to_zone} time, coming from my zone?",
        "Convert the time from {from_zone} to {to_zone}",
    ],
    bad=("to_zone", "QQT"),
    kin="clock",
)
def convert_time(time: str, from_zone: str, to_zone: str, twelve_hour: bool = False) -> str:
    """Convert a time of day between time zones.

    time: The time on the 24-hour clock, HH:MM.
    from_zone: Abbreviation of the zone the time is in, such as CET.
    to_zone: Abbreviation of the zone to convert to.
    twelve_hour: Whether to answer on the 12-hour clock.
    """
    if from_zone not in _ZONES or to_zone not in _ZONES:
        raise ValueError(f"unknown time zone in {from_zone} to {to_zone}")
    hour, minute = map(int, time.split(":"))
    total = int(hour * 60 + minute + (_ZONES[to_zone] - _ZONES[from_zone]) * 60) % 1440
    moment = datetime.time(total // 60, total % 60)
    return moment.strftime("%I:%M %p" if twelve_hour else "%H:%M")


@api(
    "Tools",
    "days_between_dates",
    slots={
        "first_date,second_date": rising(date()),
        "business_days": flag(["counting business days only", "weekdays only"], ["including weekends"]),
    },
    asks=[
        "How many days are there <between {first_date} and {second_date}>[, {business_days}]?",
        "Count the days <from {first_date} to {second_date}>[, {business_days}]",
        "Days <from {first_date} until {second_date}>",
        "The lease runs from {first_date} to {second_date}. How many days is that[, {business_days}]?",
        "Work out the number of days <from {first_date} to {second_date}>[, {business_days}]",
    ],
    missing=["How many days are left until then from {first_date}?", "Count the days until {second_date}"],
    bad=("first_date", "soon"),
)
def days_between_dates(first_date: str, second_date: str, business_days: bool = False) -> int:
    """Count the days between two dates.

    first_date: The earlier date, YYYY-MM-DD.
    second_date: The later date, YYYY-MM-DD.
    business_days: Whether to count Monday to Friday only.
    """
    start, end = datetime.date.fromisoformat(first_date), datetime.date.fromisoformat(second_date)
    span = (end - start).days
    if not business_days:
        return span
    return sum((start + datetime.timedelta(days=n)).weekday() < 5 for n in range(span))


@api(
    "Tools",
    "splitTheBill",
    slots={
        "total": money(12, 900),
        "people": whole(2, 12),
        "tip_percent": percent(5, 25, 1),
        "round_up": flag(["rounding up to full dollars"], ["without rounding"]),
    },
    asks=[
        "Split <a bill of {total} among {people} people>[ with a {tip_percent} tip][, {round_up}]",
        "How much does each of us pay if <{people} people share a bill of {total}>[ and tip {tip_percent}]?",
        "Bill <{total}, {people} people>[, tip {tip_percent}]",
        "Dinner was {total} and there were {people} of us. What does each one owe[ including a {tip_percent} tip][, {round_up}]?",
        "Divide <{total} by {people} diners>[, adding {tip_percent} for the waiter]",
    ],
    missing=["Split the bill among {people} people", "How much does each of us pay of {total}?"],
    bad=("people", 0),
)
def split_the_bill(total: float, people: int, tip_percent: float = 0, round_up: bool = False) -> float:
    """Split a restaurant bill evenly.

    total: Amount of the bill in dollars.
    people: Number of people who share it.
    tip_percent: Tip in percent of the bill.
    round_up: Whether each share is rounded up to a full dollar.
    """
    if people < 1:
        raise ValueError("nobody to pay")
    share = total * (1 + tip_percent / 100) / people
    return float(-(-share // 1)) if round_up else round(share, 2)


@api(
    "Tools",
    "set_countdown_timer",
    slots={
        "minutes": plain(1, 120),
        "label": quoted(
            ["pasta", "laundry", "tea", "stretch break", "bread in the oven", "stand-up meeting"]
        ),
        "sound": enum({"bell": ("bell", "a bell"), "chime": ("a chime",), "silent": ("silent", "no sound")}),
        "repeat": flag(["on repeat", "repeating"], ["just once"]),
    },
    asks=[
        "Set a timer <for {minutes} minutes[ called {label}]>[, {repeat}]",
        "Start a <{minutes} minute> countdown[ labelled {label}]",
        "Timer <{minutes} min>",
        "Remind me in <{minutes} minutes>[ {repeat}]",
        "I just put something on the stove. Could you set a {minutes} minute timer[ with the label {label}][, sound: {sound}]?",
    ],
    missing=["Set a timer called {label}", "Start a countdown[ {repeat}]"],
)
def set_countdown_timer(
    minutes: int, label: str = "", sound: Literal["bell", "chime", "silent"] = "bell", repeat: bool = False
) -> dict:
    """Start a countdown timer.

    minutes: Length in minutes.
    label: Name of the timer.
    sound: What is played at the end.
    repeat: Whether it starts again when it ends.
    """
    return {"timer": label or f"{minutes} min", "seconds": minutes * 60, "sound": sound, "repeat": repeat}


@api(
    "Technology",
    "files.compress",
    slots={
        "paths": items(one(FILES), 1, 3),
        "archive_format": enum({"zip": ("ZIP", "zip"), "tar": ("tar",), "7z": ("7z", "7-Zip")}),
        "level": plain(1, 9),
        "password": quoted(["tulip-42", "s3cret!", "open sesame"]),
    },
    asks=[
        "Compress the files <{paths}>[ as {archive_format}][ at level {level}]",
        "Pack <{paths}> into an archive[ in {archive_format} format][, protected with the password {password}]",
        "Make an archive of <{paths}>[, format {archive_format}]",
        "Before I mail them, can you compress {paths}[ with compression level {level}]?",
        "Put <{paths}> in a compressed archive[ with the password {password}]",
    ],
    missing=["Compress my files[ as {archive_format}]", "Make an archive with the password {password}"],
)
def compress_files(
    paths: list[str],
    archive_format: Literal["zip", "tar", "7z"] = "zip",
    level: int = 6,
    password: str | None = None,
) -> dict:
    """Pack files into a compressed archive.

    paths: Paths of the files.
    archive_format: Format of the archive.
    level: Compression level from 1 (fast) to 9 (small).
    password: Password that protects the archive.
    """
    size = sum(steady(100, 9000, path) for path in paths)
    return {
        "archive": f"archive.{archive_format}",
        "kilobytes": round(size / (1 + level / 6)),
        "encrypted": password is not None,
    }


@api(
    "Technology",
    "checksum_text",
    slots={
        "text": quoted(PHRASES + WORDS),
        "algorithm": enum({"md5": ("MD5",), "sha1": ("SHA-1", "SHA1"), "sha256": ("SHA-256", "SHA256")}),
        "uppercase": flag(["in upper case"], ["in lower case"]),
    },
    asks=[
        "What is the {algorithm} checksum of <{text}>[ {uppercase}]?",
        "Compute the {algorithm} hash of <{text}>[, {uppercase}]",
        "{algorithm} of <{text}>",
        "Please hash <{text}> with {algorithm}",
        "To compare two versions I need the {algorithm} digest of {text}[, written {uppercase}].",
    ],
    missing=["Compute the {algorithm} hash", "What is the checksum of my message?"],
)
def checksum_text(text: str, algorithm: Literal["md5", "sha1", "sha256"], uppercase: bool = False) -> str:
    """Compute the checksum of a text.

    text: The text to hash.
    algorithm: The hash algorithm.
    uppercase: Whether the digits are written in upper case.
    """
    digest = hashlib.new(algorithm, text.encode()).hexdigest()
    return digest.upper() if uppercase else digest


@api(
    "Tools",
    "local_time_in",
    slots={"city": one(CITIES), "with_seconds": flag(["with seconds", "to the second"], ["without seconds"])},
    asks=[
        "What time is it in <{city}>[, {with_seconds}]?",
        "Tell me the local time in <{city}>[ {with_seconds}]",
        "Current time in <{city}>",
        "My cousin lives in {city}. What's the time over there?",
        "Look up what time it is now in <{city}>[, {with_seconds}]",
    ],
    missing=["What time is it over there?", "Tell me the local time abroad"],
    kin="clock",
)
def local_time_in(city: str, with_seconds: bool = False) -> str:
    """Get the current local time of a city.

    city: Name of the city.
    with_seconds: Whether seconds are included.
    """
    text = f"{int(steady(0, 23, city)):02d}:{int(steady(0, 59, city, 'm')):02d}"
    return text + ":00" if with_seconds else text
