"""Checks that what is built runs on Lambda: each function's architecture, and the C library it asks for.

Usage: check_binaries.py arm64|x86_64 [FUNCTION ...], from the repository's root; by default every function that
template.yaml names.
"""

import re
import struct
import sys

from package import CODE, TEMPLATE, binary_of

# ELF's numbers for the machines.
MACHINES = {"arm64": 183, "x86_64": 62}
# Amazon Linux 2023, which `provided.al2023` is, has this version of glibc.
NEWEST_GLIBC = (2, 34)
# Of how many functions it is said what is wrong.
SAID = 5
GLIBC = re.compile(rb"\0GLIBC_(\d+)\.(\d+)(?:\.\d+)?(?=\0)")


def main():
    architecture, *names = sys.argv[1:]
    names = names or sorted({name for _, name in CODE.findall(TEMPLATE.read_text())})
    wrong, newest = [], (0, 0)
    for name in names:
        path = binary_of(name)
        if not path.is_file():
            wrong.append(f"{name} is not built: there is no {path}")
            continue
        binary = path.read_bytes()
        if machine(binary) != MACHINES[architecture]:
            wrong.append(f"{name} is not built for Linux on {architecture}")
        glibc = max((tuple(map(int, found)) for found in GLIBC.findall(binary)), default=(0, 0))
        if glibc > NEWEST_GLIBC:
            wrong.append(f"{name} needs glibc {version(glibc)}, and Amazon Linux 2023 has {version(NEWEST_GLIBC)}")
        newest = max(newest, glibc)
    if wrong:
        more = len(wrong) - SAID
        sys.exit("\n".join(wrong[:SAID] + [f"and {more} more"] * (more > 0)))
    print(f"{len(names)} functions for {architecture}; none needs a newer glibc than {version(newest)}")


def machine(binary):
    """The machine that an ELF file is for; None for any other file."""
    return struct.unpack_from("<H", binary, 18)[0] if binary[:4] == b"\x7fELF" else None


def version(numbers):
    return ".".join(map(str, numbers))


if __name__ == "__main__":
    main()
