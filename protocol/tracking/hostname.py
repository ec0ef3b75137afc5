"""Which host names may stand in a registration, so that every node may look them up.

Answers for: a name has one spelling (lower case ASCII, no final dot), and no resolver
takes it for an address: `getaddrinfo` reads 2130706433, 0x7f.1 and 127.1 as 127.0.0.1.
What the name leads to is checked by whoever dials it. Spec: `spec/registration.md`.
"""

HOSTNAME_SIZE_MAX = 253
LABEL_SIZE_MAX = 63

_FIRST = frozenset("abcdefghijklmnopqrstuvwxyz")
_ENDS = _FIRST | frozenset("0123456789")
_INSIDE = _ENDS | frozenset("-")


def is_hostname(name: str) -> bool:
    """Whether `name` is a fully qualified domain name of at least two labels in its one spelling."""
    labels = name.split(".")
    if len(name) > HOSTNAME_SIZE_MAX or len(labels) < 2 or not all(map(_is_label, labels)):
        return False
    return labels[-1][0] in _FIRST  # a last label that begins with a digit may be read as a number


def _is_label(label: str) -> bool:
    if not 0 < len(label) <= LABEL_SIZE_MAX or label[0] not in _ENDS or label[-1] not in _ENDS:
        return False
    return _INSIDE.issuperset(label)
