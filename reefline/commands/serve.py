"""`reefline serve`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from reefline.commands.options import (
    DeviceOption,
    InterpretersOption,
    MinScoreOption,
    PublicKeyOption,
    parse_choice,
)
from reefline.system.terminal import say, say_error

if TYPE_CHECKING:
    from reefline.service.serving import ServeListener


def serve(
    bundle: Annotated[
        str,
        typer.Option(
            metavar="DIR|URI",
            help="a model's folder, <workspace>/serving/<model>, to follow its CURRENT; or one version's",
        ),
    ],
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="the address to listen on")] = "127.0.0.1",
    port: Annotated[int, typer.Option(metavar="N", min=0, max=65535, help="the port; 0 chooses a free one")] = 8080,
    min_score: MinScoreOption = None,
    device: DeviceOption = "auto",
    interpreters: InterpretersOption = 1,
    max_queue: Annotated[
        int, typer.Option(metavar="N", min=1, max=10_000, help="images that may wait; more get 503")
    ] = 16,
    max_body: Annotated[
        int, typer.Option(metavar="BYTES", min=1, max=1_000_000_000, help="the largest image file; larger get 413")
    ] = 20_000_000,
    max_pixels: Annotated[
        int, typer.Option(metavar="N", min=1, max=500_000_000, help="the most pixels of an image; more get 413")
    ] = 50_000_000,
    public_key: PublicKeyOption = None,
) -> None:
    """Serve a bundle over HTTP: POST /detect an image, GET /healthz, GET /metrics. Ctrl-C or SIGTERM stops it."""
    from reefline.inference.detect.records import Device
    from reefline.service.serving import ServeRequest
    from reefline.service.serving import serve as run_service
    from reefline.service.serving_model import ModelRequest
    from reefline.storage.location import Location

    chosen = parse_choice("--device", device, Device)
    model = ModelRequest(Location.parse(bundle), chosen, interpreters, min_score, public_key)
    run_service(ServeRequest(model, host, port, max_queue, max_body, max_pixels), _make_listener())
    say("Stopped.")


def _make_listener() -> ServeListener:
    from reefline.service.serving import ServeListener
    from reefline.service.serving_model import ServingModel

    class Terminal(ServeListener):
        def started(self, url: str, serving: ServingModel) -> None:
            say(f"Serving {serving.name} version {serving.version} on {url} (Ctrl-C to stop)")

        def swapped(self, serving: ServingModel) -> None:
            say(f"{serving.name} version {serving.version} serves now")

        def kept(self, problem: str) -> None:
            say_error(f"{problem}; the loaded version still serves")

        def failing(self, problem: str) -> None:
            say_error(f"{problem}; loading it again until it works")

        def recovered(self, serving: ServingModel) -> None:
            device = serving.models[0].runtime.device.value
            say(f"Recovered: {serving.name} version {serving.version} serves on {device}")

    return Terminal()
