"""`reefline detect --video` on small videos."""

from __future__ import annotations

import json
import resource
import signal
import struct
from collections.abc import Iterator
from pathlib import Path

import cv2
import pytest
from typer.testing import CliRunner

from reefline.cli import app
from reefline.errors import DataError, UsageError
from reefline.inference.video.detect_in_video import VideoRequest, detect_in_video
from reefline.inference.video.frames import VideoSource
from reefline.system import extras
from reefline.system.extras import Extra
from tests.factories_detect import push_small_bundle
from tests.factories_video import write_video

HALVES = [("red", "green"), ("red", "black"), ("black", "black"), ("green", "red")] * 3
LABELS = [{"cat", "dog"}, {"cat"}, set(), {"cat", "dog"}] * 3


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Path:
    return push_small_bundle(tmp_path_factory.mktemp("pushed"))


@pytest.fixture(scope="module")
def video(tmp_path_factory) -> Path:
    return write_video(tmp_path_factory.mktemp("video") / "a.mp4", HALVES)


@pytest.fixture
def full_disk() -> Iterator[None]:
    """Let no file of this process grow beyond 2 KiB."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2048, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def run(*arguments: object):
    return CliRunner().invoke(app, ["detect", *map(str, arguments)])


def read_lines(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


def test_one_line_per_frame(bundle: Path, video: Path) -> None:
    result = run("--bundle", bundle, "--video", video)

    assert result.exit_code == 0, result.output
    lines = read_lines(result.stdout)
    assert [line["frame"] for line in lines] == list(range(12))
    assert [line["time_s"] for line in lines] == pytest.approx([number / 10 for number in range(12)], abs=0.001)
    assert [{seen["label"] for seen in line["detections"]} for line in lines] == LABELS
    assert all(line["size"] == [192, 96] and line["latency_ms"] > 0 for line in lines)
    by_label = {seen["label"]: seen["box_xyxy_px"] for seen in lines[3]["detections"]}
    assert by_label["cat"] == pytest.approx([96, 0, 192, 96], abs=3)


def test_every_nth_frame(bundle: Path, video: Path) -> None:
    lines = read_lines(run("--bundle", bundle, "--video", video, "--every", 5).stdout)
    assert [(line["frame"], line["time_s"]) for line in lines] == [(0, 0.0), (5, 0.5), (10, 1.0)]


def test_two_interpreters_give_the_same_lines_in_order(bundle: Path, video: Path) -> None:
    found = [
        read_lines(run("--bundle", bundle, "--video", video, "--interpreters", count).stdout) for count in (1, 2, 3)
    ]
    for lines in found:
        for line in lines:
            assert line.pop("latency_ms") > 0
    assert found[0] == found[1] == found[2]
    assert len(found[0]) == 12


def test_the_video_with_boxes(bundle: Path, video: Path, tmp_path: Path) -> None:
    result = run("--bundle", bundle, "--video", video, "--every", 2, "--out", tmp_path / "seen.mp4")

    assert result.exit_code == 0, result.output
    assert [path.name for path in tmp_path.iterdir()] == ["seen.mp4"]
    with VideoSource(tmp_path / "seen.mp4") as seen, VideoSource(video) as original:
        assert seen.fps == 5
        frames, plain = list(seen.read()), list(original.read(every=2))
    assert len(frames) == len(plain) == 6
    # The first frame has two boxes and their names, the second, all black, none.
    changed = [abs(a.image_rgb.astype(int) - b.image_rgb).max() for a, b in zip(frames, plain, strict=True)]
    assert changed[0] > 100 > 20 > changed[1]


@pytest.mark.usefixtures("full_disk")
@pytest.mark.parametrize("ending", ["mp4", "avi", "mkv"])
def test_a_full_disk_keeps_the_old_video(bundle: Path, video: Path, tmp_path: Path, ending: str) -> None:
    (tmp_path / f"seen.{ending}").write_bytes(b"old")
    result = run("--bundle", bundle, "--video", video, "--out", tmp_path / f"seen.{ending}")

    assert result.exit_code == 2
    assert "of 12 frames could be written; the video is not kept: free disk space" in result.stderr
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]


def test_a_video_that_cannot_be_moved_to_its_place_leaves_nothing(bundle: Path, video: Path, tmp_path: Path) -> None:
    out = tmp_path / "seen.mp4"

    def put_a_folder_there(_) -> None:
        out.mkdir(exist_ok=True)

    with pytest.raises(UsageError, match=r"seen\.mp4: cannot write it \(Is a directory\); name another file"):
        detect_in_video(VideoRequest(bundle, video, out), put_a_folder_there)
    assert [path.name for path in tmp_path.iterdir()] == ["seen.mp4"]


def test_a_longer_audio_track_is_no_damage(bundle: Path, tmp_path: Path) -> None:
    """Matroska stores a duration, and no number of frames."""
    video = write_video(tmp_path / "a.mkv", HALVES)
    content = video.read_bytes()
    duration = content.index(b"\x44\x89\x88") + 3
    video.write_bytes(content[:duration] + struct.pack(">d", 9000.0) + content[duration + 8 :])
    result = run("--bundle", bundle, "--video", video)

    assert cv2.VideoCapture(str(video)).get(cv2.CAP_PROP_FRAME_COUNT) == 90
    assert (result.exit_code, result.stderr) == (0, "")
    assert len(read_lines(result.stdout)) == 12


@pytest.mark.parametrize(
    ("boxes", "is_damaged"),
    [
        pytest.param([(b"free", 8), (b"mdat", 40), (b"moov", 40)], True, id="plain"),
        pytest.param([(b"moov", 40), (b"moof", 40), (b"mdat", 40)], False, id="fragments"),
        pytest.param([(b"mdat", 40)], False, id="no-index"),
    ],
)
def test_the_number_of_frames_of_an_mp4(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, boxes: list[tuple[bytes, int]], is_damaged: bool
) -> None:
    with VideoSource(write_video(tmp_path / "a.mp4", HALVES)) as source:
        source.path.write_bytes(b"".join(struct.pack(">I4s", size, kind) + bytes(size - 8) for kind, size in boxes))
        monkeypatch.setattr("cv2.CAP_PROP_FRAME_COUNT", cv2.CAP_PROP_FRAME_WIDTH)
        if is_damaged:
            with pytest.raises(DataError, match=r"ends after 12 of 192 frames \(damaged or truncated\)"):
                list(source.read())
        else:
            assert len(list(source.read())) == 12


def test_a_truncated_video_gives_what_came_before(bundle: Path, tmp_path: Path) -> None:
    """An AVI has its index at the end, and frames can be read without."""
    whole = write_video(tmp_path / "a.avi", HALVES * 5)
    content = whole.read_bytes()
    whole.write_bytes(content[: len(content) // 2])
    for count in (1, 2):
        result = run("--bundle", bundle, "--video", whole, "--interpreters", count)
        lines = read_lines(result.stdout)
        assert 0 < len(lines) < 58
        assert result.exit_code == 2
        assert f"ends after {len(lines)} of " in result.stderr and "(damaged or truncated)" in result.stderr


def test_ctrl_c_completes_the_video(bundle: Path, video: Path, tmp_path: Path) -> None:
    numbers = []

    def stop_at_three(result) -> None:
        numbers.append(result.frame.number)
        if result.frame.number == 3:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt, match=r"^$"):
        detect_in_video(VideoRequest(bundle, video, tmp_path / "seen.mp4"), stop_at_three)
    assert numbers == [0, 1, 2, 3]
    with VideoSource(tmp_path / "seen.mp4") as seen:
        assert len(list(seen.read())) == 4


def test_a_camera_has_the_time_of_arrival_and_should_not_end(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with VideoSource(video) as source:
        monkeypatch.setattr(source, "_is_camera", True)
        frames = source.read()
        first, second = next(frames), next(frames)
        assert 0 <= first.time_s < second.time_s
        with pytest.raises(DataError, match="the camera stopped after 12 frames; check its connection"):
            list(frames)


def test_the_extra_is_missing(bundle: Path, video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(extras.MODULES, Extra.VIDEO, ("no_such_module",))
    result = run("--bundle", bundle, "--video", video)
    assert result.exit_code == 2
    assert result.stderr == "error: --video needs the extra `video`: pip install 'reefline[video]'\n"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        pytest.param("missing.mp4", "no such file; name a video", id="missing"),
        pytest.param(
            "/dev/video99", "--video /dev/video99: no such device; `ls /dev/video*` lists cameras", id="camera"
        ),
        pytest.param("/dev/null", "cannot open it (not a camera, or another program uses it)", id="no-camera"),
        pytest.param(".", "a folder; name a video", id="folder"),
        pytest.param("text.mp4", "cannot open it (not a video, or damaged); name another", id="no-video"),
    ],
)
def test_what_cannot_be_opened(bundle: Path, tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "text.mp4").write_text("no video, and called one")
    result = run("--bundle", bundle, "--video", tmp_path / name)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param((), "nothing to detect in: pass IMAGE..., or --video FILE", id="nothing"),
        pytest.param(("a.png", "--video", "VIDEO"), "images and --video: pass IMAGE..., or --video FILE", id="both"),
        pytest.param(("--video", "VIDEO", "--out", "seen"), "expected a name ending in .mp4, .avi, .mkv", id="ending"),
        pytest.param(("--video", "VIDEO", "--out", "VIDEO"), "would replace the video itself", id="itself"),
        pytest.param(("--video", "VIDEO", "--out", "no/such/a.mp4"), "no such folder no/such; create it", id="folder"),
        pytest.param(
            ("--video", "VIDEO", "--out", "FOLDER"), "a.mp4: a folder; with --video, name a file", id="is-folder"
        ),
        pytest.param(("--video", "VIDEO", "--json"), "--json with --video: the output is JSON already", id="json"),
        pytest.param(("a.png", "--every", "3"), "--every 3: only works with --video; leave it out", id="every"),
        pytest.param(
            ("--video", "rtsp://cam/stream"),
            "--video rtsp://cam/stream: only files and /dev/videoN can be read; record or download a file first",
            id="stream",
        ),
        pytest.param(("--video", "VIDEO", "--min-score", "7"), "--min-score 7.0: expected a number", id="score"),
    ],
)
def test_options_that_make_no_sense(
    bundle: Path, video: Path, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    (tmp_path / "a.mp4").mkdir()
    places = {"VIDEO": str(video), "FOLDER": str(tmp_path / "a.mp4")}
    result = run("--bundle", bundle, *(places.get(part, part) for part in arguments))
    assert result.exit_code == 2
    assert message in result.stderr


def test_a_video_without_frames(tmp_path: Path) -> None:
    with VideoSource(write_video(tmp_path / "a.mp4", HALVES)) as source:
        while source._capture.grab():
            pass
        with pytest.raises(DataError, match="no frame can be decoded; export or copy the video again"):
            list(source.read())


def test_frames_are_rgb(video: Path) -> None:
    with VideoSource(video) as source:
        first = next(iter(source.read()))
    red, green, blue = (int(value) for value in first.image_rgb[48, 40])
    assert red > 200 > 60 > max(green, blue)
    assert cv2.VideoCapture(str(video)).read()[1][48, 40, 2] == red
