"""From rendered templates to a query: wording, frames, registers, several requests in one text, noise.

Frames are put together from parts (who asks, what for, how politely), so that few repeat. Nothing here says a
number, a date, a name or a place: whatever could be an argument stands in a slot's text, which is never
changed.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from functools import lru_cache

from xlam_lib.synthesis.grammar import VERBS, Piece

Phrase = Callable[[random.Random], str]
"""Gives one of a phrase's wordings."""

_SPLIT = re.compile(r"([()|])|\{(\w+)\}")


def phrase(source: str, **parts: Phrase) -> Phrase:
    """A phrase with alternatives, ``(Hi|Hello|) there``, and ``{name}`` for parts, which may nest."""
    stack: list[list[list[Phrase | str]]] = [[[]]]
    position = 0
    for match in _SPLIT.finditer(source):
        if match.start() > position:
            stack[-1][-1].append(source[position : match.start()])
        position = match.end()
        if match[2]:
            stack[-1][-1].append(parts[match[2]])
        elif match[1] == "(":
            stack.append([[]])
        elif match[1] == "|":
            stack[-1].append([])
        else:
            options = stack.pop()
            stack[-1][-1].append(_one_of([_sequence(option) for option in options]))
    stack[-1][-1].append(source[position:])
    return _one_of([_sequence(option) for option in stack[0]])


def _sequence(parts: list[Phrase | str]) -> Phrase | str:
    kept = [part for part in parts if part != ""]
    if all(isinstance(part, str) for part in kept):
        return "".join(map(str, kept))
    return lambda rng: "".join([part if isinstance(part, str) else part(rng) for part in kept])


def _one_of(options: list[Phrase | str]) -> Phrase:
    def say(rng: random.Random) -> str:
        chosen = options[int(rng.random() * len(options))]
        return chosen if isinstance(chosen, str) else chosen(rng)

    return say


_PERSON = phrase(
    "my (sister|brother|mother|father|cousin|uncle|aunt|grandmother|partner|neighbour|flatmate|boss|manager|"
    "colleague|best friend|team lead|landlady|mentor|sister-in-law|nephew)|"
    "a (friend|colleague|client|neighbour|classmate|relative) of mine|one of my (colleagues|friends|clients)|"
    "(our|the) (new intern|office manager|assistant|trainee|department head)"
)

# For each category: activities (after "I'm"), roles (after "As"), aims (after "to"), things (after "for").
_THEMES: dict[str, tuple[str, str, str, str]] = {
    "Finance": (
        "sorting out my (finances|savings)|going through (my|our) (bank statements|books)|putting together "
        "a (household|family|project) budget|comparing (savings plans|loan offers|banks)|preparing my tax "
        "return|reading up on investing|reviewing (my|our) portfolio|planning for retirement",
        "a (bookkeeper|first-time investor|freelancer|cautious saver|financial planner)|the treasurer of "
        "our club",
        "keep (an eye on my spending|my books in order)|understand where my money goes|make a sound "
        "decision|prepare for a talk with my (bank|accountant)",
        "my (accountant|financial plan|savings diary|loan application)|our (quarterly report|budget meeting)",
    ),
    "Data": (
        "cleaning up (a data set|some messy records)|preparing (a dashboard|the monthly report)|analysing "
        "our (survey results|sales figures)|tidying (a spreadsheet|our database)|checking (an export|some "
        "figures)|writing up an analysis",
        "a (data analyst|statistician|research assistant|junior engineer)|someone who works with data",
        "get my data in shape|check a (hunch|hypothesis)|present the figures clearly|find out what is "
        "going on",
        "a (dashboard|report|workshop|data pipeline)|(our|the) (analytics team|slides|audit)|my thesis",
    ),
    "Sports": (
        "getting ready for the season|following (several leagues|my favourite club)|settling (a bet|an "
        "argument)|writing about (sports|our club)|working on my (fitness|training plan)|running a fantasy "
        "league",
        "a (die-hard fan|coach|hobby athlete|sports reporter|referee)",
        "settle an argument|improve my (form|times)|follow the season more closely|prepare a quiz for the "
        "fans",
        "(our|the) (fan club|team chat|club magazine)|my (training log|sports blog|fantasy team)",
    ),
    "Travel": (
        "planning a (trip|holiday|getaway|journey)|putting together an itinerary|organising (a family "
        "holiday|a work trip)|packing my bags|dreaming of a change of scenery|comparing ways to travel|"
        "finalising our route",
        "a (frequent traveller|travel agent|nervous flyer|backpacker|tour guide)",
        "get everything arranged in good time|avoid surprises on the way|surprise my partner|travel light",
        "(our|my) (trip|holiday|itinerary|travel blog|honeymoon)|a (work trip|family reunion|client)",
    ),
    "Technology": (
        "setting up (a new machine|our servers|a test environment)|debugging (a stubborn problem|a "
        "service)|looking after our infrastructure|migrating (an old system|our services)|cleaning up my "
        "computer|preparing a release|writing a script",
        "a (developer|system administrator|site reliability engineer|tester|computer science student)",
        "track down a problem|keep our systems healthy|automate the boring parts|get this release out",
        "(our|the) (release|platform team|runbook|incident review)|a (side project|demo|support ticket)",
    ),
    "Social": (
        "catching up with (friends|old classmates)|looking after our (social accounts|community)|growing "
        "our audience|organising a (get-together|meet-up)|running a club|working on our online presence",
        "a (community manager|content creator|club organiser|social media intern)",
        "stay in touch with everyone|get more people involved|keep our followers happy|bring people together",
        "our (community|club|followers|campaign)|a (social media plan|friend's party|neighbourhood group)",
    ),
    "Media": (
        "preparing (a story|an article|a newsletter|an episode)|editing (a video|some footage)|catching up "
        "on the news|researching a (feature|column)|putting a press review together|running a podcast",
        "a (journalist|video editor|student reporter|podcaster|press officer)",
        "stay informed|check some facts|meet the editor's expectations|get the story right",
        "(our|the) (newsroom|newsletter|school paper|channel)|my (blog|podcast|column)",
    ),
    "Entertainment": (
        "planning a (cosy|relaxed) evening|looking for something fun to do|having friends over|taking a "
        "break from work|keeping the kids busy|organising a game night|in need of some distraction",
        "a (film buff|party host|bored commuter|babysitter)",
        "lighten the mood|treat my friends|unwind a little|find something that we all enjoy",
        "(our|the) (movie club|party|family evening|game night)|a (friend|rainy afternoon)",
    ),
    "Tools": (
        "in the middle of something|tidying up my (files|notes|desk)|working on (some paperwork|a small "
        "project)|clearing my to-do list|juggling a few things|setting up my workspace",
        "a (project manager|busy parent|secretary|tinkerer)",
        "save myself some time|get this off my desk|double-check something|keep things simple",
        "(my|our) (notes|project|office|paperwork)|a (handout|colleague)",
    ),
    "Math": (
        "helping (my daughter|my son|a pupil) with homework|studying for (an exam|a maths test)|checking "
        "(a proof|my calculations)|preparing (a lesson|an exercise sheet)|working through a textbook|stuck "
        "on an exercise",
        "a (maths teacher|tutor|curious amateur|physics student|quiz author)",
        "check my answer|understand the method|make sure that I got it right|prepare a worked example",
        "(my|our) (homework|maths class|exercise sheet|study group)|a (puzzle|lecture|proof)",
    ),
    "Business": (
        "running a (small company|start-up|workshop)|preparing (a board meeting|a pitch|our yearly plan)|"
        "doing the paperwork|working on (a proposal|our business plan)|putting our records in order|"
        "closing the books",
        "a (shop owner|consultant|team lead|sales manager|founder|office administrator)",
        "keep the business running|get our numbers straight|convince an investor|be ready for the audit",
        "(our|the) (board|sales team|business plan|HR department)|a (client|pitch|tender)",
    ),
    "Gaming": (
        "about to start a campaign|designing (a game|a dungeon)|putting a team together|preparing our game "
        "night|streaming with friends|climbing the ranks|testing a rule system",
        "a (game master|streamer|casual player|game designer|tournament organiser)",
        "beat my friends|try something new|keep the campaign going|balance my game",
        "(our|my) (campaign|guild|clan|game night|stream)|a (tournament|one-shot adventure)",
    ),
    "Music": (
        "practising for (a gig|an audition)|learning (an instrument|a new piece)|arranging a song|"
        "rehearsing with my (band|choir)|teaching (music|a beginner)|writing (songs|a melody)|in the mood "
        "for music",
        "a (choir director|music teacher|hobby musician|songwriter|sound engineer)",
        "get the timing right|make rehearsal easier|find the right sound|sharpen my ear",
        "(our|my) (band|choir|rehearsal|lesson|next gig)|a (school concert|recording)",
    ),
    "Commerce": (
        "shopping for gifts|running an online store|comparing offers|furnishing (my flat|an office)|"
        "looking for a bargain|restocking our shop|sorting out an order",
        "a (shop assistant|bargain hunter|loyal customer|buyer for a small store)",
        "get a good deal|spend my money wisely|keep our customers happy|find the right present",
        "(my|our) (new flat|office|online store|shop)|a (friend's birthday|customer|present)",
    ),
    "Environment": (
        "trying to live greener|writing a (sustainability report|school project)|planning a day outdoors|"
        "looking after (a garden|an allotment)|comparing energy options|keeping a weather diary",
        "a (keen gardener|nature guide|climate activist|beekeeper|home owner)",
        "cut our footprint|be prepared for the weather|learn more about our climate|plan ahead",
        "(our|the) (sustainability report|allotment club|hiking group)|a (school project|field trip)",
    ),
    "Education": (
        "teaching a class|preparing for the (semester|exams)|marking (papers|tests)|studying (with friends|"
        "at the library)|planning my courses|writing (a lesson plan|an essay)|going back to school",
        "a (teacher|teaching assistant|student|private tutor|school librarian)",
        "help my students|get a better grade|plan the term|make the lesson more lively",
        "(my|our) (class|study group|seminar|course)|a (student|parents' evening|lesson)",
    ),
    "Communication": (
        "clearing my inbox|having a busy day|organising a meeting|trying to reach some people|working with "
        "an international team|getting the word out|handling the mail for my team",
        "a (personal assistant|receptionist|press officer|project lead|pen pal)",
        "keep everyone in the loop|avoid misunderstandings|get the message across|stay on top of things",
        "(our|the) (team|committee|office|pen-pal club)|a (client|colleague who is away)",
    ),
    "Lifestyle": (
        "trying to get organised|redecorating|planning (a dinner party|a quiet evening|the week's meals)|"
        "having guests over|getting used to a new flat|taking more time for myself|looking after the "
        "household",
        "a (hobby cook|new parent|home owner|party planner|creature of habit)",
        "make my life a little easier|feel at home|impress my guests|break out of the routine",
        "(my|our) (household|dinner party|family|guests)|a (cosy evening|housewarming)",
    ),
    "Health": (
        "trying to get (in shape|healthier)|keeping a health diary|getting back into (exercise|running)|"
        "looking after (a relative|my parents)|changing my (diet|habits)|recovering from an injury",
        "a (nurse|personal trainer|carer|dietitian|weekend athlete)",
        "keep track of my health|stay fit|take better care of myself|be ready for my check-up",
        "my (doctor|health diary|trainer|diet plan)|(our|the) (clinic|sports group)",
    ),
    "Other": (
        "sorting out a few odds and ends|running some errands|dealing with an odd request|new around here|"
        "helping out in the neighbourhood|following a whim",
        "a (curious person|concerned neighbour|hobby astrologer|volunteer)",
        "get this off my mind|help a friend out|satisfy my curiosity|do my bit",
        "a (friend|neighbour|little project)|(my|our) (street|family)",
    ),
    "Science": (
        "writing up a lab report|preparing (an experiment|a physics lesson|a poster)|revising for (a "
        "science test|my finals)|planning some field work|curious about (science|how things work)|checking "
        "a textbook example",
        "a (physics teacher|lab assistant|chemistry student|science writer|amateur astronomer)",
        "verify my measurements|understand the theory|prepare a demonstration|explain it to my students",
        "(my|our) (lab report|science fair|physics class|experiment)|a (poster|lecture|demonstration)",
    ),
}
_GENERAL = (
    "working through my to-do list|(sorting out|looking into) something|busy with (a project|some "
    "research)|trying to finish a task|helping (a friend|a colleague) out|a bit (lost|stuck) here|new to "
    "this",
    "a (beginner|busy person|careful planner)|somebody who likes to be thorough",
    "get this done|save some time|make sure that it is right|move on with my work|be well prepared",
    "(my|our) (project|notes|team)|a (colleague|friend|presentation)",
)

_SUPPORT = (
    "needs (help|a hand) with this|wants me to take care of this|asked me to look into this|is counting on me"
)
_BEFORE = (
    "I'm( currently| still| once again||) {activity}( and (could use (a hand|some help)|need a hand|got "
    "stuck)|||).",
    "I'm {activity}( with {person}|| and it isn't easy| and would love some support).",
    "{Person} and I are {activity}.",
    "{Person} is {activity}( and (asked me for help|needs my support|turned to me)|).",
    "As {role}, I (have to get this right|come across this a lot|ought to know this|like to be thorough|deal "
    "with this often|need it to be exact).",
    "I'm {role}( and (fairly new to this|I like to double-check things|not sure how to go about this)||).",
    "(This is|It's|What follows is) for {thing}.",
    "(I'd like|I'm trying|I want|I'm hoping|My plan is) to {aim}.",
    f"{{Person}} ({_SUPPORT}).",
    "(I have a (small|little|quick) request|Here's something for you|I could use your help|I need some help|"
    "I hope you can help me|Sorry to bother you|Maybe you can help).",
)
_INLINE = (
    "I'm {activity}, so ",
    "Since I'm {activity}, ",
    "For {thing}, ",
    "As I'm {activity}, ",
    "Because I'm {activity}, ",
    "I want to {aim}, so ",
    "{Person} (asked me for help|can't figure this out|is curious), so ",
    "I'm {role}, so ",
)
_AFTER = (
    "(It's|This is|I need it|I need this|That's) for {thing}.",
    "I'm {activity}.",
    "(I need this|I'm doing this|The idea is|The point is|It would help me) to {aim}.",
    "(That|It|This) would (really help|be a great help|help me a lot|make my day).",
    "(Thanks|Thank you|Cheers|Many thanks|Thanks a lot|Thanks so much|Thank you very much)(!|.| in "
    "advance.|.)",
    "(I'd appreciate it|Much appreciated|I'd be grateful|I'm counting on you).",
    "{Person} (wants to know|asked for it|will be pleased|is waiting for the answer|is curious).",
)
_GREETING = (
    "(Hi|Hello|Hey)( there|)(, |! | - )|Good (morning|afternoon|evening)(, |! )|Greetings(, |! )|(Hi|"
    "Hello) again(, |! )"
)
_MAIL_START = (
    "(Hi|Hello)( there| team| all|),|Dear (team|assistant|support team|all),|Good (morning|afternoon),"
)
_MAIL_END = (
    "(Best|Kind|Warm) (regards|wishes)|Many thanks|Thanks (a lot|in advance|)|All the best|Cheers|Thank you"
)
_ASSISTANT = (
    "(hey|ok|okay|hi|hello) (assistant|computer)( |, )|(hey|hi|hello) there( |, )|(computer|assistant)(, | )"
)
_CHATTY = (
    "(hey|hi|ok|so|yo|right|well|hmm|alright|oh|um)(,|) |(quick one|random question|real quick|one more): |"
    "(hey|hi|ok), so {activity_chat}, "
)
_ASKING = (
    "(Quick|One|A quick|Just a|Small) question: |(I was wondering|I've been wondering|I'm wondering): |(Do "
    "you (happen to |)know|Can you tell me|Could you tell me|Do you have any idea|Any idea): |(Help me out "
    "here|Just curious|I'm curious|A question for you|Something I'd like to know|Here's what I'd like to "
    "know): |(So|Okay|Well|Right|Now), |Out of (interest|curiosity), "
)
_TELLING = (
    "(Here's (what I need|my request|what I'd like)|My request|(Next|One thing) on my list|(One|A) (small|"
    "little|quick) (favour|task|thing)|Task|What I need): |(If possible|If you can|If you don't mind|When "
    "you get a chance|If it isn't too much trouble), |(Okay|Alright|Now|So), "
)

# Openings before a verb, by what stands after the request. "%" marks where the verb is in its -ing form.
_OPENERS = (
    ("Please ", "."), ("Please ", "!"), ("Please ", ""), ("Kindly ", "."), ("Could you ", "?"),
    ("Can you ", "?"), ("Would you ", "?"), ("Will you ", "?"), ("Could you please ", "?"),
    ("Would you please ", "?"), ("Can you please ", "?"), ("Could you kindly ", "?"),
    ("I need you to ", "."), ("I want you to ", "."), ("I'd like you to ", "."),
    ("I'd love for you to ", "."), ("Would you mind %", "?"), ("Do you mind %", "?"),
    ("Would it be possible to ", "?"), ("Is it possible to ", "?"), ("Is there a way to ", "?"),
    ("Is there any way you could ", "?"), ("Any chance you could ", "?"),
    ("Is there any chance you can ", "?"), ("I'd be grateful if you could ", "."),
    ("I'd appreciate it if you could ", "."), ("I was hoping you could ", "."),
    ("It would be great if you could ", "."), ("It would help if you could ", "."),
    ("Could I ask you to ", "?"), ("May I ask you to ", "?"), ("Do me a favour and ", "."),
    ("Go ahead and ", "."), ("Be so kind as to ", "."), ("Your task is to ", "."), ("See if you can ", "."),
    ("Do you think you could ", "?"), ("Mind %", "?"), ("You could help me by %", "."),
    ("Are you able to ", "?"), ("I wonder if you could ", "."), ("I'm asking you to ", "."),
    ("It'd be nice if you could ", "."), ("Might you be able to ", "?"),
)  # fmt: skip
_OWN_OPENERS = (
    ("I need to ", "."), ("I want to ", "."), ("I'd like to ", "."), ("I have to ", "."), ("Help me ", "."),
    ("We need to ", "."), ("I'm trying to ", "."), ("I would like to ", "."), ("Let's ", "."),
    ("Help me to ", "."), ("I'm looking to ", "."), ("I'd love to ", "."), ("We'd like to ", "."),
    ("Can we ", "?"), ("Can you help me ", "?"), ("Could you help me ", "?"), ("I'm hoping to ", "."),
    ("How about %", "?"), ("I need help %", "."),
)  # fmt: skip
_OTHERS = re.compile(
    r"\b(?:me|us|let|give|tell|show|send|suggest|recommend|propose|read|name)\b", re.IGNORECASE
)
_SECOND = re.compile(r"(?:and|then|or) ([a-z]+)")  # a second verb, which an -ing form would not fit
_NOUN_OPENERS = (
    ("Tell me the ", "."), ("Please tell me the ", "."), ("Give me the ", "."), ("Please give me the ", "."),
    ("I need the ", "."), ("I need to know the ", "."), ("I'd like to know the ", "."),
    ("Let me know the ", "."), ("Could you give me the ", "?"), ("Can you tell me the ", "?"),
    ("Could you tell me the ", "?"), ("Do you know the ", "?"), ("I'm trying to find out the ", "."),
    ("I want to know the ", "."), ("I'm after the ", "."), ("I'm interested in the ", "."),
    ("Help me find the ", "."), ("The ", ", please."), ("I wonder about the ", "."),
    ("Can you find out the ", "?"), ("Please find out the ", "."), ("Remind me of the ", "."),
)  # fmt: skip
_NOUN_QUESTION = re.compile(r"(?:What is|What's|What are|What was|What were) the\b ?")
_NOT_NOUN = re.compile(
    r"\b(?:like|if|when|now|called|worth|i|my|we|do|does|did|get|look)\b|[.:;!]", re.IGNORECASE
)

_NEXT = (
    "Then |Also, |Next, |After that, |Additionally, |And |Besides that, |Apart from that, |In addition, |"
    "On top of that, |While you're at it, |And then |Moreover, |Furthermore, |Plus, |Another thing: |"
    "Separately, |One more thing: |Once that's done, |Finally, |Oh, and |Beyond that, |I also need this: "
)
_MORE = (
    "Also, |And |Additionally, |One more thing: |Besides that, |Another question: |On another note, |Apart "
    "from that, |I'd also like to know: |And another thing: |Also: |Oh, and |In addition, |And finally, |"
    "Next question: |Plus, "
)
_HEADS = (
    "(I have|There are) (a couple of|several|a few) things( for you|)|I need (a few|several) things( done|"
    ")|(Here's my list|My to-do list|Please handle the following|Please help me with these|Could you take "
    "care of these|A few requests|Several things at once)"
)
_SEPARATE = "(Separately|Here are my requests|Please do the following|Tasks|To do|Requests)"

_PARTS = ("activity", "role", "aim", "thing")


class _Frames:
    """The frames of one category."""

    def __init__(self, category: str) -> None:
        theme = _THEMES.get(category, _GENERAL)
        parts = dict(zip(_PARTS, map(phrase, theme), strict=True))
        parts |= {"person": _PERSON, "Person": lambda rng: _capital(_PERSON(rng))}
        self.before = [phrase(frame, **parts) for frame in _BEFORE]
        self.inline = [phrase(frame, **parts) for frame in _INLINE]
        self.after = [phrase(frame, **parts) for frame in _AFTER]
        self.chatty = phrase(_CHATTY, activity_chat=phrase("i'm {activity}", **parts))


_frames = lru_cache(maxsize=256)(_Frames)
_ASKED = re.compile(r"(?:What|How|Which|Who|When|Where|Is|Are|Do|Does|Did)\b")
_greeting, _mail_start, _mail_end, _assistant, _asking, _telling = map(
    phrase, (_GREETING, _MAIL_START, _MAIL_END, _ASSISTANT, _ASKING, _TELLING)
)
_next, _more, _heads, _separate = map(phrase, (_NEXT, _MORE, _HEADS, _SEPARATE))


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


# --- wording --------------------------------------------------------------------------------------------

# What may stand for what, at a sentence's start; the first wording of a line is as good as the others.
_START: dict[str, tuple[str, ...]] = {
    "What is the": ("What's the",), "What's the": ("What is the",),
    "What are the": ("Which are the",), "Calculate": ("Compute", "Work out", "Figure out", "Determine"),
    "Compute": ("Calculate", "Work out", "Figure out", "Determine"),
    "Work out": ("Calculate", "Compute", "Figure out", "Determine"),
    "Determine": ("Calculate", "Compute", "Work out", "Figure out", "Find out"),
    "Find me": ("Get me", "Look for"),
    "Find the": ("Get the", "Give me the", "Let me have the", "Get me the"),
    "Find all": ("Get all", "Get me all"), "Find": ("Look for", "Search for", "Get me", "Find me"),
    "Show the": ("Show me the", "Display the", "Let me see the", "Bring up the", "Pull up the"),
    "Show me": ("Let me see", "Display", "Pull up", "Bring up"),
    "Give me the": ("Get me the", "Send me the", "Let me have the", "Tell me the", "Provide the"),
    "Get the": ("Fetch the", "Give me the", "Retrieve the", "Get me the", "Pull up the"),
    "Look up": ("Check", "Find", "Pull up"), "Search for": ("Look for", "Find", "Find me"),
    "List the": ("Name the", "Enumerate the", "Give me the", "Write out the", "Show me the"),
    "List": ("Show me", "Give me", "Name"), "Create a": ("Make a", "Set up a"),
    "Create an": ("Make an", "Set up an"), "Make a": ("Create a", "Put together a"),
    "Make an": ("Create an", "Put together an"),
    "Generate a": ("Create a", "Make a", "Produce a", "Come up with a"), "Suggest": ("Recommend", "Propose"),
    "Recommend": ("Suggest", "Propose"), "Schedule": ("Arrange", "Set up", "Plan"), "Book": ("Reserve",),
    "Reserve": ("Book",), "Tell me the": ("Let me know the", "Give me the"), "Tell me a": ("Give me a",),
    "Check": ("Take a look at", "Look at", "Have a look at"),
    "Estimate": ("Approximate", "Make an estimate of"), "Count the": ("Count up the", "Tally up the"),
    "Predict": ("Forecast",), "Put": ("Place",), "Plan a": ("Map out a", "Put together a"),
    "Record": ("Note down", "Log"), "Log": ("Record", "Note down"),
    "Do you have any": ("Have you got any", "Are there any"),
    "Are there any": ("Do you have any", "Do you know of any"),
    "How do I": ("How can I", "How would I", "How should I"),
    "I need": ("I'm looking for", "I could use", "I'm after", "I require"),
    "I want": ("I'd like", "I would like"), "I'd like": ("I want", "I would like", "I'd love"),
    "We'd like": ("We want", "We would like", "We'd love"), "We want": ("We'd like", "We would like"),
    "Can you": ("Could you", "Would you", "Will you"),
    "Could you": ("Can you", "Would you", "Would you be able to", "Will you"), "Can I": ("Could I", "May I"),
    "Can we": ("Could we", "May we"),
}  # fmt: skip
_NOT_BEFORE = {
    "Find": "(?! (?:the|me|all|out|how|a|an)\\b)", "List": "(?! the\\b)",
    "I need": "(?= (?:an?|the|my|some|your)\\b)", "Check": "(?= (?:the|my|our|these|this)\\b)",
    "Estimate": "(?= the\\b)", "Predict": "(?= the\\b)", "Could you": "(?! (?:please|kindly|be)\\b)",
    "Put": "(?= ?$)", "Look up": "(?= |$)", "Schedule": "(?= ?$| an?\\b)",
    "Create a": "(?! (?:new account|game)\\b)",
    "Book": "(?= ?$| an? (?:table|room|flight|hotel|seat|visit))", "Determine": "(?= the\\b)",
    "Figure out": "(?= the\\b)",
}  # fmt: skip
# Anywhere in a request's prose.
_ANYWHERE: dict[str, tuple[str, ...]] = {
    "I'm": ("I am",), "We're": ("We are",), "we're": ("we are",), "can't": ("cannot",), "don't": ("do not",),
    "isn't": ("is not",), "There's": ("There is",), "more than": ("over", "upwards of"),
    "less than": ("under", "below"), "starting on": ("beginning on", "from"),
    "beginning with": ("starting with",), "starting with": ("beginning with",),
    "over the next": ("for the next", "during the next"),
    "over the last": ("for the last", "during the last"),
    "over the past": ("for the past", "during the past"), "kilometers": ("km", "kilometres"),
    "meters": ("metres",), "kilograms": ("kg", "kilos"), "kg": ("kilograms", "kilos"),
    "appear in": ("occur in",), "occur in": ("appear in",), "tonight's": ("this evening's",),
    "as well as": ("and also",), "made from": ("made with",), "these figures": ("these numbers",),
    "these numbers": ("these figures", "the numbers"), "leaving out": ("without", "excluding"),
    "rounded to": ("rounded off to", "given to"),
}  # fmt: skip
_OPENING = re.compile(
    r"(?P<lead>^|[.?!] |[.?!] Please )(?P<words>"
    + "|".join(
        re.escape(words) + r"\b" + _NOT_BEFORE.get(words, "")
        for words in sorted(_START, key=len, reverse=True)
    )
    + ")"
)
_WITHIN = re.compile(
    r"(?<![\w'])(?<!no )(?<!not )(?:"
    + "|".join(map(re.escape, sorted(_ANYWHERE, key=len, reverse=True)))
    + r")(?![\w'])"
)


@lru_cache(maxsize=16_384)
def _wordings(text: str, opens: bool) -> tuple[str | tuple[str, ...], ...]:
    """The text in parts: a string, or several that may stand in the same place (the first as it was)."""
    found: list[tuple[int, int, tuple[str, ...]]] = []
    for match in _OPENING.finditer(text):
        if match.start("words") or opens:
            words = match["words"]
            others = _START[words]
            found.append((*match.span("words"), (words, *others)))
    for match in _WITHIN.finditer(text):
        if all(match.end() <= start or match.start() >= end for start, end, _ in found):
            found.append((*match.span(), (match[0], *_ANYWHERE[match[0]])))
    parts: list[str | tuple[str, ...]] = []
    position = 0
    for start, end, options in sorted(found):
        parts += [text[position:start], options]
        position = end
    return (*parts, text[position:])


def reworded(pieces: Sequence[Piece], rng: random.Random) -> list[Piece]:
    """The request with some of its own words exchanged for others that mean the same; slots stay."""
    result: list[Piece] = []
    for index, (text, is_slot) in enumerate(pieces):
        if not is_slot:
            parts = _wordings(text, index == 0)
            if len(parts) > 1:
                text = "".join(
                    [
                        part
                        if isinstance(part, str)
                        else part[0]
                        if rng.random() < 0.4
                        else part[1 + int(rng.random() * (len(part) - 1))]
                        for part in parts
                    ]
                )
        result.append((text, is_slot))
    return result


def kind(pieces: Sequence[Piece]) -> str:
    """``question``, ``statement`` or ``imperative``, by how the text ends (an imperative has no mark)."""
    text = pieces[-1][0] if not pieces[-1][1] else ""
    return "question" if text.endswith("?") else "statement" if text.endswith((".", "!")) else "imperative"


_KEPT = frozenset({"I", "I'm", "I've", "I'd", "I'll"})


def _lowered(pieces: Sequence[Piece]) -> list[Piece]:
    text, is_slot = pieces[0]
    first = text.split(" ", 1)[0]
    if is_slot or first.strip(",:") in _KEPT or not text[:1].isupper() or text[1:2].isupper():
        return list(pieces)
    return [(text[0].lower() + text[1:], False), *pieces[1:]]


def _plain_verb(pieces: Sequence[Piece]) -> bool:
    """Whether an imperative of one sentence starts with its verb, so that "Could you ..." may go in front."""
    text, is_slot = pieces[0]
    words = text.split(None, 2)
    if is_slot or kind(pieces) != "imperative" or not words or not words[0].isalpha():
        return False
    if len(words) > 1 and words[1] in ("of", "for", "from") and words[0] not in ("Look", "Search"):
        return False  # a noun: "Rank of ..."
    return words[0].lower() in VERBS and not any(
        not slot and (". " in part or "? " in part or "lease" in part) for part, slot in pieces
    )


_DOUBLED = frozenset("put get set run cut plan trim log let tag flip split stop".split())


def _ing(verb: str) -> str:
    if verb in _DOUBLED:
        return f"{verb}{verb[-1]}ing"
    return f"{verb[:-1]}ing" if verb.endswith("e") and not verb.endswith("ee") else f"{verb}ing"


def _opened(pieces: Sequence[Piece], rng: random.Random) -> list[Piece]:
    """An imperative asked for in one of many ways, with its final mark."""
    prose = " ".join([text for text, slot in pieces if not slot])
    own = not _OTHERS.search(prose)
    table = _OWN_OPENERS if own and rng.random() < 0.3 else _OPENERS
    opener, mark = table[int(rng.random() * len(table))]
    rest = _lowered(pieces)
    if opener.endswith("%") and any(word in VERBS for word in _SECOND.findall(prose)):
        opener, mark = "Please ", "."
    if opener.endswith("%"):
        verb, space, after = rest[0][0].partition(" ")
        opener, rest = opener[:-1], [(_ing(verb) + space + after, False), *rest[1:]]
    return [(opener, False), *rest, (mark, False)]


def _turned(pieces: Sequence[Piece], rng: random.Random) -> list[Piece] | None:
    """``What is the sum of ...?`` as ``Tell me the sum of ...``; None where the question is no such one."""
    match = _NOUN_QUESTION.match(pieces[0][0])
    if match is None or pieces[0][1]:
        return None
    last = pieces[-1][0]
    texts = [pieces[0][0][match.end() :], *(text for text, slot in pieces[1:-1] if not slot), last[:-1]]
    if len(pieces) == 1 or any(_NOT_NOUN.search(text) for text in texts):
        return None
    opener, mark = _NOUN_OPENERS[int(rng.random() * len(_NOUN_OPENERS))]
    if match[0].endswith(" "):
        first = opener + texts[0]
    else:
        first = opener.rstrip() + texts[0]
    return [(first, False), *pieces[1:-1], (last[:-1] + mark, False)]


def _request(pieces: Sequence[Piece], rng: random.Random, framed: float) -> list[Piece]:
    """One request in other words, with its final mark where it has one of its own or got one."""
    pieces = reworded(pieces, rng)
    shape = kind(pieces)
    if shape == "imperative" and rng.random() < framed and _plain_verb(pieces):
        return _opened(pieces, rng)
    if shape == "question" and rng.random() < framed:
        return _turned(pieces, rng) or pieces
    return pieces


def _closed(pieces: list[Piece], mark: str = ".") -> list[Piece]:
    """The pieces with a final mark, where they have none."""
    return (
        pieces if pieces[-1][0].endswith((".", "?", "!")) and not pieces[-1][1] else [*pieces, (mark, False)]
    )


def _speech(pieces: list[Piece]) -> list[Piece]:
    """As it is said to a device: lower case, no final mark."""
    said = [(text if slot else text.lower(), slot) for text, slot in pieces]
    text, slot = said[-1]
    return said if slot else [*said[:-1], (text.rstrip(".!?"), False)]


def single(pieces: list[Piece], category: str, rng: random.Random) -> list[Piece]:
    """One request in one of many registers: bare, polite, with a context, as a mail, spoken."""
    frames = _frames(category)
    register = rng.random()
    if register < 0.05:
        return [(_assistant(rng), False), *_speech(_request(pieces, rng, 0.2))]
    if register < 0.1:
        return [(frames.chatty(rng), False), *_speech(_request(pieces, rng, 0.3))]
    body = _request(pieces, rng, 0.55)
    if register < 0.13:
        start = [(f"{_mail_start(rng)}\n\n", False)]
        if rng.random() < 0.6:
            start.append((_any(frames.before, rng) + " ", False))
        return [*start, *_closed(body), (f"\n\n{_mail_end(rng)}", False)]
    if register < 0.4:
        return _ended(body, rng)
    if register < 0.49:
        shape = kind(body)
        lead = None
        if shape == "question" and _one_sentence(body) and _ASKED.match(body[0][0]):
            lead = _asking
        elif shape == "imperative" and _plain_verb(body):
            lead = _telling
        return _ended([((lead or _greeting)(rng), False), *_lowered(body)], rng)
    if register < 0.56:
        front = _greeting(rng)
        return _ended([(front, False), *(body if front.endswith("! ") else _lowered(body))], rng)
    if register < 0.64 and _follows(body):
        return _closed([(_any(frames.inline, rng), False), *_lowered(body)])
    if register < 0.82:
        front = _greeting(rng) if rng.random() < 0.12 else ""
        if front and not front.endswith("! "):
            front = ""
        before = front + _any(frames.before, rng) + " "
        return _ended([(before, False), *body], rng)
    body = [*_closed(body), (" " + _any(frames.after, rng), False)]
    return [(_any(frames.before, rng) + " ", False), *body] if rng.random() < 0.25 else body


def _any(phrases: Sequence[Phrase], rng: random.Random) -> str:
    return phrases[int(rng.random() * len(phrases))](rng)


def _one_sentence(pieces: Sequence[Piece]) -> bool:
    return not any(not slot and re.search(r"[.?!] ", text) for text, slot in pieces)


_ASKS = frozenset(
    "what how which who when where is are do does did can could would will please kindly".split()
)


def _follows(pieces: Sequence[Piece]) -> bool:
    """Whether the request is one sentence that may stand after "I'm ..., so"."""
    text, is_slot = pieces[0]
    words = text.split(None, 1)
    if is_slot or not words or not _one_sentence(pieces):
        return False
    return words[0].lower() in _ASKS or _plain_verb(pieces)


def _ended(pieces: list[Piece], rng: random.Random) -> list[Piece]:
    if kind(pieces) != "imperative":
        return pieces
    asked = any("lease" in text for text, slot in pieces if not slot)
    ending = rng.choice(
        (".", ".", ".", "!", "", "") if asked else (".", ".", ".", "", "", "!", ", please.", " please")
    )
    return [*pieces, (ending, False)] if ending else pieces


def joined(sentences: list[list[Piece]], category: str, rng: random.Random) -> list[Piece]:
    """Several requests in one text, in their order: as one sentence, as sentences, or as a list."""
    frames = _frames(category)
    form = rng.random()
    start: list[Piece] = []
    if rng.random() < 0.22:
        start = [(_any(frames.before, rng) + " ", False)]
    elif rng.random() < 0.12:
        start = [(_greeting(rng), False)]
        if not start[0][0].endswith("! "):
            sentences = [_lowered(sentences[0]), *sentences[1:]]
    end: list[Piece] = [(" " + _any(frames.after, rng), False)] if rng.random() < 0.15 else []
    if form < 0.35 and all(map(_plain_verb, sentences)):
        return [*start, *_chained([reworded(s, rng) for s in sentences], rng), *end]
    if form > 0.9:
        return [*start, *_numbered([_request(s, rng, 0.1) for s in sentences], rng)]
    pieces = start
    opened = False
    for index, sentence in enumerate(sentences):
        body = _request(sentence, rng, 0.3 if not opened else 0.12)
        opened = opened or body[0] != sentence[0]
        shape = kind(body)
        if index:
            pieces.append((" ", False))
            if shape != "statement" and rng.random() < 0.72:
                link = (_more if shape == "question" else _next)(rng)
                if not (link.startswith(("Finally", "And finally")) and index < len(sentences) - 1):
                    pieces.append((link, False))
                    body = _lowered(body)
        pieces += body
        if shape == "imperative":
            pieces.append((".", False))
    return pieces + end


def _chained(sentences: list[list[Piece]], rng: random.Random) -> list[Piece]:
    """Imperatives in one sentence."""
    pieces: list[Piece] = []
    mark = "."
    if rng.random() < 0.4:
        openers = [entry for entry in _OPENERS if not entry[0].endswith("%")]
        opener, mark = openers[int(rng.random() * len(openers))]
        pieces.append((opener, False))
        pieces += _lowered(sentences[0])
    else:
        pieces += sentences[0]
    for index, sentence in enumerate(sentences[1:], 2):
        last = index == len(sentences)
        link = rng.choice((", and ", ", then ", " and then ", " and also ", ", and after that ") if last
                          else (", ", ", then ", "; "))  # fmt: skip
        if last and len(sentences) > 2:
            link = rng.choice((", and finally ", ", and then ", ", and ", ", and lastly "))
        pieces += [(link, False), *_lowered(sentence)]
    return [*pieces, (mark, False)]


def _numbered(sentences: list[list[Piece]], rng: random.Random) -> list[Piece]:
    """The requests as a list, below a heading or in running text."""
    form = rng.choice(("1.", "1)", "-", "first", "first"))
    pieces: list[Piece] = []
    if form == "first":
        words = (
            "First, ",
            *(["Second, ", "Third, "] if rng.random() < 0.5 else ["Then, ", "Next, "]),
            "Lastly, ",
        )
        for index, sentence in enumerate(sentences):
            word = words[-1] if index == len(sentences) - 1 and index > 1 else words[index]
            pieces += [((" " if index else "") + word, False), *_closed(_lowered(sentence))]
        return pieces
    pieces.append(((_heads if rng.random() < 0.6 else _separate)(rng) + ":", False))
    for index, sentence in enumerate(sentences, 1):
        mark = "-" if form == "-" else f"{index}{form[1]}"
        pieces += [(f"\n{mark} ", False), *sentence]
    return pieces


# --- noise ----------------------------------------------------------------------------------------------

_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_NEAR = {
    letter: "".join(row[max(0, at - 1) : at] + row[at + 1 : at + 2])
    for row in _ROWS
    for at, letter in enumerate(row)
}
_COMMON = {
    "please": ("pls", "plz", "plese", "pleas"), "you": ("u", "yuo"), "your": ("ur", "yuor"),
    "thanks": ("thx", "thnx"), "people": ("ppl", "peple"), "because": ("cuz", "becuase"),
    "want to": ("wanna",), "calculate": ("calulate", "caculate"), "schedule": ("shedule", "schedual"),
    "weather": ("wether", "weahter"), "appointment": ("apointment", "appointmnet"),
    "restaurant": ("resturant", "restaraunt"), "address": ("adress",), "temperature": ("temprature",),
    "recommend": ("recomend", "reccomend"), "currently": ("curently", "currenty"), "i'm": ("im",),
    "what's": ("whats", "wats"), "what is": ("whats", "wat is"), "don't": ("dont",), "can't": ("cant",),
    "could you": ("cud you", "coud you"), "with": ("wiht", "w/"), "the": ("teh", "hte"),
    "would": ("wuld", "woud"), "separately": ("seperately",), "i'd like": ("id like",),
    "that": ("taht", "tht"), "find": ("fnd", "fidn"), "through": ("thru",), "message": ("mesage",),
    "tomorrow": ("tommorow",), "convert": ("covert", "conver"), "probably": ("prolly",),
    "before": ("befor",), "which": ("wich", "whcih"), "there": ("ther",), "about": ("abuot", "abt"),
    "between": ("betwen", "btw"),
}  # fmt: skip
_SPELL = re.compile(
    r"(?<![\w'])(?:" + "|".join(sorted(_COMMON, key=len, reverse=True)) + r")(?![\w'])", re.IGNORECASE
)


def noise(pieces: list[Piece], rng: random.Random) -> list[Piece]:
    """Prose as people type it: lower case, slips of the keys, misspellings, missing marks; slots stay."""
    result = list(pieces)
    lower = rng.random() < 0.45
    if lower:
        result = [(text if slot else text.lower(), slot) for text, slot in result]
    before = result
    for _ in range(rng.choice((1, 1, 2, 3)) if not lower or rng.random() < 0.7 else 0):
        spots = [i for i, (text, slot) in enumerate(result) if not slot and len(text) > 5]
        if not spots:
            break
        spot = spots[int(rng.random() * len(spots))]
        result = [*result[:spot], (_slip(result[spot][0], rng), False), *result[spot + 1 :]]
    form = rng.random()
    text, slot = result[-1]
    if not slot and (form < 0.5 or result == before):
        result[-1] = (text.rstrip(".!?"), False)
    if form < 0.15:
        result = [
            (text if slot else re.sub(r"(?<=[a-z])[.,?!:](?= [A-Za-z])", "", text), slot)
            for text, slot in result
        ]
    return result


def _slip(text: str, rng: random.Random) -> str:
    """One slip: a common misspelling, or a word typed wrong, or two words run together."""
    if rng.random() < 0.35:
        common = list(_SPELL.finditer(text))
        if common:
            match = common[int(rng.random() * len(common))]
            wrong = rng.choice(_COMMON[match[0].lower()])
            return (
                text[: match.start()]
                + (_capital(wrong) if match[0][0].isupper() else wrong)
                + text[match.end() :]
            )
    words = text.split(" ")
    long = [i for i, word in enumerate(words) if len(word) > 3 and word.isalpha() and word.isascii()]
    if not long:
        return text
    which = long[int(rng.random() * len(long))]
    words[which] = _mistyped(words[which], rng)
    if rng.random() < 0.12 and which + 1 < len(words) and words[which + 1].isalpha():
        words[which : which + 2] = [words[which] + words[which + 1]]
    return " ".join(words)


def _mistyped(word: str, rng: random.Random) -> str:
    at = rng.randint(1, len(word) - 2)
    change = rng.random()
    if change < 0.3:
        return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    if change < 0.55:
        return word[:at] + word[at + 1 :]
    if change < 0.75:
        return word[:at] + word[at] + word[at:]
    near = _NEAR.get(word[at].lower(), "")
    if not near:
        return word[:at] + word[at + 1 :]
    wrong = rng.choice(near)
    return word[:at] + wrong + word[at + 1 :] if change < 0.9 else word[:at] + wrong + word[at:]
