"""The portal's signs: small drawings in a 16 by 16 box, in the colour of the text around them."""

from django.utils.safestring import SafeString, mark_safe

SIGNS = {
    "ring": '<circle cx="8" cy="8" r="6"/>',
    "turns": '<path class="turns" d="M8 2a6 6 0 1 1-5.600 3.800"/>',
    "check": '<circle cx="8" cy="8" r="6"/><path d="m5.400 8.300 1.800 1.800 3.500-3.900"/>',
    "alert": '<path d="M8 2.200 14.300 13.500H1.700Z"/><path d="M8 6.400v3.300M8 11.500v.1"/>',
    "stop": '<path d="M5.500 2h5L14 5.500v5L10.500 14h-5L2 10.500v-5Z"/><path d="M8 5v3.600M8 10.800v.1"/>',
    "pause": '<circle cx="8" cy="8" r="6"/><path d="M6.500 6v4M9.500 6v4"/>',
    "box": '<path d="M2 3h12v3H2ZM3 6v7h10V6M6.500 8.700h3"/>',
    "cross": '<path d="m4 4 8 8M12 4l-8 8"/>',
    "back": '<path d="M5.800 3 2.300 6.500 5.800 10M2.300 6.500H10a3.500 3.500 0 0 1 0 7H6.500"/>',
    "away": '<circle cx="8" cy="8" r="6"/><path d="m4 12 8-8"/>',
    "clock": '<circle cx="8" cy="8" r="6"/><path d="M8 4.800V8l2.200 1.600"/>',
    "info": '<circle cx="8" cy="8" r="6"/><path d="M8 7.300v3.400M8 5.100v.1"/>',
    "out": '<path d="M6 4h6v6M12 4 4.500 11.500"/>',
    "plus": '<path d="M8 3v10M3 8h10"/>',
    "menu": '<path d="M2 4.500h12M2 8h12M2 11.500h12"/>',
}

_DRAWING = (
    '<svg viewBox="0 0 16 16" width="16" height="16" fill="none" stroke="currentColor" stroke-width="1.5" '
    'stroke-linecap="round" stroke-linejoin="round" aria-hidden="true" focusable="false">{}</svg>'
)


def draw(name: str) -> SafeString:
    """Return a sign as inline SVG, hidden from screen readers: the word beside it says the same."""
    return mark_safe(_DRAWING.format(SIGNS[name]))  # noqa: S308 constants of this module only
