"""How many of the first labels that `reefline review-labels` lists are wrong?

    python benchmarks/review_labels.py --bundle DIR --data DIR [--share 0.05] [--seed 0] [--split NAME] [--page DIR]

Plants faults in a copy of a data set: `--share` of its boxes, a third of them each deleted, given another class, and
moved and resized so that the IoU with the old box is 0.4 to 0.6. Then it reviews the copy and the data set itself with
the bundle's model, and prints how many of the first 50 doubts are planted, and how many of the others the data set
itself raises, too. Those may be real faults; `--page` keeps the data set's own page to judge.

`--split` reviews the images of one list of ImageSets alone, such as test, which the model did not see in training.
"""

from __future__ import annotations

import argparse
import dataclasses
import random
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

REPO_DIR = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPO_DIR))

from reefline.evaluation.matching import compute_ious  # noqa: E402
from reefline.formats.voc import format_voc_annotation, parse_voc_annotation  # noqa: E402
from reefline.labelling.disagreement import DoubtKind  # noqa: E402
from reefline.labelling.review import ImageDoubt, LabelReview, ReviewRequest, review_labels  # noqa: E402
from reefline.structures.annotation import AnnotatedObject, Annotation  # noqa: E402
from reefline.structures.boxes import BoxXyxyPx  # noqa: E402

FIRST = 50
LOOSE_IOU = (0.4, 0.6)


@dataclass(frozen=True)
class Fault:
    """A planted fault: the image's stem, the true box, and the object's place in the XML, None if it was deleted."""

    stem: str
    kind: DoubtKind
    box: BoxXyxyPx
    index: int | None


def main() -> None:
    options = _parse_options()
    with tempfile.TemporaryDirectory() as scratch:
        clean, faulty = Path(scratch) / "clean", Path(scratch) / "faulty"
        stems = _copy(options.data, clean, options.split)
        shutil.copytree(clean, faulty)
        faults = _plant(faulty / "Annotations", stems, options.share, options.seed)
        before = _review(clean, options.bundle, options.page or Path(scratch) / "before")
        after = _review(faulty, options.bundle, Path(scratch) / "after")
    kinds = Counter(fault.kind for fault in faults)
    print(f"{before.boxes} boxes in {before.images} images; planted: {_show(kinds)}")
    print(f"doubts about the data set itself: {_show(Counter(each.doubt.kind for each in before.doubts))}")
    _print_row("any kind", after.doubts, faults, before)
    for kind in DoubtKind:
        of_kind = [each for each in after.doubts if each.doubt.kind is kind]
        _print_row(kind.value, of_kind, [fault for fault in faults if fault.kind is kind], before)


def _print_row(name: str, doubts: Sequence[ImageDoubt], faults: Sequence[Fault], before: LabelReview) -> None:
    hits = [_find_fault(each, faults) for each in doubts]
    first = doubts[:FIRST]
    planted = sum(hit is not None for hit in hits[:FIRST])
    own = sum(hit is None and _is_old(each, before) for each, hit in zip(first, hits, strict=False))
    print(
        f"{name:12} first {len(first)}: {planted} planted ({planted / max(1, len(first)):.2f}), {own} of the data set, "
        f"{len(first) - planted - own} others; all {len(doubts)}: {len(set(hits) - {None})} of {len(faults)} planted"
    )


def _find_fault(each: ImageDoubt, faults: Sequence[Fault]) -> Fault | None:
    """Return the planted fault that a doubt is about. A wrong class at a loose box counts: the person looks there."""
    stem, doubt = Path(each.image).stem, each.doubt
    for fault in faults:
        if fault.stem != stem:
            continue
        if fault.index is None and doubt.kind is DoubtKind.MISSING_BOX and _iou(doubt.box, fault.box) >= 0.5:
            return fault
        if fault.index is not None and fault.index == doubt.object_index:
            return fault
    return None


def _is_old(each: ImageDoubt, before: LabelReview) -> bool:
    """Return whether the data set itself raises the doubt: of the same kind at the same place."""
    return any(
        old.image == each.image and old.doubt.kind is each.doubt.kind and _iou(old.doubt.box, each.doubt.box) > 0.99
        for old in before.doubts
    )


def _copy(data: Path, target: Path, split: str | None) -> list[str]:
    """Copy the images of a VOC folder and their annotations, and return the stems."""
    stems = sorted(path.stem for path in (data / "Annotations").glob("*.xml"))
    if split is not None:
        listed = set((data / "ImageSets" / "Main" / f"{split}.txt").read_text().split())
        stems = [stem for stem in stems if stem in listed]
    for folder in ("JPEGImages", "Annotations"):
        (target / folder).mkdir(parents=True)
        for path in sorted((data / folder).iterdir()):
            if path.stem in stems:
                shutil.copyfile(path, target / folder / path.name)
    return stems


def _plant(annotations: Path, stems: Sequence[str], share: float, seed: int) -> list[Fault]:
    rng = random.Random(seed)
    parsed = {stem: parse_voc_annotation((annotations / f"{stem}.xml").read_bytes()) for stem in stems}
    labels = sorted({item.label for each in parsed.values() for item in each.objects})
    places = [(stem, index) for stem in stems for index in range(len(parsed[stem].objects))]
    chosen = rng.sample(places, round(share * len(places)))
    kinds = {place: tuple(DoubtKind)[number % len(DoubtKind)] for number, place in enumerate(chosen)}
    faults = []
    for stem, annotation in parsed.items():
        objects: list[AnnotatedObject] = []
        for index, item in enumerate(annotation.objects):
            kind = kinds.get((stem, index))
            if kind is not None:
                is_deleted = kind is DoubtKind.MISSING_BOX
                faults.append(Fault(stem, kind, item.box_xyxy_px, None if is_deleted else len(objects)))
                if is_deleted:
                    continue
            if kind is DoubtKind.WRONG_CLASS:
                item = item._replace(label=rng.choice([label for label in labels if label != item.label]))
            elif kind is DoubtKind.LOOSE_BOX:
                item = item._replace(box_xyxy_px=_loosen(item.box_xyxy_px, annotation, rng))
            objects.append(item)
        changed = dataclasses.replace(annotation, objects=tuple(objects))
        (annotations / f"{stem}.xml").write_bytes(format_voc_annotation(changed))
    return faults


def _loosen(box: BoxXyxyPx, annotation: Annotation, rng: random.Random) -> BoxXyxyPx:
    """Return a box with an IoU of 0.4 to 0.6 with another, inside the image where that is possible."""
    loose = box
    for _ in range(1000):
        x, y = (rng.uniform(-0.35, 0.35) for _ in range(2))
        wider, higher = (rng.uniform(0.75, 1.45) for _ in range(2))
        x_min, y_min = box.x_min + x * box.width_px, box.y_min + y * box.height_px
        loose = BoxXyxyPx(x_min, y_min, x_min + wider * box.width_px, y_min + higher * box.height_px)
        loose = BoxXyxyPx(*map(round, loose.clipped(annotation.width_px or 0, annotation.height_px or 0)))
        if LOOSE_IOU[0] <= _iou(box, loose) <= LOOSE_IOU[1]:
            break
    return loose


def _iou(box: BoxXyxyPx, other: BoxXyxyPx) -> float:
    import numpy as np

    return float(compute_ious(np.array([box], dtype=float), np.array([other], dtype=float))[0, 0])


def _review(data: Path, bundle: Path, out: Path) -> LabelReview:
    return review_labels(ReviewRequest(data, out, str(bundle), is_quiet=True))


def _show(counts: Counter[DoubtKind]) -> str:
    return ", ".join(f"{counts[kind]} {kind.value}" for kind in DoubtKind)


def _parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, required=True, help="the bundle of a model trained on the data set")
    parser.add_argument("--data", type=Path, required=True, help="a VOC data set: JPEGImages, Annotations, ImageSets")
    parser.add_argument("--share", type=float, default=0.05, help="how many of the boxes get a fault")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--split", help="review this list of ImageSets/Main alone, such as test")
    parser.add_argument("--page", type=Path, help="keep the review of the data set itself in this new folder")
    return parser.parse_args()


if __name__ == "__main__":
    main()
