"""The font of the sample manuals: Noto Sans SC from an installed package, cut down to the characters in use.

The package carries one variable font of 17 MB; a PDF file needs two faces of a few hundred glyphs, so that the
Chinese manual looks the same on a machine without any Chinese font. Knows fonts, not pages.
"""

import io
from importlib.resources import files

from fontTools.subset import Options, Subsetter
from fontTools.ttLib import TTFont
from fontTools.varLib.instancer import instantiateVariableFont

PACKAGE = "justmytype_intl_cjk"
FONT = "fonts/ofl/notosanssc/NotoSansSC[wght].ttf"
ALWAYS = "".join(map(chr, range(0x20, 0x7F))) + "°·–"


def cut_fonts(characters: str, weights: tuple[int, ...]) -> list[bytes]:
    """One TrueType file per weight (400 regular, 700 bold) with the glyphs of `characters`.

    The same characters give the same bytes. Raises ValueError naming the characters that the font lacks.
    """
    font = TTFont(io.BytesIO(files(PACKAGE).joinpath(FONT).read_bytes()), lazy=True, recalcTimestamp=False)
    missing = sorted({c for c in characters if ord(c) not in font.getBestCmap() and not c.isspace()})
    if missing:
        raise ValueError(f"Noto Sans SC has no glyph for {''.join(missing)!r}: use other characters in the manual")
    options = Options(layout_features=[], hinting=False, notdef_outline=True)
    options.drop_tables += ["vhea", "vmtx", "VORG", "BASE"]
    subsetter = Subsetter(options)
    subsetter.populate(text=ALWAYS + characters)
    subsetter.subset(font)
    cut = _saved(font)
    return [_saved(instantiateVariableFont(_read(cut), {"wght": weight}, updateFontNames=True)) for weight in weights]


def _read(content: bytes) -> TTFont:
    return TTFont(io.BytesIO(content), recalcTimestamp=False)


def _saved(font: TTFont) -> bytes:
    content = io.BytesIO()
    font.save(content)
    return content.getvalue()
