"""Install `requirements.lock` and the project into the environment whose Python runs this file.

By uv, which is several times as fast; by pip where uv cannot be had or fails. uv does not read pip's configuration, so
its settings are passed on, and packages come from where pip would find them.
"""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

UV = "uv==0.13.9"
PIP = [sys.executable, "-m", "pip"]
INSTALLS = [["--requirement", "requirements.lock"], ["--no-deps", "--editable", "."]]

# pip's settings by uv's variables. Both take lists separated by spaces, but for UV_FIND_LINKS.
VARIABLES = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "no-index": "UV_NO_INDEX",
    "constraint": "UV_CONSTRAINT",
    "trusted-host": "UV_INSECURE_HOST",
    "timeout": "UV_HTTP_TIMEOUT",
    "cert": "SSL_CERT_FILE",
    "proxy": "ALL_PROXY",
}
PRECEDENCE = ("global", "install", ":env:")


def uv_variables(settings: str) -> dict[str, str]:
    """What uv must be told to find packages where pip does, from the output of `pip config list`."""
    found = re.findall(rf"^({'|'.join(PRECEDENCE)})\.({'|'.join(VARIABLES)})=(.+)$", settings, flags=re.MULTILINE)
    values = {
        VARIABLES[name]: str(ast.literal_eval(value)).split()
        for _, name, value in sorted(found, key=lambda setting: PRECEDENCE.index(setting[0]))
    }
    # As pip: of all indexes the best version, not the first index that knows the package.
    return {"UV_INDEX_STRATEGY": "unsafe-best-match"} | {
        name: ("," if name == "UV_FIND_LINKS" else " ").join(value) for name, value in values.items()
    }


def install_with_uv() -> bool:
    """Whether uv could be had and has installed everything."""
    if subprocess.run([*PIP, "install", "--quiet", UV], check=False).returncode:
        return False
    settings = subprocess.run([*PIP, "config", "list"], capture_output=True, encoding="utf-8", check=False).stdout
    command = [
        sys.executable,
        "-m",
        "uv",
        "pip",
        "install",
        "--quiet",
        "--compile-bytecode",
        "--python",
        sys.executable,
    ]
    environment = uv_variables(settings) | os.environ
    return all(subprocess.run([*command, *what], env=environment, check=False).returncode == 0 for what in INSTALLS)


def main() -> None:
    """Install with uv, else with pip."""
    os.chdir(Path(__file__).parents[1])
    os.environ["PIP_DISABLE_PIP_VERSION_CHECK"] = "1"
    if not install_with_uv():
        print(
            "==> uv could not be installed or failed (see above): installing with pip, which takes longer", flush=True
        )
        for what in INSTALLS:
            subprocess.run([*PIP, "install", "--quiet", *what], check=True)


if __name__ == "__main__":
    main()
