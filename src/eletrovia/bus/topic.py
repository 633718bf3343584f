"""Topics as MQTT writes them, subjects as NATS does, and the narrow set that is both.

NATS turns ``.`` in an MQTT topic into ``//``, hangs up on a space, and does not escape its own wildcards
``*`` and ``>``: a topic that carried them would mean another thing on the other side. So topics here are
plain ids between slashes, and everything else is refused on the way out and dropped on the way in.
"""

from __future__ import annotations

import re

from eletrovia.base.errors import Invalid

MAX_TOPIC_CHARS = 512
_LEVEL = re.compile(r"[A-Za-z0-9_-]+")
_INBOX = "_INBOX"  # where NATS clients take replies: nobody's topic


def is_level(text: str) -> bool:
    """Whether ``text`` may stand between two slashes: ASCII letters, digits, ``_`` and ``-``."""
    return _LEVEL.fullmatch(text) is not None


def check_topic(topic: str) -> str:
    """``topic`` itself, e.g. ``stations/BR-CAR-E0001/status``.

    Raises: Invalid ``topic.malformed``.
    """
    levels = topic.split("/")
    if len(topic) > MAX_TOPIC_CHARS or levels[0] == _INBOX or not all(map(is_level, levels)):
        raise Invalid("topic.malformed", topic=topic[:MAX_TOPIC_CHARS])
    return topic


def check_filter(topic_filter: str) -> str:
    """``topic_filter`` itself: a topic in which a level may be ``+`` and the last one ``#``.

    Raises: Invalid ``topic.malformed``.
    """
    levels = topic_filter.split("/")
    *parents, last = levels
    plain = all(level == "+" or is_level(level) for level in parents)
    if (
        len(topic_filter) > MAX_TOPIC_CHARS
        or levels[0] == _INBOX
        or not plain
        or not (last in ("+", "#") or is_level(last))
    ):
        raise Invalid("topic.malformed", topic=topic_filter[:MAX_TOPIC_CHARS])
    return topic_filter


def subject_of(topic: str) -> str:
    """The NATS subject of a topic.

    Raises: Invalid ``topic.malformed``.
    """
    return check_topic(topic).replace("/", ".")


def topic_of(subject: str) -> str | None:
    """The topic of a NATS subject; None when no topic of ours reads like this."""
    levels = subject.split(".")
    if len(subject) > MAX_TOPIC_CHARS or levels[0] == _INBOX or not all(map(is_level, levels)):
        return None
    return "/".join(levels)


def subjects_of(topic_filter: str) -> tuple[str, ...]:
    """The NATS subjects that together match what the MQTT filter does; also what to grant for it.

    ``a/#`` matches ``a`` in MQTT, while ``a.>`` does not in NATS: so it gives two.

    Raises: Invalid ``topic.malformed``.
    """
    check_filter(topic_filter)
    subject = topic_filter.replace("/", ".").replace("+", "*")
    if subject == "#":
        return (">",)
    if subject.endswith(".#"):
        return (subject[:-2], f"{subject[:-1]}>")
    return (subject,)
