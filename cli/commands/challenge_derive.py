"""`zenp2p challenge derive`: samples and answer from a file of raw blocks, without a daemon."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.options import json_option
from cli.output import print_json, print_rows

if TYPE_CHECKING:
    from zenp2p.chain.offline import Derived

SEQ_MAX = (1 << 63) - 1


class OperatorHex(click.ParamType[bytes]):
    """A 32-byte operator key in hexadecimal."""

    name = "hex"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> bytes:
        """Return the 32 bytes."""
        try:
            key = bytes.fromhex(str(value))
        except ValueError:
            key = b""
        if len(key) != 32:
            self.fail("an operator key is 64 hexadecimal digits", param, ctx)
        return key


@click.command()
@click.option(
    "--blocks",
    required=True,
    type=click.Path(path_type=Path),
    help="Raw blocks, one hex line each; may be gzipped.",
)
@click.option(
    "--anchor", required=True, type=click.IntRange(min=0), metavar="HEIGHT", help="The anchor block."
)
@click.option(
    "--seq", required=True, type=click.IntRange(0, SEQ_MAX), metavar="N", help="The challenge's number."
)
@click.option("--operator", required=True, type=OperatorHex(), metavar="HEX", help="The operator's key.")
@click.option(
    "--first-height",
    type=click.IntRange(min=0),
    metavar="H",
    help="Height of the first block (default: what its coinbase states).",
)
@click.option(
    "--samples", type=click.IntRange(1, 255), metavar="K", help="Transactions asked for (default: 4)."
)
@click.option(
    "--chain",
    "chain_name",
    metavar="NAME",
    help="zen, zen-testnet, zcash, zcash-testnet or devnet (default: the one that can read every block).",
)
@json_option
def derive(
    blocks: Path,
    anchor: int,
    seq: int,
    operator: bytes,
    first_height: int | None,
    samples: int | None,
    chain_name: str | None,
    as_json: bool,
) -> None:
    """Derive what one operator is asked for in a challenge, and its answer, from a file of blocks.

    T counts the file's transactions up to the anchor.
    """
    from protocol.errors import RequestError
    from protocol.parameters import ZEN
    from zenp2p.chain.known_chains import KNOWN_CHAINS
    from zenp2p.chain.offline import derive_from_file, describe

    if chain_name is not None and chain_name not in KNOWN_CHAINS:
        raise RequestError(f"no chain {chain_name}: {', '.join(KNOWN_CHAINS)} are known")
    derived = derive_from_file(
        blocks,
        anchor_height=anchor,
        seq=seq,
        operator_key=operator,
        first_height=first_height,
        samples=samples or ZEN.samples,
        rules=KNOWN_CHAINS[chain_name] if chain_name is not None else None,
    )
    _warn(derived)
    shown = describe(derived, operator)
    if as_json:
        print_json(shown)
        return
    asked = shown.pop("samples")
    print_rows(shown)
    for number, sample in enumerate(asked):
        print_rows({f"sample {number} {name}": value for name, value in sample.items()})


def _warn(derived: "Derived") -> None:
    """Say on standard error what a real chain would not show."""
    for heights, what in (
        (derived.unlinked, "does not name the block before it"),
        (derived.mismatched, "does not have the Merkle root of its transactions"),
    ):
        if heights:
            more = f", and {len(heights) - 1} more," if len(heights) > 1 else ""
            click.echo(f"warning: the block at {heights[0]}{more} {what}", err=True)
