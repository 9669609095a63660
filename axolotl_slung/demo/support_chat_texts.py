"""The sentences of the made-up support chats. `{...}` is a field of the customer, or of the chat."""

from typing import NamedTuple


class Topic(NamedTuple):
    """What a chat is about: the customer's problem, the agent's answer, the customer's reply and the solution."""

    problem: str
    answer: str
    reply: str
    solution: str


OPENINGS = (
    "Hello, it is about my order {order}.",
    "Hi there! I have a question on order {order}.",
    "Good morning. My order number is {order}.",
    "Order {order}, please have a look.",
)

RECORDS = (
    "Thank you. I have opened the account of {person}, {address}.",
    "One moment. This order belongs to {person}, {address}.",
    "I see it here: {person}, {address}.",
    "Thanks, that is the account of {person}, {address}.",
)

FACTS = (
    "Parcels from the northern warehouse take three days.",
    "The Fennel lamp needs a supply of five volts.",
    "The Harbor lamp may hang outside, but not in the rain.",
    "A refund takes eight days to arrive.",
    "The warranty covers the dimmer for four years.",
    "Shades of paper must not be washed.",
    "The Comet lamp learns a new remote if you hold both buttons.",
    "Every lamp can be sent back within forty days.",
    "The bridge allows twenty lamps in one room.",
    "A bulb of more than six watts makes the shade too warm.",
    "Orders of more than ninety dollars are sent for free.",
    "The blue light means that the lamp looks for its bridge.",
)

TOPICS = (
    Topic(
        "The parcel has not come.",
        "{fact} The driver could not reach you at {phone}.",
        "That number is right. I was at work.",
        "The driver will try again tomorrow, and I have sent the details to {email}.",
    ),
    Topic(
        "I would like my money back.",
        "{fact} You paid with the card {card}.",
        "Yes, that is the one.",
        "The money is on its way, and the receipt goes to {email}.",
    ),
    Topic(
        "The lamp flickers.",
        "{fact} Shall a technician call you at {phone}?",
        "Yes, in the afternoon.",
        "Noted for the afternoon. A summary goes to {email}.",
    ),
    Topic(
        "My program cannot reach the lamps any more.",
        "{fact} The account's key is still {key}, so the program may have an old one.",
        "I have copied the new one. It works.",
        "Good. Please do not share it. A reminder went to {email}.",
    ),
    Topic(
        "It is a gift for {friend}. Can you send it there?",
        "{fact} For gifts we call you first, at {phone}.",
        "That is fine.",
        "Then we wrap it. The bill stays with the card {card}.",
    ),
    Topic(
        "Which bulb do I need for it?",
        "{fact} Shall I put the bulbs on the card {card}?",
        "Please do. My neighbor {friend} will take the parcel.",
        "Done. You get a message at {phone} once it is sent.",
    ),
    Topic(
        "I have moved. Is my new address there?",
        "{fact} The address is the one that I just read to you. The bill goes to {email}.",
        "Great, nothing to change.",
        "If you move again, write to us from that address or call from {phone}.",
    ),
    Topic(
        "How do I link the lamp to my home server?",
        "{fact} Enter the key {key} on the page of your server.",
        "It asks for a name, too.",
        "Any name will do. The guide is in your mailbox, {email}.",
    ),
)

CLOSINGS = (
    "Is there anything else?",
    "Have a bright evening!",
    "Thank you for writing to us.",
    "All the best from the lamp shop.",
)
