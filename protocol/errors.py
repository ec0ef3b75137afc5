"""The error tree of the rules.

Two families and no third: a `ProtocolError` says that the other side broke a
rule (it costs that peer), a `RequestError` says that our own user asked for
something impossible (one clear line, exit code of the command). Everything else
that is raised inside `protocol` is our own bug and stays loud. The adapters in
`zenp2p` raise their own errors, derived from `ZenError` there.
"""


class ZenError(Exception):
    """The root of every error that zenp2p raises on purpose."""


class ProtocolError(ZenError):
    """The other side broke a rule."""


class MalformedMessage(ProtocolError):
    """Bytes that are not the one canonical encoding of a known message."""


class InvalidSignature(ProtocolError):
    """A signature or a public key that libsodium (or libsecp256k1) refuses."""


class WrongNetwork(ProtocolError):
    """A message of another network."""


class NotAMember(ProtocolError):
    """A statement by somebody who has no say in it."""


class StaleMessage(ProtocolError):
    """A message for a height, round, challenge or sequence that has passed."""


class NotYetKnown(ProtocolError):
    """A message about heights that our chain has not reached: neither right nor wrong yet."""


class InvalidChainData(ProtocolError):
    """A block, transaction, script or address that breaks the chain's rules."""


class UnsupportedChainData(InvalidChainData):
    """Well-formed chain data of a kind that this software does not read."""


class InvalidCertificate(ProtocolError):
    """A certificate without its quorum, or with a vote that does not belong to it."""


class InvalidProof(ProtocolError):
    """A Merkle proof that does not lead to the root it claims."""


class InvalidBlock(ProtocolError):
    """A data block or payout list that differs from what the rules make of its inputs."""


class Stranded(InvalidBlock):
    """Nothing is wrong with it but that it rests on a chain block that is not on our chain."""


class InvalidPayment(ProtocolError):
    """A payment that differs from its certified list, or a signature on it that is not its own."""


class RequestError(ZenError):
    """Our own user asked for something impossible."""
