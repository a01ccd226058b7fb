/** Volts from a raw analog value: raw * times / per. */
export interface Volts {
  readonly times: number;
  readonly per: number;
}

/** How a family of trackers counts volts; null where the inputs do not exist or the unit is not known. */
export interface Scale {
  readonly name: string;
  readonly analog: Volts | null;
  readonly battery: Volts | null;
  readonly supply: Volts | null;
  /** Raw battery values that are 3 to 4.3 V on this scale, by which it is recognised when the model is unknown. */
  readonly likelyBattery?: readonly [number, number];
  readonly source: string;
}

/** Voltage scales. The row number is stored with each position, so rows are only ever appended. */
export const SCALES = [
  // Row 0 stands for "find out from the battery value", see scaleLike().
  { name: "unknown", analog: null, battery: null, supply: null, source: "no model given" },
  {
    name: "hundredths",
    analog: { times: 1, per: 100 },
    battery: { times: 1, per: 100 },
    supply: { times: 1, per: 100 },
    likelyBattery: [0x12c, 0x1ae],
    source: "T366 field 16, CCC and CCE analog values",
  },
  {
    name: "10 bits",
    analog: { times: 6, per: 1024 },
    battery: { times: 6, per: 1024 },
    supply: { times: 48, per: 1024 },
    likelyBattery: [0x200, 0x2e0],
    source: "V1.8 field 16, MVT340 and MVT380",
  },
  {
    name: "12 bits",
    analog: { times: 6.6, per: 4096 },
    battery: { times: 6.6, per: 4096 },
    supply: { times: 52.8, per: 4096 },
    likelyBattery: [0x740, 0xa70],
    source: "V1.8 field 16, T1, T3, MVT100, MVT600 and MVT800",
  },
  {
    name: "12 bits, no inputs",
    analog: null,
    battery: { times: 6.6, per: 4096 },
    supply: { times: 52.8, per: 4096 },
    source: "V1.8 field 16, TC68S",
  },
  {
    name: "12 bits, battery only",
    analog: null,
    battery: { times: 6.6, per: 4096 },
    supply: null,
    source: "V1.8 field 16, MT90",
  },
  {
    name: "12 bits of 6 V, battery only",
    analog: null,
    battery: { times: 6, per: 4096 },
    supply: null,
    source: "MT90G, observed",
  },
] as const satisfies readonly Scale[];

type ScaleName = (typeof SCALES)[number]["name"];

/** A tracker model and what differs between models in reading its reports. */
export interface Model {
  readonly name: string;
  readonly scale: ScaleName;
}

/** Tracker models. Source of the scales: Meitrack GPRS protocol V1.8, field 16; T366 and later count hundredths. */
export const MODELS = [
  { name: "MT90", scale: "12 bits, battery only" },
  { name: "MT90G", scale: "12 bits of 6 V, battery only" },
  { name: "MVT100", scale: "12 bits" },
  { name: "MVT340", scale: "10 bits" },
  { name: "MVT380", scale: "10 bits" },
  { name: "MVT600", scale: "12 bits" },
  { name: "MVT800", scale: "12 bits" },
  { name: "T1", scale: "12 bits" },
  { name: "T3", scale: "12 bits" },
  { name: "T311", scale: "hundredths" },
  { name: "T322X", scale: "hundredths" },
  { name: "T333", scale: "hundredths" },
  { name: "T355", scale: "hundredths" },
  { name: "T366", scale: "hundredths" },
  { name: "T366G", scale: "hundredths" },
  { name: "T622", scale: "hundredths" },
  { name: "T622G", scale: "hundredths" },
  { name: "T633L", scale: "hundredths" },
  { name: "T711L", scale: "hundredths" },
  { name: "TC68", scale: "12 bits, no inputs" },
  { name: "TC68S", scale: "12 bits, no inputs" },
  { name: "MD500S", scale: "hundredths" },
  { name: "MDVR", scale: "hundredths" },
  { name: "P88L", scale: "hundredths" },
  { name: "P99G", scale: "hundredths" },
  { name: "P99L", scale: "hundredths" },
] as const satisfies readonly Model[];

export const MODEL_NAMES: readonly string[] = MODELS.map((model) => model.name);

const SCALE_NAMES: readonly string[] = SCALES.map((scale) => scale.name);
const SCALE_BY_MODEL = new Map<string, number>(
  MODELS.map((model) => [model.name.toUpperCase(), SCALE_NAMES.indexOf(model.scale)]),
);

/** Row of SCALES for values in hundredths of a volt. */
export const HUNDREDTHS: number = SCALE_NAMES.indexOf("hundredths");

/** Row of SCALES for a model, in upper or lower case; 0 when the model is not known or not listed. */
export function scaleOf(model: string | null | undefined): number {
  return SCALE_BY_MODEL.get(model?.toUpperCase() ?? "") ?? 0;
}

/** The scale that makes this raw battery value a plausible voltage, hundredths when none or no value is. */
export function scaleLike(battery: number | undefined): Scale {
  if (battery !== undefined) {
    for (const scale of SCALES as readonly Scale[]) {
      const likely = scale.likelyBattery;
      if (likely !== undefined && battery >= likely[0] && battery <= likely[1]) return scale;
    }
  }
  return SCALES[HUNDREDTHS];
}

/** Volts of a raw analog value, rounded to three decimals; undefined where the scale has no unit. */
export function voltsOf(volts: Volts | null, raw: number): number | undefined {
  return volts === null ? undefined : Math.round((raw * volts.times * 1000) / volts.per) / 1000;
}
