"""`zenp2p keys register`: make this node's registration, with the stake owner's signature."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.files import write_file
from cli.options import json_option, load, place_options
from cli.output import print_json, print_rows

if TYPE_CHECKING:
    from zenp2p.registering import Wish
    from zenp2p.settings import Config

FILE = click.Path(path_type=Path)
PORT = click.IntRange(1, 0xFFFF)
NEXT = "in the wallet: signmessage ADDRESS TEXT; then run this again with --signature"


@click.command()
@click.option("--stake-address", required=True, metavar="ADDRESS", help="Where the stake lies.")
@click.option(
    "--stake-sequence",
    type=click.IntRange(0, 0xFFFF_FFFF),
    default=0,
    help="Higher than any before for this stake.",
)
@click.option("--node-address", metavar="ADDRESS", help="The node's own address (default: the stake's).")
@click.option("--ip", metavar="IP", help="Where others reach the node (default: as configured).")
@click.option("--port", type=PORT, help="The port there (default: as configured).")
@click.option("--fqdn", default="", metavar="NAME", help="Host of the node's HTTPS pages.")
@click.option("--tls-port", type=PORT, metavar="PORT", help="Port of those pages.")
@click.option(
    "--signature", metavar="BASE64", help="The owner's signature, as a wallet's signmessage shows it."
)
@click.option(
    "--stake-key", type=FILE, metavar="FILE", help="Sign with the stake's key file (mode 0600) instead."
)
@click.option(
    "--founding", type=FILE, metavar="DESCRIPTION", help="For a founder: the genesis file's description."
)
@place_options
@json_option
@click.pass_context
def register(
    context: click.Context,
    stake_address: str,
    stake_sequence: int,
    node_address: str | None,
    ip: str | None,
    port: int | None,
    fqdn: str,
    tls_port: int | None,
    signature: str | None,
    stake_key: Path | None,
    founding: Path | None,
    as_json: bool,
) -> None:
    """Make this node's registration.

    Without --signature or --stake-key it shows the line that the stake's owner signs in a wallet;
    run it again with the same options and the signature.
    """
    if signature is not None and stake_key is not None:
        raise click.UsageError("give --signature or --stake-key, not both", context)
    from zenp2p.registering import Wish

    settings = load(context).config
    network = settings.network
    wish = Wish(
        stake_address=stake_address,
        stake_sequence=stake_sequence,
        node_address=node_address or stake_address,
        ip=ip or network.announce_ip or network.ip,
        port=port or network.announce_port or network.port,
        fqdn=fqdn,
        tls_port=tls_port or 0,
        founding=founding is not None,
    )
    answer = _answer(settings, wish, founding or Path(settings.genesis), signature, stake_key)
    if as_json:
        print_json(answer)
    else:
        print_rows({name.replace("_", " "): value for name, value in answer.items()})


def _answer(
    settings: "Config", wish: "Wish", network_file: Path, signature: str | None, stake_key: Path | None
) -> dict[str, object]:
    """Return the line to sign, or the registration; a joining node's goes into its data directory."""
    from zenp2p import registering
    from zenp2p.data_directory import DataDirectory
    from zenp2p.genesis_description import genesis_from_file, read_genesis
    from zenp2p.identity import load_operator, read_secret

    directory = DataDirectory(Path(settings.data_dir))
    signer = load_operator(directory.operator_seed)
    genesis = genesis_from_file(network_file) if wish.founding else read_genesis(network_file)
    if signature is None and stake_key is None:
        text = registering.text_to_sign(wish, genesis, signer)
        return {"sign_with": wish.stake_address, "text": text, "next": NEXT}
    if stake_key is not None:
        envelope = registering.register_with_key(wish, genesis, signer, read_secret(stake_key))
    else:
        envelope = registering.register(wish, genesis, signer, signature or "")
    answer: dict[str, object] = {"operator_key": signer.operator_key.hex(), "registration": envelope.hex()}
    if wish.founding:
        return answer
    write_file(directory.registration, envelope)
    return {**answer, "file": str(directory.registration)}
