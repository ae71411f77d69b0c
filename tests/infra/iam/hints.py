"""What the code cannot say: which bucket a name means that comes with a request, an event or a parameter.

One line each, with the reason. A line that nothing uses fails the proof.
"""

from __future__ import annotations

from typing import Final

#: Where the archives of projects and the sources of images lie (CDK's bootstrap stack).
ASSETS: Final = "assets"
#: Part of the code -> zone (or ASSETS), why.
HINTS: Final = {
    "passerelle.steps.gather_drop._hand_over": ("raw", "a claim names the object that claim_drop saw in the raw zone"),
    "passerelle.steps.project_source._load": (ASSETS, "the project's parameter names its archive, an asset"),
    "passerelle.steps.archives.read_members": ("models", "it reads what a training job packed, in the models zone"),
    "training.prepare.fetch.Validation._fetched": ("raw", "the manifest names the raw objects that were claimed"),
    "training.prepare.places.LocalPlaces.curated": (
        "curated",
        "zones of the manifest are those of gather_drop's settings",
    ),
    "training.prepare.places.LocalPlaces.supersede": (
        "curated",
        "zones of the manifest are those of gather_drop's settings",
    ),
}
