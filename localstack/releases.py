"""Names what each function with an alias is released as, so that whatever changes of it becomes a version.

The SAM transform publishes a version of such a function when its code or its environment changes in the
template. A parameter is only referred to there: with another value for it the alias would stay on the version
that has the old one, however often the stack was deployed. The variable RELEASE is a digest of the function's code, its
definition and the values of all parameters, and differs whenever what the function is made of does.

Lambda for its part publishes no version that is as the last one was: RELEASE also keeps a deployment from
failing there after a service was shipped alone, since that changes code and leaves RELEASE as it is.
"""

import hashlib
import json
import pathlib
import re
import sys

import tomlkit
from samtranslator.yaml_helper import yaml_parse

CONFIG = pathlib.Path("samconfig.toml")
CODE = re.compile(r"(CodeUri: *)target/lambda/([\w-]+)/?")
ALIAS = "\n      AutoPublishAlias: "
VARIABLES = "\n        Variables:\n"


def environments():
    """The settings of `sam deploy` for each environment of samconfig.toml."""
    config = tomlkit.parse(CONFIG.read_text()).unwrap()
    return {name: section["deploy"]["parameters"] for name, section in config.items() if name != "version"}


def overrides(settings):
    """The parameters that these settings give the stack."""
    return dict(override.split("=", 1) for override in settings["parameter_overrides"])


def overrides_of(environment):
    known = environments()
    if environment not in known:
        sys.exit(f"samconfig.toml has no environment {environment}; it has {', '.join(known)}")
    return overrides(known[environment])


def with_releases(template, parameters, code_digest, attempt=""):
    """The text of template.yaml with a RELEASE for each function that has an alias.

    `code_digest` says of a function's name which code it has. Another `attempt` makes another release of
    the same: what was rolled back has been published, and is not published again.
    """
    parsed = yaml_parse(template)
    defaults = {name: str(parameter.get("Default", "")) for name, parameter in parsed["Parameters"].items()}
    common = [parsed["Globals"]["Function"], defaults | parameters, attempt]

    def released(block):
        if ALIAS not in block:
            return block
        head, tail = block.split(VARIABLES)
        content = json.dumps([common, block, code_digest(CODE.search(block)[2])], sort_keys=True)
        release = hashlib.sha256(content.encode()).hexdigest()[:16]
        return f"{head}{VARIABLES}          RELEASE: '{release}'\n{tail}"

    return "\n\n".join(map(released, template.split("\n\n")))
