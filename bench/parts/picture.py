"""Small pictures as SVG: lines on axes of powers. Wide enough to read at 640 pixels, and at 320."""
import math
from xml.sax.saxutils import escape

COLOURS = ("#1f6feb", "#d1680b", "#2d8a4e", "#8957a8", "#8a8a8a")
LEFT, RIGHT, TOP, BOTTOM = 78, 606, 66, 330


def short(number):
    for unit, name in ((1e6, " million"), (1e3, ",000")):
        if number >= unit and number % unit == 0:
            return "%d%s" % (number / unit, name)
    return "{:,.0f}".format(number) if number >= 10 else "%g" % number


def powers(least, most):
    """Powers of ten around both, and how a value lies between them as a share."""
    low, high = math.floor(math.log10(least)), math.ceil(math.log10(most))
    high = max(high, low + 1)
    return [10.0 ** power for power in range(low, high + 1)], lambda value: (math.log10(value) - low) / (high - low)


def axes(x_ticks, x_at, y_ticks, y_at):
    for tick in y_ticks:
        yield '<line x1="%d" x2="%d" y1="%.1f" y2="%.1f" stroke="#ddd"/>' % (LEFT, RIGHT, y_at(tick), y_at(tick))
        yield '<text x="%d" y="%.1f" text-anchor="end">%s</text>' % (LEFT - 8, y_at(tick) + 5, short(tick))
    for tick in x_ticks:
        yield '<text x="%.1f" y="%d" text-anchor="middle">%s</text>' % (x_at(tick), BOTTOM + 24, short(tick))


def lines(path, title, series, x_name, y_name, limit=None):
    """series: (name, [(x, y), …]), all above 0. limit: (y, words), a dashed line."""
    series = [(name, [(x, y) for x, y in points if x > 0 and y > 0]) for name, points in series]
    xs = sorted({x for _, points in series for x, _ in points})
    ys = [y for _, points in series for _, y in points] + ([limit[0]] if limit else [])
    if not xs:
        return
    _, x_share = powers(xs[0], xs[-1])
    first, last = x_share(xs[0]), x_share(xs[-1])
    y_ticks, y_share = powers(min(ys), max(ys))

    def x_at(x):
        return LEFT + 30 + (RIGHT - LEFT - 60) * (x_share(x) - first) / ((last - first) or 1)

    def y_at(y):
        return BOTTOM - (BOTTOM - TOP) * y_share(y)
    parts = ['<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 640 390" font-family="sans-serif" font-size="15">',
             '<rect width="640" height="390" fill="white"/>', '<text x="16" y="24" font-size="16">%s</text>' % escape("%s, %s" % (title, y_name)), *axes(xs, x_at, y_ticks, y_at)]
    for i, (name, points) in enumerate(series):
        colour, places = COLOURS[i % len(COLOURS)], [(x_at(x), y_at(y)) for x, y in points]
        parts.append('<polyline fill="none" stroke="%s" stroke-width="2.5" points="%s"/>' % (colour, " ".join("%.1f,%.1f" % place for place in places)))
        parts += ['<circle cx="%.1f" cy="%.1f" r="4.5" fill="%s"/>' % (*place, colour) for place in places]
        column = LEFT + i * (RIGHT - LEFT) / max(len(series), 3)
        parts.append('<circle cx="%.1f" cy="43" r="5" fill="%s"/><text x="%.1f" y="48">%s</text>' % (column, colour, column + 11, escape(name)))
    if limit:
        parts.append('<line x1="%d" x2="%d" y1="%.1f" y2="%.1f" stroke="#777" stroke-dasharray="5 4"/>' % (LEFT, RIGHT, y_at(limit[0]), y_at(limit[0])))
        parts.append('<text x="%d" y="%.1f" text-anchor="end" fill="#555">%s</text>' % (RIGHT, y_at(limit[0]) - 6, escape(limit[1])))
    parts.append('<text x="%d" y="380" text-anchor="middle">%s</text>' % ((LEFT + RIGHT) / 2, escape(x_name)))
    parts.append("</svg>")
    with open(path, "w", encoding="utf-8") as out:
        out.write("\n".join(parts) + "\n")
