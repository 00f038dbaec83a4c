"""What each rule on data is about, in a sentence for people who look at the findings."""

from __future__ import annotations

_MEANINGS = {
    "annotation_duplicate": "An image has two annotation files.",
    "box_degenerate": "The box has no area, or a coordinate that is missing or not a number.",
    "box_duplicate": "The box repeats an earlier box of the same class.",
    "box_outside_image": "The box reaches outside its image.",
    "box_tiny": "The box is too small to show anything.",
    "class_absent": "A class has no box in a split.",
    "class_imbalance": "A class has far fewer training boxes than the largest class.",
    "classes_alike": "Classes differ only in letter case, invisible characters or Unicode forms.",
    "duplicate_across_splits": "The same image is in several splits: the evaluation would include training images.",
    "duplicate_in_split": "A split holds the same image more than once, so it counts several times.",
    "exif_rotated": "The camera stored a rotation with the image.",
    "file_unusable": "The file is not a regular file, or its name is not UTF-8.",
    "filename_unsafe": "The annotation's <filename> points outside the data folder.",
    "folder_unreadable": "The folder cannot be listed, or its name is not UTF-8.",
    "image_animated": "The image has several frames; only the first is used.",
    "image_missing": "An annotation or a list entry has no image.",
    "image_not_annotated": "The image has no annotation file.",
    "image_not_listed": "No split list names these images.",
    "image_range": "The range of 16-bit or float pixels was guessed, or the image is almost black.",
    "image_too_large": "The image is larger than the limit.",
    "image_truncated": "The image file is incomplete.",
    "image_unreadable": "The image file is damaged or of an unknown format.",
    "label_control_character": "The class name has a line break or another control character.",
    "label_outside_label_map": "The class is missing from the label map.",
    "label_unknown": "The box has no class name, or one that the given label map lacks.",
    "listed_twice": "Two split lists name the image.",
    "match_doubtful": "An image and an annotation of one name lie in folders that otherwise belong to others.",
    "near_duplicate_across_splits": "Images in two splits look almost the same, so the scores may be too optimistic.",
    "size_mismatch": "The annotation states another size than the image has.",
    "span_drift": "The newest images differ from those before them.",
    "split_by_folder": "Folder names define the splits.",
    "xml_forbidden": "The annotation declares XML entities, which are not allowed.",
    "xml_unreadable": "The annotation file cannot be read as Pascal VOC.",
}


def explain_rule(name: str) -> str:
    """Return what a rule is about; "" for a rule without a sentence."""
    return _MEANINGS.get(name, "")
