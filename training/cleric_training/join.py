"""Joins the parts of a file that was cut: `python3 -m cleric_training.join NAME.parts --out FILE`."""
from __future__ import annotations

import argparse
from pathlib import Path

from .files.parts import PartsError, join


def main() -> None:
    p = argparse.ArgumentParser(prog="cleric_training.join", description=__doc__)
    p.add_argument("parts", type=Path, help="NAME.parts, beside which NAME.000 and so on lie")
    p.add_argument("--out", type=Path, required=True)
    args = p.parse_args()
    try:
        join(args.parts, args.out)
    except (OSError, PartsError) as error:
        raise SystemExit(str(error)) from error
    print(f"{args.out}: {args.out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
