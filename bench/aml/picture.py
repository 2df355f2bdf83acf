"""Draws, for each typology of AMLworld, how many attempts hold the operator's pattern and how many were found, and what the operator costs."""

# the operator that a typology is made for
MEANT = {"FAN-OUT": "FAN-OUT", "FAN-IN": "FAN-IN", "CYCLE": "CYCLE", "GATHER-SCATTER": "GATHER", "SCATTER-GATHER": "SCATTER", "STACK": "TWO-LEGS",
         "RANDOM": "CHAIN"}
LEFT, WIDE, ROW = 134, 300, 44


def bar(x, y, width, height, style):
    return '<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" %s/>' % (x, y, width, height, style)


def draw(rows):
    rows = [row for row in rows if row["set"].startswith("AMLworld")]
    shown = [next(row for row in rows if row["typology"] == typology and row["rule"] == rule) for typology, rule in MEANT.items()]
    most, height = max(row["attempts"] for row in shown), 78 + ROW * len(shown) + 34
    parts = ['<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 640 %d" font-family="sans-serif" font-size="13">' % height,
             '<rect width="640" height="%d" fill="white"/>' % height,
             '<text x="14" y="24" font-size="15">What each operator finds of published attempts (AMLworld HI-Small)</text>']
    for x, style, label in ((14, 'fill="#e4e4e4"', "attempts"), (110, 'fill="none" stroke="#555"', "hold the pattern: the ceiling"), (330, 'fill="#1f6feb"', "found")):
        parts += [bar(x, 40, 14, 12, style), '<text x="%d" y="51">%s</text>' % (x + 20, label)]
    parts.append('<text x="626" y="51" text-anchor="end" fill="#555">alerts per 10,000</text>')
    for i, row in enumerate(shown):
        y, unit = 72 + ROW * i, WIDE / most
        parts += ['<text x="%d" y="%d" text-anchor="end">%s</text>' % (LEFT - 10, y + 12, row["typology"].lower()),
                  '<text x="%d" y="%d" text-anchor="end" fill="#555" font-size="11">%s</text>' % (LEFT - 10, y + 26, row["rule"]),
                  bar(LEFT, y, row["attempts"] * unit, 28, 'fill="#e4e4e4"'), bar(LEFT, y + 5, row["found"] * unit, 18, 'fill="#1f6feb"'),
                  bar(LEFT, y + 5, row["ceiling"] * unit, 18, 'fill="none" stroke="#222" stroke-width="1.5"'),
                  '<text x="%.1f" y="%d">%d of %d of %d</text>' % (LEFT + row["attempts"] * unit + 8, y + 19, row["found"], row["ceiling"], row["attempts"]),
                  '<text x="626" y="%d" text-anchor="end">%.1f</text>' % (y + 19, 1e4 * row["alerts"] / row["payments"])]
    parts.append('<text x="14" y="%d" fill="#555">Bipartite attempts hold nothing: no two of their payments share an account.</text>' % (height - 16))
    return "\n".join(parts + ["</svg>"]) + "\n"
