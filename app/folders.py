"""Which files of a folder are documents: the same for everything that takes folders.

Owns the walk. Knows nothing of knowledge bases, and does not open the files.
"""

import os
from collections.abc import Callable
from pathlib import Path

from ingestion.archives import worth_reading
from ingestion.detect import SUPPORTED_SUFFIXES


def documents_below(root: Path, failed: Callable[[OSError], None]) -> list[tuple[str, Path]]:
    """Each file of a known type with its path inside the folder (with `/` between), in the order of these.

    Passed over are hidden files, links that lead out of the folder, and the pictures of folders that hold web pages.
    `failed` is called for folders that cannot be read.
    """
    inside: dict[str, Path] = {}
    real_root = root.resolve()
    for parent, folders, names in os.walk(root, onerror=failed):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in names:
            path = Path(parent, name)
            if _is_file_of(real_root, path):
                inside[path.relative_to(root).as_posix()] = path
    return [(name, inside[name]) for name in worth_reading(sorted(inside)) if name.lower().endswith(SUPPORTED_SUFFIXES)]


def _is_file_of(real_root: Path, path: Path) -> bool:
    try:
        return path.is_file() and (not path.is_symlink() or path.resolve().is_relative_to(real_root))
    except OSError:
        return True  # it is there: whoever opens it is told why it cannot be read
