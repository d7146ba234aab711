"""Classical models: the value against scikit-learn's own, tables from CSV files, and what is refused."""

import jax
import numpy as np
import pytest
from sklearn.datasets import load_diabetes, load_wine
from sklearn.ensemble import AdaBoostClassifier, RandomForestRegressor
from sklearn.model_selection import KFold, StratifiedKFold, cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

import jaxga
from jaxga.cli.run import main
from jaxga.tasks.classical import MODELS, CrossValidation, cross_validated, file_digest, load_table

SETTINGS = {
    "svm": {"kernel": "poly", "C": 2.0, "gamma": 0.05, "degree": 4},
    "knn": {"n_neighbors": 3, "weights": "distance", "p": 1.5},
    "adaboost": {"n_estimators": 10, "learning_rate": 0.5, "max_depth": 2},
    "random_forest": {"n_estimators": 10, "max_depth": 4, "max_features": 0.5, "min_samples_leaf": 2},
}


def reference(model):
    if model == "svm":
        return make_pipeline(StandardScaler(), SVC(C=2.0, gamma=0.05, kernel="poly", degree=4))
    if model == "knn":
        return make_pipeline(StandardScaler(), KNeighborsClassifier(3, weights="distance", p=1.5))
    return AdaBoostClassifier(DecisionTreeClassifier(max_depth=2), n_estimators=10, learning_rate=0.5, random_state=7)


@pytest.mark.parametrize("model", ["svm", "knn", "adaboost"])
def test_the_value_is_scikit_learns_error(model):
    folds = StratifiedKFold(4, shuffle=True, random_state=7)
    accuracy = cross_val_score(reference(model), *load_wine(return_X_y=True), cv=folds).mean()
    assert CrossValidation(model, "wine", None, 4)(7, SETTINGS[model]) == pytest.approx(1 - accuracy)


def test_a_regression_is_scored_by_r2():
    forest = RandomForestRegressor(**SETTINGS["random_forest"], random_state=7)
    folds = KFold(4, shuffle=True, random_state=7)
    r2 = cross_val_score(forest, *load_diabetes(return_X_y=True), cv=folds).mean()
    found = CrossValidation("random_forest", "diabetes", None, 4)(7, SETTINGS["random_forest"])
    assert found == pytest.approx(1 - r2)
    assert cross_validated("random_forest", "diabetes").objective.name == "1 - R^2"


@pytest.mark.parametrize("model", MODELS)
def test_every_space_has_the_names_that_its_model_takes(model):
    assert set(MODELS[model].space) == set(SETTINGS[model])


def test_each_kernel_has_its_own_hyperparameters():
    space = cross_validated("svm", "wine").space
    found = {setting["kernel"]: set(setting) for setting in space.settings([[x, 0.5, 0.5, 0.5] for x in (0, 0.5, 1)])}
    own = {"linear": {"C"}, "rbf": {"C", "gamma"}, "poly": {"C", "gamma", "degree"}}
    assert found == {kernel: {"kernel", *names} for kernel, names in own.items()}


def test_a_csv_file_is_a_table(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("a,kind,b\n1,x,0.5\n2,y,1.5\n3,x,0.25\n4,y,2\n")
    table = load_table(str(path), "kind", file_digest(str(path)))
    assert table.inputs.tolist() == [[1.0, 0.5], [2.0, 1.5], [3.0, 0.25], [4.0, 2.0]]
    assert table.targets.tolist() == ["x", "y", "x", "y"]
    assert not table.is_regression
    task = cross_validated("knn", str(path), target_column="kind", num_folds=2, num_workers=1)
    setting = {"n_neighbors": 1, "weights": 0, "p": 2.0}
    assert 0.0 <= float(task.evaluate(jax.random.key(0), setting).value) <= 1.0
    before = file_digest(str(path))
    path.write_text("a,b\n1,0.5\n2,1.5\n")
    assert load_table(str(path), "b", file_digest(str(path))).is_regression
    with pytest.raises(ValueError, match=r"table\.csv was changed during the search"):
        load_table(str(path), "b", before)


def test_a_run_is_not_resumed_with_another_file(tmp_path, capsys):
    path = tmp_path / "table.csv"
    path.write_text("a,b\n" + "".join(f"{i},{i % 2}\n" for i in range(8)))
    run = ["--out", str(tmp_path / "run")]
    options = "--task svm --target-column b --set num_folds=2 --pop 2 --generations 1 --fresh 1 --processes 1"
    assert main([*options.split(), "--dataset", str(path), "--no-report", *run]) == 0
    goes_on = ["--resume", str(tmp_path / "run"), "--generations", "2", "--processes", "1"]
    assert main([*goes_on, "--dry-run"]) == 0
    plan = capsys.readouterr().out
    assert "goes on" in plan
    assert "held fixed" not in plan  # the number of workers is no hyperparameter
    path.write_text(path.read_text() + "9,1\n")
    assert main(goes_on) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "cannot resume" in error
    assert "data" in error


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        (None, {}, "there is no file"),
        ("a,b\n1,2\n2,1\n", {"target_column": "c"}, r"target_column must be one of \['a', 'b'\], got 'c'"),
        ("a,b\n1,2\n,1\n", {"target_column": "b"}, "column 'a' of .* must hold a finite number in each row"),
        ("a,b\n1,x\n2,\n", {"target_column": "a"}, "column 'b' of .* must hold a finite number"),
        ("a,b\n1,0.5\n2,\n", {"target_column": "b"}, "the target column 'b' of .* has an empty cell"),
        ("a,b\n1,u\n2,\n", {"target_column": "b"}, "the target column 'b' of .* has an empty cell"),
        ("a,a,b\n1,2,u\n2,3,v\n", {"target_column": "b"}, "has two columns 'a'"),
        ("a\n1\n2\n", {"target_column": "a"}, "must have a column beside the target and at least 2 rows"),
        ("a,b\n1\n2,3,4\n", {"target_column": "a"}, "is no CSV table"),
        ("a,b\n1,0\n2,0\n3,1\n", {"target_column": "b"}, "num_folds must be at most 1 for .*, got 5"),
    ],
)
def test_a_bad_table_is_one_line(tmp_path, text, options, message):
    path = tmp_path / "bad.csv"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ValueError, match=message) as raised:
        cross_validated("svm", str(path), **options)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--task svm --dataset wines", "dataset must be one of"),
        ("--task svm --dataset wine --target-column a", "--target-column is for a CSV file"),
        ("--task svm --set num_folds=1", "num_folds must be a whole number of at least 2"),
        ("--task guess --target-column a", "--target-column does not apply to --task guess"),
    ],
)
def test_the_command_line_refuses_in_one_line(arguments, message, capsys):
    assert main([*arguments.split(), "--dry-run"]) == 2
    text = capsys.readouterr().err
    assert message in text
    assert len(text.strip().splitlines()) == 1


@pytest.mark.usefixtures("quick_programs")
def test_a_search_finds_a_better_setting_than_the_median_founder():
    task = cross_validated("knn", "wine", num_folds=3, num_workers=2)
    result = jaxga.optimize(task, population_size=8, num_generations=3, num_fresh=1)
    founders = result.history.columns["value"][:8]
    assert result.best_value < np.median(founders)
