"""The measurement of neuroevolution: what a quick run writes, and bad input."""

import json

import pytest

from experiments import neuroevolution
from experiments.weights import encodings


def test_a_quick_run_writes_the_page_its_numbers_and_the_picture(tmp_path):
    words = ["--quick", "--methods", "truncation_ga,ppo", "--only", "searches", "--out", str(tmp_path)]
    assert neuroevolution.main(words) == 0
    assert {path.name for path in tmp_path.iterdir()} == {"neuroevolution.md", "neuroevolution.json", "returns.png"}
    page = (tmp_path / "neuroevolution.md").read_text()
    assert "these figures mean nothing" in page
    assert str(tmp_path) not in page
    record = json.loads((tmp_path / "neuroevolution.json").read_text())
    rows = {row["method"]: row for row in record["searches"]["rows"]}
    assert list(rows) == ["truncation_ga", "ppo"]
    evolved = rows["truncation_ga"]
    # 8 members x 2 generations, an episode each of 20 steps at most; a forward pass a step.
    assert 8 * 2 < evolved["frames"] <= 8 * 2 * 20
    assert (evolved["forward"], evolved["backward"]) == (evolved["frames"], 0)
    assert [frames for frames, _ in evolved["curve"]] == sorted(frames for frames, _ in evolved["curve"])
    assert evolved["curve"][-1][0] == evolved["frames"]
    assert (rows["ppo"]["forward"], rows["ppo"]["backward"]) == (512 * 10, 512 * 8)
    for row in rows.values():
        assert len(row["fresh"]) == 2
        assert f"| {row['method']} | {row['num_weights']} |" in page
    # Another part is added to what is there.
    assert neuroevolution.main(["--quick", "--only", "encodings", "--out", str(tmp_path)]) == 0
    assert (tmp_path / "neuroevolution.md").read_text().startswith(page)
    assert list(json.loads((tmp_path / "neuroevolution.json").read_text())) == ["searches", "encodings"]
    # Of the searches only the rows that are measured anew are replaced.
    words = ["--quick", "--only", "searches", "--methods", "random_search,truncation_ga", "--out", str(tmp_path)]
    assert neuroevolution.main(words) == 0
    both = json.loads((tmp_path / "neuroevolution.json").read_text())["searches"]
    assert [row["method"] for row in both["rows"]] == ["truncation_ga", "random_search", "ppo"]
    assert both["rows"][2] == rows["ppo"]
    assert both["about"][: len(record["searches"]["about"])] == record["searches"]["about"]
    assert both["about"][-1].startswith("random_search, truncation_ga on CartPole-v1: ")


@pytest.mark.parametrize(
    "text", ["", "[1]", '{"machine": {}}', '{"searches": {"about": [], "rows": [{"env": 1}]}}', "\0"]
)
def test_a_folder_of_another_program_is_one_clear_line(text, tmp_path, capsys):
    (tmp_path / "neuroevolution.json").write_text(text)
    assert neuroevolution.main(["--quick", "--only", "encodings", "--out", str(tmp_path)]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert "neuroevolution.json is not of this program" in line


def test_the_encodings_hold_what_the_page_says():
    genes, seeds = encodings.measure(num_weights=500, num_mutations=3, population_size=16, num_rounds=1)
    assert genes.num_bytes - seeds.num_bytes == 4 * 2 * (500 - 5)  # 2 parents; 3 mutations, the founder, one to come


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--only", "search"], "--only must be one of searches, throughput, encodings, got 'search'"),
        (["--env", "Pong"], "--env must be one of CartPole-v1"),
        (["--methods", "dqn"], "--methods must be one of truncation_ga"),
        (["--num-searches", "3"], "--num-searches must be an even number, got 3"),
    ],
)
def test_bad_input(words, message, capsys):
    assert neuroevolution.main(words) == 2
    assert message in capsys.readouterr().err.replace("\n", " ")
