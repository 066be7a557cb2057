"""The version of fnn, which ``pyproject.toml`` alone states."""

import importlib.metadata
from pathlib import Path


def version(root: Path) -> str:
    """The version in the ``pyproject.toml`` of a checkout at ``root``, else that of the installed package.

    The checkout comes first: an editable installation keeps the version that it was installed with. A copy that has
    neither is ``0+unknown``.
    """
    file = root / "pyproject.toml"
    if file.is_file():
        import tomllib  # an installed fnn does not need it

        project = tomllib.loads(file.read_text(encoding="utf-8")).get("project", {})
        if project.get("name") == "fnn":
            return project["version"]
    try:
        return importlib.metadata.version("fnn")
    except importlib.metadata.PackageNotFoundError:
        return "0+unknown"


__version__ = version(Path(__file__).parents[2])
