"""What callers of the Harbor Cafe say: the sentences that the language model is made from."""

NAMES = ["anna", "david", "emma", "laura", "maria", "michael", "peter", "robert", "sarah", "thomas"]
NUMBERS = ["two", "three", "four", "five", "six", "seven", "eight"]
# fmt: off
DAYS = [
    "today", "tonight", "tomorrow",
    "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday",
]
# fmt: on

_TEMPLATES = """
hello
good morning
good evening
what are your opening hours
when do you open
when do you close
are you open {day}
my name is {name}
hello my name is {name}
what is my name
do you know my name
do you remember my name
where are you
what is your address
what is on the menu
what do you have on the menu
can i book a table
can i book a table for {number} people
i would like to book a table
i would like to book a table for {number}
i would like to book a table for {number} people
a table for {number} people
a table for {number} people tonight
a table for {number} people tomorrow
yes please
no thank you
thank you
thank you very much
goodbye
thank you goodbye
"""


def sentences() -> list[str]:
    """Every sentence, in lower case and without punctuation; about 90 of them."""
    return [
        template.format(name=name, number=number, day=day)
        for template in _TEMPLATES.strip().splitlines()
        for name in (NAMES if "{name}" in template else [""])
        for number in (NUMBERS if "{number}" in template else [""])
        for day in (DAYS if "{day}" in template else [""])
    ]
