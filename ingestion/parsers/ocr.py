"""Reads the text of page images: one recognition engine for the whole process.

Owns the engine (RapidOCR with the models inside its package, run by OpenVINO; Chinese and English), and that it never
looks for anything outside the package. In which order lines are read is `ocr_layout`'s, where images come from is the
parsers'.
"""

import logging
import threading
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ingestion.errors import BrokenFile
from ingestion.parsers.ocr_layout import OcrLine, in_reading_order

READ_BY_OCR = "Read by text recognition (OCR) from a picture; single characters may be wrong."
"""The warning of every page that was read so."""

DOTS_PER_INCH = 150
"""The resolution at which pages are drawn for recognition: small print is still legible, and more costs time only."""

_MODELS = {
    "Det": "PP-OCRv6_det_small.onnx",
    "Rec": "PP-OCRv6_rec_small.onnx",
}
_SMALLEST_SIDE = 8
_TALL = 1.5  # as many times taller than wide, a piece of text lies on its side
_DOUBTFUL = 0.8  # a mean score below this is worth a look at the page upside down
_LOWEST_SCORE = 0.5
_LONGEST_SIDE = 2_000


@dataclass(frozen=True, slots=True)
class OcrSettings:
    """`threads` is the number of processor cores that recognition may use."""

    threads: int = 2


class OcrEngine:
    """Finds and reads lines of text. Loading takes about a second and 200 MB, reading a page about 1.2 GB at its peak.

    May be used by several threads, which take turns.
    """

    def __init__(self, settings: OcrSettings) -> None:
        """Raises `FileNotFoundError` when the package lacks its models: nothing is ever downloaded in their place."""
        import rapidocr

        folder = Path(rapidocr.__file__).parent / "models"
        parameters: dict[str, Any] = {
            "Global.log_level": "warning",
            "Global.text_score": 0.0,  # what is doubtful tells how the page lies; it is left out afterwards
            "Global.use_cls": False,  # it turns one line in thirty upside down; pages are turned as a whole instead
            "Global.max_side_len": _LONGEST_SIDE,
            "EngineConfig.openvino.inference_num_threads": settings.threads,
            "EngineConfig.openvino.performance_hint": "LATENCY",
            "EngineConfig.openvino.num_streams": 1,
            "EngineConfig.openvino.enable_cpu_pinning": False,
        }
        for stage, file in _MODELS.items():
            if not (folder / file).is_file():
                raise FileNotFoundError(
                    f"The installed rapidocr has no {file}: install it again (pip install --force-reinstall rapidocr)"
                )
            parameters[f"{stage}.engine_type"] = rapidocr.EngineType.OPENVINO
            parameters[f"{stage}.model_path"] = str(folder / file)
        self._engine: Any = rapidocr.RapidOCR(params=parameters)
        self._lock = threading.Lock()
        logging.getLogger("RapidOCR").setLevel(logging.ERROR)  # it warns of every page without text

    def lines(self, image: NDArray[np.uint8]) -> list[OcrLine]:
        """The lines of text on an image [height, width, 3] of blue, green, red, in reading order.

        Of a page that lies on its side or on its head, those of the page set upright. Boxes are in pixels of that
        upright image. An image without text gives no lines.
        """
        if min(image.shape[:2]) < _SMALLEST_SIDE:
            return []
        found = self._found(image)
        sideways = sum(line.height > _TALL * (line.box[2] - line.box[0]) for line in found) > len(found) / 2
        if sideways:
            found = max((self._found(np.rot90(image, turns)) for turns in (1, 3)), key=_confidence)
        elif found and _confidence(found) < _DOUBTFUL:
            found = max(found, self._found(np.rot90(image, 2)), key=_confidence)
        return in_reading_order([line for line in found if line.score >= _LOWEST_SCORE])

    def _found(self, image: NDArray[np.uint8]) -> list[OcrLine]:
        with self._lock:
            result = self._engine(np.ascontiguousarray(image))
        if result.boxes is None or not result.txts:
            return []
        found = []
        for corners, text, score in zip(result.boxes, result.txts, result.scores, strict=True):
            (x0, y0), (x1, y1) = corners.min(axis=0), corners.max(axis=0)
            if text.strip():
                found.append(OcrLine(text.strip(), (float(x0), float(y0), float(x1), float(y1)), float(score)))
        return found


def _confidence(lines: list[OcrLine]) -> float:
    """The mean score of the characters read."""
    characters = sum(len(line.text) for line in lines)
    return sum(line.score * len(line.text) for line in lines) / characters if characters else 0.0


@lru_cache(maxsize=1)
def engine(settings: OcrSettings = OcrSettings()) -> OcrEngine:
    """The process's engine, loaded when it is first wanted; other settings replace it."""
    return OcrEngine(settings)


def read_lines(image: NDArray[np.uint8], settings: OcrSettings = OcrSettings()) -> list[OcrLine]:
    """The lines of text of a page image: [height, width] grey, or [height, width, 3 or 4] blue, green, red.

    Raises `BrokenFile` for an array of another shape.
    """
    if image.ndim == 2:
        image = np.repeat(image[:, :, None], 3, axis=2)
    if image.ndim != 3 or image.shape[2] not in (3, 4):
        raise BrokenFile(f"a page image has the shape {image.shape}: draw the page anew in colour or grey")
    return engine(settings).lines(image[:, :, :3])
