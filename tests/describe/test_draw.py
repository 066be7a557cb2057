"""A drawing is valid XML, shows every layer with its shape and size, and no word touches another or an edge."""

import collections
import dataclasses
import itertools
import re
import xml.etree.ElementTree as ET

import jax
import pytest

import fnn
from fnn.backprop import Combinator, asks_rule
from fnn.describe.svg import SIZE, width_of
from fnn.walk import nodes

SVG = "{http://www.w3.org/2000/svg}"
SHAPE = jax.ShapeDtypeStruct
NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


def branch(features, shortcut=None):
    return fnn.Residual(fnn.Serial(fnn.Conv(features, 3, use_bias=False), fnn.BatchNorm(), fnn.Relu()), shortcut)


MODELS = {
    "convolutions": (
        fnn.Serial(
            stem=fnn.Conv(4, (3, 3)),
            same=branch(4),
            wider=branch(6, fnn.Serial(fnn.Conv(6, 1))),
            pool=fnn.GlobalAvgPool(),
            head=fnn.Dense(3),
        ),
        SHAPE((2, 5, 5, 3), "float32"),
    ),
    "transformer": (
        fnn.Serial(
            fnn.Embedding(11, 8),
            fnn.Repeat(
                fnn.Serial(
                    fnn.Residual(fnn.Serial(fnn.LayerNorm(), fnn.MultiHeadAttention(2, causal=True))),
                    fnn.Residual(fnn.Serial(fnn.LayerNorm(), fnn.FeedForward(16))),
                ),
                3,
            ),
            head=fnn.Dense(11),
        ),
        SHAPE((2, 7), "int32"),
    ),
    "graph": (
        fnn.Graph(
            {
                "seen": (fnn.Serial(fnn.Conv(8, 3), fnn.Relu(), fnn.GlobalAvgPool()), "image"),
                "aged": (fnn.Dense(8), "age"),
                "joined": (fnn.Concatenate(), ("seen", "aged")),
                "hidden": (fnn.Dense(16), "joined"),
                "risk": (fnn.Dense(1), "hidden"),
                "kind": (fnn.Dense(3), "seen"),
            },
            outputs={'risk <0> & "more"': "risk", "kind": "kind"},
        ),
        {"image": SHAPE((4, 8, 8, 3), "float32"), "age": SHAPE((4, 1), "float32")},
    ),
    "directions": (
        fnn.Serial(
            fnn.Bidirectional(fnn.LSTM(5)),
            fnn.TimeDistributed(fnn.Dense(4)),
            sides=fnn.Parallel(fnn.Dense(3), fnn.Serial(fnn.Dense(3), fnn.Relu()), fnn.Identity(), merge="concatenate"),
            twice=fnn.Repeat(fnn.Frozen(fnn.Reversible(fnn.Serial(), fnn.Identity())), 2),
        ),
        SHAPE((2, 6, 3), "float32"),
    ),
    "long": (fnn.Serial(*[fnn.Relu() if place % 2 else fnn.Dense(8) for place in range(40)]), SHAPE((2, 4), "float32")),
}


@pytest.fixture(scope="module", params=list(MODELS))
def drawn(request):
    model, x = MODELS[request.param]
    return model, x, ET.fromstring(fnn.draw(model, x).svg)


def placed(element, x=0.0, y=0.0):
    """Every element with its place on the page."""
    if (moved := element.get("transform")) is not None:
        dx, dy = map(float, NUMBER.findall(moved))
        x, y = x + dx, y + dy
    yield element, x, y
    for child in element:
        yield from placed(child, x, y)


def word_boxes(root):
    """The text with its left, right, top and bottom."""
    for element, x, y in placed(root):
        if element.tag == f"{SVG}text":
            width, left, base = width_of(element.text), x + float(element.get("x")), y + float(element.get("y"))
            left -= width / 2 if element.get("text-anchor") == "middle" else 0
            yield element.text, left, left + width, base - 0.8 * SIZE, base + 0.25 * SIZE


def points_on(path):
    """Points along a path of the commands M, L, H, V, v and C, close together."""
    now = (0.0, 0.0)
    for command, given in re.findall(r"([MLHVvC])([^A-Za-z]*)", path):
        n = [float(each) for each in NUMBER.findall(given)]
        ends = {
            "M": lambda n=n: [tuple(n)],
            "L": lambda n=n: [tuple(n)],
            "C": lambda n=n: [tuple(n[:2]), tuple(n[2:4]), tuple(n[4:])],
            "H": lambda n=n, now=now: [(n[0], now[1])],
            "V": lambda n=n, now=now: [(now[0], n[0])],
            "v": lambda n=n, now=now: [(now[0], now[1] + n[0])],
        }[command]()
        if command != "M":
            for step in range(41):
                t = step / 40
                ways = [now, *ends]
                while len(ways) > 1:  # de Casteljau; a line is its case of two points
                    ways = [(a + t * (c - a), b + t * (d - b)) for (a, b), (c, d) in itertools.pairwise(ways)]
                yield ways[0]
        now = ends[-1]


def test_no_word_touches_another_or_leaves_the_page(drawn):
    root = drawn[2]
    boxes = list(word_boxes(root))
    for (a, *one), (b, *other) in itertools.combinations(boxes, 2):
        apart = one[1] <= other[0] or other[1] <= one[0] or one[3] <= other[2] or other[3] <= one[2]
        assert apart, (a, b)
    width, height = float(root.get("width")), float(root.get("height"))
    assert all(left >= 0 and right <= width and top >= 0 and bottom <= height for _, left, right, top, bottom in boxes)


def test_no_edge_runs_through_words(drawn):
    boxes = list(word_boxes(drawn[2]))
    edges = [each for each in placed(drawn[2]) if each[0].tag == f"{SVG}path" and each[0].get("fill") == "none"]
    assert len(edges) > 5
    for element, x, y in edges:
        for px, py in points_on(element.get("d")):
            for text, left, right, top, bottom in boxes:
                assert not (left < x + px < right and top < y + py < bottom), (text, element.get("d"))


def test_every_layer_stands_there_once_with_its_output_and_its_parameters(drawn):
    model, x, root = drawn
    texts = [text for text, *_ in word_boxes(root)]
    boxes = {node.path for node in nodes(model) if isinstance(node.layer, Combinator)}
    names = [node.path.rpartition("/")[2] for node in nodes(model) if asks_rule(node) and node.path not in boxes]
    assert {name: texts.count(name) for name in names} == collections.Counter(names)
    total = sum(leaf.size for leaf in jax.tree.leaves(jax.eval_shape(model.init, jax.random.key(0), x)[0]))
    assert any(text.endswith(f" {total:,} parameters") for text in texts)


def texts_of(name, **options):
    model, x = MODELS[name]
    return [text for text, *_ in word_boxes(ET.fromstring(fnn.draw(model, x, **options).svg))]


def test_shapes_and_counts_are_those_of_one_run_and_repeats_are_multiplied():
    texts = texts_of("transformer")
    assert {"input int32 2×7", "output 2×7×11"} <= set(texts)
    assert "repeat_0 · Repeat ×3 · 1,800 parameters" in texts
    assert texts.count("2×7×8 · 16 parameters ×3") == 2
    assert texts.count("+") == 2
    assert {"concatenate → 2×6×10", "forward", "backward"} <= set(texts_of("directions"))


def test_a_graph_names_its_inputs_and_outputs():
    texts = texts_of("graph")
    for text in ("image 4×8×8×3", "age 4×1", '→ risk <0> & "more" 4×1', "→ kind 4×3", "joined"):
        assert text in texts


def test_edges_say_what_they_carry():
    model, x = MODELS["graph"]
    root = ET.fromstring(fnn.draw(model, x).svg)
    tips = {path.findtext(f"{SVG}title") for path in root.iter(f"{SVG}path")}
    assert {"float32[4,8,8,3]", "float32[4,1]", "float32[4,16]", "float32[4,3]"} <= tips


def test_depth_folds_what_is_deeper():
    texts = texts_of("convolutions", depth=1)
    assert "Residual of 3 layers" in texts
    assert "conv_0" not in texts
    assert "conv_0" in texts_of("convolutions", depth=2)
    assert "Serial of 10 layers" in texts_of("convolutions", depth=0)


def test_a_long_chain_of_small_blocks_goes_on_beside_itself():
    model, x = MODELS["long"]
    root = ET.fromstring(fnn.draw(model, x).svg)
    assert float(root.get("height", "inf")) < 1300
    assert float(root.get("width", "inf")) < 2000


def test_lengths_beside_x_tied_and_recomputed_layers_are_drawn():
    x = SHAPE((2, 6, 3), "float32"), SHAPE((2,), "int32")
    assert "output (2×6×4, int32 2)" in [
        text for text, *_ in word_boxes(ET.fromstring(fnn.draw(fnn.Serial(fnn.Dense(4), fnn.GRU(4)), x).svg))
    ]
    tied = fnn.Tied(fnn.Serial(fnn.Dense(3), fnn.Remat(fnn.Dense(3))), {"remat_0/kernel": "dense_0/kernel"})
    texts = [text for text, *_ in word_boxes(ET.fromstring(fnn.draw(tied, SHAPE((2, 3), "float32")).svg))]
    assert any("Tied" in text and "15 parameters" in text for text in texts)


@dataclasses.dataclass(frozen=True)
class Plain(fnn.Layer):
    """A layer of a user's, with words that XML does not take as they are."""

    words: str = "\x00<&"

    def apply(self, params, state, x, *, train=False, key=None):
        return 2 * x, state


def test_one_layer_alone_and_one_of_a_user_are_drawn():
    picture = fnn.draw(Plain("\x07<&\ud800"), SHAPE((), "float32"))
    ET.fromstring(picture.svg.encode())
    assert "one number" in picture.svg
    assert fnn.draw(fnn.Serial(), SHAPE((2,), "float32"))._repr_svg_().startswith("<svg")


def test_a_drawing_is_saved_and_prints_as_its_call(tmp_path):
    model, x = MODELS["long"]
    picture = fnn.draw(fnn.Dense(2), SHAPE((1, 2), "float32"), depth=3)
    picture.save(tmp_path / "model.svg")
    assert (tmp_path / "model.svg").read_text(encoding="utf-8") == picture.svg == picture._repr_svg_()
    assert repr(picture) == "draw(Dense(features=2), x, depth=3)"
    assert fnn.draw(model, x).svg == fnn.draw(model, x).svg


def test_what_cannot_be_drawn_is_refused(tmp_path):
    x = SHAPE((1, 2), "float32")
    with pytest.raises(TypeError, match="draw takes a model, which is a layer, got 3"):
        fnn.draw(3, x)  # pyright: ignore[reportArgumentType]
    for depth in (-1, 1.5, True):
        with pytest.raises(ValueError, match="depth is how many boxes"):
            fnn.draw(fnn.Dense(2), x, depth=depth)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match=r"saved as SVG, got 'model.png'; write 'model.svg'"):
        fnn.draw(fnn.Dense(2), x).save(tmp_path / "model.png")
    with pytest.raises(ValueError, match=r"kernel|axes|shape"):
        fnn.draw(fnn.Serial(fnn.Conv(3, (3, 3))), x)
