"""`zenp2p chain check`: what is in a file of raw blocks, of whatever chain, without a daemon."""

from pathlib import Path
from typing import Any

import click

from cli.options import json_option
from cli.output import print_json, print_rows

FORMATS = ("hexlines", "blk", "json")
BIG_FILE = 32_000_000
"""Bytes of a file from which on it is told how far the walk has come."""
STEPS = 20
"""Times that this is told."""


@click.command()
@click.option(
    "--blocks",
    required=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The file; may be gzipped.",
)
@click.option(
    "--format",
    "kind",
    type=click.Choice(FORMATS),
    help="A block in hexadecimal a line, a node's blk*.dat, or getblock's answers (default: as it looks).",
)
@click.option(
    "--strict", is_flag=True, help="Exit 65 also when a Merkle root is wrong or anything was not read."
)
@json_option
def check(blocks: Path, kind: str | None, strict: bool, as_json: bool) -> None:
    """Walk a file of blocks of the Bitcoin, Zcash or Zen family to its end and say what is in it.

    linked: blocks whose block before stands in the file (200 of 201 blocks in a row). merkle_ok: blocks
    whose Merkle root is that of their transactions. transactions, outputs: of the blocks' readable parts,
    sidechain certificates included. addresses: different addresses. no_address: transactions without
    any. unsupported: what was not read, or not all of it, by reason; it never ends the walk.

    Exits 0 when the file was walked, whatever was found; 65 when nothing in it is a block; 66 when it
    is missing.
    """
    from protocol.errors import InvalidChainData
    from zenp2p.chain.blockfiles.walk import BlockFormat, walk_file

    walked = walk_file(blocks, BlockFormat(kind) if kind else None, _Progress())
    if as_json:
        print_json(walked.summary)
    else:
        _show(walked.summary)
    if not walked.blocks:
        raise InvalidChainData(f"{blocks} holds no block")
    if strict and not walked.flawless:
        raise InvalidChainData(f"{blocks}: not every block was read whole, with its Merkle root")


class _Progress:
    """Says on standard error how far the walk through a big file has come."""

    def __init__(self) -> None:
        self._told = 0

    def __call__(self, done: int, size: int, blocks: int) -> None:
        step = done * STEPS // size if size >= BIG_FILE else 0
        if step > self._told:
            self._told = step
            click.echo(f"{done * 100 // size} % of {size // 1_000_000} MB, {blocks} blocks", err=True)


def _show(summary: dict[str, Any]) -> None:
    rows = {name: value for name, value in summary.items() if not isinstance(value, dict | list)}
    print_rows(rows)
    for name in ("versions", "sizes", "unsupported"):
        if summary[name]:
            click.echo(f"{name}:")
            print_rows({f"  {key}": value for key, value in summary[name].items()})
    for remark in summary["remarks"]:
        print_rows({"  note": remark})
