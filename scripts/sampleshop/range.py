# ruff: noqa: E501  (a table: one product a line)
"""The range of goods: sixty products with titles, attributes, prices, and how each is modelled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from scripts.sampleshop import patterns as p
from scripts.sampleshop import things as t
from scripts.sampleshop.stage import Part


@dataclass(frozen=True)
class Good:
    """``turn``: how far, in degrees, it may be turned from its best side and still be itself."""

    sku: str
    title: str
    category: str
    price: str
    stock: int
    colour: str
    material: str
    shape: str
    pattern: str
    turn: float
    model: Callable[[], list[Part]]

    @property
    def family(self) -> str:
        return self.sku.rsplit("-", 1)[0]


OAK, WALNUT, BEECH = t.timber(t.OAK), t.timber(t.WALNUT, seed=3), t.timber(t.BEECH, seed=5)
FLAT_OAK, FLAT_WALNUT = t.timber(t.OAK, axis=0, seed=1), t.timber(t.WALNUT, axis=0, seed=2)
ANY = 75.0  # round things look alike from everywhere
FRONT = 38.0  # things with a face

GOODS = [
    Good("MUG-1", "Mug Harbour", "Kitchen/Mugs", "12.50", 34, "teal", "ceramic", "straight", "stripes", ANY, lambda: t.mug(p.stripes("teal", "cream", 14), "teal")),
    Good("MUG-2", "Mug Polka", "Kitchen/Mugs", "12.50", 0, "red", "ceramic", "straight", "dots", ANY, lambda: t.mug(p.dots("red", "white", 14, 14), "red")),
    Good("MUG-3", "Mug Dune", "Kitchen/Mugs", "14.00", 18, "sand", "stoneware", "waisted", "dipped", ANY, lambda: t.mug(p.dipped("sand", "brown"), "sand", 1.05, 0.05)),
    Good("MUG-4", "Mug Midnight", "Kitchen/Mugs", "14.00", 27, "navy", "stoneware", "waisted", "speckled", ANY, lambda: t.mug(p.speckled("navy", "sky"), "navy", 1.05, 0.05)),
    Good("MUG-5", "Mug Lemon", "Kitchen/Mugs", "9.90", 61, "yellow", "ceramic", "straight", "plain", ANY, lambda: t.mug(p.plain("yellow"), "white", 0.9)),
    Good("VASE-1", "Vase Delta", "Decor/Vases", "39.00", 7, "navy", "porcelain", "belly", "dipped", ANY, lambda: t.vase("belly", p.dipped("white", "navy"))),
    Good("VASE-2", "Vase Sienna", "Decor/Vases", "34.00", 12, "terracotta", "terracotta", "belly", "plain", ANY, lambda: t.vase("belly", p.plain("terracotta"), 16, 0.7)),
    Good("VASE-3", "Vase Column", "Decor/Vases", "45.00", 4, "mint", "porcelain", "tall", "fluted", ANY, lambda: t.vase("tall", p.plain("mint"), 14)),
    Good("VASE-4", "Vase Zebra", "Decor/Vases", "45.00", 9, "black", "porcelain", "tall", "zigzag", ANY, lambda: t.vase("tall", p.zigzag("black", "white", 8, 12))),
    Good("VASE-5", "Vase Orb", "Decor/Vases", "29.50", 0, "pink", "ceramic", "ball", "plain", ANY, lambda: t.vase("ball", p.plain("pink"))),
    Good("VASE-6", "Vase Carrara", "Decor/Vases", "79.00", 3, "white", "marble", "cone", "marble", ANY, lambda: t.vase("cone", p.marble("white", "grey", 2), 0, 0.15)),
    Good("BTL-1", "Bottle Trail", "Outdoor/Bottles", "24.90", 88, "orange", "steel", "wide", "plain", ANY, lambda: t.bottle(p.plain("orange"), "black")),
    Good("BTL-2", "Bottle Fjord", "Outdoor/Bottles", "24.90", 42, "blue", "steel", "wide", "bands", ANY, lambda: t.bottle(p.bands("navy", "blue", "sky", "white"), "navy")),
    Good("BTL-3", "Bottle Steel", "Outdoor/Bottles", "29.90", 15, "silver", "steel", "slim", "plain", ANY, lambda: t.bottle(p.plain("silver"), "black", True, True)),
    Good("BTL-4", "Bottle Fern", "Outdoor/Bottles", "22.00", 0, "green", "steel", "slim", "plain", ANY, lambda: t.bottle(p.plain("green"), "sand", True)),
    Good("LAMP-1", "Table Lamp Pebble", "Lighting/Table lamps", "69.00", 11, "teal", "ceramic", "ball", "plain", ANY, lambda: t.lamp(p.plain("teal"), p.woven("cream"))),
    Good("LAMP-2", "Table Lamp Brass", "Lighting/Table lamps", "89.00", 6, "gold", "brass", "column", "plain", ANY, lambda: t.lamp(p.plain("gold"), p.woven("black"), "column", True)),
    Good("LAMP-3", "Table Lamp Cone", "Lighting/Table lamps", "75.00", 8, "brown", "walnut", "cone", "wood", ANY, lambda: t.lamp(WALNUT, p.woven("white"), "cone")),
    Good("LAMP-4", "Table Lamp Candy", "Lighting/Table lamps", "59.00", 20, "pink", "ceramic", "ball", "stripes", ANY, lambda: t.lamp(p.plain("white"), p.stripes("pink", "white", 12, upright=True))),
    Good("CHR-1", "Chair Nils", "Furniture/Chairs", "119.00", 14, "brown", "oak", "slats", "wood", ANY, lambda: t.chair(FLAT_OAK, OAK, 3)),
    Good("CHR-2", "Chair Nils Black", "Furniture/Chairs", "119.00", 9, "black", "oak", "slats", "plain", ANY, lambda: t.chair(p.plain("black"), p.plain("black"), 3)),
    Good("CHR-3", "Chair Moss", "Furniture/Chairs", "149.00", 5, "olive", "fabric", "upholstered", "woven", ANY, lambda: t.chair(p.woven("olive", 24), WALNUT)),
    Good("CHR-4", "Chair Chrome", "Furniture/Chairs", "159.00", 0, "red", "steel", "upholstered", "plain", ANY, lambda: t.chair(p.plain("red"), p.plain("silver"), 0, True)),
    Good("STL-1", "Stool Beech", "Furniture/Stools", "49.00", 31, "sand", "beech", "round", "wood", ANY, lambda: t.stool(BEECH, BEECH)),
    Good("STL-2", "Stool Sky", "Furniture/Stools", "55.00", 22, "sky", "beech", "round", "plain", ANY, lambda: t.stool(p.plain("sky"), BEECH)),
    Good("STL-3", "Stool Walnut", "Furniture/Stools", "65.00", 10, "brown", "walnut", "round", "wood", ANY, lambda: t.stool(WALNUT, WALNUT)),
    Good("TBL-1", "Side Table Oak", "Furniture/Tables", "99.00", 8, "brown", "oak", "round", "wood", ANY, lambda: t.table(FLAT_OAK, OAK)),
    Good("TBL-2", "Side Table Bianco", "Furniture/Tables", "189.00", 2, "white", "marble", "round", "marble", ANY, lambda: t.table(p.marble("white", "grey", 6), p.plain("gold"), True, True)),
    Good("TBL-3", "Coffee Table Walnut", "Furniture/Tables", "229.00", 4, "brown", "walnut", "square", "wood", ANY, lambda: t.table(FLAT_WALNUT, p.plain("black"), False)),
    Good("BWL-1", "Bowl Terrazzo", "Kitchen/Bowls", "19.00", 25, "white", "stoneware", "shallow", "speckled", ANY, lambda: t.bowl(p.speckled("white", "terracotta", 0.42, 9), "white")),
    Good("BWL-2", "Bowl Indigo", "Kitchen/Bowls", "21.00", 16, "blue", "ceramic", "deep", "zigzag", ANY, lambda: t.bowl(p.zigzag("blue", "white", 18, 5), "white", True)),
    Good("BWL-3", "Bowl Olive Wood", "Kitchen/Bowls", "35.00", 0, "brown", "oak", "shallow", "wood", ANY, lambda: t.bowl(t.timber(t.OAK, 1, 7), "#b98750")),
    Good("BWL-4", "Bowl Sunrise", "Kitchen/Bowls", "17.00", 40, "orange", "ceramic", "deep", "bands", ANY, lambda: t.bowl(p.bands("red", "orange", "yellow"), "cream", True)),
    Good("POT-1", "Teapot Snow", "Kitchen/Teapots", "42.00", 13, "white", "porcelain", "round", "plain", 60.0, lambda: t.teapot(p.plain("white"), "white")),
    Good("POT-2", "Teapot Dotty", "Kitchen/Teapots", "44.00", 7, "blue", "porcelain", "round", "dots", 60.0, lambda: t.teapot(p.dots("blue", "white", 16, 10), "blue")),
    Good("POT-3", "Teapot Iron", "Kitchen/Teapots", "58.00", 5, "black", "cast iron", "round", "plain", 60.0, lambda: t.teapot(p.speckled("black", "#34373c", 0.5, 30), "black")),
    Good("BALL-1", "Beach Ball", "Toys/Balls", "7.50", 120, "red", "vinyl", "sphere", "wedges", ANY, lambda: t.toy_ball(p.wedges("red", "white", "blue", "white", "yellow", "white"))),
    Good("BALL-2", "Ball Meadow", "Toys/Balls", "6.00", 75, "green", "rubber", "sphere", "bands", ANY, lambda: t.toy_ball(p.bands("green", "white", "green", "white", "green"))),
    Good("BALL-3", "Ball Comet", "Toys/Balls", "6.00", 52, "purple", "rubber", "sphere", "dots", ANY, lambda: t.toy_ball(p.dots("purple", "yellow", 10, 7))),
    Good("GFT-1", "Gift Box Ruby", "Gifts/Gift boxes", "15.00", 60, "red", "cardboard", "cube", "plain", ANY, lambda: t.gift(p.plain("red"), "gold")),
    Good("GFT-2", "Gift Box Mint", "Gifts/Gift boxes", "15.00", 44, "mint", "cardboard", "cube", "dots", ANY, lambda: t.gift(p.dots("mint", "white", 8, 8), "white")),
    Good("GFT-3", "Gift Box Tartan", "Gifts/Gift boxes", "18.00", 0, "green", "cardboard", "flat", "tartan", ANY, lambda: t.gift(p.tartan("green", "navy", "yellow", 3), "red", 0.5)),
    Good("HPH-1", "Headphones Studio", "Electronics/Headphones", "129.00", 17, "black", "plastic", "over-ear", "plain", 50.0, lambda: t.headphones("black", "grey")),
    Good("HPH-2", "Headphones Ice", "Electronics/Headphones", "129.00", 12, "white", "plastic", "over-ear", "plain", 50.0, lambda: t.headphones("white", "sand")),
    Good("HPH-3", "Headphones Copper", "Electronics/Headphones", "179.00", 6, "copper", "metal", "over-ear", "plain", 50.0, lambda: t.headphones("copper", "brown", True)),
    Good("CLK-1", "Wall Clock Station", "Decor/Clocks", "32.00", 23, "white", "metal", "round", "plain", FRONT, lambda: t.clock("#ffffff", p.plain("black"))),
    Good("CLK-2", "Wall Clock Lagoon", "Decor/Clocks", "32.00", 19, "teal", "metal", "round", "plain", FRONT, lambda: t.clock("teal", p.plain("gold"), False, True)),
    Good("CLK-3", "Desk Clock Oak", "Decor/Clocks", "38.00", 11, "brown", "oak", "square", "wood", FRONT, lambda: t.clock("cream", t.timber(t.OAK, 0, 9), True)),
    Good("CAC-1", "Cactus Bola", "Garden/Plants", "11.90", 33, "terracotta", "terracotta", "ball", "plain", ANY, lambda: t.cactus(p.plain("terracotta"))),
    Good("CAC-2", "Cactus Arizona", "Garden/Plants", "13.90", 21, "white", "ceramic", "arms", "zigzag", ANY, lambda: t.cactus(p.zigzag("white", "black", 12, 4), "arms")),
    Good("CAC-3", "Agave", "Garden/Plants", "16.90", 14, "blue", "ceramic", "rosette", "plain", ANY, lambda: t.cactus(p.plain("blue"), "rosette")),
    Good("JAR-1", "Jar Pantry", "Kitchen/Jars", "18.50", 37, "cream", "ceramic", "cylinder", "plain", ANY, lambda: t.jar(p.plain("cream"), BEECH)),
    Good("JAR-2", "Jar Checker", "Kitchen/Jars", "19.50", 26, "black", "ceramic", "cylinder", "checks", ANY, lambda: t.jar(p.checks("black", "white", 18, 9), WALNUT)),
    Good("CSH-1", "Cushion Highland", "Textiles/Cushions", "28.00", 29, "red", "wool", "square", "tartan", FRONT, lambda: t.cushion_on_edge(p.tartan("red", "navy", "yellow"))),
    Good("CSH-2", "Cushion Lilac", "Textiles/Cushions", "24.00", 0, "lilac", "cotton", "square", "woven", FRONT, lambda: t.cushion_on_edge(p.woven("lilac"))),
    Good("CSH-3", "Cushion Chevron", "Textiles/Cushions", "26.00", 35, "yellow", "cotton", "square", "zigzag", FRONT, lambda: t.cushion_on_edge(p.zigzag("yellow", "grey", 8, 8))),
    Good("RAD-1", "Radio Rio", "Electronics/Radios", "84.00", 10, "mint", "plastic", "rounded", "plain", FRONT, lambda: t.radio(p.plain("mint"), "cream")),
    Good("RAD-2", "Radio Rosewood", "Electronics/Radios", "99.00", 7, "brown", "walnut", "rounded", "wood", FRONT, lambda: t.radio(FLAT_WALNUT, "sand")),
    Good("CASE-1", "Suitcase Coral", "Travel/Suitcases", "109.00", 16, "orange", "polycarbonate", "cabin", "ribbed", 45.0, lambda: t.suitcase("#e2725b", "black")),
    Good("CASE-2", "Suitcase Ocean", "Travel/Suitcases", "109.00", 13, "navy", "polycarbonate", "cabin", "ribbed", 45.0, lambda: t.suitcase("navy", "silver")),
    Good("TOY-1", "Stacking Rings Rainbow", "Toys/Stacking toys", "16.50", 48, "red", "beech", "tower", "bands", ANY, lambda: t.stacker("red", "orange", "yellow", "green", "blue")),
    Good("TOY-2", "Stacking Rings Pastel", "Toys/Stacking toys", "16.50", 30, "pink", "beech", "tower", "bands", ANY, lambda: t.stacker("pink", "cream", "mint", "sky", "lilac")),
    Good("BAG-1", "Bean Bag Ochre", "Furniture/Bean bags", "79.00", 9, "yellow", "cotton", "drop", "woven", ANY, lambda: t.beanbag("#cf9a32")),
    Good("BAG-2", "Bean Bag Stone", "Furniture/Bean bags", "79.00", 0, "grey", "cotton", "drop", "woven", ANY, lambda: t.beanbag("grey")),
    Good("SUN-1", "Parasol Riviera", "Garden/Parasols", "95.00", 5, "blue", "polyester", "round", "wedges", ANY, lambda: t.parasol("blue", "white", "blue", "white", "blue", "white", "blue", "white")),
    Good("SUN-2", "Parasol Sahara", "Garden/Parasols", "89.00", 8, "sand", "polyester", "round", "plain", ANY, lambda: t.parasol("sand", "cream", "sand", "cream")),
]  # fmt: skip
