"""Reads the text of page images: one recognition engine for the whole process.

Owns the engine (RapidOCR with the models inside its package, run by OpenVINO; Chinese and English), and that it never
looks for anything outside the package. In which order lines are read is `ocr_rows`', where images come from is the
parsers'.
"""

import logging
import resource
import threading
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ingestion.errors import BrokenFile
from ingestion.parsers.ocr_rows import Box, OcrLine

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
_LONG, _SHORT = 1_760, 1_280
"""Pixels of the sheet, upright or across, that every image is laid on: A4 and Letter at 150 dots per inch."""

_LEAST_SIDE = 736  # pixels: smaller images are made larger, as far as they fit
_LINES_AT_ONCE = 4
_WIDTHS_OF = 320
_THREADS = 2  # that recognition may use: more are hardly faster, and take from those who answer meanwhile

MEMORY_MB = 1_900
"""Private memory that reading takes at most, with sheets of both kinds seen. With less it may crash in mid-page."""


class OcrEngine:
    """Finds and reads lines of text. Loading takes about a second and 200 MB, reading a page about 1.1 GB at its peak.

    May be used by several threads, which take turns.
    """

    def __init__(self) -> None:
        """Raises `BrokenFile` when this process may not take the memory, and `FileNotFoundError` when the package lacks
        its models: nothing is ever downloaded in their place.
        """
        allowed = resource.getrlimit(resource.RLIMIT_DATA)[0]
        if allowed != resource.RLIM_INFINITY and allowed < MEMORY_MB * 2**20:
            raise BrokenFile(
                f"text recognition takes {MEMORY_MB:,} MB of memory, and {allowed // 2**20:,} are allowed: "
                "raise ANSWERDESK_INGESTION__PARSER_MEMORY_MB"
            )
        import rapidocr

        folder = Path(rapidocr.__file__).parent / "models"
        parameters: dict[str, Any] = {
            "Global.log_level": "warning",
            "Global.text_score": 0.0,  # what is doubtful tells how the page lies; it is left out afterwards
            "Global.use_cls": False,  # it turns one line in thirty upside down; pages are turned as a whole instead
            "Global.max_side_len": _LONG,
            "Rec.rec_batch_num": _LINES_AT_ONCE,
            "EngineConfig.openvino.inference_num_threads": _THREADS,
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
        engine: Any = rapidocr.RapidOCR(params=parameters)
        recogniser = engine._load_rec_model()  # otherwise loaded with the first line, past us
        recogniser.session = _FewShapes(recogniser.session)
        self._engine = engine
        self._lock = threading.Lock()
        logging.getLogger("RapidOCR").setLevel(logging.ERROR)  # it warns of every page without text

    def lines(self, image: NDArray[np.uint8]) -> list[OcrLine]:
        """The lines of text on an image [height, width, 3] of blue, green, red, in no order.

        Of a page that lies on its side or on its head, those of the page set upright. Boxes are in pixels of that
        upright image. An image without text gives no lines. Raises `BrokenFile` when the engine fails on the image.
        """
        if min(image.shape[:2]) < _SMALLEST_SIDE:
            return []
        found = self._found(image)
        sideways = sum(line.height > _TALL * (line.box[2] - line.box[0]) for line in found) > len(found) / 2
        if sideways:
            found = max((self._turned(image, turns) for turns in (1, 3)), key=_confidence)
        elif found and _confidence(found) < _DOUBTFUL:
            found = max(found, self._turned(image, 2), key=_confidence)
        return [line for line in found if line.score >= _LOWEST_SCORE]

    def _turned(self, image: NDArray[np.uint8], turns: int) -> list[OcrLine]:
        """The lines after so many quarter turns to the left, each with its place before them."""
        height, width = image.shape[:2]
        return [
            replace(line, drawn=turned_back(line.box, turns, width, height))
            for line in self._found(np.rot90(image, turns))
        ]

    def _found(self, image: NDArray[np.uint8]) -> list[OcrLine]:
        sheet, scale = _on_a_sheet(image)
        try:
            with self._lock:
                result = self._engine(sheet)
        except MemoryError:
            raise  # a matter for the whole process
        except Exception as error:  # the libraries below have no common error, and one picture is no reason to end
            reason = (str(error).splitlines() or [""])[-1][:200]
            raise BrokenFile(f"text recognition failed ({type(error).__name__}: {reason})") from error
        if result.boxes is None or not result.txts:
            return []
        found = []
        for corners, text, score in zip(result.boxes, result.txts, result.scores, strict=True):
            (x0, y0), (x1, y1) = corners.min(axis=0) / scale, corners.max(axis=0) / scale
            if text.strip():
                found.append(OcrLine(text.strip(), (float(x0), float(y0), float(x1), float(y1)), float(score)))
        return found


class _FewShapes:
    """The recogniser's network, given its lines in a handful of shapes.

    For every shape that it has seen OpenVINO keeps tens of megabytes; lines come in hundreds of widths.
    """

    def __init__(self, network: Any) -> None:
        self._network = network

    def __call__(self, lines: NDArray[np.float32]) -> NDArray[np.float32]:
        """`lines` is [lines, channels, height, width], short ones filled with zeros as these are here."""
        count, channels, height, width = lines.shape
        shape = (_LINES_AT_ONCE, channels, height, _up_to_multiple(width, _WIDTHS_OF))
        filled = np.zeros(shape, dtype=np.float32)
        filled[:count, :, :, :width] = lines
        found: NDArray[np.float32] = self._network(filled)
        return found[:count]


def _on_a_sheet(image: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], float]:
    """The image in the corner of a white sheet, and how much larger it is there."""
    height, width = image.shape[:2]
    tall, wide = (_LONG, _SHORT) if height > width else (_SHORT, _LONG)
    scale = min(tall / height, wide / width, max(1.0, _LEAST_SIDE / min(height, width)))
    if scale != 1.0:
        size = (min(wide, max(1, round(width * scale))), min(tall, max(1, round(height * scale))))
        image = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0))
        height, width = image.shape[:2]
    return np.pad(image, ((0, tall - height), (0, wide - width), (0, 0)), constant_values=255), scale


def _up_to_multiple(number: int, of: int) -> int:
    return -(-number // of) * of


def turned_back(box: Box, turns: int, width: int, height: int) -> Box:
    """Where a box stood on an image of `width` and `height` before `turns` quarter turns to the left, begin to end."""
    x0, y0, x1, y1 = box
    match turns:
        case 1:
            return width - y0, x0, width - y1, x1
        case 2:
            return width - x0, height - y0, width - x1, height - y1
        case 3:
            return y0, height - x0, y1, height - x1
    raise ValueError(f"{turns} quarter turns")


def _confidence(lines: list[OcrLine]) -> float:
    """The mean score of the characters read."""
    characters = sum(len(line.text) for line in lines)
    return sum(line.score * len(line.text) for line in lines) / characters if characters else 0.0


@cache
def engine() -> OcrEngine:
    """The process's engine, loaded when it is first wanted."""
    return OcrEngine()


def read_lines(image: NDArray[np.uint8]) -> list[OcrLine]:
    """The lines of text of a page image, in no order: `ocr_rows` knows theirs.

    The image is [height, width] grey, or [height, width, 3 or 4] blue, green, red.

    Raises `BrokenFile` for an array of another shape, when recognition fails, and as `OcrEngine`, `FileNotFoundError`.
    """
    if image.ndim == 2:
        image = np.repeat(image[:, :, None], 3, axis=2)
    if image.ndim != 3 or image.shape[2] not in (3, 4):
        raise BrokenFile(f"a page image has the shape {image.shape}: draw the page anew in colour or grey")
    return engine().lines(image[:, :, :3])
