"""Social, media, education and communication functions."""
# ruff: noqa: E501 (a template is one line)

from __future__ import annotations

from typing import Literal

from xlam_lib.synthesis.library.base import api, pick, steady
from xlam_lib.synthesis.library.pools import COUNTRIES, EMAILS, FIRST_NAMES, FULL_NAMES, LANGUAGES, PHRASES
from xlam_lib.synthesis.values import (
    clock,
    date,
    enum,
    flag,
    items,
    made,
    measurements,
    one,
    plain,
    quoted,
    rising,
    whole,
)

_TOPICS = [
    "renewable energy",
    "space travel",
    "electric cars",
    "local elections",
    "chess",
    "vaccines",
    "housing prices",
    "volcanoes",
    "the Olympics",
    "cybersecurity",
    "coral reefs",
    "interest rates",
]
_SUBJECTS = [
    "biology",
    "world history",
    "linear algebra",
    "Spanish grammar",
    "organic chemistry",
    "poetry",
    "geography",
    "statistics",
    "computer networks",
    "philosophy",
]


@api(
    "Social",
    "publishPost",
    slots={
        "text": quoted(PHRASES),
        "network": enum({"chirper": ("Chirper",), "pixgram": ("Pixgram",), "linkup": ("LinkUp",)}),
        "hashtags": items(one(["travel", "mondaymood", "news", "foodie", "nofilter", "launch"]), 1, 3),
        "visibility": enum({"public": ("publicly",), "friends": ("for friends only",)}),
    },
    asks=[
        "Post <{text}> on {network}[ with the hashtags {hashtags}][, {visibility}]",
        "Share <{text}> on {network}[ {visibility}]",
        "Can you publish {text} on {network}[ and tag it {hashtags}]?",
        "New {network} post: <{text}>[, hashtags {hashtags}]",
        "Put <{text}> up on my {network} account[, {visibility}]",
    ],
    missing=["Post something on {network}", "Share {text} for me"],
)
def publish_post(
    text: str,
    network: Literal["chirper", "pixgram", "linkup"],
    hashtags: list[str] | None = None,
    visibility: Literal["public", "friends"] = "public",
) -> dict:
    """Publish a post on a social network.

    text: Text of the post.
    network: The social network.
    hashtags: Hashtags without the # sign.
    visibility: Who can see the post.
    """
    return {
        "post_id": int(steady(10000, 99999, text, network)),
        "tags": hashtags or [],
        "visibility": visibility,
    }


@api(
    "Social",
    "social.profile_lookup",
    slots={
        "username": made("@{n}{k}", n=one([name.lower() for name in FIRST_NAMES]), k=plain(1, 999)),
        "fields": items(
            enum(
                {
                    "followers": ("followers", "follower count"),
                    "posts": ("posts",),
                    "bio": ("bio",),
                    "joined": ("join date",),
                }
            ),
            1,
            3,
        ),
    },
    asks=[
        "Look up the profile of <{username}>[, only the {fields}]",
        "Who is <{username}>[, as far as {fields} go]?",
        "Show me <{username}>'s profile[, just {fields}]",
        "Profile <{username}>",
        "I got a friend request from {username}. Can you check that profile[, especially {fields}]?",
    ],
    missing=["Look up the {fields} of my friend's profile", "Show me her profile"],
)
def profile_lookup(
    username: str, fields: list[Literal["followers", "posts", "bio", "joined"]] | None = None
) -> dict:
    """Look up a user's public profile.

    username: The user's handle with the leading @.
    fields: Parts of the profile to return; all of them if left out.
    """
    return {
        field: steady(0, 5000, username, field) for field in fields or ("followers", "posts", "bio", "joined")
    }


@api(
    "Social",
    "invite_to_event",
    slots={
        "event": quoted(["Garden Party", "Board Game Night", "Housewarming", "Book Club", "Beach Cleanup"]),
        "guests": items(one(FULL_NAMES), 2, 4),
        "event_date": date(2025, 2026),
        "location": one(["the city park", "my place", "Cafe Luna", "the community hall"]),
        "plus_one": flag(["plus ones are welcome", "they may bring a guest"], ["no plus ones"]),
    },
    asks=[
        "Invite {guests} to {event} on {event_date}[ at {location}][; {plus_one}]",
        "Send invitations for {event} on {event_date} to {guests}[; {plus_one}]",
        "Could you ask {guests} to come to {event} on {event_date}[ at {location}]?",
        "I'm hosting {event} on {event_date}. Please invite {guests}[; {plus_one}]",
        "Invitations: {event}, {event_date}, for {guests}",
    ],
    missing=["Invite {guests} to my party", "Send invitations for {event} on {event_date}"],
    kin="appointment",
)
def invite_to_event(
    event: str, guests: list[str], event_date: str, location: str = "", plus_one: bool = False
) -> dict:
    """Send invitations to an event.

    event: Name of the event.
    guests: Full names of the guests.
    event_date: Day of the event, YYYY-MM-DD.
    location: Where it takes place.
    plus_one: Whether guests may bring someone.
    """
    return {"sent": len(guests), "event": event, "places": len(guests) * (1 + plus_one)}


@api(
    "Media",
    "news.search_articles",
    slots={
        "topic": one(_TOPICS),
        "country": one(COUNTRIES),
        "since": date(2023, 2025),
        "max_articles": whole(2, 15),
        "language": one(LANGUAGES),
        "sort": enum(
            {"newest": ("newest first",), "popular": ("most popular first", "sorted by popularity")}
        ),
    },
    asks=[
        "Find news about <{topic}>[ from {country}][ since {since}][, {sort}]",
        "What are the latest articles on <{topic}>[ in {language}][, {sort}]?",
        "News on <{topic}>[, {max_articles} articles][, since {since}]",
        "I'm following {topic} closely. Please find me[ {max_articles}] articles[ published in {country}][ since {since}]",
        "Search the press for <{topic}>[ and give me {max_articles} results][ in {language}]",
    ],
    missing=["Find news[ from {country}][ since {since}]", "Show me {max_articles} articles in {language}"],
)
def search_articles(
    topic: str,
    country: str | None = None,
    since: str | None = None,
    max_articles: int = 5,
    language: str = "English",
    sort: Literal["newest", "popular"] = "newest",
) -> list[str]:
    """Search for news articles on a topic.

    topic: What the articles are about.
    country: Country of the publisher.
    since: Earliest day of publication, YYYY-MM-DD.
    max_articles: Most articles to return.
    language: Language of the articles.
    sort: Order of the articles.
    """
    return [
        f"{topic.title()}: report {int(steady(1, 500, topic, country, since, n))} ({language})"
        for n in range(max_articles)
    ]


@api(
    "Media",
    "trimVideo",
    slots={
        "file_name": one(
            [
                "holiday.mp4",
                "interview_final.mov",
                "webinar-12.mkv",
                "C:\\clips\\goal.avi",
                "drone shot.mp4",
                "wedding_part2.mp4",
            ]
        ),
        "start_second,end_second": rising(plain(1, 900)),
        "resolution": enum({"720p": ("720p",), "1080p": ("1080p", "Full HD"), "4k": ("4K",)}),
        "mute": flag(["without sound", "muted"], ["with sound"]),
    },
    asks=[
        "Trim <{file_name} from second {start_second} to second {end_second}>[ in {resolution}][, {mute}]",
        "Cut <{file_name}> so that only seconds {start_second} to {end_second} remain[, {mute}]",
        "Can you cut out the part of {file_name} between {start_second} and {end_second} seconds[, {mute}]?",
        "Clip <{file_name}, {start_second}s to {end_second}s>[, {resolution}]",
        "For the trailer I need {file_name} from {start_second} to {end_second} seconds[ at {resolution}].",
    ],
    missing=["Trim {file_name}", "Cut my video from second {start_second} to {end_second}"],
)
def trim_video(
    file_name: str,
    start_second: int,
    end_second: int,
    resolution: Literal["720p", "1080p", "4k"] = "1080p",
    mute: bool = False,
) -> dict:
    """Cut a section out of a video file.

    file_name: Name or path of the video.
    start_second: Start of the section, in seconds.
    end_second: End of the section, in seconds.
    resolution: Resolution of the new video.
    mute: Whether the sound is removed.
    """
    if end_second <= start_second:
        raise ValueError("the section is empty")
    return {
        "file": f"trimmed_{file_name}",
        "seconds": end_second - start_second,
        "resolution": resolution,
        "sound": not mute,
    }


@api(
    "Media",
    "podcast_episodes",
    slots={
        "podcast": quoted(
            [
                "Deep Currents",
                "The Daily Kettle",
                "Science by Night",
                "Founders & Failures",
                "Small Town Mysteries",
            ]
        ),
        "season": whole(1, 12),
        "unplayed": flag(["that I haven't heard yet", "unplayed only"], ["including ones I've heard"]),
    },
    asks=[
        "List the episodes of <{podcast}>[ from season {season}][, {unplayed}]",
        "Which episodes does the podcast <{podcast}> have[ in season {season}]?",
        "Episodes of <{podcast}>[, season {season}]",
        "Show me episodes of <{podcast}>[ {unplayed}]",
        "I've got a long drive ahead. What is there from {podcast}[ in season {season}][, {unplayed}]?",
    ],
    missing=["List the podcast episodes[ from season {season}]", "Which episodes are there[, {unplayed}]?"],
)
def podcast_episodes(podcast: str, season: int | None = None, unplayed: bool = False) -> list[str]:
    """List the episodes of a podcast.

    podcast: Title of the podcast.
    season: Number of the season; all seasons if left out.
    unplayed: Only episodes that were not played.
    """
    return [f"S{season or 1}E{n}" for n in range(1, int(steady(3, 9, podcast, season, unplayed)))]


@api(
    "Education",
    "grade_average",
    slots={
        "scores": measurements(40, 100, (3, 6)),
        "drop_lowest": flag(["dropping the lowest score", "without the worst one"], ["keeping all scores"]),
        "scale": enum(
            {
                "percent": ("in percent",),
                "letter": ("as a letter grade",),
                "gpa": ("as a GPA", "on the 4.0 scale"),
            }
        ),
    },
    asks=[
        "What is the grade for the scores <{scores}>[ {scale}][, {drop_lowest}]?",
        "Average the test scores <{scores}>[ {scale}]",
        "Final grade from <{scores}>[, {drop_lowest}]",
        "My test results this term were {scores}. What's my overall grade[ {scale}][, {drop_lowest}]?",
        "Calculate the final grade for <scores of {scores}>[, {drop_lowest}]",
    ],
    missing=["What is my final grade[ {scale}]?"],
    bad=("scores", []),
    kin="average",
)
def grade_average(
    scores: list[float], drop_lowest: bool = False, scale: Literal["percent", "letter", "gpa"] = "percent"
) -> float | str:
    """Compute a final grade from test scores.

    scores: Scores from 0 to 100.
    drop_lowest: Whether the lowest score is left out.
    scale: Scale of the grade.
    """
    kept = sorted(scores)[1:] if drop_lowest else scores
    mean = round(sum(kept) / len(kept), 2)
    if scale == "gpa":
        return round(mean / 25, 2)
    return "FDCBA"[max(0, min(4, int(mean // 10) - 5))] if scale == "letter" else mean


@api(
    "Education",
    "courses.enroll_student",
    slots={
        "student": one(FULL_NAMES),
        "course": one(_SUBJECTS),
        "semester": enum({"spring": ("spring",), "fall": ("fall", "autumn"), "summer": ("summer",)}),
        "audit": flag(["as an auditor, without credit"], ["for credit"]),
    },
    asks=[
        "Enroll <{student} in {course}> for the {semester} semester[ {audit}]",
        "Sign <{student} up for {course}> in the {semester} term[, {audit}]",
        "Can {student} be enrolled in {course} this {semester}[ {audit}]?",
        "{semester} enrollment: <{student}, {course}>",
        "My advisee {student} wants to take {course}. Please register them for the {semester} semester[, {audit}]",
    ],
    missing=["Enroll {student} for the {semester} semester", "Sign me up for {course}"],
)
def enroll_student(
    student: str, course: str, semester: Literal["spring", "fall", "summer"], audit: bool = False
) -> dict:
    """Enroll a student in a course.

    student: Full name of the student.
    course: Name of the course.
    semester: Semester of the course.
    audit: Whether the student takes part without credit.
    """
    return {
        "enrolled": True,
        "seat": int(steady(1, 120, student, course, semester)),
        "credits": 0 if audit else 3,
    }


@api(
    "Education",
    "generateQuiz",
    slots={
        "subject": one(_SUBJECTS),
        "questions": whole(3, 30),
        "difficulty": enum(
            {
                "easy": ("easy", "beginner"),
                "medium": ("medium", "intermediate"),
                "hard": ("hard", "difficult"),
            }
        ),
        "time_limit": plain(5, 90),
        "types": items(
            enum(
                {
                    "multiple_choice": ("multiple choice",),
                    "true_false": ("true/false",),
                    "open": ("open questions",),
                }
            ),
            1,
            2,
        ),
    },
    asks=[
        "Generate a quiz on <{subject} with {questions} questions>[, difficulty {difficulty}][, limited to {time_limit} minutes]",
        "Make <a {questions}-question {subject} quiz>[ using {types}][ at {difficulty} level]",
        "Quiz: <{subject}, {questions} questions>[, {difficulty}]",
        "My students have a test on {subject}. Could you prepare {questions} practice questions[ of the types {types}][ at {difficulty} level]?",
        "Create <{questions} questions about {subject}>[ for a {time_limit}-minute test]",
    ],
    missing=["Generate a {difficulty} quiz on {subject}", "Make a quiz with {questions} questions"],
)
def generate_quiz(
    subject: str,
    questions: int,
    difficulty: Literal["easy", "medium", "hard"] = "medium",
    time_limit: int | None = None,
    types: list[Literal["multiple_choice", "true_false", "open"]] | None = None,
) -> dict:
    """Generate a quiz on a subject.

    subject: Subject of the quiz.
    questions: Number of questions.
    difficulty: How hard the questions are.
    time_limit: Time allowed, in minutes.
    types: Kinds of question to use.
    """
    return {
        "quiz": f"{subject}-{int(steady(1, 999, subject, questions, difficulty))}",
        "minutes": time_limit or questions * 2,
    }


@api(
    "Communication",
    "deliver_email",
    slots={
        "to": items(one(EMAILS), 1, 3),
        "subject": quoted(
            [
                "Quarterly numbers",
                "Lunch on Friday?",
                "Your order",
                "Re: contract",
                "Travel plans",
                "Bug report #88",
            ]
        ),
        "body": quoted(PHRASES),
        "priority": enum(
            {"high": ("high priority", "urgent"), "normal": ("normal priority",), "low": ("low priority",)}
        ),
        "request_receipt": flag(["asking for a read receipt"], ["without a read receipt"]),
    },
    asks=[
        "Send an email to {to} with the subject {subject} and the text {body}[, {request_receipt}]",
        "Email {to}: subject {subject}, body {body}[, {priority}]",
        "Could you write to {to} saying {body} under the subject {subject}[ ({priority})]?",
        "Write a mail to {to}. The subject is {subject} and the message is {body}.",
        "Mail for {to}, subject {subject}, message {body}[, {request_receipt}]",
    ],
    missing=["Send an email to {to}", "Send an email with the subject {subject} and the text {body}"],
    kin="appointment",
)
def send_email(
    to: list[str],
    subject: str,
    body: str,
    priority: Literal["high", "normal", "low"] = "normal",
    request_receipt: bool = False,
) -> dict:
    """Send an email.

    to: Email addresses of the recipients.
    subject: Subject line.
    body: Text of the message.
    priority: Priority of the message.
    request_receipt: Whether a read receipt is requested.
    """
    return {
        "sent": True,
        "recipients": len(to),
        "message_id": int(steady(1000, 99999, *to, subject)),
        "priority": priority,
    }


@api(
    "Communication",
    "phrase.translate",
    slots={
        "text": quoted(PHRASES),
        "target_language": one(LANGUAGES),
        "formal": flag(["in a formal tone", "formally"], ["in an informal tone", "informally"]),
    },
    asks=[
        "Translate <{text} into {target_language}>[ {formal}]",
        "How do you say <{text} in {target_language}>[ {formal}]?",
        "<{text} in {target_language}>[, {formal}]",
        "I'm writing to a pen pal. What is {text} in {target_language}[, put {formal}]?",
        "Please give me the {target_language} translation of {text}[ {formal}]",
    ],
    missing=["Translate {text}", "How do you say that in {target_language}?"],
)
def translate_phrase(text: str, target_language: str, formal: bool = False) -> dict:
    """Translate a phrase into another language.

    text: The phrase to translate.
    target_language: Language to translate to.
    formal: Whether the tone is formal.
    """
    return {
        "language": target_language,
        "translation": f"[{target_language[:2].lower()}] {text}",
        "formal": formal,
    }


@api(
    "Communication",
    "scheduleMeeting",
    slots={
        "title": quoted(["Design review", "1:1", "Sprint planning", "Budget talk", "Kick-off"]),
        "participants": items(one(FULL_NAMES), 1, 3),
        "on_date": date(2025, 2026),
        "start_time": clock(8, 18),
        "duration_minutes": one(
            [(n, f"{n} minutes") for n in (15, 20, 30, 45, 50, 75, 90)]
            + [(60, "an hour", "60 minutes"), (120, "two hours", "120 minutes")]
        ),
        "online": flag(["online", "as a video call"], ["in person"]),
    },
    asks=[
        "Schedule {title} with {participants} on {on_date} at {start_time}[ for {duration_minutes}][, {online}]",
        "Set up a meeting called {title} on {on_date} at {start_time} with {participants}[, lasting {duration_minutes}]",
        "Can you put {title} with {participants} in the calendar for {on_date}, {start_time}[, {online}]?",
        "Meeting {title}: {on_date}, {start_time}, with {participants}[, {duration_minutes}]",
        "I need to talk to {participants}. Please schedule {title} for {on_date} at {start_time}[ for {duration_minutes}][, {online}]",
    ],
    missing=["Schedule a meeting with {participants}", "Set up {title} on {on_date} at {start_time}"],
    kin="appointment",
)
def schedule_meeting(
    title: str,
    participants: list[str],
    on_date: str,
    start_time: str,
    duration_minutes: int = 30,
    online: bool = True,
) -> dict:
    """Schedule a meeting.

    title: Title of the meeting.
    participants: Full names of the participants.
    on_date: Day of the meeting, YYYY-MM-DD.
    start_time: Start on the 24-hour clock, HH:MM.
    duration_minutes: Length in minutes.
    online: Whether it is a video call.
    """
    return {
        "meeting": title,
        "invited": len(participants),
        "room": None if online else pick(("Oak", "Elm", "Ash"), title, on_date),
    }
