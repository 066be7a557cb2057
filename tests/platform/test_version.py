"""``fnn.__version__`` is what pyproject.toml says, installed or not."""

import importlib.metadata
import re
from pathlib import Path

import pytest

import fnn
from fnn.platform.doctor import environment
from fnn.platform.version import version

ROOT = Path(__file__).parents[2]


@pytest.fixture
def not_installed(monkeypatch):
    def no_version(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", no_version)


@pytest.fixture
def installed(monkeypatch):
    monkeypatch.setattr(importlib.metadata, "version", {"fnn": "7.8.9"}.__getitem__)


def test_it_is_the_version_of_pyproject():
    stated = re.findall(r'^version = "(.*)"$', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
    assert stated == [fnn.__version__]


def test_a_checkout_that_is_not_installed_has_its_version(not_installed):
    assert version(ROOT) == fnn.__version__


def test_a_checkout_comes_before_an_older_installation(installed, tmp_path):
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "fnn"\nversion = "8.0.0"\n', encoding="utf-8")
    assert version(tmp_path) == "8.0.0"


def test_an_installed_package_has_the_version_of_its_metadata(installed, tmp_path):
    assert version(tmp_path) == "7.8.9"


@pytest.mark.parametrize("text", ['[project]\nname = "other"\nversion = "8.0.0"\n', "[tool.ruff]\n"])
def test_the_pyproject_of_another_project_is_passed_over(installed, tmp_path, text):
    (tmp_path / "pyproject.toml").write_text(text, encoding="utf-8")
    assert version(tmp_path) == "7.8.9"


def test_a_copy_without_either_says_that_its_version_is_unknown(not_installed, tmp_path):
    assert version(tmp_path) == "0+unknown"


def test_the_changelog_has_a_section_of_this_version():
    headings = re.findall(r"^## \[(.*?)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert fnn.__version__ in headings


def test_doctor_prints_it():
    assert environment()["fnn"] == fnn.__version__
