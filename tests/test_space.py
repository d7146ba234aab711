"""The search space: decode and encode are inverses, bounds hold by construction, mistakes are one clear line."""

import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxga import Categorical, Integer, LogInteger, LogUniform, SearchSpace, Uniform
from jaxga.space import dimension_from

SPACE = SearchSpace(
    lr=LogUniform(1e-5, 1.0),
    momentum=Uniform(-0.5, 0.99),
    layers=Integer(-3, 9),
    width=LogInteger(1, 100_000),
    activation=Categorical(["relu", "tanh", "gelu"]),
    batch=Categorical([128, 256, 512]),
    rate=Categorical([0.1, 0.25]),
    bias=Categorical([True, False]),
    depth=Categorical([2, "full", None]),
    step=Categorical([1, 0.1]),
)
GENOMES = st.lists(st.floats(0, 1, width=32), min_size=SPACE.size, max_size=SPACE.size)
decode = jax.jit(SPACE.decode)
# Genomes all over the cube, some of its corners among them.
MANY = jnp.asarray(
    np.concatenate([np.random.default_rng(0).random((500, SPACE.size)), np.eye(SPACE.size), 1 - np.eye(SPACE.size)]),
    jnp.float32,
)


@settings(max_examples=200, deadline=None)
@given(GENOMES)
def test_encode_is_the_inverse_of_setting(genome):
    setting = SPACE.setting(genome)
    again = SPACE.setting(SPACE.encode(setting))
    for name, dimension in SPACE.items:
        if dimension.num_levels:
            assert setting[name] == again[name]
        else:
            # One float32 rounding of the gene, times the range (of the logarithm).
            assert math.isclose(setting[name], again[name], rel_tol=2e-6, abs_tol=2e-7)


@settings(max_examples=200, deadline=None)
@given(GENOMES)
def test_every_setting_lies_in_its_bounds(genome):
    setting = SPACE.setting(genome)
    assert 1e-5 <= setting["lr"] <= 1.0
    assert -0.5 <= setting["momentum"] <= 0.99
    assert -3 <= setting["layers"] <= 9
    assert 1 <= setting["width"] <= 100_000
    assert setting["activation"] in ("relu", "tanh", "gelu")
    assert setting["batch"] in (128, 256, 512)
    assert setting["rate"] in (0.1, 0.25)
    assert setting["bias"] in (True, False)
    assert setting["depth"] in (2, "full", None)
    assert setting["step"] in (1, 0.1)


def test_snap_keeps_the_setting_and_is_idempotent():
    snapped = SPACE.snap(MANY)
    assert SPACE.settings(MANY) == SPACE.settings(snapped)
    np.testing.assert_array_equal(snapped, SPACE.snap(snapped))
    discrete = SPACE.is_discrete
    encoded = np.stack([SPACE.encode(setting) for setting in SPACE.settings(MANY)])
    np.testing.assert_array_equal(snapped[:, discrete], encoded[:, discrete])
    # A fitness function may encode a setting of its own.
    setting = SPACE.setting(MANY[0])
    np.testing.assert_array_equal(jax.jit(lambda: SPACE.encode(setting))(), encoded[0])


def test_level_bounds_enclose_the_gene_and_decode_to_its_value():
    low, high = SPACE.level_bounds(MANY)
    discrete = SPACE.is_discrete
    np.testing.assert_array_equal((low == high).all(0), ~discrete)
    # Within one float32 rounding of the logarithm, for the gene that lies on an edge.
    assert (np.asarray(low) <= MANY + 1e-6).all()
    assert (np.asarray(high) >= MANY - 1e-6).all()
    # float32 moves the edges of LogInteger's narrowest levels (1e-5 in the logarithm) by a fifth of a level at most:
    # the logarithm of 1e5 is 11.5, and float32 rounds it by 5e-7.
    for share in (0.25, 0.5, 0.75):
        assert SPACE.settings(jnp.where(discrete, low + share * (high - low), MANY)) == SPACE.settings(MANY)


@pytest.mark.parametrize("name", [name for name, dimension in SPACE.items if dimension.num_levels in range(2, 20)])
def test_the_levels_of_a_dimension_tile_the_unit_interval(name):
    dimension = dict(SPACE.items)[name]
    genes = jnp.linspace(0.0, 1.0, 1001)
    low, high = (np.unique(edges) for edges in SearchSpace({name: dimension}).level_bounds(genes[:, None]))
    assert len(low) == len(high) == dimension.num_levels
    np.testing.assert_allclose(np.append(low, 1.0), np.append(0.0, high), atol=1e-7)


def test_a_value_survives_its_text():
    for setting in SPACE.settings(MANY):
        for name, dimension in SPACE.items:
            value = setting[name]
            again = dimension.from_text(dimension.to_text(value))
            assert type(again) is type(value)
            # A real number is written in float32's digits.
            assert again == value or np.float32(again) == np.float32(value)
            column = np.array([value, value], dimension.dtype)
            assert {dimension.from_text(dimension.to_text(cell)) for cell in column} == {again}
            [position, _] = dimension.positions(column)
            assert dimension.low <= position <= dimension.high
            if dimension.is_categorical:
                assert dimension.labels[int(position)] == str(again)
            else:
                assert np.float32(position) == np.float32(again)


def test_large_whole_choices_are_not_taken_for_their_neighbours():
    choices = [2**24, 2**24 + 1, 2**31 - 2, 2**31 - 1]  # in float32 two numbers
    dimension = Categorical(choices)
    assert [dimension.from_text(str(choice)) for choice in choices] == choices
    assert [dimension.level(float(choice)) for choice in choices] == [0, 1, 2, 3]
    np.testing.assert_array_equal(dimension.positions(np.array(choices)), [0, 1, 2, 3])
    with pytest.raises(ValueError, match="value must be one of"):
        dimension.encode(np.float32(2**31))
    # Beside a number that is not whole they decode to float32.
    assert Categorical([0.5, 2**24 + 1]).level(np.float32(2**24 + 1)) == 1


def test_a_column_has_the_type_that_a_person_reads():
    assert {name: dimension.dtype.kind for name, dimension in SPACE.items} == {
        "lr": "f",
        "momentum": "f",
        "layers": "i",
        "width": "i",
        "activation": "U",
        "batch": "i",
        "rate": "f",
        "bias": "b",
        "depth": "O",
        "step": "f",
    }
    assert Categorical(["full", 2]).dtype == object  # numpy would make text of both


def test_a_space_survives_json():
    described = json.loads(json.dumps(SPACE.to_dict()))
    assert SearchSpace.from_dict(described) == SPACE
    numpy_bounds = SearchSpace(x=Uniform(np.float32(0.5), np.float64(2.0)), n=Integer(np.int64(1), 4))
    assert SearchSpace.from_dict(json.loads(json.dumps(numpy_bounds.to_dict()))) == numpy_bounds


@pytest.mark.parametrize(
    ("dimension", "cell"),
    [
        (Uniform(0.0, 1.0), "1.5"),
        (Uniform(0.0, 1.0), "high"),
        (Uniform(0.0, 1.0), "nan"),
        (LogUniform(1e-3, 1.0), "0"),
        (LogUniform(1e-12, 1e12), "-5.0"),
        (LogUniform(1e-12, 1e12), "9e-13"),
        (LogUniform(1e-12, 1e12), "1100000000000.0"),
        (Integer(1, 4), "2.5"),
        (Integer(1, 4), "5"),
        (Integer(0, 3_000_000), "-1"),
        (Integer(0, 3_000_000), "3000001"),
        (LogInteger(1, 100_000), "0.9"),
        (Integer(1, 4), "True"),
        (LogInteger(1, 4), ""),
        (Categorical([1, 2]), "3"),
        (Categorical([1, 2]), "one"),
        (Categorical(["a", "b"]), "A"),
        (Categorical([True, False]), "1"),
    ],
)
def test_text_that_is_no_value_is_refused(dimension, cell):
    with pytest.raises(ValueError, match=f"{type(dimension).__name__}: value must .* got '?{cell}") as raised:
        dimension.from_text(cell)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("low", [1.7e-12, 0.3, 1.1e9])
def test_a_bound_that_float32_moved_is_a_value(low):
    for dimension in (LogUniform(low, 3 * low), Uniform(low, 3 * low)):
        for bound in (np.float32(low), np.float32(3 * low)):
            assert math.isclose(dimension.from_text(str(bound)), bound, rel_tol=1e-6)
            assert -1e-6 < dimension.encode(bound) < 1.0 + 1e-6


@pytest.mark.parametrize("value", [1, 2, 3, 99, 1_000, 54_321, 99_999, 100_000])
def test_log_integer_round_trip_of_every_size(value):
    space = SearchSpace(n=LogInteger(1, 100_000))
    assert space.setting(space.encode({"n": value})) == {"n": value}


def test_every_integer_level_has_the_same_share():
    genes = jnp.linspace(0, 1, 13 * 1000, endpoint=False)[:, None]
    counts = np.unique(SearchSpace(n=Integer(-3, 9)).decode(genes)["n"], return_counts=True)[1]
    assert (np.abs(counts - 1000) <= 1).all()


def test_decode_gives_scalars_of_the_right_type_inside_jit():
    setting = decode(jnp.full(SPACE.size, 0.5))
    assert {name: (value.shape, value.dtype.name) for name, value in setting.items()} == {
        "lr": ((), "float32"),
        "momentum": ((), "float32"),
        "layers": ((), "int32"),
        "width": ((), "int32"),
        "activation": ((), "int32"),
        "batch": ((), "int32"),
        "rate": ((), "float32"),
        "bias": ((), "int32"),
        "depth": ((), "int32"),
        "step": ((), "float32"),
    }
    assert setting["batch"] == 256
    assert setting["activation"] == 1


def test_decode_of_a_population_equals_decode_of_each():
    genomes = jax.random.uniform(jax.random.key(0), (5, SPACE.size))
    one_by_one = [decode(genome) for genome in genomes]
    for name, column in SPACE.decode(genomes).items():
        np.testing.assert_allclose(column, [setting[name] for setting in one_by_one], rtol=1e-6)


def test_genes_outside_the_cube_are_clipped():
    assert SPACE.setting(np.full(SPACE.size, 7.0)) == SPACE.setting(np.ones(SPACE.size))
    assert SPACE.setting(np.full(SPACE.size, -7.0)) == SPACE.setting(np.zeros(SPACE.size))


def test_equal_spaces_are_equal_and_hash_alike():
    assert SearchSpace(x=Uniform(0, 1)) == SearchSpace({"x": Uniform(0, 1)})
    assert len({SearchSpace(x=Uniform(0, 1)), SearchSpace(x=Uniform(0, 1)), SearchSpace(y=Uniform(0, 1))}) == 2


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Uniform(1.0, 0.0), "low must be below high, got low=1.0, high=0.0"),
        (lambda: Uniform(0.0, math.inf), "high must be a finite number"),
        (lambda: Uniform("0", 1), "low must be a finite number, got '0'"),
        (lambda: Uniform(-3e38, 3e38), "must fit float32"),
        (lambda: LogUniform(0.0, 1.0), "low must be above 0"),
        (lambda: LogUniform(-1.0, 1.0), "low must be above 0"),
        (lambda: LogUniform(1.0, 0.1), "low must be below high"),
        (lambda: Integer(0.5, 3), "low must be a whole number, got 0.5"),
        (lambda: Integer(5, 5), "low must be below high"),
        (lambda: Integer(0, 2**23), "at most 4194304 levels"),
        (lambda: LogInteger(0, 9), "low must be at least 1"),
        (lambda: LogInteger(1, 200_000), "high must be at most 100000"),
        (lambda: Categorical(["a"]), "at least 2 choices"),
        (lambda: Categorical(["a", "a"]), "must differ"),
        (lambda: Categorical("ab"), "must be a list or tuple"),
        (lambda: Categorical([[1], [2]]), "must be a string, number, bool or None"),
        (lambda: SearchSpace(), "at least one dimension"),
        (lambda: SearchSpace(lr=0.1), "lr must be a Uniform"),
        (lambda: SPACE.encode({"lr": 0.1}), "a setting has the names"),
        (lambda: SearchSpace(x=Uniform(0, 1)).encode({"x": 1.5}), r"value must lie in \[0, 1\], got 1.5"),
        (lambda: SearchSpace(x=Categorical(["a", "b"])).encode({"x": "c"}), "must be one of"),
        (lambda: SearchSpace.from_dict(["x"]), "a dict of described dimensions is needed, got"),
        (lambda: SearchSpace.from_dict({"x": 1}), "SearchSpace: x: a dimension must have a kind of .* got 1"),
        (lambda: SearchSpace.from_dict({"x": {"kind": "Real"}}), "x: a dimension must have a kind of .*'Uniform'"),
        (lambda: dimension_from({"kind": "Uniform", "top": 1}), "must have a kind of .* and its arguments"),
        (lambda: dimension_from({"kind": "Uniform", "low": 1, "high": 0}), "Uniform: low must be below high"),
        (lambda: SPACE.settings(np.zeros((2, 3))), r"shape \[N, 10\], got \[2, 3\]"),
    ],
)
def test_a_mistake_is_one_line_with_what_was_given_and_what_is_allowed(make, message):
    with pytest.raises(ValueError, match=message) as raised:
        make()
    assert "\n" not in str(raised.value)
