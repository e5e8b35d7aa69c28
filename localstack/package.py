"""Packs the functions for a deployment: a zip for each, and the template that names those zips.

`sam deploy` compresses every folder that a template names, at every deployment: half a minute of
work for what is mostly unchanged. A zip that a template names it uploads as it is. A zip made here
is kept for as long as its function's binary is the same, and is the same to the byte for the same binary.

Unless it is for AWS, the template is template.yaml without what only AWS has a use for: what watches the
functions (log groups, alarms, dashboards) and what lets a new version take over step by step. For AWS it
also says what each function with an alias is released as: see releases.py.

Usage: package.py FOLDER [--aws ENVIRONMENT [--attempt TEXT]], from the repository's root.
"""

import argparse
import functools
import hashlib
import os
import pathlib
import re
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor

from releases import CODE, overrides_of, with_releases

TEMPLATE = pathlib.Path("template.yaml")
BUILT = pathlib.Path("target/lambda")
NESTED = re.compile(r"(TemplateURL: *)(?=infra/)")
# The resources that watch, what waits for them, and the properties of a gradual rollout.
FOR_AWS_ALONE = re.compile(
    r"^  \w+Observability:\n(?:    .*\n)+\n"
    r"|^    DependsOn: \w+Observability\n"
    r"|^      AutoPublishAlias: .*\n"
    r"|^      DeploymentPreference:\n(?:        .*\n)+",
    re.MULTILINE,
)
# The fastest level: a third larger than the best at a quarter of the time, and it stays on this machine.
LEVEL = 1
# What a function may take zipped: 4.5 MB at the usual level, which is a tenth less than at this one.
LARGEST = 5_000_000
EXECUTABLE = 0o100755 << 16


def main():
    options = parsed_options()
    folder = options.folder
    template = TEMPLATE.read_text()
    if options.aws is None:
        template = FOR_AWS_ALONE.sub("", template)
    functions = sorted({name for _, name in CODE.findall(template)})
    with ThreadPoolExecutor(os.cpu_count()) as workers:
        packed = sum(workers.map(lambda name: pack(name, folder), functions))
    if options.aws is not None:
        code_digest = functools.partial(digest_in, folder)
        template = with_releases(template, overrides_of(options.aws), code_digest, options.attempt)
    root = os.path.relpath(".", folder)
    template = CODE.sub(r"\1\2.zip", template)
    replace(folder / "template.yaml", NESTED.sub(rf"\1{root}/", template).encode())
    print(f"{packed} of {len(functions)} functions packed")


def parsed_options():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--aws", metavar="ENVIRONMENT")
    parser.add_argument("--attempt", default="")
    return parser.parse_args()


def pack(name, folder):
    """Packs one function unless its zip holds this binary; says whether it did."""
    path = binary_of(name)
    if not path.is_file():
        sys.exit(f"template.yaml names the function {name}, but nothing built {path}")
    binary = path.read_bytes()
    digest = hashlib.sha256(binary).hexdigest().encode()
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{name}.zip"
    if packed_digest(target) == digest:
        return False
    temporary = target.with_suffix(f".{os.getpid()}")
    entry = zipfile.ZipInfo("bootstrap")
    entry.external_attr = EXECUTABLE
    entry.create_system = 3
    with zipfile.ZipFile(temporary, "w") as archive:
        archive.writestr(entry, binary, zipfile.ZIP_DEFLATED, LEVEL)
        archive.comment = digest
    if (size := temporary.stat().st_size) > LARGEST:
        temporary.unlink()
        sys.exit(f"{name} is {size:,} bytes zipped, more than {LARGEST:,}: what did it begin to depend on?")
    temporary.replace(target)
    return True


def binary_of(name):
    return BUILT / name / "bootstrap"


def digest_in(folder, name):
    return packed_digest(folder / f"{name}.zip").decode()


def packed_digest(path):
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.comment
    except (FileNotFoundError, zipfile.BadZipFile):
        return None


def replace(path, content):
    temporary = path.with_suffix(f".{os.getpid()}")
    temporary.write_bytes(content)
    temporary.replace(path)


if __name__ == "__main__":
    main()
