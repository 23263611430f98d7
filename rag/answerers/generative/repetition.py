"""A model that repeats itself, noticed while it writes.

Owns what counts as repeating. Small models fall into loops and would go on until the longest answer is reached.
"""

import re

_LOOKED_AT = 1600
"""Characters behind which a repetition is not looked for."""

_STEP = 32
_SUFFIX = 6
_SHORTEST_LOOP = 16
"""Letters, digits and Chinese characters in what is repeated once to be a loop; shorter ones must come more often."""

_ENOUGH = 48
_SAME_LINES = 3
_LIST_NUMBER = re.compile(r"^\s*(?:\d{1,3}[.)、．]|[-*•])\s*")


class RepetitionGuard:
    """Takes an answer piece by piece; says when its end has been said before."""

    def __init__(self) -> None:
        self._text = ""

    def repeats(self, piece: str) -> bool:
        """Whether the text so far, with `piece`, ends in the same words twice over, or in the same line three times.

        Words of at least 16 letters count the second time they follow on themselves, shorter ones when they fill 48.
        Rules of tables, which have no letters, never do.
        """
        for start in range(0, len(piece), _STEP):
            step = piece[start : start + _STEP]
            self._text = (self._text + step)[-2 * _LOOKED_AT :]
            if self._loops() or ("\n" in step and self._repeats_lines()):
                return True
        return False

    def _loops(self) -> bool:
        text = self._text
        suffix = text[-_SUFFIX:]
        place = len(text) - _SUFFIX
        for _ in range(4):  # the nearest places where the last characters stood before
            place = text.rfind(suffix, max(0, len(text) - _LOOKED_AT), place + _SUFFIX - 1)
            if place < 0:
                return False
            period = len(text) - _SUFFIX - place
            loop = text[-period:]
            if not text.endswith(loop, 0, len(text) - period):
                continue
            letters = sum(character.isalnum() for character in loop)
            if not letters:
                continue
            times = 2 if letters >= _SHORTEST_LOOP else max(3, -(-_ENOUGH // letters))
            if text.endswith(loop * times):
                return True
        return False

    def _repeats_lines(self) -> bool:
        ended = self._text[: self._text.rfind("\n")].rsplit("\n", 2 * _SAME_LINES)
        last = [_LIST_NUMBER.sub("", line).strip() for line in ended if line.strip()][-_SAME_LINES:]
        return len(last) == _SAME_LINES and len(set(last)) == 1 and sum(c.isalnum() for c in last[0]) >= 4
