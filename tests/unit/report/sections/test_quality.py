"""The quality section from the artifacts of a run."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from reefline.errors import RecordError
from reefline.evaluation.report import EvaluationReport
from reefline.evaluation.scores import Precision, Scores
from reefline.report.sections import quality
from reefline.report.sections.quality import QualityFacts, find_quality_facts, make_quality_section
from reefline.report.sources import RunSources
from reefline.structures.artifacts import EvaluationFolder, ScoresFolder
from reefline.tflite.quantization_report import QuantizationReport
from tests.factories_evaluation import make_detections, make_ground_truth, make_scores
from tests.factories_quality import make_split, write_scores


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunSources:
    return write_scores(tmp_path_factory.mktemp("scores"), make_split())


@pytest.fixture(scope="module")
def html(run: RunSources) -> str:
    return make_html(run)


def make_html(sources: RunSources) -> str:
    """Return the HTML of the section."""
    section = make_quality_section(sources)
    assert section is not None
    assert (section.id, section.title) == ("quality", "Quality")
    return section.html


def find(sources: RunSources) -> QualityFacts:
    """Return the facts of a run that scored."""
    facts = find_quality_facts(sources)
    assert facts is not None
    return facts


def test_a_run_that_scored_nothing_has_no_section() -> None:
    assert make_quality_section(RunSources()) is None


def test_every_picture_is_embedded_once_however_often_it_is_shown(html: str) -> None:
    embedded = re.findall(r'<image id="(photo-\d+)" href="(data:image/jpeg;base64,[^"]+)"', html)
    used = re.findall(r'<use href="#(photo-\d+)"/>', html)
    assert len(dict(embedded)) == len({uri for _, uri in embedded}) == html.count("data:image") == len(embedded)
    assert set(used) == set(dict(embedded))
    # Candidate and baseline show the same image, and so may the gallery.
    assert len(used) > len(embedded)


def test_facts_of_all_three_models(run: RunSources) -> None:
    facts = find(run)
    assert facts.detections is not None and facts.detections.changes is not None
    changes = facts.detections.changes
    assert changes.better + changes.worse + changes.unchanged == facts.detections.images == 24
    assert changes.better_figures and len(changes.better_figures) == min(8, changes.better)
    assert [figure.gain for figure in changes.better_figures] == sorted(
        (figure.gain for figure in changes.better_figures), reverse=True
    )
    costs = [each.cost for each in facts.detections.costs]
    assert costs == sorted(costs, reverse=True) and costs[0] > 0
    assert sum(each.count for each in facts.detections.costs) == facts.detections.gallery.errors_total


def test_the_views_of_a_changed_image_are_those_of_each_model(run: RunSources) -> None:
    facts = find(run)
    assert facts.detections is not None and facts.detections.changes is not None
    for figure in facts.detections.changes.better_figures:
        candidate, baseline = figure.views
        assert (candidate.name, baseline.name) == ("Candidate", "Baseline")
        for view in figure.views:
            roles = [box.role.value for box in view.boxes]
            assert roles.count("found") == view.tally.correct
            assert roles.count("wrong") == view.tally.wrong
            # An object that a wrong detection overlaps is missed as well, but fixing that detection would find it.
            assert roles.count("missed") <= view.tally.missed


def test_without_a_baseline_nothing_is_compared(tmp_path: Path) -> None:
    html = make_html(write_scores(tmp_path, make_split(6, with_baseline=False)))
    assert "nothing was serving, so there is no baseline" in html
    assert "vs baseline" not in html and "Candidate against baseline" not in html


def test_scores_without_detections_still_have_their_numbers(tmp_path: Path) -> None:
    make_scores(precision=Precision.FLOAT).write(tmp_path / "scores.json")
    html = make_html(RunSources(scores=ScoresFolder(tmp_path)))
    assert "Shipped (float)" in html and "0.500" in html
    assert "This run kept no detections" in html
    assert "Confusion matrix" not in html and "confusion-data" not in html


def test_without_thumbnails_the_boxes_are_still_drawn(tmp_path: Path) -> None:
    html = make_html(write_scores(tmp_path, make_split(4), thumbnails=False))
    assert "data:image" not in html and "<use" not in html
    assert html.count('class="overlay"') > 0


def test_what_is_left_out_is_stated(run: RunSources, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quality, "MAX_EMBEDDED_BYTES", 30_000)
    facts = find(run)
    assert facts.detections is not None
    left_out = facts.detections.gallery.images_left_out
    assert left_out > 1
    assert f"{left_out} images with errors are left out" in make_html(run)
    assert sum(len(photo.uri) for photo in facts.detections.photos) <= 30_000


def test_more_classes_than_lines_are_counted(tmp_path: Path) -> None:
    names = tuple(f"class {number}" for number in range(35))
    html = make_html(write_scores(tmp_path, make_split(60, names)))
    assert re.search(r"The 8 of 3\d classes with the lowest average precision have a line", html)
    assert "classes are left out: they are confused with another class least often" in html


def test_names_from_data_are_text(tmp_path: Path) -> None:
    hostile = '</script><img src=x onerror="alert(1)">'
    html = make_html(write_scores(tmp_path, make_split(6, (hostile, "'\"&", "x" * 10_000), names=(f"{hostile}.jpg",))))
    assert "<img" not in html and "onerror=&" in html
    assert html.count("</script>") == 1


def test_a_diagnosis_of_the_int8_model_is_shown(run: RunSources, tmp_path: Path) -> None:
    assert run.scores is not None
    report = QuantizationReport(failure="no memory")
    EvaluationReport(Scores.read(run.scores.scores), (), report).write(tmp_path / "evaluation.json")
    html = make_html(replace(run, evaluation=EvaluationFolder(tmp_path)))
    assert "The tensors with the widest ranges could not be determined: no memory." in html


def test_damaged_scores_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "scores.json").write_text("{}", encoding="utf-8")
    with pytest.raises(RecordError, match="int8: damaged"):
        make_quality_section(RunSources(scores=ScoresFolder(tmp_path)))


def test_a_model_that_detects_nothing_and_images_without_objects(tmp_path: Path) -> None:
    split = make_split(3)
    nothing = make_detections()
    split = replace(
        split,
        ground_truth=(make_ground_truth(), *split.ground_truth[1:]),
        detections=dict.fromkeys(split.detections, (nothing,) * 3),
    )
    sources = write_scores(tmp_path, split)
    facts = find(sources)
    assert facts.detections is not None and facts.detections.changes is not None
    objects = sum(split.ground_truth_counts())
    assert facts.detections.gallery.errors_total == objects > 0
    assert [row.confidence for row in facts.classes] == [None] * 3
    assert facts.detections.changes.unchanged == 3
    assert f"0 correct, 0 as another class, {objects} missed, 0 on background" in make_html(sources)
