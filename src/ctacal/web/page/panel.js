/**
 * The panel at the right: score, vessels, warnings, candidates, signature.
 * @module
 */

import { byId, chip, make } from "./dom.js";
import { eachLabelled } from "./runs.js";
import { CATEGORIES, CATEGORY_WORDS, CORONARY, LABELS, OTHER } from "./scoring.js";
import { counted, measure, scoreWords, shortName, timeWords } from "./words.js";

/** @typedef {import("./workstation.js").Workstation} Workstation */
/** @typedef {import("./reading.js").Reading} Reading */
/** @typedef {Record<string, any>} Json */
/** @typedef {{title: string, labelOf: (candidate: Json) => number | undefined}} Column labels of another reader or a model */

/** More rows than anyone reads; the rest is counted. */
const MAX_ROWS = 300;

export class Panel {
  /**
   * @param {Workstation} station
   * @param {{sign: () => void, amend: () => void, unreadable: () => void}} actions
   */
  constructor(station, actions) {
    this.station = station;
    this.actions = actions;
    /** @type {Column[]} */
    this.columns = [];
    this.names = new Map(station.session.labels.map((/** @type {Json} */ label) => [label.value, label]));
    for (const part of ["score", "vessels", "warnings", "candidates", "scan", "signature"]) {
      byId("panel").append(make("section", { id: `panel-${part}` }));
    }
    byId("panel").append(make("p.notice", {}, station.session.notice));
  }

  /** Draw everything anew: another case. */
  showCase() {
    this.allMarked = false;
    const { reading } = this.station;
    if (!reading) return;
    this.columns = modelColumn(reading);
    this.showWarnings(reading);
    byId("panel-scan").replaceChildren(scanDetails(reading));
    this.showMarks();
  }

  /** Draw what marks change. */
  showMarks() {
    const { reading, score } = this.station;
    if (!reading || !score) return;
    byId("panel-score").replaceChildren(...this.scoreParts(reading, score));
    byId("panel-vessels").replaceChildren(this.vesselTable(score));
    this.showCandidates(reading);
    byId("panel-signature").replaceChildren(
      ...(reading.state.locked ? this.signedParts(reading) : this.unsignedParts(reading)),
    );
  }

  /**
   * @param {Reading} reading
   * @param {Json} score
   */
  scoreParts(reading, score) {
    const { total } = score.agatston;
    const at = CATEGORIES.indexOf(score.category);
    const model = reading.case.model;
    return [
      make("div.total", {}, [
        make("output", { id: "agatston", title: `Agatston score ${total}` }, scoreWords(total)),
        make("div", {}, [
          make("b", {}, "Agatston"),
          make("span", { id: "category" }, `${score.category}, ${CATEGORY_WORDS[at]}`),
          make("span.faint", {}, score.cac_drs),
        ]),
      ]),
      make(
        "ol.scale",
        {},
        CATEGORIES.map((name, i) => make(i === at ? `li.here.c${i}` : "li", {}, name)),
      ),
      model &&
        make(
          "p.model.faint",
          { title: `${model.name} ${model.version}` },
          `Model: ${scoreWords(model.agatston)} (${model.category})${model.has_marks ? "" : "; its marks were not kept"}`,
        ),
    ].filter((part) => part instanceof Node);
  }

  /** @param {Json} score */
  vesselTable(score) {
    const head = make(
      "tr",
      {},
      ["", "Agatston", "mm³", "Lesions"].map((name) => make("th", { scope: "col" }, name)),
    );
    const rows = CORONARY.map((label) => this.vesselRow(label, score));
    return make("table.vessels", {}, [
      make("thead", {}, head),
      make("tbody", {}, [...rows, totalRow(score), this.vesselRow(OTHER, score)]),
    ]);
  }

  /**
   * @param {number} label
   * @param {Json} score
   */
  vesselRow(label, score) {
    const value = (/** @type {Json} */ tally) => (label === OTHER ? tally.other : tally.per_vessel[LABELS[label]]);
    const { name, colour, title } = this.names.get(label);
    const agatston = value(score.agatston);
    const cells = [
      scoreWords(agatston),
      scoreWords(value(score.volume_mm3)),
      Array.isArray(score.lesions) ? score.lesions[label] : "",
    ];
    const shown = label === OTHER ? "Other, not counted" : label === 5 ? "Coronary, no vessel" : shortName(label, name);
    const heading = make("th", { scope: "row", title }, [chip(colour), shown]);
    return make(`tr${agatston ? "" : ".zero"}${label === OTHER ? ".other" : ""}`, {}, [
      heading,
      ...cells.map((cell) => make("td", {}, cell)),
    ]);
  }

  /** @param {Reading} reading */
  showWarnings(reading) {
    const items = reading.case.warnings.map((/** @type {Json} */ { code, message }) =>
      make("li", { title: code }, message[0].toUpperCase() + message.slice(1)),
    );
    byId("panel-warnings").replaceChildren(
      ...(items.length ? [make("h2", {}, counted(items.length, "warning")), make("ul", {}, items)] : []),
    );
  }

  /** @param {Reading} reading */
  showCandidates(reading) {
    const { listed, scene } = this.station;
    const hidden = [...reading.candidates.values()].filter((candidate) => candidate.hidden).length;
    const noise = make(
      "button.link",
      { id: "noise", click: () => this.station.toggle("isNoiseShown"), title: "K" },
      scene.isNoiseShown ? `hide ${hidden} of noise` : `${hidden} hidden as noise`,
    );
    const heading = make("h2", {}, [counted(listed.length, "candidate"), hidden ? noise : null]);
    const columns = ["", ...this.columns.map(({ title }) => title), "Slice", "mm³", "HU"];
    const head = make(
      "thead",
      {},
      make(
        "tr",
        {},
        columns.map((name) => make("th", { scope: "col" }, name)),
      ),
    );
    const rows = listed.slice(0, MAX_ROWS).map((candidate) => this.candidateRow(reading, candidate));
    const scroll = byId("panel-candidates").querySelector(".scroll")?.scrollTop ?? 0;
    const list = make("div.scroll", {}, make("table.candidates", {}, [head, make("tbody", {}, rows)]));
    byId("panel-candidates").replaceChildren(
      heading,
      listed.length ? list : make("p.faint", {}, "Nothing in the heart reaches the threshold."),
    );
    list.scrollTop = scroll;
    list.querySelector(".chosen")?.scrollIntoView({ block: "nearest" });
  }

  /**
   * @param {Reading} reading
   * @param {Json} candidate
   */
  candidateRow(reading, candidate) {
    const own = reading.labelOf(candidate);
    const others = this.columns.map(({ labelOf }) => labelOf(candidate) ?? 0);
    const labels = [own, ...others].map((label) =>
      make("td.label", {}, [
        chip(this.names.get(label)?.colour),
        label ? shortName(label, this.names.get(label).name) : "–",
      ]),
    );
    const [low, high] = candidate.slices;
    const numbers = [
      low === high ? low + 1 : `${low + 1}–${high + 1}`,
      scoreWords(candidate.volume_mm3),
      Math.round(candidate.peak_hu),
    ];
    const differs = others.some((label) => label !== own);
    const classes = [
      candidate.number === this.station.scene.focus && ".chosen",
      candidate.hidden && ".noise",
      differs && ".differs",
    ];
    return make(`tr${classes.filter(Boolean).join("")}`, { click: () => this.station.choose(candidate) }, [
      ...labels,
      ...numbers.map((cell) => make("td", {}, cell)),
    ]);
  }

  /** @param {Reading} reading */
  unsignedParts(reading) {
    const box = make("input", {
      type: "checkbox",
      id: "all-marked",
      change: (/** @type {any} */ event) => (this.allMarked = event.target.checked),
    });
    /** @type {any} */ (box).checked = this.allMarked;
    const asks = reading.case.sign?.ask_all_marked;
    return [
      ...versionParts(reading, 0),
      asks
        ? make(
            "label.check",
            { title: "Calcium of aorta, valves and nodes is marked too (label 6): the study can train a network" },
            [box, "All other calcium is marked too"],
          )
        : make("span"),
      make("div.pair", {}, [
        make("button.primary", { id: "sign", click: this.actions.sign }, ["Sign and next", make("kbd", {}, "Enter")]),
        make(
          "button",
          { id: "unreadable", click: this.actions.unreadable, title: "The scan cannot be read: say why and sign" },
          "Unreadable",
        ),
      ]),
    ];
  }

  /** @param {Reading} reading */
  signedParts(reading) {
    const { signed, version } = reading.state;
    const verdict = signed?.verdict === "unreadable" ? " as unreadable" : "";
    return [
      make("p.signed", {}, [make("b", {}, `Signed${verdict}`), `, version ${version}, ${whenWords(signed?.when)}`]),
      ...versionParts(reading, 1),
      make("div.pair", {}, [
        make("button", { id: "amend", click: this.actions.amend }, "Amend"),
        make("button.primary", { click: () => void this.station.nextCase() }, "Next case"),
      ]),
    ];
  }
}

/**
 * The signed versions of an amended reading.
 * @param {Reading} reading
 * @param {number} known how many the panel names anyway
 */
function versionParts(reading, known) {
  const { versions } = reading.state;
  if (!versions || versions.length <= known) return [];
  const words = (/** @type {Json} */ one) => [
    make("b", {}, `Version ${one.version}: ${scoreWords(one.agatston)}`),
    ` ${whenWords(one.when)}${one.reason ? `: ${one.reason}` : ""}`,
  ];
  return [
    make(
      "ul.versions",
      {},
      versions.map((/** @type {Json} */ one) => make("li", {}, words(one))),
    ),
  ];
}

/** @param {string | undefined} when */
function whenWords(when) {
  return when ? new Date(when).toLocaleString() : "";
}

/** @param {Json} score */
function totalRow(score) {
  const lesions = Array.isArray(score.lesions)
    ? CORONARY.reduce((sum, label) => sum + score.lesions[label], 0)
    : score.lesions;
  const cells = [scoreWords(score.agatston.total), scoreWords(score.volume_mm3.total), lesions];
  return make("tr.sum", {}, [make("th", { scope: "row" }, "Coronary"), ...cells.map((cell) => make("td", {}, cell))]);
}

/**
 * The model's labels, if this reader may see them and the run kept them.
 * @param {Reading} reading
 * @returns {Column[]}
 */
function modelColumn(reading) {
  if (!reading.case.model?.has_marks) return [];
  return [{ title: "Model", labelOf: (candidate) => candidate.model_label }];
}

/**
 * A column with the labels of another reading.
 * @param {string} title
 * @param {number[]} triples
 * @param {Reading} reading
 * @returns {Column & {labels: Uint8Array}}
 */
export function columnOf(title, triples, reading) {
  const labels = new Uint8Array(reading.labels.length);
  eachLabelled(triples, (index, label) => (labels[index] = label));
  return { title, labels, labelOf: (candidate) => reading.majority(labels, candidate) };
}

/** @param {Reading} reading */
function scanDetails(reading) {
  const { acquisition: scan, rule, noise_sd_hu, volume } = reading.case;
  const facts = [
    ["Scanner", [scan.manufacturer, scan.model].filter(Boolean).join(" ") || "not recorded"],
    ["Tube", `${measure(scan.kvp, 0, "kVp")}, ${measure(scan.exposure_mas, 0, "mAs")}`],
    ["Kernel", scan.kernel || "not recorded"],
    [
      "Slices",
      `${scan.slices}, ${measure(scan.slice_thickness_mm, 2, "mm")} thick, ${measure(scan.slice_spacing_mm, 2, "mm")} apart`,
    ],
    ["Pixels", `${measure(scan.pixel_spacing_mm?.[0], 3, "mm")}, ${scan.matrix?.join(" × ") ?? ""}`],
    ["Noise", measure(noise_sd_hu, 0, "HU")],
    ["Rule", `${rule.name}: ${rule.threshold_hu} HU, at least ${rule.min_area_mm2} mm²`],
    ["Heart", volume.heart_found ? "found" : "not found: the whole scan is searched"],
  ];
  return make("details", {}, [
    make("summary", {}, "Scan and rule"),
    make(
      "dl",
      {},
      facts.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]),
    ),
  ]);
}

/** @param {number} seconds */
export function showClock(seconds) {
  byId("clock").textContent = timeWords(seconds);
}
