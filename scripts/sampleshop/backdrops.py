"""Where things are photographed: studio papers, tables, cloth, tiles."""

from __future__ import annotations

from scripts.sampleshop.patterns import checks, marble, plain, speckled, woven
from scripts.sampleshop.stage import Backdrop, planks

STUDIO = Backdrop(plain("#f3f3f2"), "#f3f3f2", paper=True)
PAPERS = [Backdrop(plain(c), c, paper=True) for c in ("#e9d9cf", "#cfdde3", "#d8e0cc", "#e6dff0", "#f1e3b8", "#b9c4c6")]
ROOMS = [
    Backdrop(planks("#c9a06c", "#8a5c33"), "#e8e4dc", paper=False, floor_roughness=0.5),
    Backdrop(planks("#6b4a31", "#3f2a1b"), "#b7c2bd", paper=False, floor_roughness=0.45),
    Backdrop(planks("#d9cdb8", "#b19f84"), "#9fb0bd", paper=False, floor_roughness=0.6),
    Backdrop(marble("#f1f0ee", "#a5a7aa", 4), "#d5d2cc", paper=False, floor_roughness=0.25),
    Backdrop(woven("#c8bfae", 14), "#e9e6e0", paper=False, floor_roughness=0.95),
    Backdrop(checks("#e9e4da", "#b6573f", 2, 2), "#f0ead9", paper=False, floor_roughness=0.6),
    Backdrop(speckled("#9a9b9c", "#85868a", 0.5, 30.0), "#c9c7c3", paper=False, floor_roughness=0.75),
    Backdrop(speckled("#3a4046", "#434a51", 0.5, 30.0), "#59636c", paper=False, floor_roughness=0.6),
]
