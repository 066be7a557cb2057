"""The text of a function depends on what it computes, not on where and how it is written."""

import dataclasses
import sys
import types

import jax
import jax.numpy as jnp
import pytest

from fnn.canonical.text import canonical
from fnn.train.fingerprint import differences, fingerprint

MODULE = '''
import math
import jax.numpy as jnp
SCALE = 2.0
CONFIG = {"rate": 1}
CALLS = 0

def helper(x):
    """Twice."""
    return x * 2

def noisy(key, inputs):
    """Noise."""
    global CALLS
    CALLS += 1
    if inputs is None:
        return noisy(key, 0)
    return helper(inputs) * SCALE + CONFIG["rate"] + math.pi + jnp.pi

class Layer:
    """A layer."""
    slope = 1
    @property
    def twice(self):
        return 2 * self.slope
    @staticmethod
    def still(x):
        return x
    def __call__(self, key, inputs):
        class Inner:
            """Inside."""
            value = 3
        return inputs * self.slope * Inner.value * Layer.slope

class Sub(Layer):
    def other(self):
        return super().twice
'''


def imported(path, text):
    path.write_text(text)
    module = types.ModuleType("program")
    module.__file__ = str(path)
    exec(compile(text, path, "exec"), vars(module))
    return module


def of_program(path, text=MODULE):
    program = imported(path, text)
    return fingerprint(augment=(program.noisy, program.Sub(), program.Layer))


def test_where_and_how_a_function_is_written_does_not_matter(tmp_path):
    one = of_program(tmp_path / "one.py")
    for other in (
        "\n\n'''Of a module.'''\nimport os\nfrom math import pi\n" + MODULE,
        MODULE.replace("Twice.", "Two times.").replace("Noise.", "").replace("A layer.", "Another.\n\n"),
        MODULE.replace("    return x * 2", "    # doubled\n\n    return x * 2"),
        MODULE.replace('    """Twice."""\n', "").replace('"""Inside."""', '"""Inner."""'),
        MODULE.replace("CALLS = 0", "CALLS = 7"),
    ):
        assert differences(one, of_program(tmp_path / "other.py", other)) == []


def test_a_docstring_before_many_constants_does_not_matter(tmp_path):
    steps = "".join(f"    x = x * {number}.5\n" for number in range(300))
    one, other = (f"def f(x):\n{docstring}{steps}    return x" for docstring in ("", "    'About.'\n"))
    prints = [fingerprint(augment=imported(tmp_path / "one.py", text).f) for text in (one, other)]
    assert differences(*prints) == []


def test_methods_generated_by_dataclass_do_not_count_as_code():
    @dataclasses.dataclass
    class Shift:
        by: float = 1.0

        def __call__(self, key, inputs):
            return inputs + self.by

    name = Shift.__qualname__
    text = canonical(Shift())
    assert text.text == f"{name}{{__call__=<{name}.__call__>; by=1.0}}(by=1.0)"
    assert list(text.code) == [f"{name}.__call__"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("SCALE = 2.0", "SCALE = 3.0"),
        ('CONFIG = {"rate": 1}', 'CONFIG = {"rate": 2}'),
        ("return x * 2", "return x * 3"),
        ("return x * 2", "return x + 2"),
        ("math.pi", "math.tau"),
        ("jnp.pi", "jnp.e"),
        ("import math", "import jax.numpy as math"),
        ("slope = 1", "slope = 2"),
        ("2 * self.slope", "3 * self.slope"),
        ("        return x\n", "        return -x\n"),
        ("value = 3", "value = 4"),
        ("return super().twice", "return super().slope"),
        ("class Sub(Layer)", "class Sub"),
    ],
)
def test_what_a_function_computes_matters(tmp_path, before, after):
    assert before in MODULE
    found = differences(of_program(tmp_path / "one.py"), of_program(tmp_path / "b.py", MODULE.replace(before, after)))
    assert len(found) == 1


def test_the_globals_of_a_module_of_the_program_are_followed(tmp_path, monkeypatch):
    prints = []
    for rate in (1, 1, 2):
        monkeypatch.setitem(sys.modules, "program", imported(tmp_path / "settings.py", f"RATE = {rate}"))
        user = imported(tmp_path / "user.py", "import program\ndef f(x):\n    return x * program.RATE")
        prints.append(fingerprint(augment=user.f))
    assert differences(prints[0], prints[1]) == []
    assert differences(prints[0], prints[2]) == [
        "augment: <f; program.RATE=1>, now <f; program.RATE=2>"
    ]  # fmt: skip


def test_that_a_function_has_run_does_not_matter():
    def busy(key, inputs):
        total = 0
        for each in range(inputs):
            total += each * 1.5 if isinstance(each, int) else len("abc")
        return total

    before = fingerprint(augment=busy)
    for _ in range(2000):  # long enough for CPython to specialise its instructions
        busy(None, 20)
    assert differences(before, fingerprint(augment=busy)) == []


def test_that_a_function_was_compiled_does_not_matter():
    function = jax.jit(lambda x: jnp.sin(x))
    before = fingerprint(augment=function)
    function(1.0)
    assert differences(before, fingerprint(augment=function)) == []


def test_a_captured_variable_may_be_unset():
    def early():
        return late

    before = canonical(early).text
    late = 1
    assert before != canonical(early).text == f"<{early.__qualname__}; late={late}>"
