"""Large letters, to be read from afar."""

from __future__ import annotations

HEIGHT = 5
_LETTERS = {
    "I": ("###", " # ", " # ", " # ", "###"),
    "M": ("#   #", "## ##", "# # #", "#   #", "#   #"),
    "O": (" ### ", "#   #", "#   #", "#   #", " ### "),
    "P": ("#### ", "#   #", "#### ", "#    ", "#    "),
    "R": ("#### ", "#   #", "#### ", "#  # ", "#   #"),
    "U": ("#   #", "#   #", "#   #", "#   #", " ### "),
    "V": ("#   #", "#   #", "#   #", " # # ", "  #  "),
    "Y": ("#   #", " # # ", "  #  ", "  #  ", "  #  "),
}
_GLYPHS = {(False, False): " ", (True, False): "▀", (False, True): "▄", (True, True): "█"}


def large(word: str, rows: int, scale: int = 1) -> list[str]:
    """So many lines of half blocks, with the word in the middle of their height."""
    drawn = ["  ".join(_LETTERS[letter][row] for letter in word) for row in range(HEIGHT)]
    pixels = [[pixel == "#" for pixel in line for _ in range(scale)] for line in drawn for _ in range(scale)]
    blank = [False] * len(pixels[0])
    above = (2 * rows - len(pixels)) // 2
    pixels = [blank] * above + pixels + [blank] * (2 * rows - len(pixels) - above)
    return ["".join(_GLYPHS[pair] for pair in zip(*two, strict=True)) for two in zip(*[iter(pixels)] * 2, strict=True)]
