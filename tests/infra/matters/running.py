"""What runs: functions as their packages were built, images that are scanned and stay what they are."""

from __future__ import annotations

from collections.abc import Iterator

from tests.infra.matters.platform import Platform


def functions_run_as_their_packages_were_built(platform: Platform) -> Iterator[str]:
    """The layer holds compiled packages for one Python and one processor; a call is traced and ends."""
    processor = "x86_64" if platform.environment == "laptop" else "arm64"
    for place, item in platform.of("AWS::Lambda::Function"):
        if item.get("Runtime") != "python3.12":
            yield f"{place} runs {item.get('Runtime')}, its packages are for python3.12"
        if item.get("Architectures", ["x86_64"]) != [processor]:
            yield f"{place} runs on {item.get('Architectures')}, its packages are for {processor}"
        if item.get("TracingConfig", {}).get("Mode") != "Active":
            yield f"{place} is not traced"
        if not item.get("Timeout"):
            yield f"{place} has the default timeout of 3 seconds"


def images_are_scanned_and_never_overwritten(platform: Platform) -> Iterator[str]:
    """A tag names one image for ever, and a push is followed by a scan; what each deployment builds anew is let go."""
    built = {platform.target(place, item["Repository"]) for place, item in platform.of("Custom::PasserelleImage")}
    for place, item in platform.of("AWS::ECR::Repository"):
        if item.get("ImageScanningConfiguration", {}).get("ScanOnPush") is not True:
            yield f"{place} is not scanned"
        if item.get("ImageTagMutability") != "IMMUTABLE":
            yield f"{place} lets a tag change what it names"
        # Images that were carried over from another account stay: models that are served run on them.
        if place in built and not item.get("LifecyclePolicy"):
            yield f"{place} keeps every image for ever"
