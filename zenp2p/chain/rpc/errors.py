"""What can go wrong between us and an external node, one class for each thing to do about it.

Answers for: whoever follows a node can tell "wait" (unreachable, warming up, busy) from
"the user must act" (denied) and from the node's own answer that something is not so.
What state this puts the chain into is left to `service`. Spec: `spec/external_chain.md`.
"""

from enum import IntEnum

from protocol.errors import ZenError

MESSAGE_CHARACTERS_MAX = 300
"""Characters of a node's own words that go into an error of ours."""


class NodeCode(IntEnum):
    """The node's error numbers that mean something to us; the same in the whole family."""

    MISCELLANEOUS = -1
    WRONG_TYPE = -3
    UNKNOWN_BLOCK_OR_TRANSACTION = -5
    """Also an address or key that it cannot read."""
    WRONG_PARAMETER = -8
    """Also a height outside of the chain, and an address that stands twice."""
    VERIFY_FAILED = -25
    REJECTED = -26
    ALREADY_IN_CHAIN = -27
    WARMING_UP = -28
    HARD_FORK = -40
    """zend from 6.0 on: no more transactions on this chain."""
    METHOD_NOT_FOUND = -32601


class NodeError(ZenError):
    """Something between us and the external node went wrong."""


class NodeUnreachable(NodeError):
    """Nothing answers there: refused, reset, or not in time."""


class NodeDenied(NodeError):
    """The node does not accept our cookie or password, or does not accept us at all."""


class NodeWarmingUp(NodeError):
    """The node runs and is not ready yet; the message is its own."""


class NodeBusy(NodeError):
    """The node has too much to do; it did not look at the question."""


class NodeRefusal(NodeError):
    """The node understood and answered with an error of its own."""

    def __init__(self, code: int, message: str) -> None:
        self.code = code
        self.message = printable(message)
        super().__init__(f"the node answers {code}: {self.message}")

    @property
    def is_unknown_method(self) -> bool:
        """Whether the node has no such method."""
        return self.code == NodeCode.METHOD_NOT_FOUND


class BadAnswer(NodeError):
    """What came is no answer to the question: no JSON, another question's, or of the wrong shape."""


class ForeignNode(NodeError):
    """Something answers like a node and is none that we can follow."""


class AnswerTooLarge(BadAnswer):
    """The answer has more bytes than are read."""


def printable(text: str) -> str:
    """Return a node's words cut to a line that a terminal and a log can show."""
    line = text[:MESSAGE_CHARACTERS_MAX]
    return "".join(letter if letter.isprintable() else " " for letter in line).strip()
