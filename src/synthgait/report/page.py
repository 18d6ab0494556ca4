"""The report: one HTML file with everything inside, readable on a phone, without network.

In: simulated and generated strides, rows and pairs of ``validate``, the bundled seed. Out: the file. The same
input gives the same bytes: no date, no path and no machine's name is written.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from synthgait import pathologies
from synthgait.report import distributions, findings, gaits, strips
from synthgait.report.agreement import QUANTITIES, scatter_and_difference
from synthgait.report.findings import Sentence
from synthgait.report.style import png
from synthgait.trials import Trials

#: Datasets that state no licence: only aggregates over several recordings are drawn.
AGGREGATE_ONLY = frozenset({"gaitvalidation_video_pose", "winner_gait_signatures"})
#: Gaits that are drawn at most: five healthy ones, and one of every pathology that comes along.
MAX_GAITS = 16
_STYLE = """
:root{color-scheme:light}
body{font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;color:#222;background:#fff;max-width:46rem;
margin:0 auto;padding:0 1rem 3rem}
h1{font-size:1.6rem;line-height:1.2;margin:1.2rem 0 .4rem}
h2{font-size:1.3rem;margin:2.4rem 0 .4rem;border-top:1px solid #ddd;padding-top:1.2rem}
h3{font-size:1.05rem;margin:1.6rem 0 .2rem}p{margin:.5rem 0}
img{display:block;width:100%;max-width:36rem;height:auto;margin:.6rem 0}
.scroll{overflow-x:auto;margin:.6rem 0}table{border-collapse:collapse;font-size:.85rem;font-variant-numeric:tabular-nums}
th,td{padding:.25rem .6rem;text-align:right;white-space:nowrap;border-bottom:1px solid #e5e5e5}
th{font-weight:600;border-bottom:1px solid #888;vertical-align:bottom}
th:first-child,td:first-child{text-align:left;position:sticky;left:0;background:#fff}td.text{text-align:left}
td.reason{text-align:left;white-space:normal;min-width:14rem}tr.ours td{background:#eaf3fa;font-weight:600}
ul.said{list-style:none;padding:0}ul.said li{padding:.15rem 0 .15rem 1.6rem;text-indent:-1.6rem}
ul.said b{display:inline-block;width:1.6rem;text-indent:0}.good b{color:#00724f}.bad b{color:#b34700}
.note{color:#555;font-size:.88rem}nav a{display:inline-block;margin:0 1rem .3rem 0;padding:.3rem 0}summary{cursor:pointer;padding:.3rem 0}
"""


def write(
    out: str | Path,
    *,
    seed: Trials,
    synthetic: Trials | None = None,
    rows: Sequence[Mapping[str, Any]] = (),
    pairs: pd.DataFrame | None = None,
    notes: Sequence[str] = (),
    examples: Trials | None = None,
) -> Path:
    """Write the report.

    Args:
        out: the HTML file; its folder is made, and it is replaced whole.
        seed: simulated strides of every status.
        synthetic: generated strides.
        rows: agreement with real recordings, as ``validate.run.rows`` gives it.
        pairs: the pairs behind them, as ``validate.run.pairs`` gives them; only "zero_shot" is drawn.
        notes: sentences to put at the top.
        examples: strides of which one of each pathology is drawn (``strips.shown``); by default the bundled seed's.

    Returns ``out``. Raises InputError where no examples are given and an installation lacks the bundled seed.
    """
    sections = [("simulated", "Simulated gaits", _simulated(seed)), ("certificate", "Certificate by OpenSim", _certificate(seed))]
    examples = strips.of_bundled_seed() if examples is None else examples
    sections.append(("pathologies", "One gait of each pathology", _each_pathology(examples)))
    if synthetic is not None:
        sections.append(("generated", "Generated gaits", _generated(seed, synthetic)))
    if rows:
        sections.append(("estimated", "Estimates, checked on recordings", _estimated(rows, pairs)))
    links = "".join(f'<a href="#{key}">{escape(title)}</a>' for key, title, _ in sections)
    body = [
        "<h1>synthgait: from simulated people to estimates on real ones</h1>",
        "<p>OpenSim people walk, a generator learns from them, and estimators that saw no human are checked on recordings. "
        "✓ marks what is good, ✗ what is not good yet. BW is body weight.</p>",
        *(f"<p><strong>{escape(note)}</strong></p>" for note in notes),
        f"<nav>{links}</nav>",
        *(f'<h2 id="{key}">{escape(title)}</h2>\n{html}' for key, title, html in sections),
    ]
    text = (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><title>synthgait report</title>'
        f"<style>{_STYLE}</style></head>\n<body>\n" + "\n".join(body) + "\n</body></html>\n"
    )
    path = Path(out)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)
    return path


# -- sections ----------------------------------------------------------------------------------------


def _simulated(seed: Trials) -> str:
    good = seed.certified()
    parts = [_said(findings.about_simulated(seed))]
    if not len(good):
        return parts[0] + "<p>No simulated gait is certified, so none is drawn.</p>"
    parts += [
        _walking(seed),
        "<h3>How they walk</h3>",
        "<p>Each strip is one stride: the legs' ground reaction is drawn as arrows, the model's arms are part of its trunk and are not "
        "drawn, and poses are set apart evenly. Every curve begins at its own leg's initial contact.</p>",
        '<p class="note">Dashed: textbook walking of healthy adults at this speed. Angles after Kadaba et al., J Orthop Res 1990;8:383, '
        "and Perry &amp; Burnfield, Gait Analysis (2010), changing with speed after Schwartz et al., J Biomech 2008;41:1639 (children); "
        "forces after Winter, The Biomechanics and Motor Control of Human Gait (1991), scaled with speed after Nilsson &amp; "
        "Thorstensson, Acta Physiol Scand 1989;136:217. No spread is drawn, because these sources give none "
        "here. Where a study's tracking weight is above zero the "
        "solver is softly pulled towards the dashed angles and forces, and activations towards textbook ones: there, their closeness is no "
        "proof of realism. Of a pathology with habits of its own, the pull is towards the dashed angles as its table changes them.</p>",
    ]
    drawn = chosen_gaits(good)
    for row in drawn:
        title = gaits.describe_person(good, row)
        weight = good.table.get("condition_tracking_weight")
        pulled = "" if weight is None or np.isnan(weight.iloc[row]) else f", tracking weight {weight.iloc[row]:.2f}"
        parts += [
            f"<h3>{escape(title)}</h3>",
            f'<p class="note">Trial {escape(str(good.table["trial_id"].iloc[row]))}{pulled}.</p>',
            _image(gaits.stick_figures(good, row), f"Stick figures: {title}"),
            f"<details{' open' if row == drawn[0] else ''}><summary>Joint angles, ground reaction, activations</summary>",
            _image(gaits.gait_curves(good, row), f"Joint angles and ground reaction: {title}"),
            _image(gaits.muscle_activations(good, row), f"Muscle activations: {title}"),
            "</details>",
        ]
    return "\n".join(parts)


def _walking(trials: Trials) -> str:
    walking = findings.walking_table(trials)
    formats = {"age, years": 0, "cadence, steps/min": 0, "speed, m/s": 2} | {str(c): 2 for c in walking if str(c).endswith(", BW")}
    heading = "<h3>What each gait shows (right leg; asymmetry is right over left)</h3>"
    return heading + _table(walking, digits=1, formats=formats)


def _each_pathology(examples: Trials) -> str:
    good = examples.certified()
    chosen = strips.shown(good)
    parts = [
        "<p>Of the seed dataset that generators learn from: a healthy adult's gait, then of every pathology the most severe, of several "
        "such the one of median speed. Each strip is one stride, drawn as above.</p>",
    ]
    for name, row in chosen.items():
        tables = pathologies.parts(name) if name != "healthy" else ()
        title = " with ".join(table.title for table in tables) or "Healthy"
        parts += [
            f"<h3>{escape(title)}</h3>",
            *(f"<p>{escape(table.description)}</p>" for table in tables),
            f'<p class="note">{escape(gaits.describe_person(good, row))}.</p>',
            _image(gaits.stick_figures(good, row), f"Stick figures of one stride: {title}"),
        ]
    return "\n".join([*parts, _walking(good.select(list(chosen.values())))])


def chosen_gaits(trials: Trials) -> list[int]:
    """Rows to draw: a comfortable, a slow and a fast healthy adult, the youngest and the oldest healthy walker, and of
    every pathology the mildest and the most severe gait; at most ``MAX_GAITS``, pathologies' most severe first.
    """
    age, speed, severity = (trials.table[c].to_numpy(float) for c in ("age_years", "walking_speed_mps", "severity"))
    pathology = trials.table["pathology"].to_numpy(str)
    healthy = np.flatnonzero(pathology == "none")
    adults = healthy[(age[healthy] >= 18) & (age[healthy] <= 65)]
    chosen: list[int] = []
    if len(adults):
        chosen += [int(adults[i]) for i in (np.abs(speed[adults] - 1.25).argmin(), speed[adults].argmin(), speed[adults].argmax())]
    if len(healthy):
        chosen += [int(healthy[age[healthy].argmin()]), int(healthy[age[healthy].argmax()])]
    impaired = [np.flatnonzero(pathology == name) for name in dict.fromkeys(pathology) if name != "none"]
    chosen += [int(part[severity[part].argmax()]) for part in impaired] + [int(part[severity[part].argmin()]) for part in impaired]
    return list(dict.fromkeys(chosen))[:MAX_GAITS]


def _certificate(seed: Trials) -> str:
    parts = [
        "<p>OpenSim itself re-computes every sample of every solution. A gait counts only where both agree.</p>",
        _table(findings.yield_table(seed)),
    ]
    table = findings.certificate_table(seed)
    if len(table):
        parts += ["<h3>Worst differences among certified gaits</h3>", _table(table)]
    reasons = findings.failures(seed)
    parts += ["<h3>Why trials failed</h3>", _table(reasons)] if len(reasons) else ["<p>No trial failed.</p>"]
    return "\n".join(parts)


def _generated(seed: Trials, synthetic: Trials) -> str:
    parts = [_said(findings.about_generated(seed, synthetic))]
    reasons = findings.failures(synthetic)
    if len(reasons):
        parts += ["<h3>Why strides are implausible</h3>", _table(reasons.rename(columns={"trials": "strides"}))]
    if len(seed.certified()) and len(synthetic.certified()):
        parts += [
            "<h3>How numbers spread</h3>",
            '<p class="note">Simulated here are this study\'s gaits only; the generator may have learned from more.</p>',
            _image(distributions.histograms(seed, synthetic), "Histograms of generated against simulated strides"),
            _table(findings.spread_table(seed, synthetic)),
            "<h3>Mean curves</h3>",
            _image(distributions.mean_curves(seed, synthetic), "Mean curves of generated and simulated strides"),
        ]
    return "\n".join(parts)


def _estimated(rows: Sequence[Mapping[str, Any]], pairs: pd.DataFrame | None) -> str:
    synthetic_only = {row["dataset"] for row in rows} == {"synthetic_held_out"}
    parts = [
        "<p>Mean absolute errors (MAE). The estimators learned from synthetic people only. A floor is a trivial or classical means "
        "(mean of the other people, cadence and height, an inverted pendulum, integration of the feet); a peer is a published package. "
        "Groups say whether people are healthy or impaired.</p>",
        _said(findings.about_estimated(rows)) if not synthetic_only else "",
    ]
    summary = findings.summary_table(rows)
    if len(summary):
        parts += ["<h3>In short</h3>", _table(_short(summary))]
    frame = pd.DataFrame([dict(row) for row in rows])
    for dataset, part in frame.groupby("dataset", sort=True):
        parts.append(f"<h3>{escape(str(dataset).replace('_', ' '))}</h3>")
        for sensor, of_sensor in part.groupby("sensor", sort=True):
            parts.append(
                f"<details><summary>{escape(str(sensor).replace('_', ' '))}: all figures</summary>{_agreement(of_sensor)}</details>"
            )
            parts.append(_plots(pairs, str(dataset), str(sensor)))
    return "\n".join(part for part in parts if part)


def _short(summary: pd.DataFrame) -> pd.DataFrame:
    """The summary for people: text cells, units in the quantity."""
    told = []
    for row in summary.to_dict("records"):
        what, unit = quantity_name(str(row["quantity"]))
        cells = {
            "recordings of": str(row["dataset"]).replace("_", " "),
            "sensor": str(row["sensor"]).replace("_", " "),
            "MAE of": f"{what}, {unit}",
        }
        others = [kind for kind in ("floor", "peer") if not np.isnan(row[kind])]
        better = all(row[f"ours_beside_{kind}"] <= row[kind] for kind in others)
        cells["ours"] = ("" if not others else "✓ " if better else "✗ ") + _number(row["ours"], unit)
        for kind in ("floor", "peer"):
            cells[f"best {kind}"] = _other(row, kind, unit) if kind in others else "–"
        told.append(cells | {"recordings": row["recordings"] or "–", "people": row["people"] or "–"})
    frame = pd.DataFrame(told)
    return frame.drop(columns=[c for c in ("best floor", "best peer") if (frame[c] == "–").all()])


def _agreement(rows: pd.DataFrame) -> str:
    """All methods of one dataset and sensor, a table per group."""
    parts = []
    for group, part in rows.groupby("group", sort=True):
        told = []
        order = part["method"].map(lambda m: (0 if m == "zero_shot" else 1 if m == "real_trained" else 2 if m.startswith("peer") else 3, m))
        for index in sorted(
            part.index, key=lambda i: (list(QUANTITIES).index(part["quantity"][i]) if part["quantity"][i] in QUANTITIES else 99, order[i])
        ):
            row = part.loc[index].to_dict()
            what, unit = quantity_name(row["quantity"])
            told.append(
                {
                    "quantity": f"{what}, {unit}",
                    "method": "ours, zero-shot" if row["method"] == "zero_shot" else row["method"].replace(":", ": ").replace("_", " "),
                    "MAE [95 %]": _number(row["mae"], unit) + _interval(row, unit),
                    "bias": _number(row["bias"], unit, sign=True),
                    "95 % limits": f"{_number(row['loa_low'], unit, sign=True)} to {_number(row['loa_high'], unit, sign=True)}",
                    "r": _number(row["r"], ""),
                    "ICC": _number(row["icc"], ""),
                    "recordings": int(row["n_recordings"]) or "–",
                    "people": int(row["n_people"]) or "–",
                    "unreadable": int(row.get("n_failed") or 0),
                }
            )
        parts.append(f"<p>Group: {escape(str(group))}</p>" + _table(pd.DataFrame(told), emphasised="ours, zero-shot"))
    return "".join(parts)


def _other(row: Mapping[Any, Any], kind: str, unit: str) -> str:
    """Error and name of another method, and ours where it was read on fewer recordings."""
    there = "" if row[f"ours_beside_{kind}"] == row["ours"] else f"; ours there {_number(row[f'ours_beside_{kind}'], unit)}"
    return f"{_number(row[kind], unit)} ({row[kind + '_name'].replace('_', ' ')}{there})"


def _plots(pairs: pd.DataFrame | None, dataset: str, sensor: str) -> str:
    if pairs is None:
        return ""
    part = pairs[(pairs["dataset"] == dataset) & (pairs["sensor"] == sensor) & (pairs["method"] == "zero_shot")]
    aggregate = dataset in AGGREGATE_ONLY
    figure = scatter_and_difference(part, aggregate=aggregate) if len(part) else None
    if figure is None:
        return ""
    how = (
        "This dataset states no licence: a point is the mean of several recordings, the bar their SD. "
        if aggregate
        else "A point is a recording. "
    )
    note = f'<p class="note">{escape(sensor.replace("_", " "))}, ours. {how}Right: line, bias; grey, 95 % limits of agreement.</p>'
    return note + _image(figure, f"Estimate against truth: {dataset}, {sensor}")


# -- pieces ------------------------------------------------------------------------------------------


def quantity_name(quantity: str) -> tuple[str, str]:
    """What a quantity is and its unit, from the table or from the unit at the end of its name."""
    if quantity in QUANTITIES:
        return QUANTITIES[quantity]
    for ending, unit in (("_mps", "m/s"), ("_spm", "steps/min"), ("_m", "m"), ("_s", "s"), ("_percent", "%"), ("_deg", "°")):
        if quantity.endswith(ending):
            return quantity.removesuffix(ending).replace("_", " "), unit
    return quantity.replace("_", " "), "1"


def _number(value: Any, unit: str, sign: bool = False) -> str:
    if value is None or not np.isfinite(value):
        return "–"
    digits = {"": 2, "steps/min": 1, "%": 1, "°": 1}.get(unit, 3)
    return f"{value:+.{digits}f}" if sign else f"{value:.{digits}f}"


def _interval(row: Mapping[str, Any], unit: str) -> str:
    low, high = row.get("mae_ci_low"), row.get("mae_ci_high")
    if low is None or high is None or not (np.isfinite(low) and np.isfinite(high)):
        return ""
    return f" [{_number(low, unit)}, {_number(high, unit)}]"


def _said(sentences: Sequence[Sentence]) -> str:
    items = []
    for good, text in sentences:
        kind, mark = {True: ("good", "✓"), False: ("bad", "✗"), None: ("plain", "·")}[good]
        items.append(f'<li class="{kind}"><b>{mark}</b>{escape(text)}</li>')
    return '<ul class="said">' + "".join(items) + "</ul>"


def _table(frame: pd.DataFrame, digits: int = 2, formats: Mapping[str, int] | None = None, emphasised: str = "") -> str:
    """An HTML table that scrolls sideways; numbers get ``digits`` or their column's own."""

    def cell(column: str, value: Any) -> str:
        if isinstance(value, float | np.floating):
            places = (formats or {}).get(column, digits)
            # adding zero turns -0.0 into 0.0
            return f"<td>{round(float(value), places) + 0.0:.{places}f}</td>" if np.isfinite(value) else "<td>–</td>"
        text = str(value)
        numeric = text[:1].isdigit() or text[:1] in "+-–✓✗"
        kind = "" if numeric else ' class="reason"' if len(text) > 40 else ' class="text"'
        return f"<td{kind}>{escape(text)}</td>"

    head = "".join(f"<th>{escape(str(column))}</th>" for column in frame)
    body = []
    for record in frame.to_dict("records"):
        ours = ' class="ours"' if emphasised and emphasised in record.values() else ""
        body.append(f"<tr{ours}>" + "".join(cell(str(column), value) for column, value in record.items()) + "</tr>")
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{"".join(body)}</tbody></table></div>'


def _image(figure: Figure, description: str) -> str:
    data = base64.b64encode(png(figure)).decode()
    return f'<img alt="{escape(description)}" src="data:image/png;base64,{data}">'
