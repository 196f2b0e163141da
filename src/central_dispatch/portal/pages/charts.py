"""Charts as SVG of our own: no script, no inline style, and a table beneath that says the same."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from central_dispatch.worker_manager.rates import Bucket

#: The drawing's own measure; the style sheet stretches it to the width and height that there are.
_WIDTH, _HEIGHT = 1000, 100
_GAP = 0.22  # of a step, between two bars
_LABELS = 6


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawing, the labels beside it, and the rows of its table."""

    drawing: SafeString
    title: str
    rows: Sequence[Bucket]
    levels: tuple[str, ...]  # from the top down
    times: tuple[str, ...]
    failed: int
    done: int


def bars(buckets: Sequence[Bucket], title: str) -> Chart:
    """Draw executions over time: done below, failed on top of them."""
    most = _round_up(max((one.done + one.failed for one in buckets), default=0))
    step, scale = _WIDTH / max(1, len(buckets)), _HEIGHT / most
    drawn = format_html_join("", "{}", ((_bar(one, index, step, scale),) for index, one in enumerate(buckets)))
    done, failed = sum(one.done for one in buckets), sum(one.failed for one in buckets)
    drawing = format_html(
        '<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}" preserveAspectRatio="none">{}{}</svg>',
        _WIDTH,
        _HEIGHT,
        f"{title}: {done:,} done, {failed:,} failed",
        _RULES,
        drawn,
    )
    levels = tuple(_short(level) for level in ((most, most / 2, 0) if most > 1 else (1, 0)))
    every = max(1, len(buckets) // _LABELS)
    times = tuple(_clock(one.start) for one in buckets[::every])
    return Chart(drawing, title, buckets, levels, times, failed, done)


def _bar(one: Bucket, index: int, step: float, scale: float) -> SafeString:
    x, width, floor = (index + _GAP / 2) * step, step * (1 - _GAP), _HEIGHT
    done, failed = one.done * scale, one.failed * scale
    # What is there is seen, however little it is beside the rest.
    done, failed = (max(size, 1.5) if count else 0 for size, count in ((done, one.done), (failed, one.failed)))
    parts = [("done", floor - done, done), ("failed", floor - done - failed, failed)]
    boxes = format_html_join(
        "",
        '<rect class="{}" x="{}" y="{}" width="{}" height="{}"/>',
        ((name, f"{x:.1f}", f"{y:.1f}", f"{width:.1f}", f"{size:.1f}") for name, y, size in parts if size),
    )
    told = f"{_clock(one.start)}: {one.done:,} done, {one.failed:,} failed"
    return format_html("<g><title>{}</title>{}</g>", told, boxes) if boxes else SafeString("")


_RULES = format_html_join(
    "",
    '<line class="rule" x1="0" x2="{}" y1="{}" y2="{}"/>',
    ((_WIDTH, y, y) for y in (0, _HEIGHT / 2, _HEIGHT)),
)


def _clock(moment: datetime) -> str:
    return moment.strftime("%H:%M")


def _round_up(most: int) -> int:
    """Return the next figure that is easily read: of 1, 2, 4, 10, 20, 40 and so on."""
    size = 1
    while True:
        for factor in (1, 2, 4):
            if most <= factor * size:
                return factor * size
        size *= 10


def _short(level: float) -> str:
    if level >= 1_000_000:  # noqa: PLR2004 a million
        return f"{level / 1_000_000:g} M"
    if level >= 10_000:  # noqa: PLR2004 from here on the digits do not fit
        return f"{level / 1000:g} k"
    return f"{level:g}"
