"""Making this node's announcement: a transaction that spends a coin of the stake address.

Answers for: what is built can count, and what is sent announces. Coins, fees and signatures are
`stake_spending`'s business, what an announcement is `protocol.tracking.announcement`'s.
Spec: `spec/announcement.md`.
"""

from ipaddress import ip_address

from protocol.chain.address import encode_address
from protocol.chain.data_transaction import FEE_RATE_DEFAULT
from protocol.errors import RequestError
from protocol.genesis import Genesis
from protocol.tracking.announced import is_usable
from protocol.tracking.announcement import (
    Announcement,
    Ties,
    announcement_ties,
    encode_announcement,
    recognise_announcement,
)
from protocol.units import OperatorKey
from zenp2p.stake_spending import Draft, StakeSpender
from zenp2p.treasury_reader import Client


class Announcer:
    """Builds and sends announcements on one network with one node. Amounts are zatoshi."""

    def __init__(self, genesis: Genesis, client: Client) -> None:
        self._genesis = genesis
        self.spender = StakeSpender(genesis, client)

    def build(
        self, announcement: Announcement, stake_address: str, fee_rate: int = FEE_RATE_DEFAULT
    ) -> Draft:
        """Return the unsigned transaction; raises `RequestError` when it could not count."""
        if not is_usable(announcement, self._genesis.parameters):
            raise RequestError(
                f"nobody on this network listens at {ip_address(announcement.ip)}: it is not routable"
            )
        return self.spender.build(encode_announcement(announcement), stake_address, fee_rate)

    def send(self, text: str) -> dict[str, object]:
        """Check and relay a signed transaction, in hex or as a wallet's answer; return what became of it.

        Raises `RequestError` when it is not signed, announces nothing or speaks for no stake,
        a `ProtocolError` when it is no transaction, and what the node refuses it with.
        """
        transaction = self.spender.read(text)
        announcement = recognise_announcement(transaction)
        if announcement is None:
            raise RequestError("this transaction announces nothing")
        self.spender.check_signed(transaction)
        ties = announcement_ties(transaction, self.spender.owners(transaction))
        if not ties.signed and not ties.paid:
            raise RequestError("this transaction speaks for no stake address: it spends and pays none")
        return {**self.spender.relay(transaction), **self._describe(announcement, ties)}

    def _describe(self, announcement: Announcement, ties: Ties) -> dict[str, object]:
        prefixes = self._genesis.chain.prefixes
        return {
            "operator": announcement.operator_key.hex(),
            "endpoint": show_endpoint(announcement),
            "signed": [encode_address(address, prefixes) for address in ties.signed],
            "paid": [encode_address(address, prefixes) for address in ties.paid],
        }


def describe_place(operator_key: OperatorKey, port: int, ip: str, fqdn: str) -> Announcement:
    """Return the announcement of what was typed; raises `RequestError`."""
    try:
        return Announcement(operator_key, port, ip=ip_address(ip).packed if ip else b"", fqdn=fqdn)
    except ValueError as error:
        raise RequestError(f"this cannot be announced: {error}") from None


def show_endpoint(announcement: Announcement) -> str:
    """Return host and port as people write them."""
    host = announcement.fqdn or str(ip_address(announcement.ip))
    return f"[{host}]:{announcement.port}" if ":" in host else f"{host}:{announcement.port}"
